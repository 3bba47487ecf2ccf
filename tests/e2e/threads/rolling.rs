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
