//! What parts of a plan do to targets, and what comes of parts one after the other and beside each other.

use super::Then;
use caxplan_model::NodeIndex;
use std::collections::BTreeSet;

/// How many moments a timeline has at most.
pub(super) const MOMENTS_MAX: usize = 20;

/// The number of a target in a [`Names`](super::Names).
pub(super) type Key = u32;

/// One target that is down because of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) step: NodeIndex,
    pub(super) key: Key,
    pub(super) then: Then,
}

/// Targets that may be down, of which no more than `count` are at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Leftover {
    pub(super) count: u32,
    pub(super) set: BTreeSet<Key>,
    pub(super) seen: Vec<Moment>,
}

/// What a part of the plan does to targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Part {
    /// The most that it has down at once while it runs; also the most that it leaves down if it fails.
    pub(super) peak: u32,
    /// How that comes about.
    pub(super) seen: Vec<Moment>,
    /// The targets that it may take down.
    pub(super) touches: BTreeSet<Key>,
    /// What may be down when it has ended well.
    pub(super) left: Leftover,
    /// The targets that are surely up when it has ended well, whatever was before.
    pub(super) up: BTreeSet<Key>,
    /// Whether the peak depends on a list that only the run will know.
    pub(super) open: bool,
}

impl Part {
    /// What may be down if it fails where it is worst.
    pub(super) fn may_fail(&self) -> Leftover {
        let fails = self.seen.iter().map(|moment| Moment {
            then: Then::Fails,
            ..*moment
        });
        Leftover {
            count: self.peak,
            set: self.touches.clone(),
            seen: fails.collect(),
        }
    }
}

impl Leftover {
    /// Either of two.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.set.extend(other.set);
        if other.count > self.count {
            self.count = other.count;
            self.seen = other.seen;
        }
        self
    }
}

/// One after the other, with what is down before.
pub(super) fn chained(before: Leftover, children: Vec<Part>) -> Part {
    let mut down = before;
    let mut all = Part {
        peak: down.count,
        seen: down.seen.clone(),
        touches: down.set.clone(),
        ..Part::default()
    };
    for child in children {
        let overlap = child.touches.iter().filter(|key| down.set.contains(key)).count();
        let distinct = down.set.len() + child.touches.len() - overlap;
        let peak = down
            .count
            .saturating_add(child.peak)
            .min(u32::try_from(distinct).unwrap_or(u32::MAX));
        if peak > all.peak {
            all.peak = peak;
            all.seen.clone_from(&down.seen);
            for moment in child.seen {
                add(&mut all.seen, moment);
            }
        }
        for key in &child.up {
            down.set.remove(key);
        }
        down.seen.retain(|moment| !child.up.contains(&moment.key));
        down.count = down.count.min(size(&down.set)).saturating_add(child.left.count);
        all.up.retain(|key| !child.left.set.contains(key));
        all.up.extend(child.up);
        for moment in child.left.seen {
            add(&mut down.seen, moment);
        }
        down.set.extend(child.left.set);
        down.count = down.count.min(size(&down.set));
        merge(&mut all.touches, child.touches);
        all.open |= child.open;
    }
    all.left = down;
    all
}

/// So many at once (0: all of them), in any order.
pub(super) fn beside(children: Vec<Part>, at_once: u32) -> Part {
    let mut all = Part::default();
    let mut above: Vec<(u32, Vec<Moment>)> = Vec::new();
    for child in children {
        let stays = child.left.count;
        all.left.count = all.left.count.saturating_add(stays);
        for moment in &child.left.seen {
            add(&mut all.left.seen, *moment);
        }
        above.push((child.peak.saturating_sub(stays), child.seen));
        merge(&mut all.left.set, child.left.set);
        merge(&mut all.touches, child.touches);
        all.up.extend(child.up);
        all.open |= child.open;
    }
    all.left.count = all.left.count.min(size(&all.left.set));
    all.up.retain(|key| !all.left.set.contains(key));
    above.sort_by_key(|(peak, _)| std::cmp::Reverse(*peak));
    let count = if at_once == 0 {
        above.len()
    } else {
        at_once as usize
    };
    all.peak = all.left.count;
    all.seen.clone_from(&all.left.seen);
    for (peak, seen) in above.into_iter().take(count) {
        all.peak = all.peak.saturating_add(peak);
        for moment in seen {
            add(&mut all.seen, moment);
        }
    }
    all.peak = all.peak.min(size(&all.touches));
    all
}

/// Failed elements that a loop tolerates stay down beside those that run.
pub(super) fn tolerate(all: &mut Part, failing: &mut [Leftover], failures: u32) {
    failing.sort_by_key(|failed| std::cmp::Reverse(failed.count));
    let worst = failing.iter().take(failures as usize);
    let count = worst.fold(0, |sum: u32, failed| sum.saturating_add(failed.count));
    if count == 0 {
        return;
    }
    // The elements that fail in the timeline are others than those that run in it.
    for moment in failing.iter().flat_map(|failed| &failed.seen) {
        let add_more =
            all.seen.len() < usize::try_from(all.peak.saturating_add(count)).unwrap_or(MOMENTS_MAX);
        if add_more && all.seen.len() < MOMENTS_MAX && all.seen.iter().all(|seen| seen.key != moment.key) {
            all.seen.insert(0, *moment);
        }
    }
    all.peak = all.peak.saturating_add(count).min(size(&all.touches));
    all.left = Leftover {
        count: all.left.count.saturating_add(count).min(size(&all.touches)),
        set: all.touches.clone(),
        seen: all.seen.clone(),
    };
    all.up.clear();
}

/// Adds to a timeline, each target once.
pub(super) fn add(seen: &mut Vec<Moment>, moment: Moment) {
    if seen.len() < MOMENTS_MAX && seen.iter().all(|other| other.key != moment.key) {
        seen.push(moment);
    }
}

/// The smaller set goes into the larger one.
pub(super) fn merge(into: &mut BTreeSet<Key>, mut from: BTreeSet<Key>) {
    if from.len() > into.len() {
        std::mem::swap(into, &mut from);
    }
    into.extend(from);
}

pub(super) fn size(set: &BTreeSet<Key>) -> u32 {
    u32::try_from(set.len()).unwrap_or(u32::MAX)
}
