//! From state and records to the account.

use super::notified::notifications;
use super::{Account, Note, PhaseAccount, StepAccount, story, target, trouble};
use crate::schedule::{NodeStatus, State, UndoStatus};
use crate::template::{Scope, is_template, resolve};
use caxplan_model::{
    Answer, Duration, Map, NodeIndex, NodeKind, OnFailure, Record, RunEnd, StepId, Timestamp, UndoEnd, Value,
    WaitReason,
};

/// What the records say about one node, beyond its state.
#[derive(Clone, Default)]
pub(super) struct Trace {
    pub(super) first: Option<Timestamp>,
    last: Option<Timestamp>,
    started: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) note: Option<String>,
    undo_note: Option<String>,
}

impl Account {
    /// The account of a run: `records` are all that were applied to `state`.
    pub fn of(state: &State, records: &[Record]) -> Self {
        let traces = traces(state, records);
        let (by, started) = match records.first() {
            Some(Record::RunCreated { by, at, .. }) => (by.clone(), *at),
            Some(_) | None => (String::new(), Timestamp::default()),
        };
        // How long it took to tell of the end is no part of the run.
        let last = records
            .iter()
            .rfind(|record| !matches!(record, Record::Notified { .. } | Record::PlanReplaced { .. }))
            .map_or(started, Record::at);
        let id = |node: &NodeIndex| state.graph().node(*node).id.clone();
        let note = |node: NodeIndex, text: String| Note {
            step: id(&node),
            text,
        };
        let reachable = below(state, NodeIndex::ROOT);
        let goes_on = |node: &&NodeIndex| {
            matches!(state.status(**node), NodeStatus::Running(_))
                || matches!(state.undo_status(**node), UndoStatus::Running(_))
        };
        let in_flight = match state.run_end() {
            Some(_) => Vec::new(),
            None => reachable.iter().filter(goes_on).map(id).collect(),
        };
        let in_doubt = if state.is_rolling_back() {
            Vec::new()
        } else {
            trouble::in_doubt(state, &traces, &reachable)
        };
        let questions = reachable
            .iter()
            .filter(|node| *state.status(**node) == NodeStatus::Asking)
            .filter_map(|node| Some(note(*node, question(state, *node)?)))
            .collect();
        let undo_failed = reachable
            .iter()
            .filter(|node| state.undo_status(**node) == UndoStatus::Failed)
            .filter_map(|node| Some(note(*node, traces[node.index()].undo_note.clone()?)))
            .collect();
        Self {
            plan: state.graph().header.name.clone(),
            by,
            end: state.run_end(),
            reason: reason(state, records, &traces),
            started,
            last,
            phases: phases(state, &traces, last),
            events: story::story(state, records),
            failures: trouble::failures(state, &traces, &reachable),
            targets: target::targets(state, &traces, &reachable),
            in_flight,
            in_doubt,
            questions,
            rolling_back: state.is_rolling_back(),
            undone: undone(state, records),
            undo_failed,
            to_undo: state.to_undo().iter().map(id).collect(),
            cannot_undo: state.cannot_undo().iter().map(id).collect(),
            checkpoint: state.last_checkpoint().cloned(),
            notifications: notifications(state, records),
        }
    }
}

fn traces(state: &State, records: &[Record]) -> Vec<Trace> {
    let mut traces = vec![Trace::default(); state.graph().nodes.len()];
    for record in records {
        let at = record.at();
        let (node, starts, ends, note) = match record {
            Record::StepStarted { node, .. } => (*node, true, false, None),
            Record::StepEnded { node, outcome, .. } => {
                (*node, false, true, outcome.cause().map(ToString::to_string))
            }
            Record::Skipped { node, reason, .. } => (*node, false, true, Some(reason.clone())),
            Record::TimerSet { node, .. } => (*node, true, false, None),
            Record::TimerFired { node, .. } => {
                let limit = state.graph().node(*node).timeout;
                (
                    *node,
                    false,
                    true,
                    limit.map(|limit| format!("its time was over ({limit})")),
                )
            }
            Record::Breached { node, detail, .. } => (*node, false, true, Some(detail.clone())),
            Record::Answered { node, answer, by, .. } => (*node, false, true, Some(answered(answer, by))),
            Record::Expanded { node, .. } => (*node, false, false, None),
            Record::Waiting { reason, .. } => match reason {
                WaitReason::Approval { node, .. } => (*node, true, false, None),
                WaitReason::InDoubt { node, detail } => (*node, false, false, Some(detail.clone())),
                WaitReason::Paused { .. } => continue,
            },
            Record::UndoEnded {
                node,
                end: UndoEnd::Failed { cause },
                ..
            } => {
                traces[node.index()].undo_note = Some(cause.to_string());
                continue;
            }
            Record::RunCreated { .. }
            | Record::CheckedAnew { .. }
            | Record::Resumed { .. }
            | Record::Paused { .. }
            | Record::CancelRequested { .. }
            | Record::RollbackStarted { .. }
            | Record::UndoStarted { .. }
            | Record::UndoEnded { .. }
            | Record::RunEnded { .. }
            | Record::PlanReplaced { .. }
            | Record::Notified { .. } => continue,
        };
        let trace = &mut traces[node.index()];
        trace.first = trace.first.or(Some(at));
        trace.last = Some(at);
        if starts {
            (trace.started, trace.ended, trace.note) = (Some(at), None, None);
        }
        if ends {
            trace.ended = Some(at);
        }
        if note.is_some() {
            trace.note = note;
        }
    }
    traces
}

pub(super) fn answered(answer: &Answer, by: &str) -> String {
    match answer {
        Answer::Approved => format!("approved by {by}"),
        Answer::Rejected { reason } => format!("rejected by {by}: {reason}"),
        Answer::AssumeDone => format!("{by} said that it did its work"),
        Answer::Rerun => format!("{by} said to run it again"),
        Answer::Fail => format!("{by} said that it failed"),
    }
}

/// The phases: what the plan marks as such, or else what stands directly below the root.
fn phases(state: &State, traces: &[Trace], last: Timestamp) -> Vec<PhaseAccount> {
    state
        .children(NodeIndex::ROOT)
        .iter()
        .map(|phase| {
            let mut first_seen: Option<Timestamp> = None;
            let mut last_seen: Option<Timestamp> = None;
            let mut steps = Vec::new();
            for node in below(state, *phase) {
                let trace = &traces[node.index()];
                first_seen = first_seen.into_iter().chain(trace.first).min();
                last_seen = last_seen.max(trace.last);
                let group_note = trace.note.is_some() && state.status(node).is_ended();
                if state.graph().node(node).kind.is_leaf() || group_note {
                    steps.push(step(state, *phase, node, trace, last));
                }
            }
            PhaseAccount {
                name: state.graph().node(*phase).name.to_string(),
                status: state.status(*phase).word(),
                duration: first_seen.zip(last_seen).map(|(first, last)| last.since(first)),
                steps,
            }
        })
        .collect()
}

fn step(state: &State, phase: NodeIndex, node: NodeIndex, trace: &Trace, last: Timestamp) -> StepAccount {
    let id = state.graph().node(node).id.clone();
    let prefix = format!("{}/", state.graph().node(phase).id);
    let name = id
        .as_str()
        .strip_prefix(&prefix)
        .unwrap_or(id.as_str())
        .to_owned();
    let good = matches!(state.status(node), NodeStatus::Succeeded { .. });
    let end = if state.status(node).is_ended() || trace.ended.is_some() {
        trace.ended
    } else {
        Some(last)
    };
    StepAccount {
        name,
        target: target(state, node),
        status: word(state, node),
        attempts: state.last_attempt(node).map_or(0, |attempt| attempt.0),
        started: trace.started,
        duration: trace.started.zip(end).map(|(start, end)| end.since(start)),
        // A step that ended well needs no excuse for its earlier attempts; an approval says who gave it.
        note: given_up(state, node).or(trace.note.clone()).filter(|_| {
            !good
                || matches!(
                    state.graph().node(node).kind,
                    NodeKind::Approve { .. } | NodeKind::Checklist(_)
                )
        }),
        id,
    }
}

/// A step that waited when the time of a group around it was over.
fn given_up(state: &State, node: NodeIndex) -> Option<String> {
    match state.status(node) {
        NodeStatus::Failed(failure) if failure.origin != node && state.graph().node(node).kind.is_leaf() => {
            let group = &state.graph().node(failure.origin).id;
            Some(format!("given up: the time of `{group}` was over"))
        }
        _ => None,
    }
}

fn word(state: &State, node: NodeIndex) -> &'static str {
    match state.undo_status(node) {
        UndoStatus::Undone => "undone",
        UndoStatus::Failed => "undo_failed",
        UndoStatus::NotTried | UndoStatus::Running(_) | UndoStatus::Retrying { .. } => {
            match state.status(node) {
                NodeStatus::Succeeded { changed: false } if state.last_attempt(node).is_some() => "unchanged",
                NodeStatus::Running(_) if state.run_end().is_some() => "in_doubt",
                status => status.word(),
            }
        }
    }
}

/// The node and all below it, in the order of the plan; not what lies below a group that was skipped as a whole.
fn below(state: &State, node: NodeIndex) -> Vec<NodeIndex> {
    let mut open = vec![node];
    let mut all = Vec::new();
    while let Some(at) = open.pop() {
        all.push(at);
        if !matches!(state.status(at), NodeStatus::Skipped) {
            open.extend(state.children(at).iter().rev());
        }
    }
    all
}

/// The name of the target that a step acts on, as far as the state tells.
pub(super) fn target(state: &State, node: NodeIndex) -> Option<String> {
    let text = match &state.graph().node(node).kind {
        NodeKind::Action(action) => action.target.as_deref(),
        NodeKind::Watch(watch) => watch.target.as_deref(),
        _ => return None,
    };
    let bindings = state.bindings(node);
    match text {
        Some(text) if !is_template(text) => Some(text.to_owned()),
        Some(text) => {
            let mut root = bindings;
            root.insert("params".to_owned(), Value::Object(state.graph().params.clone()));
            root.insert("vars".to_owned(), Value::Object(state.graph().vars.clone()));
            root.insert("steps".to_owned(), Value::Object(named_steps(state, text, node)));
            let root = Value::Object(root);
            let value = resolve(text, &Scope { root }).ok()?;
            name_of(&value)
        }
        None => bindings.get("target").and_then(name_of),
    }
}

/// The steps that a template may name: those whose name occurs in its text.
fn named_steps(state: &State, text: &str, node: NodeIndex) -> Map {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .filter_map(|word| Some((word.to_owned(), state.step_view(word, node)?)))
        .collect()
}

fn name_of(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Object(target) => target.get("name").and_then(Value::as_str).map(str::to_owned),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// What a step asks a person.
pub(super) fn question(state: &State, node: NodeIndex) -> Option<String> {
    let asked = state.asked(node);
    (!asked.is_empty()).then(|| asked.join("; "))
}

fn undone(state: &State, records: &[Record]) -> Vec<StepId> {
    let ended = records.iter().filter_map(|record| match record {
        Record::UndoEnded {
            node,
            end: UndoEnd::Undone,
            ..
        } => Some(state.graph().node(*node).id.clone()),
        _ => None,
    });
    ended.collect()
}

fn reason(state: &State, records: &[Record], traces: &[Trace]) -> String {
    let id = |node: NodeIndex| state.graph().node(node).id.to_string();
    let why = |node: NodeIndex| {
        let note = traces[node.index()].note.clone();
        note.map_or_else(String::new, |note| format!(": {note}"))
    };
    let failed = || match *state.status(NodeIndex::ROOT) {
        NodeStatus::Failed(failure) => {
            Some(format!("`{}` failed{}", id(failure.origin), why(failure.origin)))
        }
        _ => None,
    };
    match state.run_end() {
        Some(RunEnd::Succeeded) => match tolerated(state) {
            0 => "all steps ended well".to_owned(),
            1 => "all steps ended well but one, whose failure the plan tolerates".to_owned(),
            count => format!("all steps ended well but {count}, whose failures the plan tolerates"),
        },
        Some(RunEnd::Failed) => failed().unwrap_or_else(|| "a step failed".to_owned()),
        Some(RunEnd::RolledBack) => rolled_back(state, records, failed()),
        Some(RunEnd::Stuck) => {
            let stuck = (0..)
                .map(NodeIndex)
                .take(traces.len())
                .find(|node| state.undo_status(*node) == UndoStatus::Failed);
            match stuck {
                Some(node) => {
                    let why = traces[node.index()].undo_note.clone().unwrap_or_default();
                    format!("`{}` could not be undone: {why}", id(node))
                }
                None => "an undo failed".to_owned(),
            }
        }
        Some(RunEnd::Waiting) => waiting(state, records),
        Some(RunEnd::Cancelled) => "cancelled by a person".to_owned(),
        None if state.is_rolling_back() => "being rolled back".to_owned(),
        None => "going on, or its engine died".to_owned(),
    }
}

fn rolled_back(state: &State, records: &[Record], failed: Option<String>) -> String {
    let asked = records.iter().rev().find_map(|record| match record {
        Record::RollbackStarted { reason, to, .. } => Some((reason.clone(), to.clone())),
        _ => None,
    });
    let (asked, to) = asked.unwrap_or_default();
    let why = failed.unwrap_or(asked);
    let what = match to {
        Some(to) => format!("what was done after checkpoint `{to}` was undone"),
        None => "what was done was undone".to_owned(),
    };
    match state.cannot_undo().len() {
        0 => format!("{why}; {what}"),
        1 => format!("{why}; {what}, but for one step that cannot be"),
        count => format!("{why}; {what}, but for {count} steps that cannot be"),
    }
}

fn waiting(state: &State, records: &[Record]) -> String {
    let id = |node: NodeIndex| state.graph().node(node).id.to_string();
    let paused = records.iter().rev().find_map(|record| match record {
        Record::Waiting {
            reason: WaitReason::Paused { node },
            ..
        } => Some(*node),
        _ => None,
    });
    let all = || (0..).map(NodeIndex).take(state.graph().nodes.len());
    if let Some(Some(node)) = paused
        && matches!(state.status(node), NodeStatus::Failed(_))
    {
        return format!("`{}` failed, and the plan pauses then", id(node));
    }
    if let Some(node) = all().find(|node| matches!(state.status(*node), NodeStatus::InDoubt(_))) {
        return format!("nobody can tell whether `{}` did its work", id(node));
    }
    match all().find(|node| *state.status(*node) == NodeStatus::Asking) {
        Some(node) if !state.is_paused() => format!("`{}` waits for a person", id(node)),
        Some(_) | None => "paused by a person".to_owned(),
    }
}

/// Steps that failed in a run that went on all the same.
fn tolerated(state: &State) -> usize {
    (0..)
        .map(NodeIndex)
        .take(state.graph().nodes.len())
        .filter(|node| match state.status(*node) {
            NodeStatus::Failed(failure) => {
                failure.origin == *node && failure.policy.is_none_or(|policy| policy == OnFailure::Continue)
            }
            _ => false,
        })
        .count()
}

impl Account {
    /// From the creation of the run to its last record.
    pub fn duration(&self) -> Duration {
        self.last.since(self.started)
    }

    /// The account of a run that has no end although no engine is at work on it: what was going on is in doubt.
    #[must_use]
    pub fn without_engine(mut self) -> Self {
        if self.end.is_some() {
            return self;
        }
        "its engine died without a word; what was going on then is in doubt until the run is resumed"
            .clone_into(&mut self.reason);
        let steps = self.phases.iter_mut().flat_map(|phase| &mut phase.steps);
        // Waits and watches go on where they stood; only attempts may have acted unseen.
        for step in steps.filter(|step| step.status == "running" && step.attempts > 0) {
            step.status = "in_doubt";
            step.duration = None;
            self.in_doubt.push(Note {
                step: step.id.clone(),
                text: format!("attempt {} was going on when the engine died", step.attempts),
            });
        }
        self
    }
}
