//! Who does not belong is kept out.

use crate::support::{House, PATIENCE, deployed, start, until};
use bytes::Bytes;
use caxton_cluster::security::{CertificateAuthority, Identity};
use caxton_cluster::{ClusterError, Service};
use caxton_model::NodeId;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A node with this config tries to join; it must fail to, with an error that contains `expected`.
async fn check_join(mut config: caxton_cluster::ClusterConfig, expected: &str) {
    config.timings.join_deadline = Duration::from_secs(2);
    let error = start(config).await.err().expect("it must not get in");
    assert!(matches!(error, ClusterError::Join { .. }), "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_opens_no_door() {
    let house = House::new();
    let first = house.start("node-1", &[]).await;
    let mut elsewhere = House::new();
    elsewhere.gossip_key = [9; 32];
    // From the stranger's side, the seed is the stranger; it does not even show its own certificate.
    check_join(
        elsewhere.config("node-2", &[&first]),
        "the peer's certificate is not of this cluster's authority",
    )
    .await;
    // One that trusts us, but whom we do not trust.
    std::fs::copy(house.path("ca.crt"), elsewhere.path("both.crt")).unwrap();
    let own = std::fs::read(elsewhere.path("ca.crt")).unwrap();
    let both = [std::fs::read(house.path("ca.crt")).unwrap(), own].concat();
    std::fs::write(elsewhere.path("both.crt"), both).unwrap();
    let mut config = elsewhere.config("node-2", &[&first]);
    config.identity = Identity::load(
        &elsewhere.path("both.crt"),
        &elsewhere.path("node-2.crt"),
        &elsewhere.path("node-2.key"),
    )
    .unwrap();
    check_join(config, "it does not let us in").await;
    assert_eq!(first.members().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_at_the_address_of_another_is_found_out() {
    let house = House::new();
    let first = house.start("node-1", &[]).await;
    let second = house.start("node-2", &[&first]).await;
    let address = second.local_addr();
    second.shutdown().await;
    // Another node of this cluster's authority listens where node-2 was.
    let mut config = house.config("node-3", &[]);
    config.bind = address;
    config.gossip_key = [9; 32];
    let _impostor = start(config).await.unwrap();
    let error = first
        .request(&NodeId::from("node-2"), Service::MESSAGES, Bytes::new(), PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(error, ClusterError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("is node-3, not node-2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_listens_to_holders_of_the_key_only() {
    let house = House::new();
    let first = house.start("node-1", &[]).await;
    let before = first.gossip_counters();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in [0, 1, 41, 1_400, 9_000] {
        socket
            .send_to(&vec![1; length], first.local_addr())
            .await
            .unwrap();
    }
    until("garbage is counted", || {
        first.gossip_counters().dropped >= before.dropped + 5
    })
    .await;

    // With a certificate but without the key it takes part in consensus, and is seen dead, by all and by
    // itself.
    let mut config = house.config("node-2", &[&first]);
    config.gossip_key = [9; 32];
    let second = start(config).await.unwrap();
    until("its datagrams are dropped", || {
        first.gossip_counters().dropped > before.dropped + 5
    })
    .await;
    until("it is not seen alive", || {
        !first.live_nodes().contains(second.node())
    })
    .await;
    assert_eq!(first.gossip_counters().accepted, before.accepted);
    deployed(&first, "agent").await;
}

#[test]
fn what_is_wrong_with_files_is_said_at_the_start() {
    let house = House::new();
    house.identity("node-1");
    let key = house.path("node-1.key");
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let check = |ca: &str, cert: &str, key: &str, expected: &str| {
        let error = Identity::load(&house.path(ca), &house.path(cert), &house.path(key))
            .err()
            .expect("an error");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("ca.crt", "none.crt", "node-1.key", "none.crt: No such file");
    check("ca.crt", "node-1.key", "node-1.key", "node-1.key");
    check("ca.crt", "ca.crt", "node-1.key", "names no node");

    let other = CertificateAuthority::create("other", HOUR).unwrap();
    std::fs::write(house.path("other.crt"), other.cert_pem()).unwrap();
    check("other.crt", "node-1.crt", "node-1.key", "did not sign it");
    house.identity("node-2");
    check("ca.crt", "node-1.crt", "node-2.key", "node-2.key");

    let short = CertificateAuthority::create("short", HOUR).unwrap();
    std::fs::write(house.path("short.crt"), short.cert_pem()).unwrap();
    let issued = short.issue(&NodeId::from("node-3"), &[], Duration::ZERO).unwrap();
    issued
        .save(&house.path("node-3.crt"), &house.path("node-3.key"))
        .unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    check(
        "short.crt",
        "node-3.crt",
        "node-3.key",
        "the certificate is valid from",
    );

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    check(
        "ca.crt",
        "node-1.crt",
        "node-1.key",
        "can be read by others (mode 0640)",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_rotate_while_connections_go_on() {
    let house = House::new();
    let first = house.start("node-1", &[]).await;
    let identity = house.identity("node-2");
    let mut config = house.config("node-2", &[&first]);
    config.identity = identity.clone();
    let second = start(config).await.unwrap();
    let before = identity.certificate();
    for file in ["node-2.crt", "node-2.key"] {
        std::fs::remove_file(house.path(file)).unwrap();
    }
    house.identity("node-2");
    identity.reload().unwrap();
    assert_ne!(identity.certificate().fingerprint, before.fingerprint);
    assert_eq!(identity.certificate().node(), Some(NodeId::from("node-2")));
    deployed(&second, "agent").await;
    let answer = first
        .request(
            second.node(),
            Service::MESSAGES,
            Bytes::from_static(b"hello"),
            PATIENCE,
        )
        .await;
    assert_eq!(answer.unwrap(), "node-1: hello");
}
