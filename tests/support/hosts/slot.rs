//! A number of its own for each fleet on this machine, from which come its names and addresses; and the end of everything
//! that bears that number, also of what a killed test left behind.

use super::command::{quietly, run};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

/// Where locks and notes lie.
const NOTES: &str = "/run/caxton-hosts";

/// The folder of cgroups, in each hierarchy that systemd may want.
const CGROUPS: &str = "caxton-hosts";

/// How many fleets there can be at once: an octet of an address.
const FLEETS_MAX: u8 = 250;

/// A number that belongs to one fleet while the value lives. The lock ends with the process, however that ends, so a
/// number that can be locked has no living owner, and what bears it may be cleared away.
#[derive(Debug)]
pub(super) struct Slot {
    number: u8,
    _lock: File,
}

impl Slot {
    /// Takes a free number, and clears away what earlier owners of free numbers left.
    pub(super) fn take() -> Self {
        static LEFTOVERS: Once = Once::new();
        std::fs::create_dir_all(NOTES).expect("root can write to /run");
        LEFTOVERS.call_once(|| {
            let used = (0..FLEETS_MAX).filter(|number| note(*number, "lock").exists());
            used.filter_map(Self::lock).for_each(|slot| slot.clear());
        });
        let slot = (0..FLEETS_MAX)
            .find_map(Self::lock)
            .expect("fewer than 250 fleets on one machine");
        slot.clear();
        slot
    }

    fn lock(number: u8) -> Option<Self> {
        let lock = File::create(note(number, "lock")).expect("root can write to /run");
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Self { number, _lock: lock })
    }

    /// Notes the folder that mounts will lie in, so that it can be cleared away by somebody else.
    pub(super) fn note_folder(&self, folder: &Path) {
        std::fs::write(note(self.number, "folder"), folder.as_os_str().as_encoded_bytes())
            .expect("root can write to /run");
    }

    /// The network between the hosts: the first three octets. 198.18.0.0/15 is set aside for tests and routed nowhere.
    pub(super) fn network(&self) -> String {
        format!("198.18.{}", self.number)
    }

    /// The network between this machine and a bastion.
    pub(super) fn front_network(&self) -> String {
        format!("198.19.{}", self.number)
    }

    /// The network namespace with the bridge.
    pub(super) fn bridge(&self) -> String {
        format!("cxh-{}", self.number)
    }

    /// A name for a host that no other fleet has: of its namespace and its machine.
    pub(super) fn name(&self, host: &str) -> String {
        format!("cxh-{}-{host}", self.number)
    }

    /// This machine's own leg in the fleet's network.
    pub(super) fn leg(&self) -> String {
        format!("cxh{}", self.number)
    }

    /// The cgroup folders of a host, one in each hierarchy, made anew.
    pub(super) fn cgroups(&self, host: &str) -> Vec<PathBuf> {
        let folders: Vec<PathBuf> = hierarchies()
            .into_iter()
            .map(|top| top.join(CGROUPS).join(self.number.to_string()).join(host))
            .collect();
        for folder in &folders {
            // What an earlier boot of the host left in it would be taken for units of this one.
            remove_cgroup(folder);
            std::fs::create_dir_all(folder).expect("root can make a cgroup");
        }
        folders
    }

    /// Ends all processes of this number, unmounts its disks, and removes its networks and its folder.
    pub(super) fn clear(&self) {
        for top in hierarchies() {
            remove_cgroup(&top.join(CGROUPS).join(self.number.to_string()));
        }
        quietly(&["ip", "link", "del", &self.leg()]);
        quietly(&[
            "ip",
            "route",
            "del",
            "unreachable",
            &format!("{}.0/24", self.network()),
        ]);
        let bridge = self.bridge();
        for name in namespaces() {
            if name == bridge || name.starts_with(&format!("{bridge}-")) {
                quietly(&["ip", "netns", "del", &name]);
            }
        }
        let noted = note(self.number, "folder");
        if let Ok(folder) = std::fs::read_to_string(&noted) {
            unmount_below(Path::new(&folder));
            let _ = std::fs::remove_dir_all(&folder);
            let _ = std::fs::remove_file(&noted);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.clear();
    }
}

fn note(number: u8, kind: &str) -> PathBuf {
    Path::new(NOTES).join(format!("{number}.{kind}"))
}

/// Where cgroups of systemd can be: both of a hybrid machine, or the one of a unified one.
fn hierarchies() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    if top.join("cgroup.controllers").exists() {
        return vec![top.to_owned()];
    }
    ["systemd", "unified"]
        .iter()
        .map(|name| top.join(name))
        .filter(|path| path.exists())
        .collect()
}

/// Kills everything in a cgroup and below, and removes it.
fn remove_cgroup(folder: &Path) {
    // A killed process leaves its cgroup a moment later.
    for _ in 0..500 {
        if !folder.exists() {
            return;
        }
        end_cgroup(folder);
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("processes in {} do not end", folder.display());
}

fn end_cgroup(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let below = entries.flatten().filter(|entry| entry.path().is_dir());
    below.for_each(|entry| end_cgroup(&entry.path()));
    let processes = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines() {
        let pid = process.parse().ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    let _ = std::fs::remove_dir(folder);
}

fn namespaces() -> Vec<String> {
    let listed = run(&["ip", "netns", "list"]);
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// Unmounts what is mounted in a folder, the last first.
fn unmount_below(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let inside: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|mount| Path::new(mount).starts_with(folder))
        .collect();
    for mount in inside.iter().rev() {
        // Lazily: a test's own open file must not keep a disk for ever.
        quietly(&["umount", "--lazy", mount]);
    }
}
