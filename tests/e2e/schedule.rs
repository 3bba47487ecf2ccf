//! Plans that run by themselves: with a real cron, a real daemon, and processes that die at the worst time.

use caxton_tests::{Background, Sandbox, wait_until};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A folder `plans` with these files in it.
fn plans(sandbox: &Sandbox, files: &[(&str, &str)]) {
    std::fs::create_dir_all(sandbox.path().join("plans")).expect("made");
    for (name, text) in files {
        std::fs::write(sandbox.path().join("plans").join(name), text).expect("written");
    }
}

/// A plan whose one step runs `script` in the sandbox.
fn plan(header: &str, sandbox: &Sandbox, script: &str) -> String {
    let folder = sandbox.path().display();
    format!(
        "{header}\nphases:\n  - name: work\n    steps:\n      - shell.run: {{cwd: {folder}, script: '{script}'}}\n"
    )
}

/// What became of the due times of the one plan in `plans`, the newest first.
fn history(sandbox: &Sandbox) -> Vec<Value> {
    let list = sandbox
        .caxplan(&["schedule", "list", "plans", "--history", "50", "--output", "json"])
        .expect_code(0)
        .json();
    list[0]["history"].as_array().expect("a history").clone()
}

fn ends(sandbox: &Sandbox, end: &str) -> usize {
    history(sandbox).iter().filter(|past| past["end"] == end).count()
}

#[test]
fn what_is_due_runs_once_and_quietly_whoever_looks_at_the_same_time() {
    let sandbox = Sandbox::new();
    let text = plan(
        "schedule: \"* * * * *\"",
        &sandbox,
        "echo $CAXPLAN_RUN_ID >> effects",
    );
    plans(
        &sandbox,
        &[
            ("minute.yaml", &text),
            ("library.yaml", "actions: {x: {shell.run: {script: ls}}}\n"),
        ],
    );
    let looks: Vec<Background> = (0..6)
        .map(|_| sandbox.start_caxplan(&["schedule", "run-due", "plans"]))
        .collect();
    for look in looks {
        let end = look.wait().expect_code(0);
        assert_eq!(
            (end.stdout.as_str(), end.stderr.as_str()),
            ("", ""),
            "all is well"
        );
    }
    let effects = sandbox.read("effects");
    let history = history(&sandbox);
    // One, or two if a minute passed meanwhile.
    assert!(!history.is_empty());
    assert_eq!(effects.lines().count(), history.len(), "{effects}\n{history:?}");
    for past in history {
        assert_eq!(past["end"], "succeeded");
        assert!(effects.contains(past["run"].as_str().expect("a run")), "{past}");
    }
}

#[test]
fn failures_are_said_and_the_worst_exit_code_is_answered() {
    let sandbox = Sandbox::new();
    plans(
        &sandbox,
        &[
            (
                "good.yaml",
                &plan("schedule: \"* * * * *\"", &sandbox, "echo good >> effects"),
            ),
            (
                "bad.yaml",
                &plan(
                    "schedule: \"* * * * *\"",
                    &sandbox,
                    "echo the disk is full >&2; exit 3",
                ),
            ),
        ],
    );
    let end = sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(1);
    assert!(end.stderr.contains("bad.yaml, due"), "{}", end.stderr);
    assert!(end.stderr.contains("the disk is full"), "{}", end.stderr);
    assert!(end.stderr.contains("caxplan resume"), "{}", end.stderr);
    assert!(!end.stderr.contains("good"), "{}", end.stderr);
    assert_eq!(sandbox.read("effects"), "good\n");

    plans(&sandbox, &[("wrong.yaml", "schedule: 61 * * * *\nphases: []\n")]);
    let end = sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(2);
    assert!(end.stderr.contains("`61` is no minute"), "{}", end.stderr);
    // Said once, until it is another mistake, or comes again after it was right.
    let look = |said: &str| {
        let end = sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(2);
        match said {
            "" => assert!(!end.stderr.contains("wrong.yaml"), "{}", end.stderr),
            said => assert!(end.stderr.contains(said), "{}", end.stderr),
        }
    };
    look("");
    plans(&sandbox, &[("wrong.yaml", "schedule: 62 * * * *\nphases: []\n")]);
    look("`62` is no minute");
    look("");
    std::fs::remove_file(sandbox.path().join("plans/wrong.yaml")).expect("removed");
    sandbox.caxplan(&["schedule", "run-due", "plans"]);
    plans(&sandbox, &[("wrong.yaml", "schedule: 62 * * * *\nphases: []\n")]);
    look("`62` is no minute");
}

#[test]
fn parameters_of_the_schedule_reach_the_run() {
    let sandbox = Sandbox::new();
    let header = "schedule: {cron: \"* * * * *\", params: {kind: full}}\nparams: {kind: {type: string, default: short}}";
    let text = plan(header, &sandbox, "echo {{ params.kind }} >> effects");
    plans(&sandbox, &[("a.yaml", &text)]);
    sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "full\n");
}

/// A run that goes on until `go` is there, started by a look that is waited for later.
fn start_long_run(sandbox: &Sandbox, overlap: &str) -> Background {
    let header = format!("schedule: {{cron: \"* * * * * *\", overlap: {overlap}}}");
    let text = plan(
        &header,
        sandbox,
        "echo begun >> effects; while ! test -e go; do sleep 0.05; done; echo ended >> effects",
    );
    plans(sandbox, &[("long.yaml", &text)]);
    let run = sandbox.start_caxplan(&["schedule", "run-due", "plans"]);
    wait_until("the first run", LIMIT, || {
        sandbox.read("effects").contains("begun")
    });
    run
}

/// argo-workflows#13786: what happens while the run before is going on is said, and is as the plan wants it.
#[test]
fn a_time_that_comes_during_the_run_before_is_left_out_with_a_line() {
    let sandbox = Sandbox::new();
    let first = start_long_run(&sandbox, "forbid");
    wait_until("a skipped time", LIMIT, || {
        let look = sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(0);
        look.stderr.starts_with("skipped: ") && look.stderr.contains("was still going on")
    });
    assert_eq!(sandbox.read("effects"), "begun\n");
    sandbox.file("go", "");
    let end = first.wait().expect_code(0);
    assert_eq!(end.stderr, "");
    assert!(ends(&sandbox, "skipped") >= 1);
    assert_eq!(ends(&sandbox, "succeeded"), 1);
}

#[test]
fn a_queued_time_runs_once_after_the_run_before() {
    let sandbox = Sandbox::new();
    let first = start_long_run(&sandbox, "queue");
    wait_until("a queued time", LIMIT, || {
        sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(0);
        ends(&sandbox, "queued") == 1
    });
    let queued = history(&sandbox)
        .into_iter()
        .find(|past| past["end"] == "queued")
        .expect("it is queued");
    assert_eq!(sandbox.read("effects"), "begun\n");
    sandbox.file("go", "");
    first.wait().expect_code(0);
    wait_until("the queued run", LIMIT, || {
        sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(0);
        let of_it = history(&sandbox)
            .into_iter()
            .find(|past| past["due"] == queued["due"]);
        of_it.expect("it is still known")["end"] == "succeeded"
    });
    let effects = sandbox.read("effects");
    assert!(
        effects.starts_with("begun\nended\nbegun\nended\n"),
        "never two at once: {effects}"
    );
}

/// The claim of a time is durable before its run is created. Whoever dies in between has done nothing, and the next who
/// looks takes the claim up, under the same id.
#[test]
fn a_claim_whose_process_was_killed_is_taken_up_once() {
    let sandbox = Sandbox::new();
    let holder = "lock: db\nphases: [{name: work, steps: [{shell.run: {script: \"touch held; while ! test -e go; do sleep 0.05; done\"}}]}]\n";
    sandbox.file("holder.yaml", holder);
    let holder = sandbox.start_caxplan(&["run", "holder.yaml"]);
    wait_until("the lock to be held", LIMIT, || {
        sandbox.path().join("held").exists()
    });

    let header = "schedule: \"* * * * *\"\nlock: {name: db, if_held: queue}";
    let text = plan(header, &sandbox, "echo $CAXPLAN_RUN_ID >> effects");
    plans(&sandbox, &[("a.yaml", &text)]);
    let mut look = sandbox.start_caxplan(&["schedule", "run-due", "plans"]);
    // It has claimed the time and waits for the lock, so there is no run yet.
    wait_until("a claim", LIMIT, || ends(&sandbox, "claimed") == 1);
    let claimed = history(&sandbox).pop().expect("one");
    for pid in fires(&sandbox) {
        let pid = rustix::process::Pid::from_raw(pid).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it was there");
    }
    wait_until("the look to end", LIMIT, || !look.is_running());
    look.wait().expect_code(130);

    // Two take it up; one of them gets it.
    let looks = [(); 2].map(|()| sandbox.start_caxplan(&["schedule", "run-due", "plans"]));
    wait_until("somebody to wait again", LIMIT, || !fires(&sandbox).is_empty());
    sandbox.file("go", "");
    holder.wait().expect_code(0);
    for look in looks {
        look.wait().expect_code(0);
    }
    let of_it = history(&sandbox)
        .into_iter()
        .find(|past| past["due"] == claimed["due"]);
    let of_it = of_it.expect("it is still known");
    assert_eq!(of_it["end"], "succeeded");
    let run = of_it["run"].as_str().expect("a run").to_owned();
    let effects = sandbox.read("effects");
    assert_eq!(
        effects.lines().filter(|line| *line == run).count(),
        1,
        "{effects}"
    );
    assert_eq!(effects.lines().count(), ends(&sandbox, "succeeded"), "{effects}");
}

/// The programs that run plans of this sandbox for a due time.
fn fires(sandbox: &Sandbox) -> Vec<i32> {
    let folder = sandbox.path().join("plans").to_string_lossy().into_owned();
    let is_ours = |pid: &i32| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.contains("\0fire\0") && words.contains(&folder)
    };
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    processes
        .filter_map(|process| process.file_name().to_string_lossy().parse().ok())
        .filter(is_ours)
        .collect()
}

#[test]
fn the_daemon_runs_what_is_due_survives_a_bad_file_and_drains() {
    let sandbox = Sandbox::new();
    let socket = std::os::unix::net::UnixDatagram::bind(sandbox.path().join("notify")).expect("bound");
    socket.set_read_timeout(Some(LIMIT)).expect("set");
    let every_second = |name: &str| {
        plan(
            "schedule: \"* * * * * *\"",
            &sandbox,
            &format!("echo {name} >> effects"),
        )
    };
    plans(&sandbox, &[("a.yaml", &every_second("a"))]);
    let mut command = Command::new("caxplan");
    sandbox.prepare(&mut command);
    command
        .args(["schedule", "daemon", "plans"])
        .env("NOTIFY_SOCKET", sandbox.path().join("notify"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut daemon = Background::new(command.spawn().expect("it starts"));
    let mut ready = [0; 64];
    let length = socket.recv(&mut ready).expect("a daemon says that it is ready");
    assert_eq!(&ready[..length], b"READY=1");

    let runs_of = |name: &str| {
        sandbox
            .read("effects")
            .lines()
            .filter(|line| *line == name)
            .count()
    };
    wait_until("two runs of a", LIMIT, || runs_of("a") >= 2);
    // A file that is wrong rests; the others go on, and so does it when it is right again.
    plans(
        &sandbox,
        &[
            ("a.yaml", "schedule: 61 * * * *\nphases: []\n"),
            ("b.yaml", &every_second("b")),
        ],
    );
    wait_until("two runs of b", LIMIT, || runs_of("b") >= 2);
    let before = runs_of("a");
    plans(&sandbox, &[("a.yaml", &every_second("again"))]);
    wait_until("a run of what was put right", LIMIT, || runs_of("again") >= 1);
    assert!(runs_of("a") <= before, "what is wrong does not run");

    // A run that goes on is waited for.
    let long = plan(
        "schedule: \"* * * * * *\"",
        &sandbox,
        "echo begun >> effects; while ! test -e go; do sleep 0.05; done; echo ended >> effects",
    );
    std::fs::remove_file(sandbox.path().join("plans/a.yaml")).expect("removed");
    plans(&sandbox, &[("b.yaml", &long)]);
    wait_until("the long run", LIMIT, || runs_of("begun") == 1);
    daemon.signal(rustix::process::Signal::TERM);
    let length = socket.recv(&mut ready).expect("a daemon says that it stops");
    assert_eq!(&ready[..length], b"STOPPING=1");
    assert!(daemon.is_running(), "it waits");
    sandbox.file("go", "");
    let end = daemon.wait().expect_code(0);
    assert_eq!((runs_of("begun"), runs_of("ended")), (1, 1), "{}", end.stderr);
    let told = end.stderr.matches("`61` is no minute").count();
    assert_eq!(told, 1, "once, in one line:\n{}", end.stderr);
    assert!(end.stderr.contains("ended well: "), "{}", end.stderr);
}

#[test]
fn coming_times_are_listed_with_what_the_clocks_do_to_them() {
    let sandbox = Sandbox::new();
    let text = plan(
        "schedule: {cron: \"30 2 * * *\", timezone: Europe/Berlin}",
        &sandbox,
        "ls",
    );
    plans(&sandbox, &[("nightly.yaml", &text)]);
    let next = |from: &str| {
        let arguments = ["schedule", "next", "plans", "-n", "2", "--from", from];
        sandbox.caxplan(&arguments).expect_code(0).stdout
    };
    assert_eq!(
        next("2027-03-27T12:00Z"),
        "PLAN          STARTS               ZONE           UTC                   NOTE\n\
         nightly.yaml  2027-03-28 03:00:00  Europe/Berlin  2027-03-28T01:00:00Z  the clocks leap over 02:30:00: right after\n\
         nightly.yaml  2027-03-29 02:30:00  Europe/Berlin  2027-03-29T00:30:00Z\n"
    );
    assert!(next("2026-10-24T12:00Z").contains("the clocks show this time twice: the first only"));
    sandbox
        .caxplan(&["schedule", "next", "plans", "--from", "yesterday"])
        .expect_code(2)
        .expect_text("`yesterday` is no time");
    sandbox
        .caxplan(&["schedule", "next", "nowhere"])
        .expect_code(2)
        .expect_text("cannot read nowhere");
}

/// A cron of its own: its crontabs, its mail program and its processes are seen by nobody else.
const CRON: &str = r#"set -eu
mkdir spool empty layer
: > crontab
mount -t tmpfs tmpfs /run
mount --bind spool /var/spool/cron/crontabs
mount --bind empty /etc/cron.d
mount --bind crontab /etc/crontab
mount -t tmpfs tmpfs layer
mkdir layer/up layer/work
mount -t overlay overlay -o "lowerdir=/usr/sbin,upperdir=$PWD/layer/up,workdir=$PWD/layer/work" /usr/sbin
printf '#!/bin/sh\ncat >> %s/mail\n' "$PWD" > /usr/sbin/sendmail
chmod +x /usr/sbin/sendmail
printf 'MAILTO=root\n0 1 1 1 * echo of somebody else\n' | crontab -
caxplan schedule install --crontab plans
caxplan schedule install --crontab plans
crontab -l > installed
cron -f &
while ! test -e done; do sleep 0.1; done
kill $!
caxplan schedule uninstall --crontab plans
crontab -l > left
"#;

#[test]
fn a_real_cron_runs_a_plan_each_minute_and_mails_failures_only() {
    assert!(
        Path::new("/usr/sbin/cron").exists(),
        "no cron: run `cargo xtask test`, which installs it"
    );
    let sandbox = Sandbox::new();
    plans(
        &sandbox,
        &[
            (
                "good.yaml",
                &plan("schedule: \"* * * * *\"", &sandbox, "echo good >> effects"),
            ),
            (
                "bad.yaml",
                &plan(
                    "schedule: \"* * * * *\"",
                    &sandbox,
                    "echo the disk is full >&2; exit 3",
                ),
            ),
        ],
    );
    sandbox.file("cron.sh", CRON);
    let mut command = Command::new("unshare");
    sandbox.prepare(&mut command);
    command
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "bash",
            "cron.sh",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut cron = Background::new(command.spawn().expect("namespaces need root"));
    let limit = Duration::from_secs(130);
    wait_until("a run by cron, and a mail", limit, || {
        let is_done =
            sandbox.read("effects").contains("good") && sandbox.read("mail").contains("exit code 1");
        is_done || !cron.is_running()
    });
    sandbox.file("done", "");
    let end = cron.wait().expect_code(0);
    let installed = sandbox.read("installed");
    assert_eq!(
        installed.matches("schedule run-due").count(),
        1,
        "{installed}{}",
        end.stderr
    );
    let theirs = "MAILTO=root\n0 1 1 1 * echo of somebody else\n";
    assert!(installed.starts_with(theirs), "{installed}");
    assert_eq!(sandbox.read("left"), theirs);
    let mail = sandbox.read("mail");
    assert!(mail.contains("the disk is full"), "{mail}");
    assert!(!mail.contains("good"), "all was well with it: {mail}");
}

#[test]
fn units_for_systemd_are_what_systemd_reads() {
    let sandbox = Sandbox::new();
    plans(
        &sandbox,
        &[
            (
                "nightly.yaml",
                &plan(
                    "schedule: {cron: \"0 2 * * *\", timezone: Europe/Berlin}",
                    &sandbox,
                    "ls",
                ),
            ),
            (
                "100%.yaml",
                &plan("schedule: {cron: \"@hourly\", overlap: allow}", &sandbox, "ls"),
            ),
        ],
    );
    let units = sandbox
        .caxplan(&["schedule", "install", "--systemd", "--dry-run", "plans"])
        .expect_code(0)
        .stdout;
    let mut names = Vec::new();
    for unit in units.split("# /etc/systemd/system/").skip(1) {
        let (name, text) = unit.split_once('\n').expect("a name and a text");
        std::fs::write(sandbox.path().join(name), text).expect("written");
        names.push(name.to_owned());
    }
    assert_eq!(names.len(), 4, "{units}");
    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .args(names.iter().map(|name| format!("./{name}")))
        .current_dir(sandbox.path())
        .output()
        .expect("systemd-analyze is there: `cargo xtask test` installs it");
    let said = String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success(), "{said}");
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("caxplan-")).collect();
    assert!(ours.is_empty(), "{said}");
}

#[test]
fn the_examples_have_coming_times_and_run() {
    let folder = caxton_tests::root().join("examples/schedules");
    let folder = folder.to_string_lossy();
    let sandbox = Sandbox::new();
    for (file, next) in [
        (
            "nightly-cleanup.yaml",
            "the clocks show this time twice: the first only",
        ),
        (
            "backup-then-report.yaml",
            "2026-10-26 06:00:00  America/New_York  2026-10-26T10:00:00Z",
        ),
    ] {
        let path = format!("{folder}/{file}");
        sandbox
            .caxplan(&[
                "schedule",
                "next",
                &path,
                "-n",
                "3",
                "--from",
                "2026-10-24T12:00Z",
            ])
            .expect_code(0)
            .expect_text(next);
        let place = format!("folder={}", sandbox.path().join("cleanup").display());
        let arguments: &[&str] = match file {
            "nightly-cleanup.yaml" => &["run", &path, "-p", &place],
            _ => &["run", &path],
        };
        sandbox.caxplan(arguments).expect_code(0);
    }
}
