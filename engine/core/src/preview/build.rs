//! From graph and forecasts to the preview.

use super::availability::most_down;
use super::foresight::before_run;
use super::verdict::judge;
use super::worst::worst_case;
use super::{AT_RUN_TIME, Change, ChangeCount, Entry, Forecasted, Foresight, IN_ORDER, Preview};
use crate::schedule::{MAX_PARALLEL, looks_once};
use crate::template::{depends_on_run, holds_template, is_template, resolve};
use caxplan_model::{
    ActionStep, Graph, Items, Map, Node, NodeIndex, NodeKind, SharedMap, ShortText, Undo, Value, Wording,
};
use std::collections::BTreeMap;

/// The preview of a graph. Steps without a forecast are shown as unknown, unless they only read or are skipped.
pub fn build(graph: &Graph, foresight: &Foresight, forecasts: &BTreeMap<NodeIndex, Forecasted>) -> Preview {
    let target = |node: NodeIndex| target_name(graph, node);
    let mut verdicts = judge(graph, foresight, forecasts, &target);
    let skipped = |node: NodeIndex| foresight.sight(node).skipped.is_some();
    let most = most_down(graph, &target, &skipped);
    let mut batches = BTreeMap::new();
    let mut preview = Preview {
        plan: graph.header.name.clone(),
        description: graph.header.description.clone(),
        digest: graph.digest(),
        locks: graph.header.locks.clone(),
        lock_policy: graph.header.lock_policy,
        on_failure: graph.header.on_failure,
        max_parallel: match graph.header.max_parallel {
            0 => MAX_PARALLEL,
            max => max,
        },
        changes: ChangeCount::default(),
        down: most.down,
        down_timeline: most.timeline,
        expected: None,
        schedule: graph.header.schedule.clone(),
        next_due: None,
        worst: worst_case(graph, &skipped),
        cannot_undo: Vec::new(),
        in_doubt: Vec::new(),
        times: Vec::new(),
        questions: Vec::new(),
        notify: graph.header.notify.clone(),
        entries: Vec::with_capacity(graph.nodes.len() - 1),
    };
    let root = NodeIndex::ROOT;
    let mut open: Vec<(NodeIndex, NodeIndex, u32)> = children(graph, root)
        .rev()
        .map(|child| (child, root, 0))
        .collect();
    while let Some((at, parent, depth)) = open.pop() {
        let mut entry = entry(graph, at, depth, forecasts.get(&at));
        entry.parent = Some(parent);
        entry.change = verdicts.changes[at.index()];
        entry.because = std::mem::take(&mut verdicts.because[at.index()]);
        entry.batch = batches.remove(&at);
        if let NodeKind::Rolling(rolling) = &graph.node(at).kind {
            for (number, batch) in (1..).zip(&rolling.batches) {
                batches.extend(batch.iter().map(|child| (*child, number)));
            }
        }
        note(&mut preview, graph.node(at), &entry);
        preview.entries.push(entry);
        open.extend(children(graph, at).rev().map(|child| (child, at, depth + 1)));
    }
    fold_alike(graph, &mut preview.entries);
    preview
}

/// Puts a step into the lists that it belongs to.
fn note(preview: &mut Preview, node: &Node, entry: &Entry) {
    match entry.change {
        Some(Change::Would) => preview.changes.would += 1,
        Some(Change::WouldNot) => preview.changes.would_not += 1,
        Some(Change::Unknown) => preview.changes.unknown += 1,
        Some(Change::Never) => preview.changes.never += 1,
        Some(Change::Skipped) => preview.changes.skipped += 1,
        None => {}
    }
    if entry.change == Some(Change::Skipped) {
        return;
    }
    if entry.can_undo == Some(false) {
        preview.cannot_undo.push(entry.id.clone());
    }
    match &node.kind {
        NodeKind::Action(action) if would_be_in_doubt(action) => preview.in_doubt.push(entry.id.clone()),
        NodeKind::Watch(watch) if looks_once(watch) => {}
        NodeKind::Wait { .. } | NodeKind::Watch(_) => {
            preview.times.push((entry.id.clone(), entry.summary.to_string()));
        }
        NodeKind::Rolling(rolling) if rolling.batches.len() > 1 && rolling.delay.is_some() => {
            preview.times.push((entry.id.clone(), entry.summary.to_string()));
        }
        NodeKind::Foreach(foreach) if foreach.delay.is_some() => {
            preview.times.push((entry.id.clone(), entry.summary.to_string()));
        }
        NodeKind::Approve { .. } | NodeKind::Checklist(_) => {
            preview
                .questions
                .push((entry.id.clone(), entry.summary.to_string()));
        }
        NodeKind::Sequence { .. }
        | NodeKind::Parallel { .. }
        | NodeKind::Dag { .. }
        | NodeKind::Rolling(_)
        | NodeKind::Foreach(_)
        | NodeKind::Block { .. }
        | NodeKind::Action(_) => {}
    }
}

fn would_be_in_doubt(action: &ActionStep) -> bool {
    !action.read_only && !action.idempotent && !action.probes && action.probe.is_none()
}

fn entry(graph: &Graph, at: NodeIndex, depth: u32, forecast: Option<&Forecasted>) -> Entry {
    let node = graph.node(at);
    let mut entry = Entry {
        node: at,
        parent: node.parent,
        depth,
        id: node.id.clone(),
        name: node.name.clone(),
        what: ShortText::default(),
        batch: None,
        group: false,
        holds_others: children(graph, at).next().is_some(),
        target: target_name(graph, at).map(ShortText::from),
        arguments: SharedMap::default(),
        change: None,
        because: Vec::new(),
        summary: ShortText::default(),
        when: node.when.clone(),
        needs: node
            .needs
            .iter()
            .map(|need| graph.node(*need).id.clone())
            .collect(),
        on_failure: node.on_failure,
        checkpoint: node.checkpoint.clone(),
        attempts: 1,
        usual: None,
        can_undo: None,
        like: None,
    };
    let child = node.child.as_ref().map(|child| format!("plan {}", child.plan));
    let length = |text: &str| known(graph, at, text);
    let pause = |delay: &Option<String>| match delay {
        Some(delay) => format!("{} between batches", length(delay)),
        None => String::new(),
    };
    match &node.kind {
        NodeKind::Sequence { .. } | NodeKind::Dag { .. } if child.is_some() => {
            entry.what = child.unwrap_or_default().into();
        }
        NodeKind::Sequence { .. } => entry.what = IN_ORDER.into(),
        NodeKind::Parallel { max: 0, .. } => entry.what = "all at once".into(),
        NodeKind::Parallel { max, .. } => entry.what = format!("{max} at once").into(),
        NodeKind::Dag { .. } => entry.what = "as their needs are met".into(),
        NodeKind::Rolling(rolling) => {
            let size = rolling.batches.iter().map(Vec::len).max().unwrap_or(0);
            entry.what = match rolling.batches.len() {
                1 => format!("1 batch of {size}"),
                count => format!("{count} batches of {size}"),
            }
            .into();
            entry.summary = pause(&rolling.delay).into();
        }
        NodeKind::Foreach(foreach) => {
            entry.what = match &foreach.items {
                Items::Template(params) if !foreach.params.is_empty() => {
                    format!("with the parameters {params} ({AT_RUN_TIME})")
                }
                Items::Known(items) => format!("for each of {} items", items.len()),
                Items::Template(list) => format!("for each of {list} ({AT_RUN_TIME})"),
            }
            .into();
            let steps = foreach
                .body
                .iter()
                .filter(|node| matches!(node.kind, NodeKind::Action(_)));
            let names: Vec<&str> = steps.map(|node| node.name.as_str()).collect();
            let parts = [
                match foreach.params.is_empty() {
                    true => format!("batches of {}", foreach.batch_size),
                    false => String::new(),
                },
                pause(&foreach.delay),
                names.join(", "),
            ];
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            entry.summary = parts.join("; ").into();
        }
        NodeKind::Block { rescue, always, .. } => {
            entry.what = match (rescue, always) {
                (None, None) => IN_ORDER,
                (Some(_), None) => "block with rescue",
                (None, Some(_)) => "block with always",
                (Some(_), Some(_)) => "block with rescue and always",
            }
            .into();
        }
        NodeKind::Action(action) => {
            describe(&mut entry, action, forecast);
            if entry.can_undo == Some(false) && is_undone_with_its_group(graph, at) {
                entry.can_undo = Some(true);
            }
        }
        NodeKind::Wait { duration } => {
            entry.what = "wait".into();
            entry.summary = length(duration).into();
        }
        NodeKind::Watch(watch) => {
            entry.what = format!("watch with {}", watch.observe.action).into();
            entry.summary = if looks_once(watch) {
                format!("looks once: {}", watch.checks.join(", "))
            } else {
                format!(
                    "for {}, every {}: {}; fails after more than {} breaches",
                    length(&watch.duration),
                    length(&watch.every),
                    watch.checks.join(", "),
                    watch.max_breaches
                )
            }
            .into();
        }
        NodeKind::Approve { question } => {
            entry.what = "approval".into();
            entry.summary = question.as_str().into();
        }
        NodeKind::Checklist(list) => {
            entry.what = "checklist".into();
            entry.summary = list
                .items
                .iter()
                .map(Wording::as_str)
                .collect::<Vec<_>>()
                .join("; ")
                .into();
        }
    }
    entry.group = entry.holds_others || matches!(node.kind, NodeKind::Foreach(_));
    entry
}

fn describe(entry: &mut Entry, action: &ActionStep, forecast: Option<&Forecasted>) {
    entry.what.clone_from(&action.call.action);
    entry.attempts = action.retry().attempts;
    entry.arguments = match forecast {
        Some(forecast) => forecast.arguments.clone(),
        None => action.call.with.clone(),
    };
    if entry.arguments.values().any(holds_template) {
        entry.arguments.values_mut().for_each(hide_templates);
    }
    if let Some(forecast) = forecast {
        entry.summary.clone_from(&forecast.summary);
    }
    entry.can_undo = match (&action.undo, action.read_only) {
        (_, true) | (Undo::NotNeeded, false) => None,
        (Undo::Native | Undo::Calls(_), false) => Some(true),
        (Undo::Impossible, false) => Some(false),
    };
}

/// Whether a group around a step says what undoes all of it, the step included.
fn is_undone_with_its_group(graph: &Graph, at: NodeIndex) -> bool {
    let up = |at: &NodeIndex| graph.node(*at).parent;
    std::iter::successors(up(&at), up).any(|group| !graph.node(group).undo.is_empty())
}

/// What is still a template is not known yet.
fn hide_templates(value: &mut Value) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if is_template(text) => *text = format!("‹{AT_RUN_TIME}›"),
            Value::Array(items) => open.extend(items),
            Value::Object(map) => open.extend(map.iter_mut().map(|(_, value)| value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Marks elements of a loop that do the same as an earlier one, but for their names.
fn fold_alike(graph: &Graph, entries: &mut [Entry]) {
    let mut first_of: BTreeMap<(Option<NodeIndex>, String), NodeIndex> = BTreeMap::new();
    let mut at = 0;
    while at < entries.len() {
        let looped = entries[at]
            .parent
            .is_some_and(|parent| matches!(graph.node(parent).kind, NodeKind::Rolling(_)));
        if looped {
            let depth = entries[at].depth;
            let inside = entries[at + 1..]
                .iter()
                .take_while(|entry| entry.depth > depth)
                .count();
            let key = (entries[at].parent, likeness(&entries[at..=at + inside]));
            let node = entries[at].node;
            match first_of.get(&key) {
                Some(first) => entries[at].like = Some(*first),
                None => {
                    first_of.insert(key, node);
                }
            }
        }
        at += 1;
    }
}

/// What an element does, without its name.
fn likeness(entries: &[Entry]) -> String {
    let own = entries[0].name.as_str();
    let mut text = String::new();
    for entry in entries {
        let arguments = serde_json::to_string(&entry.arguments).unwrap_or_default();
        let skip_name = if entry.depth == entries[0].depth {
            ""
        } else {
            entry.name.as_str()
        };
        let parts = [
            skip_name,
            entry.what.as_str(),
            entry.summary.as_str(),
            arguments.as_str(),
        ];
        text.push_str(&parts.join("\u{1f}"));
        text.push_str(&format!("\u{1f}{:?}{:?}\u{1e}", entry.change, entry.because));
    }
    if own.is_empty() {
        text
    } else {
        text.replace(own, "\u{1d}")
    }
}

/// The children of a node in the order of the plan. The steps of a block that is nothing but its body are its own.
pub(super) fn children(graph: &Graph, at: NodeIndex) -> impl DoubleEndedIterator<Item = NodeIndex> + use<> {
    let kind = &graph.node(at).kind;
    let children = match kind {
        NodeKind::Block {
            body,
            rescue: None,
            always: None,
        } => graph.node(*body).kind.children(),
        _ => kind.children(),
    };
    children.into_iter()
}

/// The name of the target of a step, as far as it is known before the run.
pub fn target_name(graph: &Graph, at: NodeIndex) -> Option<String> {
    let text = match &graph.node(at).kind {
        NodeKind::Action(action) => action.target.as_deref(),
        NodeKind::Watch(watch) => watch.target.as_deref(),
        _ => return None,
    };
    let value = match text {
        Some(text) => resolve_early(graph, at, text)?,
        None => graph.bound(at, "target")?.clone(),
    };
    match value {
        Value::String(name) => Some(name),
        Value::Object(target) => target.get("name").and_then(Value::as_str).map(str::to_owned),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// A text as it will read, if that is known before the run.
fn known(graph: &Graph, at: NodeIndex, text: &str) -> String {
    match resolve_early(graph, at, text) {
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
        None => AT_RUN_TIME.to_owned(),
    }
}

pub(crate) fn resolve_early(graph: &Graph, at: NodeIndex, text: &str) -> Option<Value> {
    if !is_template(text) {
        return Some(Value::from(text));
    }
    if depends_on_run(text) {
        return None;
    }
    resolve(text, &before_run(graph, at, text, &Map::new())).ok()
}
