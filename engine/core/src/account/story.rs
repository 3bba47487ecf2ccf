//! What happened, in order.

use super::build::{answered, question};
use super::{Event, EventKind};
use crate::schedule::{State, looks_once};
use caxplan_model::{NodeIndex, NodeKind, Outcome, Record, RunEnd, StepId, Timestamp, UndoEnd, WaitReason};
use std::collections::BTreeMap;

/// The story of a run. What went well is gathered, so that what did not stands out.
pub(super) fn story(state: &State, records: &[Record]) -> Vec<Event> {
    let mut story = Story {
        state,
        events: Vec::new(),
        good: Gathered::default(),
        skipped: Gathered::default(),
        undone: Gathered::default(),
        going_on: BTreeMap::new(),
        has_engine: false,
    };
    for record in records {
        story.take(record);
    }
    story.flush();
    story.events
}

/// Steps that ended the same way, one after the other.
#[derive(Default)]
struct Gathered {
    first: Option<StepId>,
    last: Option<(Timestamp, StepId)>,
    count: usize,
}

struct Story<'a> {
    state: &'a State,
    events: Vec<Event>,
    good: Gathered,
    skipped: Gathered,
    undone: Gathered,
    going_on: BTreeMap<NodeIndex, ()>,
    has_engine: bool,
}

impl Story<'_> {
    fn take(&mut self, record: &Record) {
        let at = record.at();
        match record {
            Record::RunCreated { by, .. } => {
                let by = if by.is_empty() {
                    String::new()
                } else {
                    format!(" by {by}")
                };
                self.say(at, EventKind::Started, None, format!("the run was created{by}"));
            }
            Record::Resumed { from, .. } => self.resumed(at, from.as_ref().map(|from| from.as_str())),
            Record::StepStarted { node, .. } => {
                self.going_on.insert(*node, ());
            }
            Record::StepEnded {
                node,
                attempt,
                outcome,
                retry_at,
                ..
            } => {
                self.going_on.remove(node);
                let Some(cause) = outcome.cause() else {
                    return self.good.add(at, self.id(*node));
                };
                let what = match outcome {
                    Outcome::Unknown { .. } => "nobody knows what became of it",
                    _ => "failed",
                };
                let again = match retry_at {
                    Some(due) => format!("; tried again after {}", due.since(at)),
                    None => String::new(),
                };
                let kind = if retry_at.is_some() {
                    EventKind::Retried
                } else {
                    EventKind::Failed
                };
                let text = format!("`{}`, attempt {attempt}: {what}: {cause}{again}", self.id(*node));
                self.say(at, kind, Some(*node), text);
            }
            Record::Skipped { node, .. } => self.skipped.add(at, self.id(*node)),
            Record::PlanReplaced { by, changes, .. } => {
                let text = format!("the plan was replaced by {by}: {}", listed(changes));
                self.say(at, EventKind::PlanReplaced, None, text);
            }
            Record::Expanded { .. } | Record::Notified { .. } | Record::CheckedAnew { .. } => {}
            Record::TimerSet { node, due, .. } => {
                let time = due.since(at);
                let what = match &self.state.graph().node(*node).kind {
                    NodeKind::Watch(watch) if looks_once(watch) => "looks once".to_owned(),
                    NodeKind::Watch(_) => format!("watches for {time}"),
                    _ => format!("waits {time}"),
                };
                let text = format!("`{}` {what}", self.id(*node));
                self.say(at, EventKind::Timer, Some(*node), text);
            }
            Record::TimerFired { node, .. } => self.good.add(at, self.id(*node)),
            Record::Breached { node, detail, .. } => {
                let text = format!("`{}` saw a breach: {detail}", self.id(*node));
                self.say(at, EventKind::Breached, Some(*node), text);
            }
            Record::Waiting { reason, .. } => self.waiting(at, reason),
            Record::Answered { node, answer, by, .. } => {
                let text = format!("`{}`: {}", self.id(*node), answered(answer, by));
                self.say(at, EventKind::Answered, Some(*node), text);
            }
            Record::Paused { paused, .. } => {
                let text = if *paused {
                    "a person paused the run"
                } else {
                    "a person let the run go on"
                };
                self.say(at, EventKind::Paused, None, text.to_owned());
            }
            Record::CancelRequested { abort, .. } => {
                let text = if *abort {
                    "a person aborted the run: running steps were stopped in their middle"
                } else {
                    "a person asked the run to end"
                };
                self.say(at, EventKind::Cancelled, None, text.to_owned());
            }
            Record::RollbackStarted { reason, to, .. } => {
                let to = to
                    .as_ref()
                    .map(|to| format!(" to checkpoint {to}"))
                    .unwrap_or_default();
                self.say(
                    at,
                    EventKind::Rollback,
                    None,
                    format!("a rollback{to} began: {reason}"),
                );
            }
            Record::UndoStarted { .. } => {}
            Record::UndoEnded {
                node,
                attempt,
                end,
                retry_at,
                ..
            } => match end {
                UndoEnd::Undone => self.undone.add(at, self.id(*node)),
                UndoEnd::Failed { cause } => {
                    let again = match retry_at {
                        Some(due) => format!("; tried again after {}", due.since(at)),
                        None => String::new(),
                    };
                    let id = self.id(*node);
                    let text = format!("undoing `{id}`, attempt {attempt}: failed: {cause}{again}");
                    self.say(at, EventKind::UndoFailed, Some(*node), text);
                }
            },
            Record::RunEnded { end, .. } => {
                self.has_engine = false;
                self.going_on.clear();
                let text = match end {
                    RunEnd::Succeeded => "the run succeeded",
                    RunEnd::Failed => "the run failed; the engine left it",
                    RunEnd::RolledBack => "the rollback was done",
                    RunEnd::Stuck => "the rollback failed; the engine left the run",
                    RunEnd::Waiting => "nothing could go on without a person; the engine left the run",
                    RunEnd::Cancelled => "the run was cancelled; the engine left it",
                };
                self.say(at, EventKind::Ended, None, text.to_owned());
            }
        }
    }

    fn resumed(&mut self, at: Timestamp, from: Option<&str>) {
        let from = from
            .map(|from| format!(" from checkpoint {from}"))
            .unwrap_or_default();
        let is_first = self.events.len() <= 1 && !self.has_engine;
        if self.has_engine {
            let lost: Vec<String> = self
                .going_on
                .keys()
                .map(|node| format!("`{}`", self.id(*node)))
                .collect();
            let what = match lost.len() {
                0 => "no step was going on".to_owned(),
                1 => format!("{} was going on", lost[0]),
                count => format!("{count} steps were going on, such as {}", lost[0]),
            };
            let text = format!("the engine had died ({what}); another took the run up{from}");
            self.say(at, EventKind::EngineDied, None, text);
        } else if !is_first {
            self.say(at, EventKind::Resumed, None, format!("the run was resumed{from}"));
        }
        self.going_on.clear();
        self.has_engine = true;
    }

    fn waiting(&mut self, at: Timestamp, reason: &WaitReason) {
        let (node, text) = match reason {
            WaitReason::Approval { node, .. } => {
                let asked = match question(self.state, *node) {
                    Some(question) => format!(": {question}"),
                    None => String::new(),
                };
                (Some(*node), format!("`{}` asked a person{asked}", self.id(*node)))
            }
            WaitReason::InDoubt { node, detail } => {
                (Some(*node), format!("`{}` is in doubt: {detail}", self.id(*node)))
            }
            WaitReason::Paused { node: Some(node) } => (
                Some(*node),
                format!("paused, because `{}` failed", self.id(*node)),
            ),
            WaitReason::Paused { node: None } => (None, "paused".to_owned()),
        };
        self.say(at, EventKind::Waiting, node, text);
    }

    fn id(&self, node: NodeIndex) -> StepId {
        self.state.graph().node(node).id.clone()
    }

    fn say(&mut self, at: Timestamp, kind: EventKind, node: Option<NodeIndex>, text: String) {
        self.flush();
        let step = node.map(|node| self.id(node));
        self.events.push(Event { at, kind, step, text });
    }

    fn flush(&mut self) {
        let good = std::mem::take(&mut self.good).event(EventKind::EndedWell, "ended well");
        let skipped =
            std::mem::take(&mut self.skipped).event(EventKind::Skipped, "skipped: the condition is false");
        let undone = std::mem::take(&mut self.undone).event(EventKind::Undone, "undone");
        let from = self.events.len();
        self.events.extend([good, skipped, undone].into_iter().flatten());
        self.events[from..].sort_by_key(|event| event.at);
    }
}

/// How many changes of a plan the story lists.
const CHANGES_MAX: usize = 8;

fn listed(changes: &[String]) -> String {
    let shown = changes
        .iter()
        .take(CHANGES_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match changes.len().saturating_sub(CHANGES_MAX) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

impl Gathered {
    fn add(&mut self, at: Timestamp, step: StepId) {
        self.first.get_or_insert_with(|| step.clone());
        self.last = Some((at, step));
        self.count += 1;
    }

    fn event(self, kind: EventKind, what: &str) -> Option<Event> {
        let (first, (at, last)) = (self.first?, self.last?);
        Some(match self.count {
            1 => Event {
                at,
                kind,
                text: format!("`{last}` {what}"),
                step: Some(last),
            },
            count => Event {
                at,
                kind,
                text: format!("{count} steps {what}, from `{first}` to `{last}`"),
                step: None,
            },
        })
    }
}
