//! Would it change something? The verdict on each step, from what is known, what adapters foresee, and what steps
//! before it may do to what they looked at.

use super::build::children;
use super::foresight::{Because, Foresight};
use super::{Change, Forecasted};
use caxplan_model::{Graph, Items, NodeIndex, NodeKind};
use std::collections::{BTreeMap, BTreeSet};

/// How often the whole plan is looked through until nothing moves any more. Each pass only ever makes verdicts less sure;
/// what is still not settled then is called unknown.
const PASSES_MAX: u32 = 8;

/// The verdicts on a plan's nodes.
pub(super) struct Verdicts {
    /// `None` for groups and for what runs no action.
    pub(super) changes: Vec<Option<Change>>,
    /// Why it is unknown, or skipped.
    pub(super) because: Vec<Vec<Because>>,
}

/// Judges every step. `target` names the target of a node, if it has one.
pub(super) fn judge(
    graph: &Graph,
    foresight: &Foresight,
    forecasts: &BTreeMap<NodeIndex, Forecasted>,
    target: &dyn Fn(NodeIndex) -> Option<String>,
) -> Verdicts {
    let mut verdicts = Verdicts {
        changes: Vec::with_capacity(graph.nodes.len()),
        because: Vec::with_capacity(graph.nodes.len()),
    };
    for at in (0..graph.nodes.len()).map(index) {
        let (change, because) = alone(graph, at, foresight, forecasts.get(&at));
        verdicts.changes.push(change);
        verdicts.because.push(because);
    }
    let targets: Vec<Option<String>> = (0..graph.nodes.len()).map(|at| target(index(at))).collect();
    let mut passes = 0;
    loop {
        let mut pass = Pass {
            graph,
            foresight,
            targets: &targets,
            verdicts: &mut verdicts,
            touched: BTreeMap::new(),
            last: passes + 1 >= PASSES_MAX,
            moved: false,
        };
        pass.walk();
        passes += 1;
        if !pass.moved || pass.last {
            return verdicts;
        }
    }
}

/// The verdict on a step without regard to the steps before it.
fn alone(
    graph: &Graph,
    at: NodeIndex,
    foresight: &Foresight,
    forecast: Option<&Forecasted>,
) -> (Option<Change>, Vec<Because>) {
    let sight = foresight.sight(at);
    let reads = match &graph.node(at).kind {
        NodeKind::Action(action) => action.read_only,
        NodeKind::Foreach(foreach) => {
            let template = matches!(foreach.items, Items::Template(_));
            let mut actions = foreach.body.iter().filter_map(|node| match &node.kind {
                NodeKind::Action(action) => Some(action.read_only),
                _ => None,
            });
            !template || actions.all(|reads| reads)
        }
        _ => return (None, Vec::new()),
    };
    if let Some(because) = &sight.skipped {
        return (Some(Change::Skipped), vec![because.clone()]);
    }
    if reads {
        return (Some(Change::Never), Vec::new());
    }
    let foreseen = forecast.map_or(Change::Unknown, |forecast| forecast.change);
    let mut because = sight.values.clone();
    // Whether or not it runs, it changes nothing.
    if because.is_empty() && foreseen == Change::WouldNot {
        return (Some(Change::WouldNot), because);
    }
    because.extend(sight.whether.iter().cloned());
    if sight.on_failure_only {
        because.push(Because {
            what: "runs only if something fails".to_owned(),
            path: Vec::new(),
        });
    }
    if because.is_empty() {
        (Some(foreseen), because)
    } else {
        (Some(Change::Unknown), because)
    }
}

/// One walk over the plan in its order, with the steps that may have acted before.
struct Pass<'a> {
    graph: &'a Graph,
    foresight: &'a Foresight,
    targets: &'a [Option<String>],
    verdicts: &'a mut Verdicts,
    /// The steps that may have changed a target when the walk is where it is; `None` for those without a target.
    touched: BTreeMap<Option<String>, BTreeSet<NodeIndex>>,
    last: bool,
    moved: bool,
}

enum Turn {
    Enter(NodeIndex),
    /// Takes out what a child of a group does, before the child is walked by itself.
    Alone(NodeIndex),
}

impl Pass<'_> {
    fn walk(&mut self) {
        let mut open = vec![Turn::Enter(NodeIndex::ROOT)];
        while let Some(turn) = open.pop() {
            let at = match turn {
                Turn::Alone(child) => {
                    self.each_step(child, |pass, step| pass.untouch(step));
                    continue;
                }
                Turn::Enter(at) => at,
            };
            let children: Vec<NodeIndex> = children(self.graph, at).collect();
            if children.is_empty() {
                self.step(at);
            } else if self.side_by_side(at) {
                // Any of them may come before any other.
                for child in &children {
                    self.each_step(*child, |pass, step| pass.touch(step));
                }
                for child in children.into_iter().rev() {
                    open.push(Turn::Enter(child));
                    open.push(Turn::Alone(child));
                }
            } else {
                open.extend(children.into_iter().rev().map(Turn::Enter));
            }
        }
    }

    fn side_by_side(&self, at: NodeIndex) -> bool {
        match &self.graph.node(at).kind {
            NodeKind::Parallel { .. } | NodeKind::Dag { .. } => true,
            NodeKind::Rolling(rolling) => rolling.batches.iter().any(|batch| batch.len() > 1),
            NodeKind::Sequence { .. }
            | NodeKind::Foreach(_)
            | NodeKind::Block { .. }
            | NodeKind::Action(_)
            | NodeKind::Wait { .. }
            | NodeKind::Watch(_)
            | NodeKind::Approve { .. }
            | NodeKind::Checklist(_) => false,
        }
    }

    fn each_step(&mut self, below: NodeIndex, mut each: impl FnMut(&mut Self, NodeIndex)) {
        let mut open = vec![below];
        while let Some(at) = open.pop() {
            each(self, at);
            open.extend(children(self.graph, at));
        }
    }

    fn step(&mut self, at: NodeIndex) {
        if self.verdicts.changes[at.index()] == Some(Change::WouldNot)
            && let Some(by) = self.touched_by(at)
        {
            self.verdicts.changes[at.index()] = Some(Change::Unknown);
            let mut path = vec![self.graph.node(by).id.clone()];
            let further = self.verdicts.because[by.index()].first();
            path.extend(further.into_iter().flat_map(|because| because.path.clone()));
            path.truncate(16);
            let place = match &self.targets[at.index()] {
                Some(target) => format!("what it would find on {target}"),
                None => "what it would find".to_owned(),
            };
            self.verdicts.because[at.index()].push(Because { what: place, path });
            self.moved = true;
        }
        self.touch(at);
    }

    /// Whether a step may act: one that runs only after a failure is no part of a run that goes well.
    fn may_act(&self, at: NodeIndex) -> bool {
        let change = match self.verdicts.changes[at.index()] {
            Some(Change::Would | Change::Unknown) => true,
            Some(Change::WouldNot) => self.last,
            Some(Change::Never | Change::Skipped) | None => false,
        };
        change && !self.foresight.sight(at).on_failure_only
    }

    fn touch(&mut self, at: NodeIndex) {
        if self.may_act(at) {
            let target = self.targets[at.index()].clone();
            self.touched.entry(target).or_default().insert(at);
        }
    }

    fn untouch(&mut self, at: NodeIndex) {
        if let Some(steps) = self.touched.get_mut(&self.targets[at.index()]) {
            steps.remove(&at);
        }
    }

    /// A step that may change what this one looked at: one on the same target, or one without a target, which may reach
    /// anything; and for a step without a target, any.
    fn touched_by(&self, at: NodeIndex) -> Option<NodeIndex> {
        let of = |target: &Option<String>| self.touched.get(target)?.first().copied();
        match &self.targets[at.index()] {
            target @ Some(_) => of(target).or_else(|| of(&None)),
            None => {
                let mut all = self.touched.values();
                all.find_map(|steps| steps.first().copied())
            }
        }
    }
}

fn index(at: usize) -> NodeIndex {
    NodeIndex(u32::try_from(at).unwrap_or(u32::MAX))
}
