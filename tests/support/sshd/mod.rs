//! Real OpenSSH servers, each on a loopback address of its own.
//!
//! ```no_run
//! let fleet = caxton_tests::Sshd::start(3);
//! assert!(fleet.ssh(0).arg("true").status().expect("ssh starts").success());
//! ```

mod account;
mod keys;
mod server;

pub use account::Account;

use crate::Background;
use keys::Keys;
use server::Server;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// The last octet of the first server's address; 127.0.0.1 is left to others.
const OCTET_FIRST: u8 = 2;

/// The most servers of a fleet: all have addresses in 127.0.0.0/24.
const SERVERS_MAX: usize = 200;

/// How long a server, or an agent, may take to come up.
const START_MAX: Duration = Duration::from_secs(20);

/// How a fleet differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct SshdOptions {
    /// Whether hosts show certificates of a test CA. `known_hosts` then names the CA only, by `@cert-authority`.
    pub host_certificates: bool,
    /// Whether a user is let in by a certificate of the test CA only, not by the bare key: `client-cert.pub`.
    pub user_certificate: bool,
    /// More lines for `sshd_config`, which go before the usual ones (the first value counts).
    pub config: Vec<String>,
    /// A port for all, where the test needs a certain one.
    pub port: Option<u16>,
}

/// Servers at 127.0.0.2, 127.0.0.3, … with one port, one client key and one `known_hosts`. They end when the value is
/// dropped; their logs are printed when that happens in a failing test.
#[derive(Debug)]
pub struct Sshd {
    folder: TempDir,
    keys: Keys,
    servers: Vec<Server>,
    port: u16,
    agent: OnceLock<(PathBuf, Background)>,
}

impl Sshd {
    /// Whether this machine has OpenSSH. Where it is missing a test may be skipped, but not in CI: there it fails.
    pub fn is_there() -> bool {
        let is_there = server::program().is_some();
        assert!(
            is_there || std::env::var_os("CI").is_none(),
            "sshd is not installed: apt-get install openssh-server"
        );
        is_there
    }

    /// Starts `count` servers.
    pub fn start(count: usize) -> Self {
        Self::with(count, &SshdOptions::default())
    }

    /// Starts `count` servers, with options.
    pub fn with(count: usize, options: &SshdOptions) -> Self {
        assert!(count <= SERVERS_MAX, "at most {SERVERS_MAX} servers");
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The server reads `authorized_keys` as the user that logs in.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        let addresses: Vec<Ipv4Addr> = (0..count).map(address).collect();
        let keys = Keys::make(folder.path(), &addresses, options);
        // Another program may take a port between looking and listening: then another one is tried.
        for _ in 0..20 {
            let port = options.port.unwrap_or_else(|| free_port(&addresses));
            let mut servers: Vec<Server> = addresses
                .iter()
                .map(|address| Server::new(folder.path(), *address, port, options))
                .collect();
            for server in &mut servers {
                server.spawn();
            }
            if servers.iter_mut().all(Server::comes_up) {
                keys.write_known_hosts(&addresses, port, options);
                return Self {
                    folder,
                    keys,
                    servers,
                    port,
                    agent: OnceLock::new(),
                };
            }
            assert!(
                options.port.is_none(),
                "no sshd at port {port}: {}",
                servers.iter().map(Server::log).collect::<String>()
            );
        }
        panic!("no port for sshd");
    }

    /// A folder of the fleet's own, with keys, configuration and logs; every user may read in it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// How many servers there are, running or not.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// The port of all servers.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a server, from 0: `127.0.0.2`.
    pub fn address(&self, server: usize) -> String {
        self.servers[server].address().to_string()
    }

    /// Where a server listens: `127.0.0.2:PORT`.
    pub fn endpoint(&self, server: usize) -> String {
        format!("{}:{}", self.address(server), self.port)
    }

    /// The private key that is let in, without a passphrase. Beside it lies `client.pub`.
    pub fn identity(&self) -> PathBuf {
        self.keys.client()
    }

    /// The certificate of that key by the test CA, for the users `root`, the accounts of tests, and who runs the test.
    pub fn certificate(&self) -> PathBuf {
        self.keys.client_certificate()
    }

    /// The CA's private key, by which a test may sign more.
    pub fn authority(&self) -> PathBuf {
        self.keys.authority()
    }

    /// The file of keys that are let in (of every user).
    pub fn authorized_keys(&self) -> PathBuf {
        self.keys.authorized_keys()
    }

    /// `known_hosts` with the keys of all servers, or with their CA.
    pub fn known_hosts(&self) -> PathBuf {
        self.keys.known_hosts()
    }

    /// The host key of a server, private; beside it lies its public half (`.pub`).
    pub fn host_key(&self, server: usize) -> PathBuf {
        keys::host_key(self.folder.path(), self.servers[server].address())
    }

    /// The socket of an agent that holds the client key (and its certificate, if that is what is let in). It is started
    /// when first asked for.
    pub fn agent(&self) -> &Path {
        let (socket, _) = self.agent.get_or_init(|| self.keys.start_agent());
        socket
    }

    /// An `ssh` to a server, as who runs the test, that needs nothing of the user's own configuration.
    pub fn ssh(&self, server: usize) -> Command {
        self.ssh_as(server, &Account::own())
    }

    /// An `ssh` to a server as this account.
    pub fn ssh_as(&self, server: usize, account: &Account) -> Command {
        let mut command = self.client("ssh");
        command
            .args(["-p", &self.port.to_string()])
            .arg(format!("{}@{}", account.name(), self.address(server)))
            .stdin(Stdio::null());
        command
    }

    /// `ssh`, `sftp` or `scp` with the options by which it gets in; host, port and the rest are to be added.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(self.client_options());
        command
    }

    /// The options of OpenSSH's clients by which they get in, without host, port and user: for `rsync -e`, too.
    pub fn client_options(&self) -> Vec<String> {
        let mut options = vec!["-F".to_owned(), "none".to_owned()];
        for option in [
            "BatchMode=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            format!("IdentityFile={}", self.identity().display()),
            format!("CertificateFile={}", self.certificate().display()),
            format!("UserKnownHostsFile={}", self.known_hosts().display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
        ] {
            options.extend(["-o".to_owned(), option]);
        }
        options
    }

    /// An inventory with a target `h1`, `h2`, … for each server, all in the group `fleet`, reached as `account` by the
    /// client key.
    pub fn inventory(&self, account: &Account) -> String {
        let mut text = String::from("inventory:\n  targets:\n");
        for server in 0..self.servers.len() {
            let _ = writeln!(
                text,
                "    h{}: {{vars: {{address: {}}}}}",
                server + 1,
                self.address(server)
            );
        }
        let names: Vec<String> = (1..=self.servers.len()).map(|at| format!("h{at}")).collect();
        let _ = writeln!(
            text,
            "  groups:\n    fleet:\n      targets: [{}]\n      vars:",
            names.join(", ")
        );
        for (name, value) in self.vars(account) {
            let _ = writeln!(text, "        {name}: {value}");
        }
        text
    }

    /// Writes that inventory into a folder, as `fleet.yaml`, and gives the file's name.
    pub fn write_inventory(&self, folder: &Path, account: &Account) -> &'static str {
        std::fs::write(folder.join("fleet.yaml"), self.inventory(account))
            .expect("the folder can be written");
        "fleet.yaml"
    }

    /// The variables by which a target is reached, but its address.
    pub fn vars(&self, account: &Account) -> Vec<(&'static str, serde_json::Value)> {
        vec![
            ("ssh_user", account.name().into()),
            ("ssh_port", self.port.into()),
            ("ssh_identity", self.identity().display().to_string().into()),
            ("ssh_certificate", self.certificate().display().to_string().into()),
            ("ssh_known_hosts", self.known_hosts().display().to_string().into()),
            ("ssh_config", "none".into()),
        ]
    }

    /// The variables by which a server is reached, as an action's target has them.
    pub fn target_vars(&self, server: usize, account: &Account) -> serde_json::Value {
        self.vars(account)
            .into_iter()
            .chain([("address", self.address(server).into())])
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// Ends a server and its sessions, as a crash would.
    pub fn stop(&mut self, server: usize) {
        self.servers[server].stop();
    }

    /// Starts a server that was stopped.
    pub fn restart(&mut self, server: usize) {
        let server = &mut self.servers[server];
        server.spawn();
        assert!(server.comes_up(), "sshd did not come up again:\n{}", server.log());
    }

    /// The process ids of a server's open connections.
    pub fn connections(&self, server: usize) -> Vec<u32> {
        self.servers[server].connections()
    }

    /// Breaks a server's open connections; it goes on listening. What ran in them is not ended by that.
    pub fn cut(&self, server: usize) {
        self.servers[server].signal_connections(rustix::process::Signal::KILL);
    }

    /// Lets a server's open connections hang, or go on: `STOP` or `CONT`.
    pub fn signal_connections(&self, server: usize, signal: rustix::process::Signal) {
        self.servers[server].signal_connections(signal);
    }

    /// What a server has logged.
    pub fn log(&self, server: usize) -> String {
        self.servers[server].log()
    }
}

impl Drop for Sshd {
    #[expect(clippy::print_stderr, reason = "a failing test shows what it stood on")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in &self.servers {
                eprintln!("--- sshd at {}:{}\n{}", server.address(), self.port, server.log());
            }
        }
    }
}

fn address(server: usize) -> Ipv4Addr {
    let octet = u8::try_from(server).expect("few servers") + OCTET_FIRST;
    Ipv4Addr::new(127, 0, 0, octet)
}

/// A port that is free at all of these addresses now.
fn free_port(addresses: &[Ipv4Addr]) -> u16 {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let port = listener.local_addr().expect("it is bound").port();
        if addresses
            .iter()
            .all(|address| TcpListener::bind((*address, port)).is_ok())
        {
            return port;
        }
    }
    panic!("no port that is free at {} addresses", addresses.len());
}
