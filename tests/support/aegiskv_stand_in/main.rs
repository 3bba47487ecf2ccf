//! `aegiskv-stand-in`: answers as AegisKV does, for tests of the plans in `plans/aegiskv`. It is no key-value store.
//!
//! What it does as the real program was seen to do it: flags (they go before the configuration file), the texts and
//! statuses of the health port (`health.rs`), gossip (`gossip.rs`), segments of a write-ahead log on disk, a new one at each
//! start, log lines on standard error, SIGHUP (ignored without a configuration file, else only the log level is taken),
//! SIGTERM (ends after 1.3 s), the PID file. What it does not do: store, replicate or replay anything; client connections
//! are accepted, counted and left alone.
//!
//! A test makes another version of it by appending lines to a copy of the program: `stand-in-version 2.0.0` is what
//! `--version` prints, `stand-in-fails-on node-2` is the name of a host on which it ends at its start.

mod gossip;
mod health;
mod settings;

use settings::Settings;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the real program takes from SIGTERM to its end.
const SHUTDOWN: Duration = Duration::from_millis(1300);

/// The least level of log lines that are written: 0 debug, 1 info, 2 warn, 3 error.
static LEVEL: AtomicU8 = AtomicU8::new(1);

/// What the tasks of the program share.
struct Node {
    settings: Settings,
    connections: AtomicI64,
    members: Mutex<gossip::Members>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .iter()
        .any(|word| word == "-version" || word == "--version")
    {
        print(&format!(
            "AegisKV {} (built unknown)",
            appended("stand-in-version").as_deref().unwrap_or("dev")
        ));
        return ExitCode::SUCCESS;
    }
    let settings = match Settings::read(&arguments) {
        Ok(settings) => settings,
        Err(settings::Refused::Flag(text)) => {
            complain(&text);
            return ExitCode::from(2);
        }
        Err(settings::Refused::Config(text)) => {
            log(3, &text);
            return ExitCode::FAILURE;
        }
    };
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            log(3, &text);
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<(), String> {
    if appended("stand-in-fails-on").is_some_and(|host| host == settings::hostname()) {
        return Err("Failed to create node: no such shard".to_owned());
    }
    set_level(&settings.log_level);
    open_segment(&settings)?;
    let node = Arc::new(Node {
        members: Mutex::new(gossip::Members::new(&settings)),
        connections: AtomicI64::new(0),
        settings,
    });
    let settings = &node.settings;
    let gossip = gossip::Gossip::start(node.clone())
        .await
        .map_err(|error| format!("Failed to start node: failed to start gossip: {error}"))?;
    let clients = tokio::net::TcpListener::bind(&settings.bind)
        .await
        .map_err(|error| {
            format!("Failed to start node: failed to start server: failed to listen: {error}")
        })?;
    tokio::spawn(accept(clients, node.clone()));
    health::start(&node).await;
    log(
        1,
        &format!(
            "[node] Node {} started, listening on {}",
            settings.node_id, settings.bind
        ),
    );
    for line in settings.banner() {
        log(1, &line);
    }
    if let Some(path) = &settings.pid_file {
        let _ = std::fs::write(path, format!("{}\n", std::process::id()));
    }

    let mut hang_up = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let name = loop {
        tokio::select! {
            _ = hang_up.recv() => reload(settings),
            _ = terminate.recv() => break "terminated",
            _ = interrupt.recv() => break "interrupt",
        }
    };
    log(
        1,
        &format!("Received signal {name}, initiating graceful shutdown..."),
    );
    gossip.leave().await;
    tokio::time::sleep(SHUTDOWN).await;
    log(1, &format!("[node] Node {} stopped", settings.node_id));
    log(1, "Graceful shutdown complete");
    if let Some(path) = &settings.pid_file {
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// Takes connections of clients, counts them, and holds each until the client goes.
async fn accept(listener: tokio::net::TcpListener, node: Arc<Node>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let node = node.clone();
        tokio::spawn(async move {
            node.connections.fetch_add(1, Ordering::Relaxed);
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            node.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// What SIGHUP does: of all settings, only the log level is taken.
fn reload(settings: &Settings) {
    let Some(path) = &settings.config else {
        log(2, "SIGHUP received but no config file specified, ignoring");
        return;
    };
    log(1, &format!("SIGHUP received, reloading config from {path}"));
    match settings::file(path) {
        Ok(values) => {
            let level = values["log_level"].as_str().unwrap_or("info").to_owned();
            set_level(&level);
            log(1, &format!("  Applied: log_level={level}"));
            log(1, "Configuration reloaded successfully");
        }
        Err(error) => log(3, &format!("Failed to reload config: {error}")),
    }
}

/// Opens the next segment of the write-ahead log, if there is to be one.
fn open_segment(settings: &Settings) -> Result<(), String> {
    if !settings.wal {
        return Ok(());
    }
    let folder = Path::new(&settings.data_dir).join("wal");
    let failed = |error: std::io::Error| format!("Failed to create node: failed to create WAL: {error}");
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let newest = std::fs::read_dir(&folder)
        .map_err(failed)?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_prefix("wal-")?
                .strip_suffix(".log")?
                .parse::<u64>()
                .ok()
        })
        .max();
    let path = folder.join(format!("wal-{}.log", newest.unwrap_or(0) + 1));
    std::fs::File::create(path).map(drop).map_err(failed)
}

/// What a test has appended to this program behind a word, on a line of its own.
fn appended(word: &str) -> Option<String> {
    let bytes = std::fs::read("/proc/self/exe").unwrap_or_default();
    let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(200)..]).into_owned();
    let found = tail
        .lines()
        .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .next_back();
    found.map(str::to_owned)
}

fn set_level(name: &str) {
    let level = match name.to_lowercase().as_str() {
        "debug" => 0,
        "warn" | "warning" => 2,
        "error" => 3,
        _ => 1,
    };
    LEVEL.store(level, Ordering::Relaxed);
}

/// Writes a line to standard error, as the real program does.
fn log(level: u8, text: &str) {
    if level < LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let name = ["DEBUG", "INFO", "WARN", "ERROR"][usize::from(level.min(3))];
    complain(&format!("{} {name} {text}", health::now(true)));
}

#[expect(clippy::print_stdout, reason = "the version is for whoever calls the program")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the log goes to standard error")]
fn complain(text: &str) {
    eprintln!("{text}");
}
