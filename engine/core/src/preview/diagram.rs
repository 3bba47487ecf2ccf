//! The preview as a diagram: Mermaid and DOT.
//!
//! Both are bounded, for what draws them is: what is folded in the text is folded here, and where a plan is larger still,
//! its inner levels are left out, then its end. A diagram says what it leaves out.

use super::markdown::plain;
use super::{Change, Entry, IN_ORDER, Preview};
use caxplan_model::NodeIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The most boxes and arrows of a Mermaid diagram: it refuses more than 500 arrows, and texts over 50,000 characters.
const MERMAID: Limits = Limits {
    boxes_max: 200,
    arrows_max: 480,
    label_chars_max: 60,
};

/// The most boxes and arrows of a DOT graph: `dot` lays these out in seconds.
const DOT: Limits = Limits {
    boxes_max: 1_000,
    arrows_max: 4_000,
    label_chars_max: 120,
};

struct Limits {
    boxes_max: usize,
    arrows_max: usize,
    label_chars_max: usize,
}

/// An arrow from one box to the one that follows it.
struct Arrow {
    from: NodeIndex,
    to: NodeIndex,
}

/// A box, or a frame around others.
struct Shape<'a> {
    entry: &'a Entry,
    /// Whether boxes stand in it.
    frame: bool,
    label: String,
}

/// What is drawn.
struct Drawing<'a> {
    shapes: Vec<Shape<'a>>,
    arrows: Vec<Arrow>,
    /// What is not drawn, in words.
    left_out: Option<String>,
}

impl Preview {
    /// A Mermaid flowchart; groups are subgraphs.
    pub fn to_mermaid(&self) -> String {
        let drawing = self.drawing(&MERMAID);
        let mut out = String::from("flowchart TD\n");
        drawing.nested(
            &mut out,
            &|shape| format!("subgraph n{}[\"{}\"]", shape.entry.node.0, mermaid(&shape.label)),
            &|shape| format!("n{}[\"{}\"]", shape.entry.node.0, mermaid(&shape.label)),
            "end",
        );
        for Arrow { from, to } in &drawing.arrows {
            let _ = writeln!(out, "  n{} --> n{}", from.0, to.0);
        }
        if let Some(text) = &drawing.left_out {
            let _ = writeln!(out, "  left_out[\"{}\"]", mermaid(text));
        }
        out
    }

    /// A DOT graph for Graphviz; groups are clusters.
    pub fn to_dot(&self) -> String {
        let drawing = self.drawing(&DOT);
        let mut out = String::from("digraph plan {\n  compound=true;\n  node [shape=box];\n");
        drawing.nested(
            &mut out,
            &|shape| {
                format!(
                    "subgraph cluster_n{} {{ label=\"{}\";",
                    shape.entry.node.0,
                    dot(&shape.label)
                )
            },
            &|shape| {
                let (node, label) = (shape.entry.node.0, dot(&shape.label));
                format!("n{node} [label=\"{label}\"{}];", style(shape.entry))
            },
            "}",
        );
        let firsts = drawing.first_boxes();
        let frames: BTreeSet<NodeIndex> = drawing
            .shapes
            .iter()
            .filter(|shape| shape.frame)
            .map(|shape| shape.entry.node)
            .collect();
        let end = |node: NodeIndex| firsts.get(&node).copied().unwrap_or(node);
        for Arrow { from, to } in &drawing.arrows {
            let clip = |name: &str, node: &NodeIndex| match frames.contains(node) {
                true => format!("{name}=cluster_n{} ", node.0),
                false => String::new(),
            };
            let clips = format!("{}{}", clip("ltail", from), clip("lhead", to));
            let clips = match clips.trim_end() {
                "" => String::new(),
                clips => format!(" [{clips}]"),
            };
            let _ = writeln!(out, "  n{} -> n{}{clips};", end(*from).0, end(*to).0);
        }
        if let Some(text) = &drawing.left_out {
            let _ = writeln!(out, "  left_out [shape=note, label=\"{}\"];", dot(text));
        }
        out.push_str("}\n");
        out
    }

    fn drawing(&self, limits: &Limits) -> Drawing<'_> {
        let lines = self.lines();
        // As many levels as fit; if not even the phases do, the first of them.
        let deepest = lines.iter().map(|line| line.entry.depth).max().unwrap_or(0);
        let count = |level: u32| lines.iter().filter(|line| line.entry.depth <= level).count();
        let fits = (0..=deepest)
            .rev()
            .find(|level| count(*level) <= limits.boxes_max);
        let level = fits.unwrap_or(0);
        let mut shapes: Vec<Shape<'_>> = Vec::new();
        let mut steps_left_out = 0;
        for line in &lines {
            let entry = line.entry;
            if entry.depth > level || shapes.len() >= limits.boxes_max {
                steps_left_out += usize::from(!entry.group);
                continue;
            }
            if let Some(parent) = shapes
                .iter_mut()
                .rev()
                .find(|shape| Some(shape.entry.node) == entry.parent)
            {
                parent.frame = true;
            }
            let mut label = plain(&entry.name);
            if let Some(target) = &entry.target {
                let _ = write!(label, " @{}", plain(target));
            }
            if !line.folded.is_empty() {
                let _ = write!(label, " (and {} alike)", line.folded.len());
            }
            if label.chars().count() > limits.label_chars_max {
                label = label.chars().take(limits.label_chars_max).chain(['…']).collect();
            }
            shapes.push(Shape {
                entry,
                frame: false,
                label,
            });
        }
        let mut arrows = self.arrows(&shapes);
        let arrows_left_out = arrows.len().saturating_sub(limits.arrows_max);
        arrows.truncate(limits.arrows_max);
        let left_out = match (steps_left_out, arrows_left_out) {
            (0, 0) => None,
            (steps, 0) => Some(format!(
                "{steps} steps are left out: the plan is too large for one diagram"
            )),
            (steps, arrows) => Some(format!(
                "{steps} steps and {arrows} arrows are left out: the plan is too large for one diagram"
            )),
        };
        Drawing {
            shapes,
            arrows,
            left_out,
        }
    }

    /// What follows what: needs, and the order within groups whose children run one after the other.
    fn arrows(&self, shapes: &[Shape<'_>]) -> Vec<Arrow> {
        let ids: BTreeMap<&str, NodeIndex> = shapes
            .iter()
            .map(|shape| (shape.entry.id.as_str(), shape.entry.node))
            .collect();
        let chained: BTreeMap<NodeIndex, bool> = shapes
            .iter()
            .map(|shape| {
                let in_order = shape.entry.what == IN_ORDER || shape.entry.what.starts_with("block");
                (shape.entry.node, in_order)
            })
            .collect();
        let mut last: BTreeMap<Option<NodeIndex>, (NodeIndex, Option<u32>)> = BTreeMap::new();
        let mut arrows = Vec::new();
        for Shape { entry, .. } in shapes {
            for need in &entry.needs {
                if let Some(from) = ids.get(need.as_str()) {
                    arrows.push(Arrow {
                        from: *from,
                        to: entry.node,
                    });
                }
            }
            let in_order = entry
                .parent
                .is_none_or(|parent| chained.get(&parent).copied().unwrap_or(true));
            let before = last.insert(entry.parent, (entry.node, entry.batch));
            // One arrow from batch to batch, not from each to each.
            let next_batch = before.is_some_and(|(_, batch)| batch != entry.batch);
            if let (true, true, Some((from, _))) = (in_order || next_batch, entry.needs.is_empty(), before) {
                arrows.push(Arrow { from, to: entry.node });
            }
        }
        arrows
    }
}

impl Drawing<'_> {
    /// Writes all shapes, frames around what is in them.
    fn nested(
        &self,
        out: &mut String,
        begin: &dyn Fn(&Shape<'_>) -> String,
        leaf: &dyn Fn(&Shape<'_>) -> String,
        end: &str,
    ) {
        let mut open: Vec<u32> = Vec::new();
        for shape in &self.shapes {
            let depth = shape.entry.depth;
            while open.last().is_some_and(|outer| *outer >= depth) {
                open.pop();
                let _ = writeln!(out, "{}{end}", indent(open.len()));
            }
            let line = if shape.frame { begin(shape) } else { leaf(shape) };
            let _ = writeln!(out, "{}{line}", indent(open.len()));
            if shape.frame {
                open.push(depth);
            }
        }
        while open.pop().is_some() {
            let _ = writeln!(out, "{}{end}", indent(open.len()));
        }
    }

    /// The first box inside each frame.
    fn first_boxes(&self) -> BTreeMap<NodeIndex, NodeIndex> {
        let mut firsts = BTreeMap::new();
        // Children stand behind their parents: what is inside is known before what is around.
        for Shape { entry, .. } in self.shapes.iter().rev() {
            let own = firsts.get(&entry.node).copied().unwrap_or(entry.node);
            if let Some(parent) = entry.parent {
                firsts.insert(parent, own);
            }
        }
        firsts
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth + 1)
}

/// A text between quotes in Mermaid, which knows entities with a `#`.
fn mermaid(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '`' => out.push_str("#96;"),
            '&' => out.push_str("#amp;"),
            c => out.push(c),
        }
    }
    out
}

/// A text between quotes in DOT.
fn dot(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn style(entry: &Entry) -> &'static str {
    match entry.change {
        Some(Change::Would) => ", color=orange",
        Some(Change::Unknown) => ", style=dashed",
        Some(Change::Skipped) => ", color=gray, fontcolor=gray",
        Some(Change::WouldNot | Change::Never) | None => "",
    }
}
