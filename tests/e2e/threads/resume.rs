//! Going on where a run stopped.

use super::{LIMIT, effects, runs, sandbox, start_until};
use caxton_tests::{Sandbox, wait_until};

/// Three steps; the second fails until there is a file `fixed`.
const THREE: &str = "
phases:
  - name: work
    steps:
      - {id: one, action: shell.run, with: {script: echo one >> effects}}
      - {id: two, action: shell.run, with: {script: test -e fixed && echo two >> effects}}
      - {id: three, action: shell.run, with: {script: echo three >> effects}}
";

/// rundeck#126: after a failed step the whole workflow had to be run again; the wish is to restart it at that step.
#[test]
fn rundeck_126_a_failed_run_goes_on_at_the_step_that_failed() {
    let sandbox = sandbox(THREE);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    assert_eq!(effects(&sandbox), ["one"]);
    sandbox.file("fixed", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["one", "two", "three"]);
    assert_eq!(runs(&sandbox).len(), 1, "it is the same run that went on");
}

/// rundeck#1130: to go on in the middle of a big job, people copied it and deleted the steps that were done.
#[test]
fn rundeck_1130_a_run_is_repeated_from_a_named_point_without_a_copy_of_the_plan() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: fetch, action: shell.run, with: {script: echo fetch >> effects}}
      - {id: stop, action: shell.run, with: {script: echo stop >> effects}, checkpoint: stopped}
      - {id: load, action: shell.run, with: {script: echo load >> effects}}
      - {id: start, action: shell.run, with: {script: echo start >> effects; test -e fixed}}
",
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("fixed", "");
    sandbox
        .caxplan(&["resume", "--last", "--from", "stopped"])
        .expect_code(0);
    assert_eq!(
        effects(&sandbox),
        ["fetch", "stop", "load", "start", "load", "start"]
    );
}

/// A rolling change of three nodes; that of the second fails until there is a file `fixed`.
const ROLLING: &str = r#"
inventory: {targets: {web-1: {}, web-2: {}, web-3: {}}}
phases:
  - name: roll
    steps:
      - foreach: {var: node, in: "{{ targets() }}", max_failures: 3}
        steps:
          - {id: drain, action: shell.run, target: "{{ node.name }}", with: {script: "echo drain {{ node.name }} >> effects"}}
          - id: change
            action: shell.run
            target: "{{ node.name }}"
            with: {script: "test {{ node.name }} != web-2 || test -e fixed; echo change {{ node.name }} >> effects"}
  - name: after
    steps:
      - {id: check, action: shell.run, with: {script: test -e fixed}}
"#;

/// rundeck#1433: "retry failed nodes" ran the whole job again on all of a thousand nodes. A loop that was stopped by a node goes on
/// with that node.
#[test]
fn rundeck_1433_nodes_that_are_done_are_not_done_again() {
    let sandbox = sandbox(&ROLLING.replace(", max_failures: 3", ""));
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    assert_eq!(effects(&sandbox), ["drain web-1", "change web-1", "drain web-2"]);
    sandbox.file("fixed", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(
        effects(&sandbox)[3..],
        ["change web-2", "drain web-3", "change web-3"]
    );
}

/// ansible/awx#8410: "relaunch on failed" began with the first task of the failed hosts.
#[test]
fn awx_8410_a_relaunch_begins_with_the_failed_task_of_the_failed_host() {
    let sandbox = sandbox(&ROLLING.replace(", max_failures: 3", ", batch_size: 3"));
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    let before = effects(&sandbox).len();
    sandbox.file("fixed", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    let mut all = effects(&sandbox);
    assert!(all[before..].contains(&"change web-2".to_owned()), "{all:?}");
    assert!(!all[before..].contains(&"drain web-2".to_owned()), "{all:?}");
    all.sort_unstable();
    let each_once = [
        "change web-1",
        "change web-2",
        "change web-3",
        "drain web-1",
        "drain web-2",
        "drain web-3",
    ];
    assert_eq!(all, each_once);
}

/// st2#5016: re-running a workflow from a task over a list of items failed with `NoneType object has no attribute get`.
#[test]
fn st2_5016_a_loop_over_items_goes_on_with_the_items_that_failed() {
    let sandbox = sandbox(
        r#"
phases:
  - name: work
    steps:
      - foreach: {var: word, in: [fee, fi, fo, fum], batch_size: 4}
        steps:
          - {id: say, action: shell.run, with: {script: "test {{ word }} != fo || test -e fixed; echo {{ word }} >> effects"}}
      - {id: end, action: shell.run, with: {script: echo end >> effects}}
"#,
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("fixed", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    let all = effects(&sandbox);
    assert_eq!(all[3..], ["fo", "end"], "{all:?}");
    assert_eq!(all.len(), 5, "{all:?}");
}

/// rundeck#3153: only a whole job could be retried; a step after one that consumed its input could not be repeated alone.
#[test]
fn rundeck_3153_a_step_is_retried_by_itself() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: import, action: shell.run, with: {script: echo import >> effects}}
      - id: index
        action: shell.run
        with: {script: 'echo index >> effects; test $CAXPLAN_ATTEMPT = 3'}
        probe: {action: shell.run, with: {script: 'false', changes: false, ok_codes: [0, 1]}, done_when: output.exit_code == 0}
        retry: {attempts: 3, initial: 10ms}
",
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["import", "index", "index", "index"]);
}

/// dagu#1103: after a crash a run stayed `running` for ever, and kept new ones from starting.
#[test]
fn dagu_1103_a_run_of_a_killed_engine_is_not_running_and_bars_nobody() {
    let sandbox = sandbox(
        "
lock: deploy
phases:
  - name: work
    steps:
      - {id: slow, action: shell.run, with: {script: 'echo begun >> effects; test -e go || sleep 987651'}}
",
    );
    let mut run = start_until(&sandbox, "begun");
    assert_eq!(runs(&sandbox)[0]["status"], "running");
    run.kill();
    assert_eq!(runs(&sandbox)[0]["status"], "interrupted");
    sandbox.file("go", "");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(
        runs(&sandbox)[1]["status"],
        "interrupted",
        "the first can still go on"
    );
}

/// dagu#382: what an earlier step had put out was empty when a run went on at the failed step.
#[test]
fn dagu_382_the_output_of_earlier_steps_is_there_when_a_run_goes_on() {
    let sandbox = sandbox(
        r#"
phases:
  - name: work
    steps:
      - {id: pick, action: shell.run, with: {script: 'echo node-$RANDOM | tee picked', shell: [bash, -c]}}
      - {id: use, action: shell.run, with: {script: 'test -e fixed; echo {{ steps.pick.output.stdout | trim }} >> effects'}}
"#,
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("fixed", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), sandbox.read("picked"));
}

/// dagu#2388: to repeat one step with all that builds on it, what is unrelated should stay as it is.
#[test]
fn dagu_2388_what_follows_a_point_runs_again_and_what_was_done_before_it_does_not() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    order: dag
    steps:
      - {id: other, action: shell.run, with: {script: echo other >> effects}, needs: []}
      - {id: fetch, action: shell.run, with: {script: echo fetch >> effects}, needs: [other], checkpoint: fetched}
      - {id: train, action: shell.run, with: {script: echo train >> effects}, needs: [fetch]}
      - {id: deploy, action: shell.run, with: {script: echo deploy >> effects; test -e good}, needs: [train]}
",
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("good", "");
    sandbox
        .caxplan(&["resume", "--last", "--from", "fetched"])
        .expect_code(0);
    assert_eq!(
        effects(&sandbox),
        ["other", "fetch", "train", "deploy", "train", "deploy"]
    );
}

/// argo-workflows#1584: a DAG that *succeeded* with a bad result could not be run again from its middle.
#[test]
fn argo_1584_a_run_that_succeeded_is_repeated_from_a_checkpoint() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: download, action: shell.run, with: {script: echo download >> effects}, checkpoint: downloaded}
      - {id: train, action: shell.run, with: {script: echo train with $(cat rate) >> effects}}
",
    );
    sandbox.file("rate", "1");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    sandbox.file("rate", "2");
    sandbox
        .caxplan(&["resume", "--last", "--from", "downloaded"])
        .expect_code(0);
    assert_eq!(effects(&sandbox), ["download", "train with 1", "train with 2"]);
}

/// ansible#8896: of ten tasks the ninth failed, and all ten ran again.
#[test]
fn ansible_8896_only_the_failed_task_runs_again() {
    let step = |number: u32| {
        let check = if number == 9 { "test -e fixed; " } else { "" };
        format!(
            "      - {{id: task-{number}, action: shell.run, with: {{script: '{check}echo {number} >> effects'}}}}\n"
        )
    };
    let steps: String = (1..=10).map(step).collect();
    let sandbox = sandbox(&format!("phases:\n  - name: work\n    steps:\n{steps}"));
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    assert_eq!(effects(&sandbox).len(), 8);
    sandbox.file("fixed", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    let each_once: Vec<String> = (1..=10).map(|number| number.to_string()).collect();
    assert_eq!(effects(&sandbox), each_once);
}

/// ansible#12565: `--start-at-task` skips the tasks that set the facts which the later ones need.
#[test]
fn ansible_12565_starting_later_keeps_what_earlier_steps_have_found_out() {
    let sandbox = sandbox(
        r#"
phases:
  - name: facts
    steps:
      - {id: facts, action: shell.run, with: {script: 'echo x >> looked; echo blue', changes: false}, checkpoint: known}
  - name: work
    steps:
      - {id: paint, action: shell.run, with: {script: 'echo {{ steps.facts.output.stdout | trim }} >> effects'}}
      - {id: dry, action: shell.run, with: {script: test -e fixed}}
"#,
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("fixed", "");
    sandbox
        .caxplan(&["resume", "--last", "--from", "known"])
        .expect_code(0);
    assert_eq!(effects(&sandbox), ["blue", "blue"]);
    assert_eq!(
        sandbox.read("looked"),
        "x\n",
        "and the facts are not gathered again"
    );
}

/// argo-workflows#12936: a resubmitted DAG started all that was left at once, whatever it depended on.
#[test]
fn argo_12936_a_resumed_dag_keeps_its_order() {
    let step = |id: &str, needs: &str, check: &str| {
        format!(
            "      - {{id: {id}, action: shell.run, with: {{script: '{check}sleep 0.05; echo {id} >> effects'}}, needs: [{needs}]}}\n"
        )
    };
    let sandbox = sandbox(&format!(
        "phases:\n  - name: work\n    order: dag\n    steps:\n{}{}{}{}{}",
        step("a", "", ""),
        step("b", "a", "test -e fixed; "),
        step("c", "b", ""),
        step("d", "c", ""),
        step("e", "d", ""),
    ));
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("fixed", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["a", "b", "c", "d", "e"]);
}

/// A child plan with twenty steps; the nineteenth fails until there is a file `fixed`, if it is run for `bad`.
fn twenty(sandbox: &Sandbox) {
    let step = |number: u32| {
        let check = if number == 19 {
            "test {{ params.name }} != bad || test -e fixed; "
        } else {
            ""
        };
        let checkpoint = if number == 18 { ", checkpoint: nearly" } else { "" };
        format!(
            "      - {{id: task-{number}, action: shell.run, with: {{script: '{check}echo {{{{ params.name }}}}-{number} >> effects'}}{checkpoint}}}\n"
        )
    };
    let steps: String = (1..=20).map(step).collect();
    let text = format!("params: {{name: {{}}}}\nphases:\n  - name: tasks\n    steps:\n{steps}");
    sandbox.file("child.yaml", &text);
}

/// st2#5024: the child workflow failed at its 19th task; it could be run again from there, but then the parent did not go on.
#[test]
fn st2_5024_a_failed_step_of_a_child_plan_is_tried_again_and_the_plan_around_goes_on() {
    let sandbox = sandbox(
        "
phases:
  - name: around
    steps:
      - {id: task1, run: child.yaml, params: {name: bad}}
      - {id: task2, action: shell.run, with: {script: echo task2 >> effects}}
",
    );
    twenty(&sandbox);
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(1)
        .expect_text("around/task1/tasks/task-19");
    assert_eq!(effects(&sandbox).len(), 18);
    sandbox.file("fixed", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    let each_once: Vec<String> = (1..=20)
        .map(|number| format!("bad-{number}"))
        .chain(["task2".to_owned()])
        .collect();
    assert_eq!(effects(&sandbox), each_once);
    assert_eq!(runs(&sandbox).len(), 1, "parent and child are one run");
}

/// dagu#2411: to retry a step of a child DAG did nothing, and said nothing; nor did it start with those beside it left alone.
#[test]
fn dagu_2411_a_step_of_one_child_plan_is_retried_and_those_beside_it_are_not() {
    let sandbox = sandbox(
        "
phases:
  - name: around
    steps:
      - parallel:
          - {id: good, run: child.yaml, params: {name: good}}
          - {id: bad, run: child.yaml, params: {name: bad}}
",
    );
    twenty(&sandbox);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    let before = effects(&sandbox);
    assert_eq!(before.len(), 38, "{before:?}");
    sandbox.file("fixed", "");
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(0)
        .expect_text("around/parallel/bad/tasks/task-19 (attempt 2)");
    assert_eq!(effects(&sandbox)[38..], ["bad-19", "bad-20"]);
}

/// dagu#2411: nor was a step of a child that had succeeded repeated.
#[test]
fn dagu_2411_a_child_plan_that_succeeded_is_repeated_from_a_checkpoint_in_it() {
    let sandbox =
        sandbox("phases: [{name: around, steps: [{id: child, run: child.yaml, params: {name: good}}]}]\n");
    twenty(&sandbox);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    sandbox
        .caxplan(&["resume", "--last", "--from", "nearly"])
        .expect_code(0);
    assert_eq!(effects(&sandbox)[20..], ["good-19", "good-20"]);
}

/// dagu#2298: after a crash the parent had failed, the jobs of the child were `running` for ever, and a retry ended with "deadlock
/// detected: no runnable nodes but DAG not finished".
#[test]
fn dagu_2298_a_run_that_was_killed_in_a_child_plan_with_many_jobs_at_work_goes_on() {
    let sandbox = sandbox(
        "
phases:
  - name: around
    steps:
      - {id: child, run: child.yaml}
      - {id: after, action: shell.run, with: {script: echo after >> effects}}
",
    );
    let job = |name: &str, script: &str| {
        format!(
            "          - id: {name}\n            action: shell.run\n            with: {{script: '{script}'}}\n            probe: {{action: shell.run, with: {{script: grep -qx {name} effects, changes: false, ok_codes: [0, 1]}}, done_when: output.exit_code == 0}}\n"
        )
    };
    let text = format!(
        "phases:\n  - name: jobs\n    steps:\n      - parallel:\n{}{}      - {{id: join, action: shell.run, with: {{script: echo join >> effects}}}}\n",
        job("acted", "echo acted >> effects; test -e go || sleep 987656"),
        job(
            "not-yet",
            "touch begun; test -e go || sleep 987656; echo not-yet >> effects"
        ),
    );
    sandbox.file("child.yaml", &text);
    let mut run = start_until(&sandbox, "acted");
    wait_until("the other job", LIMIT, || sandbox.path().join("begun").exists());
    run.kill();
    let shown = sandbox
        .caxplan(&["show", "--last", "--output", "json"])
        .expect_code(0)
        .json();
    assert_eq!(shown["status"], "interrupted");
    let of_step = |id: &str| {
        let steps = shown["account"]["phases"][0]["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["id"] == id);
        step.unwrap_or_else(|| panic!("no {id} in {shown}"))["status"].clone()
    };
    for job in ["acted", "not-yet"] {
        assert_eq!(of_step(&format!("around/child/jobs/parallel/{job}")), "in_doubt");
    }
    sandbox.file("go", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["acted", "not-yet", "join", "after"]);
    assert_eq!(runs(&sandbox)[0]["status"], "succeeded");
}

/// dagu#2040: what had run on a worker that was killed was `running` for ever, its processes with it, and could not be removed.
#[test]
fn dagu_2040_what_a_killed_engine_left_is_ended_and_can_be_removed() {
    let ends: [(&[&str], i32, &[&str]); 4] = [
        (&["rollback", "--last"], 3, &["begun", "undone"]),
        (&["cancel", "--last"], 0, &["begun", "cleaned"]),
        (&["cancel", "--last", "--abort"], 0, &["begun"]),
        (
            &["prune", "--state", "interrupted", "--include-resumable"],
            0,
            &["begun"],
        ),
    ];
    for (command, code, effect) in ends {
        let sandbox = sandbox(
            "
phases:
  - name: work
    steps:
      - block:
          - {id: slow, action: shell.run, with: {script: 'setsid sleep 987657 & echo $! > pid; echo begun >> effects; wait'}, rollback: {shell.run: {script: echo undone >> effects}}}
        always:
          - {id: clean, action: shell.run, with: {script: echo cleaned >> effects, changes: false}}
",
        );
        let mut run = start_until(&sandbox, "begun");
        let words = format!("/proc/{}/cmdline", sandbox.read("pid").trim());
        let is_at_work = || {
            std::fs::read_to_string(&words)
                .unwrap_or_default()
                .contains("987657")
        };
        wait_until("the program in place of the shell", LIMIT, is_at_work);
        run.kill();
        assert_eq!(runs(&sandbox)[0]["status"], "interrupted");
        assert!(is_at_work(), "nobody has ended it yet");
        sandbox.caxplan(command).expect_code(code);
        assert!(!is_at_work(), "{command:?}");
        assert_eq!(effects(&sandbox), effect, "{command:?}");
        sandbox.caxplan(&["verify"]).expect_code(0);
        let cleared = ["prune", "--state", "rolled_back,cancelled", "--include-resumable"];
        sandbox.caxplan(&cleared).expect_code(0);
        assert_eq!(runs(&sandbox).len(), 0, "{command:?}");
    }
}
