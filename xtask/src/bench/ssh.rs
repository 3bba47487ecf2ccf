//! Commands on many hosts: caxplan, `ssh` with a shared connection (ControlMaster), and Ansible, against the same servers in the
//! same minutes.

use super::{median, ratio, show, timed};
use crate::shell;
use anyhow::{Context, Result, bail};
use caxton_tests::{Account, Sshd, SshdOptions};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How many `ssh` run at a time, and how many targets and forks the others may have: what makes `ssh` fastest here.
const AT_A_TIME: usize = 50;

/// Runs of which the median is taken.
const RUNS: usize = 5;

/// The core of Ansible, without collections.
const ANSIBLE: &str = "ansible-core==2.18.1";

/// Prints a table for each shape: hosts, and commands on each.
///
/// # Errors
/// If there is no sshd here, or who runs it may not make accounts.
pub(crate) fn run() -> Result<()> {
    if !Sshd::is_there() || !Account::can_be_made() {
        bail!("this needs openssh-server, and root to make an account that is logged in to");
    }
    let caxplan = super::program()?;
    let ansible = install_ansible()
        .map_err(|error| shell::say(&format!("Ansible is left out: {error:#}")))
        .ok();
    for (hosts, commands) in [(20, 10), (198, 1)] {
        let fleet = Fleet {
            // As a server logs by itself.
            sshd: Sshd::with(
                hosts,
                &SshdOptions {
                    config: vec!["LogLevel INFO".to_owned()],
                    ..SshdOptions::default()
                },
            ),
            account: Account::ordinary(),
            folder: tempfile::tempdir().context("a temporary folder")?,
            hosts,
            commands,
        };
        shell::say(&format!("\n{hosts} hosts × {commands} `true`:"));
        let single = median(RUNS, || fleet.ssh(Connections::Single))?;
        let cold = median(RUNS, || fleet.ssh(Connections::Cold))?;
        let warm = median(RUNS, || fleet.ssh(Connections::Warm))?;
        let ours = median(RUNS, || fleet.caxplan(&caxplan, true))?;
        let reading = median(RUNS, || fleet.caxplan(&caxplan, false))?;
        let row = |what: &str, time: Duration| {
            shell::say(&format!(
                "  {what:<56} {:>10}  {:>5.2} × warm ssh, {:>5.2} × cold",
                show(time),
                ratio(time, warm),
                ratio(time, cold)
            ));
        };
        row("ssh, a connection for each command", single);
        row("ssh, shared connections, opened in it (cold)", cold);
        row("ssh, shared connections, open before (warm)", warm);
        row("caxplan, whole process, durable, with receipts", ours);
        row("caxplan, the same with `changes: false`", reading);
        if let Some(playbook) = &ansible {
            row(
                "Ansible, pipelining, its own shared connections",
                median(1, || fleet.ansible(playbook))?,
            );
        }
    }
    Ok(())
}

struct Fleet {
    sshd: Sshd,
    account: Account,
    folder: tempfile::TempDir,
    hosts: usize,
    commands: usize,
}

/// The connections of plain `ssh`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connections {
    /// One for each command.
    Single,
    /// One for each host, by `ControlMaster`, opened while the time runs.
    Cold,
    /// The same, opened before.
    Warm,
}

impl Fleet {
    /// Plain `ssh`, many at a time.
    fn ssh(&self, connections: Connections) -> Result<Duration> {
        let sockets = tempfile::tempdir_in(self.folder.path()).context("a folder for sockets")?;
        let mut wanted = vec![
            format!("Port={}", self.sshd.port()),
            format!("User={}", self.account.name()),
        ];
        if connections != Connections::Single {
            wanted.extend([
                "ControlMaster=auto".to_owned(),
                "ControlPersist=60".to_owned(),
                format!("ControlPath={}/%h", sockets.path().display()),
            ]);
        }
        let mut options = self.sshd.client_options();
        for option in wanted {
            options.extend(["-o".to_owned(), option]);
        }
        let mut hosts = String::new();
        for host in 0..self.hosts {
            writeln!(hosts, "{}", self.sshd.address(host))?;
        }
        let list = sockets.path().join("hosts");
        std::fs::write(&list, &hosts)?;
        let ssh = format!("ssh {}", options.join(" "));
        // Each host's commands one after the other, hosts beside each other: the same work as the plan's.
        let each = |commands: usize| {
            format!(
                "xargs -a {} -P {AT_A_TIME} -I @@ sh -c 'for i in $(seq {commands}); do {ssh} @@ true </dev/null || exit 1; done'",
                list.display()
            )
        };
        if connections == Connections::Warm {
            timed(Command::new("sh").args(["-c", &each(1)]))?;
        }
        let time = timed(Command::new("sh").args(["-c", &each(self.commands)]));
        if connections == Connections::Single {
            return time;
        }
        let end = format!(
            "xargs -a {} -P {AT_A_TIME} -I @@ {ssh} -O exit @@ 2>/dev/null || :",
            list.display()
        );
        timed(Command::new("sh").args(["-c", &end]))?;
        time
    }

    fn caxplan(&self, caxplan: &Path, changes: bool) -> Result<Duration> {
        let folder = self.folder.path();
        let inventory = self.sshd.write_inventory(folder, &self.account);
        let mut plan = format!(
            "name: bench\ninventory: {inventory}\nmax_parallel: {AT_A_TIME}\nphases:\n  - name: work\n    steps:\n      - foreach_node:\n"
        );
        for command in 0..self.commands {
            writeln!(
                plan,
                "          - {{id: s{command}, action: ssh.run, with: {{argv: ['true'], changes: {changes}}}}}"
            )?;
        }
        writeln!(
            plan,
            "        in: \"{{{{ targets('group:fleet') }}}}\"\n        batch_size: 100%"
        )?;
        let file = folder.join("bench.yaml");
        std::fs::write(&file, plan)?;
        timed(
            Command::new(caxplan)
                .arg("run")
                .arg(&file)
                .env("CAXPLAN_STATE_DIR", folder.join("state")),
        )
    }

    fn ansible(&self, playbook: &Path) -> Result<Duration> {
        let folder = self.folder.path();
        let mut inventory = String::from("[fleet]\n");
        for host in 0..self.hosts {
            writeln!(inventory, "{}", self.sshd.address(host))?;
        }
        let options = self.sshd.client_options().join(" ");
        writeln!(
            inventory,
            "[fleet:vars]\nansible_user={}\nansible_port={}\nansible_ssh_common_args={options}\nansible_python_interpreter=/usr/bin/python3",
            self.account.name(),
            self.sshd.port()
        )?;
        std::fs::write(folder.join("hosts"), inventory)?;
        let mut text = String::from("- hosts: fleet\n  gather_facts: false\n  tasks:\n");
        for _ in 0..self.commands {
            text.push_str("    - ansible.builtin.command: 'true'\n");
        }
        std::fs::write(folder.join("play.yaml"), text)?;
        timed(
            Command::new(playbook)
                .args(["-i", "hosts", "play.yaml", "-f", &AT_A_TIME.to_string()])
                .current_dir(folder)
                .env("ANSIBLE_PIPELINING", "1")
                .env("ANSIBLE_HOME", folder.join("ansible")),
        )
    }
}

fn install_ansible() -> Result<PathBuf> {
    let venv = shell::target_dir().join("ansible");
    let playbook = venv.join("bin/ansible-playbook");
    if !playbook.is_file() {
        timed(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        timed(Command::new(venv.join("bin/pip")).args(["install", "--quiet", ANSIBLE]))?;
    }
    Ok(playbook)
}
