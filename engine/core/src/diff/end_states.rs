//! Where runs of two versions of a plan can end, by what simulated failures come to.

use super::fields::flatten;
use super::pair::pair;
use super::settle::settle;
use super::{Consequence, Difference};
use crate::simulate::{End, Findings, Model, Options, Row, explore};
use caxplan_model::StepId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many end states of a kind are told one by one.
const TOLD_MAX: usize = 20;
/// How many scenarios of an end state are named.
const NAMED: usize = 3;

/// The end states that one version can reach and the other cannot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndStates {
    /// How many failures were simulated: in the old version, and in the new one.
    pub scenarios: (u64, u64),
    /// How many were left out because of the limit: then a state may be missing on one side.
    pub left_out: (u64, u64),
    /// Reached by the new version only.
    pub new: Vec<EndState>,
    /// Reached by the old version only.
    pub gone: Vec<EndState>,
}

/// Where a run can end. Steps are called as the new version calls them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndState {
    /// How: `failed`, `rolled-back`, …
    pub end: String,
    /// Targets that are down.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub down: BTreeSet<String>,
    /// Steps whose effect may be there in part.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub half_applied: BTreeSet<StepId>,
    /// Steps that a rollback has left.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub not_undone: BTreeSet<StepId>,
    /// Steps that a person must say something about.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub in_doubt: BTreeSet<StepId>,
    /// How many scenarios lead there.
    pub count: u64,
    /// Some of them.
    pub scenarios: Vec<String>,
}

/// What tells one end state from another.
type Key = (
    End,
    BTreeSet<String>,
    BTreeSet<StepId>,
    BTreeSet<StepId>,
    BTreeSet<StepId>,
);

impl EndStates {
    /// Simulates what can go wrong in both, as far as the options allow.
    pub fn of(old: &Model, new: &Model, options: &Options) -> Self {
        let flat = |model: &Model| flatten(&settle(model.graph()));
        let became = pair(&flat(old), &flat(new)).became;
        let (before, after) = (explore(old, options), explore(new, options));
        let count = |findings: &Findings| findings.rows.len() as u64;
        let was = reached(&before, &|id| became.get(id).unwrap_or(id).clone());
        let is = reached(&after, &StepId::clone);
        let only = |these: &BTreeMap<Key, EndState>, others: &BTreeMap<Key, EndState>| {
            let of = these.iter().filter(|(key, _)| !others.contains_key(*key));
            of.map(|(_, state)| state.clone()).collect()
        };
        Self {
            scenarios: (count(&before), count(&after)),
            left_out: (before.left_out, after.left_out),
            new: only(&is, &was),
            gone: only(&was, &is),
        }
    }

    /// What they say, for a reviewer: with how many there are beyond those that are told.
    fn consequences(&self) -> Vec<Consequence> {
        let mut said = Vec::new();
        for (states, what, is_new) in [
            (&self.new, "a run can now end as", true),
            (&self.gone, "a run can no longer end as", false),
        ] {
            for state in states.iter().take(TOLD_MAX) {
                said.push(Consequence {
                    worse: is_new && state.is_bad(),
                    text: format!("{what} {state}"),
                });
            }
            if let Some(more) = states.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
                said.push(Consequence {
                    worse: is_new,
                    text: format!("{what} … in {more} further ways"),
                });
            }
        }
        let left_out = self.left_out.0 + self.left_out.1;
        if left_out > 0 {
            said.push(Consequence {
                worse: false,
                text: format!(
                    "{left_out} failures were not simulated, because of the limit: one of them may come to what is told as new or gone (`--end-states all` tries more)"
                ),
            });
        }
        said
    }
}

impl Difference {
    /// Adds where runs of the two can end. Two plans that do the same end alike: nothing is added to no difference.
    pub fn with_end_states(&mut self, states: EndStates) {
        self.consequences.extend(states.consequences());
        self.end_states = Some(states);
    }
}

fn reached(findings: &Findings, now: &dyn Fn(&StepId) -> StepId) -> BTreeMap<Key, EndState> {
    let mut states: BTreeMap<Key, EndState> = BTreeMap::new();
    for Row { id, ending, .. } in &findings.rows {
        let steps = |of: &BTreeSet<StepId>| -> BTreeSet<StepId> { of.iter().map(now).collect() };
        let key = (
            ending.end,
            ending.down.clone(),
            steps(&ending.half_applied),
            steps(&ending.not_undone),
            steps(&ending.in_doubt),
        );
        let state = states.entry(key).or_insert_with_key(|key| EndState {
            end: key.0.word().to_owned(),
            down: key.1.clone(),
            half_applied: key.2.clone(),
            not_undone: key.3.clone(),
            in_doubt: key.4.clone(),
            count: 0,
            scenarios: Vec::new(),
        });
        state.count += 1;
        if state.scenarios.len() < NAMED {
            state.scenarios.push(id.clone());
        }
    }
    states
}

impl EndState {
    /// Whether somebody has to mend something.
    fn is_bad(&self) -> bool {
        !(self.down.is_empty()
            && self.half_applied.is_empty()
            && self.not_undone.is_empty()
            && self.in_doubt.is_empty())
    }
}

impl fmt::Display for EndState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: Vec<&str>| match items.as_slice() {
            [one] => (*one).to_owned(),
            [one, two] => format!("{one} and {two}"),
            [one, rest @ ..] => format!("{one} and {} more", rest.len()),
            [] => String::new(),
        };
        let ids = |steps: &BTreeSet<StepId>| list(steps.iter().map(StepId::as_str).collect());
        f.write_str(&self.end)?;
        if !self.down.is_empty() {
            write!(
                f,
                ", {} down",
                list(self.down.iter().map(String::as_str).collect())
            )?;
        }
        for (steps, what) in [
            (&self.half_applied, "half applied"),
            (&self.not_undone, "not undone"),
            (&self.in_doubt, "in doubt"),
        ] {
            if !steps.is_empty() {
                write!(f, ", {} {what}", ids(steps))?;
            }
        }
        match self.scenarios.first().map(String::as_str) {
            None | Some("") => Ok(()),
            Some(first) if self.count > 1 => write!(f, ": after {first} and {} more", self.count - 1),
            Some(first) => write!(f, ": after {first}"),
        }
    }
}
