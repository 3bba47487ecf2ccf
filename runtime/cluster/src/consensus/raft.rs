//! A node's part in consensus.

use super::leader::{Answer, Request};
use super::log::Log;
use super::machine::Machine;
use super::network::{AddressBook, Addressed, Network};
use super::store::Store;
use super::types::{Proposal, ProposalId, RaftId, RaftNode, TypeConfig};
use crate::transport::Pool;
use crate::{ClusterError, Service, Timings};
use bytes::Bytes;
use caxton_core::Catalog;
use caxton_model::{CatalogCommand, CatalogReply, NodeId};
use chacha20poly1305::aead::rand_core::{OsRng, RngCore as _};
use openraft::{Raft, RaftMetrics, SnapshotPolicy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After how many entries a snapshot is made.
const SNAPSHOT_EVERY: u64 = 1_000;

/// How many entries that a snapshot holds are kept: a node that was away briefly gets those instead of the
/// snapshot.
const ENTRIES_KEPT: u64 = 500;

/// How far behind a node may be before it gets a snapshot. More than [`SNAPSHOT_EVERY`], as Raft demands.
const LAG_MAX: u64 = 2 * SNAPSHOT_EVERY;

/// How much of a snapshot goes into one message.
const SNAPSHOT_CHUNK_BYTES: u64 = 1 << 20;

/// How long one such message may take.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one leader is waited for before it is looked up again.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// The same for joining, which sends the whole catalog to the new node.
const JOIN_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// The pause between attempts, elections permitting.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a proposer waits, after the majority agreed, for its own copy of the catalog.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct ConsensusConfig {
    pub(crate) node: NodeId,
    pub(crate) address: String,
    pub(crate) seeds: Vec<String>,
    pub(crate) timings: Timings,
}

/// How consensus stands, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsensusStatus {
    /// The term.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// Whether this node sees a leader that has a majority: if not, nothing can be proposed.
    pub quorum: bool,
    /// Nodes of which a majority must agree.
    pub voters: Vec<NodeId>,
    /// Nodes that only follow.
    pub learners: Vec<NodeId>,
    /// The index of the last log entry that this node applied.
    pub last_applied: u64,
}

/// A node's part in consensus.
pub(crate) struct Consensus {
    pub(super) raft: Raft<TypeConfig>,
    pub(super) own: RaftNode,
    pub(super) raft_id: RaftId,
    pub(super) book: Arc<AddressBook>,
    /// Held while the leader changes who takes part: one change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    store: Arc<Store>,
    pool: Arc<Pool>,
    seeds: Vec<String>,
    timings: Timings,
    catalog: watch::Sender<Arc<Catalog>>,
    status: watch::Sender<ConsensusStatus>,
    stop: CancellationToken,
}

impl Consensus {
    pub(crate) async fn open(
        config: ConsensusConfig,
        store: Arc<Store>,
        pool: Arc<Pool>,
        book: Arc<AddressBook>,
        catalog: watch::Sender<Arc<Catalog>>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, ClusterError> {
        let raft_id = store.raft_id();
        let machine = Machine::open(Arc::clone(&store), catalog.clone())
            .await
            .map_err(|error| store.error(&error))?;
        let network = Network {
            pool: Arc::clone(&pool),
            book: Arc::clone(&book),
        };
        let raft_config = Arc::new(raft_config(&config.timings)?);
        let raft = Raft::new(
            raft_id,
            raft_config,
            network,
            Log::new(Arc::clone(&store)),
            machine,
        )
        .await
        .map_err(|error| store.error(&error))?;
        let status = watch::Sender::new(status(&raft.metrics().borrow(), &config.timings));
        tasks.spawn(follow(
            raft.metrics(),
            status.clone(),
            config.timings,
            stop.clone(),
        ));
        Ok(Self {
            raft,
            own: RaftNode {
                id: config.node,
                address: config.address,
            },
            raft_id,
            book,
            changing: tokio::sync::Mutex::new(()),
            store,
            pool,
            seeds: config.seeds,
            timings: config.timings,
            catalog,
            status,
            stop,
        })
    }

    /// Whether this node has ever taken part.
    pub(crate) async fn has_state(&self) -> Result<bool, ClusterError> {
        self.raft
            .is_initialized()
            .await
            .map_err(|error| self.store.error(&error))
    }

    /// Begins a cluster of this node alone.
    pub(crate) async fn bootstrap(&self) -> Result<(), ClusterError> {
        let members = BTreeMap::from([(self.raft_id, self.own.clone())]);
        self.raft
            .initialize(members)
            .await
            .map_err(|error| self.store.error(&error))
    }

    /// Asks the leader to let this node take part. Does nothing if it does already.
    pub(crate) async fn join(&self, deadline: Duration) -> Result<(), ClusterError> {
        let request = Request::Join {
            raft_id: self.raft_id,
            node: self.own.clone(),
        };
        match self.ask_leader(&request, deadline, JOIN_ATTEMPT_TIMEOUT).await {
            Ok(_) => Ok(()),
            Err(ClusterError::NoQuorum { after, reason }) => Err(ClusterError::Join { after, reason }),
            Err(error) => Err(error),
        }
    }

    /// See [`crate::Cluster::propose`].
    pub(crate) async fn propose(&self, command: &CatalogCommand) -> Result<CatalogReply, ClusterError> {
        let deadline = Instant::now() + self.timings.proposal_deadline;
        let proposal = Proposal {
            id: proposal_id(),
            command: checked_text(command)?,
        };
        let request = Request::Propose(proposal);
        let answer = self
            .ask_leader(&request, self.timings.proposal_deadline, ATTEMPT_TIMEOUT)
            .await?;
        let Answer::Proposed(reply) = answer else {
            return Err(self.nonsense(&answer));
        };
        if let CatalogReply::Applied { revision } = reply {
            // So that the caller finds in the catalog here what it has just put there. If this node is slow,
            // it is only late.
            let wait = deadline.min(Instant::now() + CATCH_UP_TIMEOUT);
            let mut catalog = self.catalog.subscribe();
            let caught_up = catalog.wait_for(|catalog| catalog.revision() >= revision);
            let _ = tokio::time::timeout_at(wait, caught_up).await;
        }
        Ok(reply)
    }

    /// See [`crate::Cluster::read_catalog`].
    pub(crate) async fn read(&self) -> Result<Arc<Catalog>, ClusterError> {
        let begin = Instant::now();
        let answer = self
            .ask_leader(&Request::Read, self.timings.proposal_deadline, ATTEMPT_TIMEOUT)
            .await?;
        let Answer::ReadAt(position) = answer else {
            return Err(self.nonsense(&answer));
        };
        let remaining = self.timings.proposal_deadline.saturating_sub(begin.elapsed());
        self.raft
            .wait(Some(remaining))
            .applied_index_at_least(position, "a read")
            .await
            .map_err(|_| ClusterError::NoQuorum {
                after: self.timings.proposal_deadline,
                reason: "this node is behind, and what it lacks did not come".to_owned(),
            })?;
        Ok(self.catalog())
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.borrow())
    }

    pub(crate) fn status(&self) -> ConsensusStatus {
        status(&self.raft.metrics().borrow(), &self.timings)
    }

    pub(crate) fn subscribe_status(&self) -> watch::Receiver<ConsensusStatus> {
        self.status.subscribe()
    }

    /// Answers what other nodes ask.
    pub(crate) async fn handle(&self, service: Service, body: &[u8]) -> Result<Bytes, String> {
        match service {
            Service::APPEND_ENTRIES => encode(&self.raft.append_entries(self.addressed(body)?).await),
            Service::INSTALL_SNAPSHOT => encode(&self.raft.install_snapshot(self.addressed(body)?).await),
            Service::VOTE => encode(&self.raft.vote(self.addressed(body)?).await),
            Service::LEADER => encode(&self.answer(decode(body)?).await),
            unknown => Err(format!("this node's release does not know {unknown}")),
        }
    }

    /// Stops Raft and closes its file.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "consensus did not stop well");
        }
        self.store.close();
    }

    /// Messages to a former self, whose log is lost, must not reach its successor.
    fn addressed<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, String> {
        let Addressed { to, message } = decode(body)?;
        if to != self.raft_id {
            return Err(format!(
                "{} takes part as {}, no longer as {to}",
                self.own.id, self.raft_id
            ));
        }
        Ok(message)
    }

    /// Asks the leader until it answers or the deadline passes. The leader may be this node.
    async fn ask_leader(
        &self,
        request: &Request,
        deadline: Duration,
        attempt: Duration,
    ) -> Result<Answer, ClusterError> {
        let until = Instant::now() + deadline;
        let mut reason = "no leader is known".to_owned();
        let mut hint = None;
        let mut turn = 0;
        loop {
            let attempt = attempt.min(until.saturating_duration_since(Instant::now()));
            if attempt.is_zero() {
                return Err(ClusterError::NoQuorum {
                    after: deadline,
                    reason,
                });
            }
            let asked = tokio::select! {
                asked = self.ask(request, hint.take(), turn, attempt) => asked,
                () = self.stop.cancelled() => return Err(ClusterError::Stopped),
            };
            match asked {
                Ok(Answer::NotLeader { leader }) => {
                    reason = match &leader {
                        Some(leader) => format!("{} was said to lead", leader.id),
                        None => "no leader is known".to_owned(),
                    };
                    hint = leader;
                }
                Ok(Answer::Failed { reason: said }) => reason = said,
                Ok(answer @ (Answer::Proposed(_) | Answer::ReadAt(_) | Answer::Joined)) => return Ok(answer),
                Err(ClusterError::Stopped) => return Err(ClusterError::Stopped),
                Err(error) => reason = error.to_string(),
            }
            turn += 1;
            tokio::time::sleep_until(until.min(Instant::now() + ATTEMPT_PAUSE)).await;
        }
    }

    /// Asks whoever is most likely to lead: who Raft says leads, else who another node said leads, else one
    /// known address after the other.
    async fn ask(
        &self,
        request: &Request,
        hint: Option<RaftNode>,
        turn: usize,
        timeout: Duration,
    ) -> Result<Answer, ClusterError> {
        let leader = self.leader();
        if leader.as_ref().is_some_and(|leader| leader.id == self.own.id) {
            let answer = tokio::time::timeout(timeout, self.answer(request.clone())).await;
            return Ok(answer.unwrap_or_else(|_| Answer::Failed {
                reason: format!("this node leads, and no majority answered within {timeout:?}"),
            }));
        }
        let body = encode(request).map_err(|reason| ClusterError::InvalidProposal { reason })?;
        let (node, answer) = match leader.or(hint) {
            Some(leader) => {
                let pool = &self.pool;
                let answer = pool
                    .request(&leader.id, &leader.address, Service::LEADER, body, timeout)
                    .await?;
                (leader.id, answer)
            }
            None => {
                let contacts = self.contacts();
                if contacts.is_empty() {
                    return Ok(Answer::NotLeader { leader: None });
                }
                let contact = &contacts[turn % contacts.len()];
                self.pool
                    .request_at(contact, Service::LEADER, body, timeout)
                    .await?
            }
        };
        decode(&answer).map_err(|reason| ClusterError::Refused { node, reason })
    }

    /// Who leads and where it is, as far as this node knows.
    pub(super) fn leader(&self) -> Option<RaftNode> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let leader = metrics.current_leader?;
        let node = metrics.membership_config.membership().get_node(&leader)?;
        let address = self
            .book
            .address(&node.id)
            .unwrap_or_else(|| node.address.clone());
        Some(RaftNode {
            id: node.id.clone(),
            address,
        })
    }

    /// Addresses of nodes that may know who leads.
    fn contacts(&self) -> Vec<String> {
        let registered = self.catalog();
        let registered = registered.nodes().values().map(|node| &node.cluster_addr);
        let all = self.seeds.iter().chain(registered);
        all.filter(|address| **address != self.own.address)
            .cloned()
            .collect()
    }

    fn nonsense(&self, answer: &Answer) -> ClusterError {
        ClusterError::Refused {
            node: self.own.id.clone(),
            reason: format!("the leader answered something else: {answer:?}"),
        }
    }
}

fn raft_config(timings: &Timings) -> Result<openraft::Config, ClusterError> {
    let config = openraft::Config {
        cluster_name: "caxton".to_owned(),
        heartbeat_interval: millis(timings.heartbeat_interval),
        election_timeout_min: millis(timings.election_timeout),
        election_timeout_max: 2 * millis(timings.election_timeout),
        install_snapshot_timeout: millis(SNAPSHOT_TIMEOUT),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
        snapshot_max_chunk_size: SNAPSHOT_CHUNK_BYTES,
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        replication_lag_threshold: LAG_MAX,
        ..openraft::Config::default()
    };
    config.validate().map_err(|error| ClusterError::Config {
        reason: format!("the timings do not fit each other: {error}"),
    })
}

fn status(metrics: &RaftMetrics<RaftId, RaftNode>, timings: &Timings) -> ConsensusStatus {
    let membership = metrics.membership_config.membership();
    let name = |id: &RaftId| membership.get_node(id).map(|node| node.id.clone());
    let mut voters: Vec<NodeId> = membership.voter_ids().filter_map(|id| name(&id)).collect();
    let mut learners: Vec<NodeId> = membership.learner_ids().filter_map(|id| name(&id)).collect();
    voters.sort();
    learners.sort();
    // Raft that has stopped, for want of disk space say, says nothing new.
    let leader = metrics.current_leader.filter(|_| metrics.running_state.is_ok());
    let leads = leader == Some(metrics.id);
    // A leader that hears of no majority for so long has been replaced, or might have been.
    let lease = 2 * millis(timings.election_timeout);
    let acknowledged = voters.len() == 1
        || metrics
            .millis_since_quorum_ack
            .is_some_and(|millis| millis <= lease);
    ConsensusStatus {
        term: metrics.current_term,
        leader: leader.as_ref().and_then(name),
        quorum: leader.is_some() && (!leads || acknowledged),
        voters,
        learners,
        last_applied: metrics.last_applied.map_or(0, |id| id.index),
    }
}

/// Publishes a status when something other than the last applied entry has changed.
async fn follow(
    mut metrics: watch::Receiver<RaftMetrics<RaftId, RaftNode>>,
    published: watch::Sender<ConsensusStatus>,
    timings: Timings,
    stop: CancellationToken,
) {
    loop {
        let changed = tokio::select! {
            changed = metrics.changed() => changed,
            () = stop.cancelled() => return,
        };
        if changed.is_err() {
            return;
        }
        let now = status(&metrics.borrow_and_update(), &timings);
        published.send_if_modified(|before| {
            let same_but_for_progress = ConsensusStatus {
                last_applied: now.last_applied,
                ..before.clone()
            };
            let changed = same_but_for_progress != now;
            *before = now;
            changed
        });
    }
}

/// The command as text, if reading the text gives the same command. All nodes read it, and all must get the
/// same.
fn checked_text(command: &CatalogCommand) -> Result<String, ClusterError> {
    let invalid = |reason: String| ClusterError::InvalidProposal { reason };
    let text = serde_json::to_string(command).map_err(|error| invalid(error.to_string()))?;
    let read: CatalogCommand = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    if read != *command {
        return Err(invalid(
            "a number in it cannot be kept exactly; write it as text".to_owned(),
        ));
    }
    Ok(text)
}

fn proposal_id() -> ProposalId {
    let mut random = [0; 16];
    OsRng.fill_bytes(&mut random);
    ProposalId(hex::encode(random))
}

fn encode<T: Serialize>(value: &T) -> Result<Bytes, String> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| error.to_string())
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("not a message of this protocol: {error}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
