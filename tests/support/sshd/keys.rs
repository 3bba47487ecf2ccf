//! Keys, certificates and `known_hosts` of a fleet.

use super::{Account, START_MAX, SshdOptions};
use crate::{Background, wait_until};
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug)]
pub(super) struct Keys {
    folder: PathBuf,
    agent_holds_certificate: bool,
}

/// Where the host key of a server lies.
pub(super) fn host_key(folder: &Path, address: Ipv4Addr) -> PathBuf {
    folder.join(format!("host-{address}"))
}

/// Where the certificate of that key lies.
pub(super) fn host_certificate(folder: &Path, address: Ipv4Addr) -> PathBuf {
    folder.join(format!("host-{address}-cert.pub"))
}

impl Keys {
    pub(super) fn make(folder: &Path, addresses: &[Ipv4Addr], options: &SshdOptions) -> Self {
        let keys = Self {
            folder: folder.to_owned(),
            agent_holds_certificate: options.user_certificate,
        };
        generate(&keys.authority(), "test CA");
        generate(&keys.client(), "client");
        let own = Account::own();
        let users = ["root", "caxplan-test", "caxplan-sudo", own.name()].join(",");
        sign(&keys.authority(), &["-I", "client", "-n", &users], &keys.client());
        let allowed = if options.user_certificate {
            String::new()
        } else {
            read(&keys.client().with_extension("pub"))
        };
        fs::write(keys.authorized_keys(), allowed).expect("the folder is ours");
        for address in addresses {
            let key = host_key(folder, *address);
            generate(&key, "host");
            if options.host_certificates {
                let name = address.to_string();
                sign(&keys.authority(), &["-h", "-I", &name, "-n", &name], &key);
            }
        }
        keys
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("authority")
    }

    pub(super) fn client(&self) -> PathBuf {
        self.folder.join("client")
    }

    pub(super) fn client_certificate(&self) -> PathBuf {
        self.folder.join("client-cert.pub")
    }

    pub(super) fn authorized_keys(&self) -> PathBuf {
        self.folder.join("authorized_keys")
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    pub(super) fn write_known_hosts(&self, addresses: &[Ipv4Addr], port: u16, options: &SshdOptions) {
        let mut text = String::new();
        if options.host_certificates {
            let authority = read(&self.authority().with_extension("pub"));
            let _ = write!(text, "@cert-authority [127.0.0.*]:{port} {authority}");
        } else {
            for address in addresses {
                let key = read(&host_key(&self.folder, *address).with_added_extension("pub"));
                let _ = write!(text, "[{address}]:{port} {key}");
            }
        }
        fs::write(self.known_hosts(), text).expect("the folder is ours");
    }

    /// An agent with the client key, and its socket.
    pub(super) fn start_agent(&self) -> (PathBuf, Background) {
        let socket = self.folder.join("agent.sock");
        // In the foreground, so that it is a child that ends with the test.
        let agent = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh-agent starts");
        let agent = Background::new(agent);
        wait_until("the agent's socket", START_MAX, || socket.exists());
        let mut add = Command::new("ssh-add");
        add.arg("-q").env("SSH_AUTH_SOCK", &socket);
        if !self.agent_holds_certificate {
            // Else it would add the certificate that lies beside the key.
            add.arg("-k");
        }
        run(add.arg(self.client()));
        (socket, agent)
    }
}

fn generate(path: &Path, comment: &str) {
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(path));
}

/// Makes `KEY-cert.pub`.
fn sign(authority: &Path, arguments: &[&str], key: &Path) {
    run(Command::new("ssh-keygen")
        .arg("-q")
        .arg("-s")
        .arg(authority)
        .args(arguments)
        .arg(key.with_added_extension("pub")));
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("OpenSSH is installed");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
