//! A live cluster upgraded by one command, and what happens when something breaks on the way.

use caxton_tests::{Background, Finished, Random, Sandbox, releases, root, wait_until};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One cluster at a time: three nodes and a message generator keep two cores busy.
static MACHINE: Mutex<()> = Mutex::new(());

/// A sandbox in which `plans/rolling-upgrade.yaml` runs on a local cluster.
struct Upgrade {
    sandbox: Sandbox,
    arguments: Vec<String>,
    _machine: MutexGuard<'static, ()>,
}

impl Upgrade {
    /// With the given release archive folder (`""` for the good ones, `"broken"` for the broken one).
    fn to(folder: &str) -> Self {
        let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        let release = releases().join(folder).join("caxton-1.1.0.tar.gz");
        let sandbox = Sandbox::new();
        let report = sandbox.path().join("report.md");
        let mut arguments = vec![
            "run".to_owned(),
            root().join("plans/rolling-upgrade.yaml").display().to_string(),
        ];
        for parameter in [
            format!("release={}", release.display()),
            "canary_duration=3s".to_owned(),
            "batch_delay=1s".to_owned(),
            format!("report={}", report.display()),
            "rate=1000".to_owned(),
        ] {
            arguments.extend(["-p".to_owned(), parameter]);
        }
        Self {
            sandbox,
            arguments,
            _machine: machine,
        }
    }

    fn run(&self) -> Finished {
        self.sandbox.caxplan(&self.words())
    }

    fn start(&self) -> Background {
        self.sandbox.start_caxplan(&self.words())
    }

    fn words(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// The version of each node.
    fn versions(&self) -> Vec<String> {
        let status = self.sandbox.caxton(&["dev", "status", "--output", "json"]).json();
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        nodes
            .iter()
            .map(|node| node["version"].as_str().unwrap_or("down").to_owned())
            .collect()
    }

    /// What became of the messages, once all that were sent have been answered or given up.
    #[track_caller]
    fn expect_no_message_lost(&self) {
        let traffic = self
            .sandbox
            .caxton(&["dev", "traffic", "--settle", "60", "--output", "json"])
            .expect_code(0)
            .json();
        let figure = |name: &str| {
            traffic[name]
                .as_u64()
                .unwrap_or_else(|| panic!("no {name} in {traffic}"))
        };
        assert!(figure("sent") > 1_000, "{traffic}");
        assert_eq!((figure("lost"), figure("doubled")), (0, 0), "{traffic}");
    }

    /// Waits until a step whose id ends so has started, and gives the id.
    fn wait_for_step(&self, end: &str) -> String {
        let mut found = None;
        wait_until(end, Duration::from_secs(120), || {
            let show = self.sandbox.caxplan(&["show", "--last", "--output", "json"]);
            let shown = serde_json::from_str::<Value>(&show.stdout).unwrap_or_default();
            found = started_step(&shown["account"], end);
            found.is_some()
        });
        found.expect("waited for")
    }
}

/// The first step of an account whose id ends so, if an attempt of it has started.
fn started_step(account: &Value, end: &str) -> Option<String> {
    let phases = account["phases"].as_array()?;
    let mut steps = phases
        .iter()
        .filter_map(|phase| phase["steps"].as_array())
        .flatten();
    let step = steps.find(|step| {
        step["id"].as_str().is_some_and(|id| id.ends_with(end)) && step["attempts"].as_u64().unwrap_or(0) > 0
    })?;
    step["id"].as_str().map(str::to_owned)
}

#[test]
fn a_live_cluster_is_upgraded_without_losing_a_message() {
    let upgrade = Upgrade::to("");
    upgrade.run().expect_code(0);
    assert_eq!(upgrade.versions(), ["1.1.0", "1.1.0", "1.1.0"]);
    upgrade.expect_no_message_lost();
    let report = upgrade.sandbox.read("report.md");
    for words in ["1.0.0", "1.1.0", "Messages lost", "rolling_upgrade"] {
        assert!(report.contains(words), "no `{words}` in\n{report}");
    }
    // A second run finds the cluster, and finds it upgraded.
    upgrade.run().expect_code(0);
    upgrade.expect_no_message_lost();
}

#[test]
fn a_broken_canary_is_rolled_back_and_agents_never_stop_answering() {
    let upgrade = Upgrade::to("broken");
    upgrade.run().expect_code(3).expect_text("disk");
    assert_eq!(upgrade.versions(), ["1.0.0", "1.0.0", "1.0.0"]);
    upgrade.expect_no_message_lost();
}

#[test]
fn a_node_killed_in_the_rolling_phase_fails_the_run_which_resumes_once_it_is_back() {
    let upgrade = Upgrade::to("");
    let run = upgrade.start();
    upgrade.wait_for_step("rolling_upgrade/node-2/drain_traffic");
    upgrade.sandbox.caxton(&["dev", "kill", "node-2"]).expect_code(0);
    run.wait()
        .expect_code(1)
        .expect_text("node-2")
        .expect_text("caxplan resume");
    upgrade.sandbox.caxton(&["dev", "start", "node-2"]).expect_code(0);
    upgrade.sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(upgrade.versions(), ["1.1.0", "1.1.0", "1.1.0"]);
    upgrade.expect_no_message_lost();
}

#[test]
fn the_engine_killed_again_and_again_finishes_the_upgrade() {
    let mut random = Random::from_environment("the_engine_killed_again_and_again");
    let upgrade = Upgrade::to("");
    let mut run = upgrade.start();
    upgrade.wait_for_step("pre_upgrade_validation/verify_cluster_health");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(random.below(4_000)));
        run.kill();
        run = upgrade.sandbox.start_caxplan(&["resume", "--last"]);
    }
    // The last resume may find the run already succeeded, and says so.
    let end = run.wait();
    assert!(end.code == 0 || end.stderr.contains("succeeded"), "{end:?}");
    assert_eq!(upgrade.versions(), ["1.1.0", "1.1.0", "1.1.0"]);
    upgrade.expect_no_message_lost();
}

#[test]
fn an_unreachable_cluster_is_a_clear_failure() {
    let sandbox = Sandbox::new();
    sandbox.file("token", "none");
    sandbox.file(
        "context.yaml",
        "endpoints: [\"http://127.0.0.1:9\"]\ntoken_file: token\n",
    );
    sandbox.file(
        "inventory.yaml",
        &format!(
            "inventory:\n  targets: {{node-1: {{}}}}\n  vars: {{cluster: {}}}\n",
            sandbox.path().join("context.yaml").display()
        ),
    );
    let plan = root().join("plans/rolling-upgrade.yaml").display().to_string();
    let release = format!("release={}", releases().join("caxton-1.1.0.tar.gz").display());
    sandbox
        .caxplan(&["run", &plan, "--inventory", "inventory.yaml", "-p", &release])
        .expect_code(1)
        .expect_text("127.0.0.1:9")
        .expect_text("caxplan resume");
}
