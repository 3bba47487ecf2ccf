//! Who should be there, and who is.

use crate::gossip::Gossip;
use crate::{MemberState, MemberView, Timings};
use caxton_core::Catalog;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many rounds of probes a node has, after this node's start, to be heard of.
const GRACE_PROBES: u32 = 3;

/// Compares the members that gossip knows with the nodes that the catalog knows.
#[derive(Clone, Copy)]
pub(crate) struct RollCall {
    started: Instant,
    grace: Duration,
}

impl RollCall {
    pub(crate) fn new(timings: &Timings, now: Instant) -> Self {
        Self {
            started: now,
            grace: timings.probe_interval * GRACE_PROBES + timings.suspicion,
        }
    }

    /// Those that gossip knows, and nodes of the catalog that gossip has not heard of. Members that are gone
    /// and in no catalog are history.
    pub(crate) fn view(&self, gossip: &[MemberView], catalog: &Catalog) -> Vec<MemberView> {
        let age = self.started.elapsed();
        let known = gossip
            .iter()
            .filter(|member| member.state.is_live() || catalog.node(&member.id).is_some());
        let unheard = catalog
            .nodes()
            .values()
            .filter(|node| gossip.iter().all(|member| member.id != node.id));
        let unheard = unheard.map(|node| MemberView {
            id: node.id.clone(),
            state: if age < self.grace {
                MemberState::Suspect
            } else {
                MemberState::Failed
            },
            last_seen_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            cluster_addr: node.cluster_addr.clone(),
        });
        let mut view: Vec<MemberView> = known.cloned().chain(unheard).collect();
        view.sort_by(|a, b| a.id.cmp(&b.id));
        view
    }

    /// Publishes the view whenever something other than a time in it has changed.
    pub(crate) async fn publish(
        self,
        gossip: Arc<Gossip>,
        mut catalog: watch::Receiver<Arc<Catalog>>,
        published: watch::Sender<Vec<MemberView>>,
        stop: CancellationToken,
    ) {
        let mut members = gossip.subscribe();
        let grace = tokio::time::sleep_until(self.started + self.grace);
        tokio::pin!(grace);
        let mut grace_is_over = false;
        loop {
            let changed = tokio::select! {
                changed = members.changed() => changed.is_ok(),
                changed = catalog.changed() => changed.is_ok(),
                () = &mut grace, if !grace_is_over => {
                    grace_is_over = true;
                    true
                }
                () = stop.cancelled() => false,
            };
            if !changed {
                return;
            }
            members.mark_unchanged();
            catalog.mark_unchanged();
            let now = self.view(&gossip.members(), &catalog.borrow());
            published.send_if_modified(|before| {
                let changed = !same_but_for_times(before, &now);
                *before = now;
                changed
            });
        }
    }
}

fn same_but_for_times(before: &[MemberView], now: &[MemberView]) -> bool {
    let timeless = |member: &MemberView| (member.id.clone(), member.state, member.cluster_addr.clone());
    before.iter().map(timeless).eq(now.iter().map(timeless))
}
