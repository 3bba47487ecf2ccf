//! A real systemd for tests: a user's, with its own folders, bus and control group.

use caxplan_adapter::conformance::call;
use caxplan_adapter::{Context, OutputSink, Stream};
use caxplan_model::{Map, Outcome, Value, Verdict};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SYSTEMD: &str = "/lib/systemd/systemd";

/// How long it may take to come up on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);

/// How long it may take to stop its units and itself.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Enters control groups of its own, where there are any, and becomes systemd: two in one group would end each other's
/// services.
const START: &str = r#"
for c in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  [ -w "$c/cgroup.procs" ] || continue
  mkdir -p "$c/$GROUP" 2>/dev/null && echo $$ 2>/dev/null >"$c/$GROUP/cgroup.procs" || true
done
exec "$0" --user --log-target=null
"#;

/// A systemd of this user, which ends with the test.
pub(crate) struct Systemd {
    folder: TempDir,
    group: String,
    child: Child,
}

impl Systemd {
    /// Starts one; none if this machine has none, which is an error in CI.
    pub(crate) fn start() -> Option<Self> {
        if !PathBuf::from(SYSTEMD).exists() || !PathBuf::from("/usr/lib/systemd/user/dbus.socket").exists() {
            assert!(
                std::env::var_os("CI").is_none(),
                "there is no {SYSTEMD} with dbus-user-session: run `cargo xtask setup`"
            );
            eprintln!("skipped: there is no {SYSTEMD} with dbus-user-session");
            return None;
        }
        // systemd looks for this folder to learn whether it may run at all.
        let _ = std::fs::create_dir_all("/run/systemd/system");
        let folder = tempfile::Builder::new()
            .prefix("sd")
            .tempdir()
            .expect("a temporary folder");
        for name in ["run", "config/systemd/user", "data", "home"] {
            std::fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        let name = folder.path().file_name().expect("a name").to_string_lossy();
        let group = format!("caxplan-test-{name}");
        let mut command = Command::new("sh");
        command.args(["-c", START, SYSTEMD]).env("GROUP", &group);
        environment(&mut command, folder.path());
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let systemd = Self { folder, group, child };
        let begun = Instant::now();
        while !systemd
            .systemctl(&["is-active", "default.target"])
            .starts_with("active")
        {
            assert!(begun.elapsed() < START_MAX, "systemd --user does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(systemd)
    }

    /// `unix:path=…` of its bus.
    pub(crate) fn bus(&self) -> String {
        format!("unix:path={}", self.folder.path().join("run/bus").display())
    }

    /// Where its unit files lie.
    pub(crate) fn units(&self) -> PathBuf {
        self.folder.path().join("config/systemd/user")
    }

    /// A folder for the services' own files.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a unit file and lets systemd read it.
    pub(crate) fn unit(&self, name: &str, text: &str) {
        std::fs::write(self.units().join(name), text).expect("the folder can be written");
        self.systemctl(&["daemon-reload"]);
    }

    /// What `systemctl --user` says.
    pub(crate) fn systemctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("systemctl");
        command.arg("--user").args(arguments);
        environment(&mut command, self.folder.path());
        let output = command.output().expect("systemctl starts");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// One property of a unit.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.systemctl(&["show", "--value", "-p", name, unit])
    }

    /// What an action may change of a unit: whether it runs, and whether it starts with the machine.
    pub(crate) fn world(&self, unit: &str) -> Value {
        serde_json::json!({
            "active": self.property(unit, "ActiveState"),
            "enabled": self.systemctl(&["is-enabled", unit]),
            "file": std::fs::read_to_string(self.units().join(unit)).ok(),
        })
    }

    /// Arguments about a unit of this systemd.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that a call reads as an argument list"
    )]
    pub(crate) fn with(&self, unit: &str, more: Value) -> Value {
        let mut with = Map::new();
        with.insert("unit".to_owned(), Value::from(unit));
        with.insert("bus".to_owned(), Value::from(self.bus()));
        with.extend(more.as_object().cloned().unwrap_or_default());
        Value::Object(with)
    }

    /// Performs an action.
    pub(crate) async fn perform(&self, action: &str, unit: &str, more: Value) -> Outcome {
        let call = call(action, &self.with(unit, more));
        caxplan_systemd::adapter()
            .perform(&call, &Context::detached("."))
            .await
    }

    /// The forecast of an action.
    pub(crate) async fn forecast(&self, action: &str, unit: &str, more: Value) -> caxplan_adapter::Forecast {
        let call = call(action, &self.with(unit, more));
        caxplan_systemd::adapter()
            .forecast(&call, &Context::detached("."))
            .await
            .expect("its state can be read")
    }

    /// What a probe says.
    pub(crate) async fn probe(&self, action: &str, unit: &str, before: &Value) -> Verdict {
        let call = call(action, &self.with(unit, Value::Null));
        caxplan_systemd::adapter()
            .probe_from(&call, before, &Context::detached("."))
            .await
    }

    /// Undoes an action.
    pub(crate) async fn undo(&self, action: &str, unit: &str, more: Value, before: &Value) -> Outcome {
        let call = call(action, &self.with(unit, more));
        caxplan_systemd::adapter()
            .undo(&call, before, &Context::detached("."))
            .await
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It stops its units, and then itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begun = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if begun.elapsed() > STOP_MAX {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        for root in [
            "/sys/fs/cgroup/systemd",
            "/sys/fs/cgroup/unified",
            "/sys/fs/cgroup",
        ] {
            remove_group(&PathBuf::from(root).join(&self.group));
        }
    }
}

/// A control group goes when those below it have gone, and no process is left.
fn remove_group(group: &std::path::Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}

fn environment(command: &mut Command, folder: &std::path::Path) {
    command
        .env("HOME", folder.join("home"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("XDG_RUNTIME_DIR", folder.join("run"))
        .env_remove("DBUS_SESSION_BUS_ADDRESS");
}

/// Keeps what an action says.
#[derive(Default)]
pub(crate) struct Heard(Mutex<String>);

impl Heard {
    /// A context whose output is kept.
    pub(crate) fn context(self: &Arc<Self>) -> Context {
        Context {
            output: self.clone(),
            ..Context::detached(".")
        }
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        self.0.lock().expect("whole").clone()
    }
}

impl OutputSink for Heard {
    fn write(&self, _: Stream, bytes: &[u8]) {
        self.0
            .lock()
            .expect("whole")
            .push_str(&String::from_utf8_lossy(bytes));
    }

    fn mask(&self, _: &str) {}
}

/// A service that runs until it is stopped.
pub(crate) const STAYS: &str = "[Unit]\nDescription=stays\n[Service]\nExecStart=sleep infinity\nExecReload=true\n[Install]\nWantedBy=default.target\n";
