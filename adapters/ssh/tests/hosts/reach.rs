//! Reaching hosts: keys, certificates, host keys, jump hosts, OpenSSH's configuration, broken connections.

use crate::support::{World, message, stdout, watched};
use caxplan_adapter::Context;
use caxplan_model::{FailureEffect, FailureKind, Outcome};
use caxton_tests::{Account, Sshd, SshdOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn keygen(arguments: &[&str]) {
    let output = Command::new("ssh-keygen")
        .args(arguments)
        .output()
        .expect("OpenSSH is installed");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Nothing was done, and the message says all of this.
#[track_caller]
fn refused(outcome: &Outcome, kind: FailureKind, says: &[&str]) {
    let said = message(outcome);
    let Outcome::Failed { cause, effect } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((cause.kind, *effect), (kind, FailureEffect::None), "{said}");
    for wanted in says {
        assert!(said.contains(wanted), "no `{wanted}` in: {said}");
    }
}

/// Variables that leave only what is named here to prove with who we are.
fn only(identity: &Value, certificate: &Value) -> Value {
    json!({ "ssh_identity": identity, "ssh_certificate": certificate })
}

#[tokio::test]
async fn keys_let_in_and_what_was_tried_is_said() {
    let Some(world) = World::new(1) else { return };
    let key = text(&world.fleet.identity());
    let in_with = |vars: Value| {
        let world = &world;
        async move { world.script_with(0, "echo in", &vars).await }
    };
    let bare = world.account.folder();
    let copy = bare.path().join("key");
    std::fs::copy(&key, &copy).expect("it is ours");
    assert_eq!(
        stdout(&in_with(only(&json!(text(&copy)), &json!(null))).await),
        "in\n"
    );

    for (kind, options) in [("rsa", &["-b", "2048"][..]), ("ecdsa", &[])] {
        let file = bare.path().join(kind);
        keygen(&[&["-q", "-t", kind, "-N", "", "-f", &text(&file)], options].concat());
        let public = std::fs::read_to_string(file.with_extension("pub")).expect("made");
        let mut allowed = std::fs::read_to_string(world.fleet.authorized_keys()).expect("it is there");
        allowed.push_str(&public);
        std::fs::write(world.fleet.authorized_keys(), allowed).expect("it is ours");
        assert_eq!(
            stdout(&in_with(only(&json!(text(&file)), &json!(null))).await),
            "in\n",
            "{kind}"
        );
    }

    let locked = bare.path().join("locked");
    keygen(&["-q", "-t", "ed25519", "-N", "secret", "-f", &text(&locked)]);
    let stranger = bare.path().join("stranger");
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &text(&stranger)]);
    let files = json!([text(&locked), text(&stranger), "/no/such/key"]);
    refused(
        &in_with(only(&files, &json!(null))).await,
        FailureKind::Denied,
        &[
            "locked: it is encrypted",
            "ssh-add",
            "stranger: refused by the host",
            "/no/such/key: there is no such file",
            "authorized_keys",
        ],
    );
}

#[tokio::test]
async fn an_agent_holds_keys_and_certificates() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    for user_certificate in [false, true] {
        let options = SshdOptions {
            user_certificate,
            ..Default::default()
        };
        let world = World::of(Sshd::with(1, &options), Account::ordinary());
        let config = world.fleet.path().join("config");
        let lines = format!(
            "IdentityAgent {}\nIdentityFile /no/such/key\n",
            world.fleet.agent().display()
        );
        std::fs::write(&config, lines).expect("it is ours");
        let vars = json!({ "ssh_identity": null, "ssh_certificate": null, "ssh_config": text(&config) });
        assert_eq!(
            stdout(&world.script_with(0, "echo in", &vars).await),
            "in\n",
            "{user_certificate}"
        );
        // The agent's keys are left alone if so told.
        let lines = format!(
            "IdentityAgent {}\nIdentityFile /no/such/key\nIdentitiesOnly yes\n",
            world.fleet.agent().display()
        );
        std::fs::write(&config, lines).expect("it is ours");
        refused(
            &world.script_with(0, "echo in", &vars).await,
            FailureKind::Denied,
            &["/no/such/key"],
        );
    }
}

#[tokio::test]
async fn user_certificates_let_in_while_they_are_valid() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    let options = SshdOptions {
        user_certificate: true,
        ..Default::default()
    };
    let world = World::of(Sshd::with(1, &options), Account::ordinary());
    assert_eq!(stdout(&world.script(0, "echo in").await), "in\n");

    let folder = world.account.folder();
    let key = folder.path().join("key");
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &text(&key)]);
    let authority = text(&world.fleet.authority());
    let name = world.account.name().to_owned();
    let sign = |validity: &str| {
        let public = text(&key.with_extension("pub"));
        keygen(&[
            "-q", "-s", &authority, "-I", "someone", "-n", &name, "-V", validity, &public,
        ]);
    };
    // Beside the key, it is found by itself.
    let vars = only(&json!(text(&key)), &json!(null));
    sign("-1h:+1h");
    assert_eq!(stdout(&world.script_with(0, "echo in", &vars).await), "in\n");
    let fresh = World::of(Sshd::with(1, &options), Account::ordinary());
    sign("20200101:20200102");
    refused(
        &fresh.script_with(0, "echo in", &vars).await,
        FailureKind::Denied,
        &["the certificate `someone`", "expired at 2020-01-0"],
    );
    sign("+1d:+2d");
    refused(
        &fresh.script_with(0, "echo in", &vars).await,
        FailureKind::Denied,
        &["is not valid before"],
    );
}

#[tokio::test]
async fn a_host_must_show_the_key_it_is_known_by() {
    let Some(world) = World::new(2) else { return };
    let folder = world.account.folder();
    let known = folder.path().join("known");
    let with = |policy: &str| json!({ "ssh_known_hosts": text(&known), "ssh_host_key": policy });
    let key = |server: usize| {
        let path = format!("{}.pub", world.fleet.host_key(server).display());
        std::fs::read_to_string(path).expect("it is there")
    };
    let names = |server: usize| format!("[{}]:{}", world.fleet.address(server), world.fleet.port());

    std::fs::write(&known, "").expect("ours");
    refused(
        &world.script_with(0, "true", &with("strict")).await,
        FailureKind::Denied,
        &["is not known", "SHA256:", &text(&known), &names(0), "accept-new"],
    );
    // Another's key: it has changed, whatever the policy.
    std::fs::write(&known, format!("# a comment\n{} {}", names(0), key(1))).expect("ours");
    for policy in ["strict", "accept-new"] {
        refused(
            &world.script_with(0, "true", &with(policy)).await,
            FailureKind::Denied,
            &[
                "HAS CHANGED",
                "SHA256:",
                &format!("{}:2", known.display()),
                "ssh-keygen -R",
            ],
        );
    }
    std::fs::write(&known, format!("@revoked {} {}", names(0), key(0))).expect("ours");
    refused(
        &world.script_with(0, "true", &with("accept-new")).await,
        FailureKind::Denied,
        &["is revoked"],
    );

    // A new host is written down, once; without its line, the next connection would not be let through.
    std::fs::write(&known, "other ssh-ed25519 AAAA").expect("ours");
    stdout(&world.script_with(0, "true", &with("accept-new")).await);
    let learned = std::fs::read_to_string(&known).expect("it is there");
    assert!(
        learned.starts_with("other ssh-ed25519 AAAA\n") && learned.contains(&names(0)),
        "{learned}"
    );
    stdout(&world.script_with(0, "true", &with("strict")).await);

    // Hashed names, and patterns.
    std::fs::write(&known, format!("{} {}", names(0), key(0))).expect("ours");
    keygen(&["-q", "-H", "-f", &text(&known)]);
    let again = json!({ "ssh_known_hosts": [text(&known), "/no/such/file"] });
    assert!(
        std::fs::read_to_string(&known)
            .expect("it is there")
            .starts_with("|1|")
    );
    stdout(&world.script_with(0, "true", &again).await);
}

#[tokio::test]
async fn a_known_key_is_asked_for_though_the_host_prefers_another() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let other = folder.path().join("rsa");
    keygen(&["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", &text(&other)]);
    let options = SshdOptions {
        config: vec![format!("HostKey {}", other.display())],
        ..Default::default()
    };
    let world = World::of(Sshd::with(1, &options), Account::ordinary());
    stdout(&world.script(0, "true").await);
    // Known by the other one alone.
    let known = folder.path().join("known");
    let public = std::fs::read_to_string(other.with_extension("pub")).expect("made");
    let line = format!("[{}]:{} {public}", world.fleet.address(0), world.fleet.port());
    std::fs::write(&known, line).expect("ours");
    let vars = json!({ "ssh_known_hosts": text(&known) });
    stdout(&world.script_with(0, "true", &vars).await);
}

#[tokio::test]
async fn host_certificates_are_checked() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    let options = SshdOptions {
        host_certificates: true,
        ..Default::default()
    };
    let world = World::of(Sshd::with(1, &options), Account::ordinary());
    stdout(&world.script(0, "true").await);
    let authority = text(&world.fleet.authority());
    let public = format!("{}.pub", world.fleet.host_key(0).display());
    let mut world = world;
    for (arguments, says) in [
        (
            vec!["-h", "-n", "other.example.com"],
            "is one for other.example.com, not for 127.0.0.2",
        ),
        (
            vec!["-h", "-n", "127.0.0.2", "-V", "20200101:20200102"],
            "expired at 2020-01-0",
        ),
    ] {
        keygen(&[vec!["-q", "-s", &authority, "-I", "h"], arguments, vec![&public]].concat());
        world.fleet.stop(0);
        world.fleet.restart(0);
        refused(&world.script(0, "true").await, FailureKind::Denied, &[says]);
    }
    // An authority that is not the one of this host.
    let known = world.fleet.path().join("other_known");
    let client = std::fs::read_to_string(world.fleet.identity().with_extension("pub")).expect("it is there");
    std::fs::write(&known, format!("@cert-authority * {client}")).expect("ours");
    let vars = json!({ "ssh_known_hosts": text(&known) });
    refused(
        &world.script_with(0, "true", &vars).await,
        FailureKind::Denied,
        &["is not the authority of", "other_known:1"],
    );
}

#[tokio::test]
async fn jump_hosts_lead_to_a_host() {
    let Some(world) = World::new(3) else { return };
    let jump = |server: usize| format!("{}@{}", world.account.name(), world.fleet.endpoint(server));
    let vars = json!({ "ssh_jump": format!("{},{}", jump(0), jump(1)) });
    assert_eq!(
        stdout(
            &world
                .script_with(2, "echo in; echo $SSH_CONNECTION | cut -d' ' -f1", &vars)
                .await
        ),
        "in\n127.0.0.1\n"
    );
    // The jump host's own connection is the one that its own steps use.
    stdout(&world.script_with(0, "true", &json!({})).await);
    for server in 0..3 {
        let log = world.fleet.log(server);
        assert_eq!(log.matches("Accepted publickey").count(), 1, "{server}: {log}");
    }
    let vars = json!({ "ssh_jump": jump(0), "ssh_port": 1 });
    refused(
        &world.script_with(2, "true", &vars).await,
        FailureKind::Unavailable,
        &["through", "the jump host cannot connect to it"],
    );
}

#[tokio::test]
async fn openssh_s_configuration_is_followed() {
    let Some(world) = World::new(2) else { return };
    let config = world.fleet.path().join("config");
    let lines = format!(
        "Host inner\n  HostName {}\n  ProxyJump outer\nHost outer\n  HostName %h\n  HostName {}\nHost bad\n  ProxyCommand nc %h %p\n\
         Host inner outer\n  User {}\n  Port {}\n  IdentityFile \"{}\"\n  UserKnownHostsFile {}\n  ConnectTimeout 20\n  ServerAliveInterval 5\n",
        world.fleet.address(1),
        world.fleet.address(0),
        world.account.name(),
        world.fleet.port(),
        world.fleet.identity().display(),
        world.fleet.known_hosts().display(),
    );
    // `HostName %h` of `outer` is the first value: the name itself, which does not exist.
    std::fs::write(&config, lines.replace("  HostName %h\n", "")).expect("ours");
    let vars = json!({
        "address": "inner", "ssh_config": text(&config), "ssh_user": null, "ssh_port": null, "ssh_identity": null,
        "ssh_certificate": null, "ssh_known_hosts": null,
    });
    assert_eq!(stdout(&world.script_with(0, "echo in", &vars).await), "in\n");
    assert_eq!(world.fleet.log(0).matches("Accepted publickey").count(), 1);

    let mut bad = vars.clone();
    bad["address"] = json!("bad");
    refused(
        &world.script_with(0, "true", &bad).await,
        FailureKind::Invalid,
        &["config:7: proxycommand cannot be honoured for bad", "ProxyJump"],
    );
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let Some(world) = World::new(1) else { return };
    for (vars, says) in [
        (json!({ "ssh_host_key": "no" }), "`strict` or `accept-new`"),
        (json!({ "ssh_port": "many" }), "`ssh_port` is \"many\""),
        (json!({ "ssh_connect_timeout": 5 }), "duration such as 10s"),
        (json!({ "address": "a b" }), "no address"),
        (json!({ "address": "-oProxyCommand=x" }), "no address"),
        (json!({ "address": "local" }), "this machine"),
        (json!({ "sudo": 5 }), "`sudo` is 5"),
        (json!({ "ssh_config": "/no/such/file" }), "/no/such/file"),
    ] {
        refused(
            &world.script_with(0, "true", &vars).await,
            FailureKind::Invalid,
            &[says],
        );
    }
    let mut call = world.call(0, "ssh.run", &json!({ "argv": ["true"] }));
    call.target = None;
    let outcome = world.adapter.perform(&call, &Context::detached(".")).await;
    refused(
        &outcome,
        FailureKind::Invalid,
        &["ssh.run is told no host", "`target`"],
    );
}

#[tokio::test]
async fn a_broken_connection_is_opened_anew() {
    let Some(mut world) = World::new(1) else { return };
    stdout(&world.script(0, "true").await);
    world.fleet.cut(0);
    stdout(&world.script(0, "true").await);
    world.fleet.stop(0);
    refused(
        &world.script(0, "true").await,
        FailureKind::Unavailable,
        &["Connection refused"],
    );
    world.fleet.restart(0);
    stdout(&world.script(0, "true").await);
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up_in_time() {
    let Some(world) = World::new(1) else { return };
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = silent.local_addr().expect("it is bound").port();
    let vars = json!({ "address": "127.0.0.1", "ssh_port": port, "ssh_connect_timeout": "300ms" });
    refused(
        &world.script_with(0, "true", &vars).await,
        FailureKind::Unavailable,
        &["no answer within 300ms"],
    );
}

#[tokio::test]
async fn waiting_sees_a_host_go_down_and_come_back() {
    let Some(mut world) = World::new(1) else { return };
    stdout(&world.script(0, "true").await);
    let with = json!({ "down_first": true, "every": "100ms", "for": "30s", "argv": ["true"] });
    let call = world.call(0, "ssh.wait", &with);
    let (context, output) = watched();
    let adapter = world.adapter.clone();
    let waiting = tokio::spawn({
        let context = context.clone();
        async move { adapter.perform(&call, &context).await }
    });
    output.holds("has not gone down yet").await;
    world.fleet.stop(0);
    output.holds("h1 has gone down").await;
    world.fleet.restart(0);
    let outcome = waiting.await.expect("it does not panic");
    assert!(matches!(outcome, Outcome::Unchanged { .. }), "{outcome:?}");

    let with = json!({ "argv": ["false"], "every": "100ms", "for": "300ms" });
    let outcome = world
        .adapter
        .perform(&world.call(0, "ssh.wait", &with), &context)
        .await;
    refused(
        &outcome,
        FailureKind::Exit,
        &[
            "not as wanted within 300ms",
            "`false` on h1 ends with exit code 1",
        ],
    );
}

#[tokio::test]
async fn streams_go_over_one_connection() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::of(Sshd::start(1), Account::sudoer());
    let context = Context::detached(".");
    let call = world.call(0, "ssh.run", &json!({}));
    let host = world.connections.host(&call, None, &context).expect("it is one");
    for sudo in [caxplan_ssh::Sudo::No, caxplan_ssh::Sudo::Root] {
        let command = caxplan_ssh::Command::script("id -u; cat").sudo(sudo);
        let mut stream = host.open(&command, &context).await.expect("it starts");
        stream.write_all(b"through").await.expect("it is taken");
        stream.shutdown().await.expect("its input ends");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("it ends");
        assert!(said.ends_with("\nthrough"), "{said}");
    }
    assert_eq!(world.fleet.log(0).matches("Accepted publickey").count(), 1);
    let missing = host
        .open(&caxplan_ssh::Command::new(["no-such-program"]), &context)
        .await;
    assert!(matches!(missing, Err(caxplan_ssh::Broken::NeverStarted(_))));
}

#[tokio::test]
async fn the_lists_of_algorithms_are_those_of_the_configuration() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    let options = SshdOptions {
        config: vec![
            "KexAlgorithms ecdh-sha2-nistp256".to_owned(),
            "Ciphers aes128-ctr,aes256-ctr".to_owned(),
        ],
        ..SshdOptions::default()
    };
    let world = World::of(Sshd::with(1, &options), Account::ordinary());
    let folder = tempfile::tempdir().expect("a folder");
    let with = |lines: &str| {
        let config = folder.path().join("config");
        std::fs::write(&config, format!("Host *\n{lines}\n")).expect("it is ours");
        let (world, vars) = (&world, json!({ "ssh_config": text(&config) }));
        async move { world.script_with(0, "echo in", &vars).await }
    };
    refused(
        &with("").await,
        FailureKind::Unavailable,
        &["ecdh-sha2-nistp256", "curve25519-sha256"],
    );
    assert_eq!(stdout(&with("KexAlgorithms +ecdh-sha2-*").await), "in\n");
    refused(
        &with("KexAlgorithms +ecdh-sha2-*\nCiphers -*-ctr").await,
        FailureKind::Unavailable,
        &["aes128-ctr", "chacha20-poly1305@openssh.com"],
    );
    refused(
        &with("Ciphers rot13").await,
        FailureKind::Invalid,
        &["config:2", "rot13", "aes256-gcm@openssh.com"],
    );
}
