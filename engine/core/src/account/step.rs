//! All about one step.

use super::build::{answered, question, target};
use super::trouble::last_lines;
use crate::schedule::{State, looks_once};
use caxplan_model::{
    Cause, Duration, Map, NodeIndex, NodeKind, Outcome, Record, SharedMap, StepId, Timestamp, Undo, UndoEnd,
    Value,
};
use serde::Serialize;
use std::fmt::Write as _;

/// All about one step of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepDetail {
    /// Its id.
    pub id: StepId,
    /// Where the plan says it: file and line.
    pub source: String,
    /// What kind of step it is.
    pub kind: &'static str,
    /// Its status in one word.
    pub status: &'static str,
    /// The target that it acts on, if it has one that is known.
    pub target: Option<String>,
    /// The action, if it is one.
    pub action: Option<String>,
    /// The action's arguments as the plan has them, templates included: no secrets.
    pub arguments: Map,
    /// What it asks a person, if it does.
    pub question: Option<String>,
    /// The condition under which it runs.
    pub when: Option<String>,
    /// What became of it, in order.
    pub attempts: Vec<AttemptDetail>,
    /// What else happened to it: answers, breaches, timers.
    pub notes: Vec<TimedNote>,
    /// What was seen before it acted.
    pub before: Value,
    /// What it answered.
    pub output: Value,
    /// How it would be undone, in words.
    pub undo: String,
    /// Whether it may have changed something that was not undone.
    pub may_have_acted: bool,
}

/// One attempt at a step, or at undoing it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttemptDetail {
    /// Its number.
    pub attempt: u32,
    /// Whether it is an attempt at undoing.
    pub undo: bool,
    /// When it began.
    pub started: Timestamp,
    /// How long it took; `None` if its end is not known.
    pub duration: Option<Duration>,
    /// How it ended, in one word; `in_doubt` if its end is not known.
    pub result: &'static str,
    /// Why it failed.
    pub why: Option<String>,
    /// The last lines of what it put out, if it failed.
    pub output: Vec<String>,
}

/// Something that happened to a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimedNote {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

impl StepDetail {
    /// All about the step at `node`; `records` are all that were applied to `state`.
    pub fn of(state: &State, records: &[Record], node: NodeIndex) -> Self {
        let step = state.graph().node(node);
        let (action, arguments, undo) = match &step.kind {
            NodeKind::Action(action) => (
                Some(action.call.action.clone()),
                action.call.with.clone(),
                undo_words(&action.undo),
            ),
            NodeKind::Watch(watch) => (
                Some(watch.observe.action.clone()),
                watch.observe.with.clone(),
                "nothing to undo".to_owned(),
            ),
            _ => (None, SharedMap::default(), "nothing to undo".to_owned()),
        };
        let (attempts, notes) = history(state, records, node);
        let outcome = state.outcome(node);
        Self {
            id: step.id.clone(),
            source: step.source.to_string(),
            kind: kind_word(&step.kind),
            status: state.status(node).word(),
            target: target(state, node),
            action: action.map(String::from),
            arguments: arguments.into(),
            question: question(state, node),
            when: step.when.clone().map(String::from),
            attempts,
            notes,
            before: state.before(node).cloned().unwrap_or_default(),
            output: outcome
                .and_then(|outcome| outcome.output().cloned())
                .unwrap_or_default(),
            undo,
            may_have_acted: state.may_have_acted(node),
        }
    }

    /// For a terminal. `time` writes a point in time as its readers want it.
    pub fn to_text(&self, time: &dyn Fn(Timestamp) -> String) -> String {
        let mut out = String::new();
        let on = self
            .target
            .as_ref()
            .map(|target| format!(" on {target}"))
            .unwrap_or_default();
        let _ = writeln!(out, "{}: {}{on}", self.id, self.status.replace('_', " "));
        let what = self.action.as_deref().unwrap_or(self.kind);
        let _ = writeln!(out, "{what}, {}", self.source);
        for line in [
            self.question.as_ref().map(|question| format!("asks: {question}")),
            self.when.as_ref().map(|when| format!("runs when: {when}")),
        ]
        .into_iter()
        .flatten()
        {
            let _ = writeln!(out, "{line}");
        }
        if !self.arguments.is_empty() {
            let _ = writeln!(out, "\nArguments, as the plan has them");
            for (name, value) in &self.arguments {
                block(&mut out, name, value);
            }
        }
        if !self.attempts.is_empty() {
            let _ = writeln!(out, "\nAttempts");
        }
        for attempt in &self.attempts {
            let what = if attempt.undo { "undo" } else { "attempt" };
            let took = attempt
                .duration
                .map(|took| format!(" after {took}"))
                .unwrap_or_default();
            let why = attempt
                .why
                .as_ref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            let _ = writeln!(
                out,
                "  {}  {what} {}: {}{took}{why}",
                time(attempt.started),
                attempt.attempt,
                attempt.result.replace('_', " ")
            );
            for line in &attempt.output {
                let _ = writeln!(out, "      │ {line}");
            }
        }
        for note in &self.notes {
            let _ = writeln!(out, "  {}  {}", time(note.at), note.text);
        }
        for (title, value) in [("Before it acted", &self.before), ("Output", &self.output)] {
            if !value.is_null() {
                let _ = writeln!(out, "\n{title}");
                match value {
                    Value::Object(fields) => fields
                        .iter()
                        .for_each(|(name, value)| block(&mut out, name, value)),
                    value => block(&mut out, "value", value),
                }
            }
        }
        let acted = if self.may_have_acted {
            "its effect may still be there"
        } else {
            "no effect of it is left, or it had none"
        };
        let _ = writeln!(out, "\nUndo: {}; {acted}", self.undo);
        out
    }
}

/// A named value: texts of several lines as a block.
fn block(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::String(text) if text.trim_end().contains('\n') => {
            let _ = writeln!(out, "  {name}:");
            for line in text.trim_end().lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
        Value::String(text) => {
            let _ = writeln!(out, "  {name}: {}", text.trim_end());
        }
        value => {
            let _ = writeln!(out, "  {name}: {value}");
        }
    }
}

fn history(state: &State, records: &[Record], of: NodeIndex) -> (Vec<AttemptDetail>, Vec<TimedNote>) {
    let mut attempts: Vec<AttemptDetail> = Vec::new();
    let mut notes = Vec::new();
    let mut say = |at: Timestamp, text: String| notes.push(TimedNote { at, text });
    for record in records {
        match record {
            Record::StepStarted {
                at, node, attempt, ..
            } if *node == of => {
                attempts.push(begun(*at, attempt.0, false));
            }
            Record::UndoStarted { at, node, attempt } if *node == of => {
                attempts.push(begun(*at, attempt.0, true));
            }
            Record::StepEnded {
                at,
                node,
                attempt,
                outcome,
                ..
            } if *node == of => {
                let result = match outcome {
                    Outcome::Changed { .. } => "changed",
                    Outcome::Unchanged { .. } => "unchanged",
                    Outcome::Failed { .. } => "failed",
                    Outcome::Unknown { .. } => "unknown",
                };
                end(&mut attempts, *at, (attempt.0, false), result, outcome.cause());
            }
            Record::UndoEnded {
                at,
                node,
                attempt,
                end: how,
                ..
            } if *node == of => match how {
                UndoEnd::Undone => end(&mut attempts, *at, (attempt.0, true), "undone", None),
                UndoEnd::Failed { cause } => {
                    end(&mut attempts, *at, (attempt.0, true), "failed", Some(cause));
                }
            },
            Record::Skipped { at, node, reason } if *node == of => say(*at, format!("skipped: {reason}")),
            Record::TimerSet { at, node, due } if *node == of => {
                let once =
                    matches!(&state.graph().node(of).kind, NodeKind::Watch(watch) if looks_once(watch));
                say(
                    *at,
                    match once {
                        true => "looks once".to_owned(),
                        false => format!("waits {}", due.since(*at)),
                    },
                );
            }
            Record::TimerFired { at, node } if *node == of => say(*at, "its time was over".to_owned()),
            Record::Breached { at, node, detail } if *node == of => say(*at, format!("breach: {detail}")),
            Record::CheckedAnew { at, node } if *node == of => say(*at, "checked again".to_owned()),
            Record::Answered { at, node, answer, by } if *node == of => say(*at, answered(answer, by)),
            Record::Expanded { at, node, items } if *node == of => say(*at, format!("{} items", items.len())),
            _ => {}
        }
    }
    if state.run_end().is_none()
        && let Some(last) = attempts.last_mut().filter(|last| last.duration.is_none())
    {
        last.result = "running";
    }
    (attempts, notes)
}

fn begun(at: Timestamp, attempt: u32, undo: bool) -> AttemptDetail {
    AttemptDetail {
        attempt,
        undo,
        started: at,
        duration: None,
        result: "in_doubt",
        why: None,
        output: Vec::new(),
    }
}

fn end(
    attempts: &mut Vec<AttemptDetail>,
    at: Timestamp,
    (number, undo): (u32, bool),
    result: &'static str,
    cause: Option<&Cause>,
) {
    let known = attempts
        .iter()
        .rposition(|attempt| attempt.attempt == number && attempt.undo == undo && attempt.duration.is_none());
    // An end without a start: it failed before it could begin.
    let position = known.unwrap_or_else(|| {
        attempts.push(begun(at, number, undo));
        attempts.len() - 1
    });
    let attempt = &mut attempts[position];
    attempt.duration = Some(at.since(attempt.started));
    attempt.result = result;
    attempt.why = cause.map(ToString::to_string);
    attempt.output = cause.map(last_lines).unwrap_or_default();
}

fn undo_words(undo: &Undo) -> String {
    match undo {
        Undo::NotNeeded => "nothing to undo".to_owned(),
        Undo::Native => "the adapter restores what was there before".to_owned(),
        Undo::Calls(calls) => {
            let names: Vec<&str> = calls.iter().map(|call| call.action.as_str()).collect();
            format!("the plan's rollback: {}", names.join(", then "))
        }
        Undo::Impossible => "there is no way to undo it".to_owned(),
    }
}

fn kind_word(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::Sequence { .. } => "sequence",
        NodeKind::Parallel { .. } => "parallel",
        NodeKind::Dag { .. } => "dag",
        NodeKind::Rolling(_) | NodeKind::Foreach(_) => "foreach",
        NodeKind::Block { .. } => "block",
        NodeKind::Action(_) => "action",
        NodeKind::Wait { .. } => "wait",
        NodeKind::Watch(_) => "watch",
        NodeKind::Approve { .. } => "approve",
        NodeKind::Checklist(_) => "checklist",
    }
}
