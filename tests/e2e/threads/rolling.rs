//! Batches, and how many may fail.

use super::{effects, sandbox};
use caxton_tests::Sandbox;

/// A rolling change of nodes `n1`, `n2`, …; those of `bad` fail.
fn rolling(count: usize, bad: &str, options: &str) -> Sandbox {
    let targets: Vec<String> = (1..=count).map(|number| format!("n{number}: {{}}")).collect();
    sandbox(&format!(
        r#"
inventory: {{targets: {{{}}}}}
phases:
  - name: roll
    steps:
      - foreach: {{var: node, in: "{{{{ targets() }}}}", {options}}}
        steps:
          - id: change
            action: shell.run
            target: "{{{{ node.name }}}}"
            with: {{script: 'echo {{{{ node.name }}}} >> effects; case {{{{ node.name }}}} in {bad}) exit 1;; esac'}}
  - name: after
    steps:
      - {{id: after, action: shell.run, with: {{script: echo after >> effects}}}}
"#,
        targets.join(", ")
    ))
}

/// What was tried, in the order of names.
fn tried(sandbox: &Sandbox) -> Vec<String> {
    let mut tried = effects(sandbox);
    tried.sort_unstable();
    tried
}

/// ansible#82267: if all hosts of one batch failed the play ended, although `max_fail_percentage` allowed for it.
#[test]
fn ansible_82267_a_batch_that_fails_as_a_whole_is_no_end_if_that_many_may_fail() {
    let sandbox = rolling(6, "n1|n2", "batch_size: 2, max_failures: 2");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(tried(&sandbox), ["after", "n1", "n2", "n3", "n4", "n5", "n6"]);
}

/// ansible#32255: one failed host in a batch ended the play although more were allowed to fail.
#[test]
fn ansible_32255_one_failure_in_a_batch_is_no_end_if_it_may_fail() {
    let sandbox = rolling(4, "n2", "batch_size: 2, max_failures: 1");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(tried(&sandbox), ["after", "n1", "n2", "n3", "n4"]);
}

/// ansible#6781: with one host at a time the first failure was 100 % of its batch, and the play ended.
#[test]
fn ansible_6781_the_share_that_may_fail_is_one_of_all_targets_and_not_of_a_batch() {
    let sandbox = rolling(2, "n1", "batch_size: 1, max_failures: 1");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(tried(&sandbox), ["after", "n1", "n2"]);
}

/// ansible/proposals#133: the wish for one number of hosts that may fail in all batches together.
#[test]
fn proposals_133_failures_are_counted_over_all_batches() {
    let sandbox = rolling(6, "n1|n3|n4", "batch_size: 1, max_failures: 2");
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(1)
        .expect_text("roll/n4/change");
    assert_eq!(
        effects(&sandbox),
        ["n1", "n2", "n3", "n4"],
        "it stops at the third"
    );
}

/// kured#841: a node was made unavailable before anybody looked whether it was the last one that stood.
#[test]
fn kured_841_no_more_targets_are_taken_down_at_once_than_the_plan_allows() {
    let sandbox = sandbox(
        r#"
inventory: {targets: {n1: {}, n2: {}, n3: {}, n4: {}}}
phases:
  - name: roll
    steps:
      - foreach: {var: node, in: "{{ targets() }}", batch_size: 4, max_unavailable: 1}
        steps:
          - {id: down, action: shell.run, target: "{{ node.name }}", with: {script: echo down >> effects}}
          - {id: up, action: shell.run, target: "{{ node.name }}", with: {script: sleep 0.05; echo up >> effects}}
"#,
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["down", "up"].repeat(4));
}

/// A rolling reboot of three nodes; the second one can never be drained.
fn reboots(drain: &str) -> Sandbox {
    sandbox(&format!(
        r#"
lock: {{name: reboots, if_held: refuse}}
inventory: {{targets: {{n1: {{}}, n2: {{}}, n3: {{}}}}}}
phases:
  - name: roll
    steps:
      - foreach: {{var: node, in: "{{{{ targets() }}}}", max_failures: 1}}
        steps:
          - block:
              - id: drain
                action: shell.run
                target: "{{{{ node.name }}}}"
                timeout: 2s
                with: {{script: 'echo cordon {{{{ node.name }}}} >> effects; test {{{{ node.name }}}} != n2 || sleep 987660'}}
                {drain}
              - {{id: reboot, action: shell.run, target: "{{{{ node.name }}}}", with: {{script: 'echo reboot {{{{ node.name }}}} >> effects'}}}}
            always:
              - {{id: uncordon, action: shell.run, target: "{{{{ node.name }}}}", with: {{script: 'echo uncordon {{{{ node.name }}}} >> effects'}}}}
"#
    ))
}

/// kured#82: a node that could not be drained, because of a disruption budget, was tried for ever; it stayed cordoned, and no other
/// node was rebooted for the lock that it held.
#[test]
fn kured_82_a_node_that_cannot_be_drained_is_given_back_and_the_others_go_on() {
    let sandbox = reboots("");
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(0)
        .expect_text("roll/n2/block/drain failed");
    let all = effects(&sandbox);
    assert_eq!(
        all,
        [
            "cordon n1",
            "reboot n1",
            "uncordon n1",
            "cordon n2",
            "uncordon n2",
            "cordon n3",
            "reboot n3",
            "uncordon n3"
        ]
    );
    sandbox
        .caxplan(&["run", "plan.yaml", "--limit", "n1"])
        .expect_code(0);
    assert_eq!(effects(&sandbox).len(), all.len() + 3, "the lock is free");
}

/// kured#82: the wish to reboot it anyway, as a choice.
#[test]
fn kured_82_a_plan_may_say_that_a_failed_drain_does_not_matter() {
    let sandbox = reboots("on_failure: continue");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(effects(&sandbox)[3..6], ["cordon n2", "reboot n2", "uncordon n2"]);
}
