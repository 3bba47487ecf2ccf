//! One host: its disk, its network, and whether it is up.

use super::command::{quietly, run};
use super::slot::Slot;
use crate::{Background, Finished, wait_until};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A host boots in about half a second, and in several when all processors are busy.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

/// How large a host's disk is. It takes up only what is written to it.
const DISK: &str = "3G";

/// What nsenter leaves out is the cgroup: a command that a test runs is no service of the host.
const NAMESPACES: [&str; 5] = ["--mount", "--uts", "--ipc", "--net", "--pid"];

/// A machine with a systemd of its own, an address, a disk, and an sshd.
#[derive(Debug)]
pub struct Host {
    /// Its name, also in the fleet's `/etc/hosts`.
    pub name: String,
    /// Its address in the fleet's network.
    pub address: String,
    slot: Arc<Slot>,
    folder: PathBuf,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    nspawn: std::process::Child,
    /// The host's process 1, as this machine numbers it.
    first: u32,
}

impl Host {
    /// Makes the disk and the network of a host that is down.
    pub(super) fn make(slot: &Arc<Slot>, folder: PathBuf, name: &str, address: &str, image: &Path) -> Self {
        let host = Self {
            name: name.to_owned(),
            address: address.to_owned(),
            slot: Arc::clone(slot),
            folder,
            running: Mutex::new(None),
        };
        host.make_disk(image);
        host.make_network();
        host
    }

    /// A file system of limited size, and on it what differs from the image.
    fn make_disk(&self, image: &Path) {
        let (disk, file) = (self.folder.join("disk"), self.folder.join("disk.img"));
        let root = self.root();
        for folder in [&disk, &root] {
            std::fs::create_dir_all(folder).expect("the fleet's folder can be written");
        }
        let (disk, file) = (text(&disk), text(&file));
        run(&["truncate", "-s", DISK, &file]);
        // No journal and no reserve: the disk's end is the test's end, and "full" shall mean full for root too.
        let options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
        run(&[
            "mkfs.ext4",
            "-q",
            "-O",
            "^has_journal",
            "-m",
            "0",
            "-E",
            options,
            &file,
        ]);
        run(&["mount", "-o", "loop", &file, &disk]);
        run(&["mkdir", &format!("{disk}/upper"), &format!("{disk}/work")]);
        let layers = format!(
            "lowerdir={},upperdir={disk}/upper,workdir={disk}/work",
            image.display()
        );
        run(&["mount", "-t", "overlay", "overlay", "-o", &layers, &text(&root)]);
    }

    fn make_network(&self) {
        let (bridge, name, port) = (self.slot.bridge(), self.namespace(), self.port());
        let address = format!("{}/24", self.address);
        run(&["ip", "netns", "add", &name]);
        let pair = ["type", "veth", "peer", "name", "eth0", "netns", &name];
        run(&[&["ip", "-n", &bridge, "link", "add", &port][..], &pair].concat());
        run(&["ip", "-n", &bridge, "link", "set", &port, "master", "bridge"]);
        run(&["ip", "-n", &name, "link", "set", "lo", "up"]);
        run(&["ip", "-n", &name, "addr", "add", &address, "dev", "eth0"]);
        run(&["ip", "-n", &name, "link", "set", "eth0", "up"]);
    }

    /// Its root folder, as this machine sees it; also while the host is down.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The network namespace it lives in.
    pub fn namespace(&self) -> String {
        self.slot.name(&self.name)
    }

    /// The address of its system bus, for a client on this machine.
    #[track_caller]
    pub fn bus(&self) -> String {
        format!(
            "unix:path=/proc/{}/root/run/dbus/system_bus_socket",
            self.first_process()
        )
    }

    /// What its console said.
    pub fn console(&self) -> String {
        std::fs::read_to_string(self.folder.join("console")).unwrap_or_default()
    }

    /// Switches it on, and waits until it has booted. It is reachable again if it was cut off.
    #[track_caller]
    pub fn boot(&self) {
        self.switch_on();
        self.wait_booted();
    }

    /// Switches it on.
    #[track_caller]
    pub(super) fn switch_on(&self) {
        let mut running = self.running();
        assert!(running.is_none(), "{} is up already", self.name);
        self.heal();
        let groups: Vec<String> = self
            .slot
            .cgroups(&self.name)
            .iter()
            .map(|group| format!("echo $$ > '{}/cgroup.procs'", group.display()))
            .collect();
        let console = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("console"))
            .expect("the fleet's folder can be written");
        let mut command = Command::new("sh");
        command
            .args([
                "-ec",
                &format!("{}; exec \"$@\"", groups.join("; ")),
                "sh",
                "systemd-nspawn",
            ])
            .args([
                "--quiet",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
                "--boot",
            ])
            // The host's own files say what they are; this machine's are none of its business.
            .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"])
            .arg(format!(
                "--network-namespace-path=/run/netns/{}",
                self.namespace()
            ))
            .arg(format!("--machine={}", self.namespace()))
            .arg(format!("--hostname={}", self.name))
            .arg(format!("--directory={}", self.root().display()))
            // Its network is its own: root on it may set routes, as on any machine.
            .arg("--capability=CAP_NET_ADMIN")
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("a file can be shared"))
            .stderr(console);
        let mut nspawn = command.spawn().expect("sh is everywhere");
        let mut first = None;
        wait_until("a host's process 1", BOOT_LIMIT, || {
            first = first_process_of(nspawn.id());
            let ended = nspawn.try_wait().expect("it is ours").is_some();
            assert!(!ended, "{} does not start:\n{}", self.name, self.console());
            first.is_some()
        });
        let first = first.expect("waited for");
        *running = Some(Running { nspawn, first });
    }

    /// Waits until all that belongs to booting is done.
    #[track_caller]
    pub(super) fn wait_booted(&self) {
        let mut said = String::new();
        let start = std::time::Instant::now();
        // It answers with an error while there is no systemd to ask; `--wait` waits where there is one.
        while !matches!(said.trim(), "running" | "degraded") {
            let limit = start.elapsed() < BOOT_LIMIT;
            assert!(limit, "{} does not boot ({said}):\n{}", self.name, self.console());
            std::thread::sleep(Duration::from_millis(20));
            said = self.run("systemctl is-system-running --wait").stdout;
        }
    }

    /// Whether it is switched on.
    pub fn is_up(&self) -> bool {
        let mut running = self.running();
        running
            .as_mut()
            .is_some_and(|running| matches!(running.nspawn.try_wait(), Ok(None)))
    }

    /// Takes its power away: nobody hears from it again, no connection is closed, nothing more is written.
    #[track_caller]
    pub fn crash(&self) {
        self.partition();
        let first = self.first_process();
        quietly(&["kill", "-KILL", &first.to_string()]);
        self.wait_down();
    }

    /// Shuts it down in order, as `systemctl poweroff` does.
    #[track_caller]
    pub fn poweroff(&self) {
        // Asked by a signal, since a sick bus must not keep a host up.
        let first = self.first_process();
        run(&[
            "sh",
            "-c",
            &format!("kill -s RTMIN+4 {first} || kill -s 38 {first}"),
        ]);
        self.wait_down();
        self.partition();
    }

    /// Waits until it is down, for whatever reason, and forgets its processes.
    #[track_caller]
    pub fn wait_down(&self) {
        if let Some(mut running) = self.running().take() {
            wait_until("a host to end", BOOT_LIMIT, || {
                !matches!(running.nspawn.try_wait(), Ok(None))
            });
        }
    }

    /// Unplugs its network cable.
    pub fn partition(&self) {
        run(&[
            "ip",
            "-n",
            &self.slot.bridge(),
            "link",
            "set",
            &self.port(),
            "down",
        ]);
    }

    /// Plugs it in again.
    pub fn heal(&self) {
        run(&["ip", "-n", &self.slot.bridge(), "link", "set", &self.port(), "up"]);
    }

    /// Leaves no room on its disk.
    pub fn fill_disk(&self) {
        let path = self.folder.join("disk/filling");
        let mut filling = File::create(path).expect("an empty file needs no room");
        let mut length = 0;
        for chunk in [64 << 20, 1 << 20, 4096] {
            let flags = rustix::fs::FallocateFlags::empty();
            while rustix::fs::fallocate(&filling, flags, length, chunk).is_ok() {
                length += chunk;
            }
        }
        // What is left is less than a block: it is full when a byte does not fit.
        let _ = filling.write_all(&[0; 4096]);
    }

    /// Gives the room back.
    pub fn free_disk(&self) {
        let _ = std::fs::remove_file(self.folder.join("disk/filling"));
    }

    /// Runs a shell command on it as root, without SSH, to its end.
    #[track_caller]
    pub fn run(&self, script: &str) -> Finished {
        let mut command = self.command(script);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Background::new(command.spawn().expect("nsenter is everywhere")).wait()
    }

    /// A shell command on it, to be started by the caller.
    #[track_caller]
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.first_process()))
            .args(NAMESPACES)
            .args(["--", "sh", "-c", script])
            .env_clear()
            .env("HOME", "/root")
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            );
        command
    }

    #[track_caller]
    fn first_process(&self) -> u32 {
        let running = self.running();
        running
            .as_ref()
            .unwrap_or_else(|| panic!("{} is down", self.name))
            .first
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its end of the cable, in the namespace of the bridge.
    fn port(&self) -> String {
        // The name of a network device has 15 characters at most: the last octet is enough there.
        format!("port{}", self.address.rsplit('.').next().unwrap_or_default())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut running) = self.running().take() {
            quietly(&["kill", "-KILL", &running.first.to_string()]);
            let _ = running.nspawn.wait();
        }
    }
}

/// The child that is process 1 in a namespace of its own, once it has become systemd.
fn first_process_of(nspawn: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let is_first = status
            .lines()
            .any(|line| line.starts_with("NSpid:") && line.split_whitespace().nth(2) == Some("1"));
        (is_first && status.starts_with("Name:\tsystemd\n")).then(|| child.parse().ok())?
    })
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders are UTF-8").to_owned()
}
