//! What changes for whoever runs a plan when it becomes another version of itself.

use super::EndStates;
use super::compare::{FieldChange, map_changes, plan_changes};
use super::fields::{Flat, flatten, last};
use super::pair::{Pairs, pair};
use super::settle::settle;
use crate::preview::{Foresight, Preview, build};
use caxplan_model::{Graph, Map, StepId, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What differs between two versions of a plan by what would run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// What follows from the changes: undo that is lost, more targets at risk, a longer worst case, …
    pub consequences: Vec<Consequence>,
    /// What the plan as a whole says.
    pub plan: Vec<FieldChange>,
    /// Steps and groups, in the order of the new plan; those that are gone stand at the end.
    pub steps: Vec<StepDifference>,
    /// Where runs can end, if failures of both were simulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_states: Option<EndStates>,
}

/// One step or group that is not as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepDifference {
    /// Its id; the old one if it is gone.
    pub id: StepId,
    /// What became of it.
    pub what: What,
    /// Whether it is a group.
    pub group: bool,
    /// The values that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// It is new.
    Added,
    /// It is gone, with all below it.
    Removed,
    /// It does the same under another id.
    Renamed {
        /// The old id.
        from: StepId,
    },
    /// It comes at another place among its siblings.
    Moved {
        /// The sibling that it comes after now; none if it comes first.
        after: Option<StepId>,
    },
    /// Something of it is different.
    Changed,
}

/// What follows from the changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Consequence {
    /// Whether a reviewer should look twice.
    pub worse: bool,
    /// In words.
    pub text: String,
}

impl Difference {
    /// Compares two versions of a plan. Templates are resolved as far as they are known before the run, so that a literal
    /// and a variable of the same value are the same; names, places and descriptions are no difference.
    pub fn of(old: &Graph, new: &Graph) -> Self {
        let (settled_old, settled_new) = (settle(old), settle(new));
        let (before, after) = (flatten(&settled_old), flatten(&settled_new));
        let pairs = pair(&before, &after);
        let steps = step_differences(&before, &after, &pairs);
        let mut plan = plan_changes(&settled_old, &settled_new);
        // The name is the file's if the plan says none.
        plan.retain(|change| change.field != "name");
        let consequences = if plan.is_empty() && steps.is_empty() {
            Vec::new()
        } else {
            consequences(old, new, &pairs)
        };
        Self {
            consequences,
            plan,
            steps,
            end_states: None,
        }
    }

    /// Whether both versions do the same.
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.steps.is_empty() && self.consequences.is_empty()
    }
}

fn step_differences(before: &[Flat], after: &[Flat], pairs: &Pairs) -> Vec<StepDifference> {
    let olds: BTreeMap<&StepId, &Flat> = before.iter().map(|node| (&node.id, node)).collect();
    let was: BTreeMap<&StepId, &Flat> = pairs
        .became
        .iter()
        .filter_map(|(old, new)| Some((new, *olds.get(old)?)))
        .collect();
    let moved = moved(before, after, &was, pairs);
    let mut differences = Vec::new();
    let mut added = BTreeSet::new();
    for node in after {
        let difference = |what: What, fields: Vec<FieldChange>| StepDifference {
            id: node.id.clone(),
            what,
            group: !node.leaf,
            fields,
        };
        let Some(old) = was.get(&node.id) else {
            added.insert(&node.id);
            // What stands below a new group is told with it, unless it came from elsewhere.
            if !node.parent.as_ref().is_some_and(|parent| added.contains(parent)) {
                differences.push(difference(What::Added, Vec::new()));
            }
            continue;
        };
        let fields = changed_fields(old, node, pairs);
        let follows_parent = node.parent.as_ref().is_some_and(|parent| {
            was.get(parent).map(|parent| &parent.id) == old.parent.as_ref()
                && last(node.id.as_str()) == last(old.id.as_str())
        });
        if node.id != old.id && !follows_parent {
            let from = old.id.clone();
            differences.push(difference(What::Renamed { from }, fields));
        } else if let Some(after) = moved.get(&node.id) {
            let after = after.clone();
            differences.push(difference(What::Moved { after }, fields));
        } else if !fields.is_empty() {
            differences.push(difference(What::Changed, fields));
        }
    }
    let mut removed = BTreeSet::new();
    for node in before.iter().filter(|node| !pairs.became.contains_key(&node.id)) {
        removed.insert(&node.id);
        if !node
            .parent
            .as_ref()
            .is_some_and(|parent| removed.contains(parent))
        {
            differences.push(StepDifference {
                id: node.id.clone(),
                what: What::Removed,
                group: !node.leaf,
                fields: Vec::new(),
            });
        }
    }
    differences
}

fn changed_fields(old: &Flat, new: &Flat, pairs: &Pairs) -> Vec<FieldChange> {
    let mut before = old.fields.clone();
    let mut after = new.fields.clone();
    before.remove("name");
    after.remove("name");
    // Needs by the names that they go by now.
    if let Some(Value::Array(needs)) = before.get_mut("needs") {
        let prefix = old.id.as_str().rsplit_once('/').map_or("", |(prefix, _)| prefix);
        for need in needs {
            let id = StepId::new(crate::expand::join(prefix, need.as_str().unwrap_or_default()));
            if let Some(now) = pairs.became.get(&id) {
                *need = last(now.as_str()).into();
            }
        }
    }
    map_changes("", &before, &after)
}

/// The steps that come at another place among their siblings, with the one that each comes after: as few as explain it.
fn moved(
    before: &[Flat],
    after: &[Flat],
    was: &BTreeMap<&StepId, &Flat>,
    pairs: &Pairs,
) -> BTreeMap<StepId, Option<StepId>> {
    let phases = |list: &[Flat]| -> Vec<StepId> {
        let top = |node: &&Flat| {
            node.parent
                .as_ref()
                .is_none_or(|parent| parent.as_str().is_empty())
        };
        list.iter().filter(top).map(|node| node.id.clone()).collect()
    };
    let mut moved = BTreeMap::new();
    moved.extend(moved_children(&phases(before), &phases(after), pairs));
    for group in after {
        let form = group.fields.get("form").and_then(Value::as_str);
        let Some(old) = was
            .get(&group.id)
            .filter(|_| !matches!(form, Some("dag" | "parallel")))
        else {
            continue;
        };
        moved.extend(moved_children(&old.children, &group.children, pairs));
    }
    moved
}

/// The children that leave the order that the others keep.
fn moved_children(old: &[StepId], new: &[StepId], pairs: &Pairs) -> Vec<(StepId, Option<StepId>)> {
    let places: BTreeMap<&StepId, usize> = old
        .iter()
        .enumerate()
        .filter_map(|(at, id)| Some((pairs.became.get(id)?, at)))
        .collect();
    let kept: Vec<(usize, usize)> = new
        .iter()
        .enumerate()
        .filter_map(|(at, id)| Some((at, *places.get(id)?)))
        .collect();
    let in_order: BTreeSet<usize> = longest_rising(&kept.iter().map(|(_, place)| *place).collect::<Vec<_>>())
        .into_iter()
        .map(|at| kept[at].0)
        .collect();
    kept.iter()
        .filter(|(at, _)| !in_order.contains(at))
        .map(|(at, _)| {
            (
                new[*at].clone(),
                at.checked_sub(1).map(|before| new[before].clone()),
            )
        })
        .collect()
}

/// The indices of a longest rising subsequence.
fn longest_rising(values: &[usize]) -> Vec<usize> {
    // For each length, the index of the smallest value that a rising sequence of that length ends with.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        let length = ends.partition_point(|end| values[*end] < *value);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut rising = Vec::new();
    let mut at = ends.last().copied();
    while let Some(index) = at {
        rising.push(index);
        at = before[index];
    }
    rising.reverse();
    rising
}

/// What follows for a run: from the previews of both, which contact nothing.
fn consequences(old: &Graph, new: &Graph, pairs: &Pairs) -> Vec<Consequence> {
    let preview = |graph: &Graph| build(graph, &Foresight::of(graph, &Map::new()), &BTreeMap::new());
    let (before, after) = (preview(old), preview(new));
    let mut found = Vec::new();
    let mut say = |worse: bool, text: String| found.push(Consequence { worse, text });
    let now = |steps: &[StepId]| -> BTreeSet<StepId> {
        let now = steps.iter().map(|id| pairs.became.get(id).unwrap_or(id));
        now.cloned().collect()
    };
    let new_ids: BTreeSet<&StepId> = pairs.became.values().collect();
    let mut steps = |was: BTreeSet<StepId>, is: &[StepId], lost: &str, fresh: &str, gained: &str| {
        for id in is.iter().filter(|id| !was.contains(*id)) {
            let text = if new_ids.contains(id) { lost } else { fresh };
            say(true, format!("{id} {text}"));
        }
        let is: BTreeSet<&StepId> = is.iter().collect();
        for id in was.iter().filter(|id| !is.contains(id) && new_ids.contains(id)) {
            say(false, format!("{id} {gained}"));
        }
    };
    steps(
        now(&before.cannot_undo),
        &after.cannot_undo,
        "can no longer be rolled back",
        "is new and cannot be rolled back",
        "can be rolled back now",
    );
    steps(
        now(&before.in_doubt),
        &after.in_doubt,
        "would now be in doubt after a crash",
        "is new and would be in doubt after a crash",
        "would no longer be in doubt after a crash",
    );
    let (was, is) = (touched(&before), touched(&after));
    let names = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
    let gained: BTreeSet<String> = is.difference(&was).cloned().collect();
    let lost: BTreeSet<String> = was.difference(&is).cloned().collect();
    if !gained.is_empty() {
        say(true, format!("acts on more targets: {}", names(gained)));
    }
    if !lost.is_empty() {
        say(false, format!("no longer acts on: {}", names(lost)));
    }
    if before.down != after.down {
        let worse = after.down > before.down;
        say(
            worse,
            format!("targets down at once: {} → {}", before.down, after.down),
        );
    }
    let (was, is) = (&before.worst, &after.worst);
    if was.at_most != is.at_most {
        let worse = is.at_most > was.at_most;
        say(worse, format!("takes at most {} → {}", was.at_most, is.at_most));
    }
    let unlimited: BTreeSet<StepId> = now(&was.unlimited);
    for id in is.unlimited.iter().filter(|id| !unlimited.contains(*id)) {
        say(true, format!("{id} has no time limit"));
    }
    let asked = |preview: &Preview| -> Vec<StepId> {
        let questions = preview.questions.iter();
        questions.map(|(id, _)| id.clone()).collect()
    };
    let was_asked = now(&asked(&before));
    for id in asked(&after).iter().filter(|id| !was_asked.contains(*id)) {
        say(false, format!("{id} asks a person"));
    }
    let is_asked: BTreeSet<StepId> = asked(&after).into_iter().collect();
    for id in was_asked.iter().filter(|id| !is_asked.contains(id)) {
        say(true, format!("{id} no longer asks a person"));
    }
    let secrets = |graph: &Graph| -> BTreeSet<String> { graph.header.secrets.keys().cloned().collect() };
    for name in secrets(new).difference(&secrets(old)) {
        say(true, format!("reads the secret `{name}`"));
    }
    for lock in after.locks.iter().filter(|lock| !before.locks.contains(lock)) {
        say(true, format!("takes the lock `{lock}`"));
    }
    for lock in before.locks.iter().filter(|lock| !after.locks.contains(lock)) {
        say(true, format!("no longer takes the lock `{lock}`"));
    }
    let (was, is) = (before.lock_policy.holders, after.lock_policy.holders);
    if was != is {
        say(
            is > was,
            format!("runs that may hold a lock at once: {was} → {is}"),
        );
    }
    found
}

/// The targets that steps may change.
fn touched(preview: &Preview) -> BTreeSet<String> {
    use crate::preview::Change;
    let acting = preview.entries.iter().filter(|entry| match entry.change {
        Some(Change::Would | Change::WouldNot | Change::Unknown) => true,
        Some(Change::Never | Change::Skipped) | None => false,
    });
    acting
        .filter_map(|entry| entry.target.clone().map(String::from))
        .collect()
}
