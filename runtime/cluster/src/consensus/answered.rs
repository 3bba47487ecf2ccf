//! The proposals that were applied lately.

use super::types::ProposalId;
use caxton_model::CatalogReply;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How many proposals are remembered. A proposal is sent again for some ten seconds at most; in that time far
/// fewer are applied.
const ANSWERED_MAX: usize = 4_096;

/// The proposals that were applied lately, with their replies: one that comes again gets the same reply and
/// changes nothing. Part of the replicated state, so that all nodes decide alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Answered {
    order: VecDeque<ProposalId>,
    replies: BTreeMap<ProposalId, CatalogReply>,
}

impl Answered {
    pub(super) fn reply(&self, id: &ProposalId) -> Option<&CatalogReply> {
        self.replies.get(id)
    }

    pub(super) fn remember(&mut self, id: ProposalId, reply: CatalogReply) {
        if self.order.len() == ANSWERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.replies.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.replies.insert(id, reply);
    }
}
