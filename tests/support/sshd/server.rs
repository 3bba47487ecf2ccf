//! One server.

use super::{START_MAX, SshdOptions, keys};
use crate::Background;
use rustix::process::{Pid, Signal};
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Server {
    address: Ipv4Addr,
    config: PathBuf,
    log: PathBuf,
    process: Option<Background>,
}

/// Where sshd is. It must be started by its whole path.
pub(super) fn program() -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join("sshd"))
        .find(|path| path.is_file())
}

impl Server {
    pub(super) fn new(folder: &Path, address: Ipv4Addr, port: u16, options: &SshdOptions) -> Self {
        let server = Self {
            address,
            config: folder.join(format!("sshd-{address}.conf")),
            log: folder.join(format!("sshd-{address}.log")),
            process: None,
        };
        let mut text = String::new();
        for line in &options.config {
            let _ = writeln!(text, "{line}");
        }
        let _ = write!(
            text,
            "ListenAddress {address}\n\
             Port {port}\n\
             HostKey {}\n\
             PidFile none\n\
             AuthorizedKeysFile {}\n\
             TrustedUserCAKeys {}\n\
             StrictModes no\n\
             UsePAM no\n\
             PasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\n\
             UseDNS no\n\
             Subsystem sftp internal-sftp\n\
             MaxStartups 500:30:600\n\
             LogLevel DEBUG1\n",
            keys::host_key(folder, address).display(),
            folder.join("authorized_keys").display(),
            folder.join("authority.pub").display(),
        );
        if options.host_certificates {
            let _ = writeln!(
                text,
                "HostCertificate {}",
                keys::host_certificate(folder, address).display()
            );
        }
        fs::write(&server.config, text).expect("the folder is ours");
        server
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub(super) fn spawn(&mut self) {
        // Where it puts its unprivileged half; a package makes the folder when it starts the service.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("root may");
        }
        let _ = fs::remove_file(&self.log);
        let child = Command::new(program().expect("sshd is installed: apt-get install openssh-server"))
            .arg("-D")
            .arg("-f")
            .arg(&self.config)
            .arg("-E")
            .arg(&self.log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd starts");
        self.process = Some(Background::new(child));
    }

    /// Waits until it listens; false if it ended instead.
    pub(super) fn comes_up(&mut self) -> bool {
        let process = self.process.as_mut().expect("it was started");
        let start = Instant::now();
        let listens = format!("Server listening on {} ", self.address);
        while !fs::read_to_string(&self.log)
            .unwrap_or_default()
            .contains(&listens)
        {
            if !process.is_running() {
                return false;
            }
            assert!(
                start.elapsed() < START_MAX,
                "sshd at {} does not come up",
                self.address
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        true
    }

    pub(super) fn stop(&mut self) {
        let connections = self.connections();
        // First the one that listens: no connection comes after those.
        self.process = None;
        signal(&connections, Signal::KILL);
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The processes of open connections: children of the listening one, and the unprivileged children of those.
    pub(super) fn connections(&self) -> Vec<u32> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        let table = processes();
        let children = |parents: &[u32]| -> Vec<u32> {
            table
                .iter()
                .filter(|process| process.name.starts_with("sshd") && parents.contains(&process.parent))
                .map(|process| process.id)
                .collect()
        };
        let mut found = children(&[process.id()]);
        found.extend(children(&found));
        found
    }

    pub(super) fn signal_connections(&self, with: Signal) {
        signal(&self.connections(), with);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn signal(processes: &[u32], with: Signal) {
    for id in processes {
        if let Some(pid) = i32::try_from(*id).ok().and_then(Pid::from_raw) {
            // It may have ended by itself in the meantime.
            let _ = rustix::process::kill_process(pid, with);
        }
    }
}

struct Process {
    id: u32,
    parent: u32,
    name: String,
}

/// All processes of this machine.
fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("Linux");
    entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            // `ID (NAME) STATE PARENT …`; a name may hold spaces and brackets.
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (head, tail) = stat.rsplit_once(')')?;
            Some(Process {
                id,
                parent: tail.split_whitespace().nth(1)?.parse().ok()?,
                name: head.split_once('(')?.1.to_owned(),
            })
        })
        .collect()
}
