//! Action libraries: what bare names mean.

use super::keys::{LIBRARY, LOOP};
use super::loops::LoopOptions;
use super::plan::{Defaults, check_language};
use super::read::{Fields, mapping, texts};
use super::report::Report;
use super::step::{self, Step};
use super::yaml::{Entry, Spanned, Yaml};
use caxplan_model::ShortText;
use std::collections::BTreeMap;

/// The entry of a library that holds what the plan's `foreach_node` does not say.
const FOREACH_NODE: &str = "foreach_node";

/// All libraries that a plan uses, as one.
#[derive(Debug, Default)]
pub(super) struct Library {
    /// What each name means, and which of `defaults` belongs to it.
    pub(super) actions: BTreeMap<String, (Step, usize)>,
    /// What the libraries say that their own actions get, in the order of their use.
    pub(super) defaults: Vec<Defaults>,
    pub(super) foreach_node: LoopOptions,
    /// Variables, in the order in which later ones replace earlier ones.
    pub(super) vars: Vec<Entry>,
}

impl Library {
    /// Reads a library file into this one, over what is there. Answers the libraries that it uses itself.
    pub(super) fn add(&mut self, yaml: &Yaml, report: &mut Report) {
        let Some(fields) = Fields::open(yaml, &LIBRARY, report) else {
            return;
        };
        check_language(&fields, report);
        fields.text("name", report);
        fields.text("description", report);
        if let Some(vars) = fields.get("vars") {
            let vars = mapping(vars, "variables by name", report).unwrap_or_default();
            self.vars.extend_from_slice(vars);
        }
        let defaults = fields
            .get("defaults")
            .map_or_else(Defaults::default, |yaml| Defaults::read(yaml, report));
        self.defaults.push(defaults);
        let owner = self.defaults.len() - 1;
        let actions = fields
            .get("actions")
            .and_then(|yaml| mapping(yaml, "actions by name", report))
            .unwrap_or_default();
        for Entry { key, value } in actions {
            if key.value == FOREACH_NODE {
                if let Some(fields) = Fields::open(value, &LOOP, report) {
                    let over = std::mem::take(&mut self.foreach_node);
                    self.foreach_node = LoopOptions::read(&fields, report).over(over);
                }
                continue;
            }
            if key.value.contains('.') || key.value.contains('/') {
                let message = format!("`{}` is no bare name: it must hold no `.` and no `/`", key.value);
                report.error("wrong-name", key.span, message);
            }
            if let Some(step) = step::read(value, report) {
                self.actions.insert(key.value.to_string(), (step, owner));
            }
        }
    }

    /// The names that it binds.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.actions.keys().map(String::as_str)
    }
}

/// The libraries that a library file uses itself.
pub(super) fn uses(yaml: &Yaml, report: &mut Report) -> Vec<Spanned<ShortText>> {
    let Some(entries) = mapping(yaml, "an action library", report) else {
        return Vec::new();
    };
    let fields = Fields {
        entries,
        head: yaml.head(),
    };
    fields
        .get("use")
        .map_or_else(Vec::new, |yaml| texts(yaml, report))
}
