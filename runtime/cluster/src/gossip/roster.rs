//! What is known of all members.

use super::peer::{Generation, Peer};
use crate::{MemberState, MemberView};
use caxton_model::NodeId;
use foca::State;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What is known of all members: what SWIM says, and when each was last heard of.
pub(super) struct Roster {
    own: Peer,
    left_self: bool,
    started: Instant,
    members: BTreeMap<NodeId, Entry>,
    heard: BTreeMap<NodeId, Instant>,
    left: BTreeMap<NodeId, Generation>,
}

struct Entry {
    address: String,
    state: MemberState,
}

impl Roster {
    pub(super) fn new(own: Peer, now: Instant) -> Self {
        Self {
            own,
            left_self: false,
            started: now,
            members: BTreeMap::new(),
            heard: BTreeMap::new(),
            left: BTreeMap::new(),
        }
    }

    pub(super) fn heard_of(&mut self, id: &NodeId, now: Instant) {
        self.heard.insert(id.clone(), now);
    }

    pub(super) fn says_it_leaves(&mut self, peer: &Peer) {
        self.left.insert(peer.id.clone(), peer.generation);
    }

    pub(super) fn leave(&mut self) {
        self.left_self = true;
    }

    /// Takes over what SWIM knows; says whether a member came, went, moved or changed its state.
    pub(super) fn update<'a>(&mut self, members: impl Iterator<Item = &'a foca::Member<Peer>>) -> bool {
        let mut changed = false;
        for member in members {
            let peer = member.id();
            if peer.id == self.own.id {
                continue;
            }
            let said_so = self.left.get(&peer.id) == Some(&peer.generation);
            let state = match member.state() {
                State::Alive | State::Suspect if said_so => MemberState::Left,
                State::Alive => MemberState::Alive,
                State::Suspect => MemberState::Suspect,
                State::Down if said_so => MemberState::Left,
                State::Down => MemberState::Failed,
            };
            let known = self.members.get(&peer.id);
            if known.is_none_or(|known| known.state != state || known.address != peer.address) {
                changed = true;
                let was = known.map(|known| known.state);
                tracing::info!(member = %peer.id, address = peer.address, was = ?was, now = %state, "membership");
                let entry = Entry {
                    address: peer.address.clone(),
                    state,
                };
                self.members.insert(peer.id.clone(), entry);
            }
        }
        changed
    }

    pub(super) fn view(&self, now: Instant) -> Vec<MemberView> {
        let own = MemberView {
            id: self.own.id.clone(),
            state: if self.left_self {
                MemberState::Left
            } else {
                MemberState::Alive
            },
            last_seen_ms: 0,
            cluster_addr: self.own.address.clone(),
        };
        let others = self.members.iter().map(|(id, entry)| {
            let heard = self.heard.get(id).copied().unwrap_or(self.started);
            MemberView {
                id: id.clone(),
                state: entry.state,
                last_seen_ms: millis(now.saturating_duration_since(heard)),
                cluster_addr: entry.address.clone(),
            }
        });
        let mut view: Vec<_> = others.chain([own]).collect();
        view.sort_by(|a, b| a.id.cmp(&b.id));
        view
    }

    pub(super) fn find(&self, id: &NodeId) -> Option<(MemberState, String)> {
        self.members
            .get(id)
            .map(|entry| (entry.state, entry.address.clone()))
    }

    pub(super) fn is_alone(&self) -> bool {
        !self.members.values().any(|entry| entry.state.is_live())
    }

    pub(super) fn is_live_at(&self, address: &str) -> bool {
        let live = |entry: &Entry| entry.state.is_live() && entry.address == address;
        self.own.address == address || self.members.values().any(live)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
