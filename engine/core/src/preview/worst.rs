//! The longest that a plan can take, from what it says of itself: waits, watches, time limits and pauses between attempts.
//!
//! An upper bound of a run without rollback. What has no limit (a person's answer, an action without a time limit, a list
//! that only the run will know) is not in the sum but named beside it.

use super::build::resolve_early;
use crate::schedule::MAX_PARALLEL;
use caxplan_model::{Duration, Graph, NodeIndex, NodeKind, Retry, StepId, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest that a plan can take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorstCase {
    /// The sum of all that has a limit.
    pub at_most: Duration,
    /// Steps whose action has no time limit.
    pub unlimited: Vec<StepId>,
    /// Steps that wait for a person.
    pub people: Vec<StepId>,
    /// What depends on a value or a list that only the run will know.
    pub at_run_time: Vec<StepId>,
}

impl WorstCase {
    /// Whether the sum is all of it.
    pub fn is_bounded(&self) -> bool {
        self.unlimited.is_empty() && self.people.is_empty() && self.at_run_time.is_empty()
    }
}

impl std::fmt::Display for WorstCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.at_most)?;
        let count = |list: &[StepId], why: &str| match list {
            [] => None,
            [only] => Some(format!("{only} ({why})")),
            [first, rest @ ..] => Some(format!("{first} and {} more ({why})", rest.len())),
        };
        let beside = [
            count(&self.unlimited, "no time limit"),
            count(&self.people, "waits for a person"),
            count(&self.at_run_time, "known at run time"),
        ];
        let beside: Vec<String> = beside.into_iter().flatten().collect();
        match beside.is_empty() {
            true => Ok(()),
            false => write!(f, ", not counting {}", beside.join(", ")),
        }
    }
}

/// What a part of the plan takes.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    /// From its start to its end, in milliseconds, if nothing outside slows it down.
    path: u64,
    /// All work of actions in it, in milliseconds.
    sum: u64,
    /// How many actions run at once.
    width: u64,
}

/// The bound for a whole plan. `skipped` says what surely does not run.
pub(super) fn worst_case(graph: &Graph, skipped: &dyn Fn(NodeIndex) -> bool) -> WorstCase {
    let mut worst = WorstCase::default();
    let mut works = vec![Work::default(); graph.nodes.len()];
    // Children stand behind their parents.
    for at in (0..graph.nodes.len()).rev() {
        let node = NodeIndex(u32::try_from(at).unwrap_or(u32::MAX));
        if !skipped(node) {
            works[at] = work(graph, node, &works, &mut worst);
            // When its time is over, what runs in it is aborted.
            if let Some(timeout) = graph.node(node).timeout {
                works[at].path = works[at].path.min(timeout.as_millis());
            }
        }
    }
    let all = works.first().copied().unwrap_or_default();
    let max = match graph.header.max_parallel {
        0 => MAX_PARALLEL,
        max => max,
    };
    // Graham's bound for as many places as steps may run in at once.
    let queued = if all.width > u64::from(max) {
        all.sum / u64::from(max)
    } else {
        0
    };
    worst.at_most = Duration::from_millis(all.path.saturating_add(queued));
    for list in [&mut worst.unlimited, &mut worst.people, &mut worst.at_run_time] {
        list.reverse();
    }
    worst
}

fn work(graph: &Graph, at: NodeIndex, works: &[Work], worst: &mut WorstCase) -> Work {
    let node = graph.node(at);
    let of =
        |children: &[NodeIndex]| -> Vec<Work> { children.iter().map(|child| works[child.index()]).collect() };
    let length = |text: &str, worst: &mut WorstCase| match early(graph, at, text) {
        Some(duration) => duration.as_millis(),
        None => {
            worst.at_run_time.push(node.id.clone());
            0
        }
    };
    let waits = |path: u64| Work {
        path,
        ..Work::default()
    };
    match &node.kind {
        NodeKind::Sequence { children } => chained(&of(children)),
        NodeKind::Parallel { children, max } => beside(&of(children), *max),
        NodeKind::Dag { children, max } => {
            let all = of(children);
            let longest = longest_path(graph, children, works);
            Work {
                path: match limited(*max, all.len()) {
                    Some(places) => longest.saturating_add(total(&all) / places),
                    None => longest,
                },
                ..beside(&all, *max)
            }
        }
        NodeKind::Rolling(rolling) => {
            let at_once = rolling.max_unavailable.unwrap_or(0);
            let batches: Vec<Work> = rolling
                .batches
                .iter()
                .map(|batch| beside(&of(batch), at_once))
                .collect();
            let mut all = chained(&batches);
            let pauses = u64::try_from(batches.len().saturating_sub(1)).unwrap_or(u64::MAX);
            if let Some(delay) = rolling.delay.as_deref().filter(|_| pauses > 0) {
                all.path = all
                    .path
                    .saturating_add(length(delay, worst).saturating_mul(pauses));
            }
            all
        }
        NodeKind::Block { body, rescue, always } => {
            let parts: Vec<NodeIndex> = std::iter::once(*body).chain(*rescue).chain(*always).collect();
            chained(&of(&parts))
        }
        NodeKind::Foreach(_) => {
            worst.at_run_time.push(node.id.clone());
            Work::default()
        }
        NodeKind::Action(action) => {
            let Some(timeout) = action.timeout else {
                worst.unlimited.push(node.id.clone());
                return waits(pauses(action.retry()));
            };
            let attempts = u64::from(action.retry().attempts.max(1));
            let work = timeout.as_millis().saturating_mul(attempts);
            Work {
                path: work.saturating_add(pauses(action.retry())),
                sum: work,
                width: 1,
            }
        }
        NodeKind::Wait { duration } => waits(length(duration, worst)),
        NodeKind::Watch(watch) => waits(length(&watch.duration, worst)),
        NodeKind::Approve { .. } | NodeKind::Checklist(_) => {
            worst.people.push(node.id.clone());
            Work::default()
        }
    }
}

/// A duration that is known before the run.
fn early(graph: &Graph, at: NodeIndex, text: &str) -> Option<Duration> {
    match resolve_early(graph, at, text)? {
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// All pauses between the attempts of a step, in milliseconds.
fn pauses(retry: &Retry) -> u64 {
    let count = u64::from(retry.attempts.saturating_sub(1));
    let max = retry.max.as_millis();
    let mut pause = retry.initial.as_millis().min(max);
    let mut sum: u64 = 0;
    for done in 0..count {
        let next = (pause.saturating_mul(u64::from(retry.factor_percent)) / 100).min(max);
        if next == pause {
            return sum.saturating_add(pause.saturating_mul(count - done));
        }
        sum = sum.saturating_add(pause);
        pause = next;
    }
    sum
}

fn total(all: &[Work]) -> u64 {
    all.iter().fold(0, |sum, work| sum.saturating_add(work.path))
}

/// How many may run at once, if that is fewer than there are.
fn limited(max: u32, count: usize) -> Option<u64> {
    (max > 0 && (max as usize) < count).then_some(u64::from(max))
}

fn chained(all: &[Work]) -> Work {
    Work {
        path: total(all),
        sum: all.iter().fold(0, |sum, work| sum.saturating_add(work.sum)),
        width: all.iter().map(|work| work.width).max().unwrap_or(0),
    }
}

fn beside(all: &[Work], max: u32) -> Work {
    let longest = all.iter().map(|work| work.path).max().unwrap_or(0);
    let widest = all.iter().map(|work| work.width).max().unwrap_or(0);
    let width = all
        .iter()
        .fold(0, |sum: u64, work| sum.saturating_add(work.width));
    let (path, width) = match limited(max, all.len()) {
        Some(1) => (total(all), widest),
        Some(places) => (
            longest.saturating_add(total(all) / places),
            width.min(widest.saturating_mul(places)),
        ),
        None => (longest, width),
    };
    Work {
        path,
        width,
        ..chained(all)
    }
}

/// The longest chain of needs.
fn longest_path(graph: &Graph, children: &[NodeIndex], works: &[Work]) -> u64 {
    let mut left: BTreeMap<NodeIndex, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<NodeIndex, Vec<NodeIndex>> = BTreeMap::new();
    for child in children {
        let needs = &graph.node(*child).needs;
        left.insert(*child, needs.len());
        for need in needs {
            dependents.entry(*need).or_default().push(*child);
        }
    }
    let mut ready: Vec<NodeIndex> = children
        .iter()
        .copied()
        .filter(|child| left[child] == 0)
        .collect();
    let mut starts: BTreeMap<NodeIndex, u64> = BTreeMap::new();
    let mut longest = 0;
    while let Some(child) = ready.pop() {
        let start = starts.get(&child).copied().unwrap_or(0);
        let end = start.saturating_add(works[child.index()].path);
        longest = longest.max(end);
        for dependent in dependents.remove(&child).unwrap_or_default() {
            let start = starts.entry(dependent).or_default();
            *start = (*start).max(end);
            if let Some(count) = left.get_mut(&dependent) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    longest
}
