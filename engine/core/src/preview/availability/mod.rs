//! The most targets that are down at once: over every order in which the plan can run, every failure, every end of a
//! condition, and a rollback from anywhere.
//!
//! A target is down from the start of an action that takes it down until an action that brings it back has succeeded. The
//! number is an upper bound: a test holds it against every run that the scheduler can make of small plans. What is not
//! seen: that two targets which only the run will name are one; and a plan's own `rollback` is taken to put things back
//! as its step found them.

mod part;

use super::AT_RUN_TIME;
use super::build::target_name;
use caxplan_model::{ActionStep, Graph, Items, Node, NodeIndex, NodeKind, OnFailure, StepId, Undo};
use part::{Key, Leftover, MOMENTS_MAX, Moment, Part, add, beside, chained, size, tolerate};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many targets are down at once, at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "known", rename_all = "snake_case")]
pub enum Down {
    /// Never more than this.
    AtMost {
        /// The number of targets.
        count: u32,
    },
    /// It depends on a list that only the run will know.
    AtRunTime,
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost { count: 0 } => f.write_str("none"),
            Self::AtMost { count: 1 } => f.write_str("at most 1 target"),
            Self::AtMost { count } => write!(f, "at most {count} targets"),
            Self::AtRunTime => f.write_str(AT_RUN_TIME),
        }
    }
}

/// One line of the timeline by which the most targets are down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownMoment {
    /// The step that takes the target down.
    pub step: StepId,
    /// The target.
    pub target: String,
    /// What becomes of it.
    pub then: Then,
}

/// What becomes of a target that is down in a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It is down at the moment that counts.
    Down,
    /// Nothing brings it back before that moment.
    Stays,
    /// The part fails, which the plan tolerates, and the target stays down.
    Fails,
    /// A rollback takes it down again, and nothing in the rollback brings it back.
    RolledBack,
}

impl fmt::Display for DownMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, target, then } = self;
        match then {
            Then::Down => write!(f, "{step} takes {target} down"),
            Then::Stays => write!(f, "{step} takes {target} down, and it stays down"),
            Then::Fails => write!(
                f,
                "{step} takes {target} down; a failure that is tolerated leaves it down"
            ),
            Then::RolledBack => write!(
                f,
                "a rollback undoes {step}, which takes {target} down, and does not bring it back"
            ),
        }
    }
}

/// The bound, and how it comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MostDown {
    pub(super) down: Down,
    pub(super) timeline: Vec<DownMoment>,
}

/// The bound for the whole plan. `target` names the target of a node; `skipped` says what surely does not run.
pub(super) fn most_down(
    graph: &Graph,
    target: &dyn Fn(NodeIndex) -> Option<String>,
    skipped: &dyn Fn(NodeIndex) -> bool,
) -> MostDown {
    let mut names = Names::default();
    let root = arena(&graph.nodes, target, skipped, graph.header.on_failure, &mut names);
    let stuck = stuck_in_rollback(&graph.nodes, root.peak, target, skipped, &mut names);
    if root.open {
        return MostDown {
            down: Down::AtRunTime,
            timeline: Vec::new(),
        };
    }
    // A rollback goes through what the run went through, backwards, except where only one of two steps can be undone.
    let mut all = root.touches;
    let mut seen = root.seen;
    for moment in &stuck {
        all.insert(moment.key);
        add(&mut seen, *moment);
    }
    let stuck = u32::try_from(stuck.len()).unwrap_or(u32::MAX);
    let count = root.peak.saturating_add(stuck).min(size(&all));
    seen.truncate(usize::try_from(count).unwrap_or(MOMENTS_MAX));
    let moment = |moment: &Moment| DownMoment {
        step: graph.node(moment.step).id.clone(),
        target: names.texts[moment.key as usize].clone(),
        then: moment.then,
    };
    MostDown {
        down: Down::AtMost { count },
        timeline: seen.iter().map(moment).collect(),
    }
}

/// The names of targets, each with a number.
#[derive(Debug, Default)]
struct Names {
    texts: Vec<String>,
    keys: BTreeMap<String, Key>,
}

impl Names {
    fn key(&mut self, text: String) -> Key {
        let next = Key::try_from(self.texts.len()).unwrap_or(Key::MAX);
        *self.keys.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            next
        })
    }
}

/// The target of an action as far as one can be told from another: its name; else the text that will name it, which means
/// the same wherever the same loop element is; else the arguments.
fn key(
    nodes: &[Node],
    at: usize,
    action: &ActionStep,
    target: &dyn Fn(NodeIndex) -> Option<String>,
    names: &mut Names,
) -> Key {
    let node = NodeIndex(u32::try_from(at).unwrap_or(u32::MAX));
    names.key(target(node).unwrap_or_else(|| nameless(nodes, at, action)))
}

/// What tells the target of an action from others, if its name is not known.
fn nameless(nodes: &[Node], at: usize, action: &ActionStep) -> String {
    let mut scope = nodes[at].parent;
    while let Some(group) = scope.filter(|group| nodes[group.index()].bindings.is_empty()) {
        scope = nodes[group.index()].parent;
    }
    let scope = scope.map_or(String::new(), |group| format!(" in {}", nodes[group.index()].id));
    let text = match &action.target {
        Some(text) => text.clone(),
        None => serde_json::to_string(&action.call.with)
            .unwrap_or_default()
            .into(),
    };
    format!("‹{text}›{scope}")
}

/// What names the target of a step that takes it down or brings it back, as far as one can be told from another before
/// the run. `None` for any other node.
pub(crate) fn down_key(graph: &Graph, at: NodeIndex) -> Option<String> {
    match &graph.node(at).kind {
        NodeKind::Action(action) if action.availability != 0 => {
            Some(target_name(graph, at).unwrap_or_else(|| nameless(&graph.nodes, at.index(), action)))
        }
        _ => None,
    }
}

fn arena(
    nodes: &[Node],
    target: &dyn Fn(NodeIndex) -> Option<String>,
    skipped: &dyn Fn(NodeIndex) -> bool,
    header: OnFailure,
    names: &mut Names,
) -> Part {
    // Of what does something only: most steps of a large plan take nothing down.
    let mut parts: Vec<Option<Box<Part>>> = vec![None; nodes.len()];
    // Children stand behind their parents.
    for at in (0..nodes.len()).rev() {
        let index = NodeIndex(u32::try_from(at).unwrap_or(u32::MAX));
        if skipped(index) {
            continue;
        }
        let node = &nodes[at];
        let mut part = match &node.kind {
            NodeKind::Action(action) => leaf(action, index, key(nodes, at, action, target, names)),
            NodeKind::Foreach(foreach) => at_run_time(foreach, index, names),
            _ => group(nodes, node, &mut parts),
        };
        // The header speaks for the phases.
        let phase = node.parent == Some(NodeIndex::ROOT) && node.on_failure.is_none();
        let continues =
            node.on_failure == Some(OnFailure::Continue) || (phase && header == OnFailure::Continue);
        if continues {
            part.left = part.may_fail();
        }
        if continues || node.when.is_some() {
            part.up.clear();
        }
        if part != Part::default() {
            parts[at] = Some(Box::new(part));
        }
    }
    let root = parts.into_iter().next().flatten();
    root.map_or_else(Part::default, |root| *root)
}

fn leaf(action: &ActionStep, at: NodeIndex, key: Key) -> Part {
    let moment = |then: Then| Moment { step: at, key, then };
    match action.availability {
        0 => Part::default(),
        down if down < 0 => Part {
            peak: 1,
            seen: vec![moment(Then::Down)],
            touches: BTreeSet::from([key]),
            left: Leftover {
                count: 1,
                set: BTreeSet::from([key]),
                seen: vec![moment(Then::Stays)],
            },
            ..Part::default()
        },
        _ => Part {
            up: BTreeSet::from([key]),
            ..Part::default()
        },
    }
}

/// The parts of a group that do something: the others make no difference, wherever they stand.
fn acting(parts: &mut [Option<Box<Part>>], children: &[NodeIndex]) -> Vec<Part> {
    let parts = children.iter().filter_map(|child| parts[child.index()].take());
    parts.map(|part| *part).collect()
}

fn group(nodes: &[Node], node: &Node, parts: &mut [Option<Box<Part>>]) -> Part {
    let mut take = |children: &[NodeIndex]| -> Vec<Part> {
        let parts = children.iter().map(|child| parts[child.index()].take());
        parts
            .map(|part| part.map_or_else(Part::default, |part| *part))
            .collect()
    };
    match &node.kind {
        NodeKind::Sequence { children } => chained(Leftover::default(), acting(parts, children)),
        NodeKind::Parallel { children, max } => beside(acting(parts, children), *max),
        NodeKind::Dag { children, max } => {
            let chains = chains(nodes, children);
            // A chain of needs runs one after the other, whatever is beside it.
            if chains.len() < children.len() {
                let chains = chains
                    .iter()
                    .map(|chain| chained(Leftover::default(), take(chain)));
                beside(chains.collect(), 0)
            } else {
                beside(take(children), *max)
            }
        }
        NodeKind::Rolling(rolling) => {
            let at_once = rolling.max_unavailable.unwrap_or(0);
            let failures = rolling.max_failures;
            let batches: Vec<Vec<Part>> = rolling.batches.iter().map(|batch| take(batch)).collect();
            let mut failing: Vec<Leftover> = Vec::new();
            if failures > 0 {
                failing = batches.iter().flatten().map(Part::may_fail).collect();
            }
            let together = batches.into_iter().map(|batch| beside(batch, at_once)).collect();
            let mut all = chained(Leftover::default(), together);
            tolerate(&mut all, &mut failing, failures);
            all
        }
        NodeKind::Block { body, rescue, always } => {
            let mut body = take(&[*body]).remove(0);
            let rescue = rescue.map(|rescue| take(&[rescue]).remove(0));
            let always = always.map(|always| take(&[always]).remove(0));
            let failed = body.may_fail();
            let well = std::mem::take(&mut body.left);
            let after = |before: Leftover, parts: Vec<Part>| chained(before, parts);
            let good = after(well, always.clone().into_iter().collect());
            let rescued = rescue.is_some();
            // The rescue may fail too, wherever it is worst, and what is always done comes after that.
            let worst = after(failed.clone(), rescue.clone().into_iter().collect()).may_fail();
            let worst = after(worst, always.clone().into_iter().collect());
            let bad = after(failed, rescue.into_iter().chain(always).collect());
            let mut all = body;
            for way in [&good, &bad, &worst] {
                if way.peak > all.peak {
                    all.peak = way.peak;
                    all.seen.clone_from(&way.seen);
                }
                all.touches.extend(&way.touches);
                all.open |= way.open;
            }
            all.left = good.left;
            if rescued {
                all.left = all.left.or(bad.left);
                let body_up = std::mem::take(&mut all.up);
                let good_up: BTreeSet<Key> = body_up.union(&good.up).copied().collect();
                all.up = good_up.intersection(&bad.up).copied().collect();
            } else {
                all.up.extend(good.up);
            }
            all.up.retain(|key| !all.left.set.contains(key));
            all
        }
        NodeKind::Foreach(_)
        | NodeKind::Action(_)
        | NodeKind::Wait { .. }
        | NodeKind::Watch(_)
        | NodeKind::Approve { .. }
        | NodeKind::Checklist(_) => Part::default(),
    }
}

/// A loop over a list that only the run will know: each element is a target of its own.
fn at_run_time(foreach: &caxplan_model::Foreach, at: NodeIndex, names: &mut Names) -> Part {
    let mut inner = Names::default();
    let element = arena(&foreach.body, &|_| None, &|_| false, OnFailure::Stop, &mut inner);
    let open = Part {
        open: true,
        ..Part::default()
    };
    if element.peak == 0 && !element.open {
        return Part::default();
    }
    // A child plan has its parameters once.
    let once = !foreach.params.is_empty();
    let count = match &foreach.items {
        _ if once => 1,
        Items::Known(items) => u32::try_from(items.len()).unwrap_or(u32::MAX),
        Items::Template(_) => u32::MAX,
    };
    let Ok(batch) = foreach.batch_size.trim().parse::<u32>() else {
        return open;
    };
    // What every element leaves down adds up without end.
    if element.open || (element.left.count > 0 && !once) {
        return open;
    }
    let at_once = foreach.max_unavailable.unwrap_or(batch).min(batch);
    let elements = at_once.saturating_add(foreach.max_failures).min(count);
    let peak = element.peak.saturating_mul(elements);
    let keys: Vec<Key> = (0..peak.min(10_000))
        .map(|number| names.key(format!("‹element {} of node {}›", number + 1, at.0)))
        .collect();
    let seen = keys.iter().map(|key| Moment {
        step: at,
        key: *key,
        then: Then::Down,
    });
    let seen: Vec<Moment> = seen.take(MOMENTS_MAX).collect();
    let failed = foreach.max_failures.saturating_mul(element.peak).min(peak);
    let failed = failed.max(element.left.count);
    Part {
        peak,
        left: Leftover {
            count: failed,
            set: if failed > 0 {
                keys.iter().copied().collect()
            } else {
                BTreeSet::new()
            },
            seen: seen.iter().take(failed as usize).copied().collect(),
        },
        touches: keys.into_iter().collect(),
        seen,
        ..Part::default()
    }
}

/// Splits the children of a `dag` into chains in which each needs the one before it: greedily, in the order of the plan.
fn chains(nodes: &[Node], children: &[NodeIndex]) -> Vec<Vec<NodeIndex>> {
    let mut chains: Vec<Vec<NodeIndex>> = Vec::new();
    let mut ends: BTreeMap<NodeIndex, usize> = BTreeMap::new();
    let mut left: Vec<NodeIndex> = children.to_vec();
    // Needs may stand behind what needs them: take what is ready, until nothing is left.
    let mut placed: BTreeSet<NodeIndex> = BTreeSet::new();
    while !left.is_empty() {
        let before = left.len();
        let mut waiting = Vec::new();
        for child in left {
            let needs = &nodes[child.index()].needs;
            if !needs.iter().all(|need| placed.contains(need)) {
                waiting.push(child);
                continue;
            }
            placed.insert(child);
            let chain = needs.iter().find_map(|need| ends.remove(need));
            let chain = chain.unwrap_or_else(|| {
                chains.push(Vec::new());
                chains.len() - 1
            });
            chains[chain].push(child);
            ends.insert(child, chain);
        }
        if waiting.len() == before {
            // A cycle, which the loader refuses: each by itself is a safe bound.
            chains.extend(waiting.into_iter().map(|child| vec![child]));
            return chains;
        }
        left = waiting;
    }
    chains
}

/// Targets that are down beside those that a rollback goes through backwards, of which no more than `peak` are down at
/// once: those that it takes down by undoing what brought them back, while what took them down cannot be undone; and
/// those that were down when it began and that nothing brings back.
fn stuck_in_rollback(
    nodes: &[Node],
    peak: u32,
    target: &dyn Fn(NodeIndex) -> Option<String>,
    skipped: &dyn Fn(NodeIndex) -> bool,
    names: &mut Names,
) -> Vec<Moment> {
    let mut undone: BTreeMap<Key, Moment> = BTreeMap::new();
    let mut stays: BTreeMap<Key, Moment> = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate() {
        let step = NodeIndex(u32::try_from(at).unwrap_or(u32::MAX));
        let NodeKind::Action(action) = &node.kind else {
            continue;
        };
        if action.availability == 0 || action.read_only || skipped(step) {
            continue;
        }
        let undoable = matches!(action.undo, Undo::Native | Undo::Calls(_));
        let key = key(nodes, at, action, target, names);
        let moment = |then: Then| Moment { step, key, then };
        if action.availability > 0 && undoable {
            undone.entry(key).or_insert(moment(Then::RolledBack));
        }
        if action.availability < 0 && !undoable {
            stays.entry(key).or_insert(moment(Then::Stays));
        }
    }
    // A rollback that takes nothing down adds nothing to what was down when it began.
    if undone.is_empty() {
        return Vec::new();
    }
    let (again, left): (Vec<Moment>, Vec<Moment>) = stays
        .into_values()
        .partition(|moment| undone.contains_key(&moment.key));
    let again = again.iter().filter_map(|moment| undone.get(&moment.key).copied());
    let left_max = usize::try_from(peak).unwrap_or(usize::MAX);
    again.chain(left.into_iter().take(left_max)).collect()
}
