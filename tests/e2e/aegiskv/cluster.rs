//! A cluster of three nodes, and a fourth host that is none yet.

use caxton_tests::{Finished, Fleet, Host, Sandbox, root, wait_until};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// What a deployment has in its unit: addresses and the data directory must stand there, see docs/aegiskv.md.
const UNIT: &str = "\
[Service]
User=aegiskv
ExecStart=/usr/local/bin/aegiskv --config /etc/aegiskv/config.json --data-dir /var/lib/aegiskv --health-addr :7702 \
--gossip-advertise ADDRESS:7701
ExecReload=/bin/kill -HUP $MAINPID
[Install]
WantedBy=multi-user.target
";

/// Hosts and what runs on them.
pub(crate) struct Cluster {
    fleet: Fleet,
    pub(crate) sandbox: Sandbox,
}

impl Cluster {
    /// Four hosts, and inventories with three and with all of them. Nothing is installed yet.
    pub(crate) fn new() -> Self {
        let cluster = Self {
            fleet: Fleet::new(4),
            sandbox: Sandbox::new(),
        };
        cluster.write_inventory("three.yaml", 3, "3s");
        cluster.write_inventory("crashed.yaml", 3, "8s");
        cluster.write_inventory("four.yaml", 4, "3s");
        for host in cluster.fleet.hosts() {
            host.run("useradd --system --home-dir /var/lib/aegiskv --shell /usr/sbin/nologin aegiskv")
                .expect_code(0);
        }
        cluster
    }

    fn write_inventory(&self, name: &str, count: usize, forget_after: &str) {
        let mut text = String::from("name: test\ninventory:\n  targets:\n");
        for (index, host) in self.fleet.hosts().iter().take(count).enumerate() {
            let labels = if index == 3 {
                ", labels: {emergency: true}"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "    {}: {{vars: {{address: {}}}{labels}}}",
                host.name, host.address
            );
        }
        let _ = write!(
            text,
            "  groups:\n    all:\n      vars: {{ssh_user: ops, sudo: true, ssh_config: none, ssh_identity: {}, ssh_known_hosts: {}}}\n  \
             vars: {{forget_after: {forget_after}, healthy_within: 20s}}\n",
            self.fleet.identity().display(),
            self.fleet.known_hosts().display(),
        );
        self.sandbox.file(name, &text);
    }

    /// The host `node-NUMBER`.
    pub(crate) fn node(&self, number: usize) -> &Host {
        &self.fleet[number - 1]
    }

    /// All hosts that are nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Host> {
        self.fleet.hosts().iter().take(3)
    }

    /// Runs a plan on the three nodes; what it puts out is shown, so that a test can look for it.
    pub(crate) fn run(&self, plan: &str, arguments: &[&str]) -> Finished {
        let after_a_crash = ["sev2-node-failure", "recover-node"].contains(&plan);
        let inventory = if after_a_crash {
            "crashed.yaml"
        } else {
            "three.yaml"
        };
        self.run_on(inventory, plan, arguments)
    }

    /// The same with another inventory.
    pub(crate) fn run_on(&self, inventory: &str, plan: &str, arguments: &[&str]) -> Finished {
        let file = root().join(format!("plans/aegiskv/{plan}.yaml"));
        let file = file.to_str().expect("the checkout's path is UTF-8");
        let words = ["run", "-v", file, "--inventory", inventory];
        let finished = self.sandbox.caxplan(&[&words[..], arguments].concat());
        eprintln!("   {plan} {}: {}", arguments.join(" "), finished.code);
        finished
    }

    /// Three nodes as new, which see each other; nothing on the fourth host.
    pub(crate) fn restore(&self) {
        let program = std::fs::read(stand_in()).expect("Cargo built it");
        std::thread::scope(|scope| {
            for host in self.fleet.hosts() {
                scope.spawn(|| self.clear(host));
            }
        });
        for host in self.nodes() {
            let at = |path: &str| host.root().join(path);
            let write =
                |path: &str, bytes: &[u8]| std::fs::write(at(path), bytes).expect("the host's disk is ours");
            std::fs::create_dir_all(at("etc/aegiskv")).expect("the host's disk is ours");
            write("usr/local/bin/aegiskv", &program);
            write("etc/aegiskv/config.json", self.config(host).as_bytes());
            write(
                "etc/systemd/system/aegiskv.service",
                UNIT.replace("ADDRESS", &host.address).as_bytes(),
            );
        }
        std::thread::scope(|scope| {
            for host in self.nodes() {
                scope.spawn(|| {
                    host.run(
                        "chmod 755 /usr/local/bin/aegiskv && install -d -o aegiskv -g aegiskv -m 750 /var/lib/aegiskv \
                         && systemctl daemon-reload && systemctl enable --quiet --now aegiskv",
                    )
                    .expect_code(0)
                });
            }
        });
        for host in self.nodes() {
            self.wait_members(host, 3);
        }
    }

    fn clear(&self, host: &Host) {
        if !host.is_up() {
            host.boot();
        }
        host.free_disk();
        host.run(
            "systemctl kill -s KILL aegiskv 2>/dev/null; systemctl disable --quiet --now aegiskv 2>/dev/null; \
             systemctl reset-failed aegiskv 2>/dev/null; ip route flush type blackhole; journalctl --quiet --rotate; \
             journalctl --quiet --vacuum-time=1s; \
             rm -rf /var/lib/aegiskv /etc/aegiskv /backup /usr/local/bin/aegiskv* /etc/systemd/system/aegiskv.service*; \
             systemctl daemon-reload",
        )
        .expect_code(0);
    }

    /// Seconds instead of ten: durations are nanoseconds in this program's file.
    fn config(&self, host: &Host) -> String {
        let seeds: Vec<String> = self
            .nodes()
            .filter(|other| other.name != host.name)
            .map(|other| format!("\"{}:7701\"", other.address))
            .collect();
        format!(
            "{{\n  \"node_id\": \"{}\",\n  \"seeds\": [{}],\n  \"gossip_interval\": 200000000,\n  \"dead_timeout\": 2000000000,\n  \
             \"wal_mode\": \"write\",\n  \"log_level\": \"info\"\n}}\n",
            host.name,
            seeds.join(", ")
        )
    }

    /// Waits until a node sees so many nodes, itself among them.
    pub(crate) fn wait_members(&self, host: &Host, count: u64) {
        // It counts itself twice.
        wait_until("a node to see the others", Duration::from_secs(60), || {
            let stats = host.run("curl -s http://127.0.0.1:7702/stats").stdout;
            let stats: serde_json::Value = serde_json::from_str(&stats).unwrap_or_default();
            stats["cluster_size"] == count + 1
        });
    }

    /// Starts a node again that was stopped, once the others have forgotten it: else it would learn of nobody.
    pub(crate) fn start_again(&self, host: &Host, count: u64) {
        for other in self.fleet.hosts() {
            if self.process(other) > 0 {
                self.wait_members(other, count - 1);
            }
        }
        host.run("systemctl start aegiskv").expect_code(0);
        self.wait_members(host, count);
    }

    /// The process that the unit runs; 0 if none.
    pub(crate) fn process(&self, host: &Host) -> u32 {
        let said = host.run("systemctl show -p MainPID --value aegiskv").stdout;
        said.trim().parse().unwrap_or(0)
    }

    /// The processes of all nodes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.nodes().map(|host| self.process(host)).collect()
    }

    /// The id of the newest run.
    pub(crate) fn last_run(&self) -> String {
        let runs = self
            .sandbox
            .caxplan(&["runs", "--output", "json"])
            .expect_code(0)
            .json();
        runs[0]["id"].as_str().expect("a run").to_owned()
    }
}

/// The program that stands in for AegisKV.
pub(crate) fn stand_in() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_aegiskv-stand-in"))
}
