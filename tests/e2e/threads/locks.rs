//! Two runs that must not be at work at the same time.

use super::{LIMIT, effects, runs, sandbox};
use caxton_tests::{Background, Sandbox, wait_until};

/// Starts a plan and waits until its step has begun.
fn start(sandbox: &Sandbox, plan: &str, parameters: &[&str], begun: &str) -> Background {
    let arguments: Vec<&str> = ["run", plan]
        .into_iter()
        .chain(parameters.iter().copied())
        .collect();
    let run = sandbox.start_caxplan(&arguments);
    wait_until(begun, LIMIT, || {
        effects(sandbox).iter().any(|effect| effect == begun)
    });
    run
}

/// A plan that holds a node's lock until there is a file `go`.
fn reserving(what: &str, if_held: &str) -> String {
    format!(
        r#"
name: {what}
params: {{node: {{type: string, default: a}}}}
lock: {{name: "node-{{{{ params.node }}}}", if_held: {if_held}}}
phases:
  - name: work
    steps:
      - {{id: step, action: shell.run, with: {{script: 'echo {what} {{{{ params.node }}}} >> effects; until test -e go; do sleep 0.02; done; echo {what} {{{{ params.node }}}} ended >> effects'}}}}
"#
    )
}

/// rundeck#2684: a job restarted a server while another one was installing on it; the wish is that a job reserves its node, others wait.
#[test]
fn rundeck_2684_a_plan_reserves_the_node_that_it_works_on_and_no_other() {
    let sandbox = Sandbox::new();
    sandbox.file("install.yaml", &reserving("install", "refuse"));
    sandbox.file("restart.yaml", &reserving("restart", "queue"));
    let install = start(&sandbox, "install.yaml", &[], "install a");
    let restart = sandbox.start_caxplan(&["run", "restart.yaml"]);
    let elsewhere = start(&sandbox, "restart.yaml", &["-p", "node=b"], "restart b");
    sandbox.file("go", "");
    for run in [install, restart, elsewhere] {
        run.wait().expect_code(0);
    }
    let effects = effects(&sandbox);
    let at = |line: &str| effects.iter().position(|effect| effect == line);
    assert!(
        at("install a ended").is_some() && at("install a ended") < at("restart a"),
        "{effects:?}"
    );
}

/// rundeck#1500: an incremental backup ran while the full one did, because only runs of the *same* job excluded each other.
#[test]
fn rundeck_1500_different_plans_share_a_lock() {
    let sandbox = Sandbox::new();
    sandbox.file("full.yaml", &reserving("full", "refuse"));
    sandbox.file("incremental.yaml", &reserving("incremental", "skip"));
    let full = start(&sandbox, "full.yaml", &[], "full a");
    sandbox
        .caxplan(&["run", "incremental.yaml"])
        .expect_code(0)
        .expect_text("skipped: the lock `node-a` is held");
    sandbox.file("go", "");
    full.wait().expect_code(0);
    assert_eq!(effects(&sandbox), ["full a", "full a ended"]);
}

/// rundeck#757: both members of a cluster ran the same scheduled job.
#[test]
fn rundeck_757_of_several_schedulers_one_runs_what_is_due() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path().join("plans");
    std::fs::create_dir_all(&folder).expect("made");
    let effects_file = sandbox.path().join("effects");
    let plan = format!(
        "schedule: {{cron: '30 3 * * *', misfire: once}}\nphases: [{{name: work, steps: [{{shell.run: {{script: 'echo ran >> {}'}}}}]}}]\n",
        effects_file.display()
    );
    // Each hour and minute that can be now, so that it does not matter if a minute passes meanwhile.
    let plan = plan.replace("30 3 * * *", "* * * * *");
    std::fs::write(folder.join("job.yaml"), plan).expect("written");
    let looks: Vec<Background> = (0..4)
        .map(|_| sandbox.start_caxplan(&["schedule", "run-due", "plans"]))
        .collect();
    for look in looks {
        look.wait().expect_code(0);
    }
    let ran = effects(&sandbox).len();
    assert_eq!(ran, runs(&sandbox).len());
    assert!((1..=2).contains(&ran), "once a minute: {ran}");
}

/// st2#4481: a concurrency policy of 1 let two executions through that were asked for at the same moment.
#[test]
fn st2_4481_of_many_that_start_at_the_same_moment_one_is_at_work_at_a_time() {
    let sandbox = sandbox(
        "
lock: {name: mutex, if_held: queue}
phases:
  - name: work
    steps:
      - {id: step, action: shell.run, with: {script: echo in >> effects; sleep 0.05; echo out >> effects}}
",
    );
    let all: Vec<Background> = (0..6)
        .map(|_| sandbox.start_caxplan(&["run", "plan.yaml"]))
        .collect();
    for run in all {
        run.wait().expect_code(0);
    }
    assert_eq!(effects(&sandbox), ["in", "out"].repeat(6));
}

/// rundeck#5135: a job that may run only once at a time ran twice when another job called it.
#[test]
fn rundeck_5135_a_plan_keeps_its_lock_when_another_plan_runs_it() {
    let sandbox = Sandbox::new();
    sandbox.file("a.yaml", &reserving("job", "refuse"));
    sandbox.file(
        "b.yaml",
        "name: b\nphases:\n  - name: work\n    steps:\n      - {id: begin, action: shell.run, with: {script: echo b >> effects}}\n      - {id: job, run: a.yaml}\n",
    );
    for (first, second) in [("a.yaml", "b.yaml"), ("b.yaml", "a.yaml"), ("b.yaml", "b.yaml")] {
        let at_work = start(&sandbox, first, &[], "job a");
        sandbox
            .caxplan(&["run", second])
            .expect_code(6)
            .expect_text("the lock `node-a` is held");
        sandbox.file("go", "");
        at_work.wait().expect_code(0);
        let ran = effects(&sandbox);
        assert_eq!(ran.iter().filter(|line| *line == "job a").count(), 1, "{ran:?}");
        assert!(!(first == "a.yaml" && ran.contains(&"b".to_owned())), "{ran:?}");
        for file in ["go", "effects"] {
            std::fs::remove_file(sandbox.path().join(file)).expect("it is there");
        }
    }
}

/// A plan that writes a line, asks a person, and writes another one; its lock is `db`.
fn asking(what: &str, if_held: &str) -> String {
    format!(
        "
lock: {{name: db, if_held: {if_held}}}
phases:
  - name: work
    steps:
      - {{id: begin, action: shell.run, with: {{script: echo {what} >> effects}}}}
      - {{id: ask, approve: Go on?}}
      - {{id: end, action: shell.run, with: {{script: echo {what} ended >> effects}}}}
"
    )
}

/// st2#4779: a limit of one execution counted what ran, and not what was paused; so a second one began beside it.
#[test]
fn st2_4779_a_run_that_waits_for_a_person_keeps_its_lock() {
    let sandbox = Sandbox::new();
    sandbox.file("first.yaml", &asking("first", "refuse"));
    sandbox.file("queued.yaml", &asking("queued", "queue"));
    sandbox.caxplan(&["run", "first.yaml"]).expect_code(5);
    sandbox
        .caxplan(&["run", "first.yaml"])
        .expect_code(6)
        .expect_text("the lock `db` is held by run")
        .expect_text("which waits for a person")
        .expect_text("caxplan cancel");
    let mut queued = sandbox.start_caxplan(&["run", "queued.yaml", "--yes"]);
    // It looks once a second whether the other run still waits.
    std::thread::sleep(std::time::Duration::from_millis(1800));
    assert!(queued.is_running());
    assert_eq!(effects(&sandbox), ["first"]);
    sandbox.caxplan(&["resume", "--last", "--yes"]).expect_code(0);
    queued.wait().expect_code(0);
    assert_eq!(
        effects(&sandbox),
        ["first", "first ended", "queued", "queued ended"]
    );
}

/// A command that could not take the run up has changed nothing: the lock is still the run's.
#[test]
fn st2_4779_a_resume_that_fails_leaves_the_lock_with_the_run() {
    let sandbox = Sandbox::new();
    let plan = format!(
        "params: {{token: {{type: string, secret: true}}}}\n{}",
        asking("work", "refuse").trim_start()
    );
    sandbox.file("plan.yaml", &plan);
    let run = ["run", "plan.yaml", "-p", "token=hunter2-hunter2"];
    sandbox.caxplan(&run).expect_code(5);
    for command in ["resume", "rollback", "cancel"] {
        sandbox
            .caxplan(&[command, "--last"])
            .expect_code(2)
            .expect_text("give again: token");
        sandbox.caxplan(&run).expect_code(6);
    }
    sandbox.caxplan(&["cancel", "--last", "--abort"]).expect_code(0);
    sandbox.caxplan(&run).expect_code(5);
    assert_eq!(effects(&sandbox), ["work", "work"]);
}

/// What keeps a lock can be ended, whether it waits or its engine died.
#[test]
fn st2_4779_a_run_that_waits_is_ended_and_its_lock_is_free() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", &asking("work", "refuse"));
    for way in [&["cancel", "--last"][..], &["cancel", "--last", "--abort"]] {
        sandbox.caxplan(&["run", "plan.yaml"]).expect_code(5);
        sandbox.caxplan(way).expect_code(0);
        assert_eq!(runs(&sandbox)[0]["status"], "cancelled");
        sandbox.caxplan(way).expect_code(1).expect_text("is over already");
    }
    // A run that was cancelled goes on all the same, if a person wants it to, and no other has begun meanwhile.
    sandbox.caxplan(&["resume", "--last", "--yes"]).expect_code(0);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(5);
    sandbox
        .caxplan(&["prune", "--state", "waiting", "--include-resumable"])
        .expect_code(0);
    sandbox.caxplan(&["run", "plan.yaml", "--yes"]).expect_code(0);
    assert_eq!(
        effects(&sandbox),
        ["work", "work", "work ended", "work", "work", "work ended"]
    );
    sandbox.caxplan(&["verify"]).expect_code(0);
}

/// rundeck#716: a job may run as often at once as a limit says, and what comes beyond it waits or is refused.
#[test]
fn rundeck_716_as_many_runs_hold_a_lock_at_once_as_the_plan_says() {
    let sandbox = Sandbox::new();
    let limited = |if_held: &str| reserving("work", &format!("{if_held}, holders: 3"));
    sandbox.file("plan.yaml", &limited("refuse"));
    sandbox.file("queued.yaml", &limited("queue"));
    let three: Vec<Background> = (0..3)
        .map(|_| sandbox.start_caxplan(&["run", "plan.yaml"]))
        .collect();
    let begun = || effects(&sandbox).iter().filter(|line| *line == "work a").count();
    wait_until("all three", LIMIT, || begun() == 3);
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(6)
        .expect_text("the lock `node-a` is held by run");
    let mut fourth = sandbox.start_caxplan(&["run", "queued.yaml"]);
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(fourth.is_running());
    assert_eq!(begun(), 3);
    let mut three = three.into_iter();
    // However a holder ends, its place is free.
    three.next().expect("the first").kill();
    wait_until("the fourth", LIMIT, || begun() == 4);
    sandbox.file("go", "");
    for run in three.chain([fourth]) {
        run.wait().expect_code(0);
    }
}
