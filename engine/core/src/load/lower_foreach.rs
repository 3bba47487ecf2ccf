//! From loops as they are written to those of the graph. Their elements are made by [`crate::expand`].

use super::arena::Arena;
use super::loops::{Foreach, LoopOptions};
use super::lower::{Lowering, Place};
use super::names::Use;
use super::param::is_name;
use super::yaml::{Kind, Spanned, Yaml};
use crate::expand::{ANONYMOUS, batch_size};
use crate::template::is_template;
use caxplan_model::{Items, Map, Node, NodeIndex, NodeKind, ShortText, StepId};

impl Lowering<'_, '_> {
    pub(super) fn foreach(&mut self, foreach: &Foreach, place: &Place) -> NodeKind {
        let mut options = place.loops.clone().over(foreach.options.clone());
        if foreach.over_nodes {
            options = options.over(self.library.foreach_node.clone());
        }
        let default_var = if foreach.over_nodes { "node" } else { "item" };
        let var = match &options.var {
            Some(var) => {
                let reserved = [
                    "params", "vars", "steps", "targets", "target", "run", "env", "secrets", "output",
                    "before",
                ];
                if !is_name(&var.value) || reserved.contains(&var.value.as_str()) {
                    let message = format!("`{}` cannot be the variable of a loop", var.value);
                    self.report.error("wrong-name", var.span, message).help = Some(
                        "a name is letters, digits and `_`, and none that templates know already".to_owned(),
                    );
                }
                var.value.clone()
            }
            None => default_var.to_owned().into(),
        };
        let mut inner = Place {
            prefix: String::new(),
            in_loop: true,
            loops: LoopOptions::default(),
            ..place.clone()
        };
        // An anonymous loop leaves no trace in the paths of its steps.
        if let Some((parent, last)) = inner.path.rsplit_once('/')
            && ANONYMOUS.contains(&last)
        {
            inner.path = parent.to_owned();
        }
        inner.view.vars.push(var.to_string());
        inner.view.target = true;
        if let Some(when) = &options.when {
            self.names
                .check_condition(when, Use::Run, &inner.view, self.report);
        }
        let items = self.items(&options, place);
        inner.acts_on_target = foreach.over_nodes
            || place.acts_on_target
            || matches!(&items, Items::Template(template) if template.contains("targets("));
        let mut body = Arena::new(Node::new(
            StepId::new(""),
            None,
            NodeKind::Sequence { children: Vec::new() },
        ));
        let mark = self.names.ended.mark();
        let mut children = self.sequence(&mut body, NodeIndex::ROOT, &foreach.steps, &inner);
        self.check_after(&mut body, &mut children);
        self.names.ended.back_to(mark);
        body.at(NodeIndex::ROOT).kind = NodeKind::Sequence { children };
        let size = match &options.batch_size {
            Some(size) => self.loaded(size, place),
            None => "1".to_owned(),
        };
        if let Err(message) = batch_size(&size, 100)
            && let Some(written) = &options.batch_size
            && !is_template(&size)
        {
            self.report.error("wrong-value", written.span, message);
        }
        NodeKind::Foreach(Box::new(caxplan_model::Foreach {
            var: var.into(),
            items,
            batch_size: size,
            delay: options
                .batch_delay
                .as_ref()
                .map(|delay| self.duration(delay, place)),
            max_failures: options
                .max_failures
                .as_ref()
                .map_or(0, |text| self.loaded_count(text, place)),
            max_unavailable: options
                .max_unavailable
                .as_ref()
                .map(|text| self.loaded_count(text, place)),
            when: options.when.map(|when| when.value).map(String::from),
            body: body.into_nodes(),
            params: Map::new(),
            vars: Map::new(),
            late_vars: Vec::new(),
        }))
    }

    fn items(&mut self, options: &LoopOptions, place: &Place) -> Items {
        let Some(items) = &options.items else {
            return Items::Template("{{ targets() }}".to_owned());
        };
        self.names.check_value(items, Use::Run, &place.view, self.report);
        match &items.kind {
            Kind::List(list) => {
                let waits = |item: &&Yaml| self.settler.waits_for_run(&item.to_value());
                if let Some(late) = list.iter().find(waits) {
                    let message = "an item depends on the run: write the whole list as one template";
                    self.report.error("known-too-late", late.span, message);
                }
                Items::Known(self.settler.list(items, self.report))
            }
            Kind::Scalar { text, .. } if is_template(text) => Items::Template(text.to_string()),
            Kind::Scalar { .. } | Kind::Map(_) => {
                let message = format!(
                    "expected a list, or a template that yields one, found {}",
                    items.describe()
                );
                self.report.error("wrong-type", items.head(), message).help =
                    Some("targets are chosen by `{{ targets('label=value') }}`".to_owned());
                Items::Known(Vec::new())
            }
        }
    }

    /// A text that must be known when the plan loads.
    fn loaded(&mut self, text: &Spanned<ShortText>, place: &Place) -> String {
        self.names
            .check_text(&text.value, text.span, Use::Load, &place.view, self.report);
        self.settler.text(text, self.report)
    }

    fn loaded_count(&mut self, text: &Spanned<ShortText>, place: &Place) -> u32 {
        let settled = self.loaded(text, place);
        if let Ok(number) = settled.trim().parse() {
            return number;
        }
        if !is_template(&settled) {
            let message = format!("expected a whole number from 0, found `{settled}`");
            self.report.error("wrong-type", text.span, message);
        }
        0
    }
}
