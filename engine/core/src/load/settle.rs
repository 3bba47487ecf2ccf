//! Evaluates at load time what depends on parameters, variables and targets alone.

use super::report::Report;
use super::yaml::{Spanned, Yaml};
use crate::template::{Scope, is_template, references, resolve};
use caxplan_model::{Duration, Map, ShortText, Target, Value, Wording};
use std::collections::BTreeSet;

/// Evaluates texts with what is known when a plan loads.
pub(super) struct Settler {
    /// `params` without the secret ones, `vars` and `targets`.
    scope: Scope,
    /// Whether all of it could be settled; if not, errors have been reported, and more would only repeat them.
    sound: bool,
    /// Parameters and variables that only the run knows: `params.count`.
    late: BTreeSet<String>,
}

impl Settler {
    pub(super) fn new(params: Map, targets: &[Target], sound: bool) -> Self {
        let mut root = Map::new();
        root.insert("params".to_owned(), Value::Object(params));
        root.insert("vars".to_owned(), Value::Object(Map::new()));
        // Targets are plain data.
        let targets = serde_json::to_value(targets).expect("targets are plain data");
        root.insert("targets".to_owned(), targets);
        Self {
            scope: Scope {
                root: Value::Object(root),
            },
            sound,
            late: BTreeSet::new(),
        }
    }

    /// Makes these parameters (`params.count`) ones that only the run knows.
    pub(super) fn without(self, late: BTreeSet<String>) -> Self {
        Self { late, ..self }
    }

    /// The targets.
    pub(super) fn targets(&self) -> Vec<Target> {
        let targets = self.scope.root.get("targets").cloned().unwrap_or_default();
        serde_json::from_value(targets).unwrap_or_default()
    }

    /// Makes a variable one that only the run knows.
    pub(super) fn set_late_var(&mut self, name: &str) {
        self.late.insert(format!("vars.{name}"));
    }

    /// Whether a value depends on what only the run knows of parameters and variables.
    pub(super) fn is_late(&self, value: &Value) -> bool {
        match value {
            Value::String(text) if is_template(text) => {
                let paths = references(text).unwrap_or_default();
                paths.iter().any(|path| self.is_late_path(path))
            }
            Value::Array(items) => items.iter().any(|item| self.is_late(item)),
            Value::Object(fields) => fields.values().any(|field| self.is_late(field)),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn is_late_path(&self, path: &str) -> bool {
        let mut segments = path.split('.');
        let root = segments.next().unwrap_or_default();
        let has = |name: &str| self.late.contains(&format!("{root}.{name}"));
        match segments.next() {
            Some(name) => has(name),
            None => self.late.iter().any(|late| late.split('.').next() == Some(root)),
        }
    }

    /// Makes a variable known.
    pub(super) fn set_var(&mut self, name: &str, value: &Value) {
        self.late.remove(&format!("vars.{name}"));
        if let Some(Value::Object(vars)) = self.scope.root.get_mut("vars") {
            vars.insert(name.to_owned(), value.clone());
        }
    }

    /// Whether a text depends on nothing but what is known now, and on `bindings`.
    fn can_evaluate(&self, text: &str, bindings: &Map) -> bool {
        self.sound
            && is_template(text)
            && references(text).is_ok_and(|paths| {
                paths.iter().all(|path| {
                    let root = path.split('.').next().unwrap_or_default();
                    if self.is_late_path(path) && !bindings.contains_key(root) {
                        return false;
                    }
                    ["params", "vars", "targets"].contains(&root) || bindings.contains_key(root)
                })
            })
    }

    /// Evaluates a text if that is possible now; `None` if it must wait for the run.
    pub(super) fn value(&self, text: &str, bindings: &Map) -> Option<Result<Value, String>> {
        if !self.can_evaluate(text, bindings) {
            return None;
        }
        if bindings.is_empty() {
            return Some(resolve(text, &self.scope));
        }
        let mut scope = self.scope.clone();
        if let Value::Object(root) = &mut scope.root {
            root.extend(bindings.clone());
        }
        Some(resolve(text, &scope))
    }

    /// A value whose templates must be known now.
    pub(super) fn plain(&self, value: Value) -> Result<Value, String> {
        let mut map = Map::new();
        map.insert("value".to_owned(), value);
        let mut map = crate::template::resolve_map(&map, &self.scope)?;
        Ok(map.remove("value").unwrap_or_default())
    }

    /// A text: evaluated if possible, else as it is.
    pub(super) fn text(&self, text: &Spanned<ShortText>, report: &mut Report) -> String {
        match self.value(&text.value, &Map::new()) {
            None => text.value.to_string(),
            Some(Ok(Value::String(value))) => value,
            Some(Ok(value)) => value.to_string(),
            Some(Err(message)) => {
                report.error("template-value", text.span, message);
                text.value.to_string()
            }
        }
    }

    /// A text for a person: evaluated if possible, else a template for the run. What it was evaluated to is no template, whatever
    /// it looks like.
    pub(super) fn wording(&self, text: &Spanned<ShortText>, report: &mut Report) -> Wording {
        let settled = self.text(text, report);
        match is_template(&settled) && settled == text.value.as_str() {
            true => Wording::Late { template: settled },
            false => Wording::Known(settled),
        }
    }

    /// A duration: evaluated and checked if possible, else as it is. What it was evaluated to is no template, whatever it looks
    /// like.
    pub(super) fn duration(&self, text: &Spanned<ShortText>, report: &mut Report) -> String {
        let settled = self.text(text, report);
        let waits = is_template(&settled) && settled == text.value.as_str();
        if !waits && let Err(error) = settled.parse::<Duration>() {
            report.error(
                "template-value",
                text.span,
                format!("expected a duration: {error}"),
            );
        }
        settled
    }

    /// The values of a list, with what can be evaluated in them evaluated.
    pub(super) fn list(&self, yaml: &Yaml, report: &mut Report) -> Vec<Value> {
        match self.deep(yaml.to_value(), yaml, report) {
            Value::Array(items) => items,
            _ => Vec::new(),
        }
    }

    /// Whether a template in a value, sound in itself, can only be evaluated by the run.
    pub(super) fn waits_for_run(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => {
                let is_sound = self.sound && is_template(text) && references(text).is_ok();
                is_sound && !self.can_evaluate(text, &Map::new())
            }
            Value::Array(items) => items.iter().any(|item| self.waits_for_run(item)),
            Value::Object(map) => map.values().any(|item| self.waits_for_run(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// A value, with every text in it evaluated that can be.
    pub(super) fn deep(&self, value: Value, place: &Yaml, report: &mut Report) -> Value {
        match value {
            Value::String(text) => match self.value(&text, &Map::new()) {
                None => Value::String(text),
                Some(Ok(value)) => value,
                Some(Err(message)) => {
                    report.error("template-value", place.head(), message);
                    Value::String(text)
                }
            },
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.deep(item, place, report))
                .collect(),
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .map(|(key, item)| (key, self.deep(item, place, report)))
                    .collect(),
            ),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }
}
