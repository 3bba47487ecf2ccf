//! A person at the terminal, who is asked while the run goes on.

use super::{Driver, LOOK_EVERY};
use crate::journal::Request;
use caxplan_core::schedule::{Event, NodeStatus};
use caxplan_model::{Answer, NodeIndex, NodeKind, RunEnd, StepId, WaitReason};
use std::collections::{BTreeSet, VecDeque};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::signals::Signals;

/// What a person is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The node that asks.
    pub node: NodeIndex,
    /// Its step.
    pub step: StepId,
    /// What.
    pub about: QuestionKind,
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq)]
pub enum QuestionKind {
    /// Whether to go on: the question of the plan.
    Approval(String),
    /// Whether each of these lines is so.
    Checklist(Vec<String>),
    /// Whether the step did its work: why nothing else can tell.
    InDoubt(String),
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The node that asked.
    pub node: NodeIndex,
    /// The answer; `None` if the person does not want to say now.
    pub answer: Option<Answer>,
}

/// The engine's side of a conversation with the person at its terminal.
#[derive(Debug)]
pub struct Person {
    by: String,
    questions: std::sync::mpsc::Sender<Question>,
    replies: mpsc::UnboundedReceiver<Reply>,
    open: BTreeSet<NodeIndex>,
    put_off: BTreeSet<NodeIndex>,
}

/// The terminal's side of it.
#[derive(Debug)]
pub struct Interview {
    /// What to ask, one after the other.
    pub questions: std::sync::mpsc::Receiver<Question>,
    /// What came of it.
    pub replies: mpsc::UnboundedSender<Reply>,
}

impl Person {
    /// Both sides. `by` (`user@host`) is who the journal says answered.
    pub fn new(by: String) -> (Self, Interview) {
        let (ask, questions) = std::sync::mpsc::channel();
        // A person gives one reply per question, and there are as many questions as steps that ask.
        let (replies, replied) = mpsc::unbounded_channel();
        let person = Self {
            by,
            questions: ask,
            replies: replied,
            open: BTreeSet::new(),
            put_off: BTreeSet::new(),
        };
        (person, Interview { questions, replies })
    }

    fn ask(&mut self, question: Question) {
        let node = question.node;
        if !self.put_off.contains(&node) && self.open.insert(node) && self.questions.send(question).is_err() {
            // The terminal is gone: as if nobody were there.
            self.open.remove(&node);
        }
    }
}

/// The next reply; never, if nobody is there. Cancel safe.
pub(super) async fn reply_of(person: Option<&mut Person>) -> Option<Reply> {
    match person {
        Some(person) => person.replies.recv().await,
        None => std::future::pending().await,
    }
}

impl Driver {
    /// Asks about what a record says that the run waits for.
    pub(super) fn ask_about(&mut self, reason: &WaitReason) {
        let question = match reason {
            WaitReason::Approval { node, .. } => self.question(*node),
            WaitReason::InDoubt { node, detail } => Some(Question {
                node: *node,
                step: self.scheduler.state().graph().node(*node).id.clone(),
                about: QuestionKind::InDoubt(detail.clone()),
            }),
            WaitReason::Paused { .. } => None,
        };
        if let (Some(person), Some(question)) = (&mut self.person, question) {
            person.ask(question);
        }
    }

    /// Asks whatever approvals are open: those of a run that was taken up have no record of their own.
    pub(super) fn ask_open(&mut self) {
        if self.person.is_none() {
            return;
        }
        let count = u32::try_from(self.scheduler.state().graph().nodes.len()).unwrap_or(u32::MAX);
        for node in (0..count).map(NodeIndex) {
            let question = match self.scheduler.state().status(node) {
                NodeStatus::Asking => self.question(node),
                _ => None,
            };
            if let (Some(person), Some(question)) = (&mut self.person, question) {
                person.ask(question);
            }
        }
    }

    fn question(&self, node: NodeIndex) -> Option<Question> {
        let state = self.scheduler.state();
        let asks = state.graph().node(node);
        let asked = state.asked(node);
        let about = match &asks.kind {
            NodeKind::Approve { .. } => QuestionKind::Approval(asked.concat()),
            NodeKind::Checklist(_) => QuestionKind::Checklist(asked.into_iter().map(str::to_owned).collect()),
            _ => return None,
        };
        Some(Question {
            node,
            step: asks.id.clone(),
            about,
        })
    }

    /// Takes in a reply. Without one the terminal is gone.
    pub(super) fn take_reply(&mut self, reply: Option<Reply>, events: &mut VecDeque<Event>) {
        let Some(person) = &mut self.person else { return };
        match reply {
            None => self.person = None,
            Some(Reply { node, answer: None }) => {
                person.open.remove(&node);
                person.put_off.insert(node);
            }
            Some(Reply {
                node,
                answer: Some(answer),
            }) => {
                person.open.remove(&node);
                let by = person.by.clone();
                events.push_back(Event::Answered { node, answer, by });
            }
        }
    }

    /// Somebody has answered, here or elsewhere.
    pub(super) fn is_answered(&mut self, node: NodeIndex) {
        if let Some(person) = &mut self.person {
            person.open.remove(&node);
        }
    }

    /// If the run waits for answers only and somebody is there to give them: waits for one, with the run's locks held.
    /// `None` if nobody is, wants to, or can; then the engine leaves.
    pub(super) async fn converse(&mut self, end: RunEnd, signals: &mut Signals) -> Option<VecDeque<Event>> {
        if end != RunEnd::Waiting || self.scheduler.state().is_paused() {
            return None;
        }
        self.ask_open();
        loop {
            if self.person.as_ref()?.open.is_empty() {
                return None;
            }
            let mut events = VecDeque::new();
            let wake = Instant::now() + LOOK_EVERY;
            tokio::select! {
                biased;
                // The run is waiting as it is; there is nothing to cancel.
                _ = signals.next() => return None,
                reply = reply_of(self.person.as_mut()) => self.take_reply(reply, &mut events),
                () = tokio::time::sleep_until(wake) => {
                    // What asks for the end of this engine gets it.
                    let is_end = |request: &Request| {
                        matches!(request, Request::Cancel { .. } | Request::Pause { paused: true })
                    };
                    let requests = self.journal.requests(&self.tail).unwrap_or_default();
                    if requests.iter().any(|stored| is_end(&stored.request)) {
                        return None;
                    }
                    self.take_requests(&mut events);
                }
            }
            if !events.is_empty() {
                events.push_back(Event::Resume {
                    in_doubt: self.orders.in_doubt,
                    from: None,
                });
                self.end = None;
                return Some(events);
            }
        }
    }
}
