//! What it means that a run follows another version of its plan: the record `PlanReplaced`.
//!
//! Indices are never given a second meaning. Whatever has records, and all groups around it, keeps its index and must say
//! what it said; what is new is appended; a slot that is not used any more holds an empty sequence that belongs to no
//! group. So all records, those before and those after, speak of one graph.

use super::group::Seen;
use super::shape::indices;
use super::standing::{NodeState, Part};
use super::state::State;
use super::status::{NodeStatus, UndoStatus};
use crate::diff::{FieldChange, fields, map_changes, paths, plan_changes};
use crate::preview::target_name;
use caxplan_model::{Foreach, Graph, Location, Node, NodeIndex, NodeKind, StepId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a run cannot follow another version of its plan: one thing that must stay as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The step or group; empty for the plan as a whole.
    pub id: StepId,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.id.as_str().is_empty() {
            write!(f, "the plan {}", self.reason)
        } else {
            write!(f, "`{}` {}", self.id, self.reason)
        }
    }
}

impl State {
    /// The plan that the run follows, as it was compiled: without what loops have become, and without what an earlier
    /// version had.
    pub fn plan(&self) -> Graph {
        let mut nodes = self.graph.nodes.clone();
        for (at, expansion) in &self.loops {
            nodes[at.index()].kind = NodeKind::Foreach(expansion.foreach.clone());
        }
        let mut kept = vec![false; nodes.len()];
        let mut open = vec![NodeIndex::ROOT];
        while let Some(at) = open.pop() {
            kept[at.index()] = true;
            open.extend(nodes[at.index()].kind.children());
        }
        let mut places = Vec::with_capacity(nodes.len());
        let mut next = 0;
        for kept in &kept {
            places.push(NodeIndex(next));
            next += u32::from(*kept);
        }
        let mut plan = Graph {
            nodes: Vec::new(),
            ..self.graph.clone()
        };
        for (mut node, _) in nodes.into_iter().zip(&kept).filter(|(_, kept)| **kept) {
            remap(&mut node, &places);
            plan.nodes.push(node);
        }
        plan
    }

    /// The graph that the run follows when `plan` takes the place of its own: with the indices that its records have.
    ///
    /// # Errors
    /// If something that has started would change, would be gone, or would come at another place. All of it is told.
    pub fn replacement(&self, plan: &Graph) -> Result<Graph, Vec<Refusal>> {
        let graph = self.merged(plan);
        let mut refusals = self.refusals(&graph);
        if let (true, Err(reason)) = (refusals.is_empty(), graph.check_tree()) {
            refusals.push(of_plan(format!(
                "cannot take the place of the run's own: {reason}"
            )));
        }
        if refusals.is_empty() {
            Ok(graph)
        } else {
            Err(refusals)
        }
    }

    /// Whether a record may replace the graph by this one.
    pub(super) fn check_replacement(&self, graph: &Graph) -> Result<(), String> {
        graph.check_tree()?;
        match self.refusals(graph).first() {
            None => Ok(()),
            Some(refusal) => Err(refusal.to_string()),
        }
    }

    /// Takes the graph that `check_replacement` let through. What has not started is as if it was always so.
    pub(super) fn replaced(&mut self, graph: &Graph) {
        let touched = self.touched();
        let old = std::mem::take(&mut self.nodes);
        let mut old = old.into_iter().zip(&touched);
        self.nodes = graph
            .nodes
            .iter()
            .map(|node| match old.next() {
                Some((state, true)) => state,
                Some((_, false)) | None => NodeState::new(node),
            })
            .collect();
        let is_touched = |at: &NodeIndex| touched.get(at.index()) == Some(&true);
        self.loops.retain(|at, _| is_touched(at));
        self.over.retain(is_touched);
        self.graph = graph.clone();
        self.shapes = super::shape::Shapes::of(graph);
        self.rebuild();
    }

    /// What has records, whether they still count or not, with all groups around it.
    fn touched(&self) -> Vec<bool> {
        let mut touched: Vec<bool> = self.nodes.iter().map(has_records).collect();
        for at in self.loops.keys() {
            for inside in self.inside(*at) {
                touched[inside.index()] = true;
            }
        }
        for at in indices(&self.graph).rev() {
            if let Some(parent) = self.parent(at).filter(|_| touched[at.index()]) {
                touched[parent.index()] = true;
            }
        }
        touched[NodeIndex::ROOT.index()] = true;
        touched
    }

    /// The graph in which the nodes of `plan` stand at the places of the nodes that have the same id now.
    fn merged(&self, plan: &Graph) -> Graph {
        // Elements of a loop are not the plan's: they stay with their loop.
        let elements: BTreeSet<NodeIndex> = self
            .loops
            .keys()
            .flat_map(|at| self.inside(*at).into_iter().skip(1))
            .collect();
        let touched = self.touched();
        let mut free: BTreeMap<&StepId, NodeIndex> = indices(&self.graph)
            .filter(|at| !elements.contains(at))
            .map(|at| (&self.graph.node(at).id, at))
            .collect();
        let mut places: Vec<NodeIndex> = Vec::with_capacity(plan.nodes.len());
        let mut end = self.graph.nodes.len();
        for node in &plan.nodes {
            // A parent stands before its children.
            let parent = node.parent.and_then(|parent| places.get(parent.index()).copied());
            let found = free
                .get(&node.id)
                .copied()
                .filter(|at| touched[at.index()] || parent.is_none_or(|parent| parent < *at));
            if found.is_some() {
                free.remove(&node.id);
            }
            places.push(found.unwrap_or_else(|| {
                end += 1;
                NodeIndex(u32::try_from(end - 1).unwrap_or(u32::MAX))
            }));
        }
        let mut nodes: Vec<Node> = indices(&self.graph)
            .map(|at| match elements.contains(&at) {
                true => self.graph.node(at).clone(),
                false => unused(at),
            })
            .collect();
        nodes.extend((nodes.len()..end).map(|at| unused(NodeIndex(u32::try_from(at).unwrap_or(u32::MAX)))));
        for (node, place) in plan.nodes.iter().zip(&places) {
            let mut node = node.clone();
            remap(&mut node, &places);
            if let (Some(expansion), NodeKind::Foreach(foreach)) = (self.loops.get(place), &node.kind)
                && is_same_loop(&expansion.foreach, foreach)
            {
                node.kind = self.graph.node(*place).kind.clone();
            }
            nodes[place.index()] = node;
        }
        Graph {
            nodes,
            ..plan.clone()
        }
    }

    /// Everything that has started and would not be what it was.
    fn refusals(&self, graph: &Graph) -> Vec<Refusal> {
        if graph.nodes.len() < self.graph.nodes.len() {
            return vec![of_plan("has lost steps that the run has".to_owned())];
        }
        let touched = self.touched();
        let moved = Moved::of(&self.graph, graph);
        let mut found = Vec::new();
        for at in indices(&self.graph).filter(|at| touched[at.index()]) {
            self.refuse_node(at, graph, &moved, &touched, &mut found);
        }
        found
    }

    fn refuse_node(
        &self,
        at: NodeIndex,
        graph: &Graph,
        moved: &Moved,
        touched: &[bool],
        found: &mut Vec<Refusal>,
    ) {
        let (old, new) = (self.graph.node(at), graph.node(at));
        let stands = self.stands(at);
        let mut refuse = |reason: String| {
            found.push(Refusal {
                id: old.id.clone(),
                reason,
            });
        };
        if old.id != new.id {
            // A group that is gone is told by what is in it.
            if !old.kind.children().iter().any(|child| touched[child.index()]) {
                refuse(format!("{stands} and would be gone"));
            }
            return;
        }
        if old.parent != new.parent {
            refuse(format!("{stands} and would be in another group"));
        }
        for change in self.changes(at, graph) {
            refuse(format!("{stands} and would change: {change}"));
        }
        let mut read = BTreeSet::new();
        paths(old, &mut read);
        for path in read {
            if let Some(change) = moved.touches(&path) {
                refuse(format!(
                    "{stands} and reads `{path}`, which would change: {change}"
                ));
            }
        }
        let target = target_name(&self.graph, at);
        if let Some(change) = target.and_then(|target| moved.touches(&format!("targets.{target}"))) {
            refuse(format!(
                "{stands} and acts on a target that would change: {change}"
            ));
        }
        if new.kind.is_leaf() {
            return;
        }
        let (before, after) = (old.kind.children(), new.kind.children());
        let fixed = self.fixed(at, touched, &before);
        let ids = |graph: &Graph, list: &[NodeIndex]| -> String {
            let ids: Vec<&str> = list.iter().map(|at| graph.node(*at).id.as_str()).collect();
            ids.join(", ")
        };
        let kept = after.get(..fixed);
        // Steps that are gone have been told.
        let all_there = before[..fixed]
            .iter()
            .all(|child| after.contains(child) || touched[child.index()]);
        let gone = before[..fixed].iter().any(|child| !after.contains(child));
        if kept != Some(&before[..fixed]) && !(gone && all_there) {
            refuse(format!(
                "{stands} and the order in it would change up to what has started: {} → {}",
                ids(&self.graph, &before[..fixed]),
                ids(graph, &after[..fixed.min(after.len())]),
            ));
        } else if batches(&old.kind, fixed) != batches(&new.kind, fixed) {
            refuse(format!(
                "{stands} and its batches would change up to the one that has started"
            ));
        }
        if self.is_past(at) {
            for child in after.iter().filter(|child| !before.contains(child)) {
                let id = &graph.node(*child).id;
                refuse(format!("{stands}: `{id}` would be new in it and would never run"));
            }
        }
    }

    /// What a node says otherwise than it did.
    fn changes(&self, at: NodeIndex, graph: &Graph) -> Vec<String> {
        let mut old = self.graph.node(at).clone();
        let new = graph.node(at);
        if let (Some(expansion), NodeKind::Foreach(_)) = (self.loops.get(&at), &new.kind) {
            old.kind = NodeKind::Foreach(expansion.foreach.clone());
        }
        let said = |node: &Node| {
            let mut said = fields(node);
            // Follows from the batches.
            said.remove("batch_size")
                .filter(|_| matches!(node.kind, NodeKind::Foreach(_)));
            said
        };
        let mut changes: Vec<String> = map_changes("", &said(&old), &said(new))
            .iter()
            .map(FieldChange::to_string)
            .collect();
        if let (NodeKind::Foreach(old), NodeKind::Foreach(new)) = (&old.kind, &new.kind)
            && old.batch_size != new.batch_size
        {
            changes.push(format!("batch_size: {} → {}", old.batch_size, new.batch_size));
        }
        if let (NodeKind::Foreach(old), NodeKind::Foreach(new)) = (&old.kind, &new.kind)
            && bare(&old.body) != bare(&new.body)
        {
            changes.push("what it repeats".to_owned());
        }
        let needs = |graph: &Graph, node: &Node| -> BTreeSet<StepId> {
            let ids = node.needs.iter().map(|need| graph.node(*need).id.clone());
            ids.collect()
        };
        if needs(&self.graph, &old) != needs(graph, new) {
            changes.push("needs".to_owned());
        }
        changes
    }

    /// How many children of a group must stay as they stand: in an order, all up to the last that has started.
    fn fixed(&self, at: NodeIndex, touched: &[bool], children: &[NodeIndex]) -> usize {
        if let NodeKind::Parallel { .. } | NodeKind::Dag { .. } = self.graph.node(at).kind {
            return 0;
        }
        let last = children.iter().rposition(|child| touched[child.index()]);
        let begun = last.map_or(0, |last| last + 1);
        let ends = self.shapes.get(at).batch_ends();
        if ends.is_empty() || begun == 0 {
            return begun;
        }
        // A batch is one; and while the pause before the next one is going on, that one is settled too.
        let mut batch = ends.partition_point(|end| (*end as usize) < begun);
        batch = batch.max(self.group(at).batch as usize);
        batch += usize::from(self.timer(at).is_some());
        ends.get(batch).or(ends.last()).map_or(begun, |end| *end as usize)
    }

    /// Whether the run has got past a group, or past one around it.
    fn is_past(&self, at: NodeIndex) -> bool {
        let mut around = Some(at);
        while let Some(group) = around {
            if self.seen(group) == Seen::Well {
                return true;
            }
            around = self.parent(group);
        }
        false
    }

    fn stands(&self, at: NodeIndex) -> &'static str {
        match self.status(at) {
            NodeStatus::InDoubt(_) => "is in doubt",
            // Nobody has the run: what was going on when its engine died is in doubt.
            NodeStatus::Running(_) => "was going on when the engine died",
            NodeStatus::Succeeded { .. } => "has ended",
            NodeStatus::Failed(_) => "has failed",
            NodeStatus::Skipped => "was skipped",
            NodeStatus::Asking => "waits for a person",
            NodeStatus::Retrying { .. } => "is to be tried again",
            NodeStatus::Pending | NodeStatus::Active => "has started",
        }
    }
}

/// What the plan as a whole says otherwise, as far as steps read it.
struct Moved(Vec<FieldChange>);

impl Moved {
    fn of(old: &Graph, new: &Graph) -> Self {
        let read = ["params.", "vars.", "targets."];
        let mut changes = plan_changes(old, new);
        changes.retain(|change| read.iter().any(|root| change.field.starts_with(root)));
        Self(changes)
    }

    /// The change of what a path names, of something in it, or of what it is in.
    fn touches(&self, path: &str) -> Option<&FieldChange> {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.0
            .iter()
            .find(|change| within(path, &change.field) || within(&change.field, path))
    }
}

fn has_records(state: &NodeState) -> bool {
    let attempts = match &state.part {
        Part::Step(step) => step.attempts,
        _ => 0,
    };
    state.begun
        || state.order > 0
        || attempts > 0
        || state.status != NodeStatus::Pending
        || state.undoing.attempts > 0
        || state.undoing.status != UndoStatus::NotTried
}

fn of_plan(reason: String) -> Refusal {
    Refusal {
        id: StepId::new(""),
        reason,
    }
}

/// What stands at a place that no node has any more.
fn unused(at: NodeIndex) -> Node {
    let kind = NodeKind::Sequence { children: Vec::new() };
    let mut node = Node::new(StepId::new(format!("~{}", at.0)), Some(NodeIndex::ROOT), kind);
    // No template can mean it.
    node.name.clear();
    node
}

fn is_same_loop(old: &Foreach, new: &Foreach) -> bool {
    let strip = |foreach: &Foreach| Foreach {
        body: bare(&foreach.body),
        ..foreach.clone()
    };
    strip(old) == strip(new)
}

/// Nodes of a loop's body without where they stand in a file.
fn bare(body: &[Node]) -> Vec<Node> {
    let strip = |node: &Node| {
        let mut node = node.clone();
        node.source = Location::default();
        if let NodeKind::Foreach(foreach) = &mut node.kind {
            foreach.body = bare(&foreach.body);
        }
        node
    };
    body.iter().map(strip).collect()
}

/// The sizes of the batches that the first `count` children make.
fn batches(kind: &NodeKind, count: usize) -> Vec<usize> {
    let NodeKind::Rolling(rolling) = kind else {
        return Vec::new();
    };
    let mut left = count;
    let sizes = rolling.batches.iter().map(Vec::len).filter(|size| *size > 0);
    sizes
        .take_while(|size| {
            let within = left > 0;
            left = left.saturating_sub(*size);
            within
        })
        .collect()
}

fn remap(node: &mut Node, places: &[NodeIndex]) {
    let place = |at: &mut NodeIndex| {
        if let Some(place) = places.get(at.index()) {
            *at = *place;
        }
    };
    node.parent.iter_mut().for_each(place);
    node.needs.iter_mut().for_each(place);
    match &mut node.kind {
        NodeKind::Sequence { children }
        | NodeKind::Parallel { children, .. }
        | NodeKind::Dag { children, .. } => children.iter_mut().for_each(place),
        NodeKind::Rolling(rolling) => rolling.batches.iter_mut().flatten().for_each(place),
        NodeKind::Block { body, rescue, always } => {
            std::iter::once(body).chain(rescue).chain(always).for_each(place);
        }
        NodeKind::Foreach(_)
        | NodeKind::Action(_)
        | NodeKind::Wait { .. }
        | NodeKind::Watch(_)
        | NodeKind::Approve { .. }
        | NodeKind::Checklist(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::State;
    use caxplan_model::{
        Digest, Graph, InDoubtPolicy, Node, NodeIndex, NodeKind, Record, RunEnd, StepId, Timestamp,
    };

    /// A phase `work` of waits.
    fn plan(waits: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::empty("x");
        let phase = NodeIndex(1);
        let children: Vec<NodeIndex> = (2..).map(NodeIndex).take(waits.len()).collect();
        graph.nodes[0].kind = NodeKind::Sequence {
            children: vec![phase],
        };
        let kind = NodeKind::Sequence { children };
        graph
            .nodes
            .push(Node::new(StepId::new("work"), Some(NodeIndex::ROOT), kind));
        for (id, duration) in waits {
            let kind = NodeKind::Wait {
                duration: (*duration).to_owned(),
            };
            let id = StepId::new(format!("work/{id}"));
            graph.nodes.push(Node::new(id, Some(phase), kind));
        }
        graph
    }

    const OLD: &[(&str, &str)] = &[("a", "1s"), ("b", "1s"), ("c", "1s"), ("d", "1s")];

    /// `a` has ended, the timer of `b` is set, and the engine has died.
    fn state() -> State {
        let at = Timestamp(1);
        let mut state = State::new(plan(OLD));
        let records = [
            Record::RunCreated {
                at,
                graph: Digest::ZERO,
                seed: 1,
                by: String::new(),
            },
            resumed(),
            set(2),
            Record::TimerFired {
                at,
                node: NodeIndex(2),
            },
            set(3),
        ];
        for record in &records {
            state.apply(record).expect("legal");
        }
        state
    }

    fn resumed() -> Record {
        Record::Resumed {
            at: Timestamp(1),
            in_doubt: InDoubtPolicy::Ask,
            from: None,
        }
    }

    fn set(node: u32) -> Record {
        Record::TimerSet {
            at: Timestamp(1),
            node: NodeIndex(node),
            due: Timestamp(9),
        }
    }

    fn replaced(graph: Graph) -> Record {
        Record::PlanReplaced {
            at: Timestamp(2),
            by: "me@here".to_owned(),
            plan: "/x.yaml".to_owned(),
            secret_params: Vec::new(),
            changes: Vec::new(),
            graph: Box::new(graph),
        }
    }

    fn ids(state: &State) -> Vec<String> {
        let nodes = state.graph().nodes.iter();
        nodes.map(|node| node.id.to_string()).collect()
    }

    #[test]
    fn the_same_plan_is_the_same_graph() {
        let state = state();
        assert_eq!(state.plan(), plan(OLD));
        assert_eq!(state.replacement(&plan(OLD)).as_ref(), Ok(state.graph()));
    }

    #[test]
    fn what_has_records_keeps_its_index_and_what_is_new_is_appended() {
        let mut state = state();
        let new = plan(&[("a", "1s"), ("b", "1s"), ("d", "5s"), ("e", "1s")]);
        let graph = state
            .replacement(&new)
            .expect("only what has not started changes");
        state.apply(&replaced(graph)).expect("legal");
        assert_eq!(
            ids(&state),
            ["", "work", "work/a", "work/b", "~4", "work/d", "work/e"]
        );
        assert_eq!(state.plan(), new);
        // Once more, with what was there before: it is new.
        let graph = state.replacement(&plan(OLD)).expect("it may come back");
        state.apply(&replaced(graph)).expect("legal");
        assert_eq!(
            ids(&state),
            ["", "work", "work/a", "work/b", "~4", "work/d", "~6", "work/c"]
        );
        // The records of what had begun go on by the same numbers, to the end.
        let fired = |node: u32| Record::TimerFired {
            at: Timestamp(9),
            node: NodeIndex(node),
        };
        for record in [resumed(), fired(3), set(7), fired(7), set(5), fired(5)] {
            state.apply(&record).expect("legal");
        }
        let end = Record::RunEnded {
            at: Timestamp(9),
            end: RunEnd::Succeeded,
        };
        state.apply(&end).expect("legal");
        assert_eq!(state.status(NodeIndex::ROOT).word(), "succeeded");
        let error = state
            .apply(&replaced(state.graph().clone()))
            .expect_err("it has ended");
        assert_eq!(error.reason, "the run has ended for good");
    }

    #[test]
    fn what_has_records_may_not_change_even_in_a_journal() {
        fn check(waits: &[(&str, &str)], reason: &str) {
            let mut state = state();
            let refusals = state.replacement(&plan(waits)).expect_err("refused");
            let refusals: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            assert_eq!(refusals, [reason]);
            let merged = state.merged(&plan(waits));
            let error = state.apply(&replaced(merged)).expect_err("illegal");
            assert_eq!(error.reason, reason);
            assert_eq!(state.plan(), plan(OLD), "it is as it was");
        }
        check(
            &[("a", "1s"), ("b", "2s"), ("c", "1s"), ("d", "1s")],
            "`work/b` has started and would change: duration: \"1s\" → \"2s\"",
        );
        check(
            &[("b", "1s"), ("c", "1s")],
            "`work/a` has ended and would be gone",
        );
        check(
            &[("a", "1s"), ("c", "1s"), ("b", "1s")],
            "`work` has started and the order in it would change up to what has started: \
             work/a, work/b → work/a, work/c",
        );
    }

    #[test]
    fn a_graph_that_is_no_tree_is_illegal() {
        fn check(spoil: impl Fn(&mut Graph), reason: &str) {
            let mut graph = plan(OLD);
            spoil(&mut graph);
            let error = state().apply(&replaced(graph)).expect_err("illegal");
            assert!(error.reason.contains(reason), "{}", error.reason);
        }
        check(|graph| graph.format += 1, "its format is");
        check(
            |graph| graph.nodes[5].id = StepId::new("work/a"),
            "two steps have the id",
        );
        check(
            |graph| graph.nodes[1].parent = Some(NodeIndex(5)),
            "has a step that is not its own",
        );
        check(
            |graph| graph.nodes[5].needs = Box::new([NodeIndex(99)]),
            "needs a step that is not there",
        );
        check(
            |graph| {
                graph.nodes[1].kind = NodeKind::Sequence {
                    children: vec![NodeIndex(99)],
                };
            },
            "has a step that is not its own",
        );
        check(|graph| graph.nodes.truncate(5), "has a step that is not its own");
    }
}
