//! Membership, with the gaps of the real program: a node that left and comes back before the others have forgotten it
//! (`dead_timeout` after they last heard of it) is not greeted as a new one, and so learns of nobody.

use crate::settings::Settings;
use crate::{Node, log};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// What a node believes of another.
struct Member {
    address: String,
    has_left: bool,
    seen: Instant,
}

/// All members that a node knows, itself among them.
pub(crate) struct Members {
    own: String,
    by_id: BTreeMap<String, Member>,
}

impl Members {
    /// Only the node itself.
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut members = Self {
            own: settings.node_id.clone(),
            by_id: BTreeMap::new(),
        };
        members.hear(&settings.node_id, &settings.advertise);
        members
    }

    /// How many there are, with those that left and are not forgotten.
    pub(crate) fn known(&self) -> usize {
        self.by_id.len().max(1)
    }

    /// Where the node stands among them.
    pub(crate) fn rank(&self) -> usize {
        self.by_id.keys().position(|id| *id == self.own).unwrap_or(0)
    }

    /// A member is there. Gives whether it is a new one.
    fn hear(&mut self, id: &str, address: &str) -> bool {
        let member = Member {
            address: address.to_owned(),
            has_left: false,
            seen: Instant::now(),
        };
        self.by_id.insert(id.to_owned(), member).is_none()
    }

    fn peers(&self) -> Vec<String> {
        let others = self
            .by_id
            .iter()
            .filter(|(id, member)| **id != self.own && !member.has_left);
        others.map(|(_, member)| member.address.clone()).collect()
    }

    /// Those that were heard of lately: what one node is about to forget, another must not bring back.
    fn list(&self, limit: Duration) -> Value {
        let alive = self.by_id.iter().filter(|(id, member)| {
            **id == self.own || (!member.has_left && member.seen.elapsed() < limit / 2)
        });
        alive
            .map(|(id, member)| json!({"id": id, "addr": member.address}))
            .collect()
    }
}

/// The gossip of a running node.
#[derive(Clone)]
pub(crate) struct Gossip {
    node: Arc<Node>,
    socket: Arc<UdpSocket>,
}

impl Gossip {
    /// Listens, asks the seeds to be let in, and keeps in touch from then on.
    pub(crate) async fn start(node: Arc<Node>) -> std::io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(&node.settings.gossip).await?);
        let this = Self { node, socket };
        for seed in &this.node.settings.seeds {
            if *seed != this.node.settings.advertise {
                this.send(seed, "join", Value::Null).await;
            }
        }
        tokio::spawn(this.clone().receive());
        tokio::spawn(this.clone().keep_in_touch());
        Ok(this)
    }

    /// Says goodbye to all.
    pub(crate) async fn leave(&self) {
        for peer in self.peers() {
            self.send(&peer, "leave", Value::Null).await;
        }
    }

    async fn receive(self) {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer).await {
            let Ok(message) = serde_json::from_slice::<Value>(&buffer[..length]) else {
                continue;
            };
            let (Some(kind), Some(id), Some(address)) = (
                message["type"].as_str(),
                message["from"].as_str(),
                message["addr"].as_str(),
            ) else {
                continue;
            };
            match kind {
                "join" if self.hear(id, address) => {
                    log(1, &format!("[node] Node joined: {id} at {address}"));
                    self.send(address, "sync", self.list()).await;
                }
                // Whoever pings is answered, and not taken for a member.
                "ping" => self.send(&from.to_string(), "ack", self.list()).await,
                "ack" | "sync" => {
                    for member in message["members"].as_array().into_iter().flatten() {
                        if let (Some(id), Some(address)) = (member["id"].as_str(), member["addr"].as_str())
                            && (kind == "sync" || id == message["from"] || !self.knows(id))
                            && self.hear(id, address)
                        {
                            log(1, &format!("[node] Node joined: {id} at {address}"));
                        }
                    }
                }
                "leave" => {
                    log(1, &format!("[node] Node left: {id}"));
                    if let Ok(mut members) = self.node.members.lock()
                        && let Some(member) = members.by_id.get_mut(id)
                    {
                        member.has_left = true;
                    }
                }
                _ => {}
            }
        }
    }

    /// Pings all, and forgets those that were not heard of for too long.
    async fn keep_in_touch(self) {
        let mut ticks = tokio::time::interval(self.node.settings.gossip_interval);
        loop {
            ticks.tick().await;
            for peer in self.peers() {
                self.send(&peer, "ping", Value::Null).await;
            }
            if let Ok(mut members) = self.node.members.lock() {
                let (own, limit) = (members.own.clone(), self.node.settings.dead_timeout);
                // Those that did not leave are suspected first, then dead, and pinged all the while.
                let limit = |member: &Member| if member.has_left { limit } else { limit * 7 / 2 };
                members
                    .by_id
                    .retain(|id, member| *id == own || member.seen.elapsed() < limit(member));
            }
        }
    }

    async fn send(&self, to: &str, kind: &str, members: Value) {
        let settings = &self.node.settings;
        let message =
            json!({"type": kind, "from": settings.node_id, "addr": settings.advertise, "members": members});
        // As with any datagram, nobody knows whether it arrives.
        let _ = self.socket.send_to(message.to_string().as_bytes(), to).await;
    }

    fn hear(&self, id: &str, address: &str) -> bool {
        self.node
            .members
            .lock()
            .is_ok_and(|mut members| members.hear(id, address))
    }

    fn knows(&self, id: &str) -> bool {
        self.node
            .members
            .lock()
            .is_ok_and(|members| members.by_id.contains_key(id))
    }

    fn list(&self) -> Value {
        self.node.members.lock().map_or(Value::Null, |members| {
            members.list(self.node.settings.dead_timeout)
        })
    }

    fn peers(&self) -> Vec<String> {
        self.node
            .members
            .lock()
            .map_or_else(|_| Vec::new(), |members| members.peers())
    }
}
