//! Many targets. What made other engines slow is shown to be absent; nothing is timed.

use super::{effects, sandbox};
use caxton_tests::Sandbox;

/// A plan that greets every target, and an inventory of `count` of them.
fn greetings(count: usize, script: &str) -> Sandbox {
    let sandbox = sandbox(&format!(
        r#"
max_parallel: 8
phases:
  - name: setup
    steps:
      - foreach: {{var: node, in: "{{{{ targets() }}}}", batch_size: {count}}}
        steps:
          - {{id: greet, action: shell.run, target: "{{{{ node.name }}}}", with: {{script: '{script}'}}}}
"#
    ));
    inventory(&sandbox, "inventory.yaml", count);
    sandbox
}

fn inventory(sandbox: &Sandbox, name: &str, count: usize) {
    let targets: String = (0..count)
        .map(|number| format!("  host-{number:05}: {{vars: {{address: 10.0.0.1, rack: r{number}}}}}\n"))
        .collect();
    sandbox.file(name, &format!("targets:\n{targets}"));
}

/// ansible#13023: of an inventory of 7,500 hosts, what was limited to a hundred carried the variables of all through every step.
#[test]
fn ansible_13023_targets_that_a_limit_leaves_out_are_carried_nowhere() {
    let sandbox = greetings(7_500, "echo {{ node.name }} >> effects");
    inventory(&sandbox, "small.yaml", 20);
    let limit = ["--limit", "host-0000*|host-0001*"];
    let graph = |inventory: &str| {
        let preview = [
            "preview",
            "plan.yaml",
            "--output",
            "json",
            "--inventory",
            inventory,
        ];
        let arguments: Vec<&str> = preview.into_iter().chain(limit).collect();
        let text = sandbox.caxplan(&arguments).expect_code(0);
        assert!(!text.stdout.contains("r7499"));
        text.json()["graph"]["nodes"].clone()
    };
    assert!(!graph("small.yaml").is_null());
    assert_eq!(graph("inventory.yaml"), graph("small.yaml"));
    let run = ["run", "plan.yaml", "--inventory", "inventory.yaml"];
    let run: Vec<&str> = run.into_iter().chain(limit).collect();
    sandbox.caxplan(&run).expect_code(0);
    assert_eq!(effects(&sandbox).len(), 20);
    let journal = std::fs::read(sandbox.path().join("state/caxplan.db")).expect("a journal");
    let name = b"host-07499";
    assert!(!journal.windows(name.len()).any(|bytes| bytes == name));
}

/// ansible#17152: a play of more than a thousand hosts stalled before its first task, for each host was a process of its own.
#[test]
fn ansible_17152_a_thousand_targets_at_once_are_worked_on_a_few_at_a_time_and_all_are() {
    const COUNT: usize = 1_100;
    let sandbox = greetings(
        COUNT,
        ": > at-work/{{ node.name }}; set -- at-work/*; echo {{ node.name }} $# >> effects; rm at-work/{{ node.name }}",
    );
    std::fs::create_dir(sandbox.path().join("at-work")).expect("made");
    sandbox
        .caxplan(&["run", "plan.yaml", "--inventory", "inventory.yaml", "--quiet"])
        .expect_code(0);
    let mut names = Vec::new();
    for line in effects(&sandbox) {
        let (name, at_work) = line.split_once(' ').expect("two words");
        let at_work: usize = at_work.parse().expect("a number");
        assert!((1..=8).contains(&at_work), "{line}");
        names.push(name.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), COUNT);
}
