//! What only the leader can do, and other nodes ask it for.

use super::raft::Consensus;
use super::types::{Proposal, RaftId, RaftNode, Reply};
use caxton_model::{CatalogCommand, CatalogReply, NodeId};
use openraft::ChangeMembers;
use openraft::error::{CheckIsLeaderError, ClientWriteError, ForwardToLeader, RaftError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The most voters. More make agreement slower, not safer; further nodes follow as learners.
const VOTERS_MAX: usize = 5;

/// How long a new node may take to get the log.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Apply this.
    Propose(Proposal),
    /// Up to where must I have applied the log, to have seen everything until now?
    Read,
    /// Let me take part.
    Join {
        /// As whom.
        raft_id: RaftId,
        /// Who and where I am.
        node: RaftNode,
    },
}

/// What the leader, or who was taken for it, answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The proposal was applied or refused.
    Proposed(CatalogReply),
    /// Up to this entry.
    ReadAt(Option<u64>),
    /// You take part.
    Joined,
    /// Ask that one, if any.
    NotLeader {
        /// Who leads, and where it is.
        leader: Option<RaftNode>,
    },
    /// Try again.
    Failed {
        /// Why it did not work.
        reason: String,
    },
}

/// Who takes part in consensus.
struct Participants {
    /// Those that vote, or will when a change that is under way is done.
    voters: BTreeSet<RaftId>,
    /// All, with the names of their nodes.
    nodes: Vec<(RaftId, NodeId)>,
    /// Whether no change is under way. One is, if a leader was lost in the middle of it.
    settled: bool,
}

impl Consensus {
    /// Does what only the leader can do, if this node leads.
    pub(super) async fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Propose(proposal) => self.write(proposal).await,
            Request::Read => match self.raft.get_read_log_id().await {
                Ok((position, _)) => Answer::ReadAt(position.map(|id| id.index)),
                Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to))) => self.not_leader(&to),
                Err(error) => failed(&error),
            },
            Request::Join { raft_id, node } => match self.admit(raft_id, node).await {
                Ok(()) => Answer::Joined,
                Err(answer) => answer,
            },
        }
    }

    async fn write(&self, proposal: Proposal) -> Answer {
        let command: Result<CatalogCommand, _> = serde_json::from_str(&proposal.command);
        let reply = match self.raft.client_write(proposal).await {
            Ok(written) => written.data,
            Err(error) => return self.write_failed(&error),
        };
        let Reply::Catalog(reply) = reply else {
            return Answer::Failed {
                reason: "the entry was not applied as a command".to_owned(),
            };
        };
        if let (Ok(CatalogCommand::RemoveNode { node }), CatalogReply::Applied { .. }) = (&command, &reply) {
            // The node is out of the catalog whatever comes of this; while it stays a voter, it counts for
            // majorities.
            if let Err(answer) = self.expel(node).await {
                tracing::warn!(%node, ?answer, "a removed node still takes part in consensus");
            }
        }
        Answer::Proposed(reply)
    }

    /// Lets a node take part: first as a learner, until it has the log, then as a voter if there is room.
    /// Whoever took part under the node's name before, and has lost its log, is put out in the same step.
    async fn admit(&self, raft_id: RaftId, node: RaftNode) -> Result<(), Answer> {
        let _one_at_a_time = self.changing.lock().await;
        let Participants {
            voters,
            nodes,
            settled,
        } = self.participants();
        let known = nodes.iter().any(|(id, _)| *id == raft_id);
        if settled && known && (voters.contains(&raft_id) || voters.len() >= VOTERS_MAX) {
            return Ok(());
        }
        tracing::info!(node = %node.id, address = node.address, "joins");
        let learning = self.raft.add_learner(raft_id, node.clone(), true);
        match tokio::time::timeout(CATCH_UP_TIMEOUT, learning).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(self.write_failed(&error)),
            Err(_) => {
                let reason = format!(
                    "{} at {} did not take the log within {CATCH_UP_TIMEOUT:?}",
                    node.id, node.address
                );
                return Err(Answer::Failed { reason });
            }
        }
        let former: BTreeSet<RaftId> = nodes
            .iter()
            .filter(|(id, other)| *other == node.id && *id != raft_id)
            .map(|(id, _)| *id)
            .collect();
        let mut wanted: BTreeSet<RaftId> = voters.difference(&former).copied().collect();
        if wanted.len() < VOTERS_MAX {
            wanted.insert(raft_id);
        }
        self.change(&wanted, &former).await
    }

    /// Puts a node out of consensus.
    async fn expel(&self, node: &NodeId) -> Result<(), Answer> {
        let _one_at_a_time = self.changing.lock().await;
        let Participants { voters, nodes, .. } = self.participants();
        let former: BTreeSet<RaftId> = nodes
            .iter()
            .filter(|(_, other)| other == node)
            .map(|(id, _)| *id)
            .collect();
        let wanted: BTreeSet<RaftId> = voters.difference(&former).copied().collect();
        if wanted.is_empty() {
            // The last one stays: without it there is no cluster.
            return Ok(());
        }
        self.change(&wanted, &former).await
    }

    /// Makes `wanted` the voters, and removes `former` altogether.
    async fn change(&self, wanted: &BTreeSet<RaftId>, former: &BTreeSet<RaftId>) -> Result<(), Answer> {
        let Participants { voters, settled, .. } = self.participants();
        if !settled || voters != *wanted {
            let change = ChangeMembers::ReplaceAllVoters(wanted.clone());
            // Not retained: voters that are put out do not stay as learners.
            let changed = self.raft.change_membership(change, false).await;
            changed.map_err(|error| self.write_failed(&error))?;
        }
        let nodes = self.participants().nodes;
        let left: BTreeSet<RaftId> = nodes
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| former.contains(id))
            .collect();
        if !left.is_empty() {
            let changed = self
                .raft
                .change_membership(ChangeMembers::RemoveNodes(left), false)
                .await;
            changed.map_err(|error| self.write_failed(&error))?;
        }
        Ok(())
    }

    fn participants(&self) -> Participants {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let configs = membership.get_joint_config();
        Participants {
            voters: configs.last().cloned().unwrap_or_default(),
            nodes: membership
                .nodes()
                .map(|(id, node)| (*id, node.id.clone()))
                .collect(),
            settled: configs.len() == 1,
        }
    }

    fn write_failed(&self, error: &RaftError<RaftId, ClientWriteError<RaftId, RaftNode>>) -> Answer {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => self.not_leader(to),
            RaftError::APIError(ClientWriteError::ChangeMembershipError(_)) | RaftError::Fatal(_) => {
                failed(error)
            }
        }
    }

    fn not_leader(&self, to: &ForwardToLeader<RaftId, RaftNode>) -> Answer {
        let leader = to.leader_node.clone().map(|node| {
            let address = self.book.address(&node.id).unwrap_or(node.address);
            RaftNode { id: node.id, address }
        });
        Answer::NotLeader { leader }
    }
}

fn failed(error: &dyn std::error::Error) -> Answer {
    Answer::Failed {
        reason: error.to_string(),
    }
}
