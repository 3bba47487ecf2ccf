//! What a person is asked: with what the run has found out by then, and with nothing else evaluated.

use caxton_tests::Sandbox;

const PLAN: &str = r#"
name: ask
params: {who: {default: nobody}}
secrets: {key: {env: ASK_KEY}}
phases:
  - name: work
    steps:
      - id: look
        action: shell.run
        with: {script: 'printf "%s" "3 nodes, key $KEY"', env: {KEY: "{{ secrets.key }}"}, changes: false}
      - {id: go, approve: "Remove {{ steps.look.output.stdout }} for {{ params.who }}?"}
      - {id: known, approve: "As {{ params.who }}?"}
      - {id: list, checklist: [Backup done, "{{ steps.look.output.exit_code }} errors", "{{ steps.look.output.exit_code }}"]}
      - {id: wrong, approve: "{{ steps.look.output.json.nodes }}?"}
"#;

#[test]
fn a_changed_question_is_told_as_the_plans_have_it() {
    let sandbox = Sandbox::new();
    sandbox.file("old.yaml", PLAN);
    sandbox.file("new.yaml", &PLAN.replace("Remove {{", "Delete {{"));
    let difference = sandbox.caxplan(&["diff", "old.yaml", "new.yaml", "-p", "who=ada"]);
    difference.expect_text("question: \"Remove {{ steps.look.output.stdout }}");
}

#[test]
fn a_question_holds_what_the_run_knows_when_it_asks() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PLAN);
    let environment = [("ASK_KEY", "hunter2-hunter2")];
    let arguments = ["run", "plan.yaml", "-p", "who={{ steps.look.output.stdout }}"];
    let question = "Remove 3 nodes, key *** for {{ steps.look.output.stdout }}?";
    sandbox
        .caxplan_with(&environment, &arguments)
        .expect_code(5)
        .expect_text(question);
    // The engine is gone: the journal has what was asked.
    sandbox
        .caxplan(&["show", "--last"])
        .expect_code(0)
        .expect_text(question);
    sandbox.caxplan(&["approve", "--last", "go"]).expect_code(0);
    // What the parameter holds is text, in a question that only it is part of, too.
    sandbox
        .caxplan_with(&environment, &["resume", "--last"])
        .expect_code(5)
        .expect_text("As {{ steps.look.output.stdout }}?");
    sandbox
        .caxplan_with(&environment, &["resume", "--last", "--yes"])
        .expect_code(1)
        .expect_text("Backup done; 0 errors; 0")
        .expect_text("`steps.look.output` has no `json`");
}
