//! Which step of an old plan a step of a new one is: by id, else by what it does.

use super::fields::{Flat, last};
use caxplan_model::{Digest, StepId};
use std::collections::{BTreeMap, BTreeSet};

/// Which node of the new plan each node of the old one has become.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    /// Old id → new id, for all that both have.
    pub(super) became: BTreeMap<StepId, StepId>,
}

/// Pairs the nodes of two plans: those of one id; then parts that do the same under another name or elsewhere; then groups
/// most of whose steps are paired; then what has the same name below groups that are paired.
pub(super) fn pair(old: &[Flat], new: &[Flat]) -> Pairs {
    let mut pairing = Pairing::new(old, new);
    pairing.by_content();
    pairing.by_children();
    pairing.by_name();
    Pairs {
        became: pairing.became,
    }
}

struct Pairing<'a> {
    old: &'a [Flat],
    new: &'a [Flat],
    became: BTreeMap<StepId, StepId>,
    taken: BTreeSet<StepId>,
}

impl<'a> Pairing<'a> {
    fn new(old: &'a [Flat], new: &'a [Flat]) -> Self {
        let ids: BTreeSet<&StepId> = new.iter().map(|node| &node.id).collect();
        let same = old.iter().filter(|node| ids.contains(&node.id));
        let became: BTreeMap<StepId, StepId> = same.map(|node| (node.id.clone(), node.id.clone())).collect();
        Self {
            old,
            new,
            taken: became.keys().cloned().collect(),
            became,
        }
    }

    fn join(&mut self, old: &StepId, new: &StepId) {
        self.became.insert(old.clone(), new.clone());
        self.taken.insert(new.clone());
    }

    /// Whole parts that do the same, the larger ones first: a renamed phase is one renaming, not one for each step.
    fn by_content(&mut self) {
        let (olds, news) = (contents(self.old), contents(self.new));
        let mut waiting: BTreeMap<Digest, Vec<&StepId>> = BTreeMap::new();
        for node in self
            .new
            .iter()
            .rev()
            .filter(|node| !self.taken.contains(&node.id))
        {
            waiting.entry(news[&node.id]).or_default().push(&node.id);
        }
        for node in self.old {
            if self.became.contains_key(&node.id) {
                continue;
            }
            let Some(candidates) = waiting.get_mut(&olds[&node.id]) else {
                continue;
            };
            // One that keeps its own name before others, then the first in the plan.
            candidates.retain(|id| !self.taken.contains(*id));
            let own = last(node.id.as_str());
            let named = candidates.iter().rposition(|id| last(id.as_str()) == own);
            let Some(at) = named.or_else(|| candidates.len().checked_sub(1)) else {
                continue;
            };
            let found = candidates.remove(at).clone();
            self.join(&node.id, &found);
        }
    }

    /// A group most of whose children are in one new group has become that.
    fn by_children(&mut self) {
        let parents: BTreeMap<&StepId, &StepId> = self
            .new
            .iter()
            .filter_map(|node| Some((&node.id, node.parent.as_ref()?)))
            .collect();
        for node in self.old.iter().rev() {
            if node.leaf || node.children.is_empty() || self.became.contains_key(&node.id) {
                continue;
            }
            let mut votes: BTreeMap<&StepId, usize> = BTreeMap::new();
            for child in &node.children {
                let parent = self.became.get(child).and_then(|child| parents.get(child));
                if let Some(parent) = parent.filter(|parent| !self.taken.contains(**parent)) {
                    *votes.entry(parent).or_default() += 1;
                }
            }
            let best = votes.into_iter().max_by_key(|(_, count)| *count);
            if let Some((parent, count)) = best
                && count * 2 >= node.children.len()
            {
                let parent = parent.clone();
                self.join(&node.id, &parent);
            }
        }
    }

    /// Below groups that are paired, what has the same name.
    fn by_name(&mut self) {
        let mut free: BTreeMap<(StepId, String), StepId> = BTreeMap::new();
        for node in self.new.iter().filter(|node| !self.taken.contains(&node.id)) {
            if let Some(parent) = &node.parent {
                free.insert(
                    (parent.clone(), last(node.id.as_str()).to_owned()),
                    node.id.clone(),
                );
            }
        }
        for node in self.old {
            if self.became.contains_key(&node.id) {
                continue;
            }
            let parent = node.parent.as_ref().and_then(|parent| self.became.get(parent));
            let found =
                parent.and_then(|parent| free.remove(&(parent.clone(), last(node.id.as_str()).to_owned())));
            if let Some(found) = found {
                self.join(&node.id, &found);
            }
        }
    }
}

/// What each node and all below it do, without their names.
fn contents(nodes: &[Flat]) -> BTreeMap<StepId, Digest> {
    let mut digests: BTreeMap<StepId, Digest> = BTreeMap::new();
    // Children stand behind their parents.
    for node in nodes.iter().rev() {
        let mut fields = node.fields.clone();
        fields.remove("name");
        // Needs speak of siblings by names that may have changed.
        fields.remove("needs");
        let mut digest = Digest::of(&serde_json::to_vec(&fields).unwrap_or_default());
        for child in &node.children {
            digest = digest.chain(&digests.get(child).unwrap_or(&Digest::ZERO).0);
        }
        digests.insert(node.id.clone(), digest);
    }
    digests
}
