//! What takes time without running an action: waits, watches, questions to the driver and to people.

use super::event::Command;
use super::live::{Activity, Question};
use super::scheduler::{Scheduler, Turn};
use super::status::NodeStatus;
use crate::guard::{guard_of, step_behind};
use caxplan_model::{
    Answer, Duration, FailureKind, NodeIndex, NodeKind, Record, Value, WaitReason, Watch, Wording,
};

/// Whether a watch lasts no time: it looks once.
pub fn looks_once(watch: &Watch) -> bool {
    watch.duration.parse() == Ok(Duration::ZERO)
}

/// The shortest pause between two observations: a watch is no busy loop.
const EVERY_MIN: Duration = Duration::from_millis(100);

impl Scheduler {
    pub(super) fn wait(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        match self.state.timer(node) {
            Some(due) if due <= turn.now => self.time_is_up(node, turn),
            Some(due) => self.sleep(node, due, turn),
            None => {
                let NodeKind::Wait { duration } = &self.state.graph.node(node).kind else {
                    return;
                };
                let text = duration.clone();
                if let Some(duration) = self.duration(node, Question::Duration, text, turn) {
                    self.set_timer(node, duration, turn);
                    self.wait(node, turn);
                }
            }
        }
    }

    pub(super) fn watch(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        let NodeKind::Watch(watch) = &self.state.graph.node(node).kind else {
            return;
        };
        let (duration, every) = (watch.duration.clone(), watch.every.clone());
        if self.state.timer(node).is_none() {
            let Some(duration) = self.duration(node, Question::Duration, duration, turn) else {
                return;
            };
            self.set_timer(node, duration, turn);
        }
        if !self.intervals.contains_key(&node) {
            let Some(every) = self.duration(node, Question::Every, every, turn) else {
                return;
            };
            self.intervals.insert(node, every.max(EVERY_MIN));
        }
        self.live.set(node, Activity::Observing);
        turn.out.push(Command::Observe { node });
    }

    pub(super) fn observed(&mut self, node: NodeIndex, breach: Option<String>, turn: &mut Turn<'_>) {
        if self.live.activity(node) != Activity::Observing {
            return;
        }
        self.live.set(node, Activity::Idle);
        if self.state.is_over(node) {
            return;
        }
        let at = turn.now;
        if let Some(detail) = breach {
            // The attempt that it stands before is not made: that is how the step has failed.
            let step = step_behind(&self.state.graph, node);
            if let Some(step) = step.filter(|step| self.state.is_retrying(*step)) {
                let why = format!("not tried again: {detail}");
                return self.fail_before_start(step, FailureKind::Invariant, why, turn);
            }
            self.append(Record::Breached { at, node, detail }, turn);
            if self.state.status(node).is_ended() {
                return self.ended(node);
            }
        }
        if self.is_stopped() {
            return;
        }
        let every = self.intervals.get(&node).copied().unwrap_or(EVERY_MIN);
        match self.state.timer(node) {
            Some(due) if due <= at => self.time_is_up(node, turn),
            Some(due) => self.sleep(node, at.after(every).min(due), turn),
            None => {}
        }
    }

    pub(super) fn timer(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        if self.live.activity(node) == Activity::Open {
            self.look_at_the_clock(node, turn);
        }
        if self.live.activity(node) != Activity::Sleeping {
            return;
        }
        self.live.set(node, Activity::Idle);
        // What is due while the run is stopped is found due when it goes on. A clock that was set back finds it not
        // yet due, and the timer is armed anew.
        if self.state.run.rollback.is_none() {
            self.todo.push_back(node);
        }
    }

    pub(super) fn set_timer(&mut self, node: NodeIndex, duration: Duration, turn: &mut Turn<'_>) {
        let (at, due) = (turn.now, turn.now.after(duration));
        self.append(Record::TimerSet { at, node, due }, turn);
    }

    fn time_is_up(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        self.append(Record::TimerFired { at: turn.now, node }, turn);
        self.checked.extend(guard_of(&self.state.graph, node));
        self.ended(node);
    }

    /// Asks, once all that is asked is known.
    pub(super) fn ask_person(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        if *self.state.status(node) == NodeStatus::Pending {
            let wordings = self.state.graph.node(node).kind.wordings();
            let is_late = |wording: &Wording| matches!(wording, Wording::Late { .. });
            let mut asked = self.worded.remove(&node).unwrap_or_default();
            if wordings.iter().any(is_late) {
                for wording in &wordings[asked.len()..] {
                    match wording {
                        Wording::Known(text) => asked.push(text.clone()),
                        Wording::Late { template } => {
                            let template = template.clone();
                            self.worded.insert(node, asked);
                            return self.ask(node, Question::Wording, template, turn);
                        }
                    }
                }
            }
            let reason = WaitReason::Approval { node, asked };
            self.append(Record::Waiting { at: turn.now, reason }, turn);
        }
        self.live.set(node, Activity::Waiting);
    }

    fn wording_known(&mut self, node: NodeIndex, value: Value, turn: &mut Turn<'_>) {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.worded.entry(node).or_default().push(text);
        self.ask_person(node, turn);
    }

    /// A person's answer; one that nobody asked for is ignored.
    pub(super) fn answer(&mut self, node: NodeIndex, answer: Answer, by: String, turn: &mut Turn<'_>) {
        let known = node.index() < self.state.nodes.len() && self.state.records() > 0;
        if !known || !self.state.accepts(node, &answer) {
            return;
        }
        let at = turn.now;
        self.append(Record::Answered { at, node, answer, by }, turn);
        if self.live.activity(node) == Activity::Waiting {
            self.live.set(node, Activity::Idle);
        }
        if self.state.status(node).is_ended() {
            self.ended(node);
        } else {
            self.todo.push_back(node);
        }
    }

    pub(super) fn expand(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        let NodeKind::Foreach(foreach) = &self.state.graph.node(node).kind else {
            return;
        };
        match foreach.items.clone() {
            caxplan_model::Items::Known(items) => self.expand_over(node, items, turn),
            caxplan_model::Items::Template(text) => self.ask(node, Question::Items, text, turn),
        }
    }

    fn expand_over(&mut self, node: NodeIndex, items: Vec<Value>, turn: &mut Turn<'_>) {
        let at = turn.now;
        let record = Record::Expanded { at, node, items };
        match self.state.apply(&record) {
            Ok(()) => {
                turn.out.push(Command::Append(record));
                self.live.grow(self.state.graph.nodes.len());
                self.todo.push_back(node);
            }
            // The list is the plan's, not ours: too long, or a wrong batch size.
            Err(error) => self.fail_before_start(node, FailureKind::Invalid, error.reason, turn),
        }
    }

    pub(super) fn ask(&mut self, node: NodeIndex, question: Question, text: String, turn: &mut Turn<'_>) {
        self.live.set(node, Activity::Asked(question));
        turn.out.push(Command::Evaluate { node, text });
    }

    pub(super) fn evaluated(&mut self, node: NodeIndex, value: Result<Value, String>, turn: &mut Turn<'_>) {
        let Activity::Asked(question) = self.live.activity(node) else {
            return;
        };
        self.live.set(node, Activity::Idle);
        if self.is_stopped() || !self.may_start(node) {
            return;
        }
        let wrong = |what: &str, value: &Value| format!("{what}, not {value}");
        let problem = match (question, value) {
            (_, Err(message)) => message,
            (Question::When, Ok(Value::Bool(true))) => return self.enter(node, turn),
            (Question::When, Ok(Value::Bool(false))) => {
                let reason = "its condition is false".to_owned();
                let at = turn.now;
                self.append(Record::Skipped { at, node, reason }, turn);
                return self.ended(node);
            }
            (Question::When, Ok(value)) => wrong("`when` must yield true or false", &value),
            (Question::Items, Ok(Value::Array(items))) => return self.expand_over(node, items, turn),
            (Question::Wording, Ok(value)) => return self.wording_known(node, value, turn),
            (Question::Items, Ok(value)) => wrong("`foreach` must run over a list", &value),
            (Question::Duration | Question::Every | Question::Delay, Ok(value)) => {
                match value.as_str().map(str::parse) {
                    Some(Ok(duration)) => return self.duration_known(node, question, duration, turn),
                    Some(Err(error)) => error.to_string(),
                    None => wrong("a duration must be a text such as `5m`", &value),
                }
            }
        };
        self.worded.remove(&node);
        self.fail_before_start(node, FailureKind::Template, problem, turn);
    }

    fn duration_known(
        &mut self,
        node: NodeIndex,
        question: Question,
        duration: Duration,
        turn: &mut Turn<'_>,
    ) {
        match question {
            Question::Duration | Question::Delay => self.set_timer(node, duration, turn),
            Question::Every => {
                self.intervals.insert(node, duration.max(EVERY_MIN));
            }
            Question::When | Question::Items | Question::Wording => {}
        }
        if question == Question::Delay {
            self.live.set(node, Activity::Open);
        }
        self.todo.push_back(node);
    }

    /// A duration that can be read as it stands. A template is sent to the driver, and what is no duration fails the
    /// node; `None` then.
    pub(super) fn duration(
        &mut self,
        node: NodeIndex,
        question: Question,
        text: String,
        turn: &mut Turn<'_>,
    ) -> Option<Duration> {
        if text.contains("{{") || text.contains("{%") {
            self.ask(node, question, text, turn);
            return None;
        }
        match text.parse() {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.fail_before_start(node, FailureKind::Template, error.to_string(), turn);
                None
            }
        }
    }
}
