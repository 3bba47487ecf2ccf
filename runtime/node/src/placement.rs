//! On the leader: decides where agents run, whenever something has changed.

use crate::node::Shared;
use caxton_core::placement;
use caxton_model::{CatalogReply, NodeId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The most assignments of one round.
const ASSIGNMENTS_MAX: usize = 64;
/// How often to look even if nothing was heard of.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a new leader takes nodes of which gossip knows nothing for live: it may not have heard of them yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs until `stop`. Does nothing while another node leads.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut catalog = shared.cluster.subscribe_catalog();
    let mut members = shared.cluster.subscribe_members();
    let mut status = shared.cluster.subscribe_status();
    let mut leads_since: Option<Instant> = None;
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if shared.cluster.is_leader() {
            let since = *leads_since.get_or_insert_with(Instant::now);
            catalog.mark_unchanged();
            place(&shared, since.elapsed() >= PATIENCE).await;
        } else {
            leads_since = None;
        }
        let open = tokio::select! {
            () = stop.cancelled() => return,
            changed = catalog.changed() => changed.is_ok(),
            changed = members.changed() => changed.is_ok(),
            changed = status.changed() => changed.is_ok(),
            _ = period.tick() => true,
        };
        if !open {
            return;
        }
    }
}

async fn place(shared: &Shared, unheard_is_dead: bool) {
    let catalog = shared.cluster.catalog();
    let members = shared.cluster.members();
    let live: BTreeSet<NodeId> = catalog
        .nodes()
        .keys()
        .filter(|node| match members.iter().find(|member| member.id == **node) {
            Some(member) => member.state.is_live(),
            None => !unheard_is_dead,
        })
        .cloned()
        .collect();
    for command in placement::propose(&catalog, &live, ASSIGNMENTS_MAX) {
        match shared.cluster.propose(command.clone()).await {
            Ok(CatalogReply::Applied { .. }) => info!(?command, "placed"),
            // The facts have changed meanwhile: the next round decides on the new ones.
            Ok(CatalogReply::Refused { refusal }) => info!(?refusal, "placement overtaken"),
            Err(error) => {
                warn!(%error, "placement not agreed on");
                return;
            }
        }
    }
}
