//! Files put on real hosts by plans, previewed, and put back.

use caxton_tests::{Account, Sandbox, Sshd};
use std::fs;

const PLAN: &str = r#"
name: transfers
on_failure: rollback
inventory: fleet.yaml
params: {end: {type: string, default: "true"}}
phases:
  - name: deploy
    steps:
      - foreach_node:
          - id: site
            ssh.upload: {src: site, dest: "ROOT/{{ target.name }}/site", delete: true}
          - id: config
            ssh.template:
              src: site.conf
              vars: {port: 8080}
              dest: "ROOT/{{ target.name }}/site.conf"
              validate: [grep, -q, listen, "{file}"]
          - id: flag
            ssh.file: {path: "ROOT/{{ target.name }}/maintenance", state: absent}
        in: "{{ targets('group:fleet') }}"
        batch_size: 2
  - name: check
    steps:
      - id: end
        shell.run: {argv: ["{{ params.end }}"], changes: false}
"#;

#[test]
fn what_a_plan_put_on_hosts_is_previewed_and_rolled_back() {
    if !Sshd::is_there() {
        return;
    }
    let fleet = Sshd::start(2);
    let sandbox = Sandbox::new();
    // This machine is all of the hosts.
    let root = sandbox.path().join("hosts");
    for host in ["h1", "h2"] {
        fs::create_dir_all(root.join(host).join("site")).expect("made");
        fs::write(root.join(host).join("site/index.html"), "old").expect("written");
        fs::write(root.join(host).join("site/gone.html"), "gone").expect("written");
        fs::write(root.join(host).join("site.conf"), "listen 80\n").expect("written");
        fs::write(root.join(host).join("maintenance"), "").expect("written");
    }
    fs::create_dir(sandbox.path().join("site")).expect("made");
    sandbox.file("site/index.html", "new index");
    sandbox.file("site.conf", "listen {{ port }}\n");
    fleet.write_inventory(sandbox.path(), &Account::own());
    let plan = PLAN.replace("ROOT", &root.display().to_string());
    sandbox.file("plan.yaml", &plan);

    sandbox
        .caxplan(&["preview", "plan.yaml"])
        .expect_code(0)
        .expect_text("-listen 80")
        .expect_text("+listen 8080")
        .expect_text("1 changed, 1 removed")
        .expect_text("would remove h1:");
    let conf = |host: &str| fs::read_to_string(root.join(host).join("site.conf")).expect("it is there");
    assert_eq!(conf("h1"), "listen 80\n");

    sandbox
        .caxplan(&["run", "plan.yaml", "-p", "end=false"])
        .expect_code(3);
    for host in ["h1", "h2"] {
        assert_eq!(conf(host), "listen 80\n", "{host}");
        let index = fs::read_to_string(root.join(host).join("site/index.html")).expect("it is there");
        assert_eq!(index, "old", "{host}");
        for name in ["site/gone.html", "maintenance"] {
            assert!(root.join(host).join(name).exists(), "{host} {name}");
        }
    }

    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    for host in ["h1", "h2"] {
        assert_eq!(conf(host), "listen 8080\n", "{host}");
        for name in ["site/gone.html", "maintenance"] {
            assert!(!root.join(host).join(name).exists(), "{host} {name}");
        }
    }
}
