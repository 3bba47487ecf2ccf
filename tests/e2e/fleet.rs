//! A cluster of systemd hosts, made and upgraded over SSH by the plans that ship, while messages flow; and what breaks on the
//! way.

use caxton_tests::{
    Background, Fleet, Host, ObjectStore, Random, Sandbox, programs, releases, root, wait_until,
};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One cluster at a time: three nodes and a message generator keep two cores busy.
static MACHINE: Mutex<()> = Mutex::new(());

/// Three hosts with a cluster on them, as `plans/install-systemd.yaml` makes it, and agents that answer.
struct Cluster {
    // The generator goes before the hosts.
    generator: Background,
    sandbox: Sandbox,
    store: ObjectStore,
    fleet: Fleet,
    _machine: MutexGuard<'static, ()>,
}

impl Cluster {
    #[track_caller]
    fn on(new: impl FnOnce() -> Fleet) -> Self {
        let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        let (fleet, sandbox) = (new(), Sandbox::new());
        fleet.inventory(&sandbox.path().join("hosts.yaml"), "ops");
        // The message generator of the tests is no member of the cluster: it asks the API from the hosts' network.
        let inventory = sandbox.read("hosts.yaml");
        let open = fleet.hosts().iter().fold(inventory, |text, host| {
            let address = format!("address: {}", host.address);
            text.replace(&address, &format!("{address}, api_host: {}", host.address))
        });
        // A host that is gone is noticed soon, so that tests are short.
        let open = open.replace("ssh_config: none", "ssh_config: none\n        ssh_keepalive: 2s");
        sandbox.file("hosts.yaml", &open);
        let release = releases().join("caxton-1.0.0.tar.gz");
        let install = root().join("plans/install-systemd.yaml");
        let parameters = [
            format!("release={}", release.display()),
            format!("pki={}", sandbox.path().join("pki").display()),
            format!("caxton={}", programs().join("caxton").display()),
        ];
        let mut words = vec![
            "run".to_owned(),
            install.display().to_string(),
            "--inventory".to_owned(),
            "hosts.yaml".to_owned(),
        ];
        for parameter in parameters {
            words.extend(["-p".to_owned(), parameter]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        sandbox.caxplan(&words).expect_code(0);
        let generator = start_agents(&fleet, &sandbox);
        Self {
            generator,
            sandbox,
            store: ObjectStore::start(),
            fleet,
            _machine: machine,
        }
    }

    fn upgrade(&self) -> Background {
        self.upgrade_to("1.1.0", &[])
    }

    /// Starts the upgrade to a release, also to an older one.
    fn upgrade_to(&self, version: &str, more: &[&str]) -> Background {
        let plan = root()
            .join("plans/rolling-upgrade-systemd.yaml")
            .display()
            .to_string();
        let release = releases().join(format!("caxton-{version}.tar.gz"));
        let mut words = vec![
            "run".to_owned(),
            plan,
            "--inventory".to_owned(),
            "hosts.yaml".to_owned(),
        ];
        for parameter in [
            format!("version={version}"),
            format!("release={}", release.display()),
            format!("backup_endpoint={}", self.store.endpoint()),
            "backup_url=s3://backups/caxton".to_owned(),
            "batch_delay=1s".to_owned(),
            "settle=2s".to_owned(),
        ] {
            words.extend(["-p".to_owned(), parameter]);
        }
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        self.start(&words)
    }

    fn resume(&self) -> Background {
        self.start(&["resume", "--last"])
    }

    fn start(&self, words: &[&str]) -> Background {
        let mut command = Command::new(programs().join("caxplan"));
        command.args(words);
        self.sandbox.prepare(&mut command);
        command
            .envs(self.store.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Background::new(command.spawn().expect("a built program starts"))
    }

    /// What each node says that it runs.
    #[track_caller]
    fn versions(&self) -> Vec<String> {
        let hosts = self.fleet.hosts().iter();
        hosts
            .map(|host| {
                let shown = host.run(&format!("caxton node show {} --output json", host.name));
                let version = shown.expect_code(0).json()["version"].clone();
                version.as_str().expect("a version").to_owned()
            })
            .collect()
    }

    /// All nodes run `version` and agree, every agent answers, and no message is lost.
    #[track_caller]
    fn expect_well(mut self, version: &str) {
        assert_eq!(self.versions(), [version; 3]);
        self.fleet[0].run("caxton cluster verify").expect_code(0);
        for host in self.fleet.hosts() {
            host.run("systemctl is-active caxton").expect_code(0);
            host.run("caxton message send --to echo --content '\"hello\"' --wait 10s")
                .expect_code(0)
                .expect_text("hello");
        }
        self.generator.signal(rustix::process::Signal::TERM);
        wait_until("the generator's last answers", Duration::from_secs(60), || {
            !self.generator.is_running()
        });
        let stats: Value = serde_json::from_str(&self.sandbox.read("stats.json")).expect("figures");
        let figure = |name: &str| {
            stats[name]
                .as_u64()
                .unwrap_or_else(|| panic!("no {name} in {stats}"))
        };
        assert!(figure("sent") > 500, "{stats}");
        assert_eq!(
            (figure("lost"), figure("doubled"), figure("outstanding")),
            (0, 0, 0),
            "{stats}"
        );
    }

    /// The last run, as `caxplan show` shows it.
    fn shown(&self) -> Value {
        let show = self.sandbox.caxplan(&["show", "--last", "--output", "json"]);
        serde_json::from_str(&show.stdout).unwrap_or_default()
    }

    /// What `caxplan show` tells a person of the last run.
    fn account(&self) -> String {
        self.sandbox.caxplan(&["show", "--last"]).stdout
    }

    /// Waits until a step of the last run has started.
    #[track_caller]
    fn wait_for_step(&self, id: &str) {
        wait_until(id, Duration::from_secs(240), || {
            let shown = self.shown();
            let phases = shown["account"]["phases"].as_array().cloned().unwrap_or_default();
            let mut steps = phases
                .iter()
                .filter_map(|phase| phase["steps"].as_array())
                .flatten();
            steps.any(|step| step["id"] == id && step["attempts"].as_u64().unwrap_or(0) > 0)
        });
    }
}

/// Deploys the agent that echoes, and sends messages to it through whichever node takes them.
#[track_caller]
fn start_agents(fleet: &Fleet, sandbox: &Sandbox) -> Background {
    let agent = releases().join("agents/echo.wasm");
    std::fs::copy(&agent, fleet[0].root().join("root/echo.wasm")).expect("its disk is ours");
    fleet[0].run("caxton deploy /root/echo.wasm").expect_code(0);
    let addresses: Vec<String> = fleet
        .hosts()
        .iter()
        .map(|host| format!("http://{}:8080", host.address))
        .collect();
    sandbox.file(
        "context.yaml",
        &format!("endpoints: {addresses:?}\ntoken_file: pki/api.token\n"),
    );
    let mut command = fleet.command(&programs().join("caxton"));
    command
        .args(["message", "generate", "--to", "echo", "--rate", "200"])
        .args(["--stats", "stats.json", "--context", "context.yaml"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    sandbox.prepare(&mut command);
    let generator = Background::new(command.spawn().expect("ip is everywhere"));
    wait_until("answers", Duration::from_secs(60), || {
        let stats = serde_json::from_str::<Value>(&sandbox.read("stats.json")).unwrap_or_default();
        stats["answered"].as_u64().unwrap_or(0) > 0
    });
    generator
}

/// Damages the release that was brought to a host but does not run yet.
fn break_release(host: &Host) {
    host.run("truncate --size 100000 /var/lib/caxton/releases/1.1.0/bin/caxton")
        .expect_code(0);
}

#[test]
fn a_fleet_is_installed_and_upgraded_without_losing_a_message() {
    let cluster = Cluster::on(|| Fleet::new(3));
    cluster.upgrade().wait().expect_code(0);
    let keys = cluster.store.keys();
    for node in ["node-1", "node-2", "node-3"] {
        assert!(
            keys.iter().any(|key| key.ends_with(&format!("{node}.tar.gz"))),
            "{keys:?}"
        );
    }
    // A second run finds it upgraded, and stops no node.
    let process = cluster.fleet[0]
        .run("systemctl show --property MainPID caxton")
        .stdout;
    cluster.upgrade().wait().expect_code(0);
    assert_eq!(
        cluster.fleet[0]
            .run("systemctl show --property MainPID caxton")
            .stdout,
        process
    );
    cluster.expect_well("1.1.0");
}

#[test]
fn the_second_host_fails_and_all_hosts_go_back() {
    let cluster = Cluster::on(|| Fleet::new(3));
    let run = cluster.upgrade();
    cluster.wait_for_step("upgrade/node-1/replace/stop_node");
    break_release(&cluster.fleet[1]);
    run.wait()
        .expect_code(3)
        .expect_text("upgrade/node-2/replace/start_node");
    cluster.expect_well("1.0.0");
}

#[test]
fn a_host_without_room_is_found_before_anything_stops() {
    let cluster = Cluster::on(|| Fleet::new(3));
    let before = cluster.fleet[0]
        .run("systemctl show --property MainPID caxton")
        .stdout;
    let run = cluster.upgrade();
    cluster.wait_for_step("back_up/node-3/store_backup");
    cluster.fleet[1].fill_disk();
    let end = run.wait();
    cluster.fleet[1].free_disk();
    end.expect_code(3).expect_text("node-2");
    assert_eq!(
        cluster.fleet[0]
            .run("systemctl show --property MainPID caxton")
            .stdout,
        before
    );
    for host in cluster.fleet.hosts() {
        host.run("ls /var/lib/caxton/releases/1.1.0 /var/lib/caxton/releases/*.gz")
            .expect_code(2);
    }
    drop(cluster);
}

#[test]
fn a_fleet_behind_a_bastion_is_upgraded_too() {
    let cluster = Cluster::on(|| Fleet::behind_bastion(3));
    cluster.upgrade().wait().expect_code(0);
    cluster.expect_well("1.1.0");
}

/// `CAXTON_TEST_KILLS` says how often; the cluster goes to the other release and back until that is reached.
#[test]
fn the_engine_killed_again_and_again_finishes_the_upgrade_of_a_fleet() {
    let mut random =
        Random::from_environment("the_engine_killed_again_and_again_finishes_the_upgrade_of_a_fleet");
    let kills_wanted = std::env::var("CAXTON_TEST_KILLS").map_or(8, |kills| kills.parse().expect("a number"));
    let cluster = Cluster::on(|| Fleet::new(3));
    let mut kills = 0;
    for version in ["1.1.0", "1.0.0"].into_iter().cycle() {
        let before = cluster.shown()["id"].clone();
        let mut run = cluster.upgrade_to(version, &[]);
        wait_until("the run in the journal", Duration::from_secs(60), || {
            cluster.shown()["id"] != before
        });
        while kills < kills_wanted {
            std::thread::sleep(Duration::from_millis(random.below(5_000)));
            if !run.is_running() {
                break;
            }
            let at = cluster.shown();
            run.kill();
            kills += 1;
            println!("kill {kills}: {} {}", at["status"], in_flight(&at).join(", "));
            run = cluster.resume();
        }
        let ended = run.wait();
        assert_eq!(ended.code, 0, "{}\n{}", ended.stderr, cluster.account());
        assert_eq!(cluster.versions(), [version; 3]);
        if kills >= kills_wanted {
            return cluster.expect_well(version);
        }
    }
}

/// The steps that have begun and not ended.
fn in_flight(shown: &Value) -> Vec<String> {
    let phases = shown["account"]["phases"].as_array().cloned().unwrap_or_default();
    let steps = phases
        .iter()
        .filter_map(|phase| phase["steps"].as_array())
        .flatten();
    let going = steps.filter(|step| {
        matches!(
            step["status"].as_str(),
            Some("running" | "in-flight" | "in flight")
        )
    });
    going
        .filter_map(|step| step["id"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn a_host_that_loses_its_power_while_it_restarts_is_put_right_once_it_is_back() {
    let cluster = Cluster::on(|| Fleet::new(3));
    let run = cluster.upgrade_to("1.1.0", &["-p", "rejoin_within=15s"]);
    cluster.wait_for_step("upgrade/node-2/replace/stop_node");
    cluster.fleet[1].crash();
    // What it has half done cannot be undone while it is down: a person is told where everything stands.
    run.wait()
        .expect_code(4)
        .expect_text("node-2")
        .expect_text("caxplan resume");
    cluster.fleet[1].boot();
    cluster.resume().wait().expect_code(3);
    cluster.expect_well("1.0.0");
}
