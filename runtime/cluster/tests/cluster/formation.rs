//! Clusters come about, agree, lose nodes and get them back.

use crate::support::{House, agreed, deploy, deployed, start, until};
use caxton_cluster::{ClusterError, MemberState};
use caxton_model::{CatalogCommand, CatalogReply, NodeId, Refusal, Version};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_agree_and_go_on_without_one() {
    let house = House::new();
    let [first, second, third] = house.three().await;
    let all = [&first, &second, &third];
    for (number, node) in all.into_iter().enumerate() {
        deployed(node, &format!("agent-{number}")).await;
        assert!(
            node.catalog().agents().len() > number,
            "a proposer sees what it proposed"
        );
    }
    agreed(&all).await;
    assert_eq!(first.catalog().agents().len(), 3);
    assert_eq!(first.catalog().nodes().len(), 3);
    for node in all {
        until("everyone is a voter", || node.status().voters.len() == 3).await;
        until("everyone sees everyone", || node.live_nodes().len() == 3).await;
        assert_eq!(node.read_catalog().await.unwrap().agents().len(), 3);
    }

    // The leader goes, without a word.
    let (gone, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|node| node.is_leader());
    let gone = gone[0];
    gone.shutdown().await;
    assert!(matches!(
        gone.propose(deploy("late")).await,
        Err(ClusterError::Stopped)
    ));
    deployed(left[0], "agent-3").await;
    deployed(left[1], "agent-4").await;
    for node in &left {
        until("the lost node is failed", || {
            node.member_state(gone.node()) == Some(MemberState::Failed)
        })
        .await;
    }

    // It comes back from its own data folder, at another address and with another version, knowing no seeds.
    let mut config = house.config(gone.node().as_str(), &[]);
    config.bootstrap = false;
    config.node.version = Version::from("1.1.0");
    let back = start(config).await.unwrap();
    agreed(&[&back, left[0], left[1]]).await;
    assert_eq!(back.catalog().agents().len(), 5);
    let record = back.catalog().node(back.node()).unwrap().clone();
    assert_eq!(
        (record.version.as_str(), record.cluster_addr.as_str()),
        ("1.1.0", back.cluster_addr())
    );
    for node in &left {
        until("the node is alive again", || {
            node.member_state(back.node()) == Some(MemberState::Alive)
        })
        .await;
    }
    deployed(&back, "agent-5").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_proposes_nothing() {
    let house = House::new();
    let mut config = house.config("node-1", &[]);
    config.timings.proposal_deadline = Duration::from_secs(2);
    let first = start(config).await.unwrap();
    let second = house.start("node-2", &[&first]).await;
    let third = house.start("node-3", &[&first]).await;
    deployed(&first, "before").await;
    second.shutdown().await;
    third.shutdown().await;
    let error = first.propose(deploy("after")).await.unwrap_err();
    assert!(matches!(error, ClusterError::NoQuorum { .. }), "{error}");
    assert!(error.hint().is_some());
    assert!(matches!(
        first.read_catalog().await,
        Err(ClusterError::NoQuorum { .. })
    ));
    until("it is seen that there is no majority", || !first.status().quorum).await;
    assert_eq!(
        first.catalog().agents().len(),
        1,
        "what was agreed is still there to read"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_data_comes_back_under_its_name() {
    let house = House::new();
    let [first, second, third] = house.three().await;
    third.shutdown().await;
    std::fs::remove_dir_all(house.path("node-3.data")).unwrap();
    let third = house.start("node-3", &[&second]).await;
    for node in [&first, &second, &third] {
        until("there are three voters", || node.status().voters.len() == 3).await;
    }
    deployed(&third, "agent").await;
    agreed(&[&first, &second, &third]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_is_no_voter_and_no_failure() {
    let house = House::new();
    let [first, second, third] = house.three().await;
    for node in [&first, &second] {
        until("everyone sees everyone", || node.live_nodes().len() == 3).await;
    }
    third.leave().await.unwrap();
    third.shutdown().await;
    for node in [&first, &second] {
        until("two voters are left", || node.status().voters.len() == 2).await;
        until("it is no member", || node.member_state(third.node()).is_none()).await;
    }
    let again = CatalogCommand::RemoveNode {
        node: NodeId::from("node-3"),
    };
    let refused = CatalogReply::Refused {
        refusal: Refusal::UnknownNode {
            node: NodeId::from("node-3"),
        },
    };
    assert_eq!(first.propose(again).await.unwrap(), refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_survives_a_stop_of_all() {
    let house = House::new();
    let first = house.start("node-1", &[]).await;
    deployed(&first, "agent").await;
    let (before, address) = (first.catalog(), first.local_addr());
    first.shutdown().await;
    // At once, on the same port, in the same folder: as after a switch to another release.
    let mut config = house.config("node-1", &[]);
    config.bind = address;
    let again = start(config).await.unwrap();
    assert_eq!(again.local_addr(), address);
    assert_eq!(again.catalog().agents(), before.agents());
    assert_eq!(again.catalog().nodes(), before.nodes());
}
