//! What all scenarios together say of a plan.

use super::ending::{End, Ending};
use super::story::Assumption;
use caxplan_model::{Digest, Duration, Graph, StepId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What all scenarios together say of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The plan's name.
    pub plan: String,
    /// The digest of its graph.
    pub digest: Digest,
    /// Scenarios that were to be tried and were not, because of the limit. Scenarios that would have followed from
    /// those are not counted.
    pub left_out: u64,
    /// What was taken to be so, because only a run knows.
    pub assumptions: BTreeSet<Assumption>,
    /// Steps that have no time limit, and so take no time here.
    pub without_limit: BTreeSet<StepId>,
    /// How long the good path takes, if every attempt takes its time limit.
    pub good_path: Duration,
    /// The first step of the good path that changes something and cannot be undone.
    pub point_of_no_return: Option<StepId>,
    /// How many scenarios did not end well, and from how many of these a rollback brings everything back.
    pub rollback: Coverage,
    /// The longest scenario.
    pub longest: Most<Duration>,
    /// The scenario in which most targets were down at once.
    pub most_down: Most<BTreeSet<String>>,
    /// Scenarios with the same outcome, the best first.
    pub groups: Vec<Group>,
    /// Every scenario.
    #[serde(rename = "scenarios")]
    pub rows: Vec<Row>,
}

/// From how many failures there is a way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Scenarios that did not end well and left something changed.
    pub states: u64,
    /// Those from which a rollback, in which nothing goes wrong any more, leaves nothing that is to be undone.
    pub covered: u64,
}

impl Coverage {
    /// In percent; 100 if there is nothing to go back from.
    pub fn percent(self) -> f64 {
        if self.states == 0 {
            return 100.0;
        }
        #[allow(clippy::cast_precision_loss)]
        let percent = self.covered as f64 * 100.0 / self.states as f64;
        percent
    }
}

/// The most of something, and the scenario in which it was reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Most<T> {
    /// How much.
    pub value: T,
    /// The scenario.
    pub scenario: String,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Where it ended.
    #[serde(flatten)]
    pub ending: Ending,
    /// Where it ends when it is resumed and nothing goes wrong any more; `None` if it was over.
    pub resumed: Option<End>,
    /// What a rollback from there, in which nothing goes wrong any more, leaves that was to be undone.
    pub left_by_rollback: BTreeSet<StepId>,
}

/// Scenarios with the same outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// How they ended.
    pub end: End,
    /// What they left behind.
    pub left: Left,
    /// How many targets are down.
    pub down_count: usize,
    /// Which, in some of them.
    pub down: BTreeSet<String>,
    /// Where they end when they are resumed.
    pub resumed: Option<End>,
    /// Whether a rollback brings everything back.
    pub can_go_back: bool,
    /// Targets that are changed, in some of them.
    pub targets_changed: BTreeSet<String>,
    /// Steps whose effect may be there in part, in some of them.
    pub half_applied: BTreeSet<StepId>,
    /// Their ids.
    pub scenarios: Vec<String>,
}

/// What a run left behind, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// Nothing is changed.
    Nothing,
    /// Steps did their work as a whole.
    Changed,
    /// The effect of a step may be there in part.
    HalfApplied,
    /// A rollback did not bring everything back.
    NotUndone,
}

impl Left {
    fn of(ending: &Ending) -> Self {
        if !ending.not_undone.is_empty() {
            Self::NotUndone
        } else if !ending.half_applied.is_empty() {
            Self::HalfApplied
        } else if !ending.changed.is_empty() {
            Self::Changed
        } else {
            Self::Nothing
        }
    }

    /// For a person.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing changed",
            Self::Changed => "changed",
            Self::HalfApplied => "half-applied",
            Self::NotUndone => "not all undone",
        }
    }
}

impl Findings {
    pub(super) fn of(graph: &Graph) -> Self {
        Self {
            plan: graph.header.name.clone(),
            digest: graph.digest(),
            left_out: 0,
            assumptions: BTreeSet::new(),
            without_limit: BTreeSet::new(),
            good_path: Duration::ZERO,
            point_of_no_return: None,
            rollback: Coverage::default(),
            longest: Most::default(),
            most_down: Most::default(),
            groups: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Draws the sums from the rows.
    pub(super) fn settle(&mut self) {
        for row in &self.rows {
            let ending = &row.ending;
            if self.longest.scenario.is_empty() || ending.duration > self.longest.value {
                self.longest = most(ending.duration, row);
            }
            if self.most_down.scenario.is_empty() || ending.worst_down.len() > self.most_down.value.len() {
                self.most_down = most(ending.worst_down.clone(), row);
            }
            if row.is_to_be_undone() {
                self.rollback.states += 1;
                self.rollback.covered += u64::from(row.left_by_rollback.is_empty());
            }
        }
        self.groups = groups(&self.rows);
    }
}

impl Row {
    /// Whether it did not end well and left something that a rollback is for.
    pub fn is_to_be_undone(&self) -> bool {
        let ending = &self.ending;
        ending.end != End::Succeeded
            && !(ending.changed.is_empty() && ending.half_applied.is_empty() && ending.not_undone.is_empty())
    }
}

fn most<T>(value: T, row: &Row) -> Most<T> {
    Most {
        value,
        scenario: row.id.clone(),
    }
}

fn groups(rows: &[Row]) -> Vec<Group> {
    type Key = (End, Left, usize, Option<End>, bool);
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for row in rows {
        let ending = &row.ending;
        let left = Left::of(ending);
        let can_go_back = row.left_by_rollback.is_empty();
        let key = (ending.end, left, ending.down.len(), row.resumed, !can_go_back);
        let group = groups.entry(key).or_insert_with(|| Group {
            end: ending.end,
            left,
            down_count: ending.down.len(),
            down: BTreeSet::new(),
            resumed: row.resumed,
            can_go_back,
            targets_changed: BTreeSet::new(),
            half_applied: BTreeSet::new(),
            scenarios: Vec::new(),
        });
        group
            .targets_changed
            .extend(ending.targets_changed.iter().cloned());
        group.down.extend(ending.down.iter().cloned());
        group.half_applied.extend(ending.half_applied.iter().cloned());
        group.scenarios.push(row.id.clone());
    }
    groups.into_values().collect()
}
