//! Which targets are down, as the steps' effect on availability says.

use caxplan_model::NodeIndex;
use std::collections::{BTreeMap, BTreeSet};

/// The availability of targets. All are up at first.
#[derive(Clone, Debug, Default)]
pub(super) struct Availability {
    /// By target: how many steps hold it down, as a number from 0 downwards.
    below: BTreeMap<String, i32>,
    /// Steps whose effect is there; a second attempt adds none.
    there: BTreeSet<NodeIndex>,
    /// The most that were down at once, and which.
    worst: BTreeSet<String>,
}

impl Availability {
    /// A step begins: what it takes down counts as down from here on.
    pub(super) fn begun(&mut self, node: NodeIndex, target: &str, change: i8) {
        if change < 0 && self.there.insert(node) {
            self.add(target, i32::from(change));
        }
    }

    /// A step did its work: what it brings back is back.
    pub(super) fn done(&mut self, node: NodeIndex, target: &str, change: i8) {
        if change != 0 && self.there.insert(node) {
            self.add(target, i32::from(change));
        }
    }

    /// A step certainly did nothing.
    pub(super) fn nothing_done(&mut self, node: NodeIndex, target: &str, change: i8) {
        self.undone(node, target, change);
    }

    /// The undo of a step begins: what that takes down counts as down from here on.
    pub(super) fn undo_begun(&mut self, node: NodeIndex, target: &str, change: i8) {
        if change > 0 {
            self.undone(node, target, change);
        }
    }

    /// The effect of a step is gone.
    pub(super) fn undone(&mut self, node: NodeIndex, target: &str, change: i8) {
        if self.there.remove(&node) {
            self.add(target, -i32::from(change));
        }
    }

    /// The targets that are down.
    pub(super) fn down(&self) -> impl Iterator<Item = &String> {
        self.below
            .iter()
            .filter(|(_, below)| **below < 0)
            .map(|(name, _)| name)
    }

    /// The most targets that were down at once.
    pub(super) fn worst(&self) -> &BTreeSet<String> {
        &self.worst
    }

    fn add(&mut self, target: &str, change: i32) {
        let below = self.below.entry(target.to_owned()).or_default();
        // What is up cannot be more than up.
        *below = (*below + change).min(0);
        let down: BTreeSet<String> = self.down().cloned().collect();
        if down.len() > self.worst.len() {
            self.worst = down;
        }
    }
}
