//! One case of a plan's test: a script, what is expected of it, and what came of it.

use super::ending::{End, Ending};
use super::knowledge::{Knowledge, paths};
use super::model::Model;
use super::script::Script;
use super::story::{Assumption, Story};
use crate::condition;
use crate::schedule::{NodeStatus, State, indices};
use caxplan_model::{Duration, NodeIndex, Record};
use std::collections::BTreeSet;

/// One case of a plan's test.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Its name.
    pub name: String,
    /// What happens.
    pub script: Script,
    /// What is expected.
    pub expected: Expected,
}

/// What is expected of a simulated run. A step is named by its id, or by its name if that means all steps of that name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// How it ends: any of these.
    pub end: Vec<End>,
    /// Steps that start.
    pub ran: Vec<String>,
    /// Steps that do not start.
    pub not_ran: Vec<String>,
    /// Steps that are skipped.
    pub skipped: Vec<String>,
    /// Steps that fail for good.
    pub failed: Vec<String>,
    /// Steps that are undone.
    pub undone: Vec<String>,
    /// Steps that may have acted and are not undone by the rollback.
    pub not_undone: Vec<String>,
    /// How often steps are tried.
    pub attempts: Vec<(String, u32)>,
    /// Exactly the targets that are down at the end.
    pub down: Option<Vec<String>>,
    /// The most targets that are down at once.
    pub down_max: Option<u32>,
    /// The longest that it may take, if every attempt takes its time limit.
    pub within: Option<Duration>,
    /// Conditions over `steps`, `params` and `vars` at the end.
    pub conditions: Vec<String>,
}

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is not as expected; empty if all is.
    pub complaints: Vec<String>,
    /// The run.
    pub story: Story,
    /// Where it ended.
    pub ending: Ending,
}

/// Runs a case.
pub fn judge(model: &Model, trial: &Trial) -> Verdict {
    let story = model.run(&trial.script);
    let ending = Ending::of(&story, &trial.script);
    let mut court = Court {
        started: started(&story),
        state: &story.state,
        complaints: Vec::new(),
    };
    court.hear_assumptions(&story);
    court.hear_end(&ending, &trial.expected);
    court.hear_steps(&ending, &trial.expected);
    court.hear_conditions(&trial.script, &trial.expected.conditions);
    Verdict {
        complaints: court.complaints,
        story,
        ending,
    }
}

struct Court<'s> {
    state: &'s State,
    started: BTreeSet<NodeIndex>,
    complaints: Vec<String>,
}

impl Court<'_> {
    fn complain(&mut self, text: String) {
        self.complaints.push(text);
    }

    /// What only a run knows and the case does not say decides nothing: a test must not guess.
    fn hear_assumptions(&mut self, story: &Story) {
        for assumption in &story.assumptions {
            let (of, id, what) = match assumption {
                Assumption::Taken { id, what } => ("the condition", id, what),
                Assumption::Items { id, what, .. } => ("the list", id, what),
                Assumption::NoTime { id, what } => ("the time", id, what),
            };
            let hint = match what.split('.').collect::<Vec<_>>().as_slice() {
                ["steps", name, "output" | "before", ..] => {
                    let field = what.split('.').nth(2).unwrap_or_default();
                    format!("give it: `steps: {{{name}: {{{field}: …}}}}`")
                }
                [kind @ ("env" | "secrets"), name, ..] => format!("give it: `{kind}: {{{name}: …}}`"),
                _ => "nothing in the case says it".to_owned(),
            };
            self.complain(format!("{of} of {id} reads {what}, which is unknown; {hint}"));
        }
    }

    fn hear_end(&mut self, ending: &Ending, expected: &Expected) {
        if !expected.end.is_empty() && !expected.end.contains(&ending.end) {
            let wanted: Vec<&str> = expected.end.iter().map(|end| end.word()).collect();
            let detail = ending
                .fault
                .as_ref()
                .map_or_else(String::new, |fault| format!(" ({fault})"));
            self.complain(format!(
                "ended: {}{detail}, expected: {}",
                ending.end,
                wanted.join(" or ")
            ));
        }
        if let Some(down) = &expected.down {
            let wanted: BTreeSet<String> = down.iter().cloned().collect();
            if wanted != ending.down {
                let list = |names: &BTreeSet<String>| match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
                };
                let (found, wanted) = (list(&ending.down), list(&wanted));
                self.complain(format!("down: {found}, expected: {wanted}"));
            }
        }
        if let Some(most) = expected.down_max
            && ending.worst_down.len() > most as usize
        {
            let names: Vec<&str> = ending.worst_down.iter().map(String::as_str).collect();
            self.complain(format!(
                "down at once: {}, expected at most {most}",
                names.join(", ")
            ));
        }
        if let Some(within) = expected.within
            && ending.duration > within
        {
            self.complain(format!("took {}, expected at most {within}", ending.duration));
        }
    }

    fn hear_steps(&mut self, ending: &Ending, expected: &Expected) {
        let state = self.state;
        let started = std::mem::take(&mut self.started);
        let ran = |node: NodeIndex| started.contains(&node);
        let id = |node: NodeIndex| &state.graph().node(node).id;
        let status = |node: NodeIndex| state.status(node);
        self.each(&expected.ran, "did not run", &ran);
        self.each(&expected.not_ran, "ran", &|node| !ran(node));
        self.each(&expected.skipped, "was not skipped", &|node| {
            *status(node) == NodeStatus::Skipped
        });
        self.each(&expected.failed, "did not fail", &|node| {
            matches!(status(node), NodeStatus::Failed(_))
        });
        self.each(&expected.undone, "was not undone", &|node| {
            ending.undone.contains(id(node))
        });
        self.each(
            &expected.not_undone,
            "was undone, or had nothing to undo",
            &|node| ending.not_undone.contains(id(node)),
        );
        for (name, wanted) in &expected.attempts {
            for node in self.named(name) {
                let found = state.last_attempt(node).map_or(0, |attempt| attempt.0);
                if found != *wanted {
                    let id = id(node);
                    self.complain(format!("{id} was tried {found} times, expected {wanted}"));
                }
            }
        }
    }

    /// Complains of each named step of which something does not hold.
    fn each(&mut self, names: &[String], complaint: &str, holds: &dyn Fn(NodeIndex) -> bool) {
        for name in names {
            let nodes = self.named(name);
            if nodes.is_empty() {
                self.complain(format!("there is no step `{name}` in this run"));
            }
            for node in nodes {
                if !holds(node) {
                    let id = self.state.graph().node(node).id.clone();
                    let word = self.state.status(node).word();
                    self.complain(format!("{id} {complaint} (it is {word})"));
                }
            }
        }
    }

    fn named(&self, name: &str) -> Vec<NodeIndex> {
        named(self.state.graph(), name)
    }

    fn hear_conditions(&mut self, script: &Script, conditions: &[String]) {
        let knowledge = Knowledge::of(self.state, script, &BTreeSet::new());
        for text in conditions {
            let holds = paths(text).and_then(|paths| {
                let scope = knowledge.scope(self.state, NodeIndex::ROOT, &paths);
                condition::evaluate(text, &scope.root)
            });
            match holds {
                Ok(verdict) if verdict.ok => {}
                Ok(verdict) => self.complain(format!("expected `{text}`: {}", verdict.detail)),
                Err(message) => self.complain(message),
            }
        }
    }
}

/// The nodes that a test means: the step of that id, else all steps of that name, else the group of that id or name.
pub(crate) fn named(graph: &caxplan_model::Graph, name: &str) -> Vec<NodeIndex> {
    let is_step = |node: &NodeIndex| graph.node(*node).kind.is_leaf();
    let of_id = graph.find(name);
    if let Some(node) = of_id.filter(is_step) {
        return vec![node];
    }
    let (steps, groups): (Vec<NodeIndex>, Vec<NodeIndex>) = indices(graph)
        .filter(|node| *node != NodeIndex::ROOT)
        .filter(|node| {
            let node = graph.node(*node);
            let ends_so = || {
                node.id
                    .as_str()
                    .strip_suffix(name)
                    .is_some_and(|rest| rest.ends_with('/'))
            };
            node.name == name || ends_so()
        })
        .partition(is_step);
    match (steps.is_empty(), of_id) {
        (false, _) => steps,
        (true, Some(group)) => vec![group],
        (true, None) => groups,
    }
}

/// The nodes that began: attempts, timers and questions, and the groups around them.
fn started(story: &Story) -> BTreeSet<NodeIndex> {
    let mut started = BTreeSet::new();
    for record in &story.records {
        let node = match record {
            Record::StepStarted { node, .. }
            | Record::TimerSet { node, .. }
            | Record::Expanded { node, .. }
            | Record::Waiting {
                reason: caxplan_model::WaitReason::Approval { node, .. },
                ..
            } => *node,
            _ => continue,
        };
        let mut at = Some(node);
        while let Some(node) = at.filter(|node| started.insert(*node)) {
            at = story.state.parent(node);
        }
    }
    started
}
