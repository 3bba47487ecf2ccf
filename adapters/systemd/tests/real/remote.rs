//! The same over SSH: a real sshd on this machine, whose sessions reach the systemd of a test by the bridge.

use crate::support::{STAYS, Systemd};
use caxplan_adapter::conformance::call;
use caxplan_adapter::{Call, Context};
use caxplan_model::{FailureEffect, FailureKind, Map, Outcome, Target, Value, Verdict};
use serde_json::json;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_MAX: Duration = Duration::from_secs(30);

/// A server of this user's, with keys of its own. It ends with the value, with its sessions.
struct Sshd {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Sshd {
    /// Starts one; none if this machine has none, which is an error in CI.
    fn start() -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/bin/sshd"]
            .iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            assert!(
                std::env::var_os("CI").is_none(),
                "there is no sshd: run `cargo xtask setup`"
            );
            eprintln!("skipped: there is no sshd");
            return None;
        };
        // sshd wants it, and only root's sshd does.
        let _ = std::fs::create_dir_all("/run/sshd");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(path(name))
                .status()
                .expect("ssh-keygen is there");
            assert!(made.success());
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("loopback")
            .port();
        std::fs::copy(path("user.pub"), path("authorized")).expect("copied");
        let host = std::fs::read_to_string(path("host.pub")).expect("made");
        std::fs::write(path("known"), format!("[127.0.0.1]:{port} {host}")).expect("written");
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n",
            path("host").display(),
            path("authorized").display(),
        );
        std::fs::write(path("config"), config).expect("written");
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(path("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path("log")).expect("a file"))
            .spawn()
            .expect("sshd starts");
        let sshd = Self { folder, port, child };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begun.elapsed() < START_MAX,
                "sshd does not come up: {}",
                sshd.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(sshd)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The call with this server's machine as its target.
    fn call(&self, action: &str, with: &Value) -> Call {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let user = String::from_utf8_lossy(
            &Command::new("id")
                .arg("-un")
                .output()
                .expect("id is there")
                .stdout,
        )
        .trim()
        .to_owned();
        let vars = json!({
            "address": format!("127.0.0.1:{}", self.port),
            "ssh_user": user,
            "ssh_config": "none",
            "ssh_identity": path("user"),
            "ssh_known_hosts": path("known"),
            "ssh_keepalive": "1s",
        });
        let vars: Map = vars.as_object().cloned().expect("it is an object");
        Call {
            target: Some(Target {
                name: "web-1".to_owned(),
                vars,
                ..Target::default()
            }),
            ..call(action, with)
        }
    }

    /// Ends all sessions as a crash would: without a word.
    fn kill_sessions(&self) {
        for pid in descendants(self.child.id()) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill_sessions();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let path = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
    let children: Vec<u32> = std::fs::read_to_string(path)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect();
    children
        .iter()
        .flat_map(|child| [vec![*child], descendants(*child)].concat())
        .collect()
}

#[tokio::test]
async fn units_of_another_machine_do_as_they_are_told() {
    let (Some(systemd), Some(sshd)) = (Systemd::start(), Sshd::start()) else {
        return;
    };
    let adapter = caxplan_systemd::adapter();
    let context = Context::detached(".");
    let perform = async |action: &str, more: Value| {
        let call = sshd.call(action, &systemd.with("app", more));
        adapter.perform(&call, &context).await
    };
    let file = perform("systemd.unit", json!({ "content": STAYS })).await;
    assert!(
        matches!(file, Outcome::Changed { .. }),
        "{file:?}\n{}",
        sshd.log()
    );
    for (action, more, active) in [
        ("systemd.start", json!({ "settle": "300ms" }), "active"),
        ("systemd.restart", json!({}), "active"),
        ("systemd.reload", json!({}), "active"),
        ("systemd.enable", json!({}), "active"),
        ("systemd.wait", json!({ "state": "active" }), "active"),
        ("systemd.status", json!({}), "active"),
        ("systemd.stop", json!({}), "inactive"),
        ("systemd.daemon_reload", json!({}), "inactive"),
        ("systemd.disable", json!({}), "inactive"),
    ] {
        let mut with = systemd.with("app", more.clone());
        if action == "systemd.daemon_reload" {
            with.as_object_mut().expect("an object").remove("unit");
        }
        let outcome = adapter.perform(&sshd.call(action, &with), &context).await;
        assert!(outcome.is_success(), "{action}: {outcome:?}\n{}", sshd.log());
        assert_eq!(systemd.property("app.service", "ActiveState"), active, "{action}");
    }
    let bad = perform("systemd.start", json!({ "unit": "no-such-unit" })).await;
    assert_eq!(
        bad.cause().map(|cause| cause.message.as_str()),
        Some("cannot start no-such-unit.service: web-1 has no such unit")
    );
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_job_leaves_a_doubt_that_the_probe_decides() {
    let (Some(systemd), Some(sshd)) = (Systemd::start(), Sshd::start()) else {
        return;
    };
    let gate = systemd.data().join("gate");
    std::fs::write(&gate, "").expect("written");
    systemd.unit(
        "app.service",
        &format!("[Service]\nExecStartPre=sh -c 'while ! [ -e {} ]; do sleep 0.05; done'\nExecStart=sleep infinity\n", gate.display()),
    );
    systemd.systemctl(&["start", "app.service"]);
    std::fs::remove_file(&gate).expect("removed");
    let adapter = caxplan_systemd::adapter();
    let context = Context::detached(".");
    let call = sshd.call("systemd.restart", &systemd.with("app", json!({})));
    let before = adapter.forecast(&call, &context).await.expect("read").before;
    let cut = async {
        while systemd.property("app.service", "ActiveState") != "activating" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sshd.kill_sessions();
    };
    let (outcome, ()) = tokio::join!(adapter.perform(&call, &context), cut);
    let Outcome::Unknown { cause } = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(cause.kind, FailureKind::Lost, "{cause}");

    // The job goes on without us; the probe waits for its end.
    let open = async { std::fs::write(&gate, "").expect("written") };
    let (verdict, ()) = tokio::join!(adapter.probe_from(&call, &before, &context), open);
    assert!(matches!(verdict, Verdict::Done { .. }), "{verdict:?}");
    let now = adapter.forecast(&call, &context).await.expect("read").before;
    assert_eq!(adapter.probe_from(&call, &now, &context).await, Verdict::NotDone);
}

#[tokio::test]
async fn a_machine_that_does_not_answer_has_had_nothing_done() {
    let (Some(systemd), Some(mut sshd)) = (Systemd::start(), Sshd::start()) else {
        return;
    };
    sshd.child.kill().expect("it runs");
    sshd.child.wait().expect("it ends");
    let call = sshd.call("systemd.restart", &systemd.with("app", json!({})));
    let outcome = caxplan_systemd::adapter()
        .perform(&call, &Context::detached("."))
        .await;
    assert!(
        matches!(&outcome, Outcome::Failed { effect: FailureEffect::None, cause } if cause.kind == FailureKind::Unavailable),
        "{outcome:?}"
    );
}
