//! Which messages go out next: one lane for each receiver, in the order of acceptance.
//!
//! Plain data; the clock is an argument. A lane has at most one batch on its way, so that nothing overtakes. Within a
//! lane, a message that has to wait for its next attempt holds up its own conversation and no other.

use caxton_model::{AgentName, ConversationId, Envelope};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// The most messages of one batch: enough to fill a round trip, few enough to be handled well within its time limit.
pub(super) const BATCH_MAX: usize = 128;
/// The most bytes of content of one batch, far below the limit of a frame between nodes.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// The first pause after a receiver could not be reached, or failed; it doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often an agent may fail on one message before it goes to the dead letters.
pub(super) const ATTEMPTS_MAX: u32 = 5;

/// All lanes. A receiver for which nothing waits has none.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<AgentName, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    on_their_way: Vec<Waiting>,
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Waiting {
    envelope: Envelope,
    failures: u32,
    not_before: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    length: Duration,
}

/// Messages that are to be handed to one receiver, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) receiver: AgentName,
    pub(super) messages: Vec<Envelope>,
    /// How often the receiver failed on each of them before.
    pub(super) failures: Vec<u32>,
}

/// What becomes of a message after one attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attempt {
    /// It needs no further one.
    Settled,
    /// The receiver failed on it: it counts.
    Failed,
    /// It did not get to the receiver.
    Unreached,
}

impl Lanes {
    /// Messages in all lanes, with those on their way.
    pub(super) fn len(&self) -> usize {
        let all = self.lanes.values();
        all.map(|lane| lane.waiting.len() + lane.on_their_way.len()).sum()
    }

    /// Receivers that have a lane.
    pub(super) fn receivers(&self) -> BTreeSet<AgentName> {
        self.lanes.keys().cloned().collect()
    }

    /// Takes in a message on which its receiver has failed so many times.
    pub(super) fn push(&mut self, envelope: Envelope, failures: u32) {
        let lane = self.lanes.entry(envelope.receiver.clone()).or_default();
        lane.waiting.push_back(Waiting {
            envelope,
            failures,
            not_before: None,
        });
    }

    /// Takes the batches that may leave now. Each must come back through [`Lanes::settle`].
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Batch> {
        let mut batches = Vec::new();
        for (receiver, lane) in &mut self.lanes {
            let taken = lane.take_due(now);
            if !taken.is_empty() {
                batches.push(Batch {
                    receiver: receiver.clone(),
                    messages: taken.iter().map(|waiting| waiting.envelope.clone()).collect(),
                    failures: taken.iter().map(|waiting| waiting.failures).collect(),
                });
            }
        }
        batches
    }

    /// When [`Lanes::take_due`] may have something again, if nothing else happens.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lanes.values().filter_map(Lane::next_due).min()
    }

    /// Ends the pause of all lanes: where receivers are may have changed.
    pub(super) fn end_pauses(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.pause = None;
        }
    }

    /// Takes back a batch, with one attempt for each of its messages in the batch's order; what is missing is unreached.
    pub(super) fn settle(&mut self, now: Instant, receiver: &AgentName, attempts: &[Attempt]) {
        let Some(lane) = self.lanes.get_mut(receiver) else {
            return;
        };
        lane.settle(now, attempts);
        if lane.waiting.is_empty() {
            self.lanes.remove(receiver);
        }
    }
}

impl Lane {
    /// What leaves now, and is on its way from here on.
    fn take_due(&mut self, now: Instant) -> &[Waiting] {
        let paused = self.pause.is_some_and(|pause| pause.until > now);
        if paused || !self.on_their_way.is_empty() {
            return &[];
        }
        let mut held_up: BTreeSet<ConversationId> = BTreeSet::new();
        let mut stay = VecDeque::new();
        let mut bytes = 0;
        while self.on_their_way.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
            let Some(waiting) = self.waiting.pop_front() else {
                break;
            };
            let conversation = waiting.envelope.conversation_id.clone();
            let too_early = waiting.not_before.is_some_and(|at| at > now);
            let behind = conversation.as_ref().is_some_and(|it| held_up.contains(it));
            if too_early || behind {
                held_up.extend(conversation);
                stay.push_back(waiting);
            } else {
                bytes += approximate_bytes(&waiting.envelope.content);
                self.on_their_way.push(waiting);
            }
        }
        stay.append(&mut self.waiting);
        self.waiting = stay;
        &self.on_their_way
    }

    fn next_due(&self) -> Option<Instant> {
        if !self.on_their_way.is_empty() {
            return None;
        }
        let first = self.waiting.iter().filter_map(|waiting| waiting.not_before).min();
        let pause = self.pause.map(|pause| pause.until);
        match (pause, first) {
            (Some(pause), Some(first)) => Some(pause.max(first)),
            (one, other) => one.or(other),
        }
    }

    fn settle(&mut self, now: Instant, attempts: &[Attempt]) {
        let batch = std::mem::take(&mut self.on_their_way);
        let mut again = Vec::new();
        let (mut progress, mut unreached) = (false, false);
        for (index, mut waiting) in batch.into_iter().enumerate() {
            match attempts.get(index) {
                Some(Attempt::Settled) => progress = true,
                Some(Attempt::Failed) => {
                    waiting.failures += 1;
                    waiting.not_before = Some(now + doubled(RETRY_PAUSE_MIN, waiting.failures - 1));
                    again.push(waiting);
                }
                Some(Attempt::Unreached) | None => {
                    unreached = true;
                    again.push(waiting);
                }
            }
        }
        for waiting in again.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
        let last = self.pause.take();
        if unreached {
            let length = match last {
                Some(pause) if !progress => doubled(pause.length, 1),
                Some(_) | None => RETRY_PAUSE_MIN,
            };
            self.pause = Some(Pause {
                until: now + length,
                length,
            });
        }
    }
}

fn doubled(pause: Duration, times: u32) -> Duration {
    RETRY_PAUSE_MAX.min(pause.saturating_mul(2_u32.saturating_pow(times)))
}

/// A cheap lower bound of the size on the wire: only texts can be large.
fn approximate_bytes(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => 8,
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(items) => items.iter().map(approximate_bytes).sum(),
        serde_json::Value::Object(map) => map
            .iter()
            .map(|(key, value)| key.len() + approximate_bytes(value))
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_model::{Delivery, MessageId, Performative};

    fn message(id: &str, receiver: &str, conversation: Option<&str>) -> Envelope {
        Envelope {
            id: MessageId::from(id),
            performative: Performative::Request,
            sender: AgentName::from("client/test"),
            receiver: AgentName::from(receiver),
            content: serde_json::Value::Null,
            conversation_id: conversation.map(ConversationId::from),
            reply_with: None,
            in_reply_to: None,
            home: None,
            timestamp_ms: 0,
            delivery: Delivery::AtLeastOnce,
            traceparent: None,
        }
    }

    fn ids(batches: &[Batch]) -> Vec<&str> {
        batches
            .iter()
            .flat_map(|batch| batch.messages.iter().map(|it| it.id.as_str()))
            .collect()
    }

    /// Each step: how the last batch fared, how much time passes, what leaves next.
    fn check(messages: &[(&str, Option<&str>)], steps: &[(&[Attempt], u64, &[&str])]) {
        let mut lanes = Lanes::default();
        for (id, conversation) in messages {
            lanes.push(message(id, "a", *conversation), 0);
        }
        let mut now = Instant::now();
        lanes.take_due(now);
        for (index, (attempts, wait_ms, expected)) in steps.iter().enumerate() {
            assert_eq!(
                lanes.take_due(now),
                [],
                "nothing leaves while a batch is on its way"
            );
            if !attempts.is_empty() {
                lanes.settle(now, &AgentName::from("a"), attempts);
            }
            now += Duration::from_millis(*wait_ms);
            assert_eq!(ids(&lanes.take_due(now)), *expected, "step {index}");
        }
        if steps.last().is_some_and(|(_, _, expected)| expected.is_empty()) {
            assert_eq!(lanes.len(), 0);
            assert_eq!(lanes.next_due(), None);
        }
    }

    #[test]
    fn a_failed_message_holds_up_its_own_conversation_only() {
        use Attempt::{Failed, Settled, Unreached};
        check(
            &[("1", Some("x")), ("2", Some("x")), ("3", Some("y")), ("4", None)],
            &[
                (&[Failed, Unreached, Unreached, Settled], 9, &[]),
                (&[], 1, &["1", "2", "3"]),
                // The second pause after a failure is twice as long, and 2 is of the same conversation.
                (&[Failed, Unreached, Settled], 10, &[]),
                (&[], 10, &["1", "2"]),
                (&[Settled, Settled], 1_000, &[]),
            ],
        );
    }

    #[test]
    fn what_found_no_receiver_is_sent_again_in_the_same_order() {
        use Attempt::{Settled, Unreached};
        check(
            &[("1", None), ("2", None), ("3", None)],
            &[
                (&[Unreached, Unreached, Unreached], 9, &[]),
                (&[], 1, &["1", "2", "3"]),
                (&[Unreached], 19, &[]),
                (&[], 1, &["1", "2", "3"]),
                (&[Settled, Unreached, Settled], 10, &["2"]),
                (&[Settled], 1_000, &[]),
            ],
        );
    }
}
