//! Fleets of real hosts: each with a systemd, an sshd, an address and a disk of its own, on a network of their own.
//!
//! They are containers of systemd-nspawn, in network namespaces. What a test needs root for is here and nowhere else. Fleets
//! of parallel tests have different numbers, and so different names and addresses (see `slot`).

mod command;
mod host;
mod image;
mod slot;

pub use host::Host;
pub use image::prepare;

use command::run;
use slot::Slot;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Several hosts on one network. This machine is on it too, unless a bastion stands between. All end with the value.
#[derive(Debug)]
pub struct Fleet {
    hosts: Vec<Host>,
    bastion: Option<Host>,
    folder: PathBuf,
    // The last: it clears away what the hosts leave.
    slot: Arc<Slot>,
}

impl Fleet {
    /// `count` hosts, `node-1` and so on, booted, all of which this machine reaches.
    ///
    /// Fails the test, saying what to do, where there can be none.
    #[track_caller]
    pub fn new(count: u8) -> Self {
        Self::build(count, false)
    }

    /// `count` hosts that this machine reaches only through another one, `bastion`.
    #[track_caller]
    pub fn behind_bastion(count: u8) -> Self {
        Self::build(count, true)
    }

    #[track_caller]
    fn build(count: u8, with_bastion: bool) -> Self {
        let image = prepare().unwrap_or_else(|why| panic!("{why}"));
        let slot = Arc::new(Slot::take());
        // Kept, and removed with the slot, since disks are mounted in it.
        let folder = tempfile::Builder::new()
            .prefix("caxton-hosts-")
            .tempdir()
            .expect("a temporary folder")
            .keep();
        slot.note_folder(&folder);
        let network = slot.network();
        let bridge = slot.bridge();
        run(&["ip", "netns", "add", &bridge]);
        run(&["ip", "-n", &bridge, "link", "add", "bridge", "type", "bridge"]);
        run(&["ip", "-n", &bridge, "link", "set", "bridge", "up"]);
        let make = |name: &str, octet: u8| {
            let address = format!("{network}.{octet}");
            Host::make(&slot, folder.join(name), name, &address, &image)
        };
        let fleet = Self {
            hosts: (1..=count)
                .map(|number| make(&format!("node-{number}"), 10 + number))
                .collect(),
            bastion: with_bastion.then(|| make("bastion", 2)),
            folder: folder.clone(),
            slot: Arc::clone(&slot),
        };
        fleet.connect();
        fleet.make_keys();
        for host in fleet.all() {
            host.switch_on();
        }
        for host in fleet.all() {
            host.wait_booted();
        }
        fleet
    }

    /// The hosts, without the bastion.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host that stands before the others.
    #[track_caller]
    pub fn bastion(&self) -> &Host {
        self.bastion.as_ref().expect("made by `behind_bastion`")
    }

    /// The address under which this machine reaches a host: the bastion has two.
    pub fn reached_at(&self, host: &Host) -> String {
        if self
            .bastion
            .as_ref()
            .is_some_and(|bastion| bastion.name == host.name)
        {
            format!("{}.2", self.slot.front_network())
        } else {
            host.address.clone()
        }
    }

    /// The address under which the hosts reach this machine (the bastion only, where there is one).
    pub fn gateway(&self) -> String {
        match self.bastion {
            Some(_) => format!("{}.1", self.slot.front_network()),
            None => format!("{}.1", self.slot.network()),
        }
    }

    /// A program of this machine that reaches all hosts, past any bastion.
    pub fn command(&self, program: &Path) -> Command {
        match &self.bastion {
            None => Command::new(program),
            Some(bastion) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &bastion.namespace()]).arg(program);
                command
            }
        }
    }

    /// The private key that `root` and `ops` accept on every host.
    pub fn identity(&self) -> PathBuf {
        self.folder.join("identity")
    }

    /// The keys of all hosts, under the addresses at which they are reached.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// Writes an inventory with all hosts but the bastion, in which a jump through it is noted. They are used as `user`, who
    /// becomes root by sudo where a step does not say otherwise.
    pub fn inventory(&self, path: &Path, user: &str) {
        let mut text = String::from("inventory:\n  targets:\n");
        for host in &self.hosts {
            let _ = writeln!(text, "    {}: {{vars: {{address: {}}}}}", host.name, host.address);
        }
        let names: Vec<&str> = self.hosts.iter().map(|host| host.name.as_str()).collect();
        let _ = write!(
            text,
            "  groups:\n    all:\n      targets: [{}]\n      vars:\n",
            names.join(", ")
        );
        let mut vars = vec![
            ("ssh_user", user.to_owned()),
            ("ssh_config", "none".to_owned()),
            ("ssh_identity", self.identity().display().to_string()),
            ("ssh_known_hosts", self.known_hosts().display().to_string()),
            ("sudo", (user != "root").to_string()),
        ];
        if let Some(bastion) = &self.bastion {
            vars.push(("ssh_jump", format!("ops@{}:22", self.reached_at(bastion))));
        }
        for (name, value) in vars {
            let _ = writeln!(text, "        {name}: {value}");
        }
        std::fs::write(path, text).expect("the inventory can be written");
    }

    fn all(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().chain(&self.bastion)
    }

    /// Gives this machine a leg in the network, or in the one before the bastion.
    fn connect(&self) {
        let (leg, bridge, network) = (self.slot.leg(), self.slot.bridge(), self.slot.network());
        match &self.bastion {
            None => {
                run(&[
                    "ip", "link", "add", &leg, "type", "veth", "peer", "name", "leg", "netns", &bridge,
                ]);
                run(&[
                    "ip", "-n", &bridge, "link", "set", "leg", "master", "bridge", "up",
                ]);
            }
            Some(bastion) => {
                let name = bastion.namespace();
                let address = format!("{}/24", self.reached_at(bastion));
                run(&[
                    "ip", "link", "add", &leg, "type", "veth", "peer", "name", "eth1", "netns", &name,
                ]);
                run(&["ip", "-n", &name, "addr", "add", &address, "dev", "eth1"]);
                run(&["ip", "-n", &name, "link", "set", "eth1", "up"]);
                // Else packets to the hosts would leave through this machine's own default route.
                run(&["ip", "route", "add", "unreachable", &format!("{network}.0/24")]);
            }
        }
        run(&[
            "ip",
            "addr",
            "add",
            &format!("{}/24", self.gateway()),
            "dev",
            &leg,
        ]);
        run(&["ip", "link", "set", &leg, "up"]);
    }

    /// Gives every host its own key, and lets the fleet's key in.
    fn make_keys(&self) {
        let identity = self.identity();
        make_key(&identity, "caxton-tests");
        let public = std::fs::read(identity.with_extension("pub")).expect("just made");
        let names: String = self
            .all()
            .map(|host| format!("{} {}\n", host.address, host.name))
            .collect();
        let mut known = String::new();
        for host in self.all() {
            let root = host.root();
            std::fs::write(root.join("etc/hostname"), format!("{}\n", host.name)).expect("its disk is ours");
            std::fs::write(root.join("etc/hosts"), format!("127.0.0.1 localhost\n{names}"))
                .expect("its disk is ours");
            for (home, owner) in [("root", 0), ("home/ops", 1000)] {
                let folder = root.join(home).join(".ssh");
                std::fs::create_dir_all(&folder).expect("its disk is ours");
                std::fs::write(folder.join("authorized_keys"), &public).expect("its disk is ours");
                for path in [folder.join("authorized_keys"), folder] {
                    std::os::unix::fs::chown(path, Some(owner), Some(owner)).expect("root may");
                }
            }
            let key = root.join("etc/ssh/ssh_host_ed25519_key");
            make_key(&key, &host.name);
            let public = std::fs::read_to_string(key.with_extension("pub")).expect("just made");
            let words: Vec<&str> = public.split(' ').take(2).collect();
            let _ = writeln!(known, "{} {}", self.reached_at(host), words.join(" "));
        }
        std::fs::write(self.known_hosts(), known).expect("the fleet's folder can be written");
    }
}

impl std::ops::Index<usize> for Fleet {
    type Output = Host;

    /// The host of that index: `node-1` is 0.
    fn index(&self, index: usize) -> &Host {
        &self.hosts[index]
    }
}

fn make_key(path: &Path, comment: &str) {
    let path = path.to_str().expect("temporary folders are UTF-8");
    run(&[
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        comment,
        "-f",
        path,
    ]);
}
