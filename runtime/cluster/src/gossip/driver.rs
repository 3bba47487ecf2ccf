//! Drives foca, which decides but neither sends nor waits.

use super::datagram::{DATAGRAM_BYTES_MAX, Datagram, Packet, SWIM_BYTES_MAX};
use super::peer::{Generation, Peer};
use super::roster::Roster;
use super::seal::Seal;
use crate::{ClusterError, MemberState, MemberView, Timings};
use caxton_model::NodeId;
use chacha20poly1305::aead::rand_core::RngCore as _;
use foca::{AccumulatingRuntime, Foca, NoCustomBroadcast, PeriodicParams, PostcardCodec, Timer};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a node that knows no live member says hello to its contacts.
const HELLO_INTERVAL: Duration = Duration::from_millis(500);

/// After how many of those intervals it says hello to contacts that it does not see alive, though it knows
/// others: so two halves of a cluster find each other again.
const HELLO_TO_MISSING_EVERY: u32 = 10;

/// How often members that are down are told that they are missed; it heals partitions.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(5);

/// How long a dead member is remembered.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How many datagrams wait to be sent; more are lost, as on the network.
const OUTGOING_MAX: usize = 1_024;

/// How many commands to the driver wait.
const COMMANDS_MAX: usize = 16;

pub(crate) struct GossipConfig {
    pub(crate) node: NodeId,
    pub(crate) address: String,
    pub(crate) generation: Generation,
    pub(crate) key: [u8; 32],
    pub(crate) expected_nodes: u32,
    pub(crate) timings: Timings,
}

/// How many datagrams came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GossipCounters {
    /// Those that members sent.
    pub accepted: u64,
    /// Those that were not sealed with the cluster's key, or made no sense.
    pub dropped: u64,
}

/// Membership, running.
pub(crate) struct Gossip {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    contacts: watch::Sender<Vec<String>>,
}

struct Shared {
    roster: Mutex<Roster>,
    members: watch::Sender<Vec<MemberView>>,
    accepted: AtomicU64,
    dropped: AtomicU64,
}

enum Command {
    Leave(oneshot::Sender<()>),
}

impl Gossip {
    pub(crate) fn start(
        config: GossipConfig,
        socket: UdpSocket,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let own = Peer {
            id: config.node,
            address: config.address,
            generation: config.generation,
        };
        let roster = Roster::new(own.clone(), Instant::now());
        let shared = Arc::new(Shared {
            members: watch::Sender::new(roster.view(Instant::now())),
            roster: Mutex::new(roster),
            accepted: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let rng = SmallRng::seed_from_u64(chacha20poly1305::aead::OsRng.next_u64());
        let foca = Foca::new(
            own,
            swim_config(&config.timings, config.expected_nodes),
            rng,
            PostcardCodec,
        );
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        let (commands, orders) = mpsc::channel(COMMANDS_MAX);
        let contacts = watch::Sender::new(Vec::new());
        let socket = Arc::new(socket);
        tasks.spawn(send_queued(Arc::clone(&socket), queue, stop.clone()));
        let driver = Driver {
            foca,
            runtime: AccumulatingRuntime::new(),
            timers: BinaryHeap::new(),
            seal: Seal::new(&config.key),
            shared: Arc::clone(&shared),
            outgoing,
            contacts: contacts.subscribe(),
            hellos: 0,
            left: false,
        };
        tasks.spawn(driver.run(socket, orders, stop));
        Self {
            shared,
            commands,
            contacts,
        }
    }

    pub(crate) fn members(&self) -> Vec<MemberView> {
        self.shared.roster().view(Instant::now())
    }

    /// How another member is, and where.
    pub(crate) fn find(&self, id: &NodeId) -> Option<(MemberState, String)> {
        self.shared.roster().find(id)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Vec<MemberView>> {
        self.shared.members.subscribe()
    }

    /// Where others may be found if no member is known.
    pub(crate) fn set_contacts(&self, contacts: Vec<String>) {
        self.contacts.send_if_modified(|current| {
            let changed = *current != contacts;
            *current = contacts;
            changed
        });
    }

    pub(crate) fn counters(&self) -> GossipCounters {
        GossipCounters {
            accepted: self.shared.accepted.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
        }
    }

    /// Tells the members that this node leaves. From here on it takes no part any more.
    pub(crate) async fn leave(&self) -> Result<(), ClusterError> {
        let (done, is_done) = oneshot::channel();
        self.commands
            .send(Command::Leave(done))
            .await
            .map_err(|_| ClusterError::Stopped)?;
        is_done.await.map_err(|_| ClusterError::Stopped)
    }
}

impl Shared {
    fn roster(&self) -> std::sync::MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn swim_config(timings: &Timings, expected_nodes: u32) -> foca::Config {
    let members = |count: u32| NonZeroUsize::new(count.max(1) as usize).expect("at least one");
    let lan = foca::Config::new_lan(NonZeroU32::new(expected_nodes.max(1)).expect("at least one"));
    foca::Config {
        probe_period: timings.probe_interval,
        probe_rtt: timings.probe_timeout,
        num_indirect_probes: members(timings.gossip_fanout),
        max_transmissions: lan.max_transmissions,
        suspect_to_down_after: timings.suspicion.max(timings.probe_interval),
        remove_down_after: Some(FORGET_AFTER),
        max_packet_size: NonZeroUsize::new(SWIM_BYTES_MAX).expect("a datagram has room"),
        notify_down_members: true,
        periodic_announce: Some(PeriodicParams {
            frequency: ANNOUNCE_INTERVAL,
            num_members: members(1),
        }),
        periodic_announce_to_down_members: Some(PeriodicParams {
            frequency: ANNOUNCE_INTERVAL,
            num_members: members(2),
        }),
        periodic_gossip: Some(PeriodicParams {
            frequency: timings.gossip_interval,
            num_members: members(timings.gossip_fanout),
        }),
    }
}

type Swim = Foca<Peer, PostcardCodec, SmallRng, NoCustomBroadcast>;

struct Driver {
    foca: Swim,
    runtime: AccumulatingRuntime<Peer>,
    /// Among timers that are due at the same time, foca's own order counts.
    timers: BinaryHeap<Reverse<(Instant, Timer<Peer>)>>,
    seal: Seal,
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<(String, Vec<u8>)>,
    contacts: watch::Receiver<Vec<String>>,
    hellos: u32,
    /// Whoever has left says nothing more: an answer would bring it back.
    left: bool,
}

impl Driver {
    async fn run(
        mut self,
        socket: Arc<UdpSocket>,
        mut orders: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
        let mut hello = tokio::time::interval(HELLO_INTERVAL);
        hello.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next_timer = self.timers.peek().map(|Reverse((due, _))| *due);
            tokio::select! {
                received = socket.recv_from(&mut buffer), if !self.left => match received {
                    Ok((length, address)) => self.receive(&buffer[..length], &address.to_string()),
                    // On Linux, an answer of a closed port to something that was sent. SWIM notices by
                    // itself.
                    Err(error) => tracing::debug!(%error, "gossip"),
                },
                () = sleep_until(next_timer), if !self.left => self.fire(Instant::now()),
                _ = hello.tick(), if !self.left => self.say_hello(),
                Some(command) = orders.recv() => match command {
                    Command::Leave(done) => {
                        self.leave();
                        let _ = done.send(());
                    }
                },
                () = stop.cancelled() => return,
            }
            self.carry_out();
        }
    }

    fn receive(&mut self, bytes: &[u8], address: &str) {
        let Some(datagram) = self.seal.open(bytes).and_then(|plain| Datagram::decode(&plain)) else {
            let dropped = self.shared.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Anyone can send garbage; it shall not fill the log.
            if dropped.is_power_of_two() {
                tracing::warn!(
                    address,
                    dropped,
                    "gossip that is not sealed with this cluster's key is dropped"
                );
            }
            return;
        };
        let Datagram { from, packet } = datagram;
        if from == self.foca.identity().id {
            // A seed may be this node itself.
            return;
        }
        self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        self.shared.roster().heard_of(&from, Instant::now());
        match packet {
            Packet::Swim(packet) => {
                let result = self.foca.handle_data(&packet, &mut self.runtime);
                self.note(result);
            }
            Packet::Hello(peer) => {
                let answer = Packet::IAm(self.foca.identity().clone());
                self.send(address.to_owned(), answer);
                tracing::trace!(peer = %peer.id, "was greeted");
            }
            Packet::IAm(peer) => {
                let result = self.foca.announce(peer, &mut self.runtime);
                self.note(result);
            }
            Packet::Leaving(peer) => {
                self.shared.roster().says_it_leaves(&peer);
                let result =
                    self.foca
                        .apply_many([foca::Member::down(peer)].into_iter(), true, &mut self.runtime);
                self.note(result);
            }
        }
    }

    fn fire(&mut self, now: Instant) {
        while let Some(Reverse((due, _))) = self.timers.peek()
            && *due <= now
        {
            let Some(Reverse((_, timer))) = self.timers.pop() else {
                return;
            };
            let result = self.foca.handle_timer(timer, &mut self.runtime);
            self.note(result);
        }
    }

    fn say_hello(&mut self) {
        self.hellos = self.hellos.wrapping_add(1);
        let missing: Vec<String> = {
            let roster = self.shared.roster();
            if !roster.is_alone() && !self.hellos.is_multiple_of(HELLO_TO_MISSING_EVERY) {
                return;
            }
            let contacts = self.contacts.borrow();
            contacts
                .iter()
                .filter(|address| !roster.is_live_at(address))
                .cloned()
                .collect()
        };
        for address in missing {
            let hello = Packet::Hello(self.foca.identity().clone());
            self.send(address, hello);
        }
    }

    fn leave(&mut self) {
        let own = self.foca.identity().clone();
        let addresses: Vec<String> = self
            .foca
            .iter_members()
            .map(|member| member.id().address.clone())
            .collect();
        for address in addresses {
            self.send(address, Packet::Leaving(own.clone()));
        }
        let result = self.foca.leave_cluster(&mut self.runtime);
        self.note(result);
        self.left = true;
        self.shared.roster().leave();
        self.publish();
    }

    /// Does what foca asked for in the last step.
    fn carry_out(&mut self) {
        while let Some((peer, packet)) = self.runtime.to_send() {
            self.send(peer.address, Packet::Swim(packet.to_vec()));
        }
        let now = Instant::now();
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.timers.push(Reverse((now + after, timer)));
        }
        while let Some(notification) = self.runtime.to_notify() {
            tracing::debug!(?notification, "gossip");
        }
        let changed = self.shared.roster().update(self.foca.iter_membership_state());
        if changed {
            self.publish();
        }
    }

    fn publish(&self) {
        let view = self.shared.roster().view(Instant::now());
        self.shared.members.send_replace(view);
    }

    fn send(&self, address: String, packet: Packet) {
        let datagram = Datagram {
            from: self.foca.identity().id.clone(),
            packet,
        };
        // If the queue is full, the datagram is lost, which SWIM is made for.
        let _ = self
            .outgoing
            .try_send((address, self.seal.seal(&datagram.encode())));
    }

    /// foca's errors are about packets that make no sense to it; it stays whole.
    fn note(&self, result: Result<(), foca::Error>) {
        if let Err(error) = result {
            tracing::debug!(%error, "gossip");
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Sends, and looks names up, without holding up the driver.
async fn send_queued(
    socket: Arc<UdpSocket>,
    mut queue: mpsc::Receiver<(String, Vec<u8>)>,
    stop: CancellationToken,
) {
    loop {
        let (address, datagram) = tokio::select! {
            next = queue.recv() => match next {
                Some(next) => next,
                None => return,
            },
            () = stop.cancelled() => break,
        };
        if let Err(error) = socket.send_to(&datagram, &address).await {
            tracing::debug!(address, %error, "a datagram was not sent");
        }
    }
    // What was queued before the stop, a good-bye say, still goes out.
    while let Ok((address, datagram)) = queue.try_recv() {
        let _ = socket.send_to(&datagram, &address).await;
    }
}
