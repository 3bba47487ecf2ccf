//! Host and operate clusters of WebAssembly agents.
//!
//! One module per group of commands, one file per command. What all share: where the cluster is ([`connect`]), how answers
//! are shown ([`ui`]), how a command ends ([`exit`]).

mod agents;
mod backup;
mod cluster;
mod config;
mod connect;
mod deploy;
mod dev;
mod exit;
mod init;
mod message;
mod metrics;
mod node;
mod paths;
mod release;
mod security;
mod server;
mod traffic;
mod ui;
mod version;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Host and operate clusters of WebAssembly agents.
#[derive(Parser)]
#[command(name = "caxton", version = version::VERSION, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command knows.
#[derive(clap::Args)]
struct Global {
    /// The file that says where the cluster is [default: /etc/caxton/context.yaml, else the development cluster `demo`]
    #[arg(long, global = true, env = "CAXTON_CONTEXT", value_name = "FILE")]
    context: Option<std::path::PathBuf>,
    /// How to show the answer
    #[arg(long = "output", global = true, value_enum, default_value_t = ui::Format::Table)]
    format: ui::Format,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node
    #[command(subcommand)]
    Server(server::Command),
    /// Write the configuration of a node, its folders and its token
    Init(init::Init),
    /// Make and look at certificates
    #[command(subcommand)]
    Security(security::Command),
    /// Look at the cluster
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Operate one node: drain, upgrade, roll back
    #[command(subcommand)]
    Node(node::Command),
    /// Deploy an agent
    Deploy(deploy::Deploy),
    /// Look at all agents
    #[command(subcommand)]
    Agents(agents::AllCommand),
    /// Operate one agent
    #[command(subcommand)]
    Agent(agents::OneCommand),
    /// Send messages to agents
    #[command(subcommand)]
    Message(message::Command),
    /// Make, verify and restore backups
    #[command(subcommand)]
    Backup(backup::Command),
    /// Check and compare configurations
    #[command(subcommand)]
    Config(config::Command),
    /// Show figures of the last ten seconds
    Metrics(metrics::Metrics),
    /// Make release archives
    #[command(subcommand)]
    Release(release::Command),
    /// Run a cluster on this machine, to develop and to look around
    #[command(subcommand)]
    Dev(dev::Command),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Both providers of cryptography may be compiled in; say which one, before anything speaks TLS. It is only installed
    // here, so that it cannot be there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ui = ui::Ui::new(cli.global.format);
    let result = runtime(&cli.command).and_then(|runtime| runtime.block_on(run(cli, &ui)));
    exit::code(result)
}

/// A node uses all processors; everything else waits most of the time.
fn runtime(command: &Command) -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = match command {
        Command::Server(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    Ok(builder.enable_all().build()?)
}

async fn run(cli: Cli, ui: &ui::Ui) -> anyhow::Result<exit::Exit> {
    let connect = connect::Connect::new(cli.global.context);
    match cli.command {
        Command::Server(command) => command.run().await,
        Command::Init(command) => command.run(ui),
        Command::Security(command) => command.run(ui),
        Command::Cluster(command) => command.run(&connect, ui).await,
        Command::Node(command) => command.run(&connect, ui).await,
        Command::Deploy(command) => command.run(&connect, ui).await,
        Command::Agents(command) => command.run(&connect, ui).await,
        Command::Agent(command) => command.run(&connect, ui).await,
        Command::Message(command) => command.run(&connect, ui).await,
        Command::Backup(command) => command.run(&connect, ui).await,
        Command::Config(command) => command.run(ui),
        Command::Metrics(command) => command.run(&connect, ui).await,
        Command::Release(command) => command.run(ui),
        Command::Dev(command) => command.run(ui).await,
    }
}
