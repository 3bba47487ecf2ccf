//! Failures are detected in time.

use crate::support::{House, PATIENCE, start, until};
use caxton_cluster::{MemberState, Timings};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_default_timings_a_lost_node_is_failed_and_replaced_as_leader_within_five_seconds() {
    let house = House::new();
    let mut nodes = Vec::new();
    for name in ["node-1", "node-2", "node-3"] {
        let seeds: Vec<_> = nodes.iter().take(1).collect();
        let mut config = house.config(name, &seeds);
        config.timings = Timings::default();
        nodes.push(start(config).await.unwrap());
    }
    for node in &nodes {
        until("everyone sees everyone", || node.live_nodes().len() == 3).await;
        until("everyone votes", || node.status().voters.len() == 3).await;
    }
    let (gone, left): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.is_leader());
    let gone = &gone[0];
    gone.shutdown().await;
    let begin = Instant::now();
    for node in &left {
        let mut members = node.subscribe_members();
        let failed = members.wait_for(|members| {
            members
                .iter()
                .any(|member| member.id == *gone.node() && member.state == MemberState::Failed)
        });
        tokio::time::timeout(PATIENCE, failed)
            .await
            .expect("it is seen")
            .unwrap();
        let mut status = node.subscribe_status();
        let replaced =
            status.wait_for(|status| status.leader.as_ref().is_some_and(|leader| leader != gone.node()));
        tokio::time::timeout(PATIENCE, replaced)
            .await
            .expect("there is a new leader")
            .unwrap();
    }
    let taken = begin.elapsed();
    assert!(taken < Duration::from_secs(5), "it took {taken:?}");
}
