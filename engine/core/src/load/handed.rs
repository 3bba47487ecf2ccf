//! What a plan hands over to one that it runs: values that are known when it loads, expressions that the run evaluates
//! when the other plan begins, and secrets, which each of its steps has anew.

use super::lower::{Lowering, Place};
use super::names::Use;
use super::param::{self, Param};
use super::plan::Plan;
use super::step::RunSpec;
use super::suggest::did_you_mean;
use super::yaml::{Entry, Kind, Yaml};
use crate::expand::late_vars;
use crate::template::{Scope, as_expression, holds_template, is_template, references, resolve_map};
use caxplan_model::{Graph, HandedSecret, Map, NodeIndex, NodeKind, Value};
use std::collections::BTreeMap;

/// The values of a child plan's parameters.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Those that are known; `null` for secrets.
    pub(super) known: Map,
    /// Those that must wait, as expressions.
    pub(super) late: BTreeMap<String, String>,
    /// Those that are in no record, as templates.
    pub(super) secrets: BTreeMap<String, HandedSecret>,
}

impl Given {
    /// All parameters as a template for a list of one item.
    pub(super) fn late_items(&self) -> Result<String, String> {
        // JSON is an expression, and what its texts hold is no template.
        let known = self.known.iter().map(|(name, value)| (name, literal(value)));
        let late = self.late.iter().map(|(name, value)| (name, value.clone()));
        let fields: Vec<String> = known
            .chain(late)
            .map(|(name, value)| format!("\"{name}\": {value}"))
            .collect();
        let items = format!("{{{{ [{{{}}}] }}}}", fields.join(", "));
        match references(&items) {
            Ok(_) => Ok(items),
            Err(error) => Err(format!("the parameters make no expression: {}", error.message)),
        }
    }
}

impl Lowering<'_, '_> {
    /// Checks what the texts of the values speak of: secrets only where the other plan wants one.
    pub(super) fn check_handed(&mut self, run: &RunSpec, plan: Option<&Plan>, place: &Place) {
        for entry in &run.params {
            let of = |plan: &Plan| {
                let mut params = plan.params.iter();
                params.any(|param| param.secret && param.name.value == entry.key.value)
            };
            let use_ = match plan.is_none_or(of) {
                true => Use::Argument,
                false => Use::Run,
            };
            let errors = self.report.errors();
            self.names
                .check_value(&entry.value, use_, &place.view, self.report);
            let speaks = speaks_of_secrets(&entry.value, &self.names.params);
            if self.report.errors() > errors && use_ == Use::Run && speaks {
                self.report.help(format!(
                    "only a parameter that the other plan declares as secret takes one: `{}: {{secret: true}}`",
                    entry.key.value
                ));
            }
        }
    }

    /// Settles the parameters of a child plan: given, else its own inventory's, else the default.
    pub(super) fn given(&mut self, run: &RunSpec, plan: &Plan, inventory: &[Entry]) -> Given {
        let known = || plan.params.iter().map(|param| param.name.value.as_str());
        for entry in &run.params {
            if known().all(|of| of != entry.key.value) {
                let message = format!("`{}` has no parameter `{}`", run.plan.value, entry.key.value);
                self.report.error("unknown-param", entry.key.span, message).help =
                    did_you_mean(&entry.key.value, known()).or_else(|| {
                        let all: Vec<&str> = known().collect();
                        Some(match all.is_empty() {
                            true => "it has none".to_owned(),
                            false => format!("it has {}", all.join(", ")),
                        })
                    });
            }
        }
        let mut given = Given::default();
        for param in &plan.params {
            let name = &param.name.value;
            match run.params.iter().find(|entry| entry.key.value == *name) {
                Some(entry) if param.secret => self.hand_secret(param, entry, &mut given),
                Some(entry) => self.hand(run, param, entry, &mut given),
                None => self.hand_nothing(run, param, inventory, &mut given),
            }
        }
        given
    }

    /// A parameter that the step does not name.
    fn hand_nothing(&mut self, run: &RunSpec, param: &Param, inventory: &[Entry], given: &mut Given) {
        let name = &param.name.value;
        let own = inventory.iter().find(|entry| entry.key.value == *name);
        let value = match own {
            Some(entry) => Some(
                param
                    .convert(&param::value_of(&entry.value))
                    .map_err(|error| (error, entry)),
            ),
            None => param.default_value().map(Ok),
        };
        let value = match value {
            Some(Ok(value)) => value,
            Some(Err((message, entry))) => {
                let message = format!("parameter `{name}`: {message}");
                self.report.error("wrong-param", entry.value.head(), message);
                return;
            }
            None => Value::Null,
        };
        if own.is_none() && param.is_required() {
            let (what, help) = match param.secret {
                true => (
                    "secret parameter",
                    format!("hand a secret over: `params: {{{name}: \"{{{{ secrets.NAME }}}}\"}}`"),
                ),
                false => ("parameter", format!("give it one: `params: {{{name}: …}}`")),
            };
            let message = format!("the {what} `{name}` of `{}` has no value", run.plan.value);
            self.report.error("missing-param", run.plan.span, message).help = Some(help);
        }
        if param.secret && !value.is_null() {
            let message = format!("`{name}` is secret, and its value would stand in the run's records");
            self.report.error("secret-here", param.name.span, message).help =
                Some("let the plan fetch it: name it in its `secrets`".to_owned());
            return;
        }
        given.known.insert(name.to_string(), value);
    }

    /// A secret: each step of the other plan that wants it has it from where this plan has it.
    fn hand_secret(&mut self, param: &Param, entry: &Entry, given: &mut Given) {
        let name = &param.name.value;
        given.known.insert(name.to_string(), Value::Null);
        let roots = roots_in(&entry.value);
        if let Some(root) = roots
            .iter()
            .find(|root| ["steps", "run"].contains(&root.as_str()))
        {
            let message =
                format!("a secret cannot come from `{root}`: what that holds is in the run's records");
            self.report.error("secret-here", entry.value.head(), message).help =
                Some("name a secret of this plan: `{{ secrets.NAME }}`".to_owned());
        } else if !speaks_of_secrets(&entry.value, &self.names.params) {
            let message =
                format!("`{name}` is secret, and this value is none: it would stand in the run's records");
            self.report.error("secret-here", entry.value.head(), message).help =
                Some("hand over a secret of this plan: `{{ secrets.NAME }}`".to_owned());
        }
        let mut rule = param.rule();
        rule["secret"] = Value::Bool(true);
        let value = param::value_of(&entry.value);
        given
            .secrets
            .insert(name.to_string(), HandedSecret { value, rule });
    }

    /// A value.
    fn hand(&mut self, run: &RunSpec, param: &Param, entry: &Entry, given: &mut Given) {
        let name = &param.name.value;
        let errors = self.report.errors();
        let written = self.written(&entry.value);
        if self.report.errors() != errors {
            return;
        }
        if holds_template(&written) {
            match expression(&written) {
                Some(expression) => {
                    given.late.insert(name.to_string(), expression);
                }
                None => {
                    let message = "what the run must evaluate is one expression here";
                    self.report.error("wrong-value", entry.value.head(), message).help =
                        Some("write it without `{% … %}` and `{# … #}`".to_owned());
                }
            }
            return;
        }
        match param.convert(&written) {
            Ok(value) => {
                given.known.insert(name.to_string(), value);
            }
            Err(message) => {
                let message = format!("parameter `{name}` of `{}`: {message}", run.plan.value);
                self.report.error("wrong-param", entry.value.head(), message);
            }
        }
    }

    /// A value with all of it evaluated, if that can be done now; else as it is written. Data that looks like a template is left
    /// to the run too, which never reads a value as one.
    fn written(&mut self, yaml: &Yaml) -> Value {
        let value = param::value_of(yaml);
        let settled = self.settler.deep(value.clone(), yaml, self.report);
        if holds_template(&settled) { value } else { settled }
    }
}

/// Checks the values of a child plan's parameters, which only the run knew, as the plan declares them, and that its
/// variables can be had with them. What other loops run over is left as it is.
///
/// # Errors
/// Which of them is wrong, and why.
pub fn checked_params(graph: &Graph, node: NodeIndex, items: Vec<Value>) -> Result<Vec<Value>, String> {
    let NodeKind::Foreach(foreach) = &graph.node(node).kind else {
        return Ok(items);
    };
    if foreach.params.is_empty() {
        return Ok(items);
    }
    let checked = |item: Value| {
        let Value::Object(mut values) = item else {
            return Err("the parameters are no mapping".to_owned());
        };
        for (name, rule) in &foreach.params {
            let value = values.get(name).cloned().unwrap_or_default();
            let value = param::check(name, rule, &value);
            let value = value.map_err(|message| format!("parameter `{name}`: {message}"))?;
            values.insert(name.clone(), value);
        }
        let params = Value::Object(values);
        late_vars(foreach, &params, graph, node).1?;
        Ok(params)
    };
    items.into_iter().map(checked).collect()
}

/// The secrets that the plan around a node's plan has handed over to it, by parameter. `seen` is what the plan that is
/// run itself sees.
///
/// # Errors
/// Which of them cannot be had, and why.
pub fn handed_secrets(graph: &Graph, node: NodeIndex, seen: &Map) -> Result<Map, String> {
    let around = graph.run_around(graph.standpoint(node));
    let child = around.and_then(|step| Some((step, graph.node(step).child.as_ref()?)));
    let Some((step, child)) = child.filter(|(_, child)| !child.secrets.is_empty()) else {
        return Ok(Map::new());
    };
    let mut root = seen.clone();
    root.extend(graph.bindings(step));
    hand_over(&mut root, handed_secrets(graph, step, seen)?);
    let scope = Scope {
        root: Value::Object(root),
    };
    let written = child.secrets.iter();
    let written: Map = written
        .map(|(name, secret)| (name.clone(), secret.value.clone()))
        .collect();
    resolve_map(&written, &scope)
}

/// As [`handed_secrets`], as the parameters of the node's plan are declared.
///
/// # Errors
/// Which of them is wrong, and why; the value of a secret is not in it.
pub fn checked_secrets(graph: &Graph, node: NodeIndex, seen: &Map) -> Result<Map, String> {
    let mut secrets = handed_secrets(graph, node, seen)?;
    let around = graph.run_around(graph.standpoint(node));
    let child = around.and_then(|step| graph.node(step).child.as_ref());
    for (name, value) in &mut secrets {
        if let Some(secret) = child.and_then(|child| child.secrets.get(name)) {
            let checked = param::check(name, &secret.rule, value);
            *value = checked.map_err(|message| format!("parameter `{name}`: {message}"))?;
        }
    }
    Ok(secrets)
}

/// Adds secrets to the parameters that a scope has.
pub fn hand_over(root: &mut Map, secrets: Map) {
    if let Some(Value::Object(params)) = root.get_mut("params") {
        params.extend(secrets);
    }
}

/// A value as an expression that yields it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(items) => list(items.iter().map(literal)),
        Value::Object(fields) => mapping(fields.iter().map(|(name, value)| (name, literal(value)))),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn mapping<'a>(fields: impl Iterator<Item = (&'a String, String)>) -> String {
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("{}: {value}", Value::from(name.as_str())))
        .collect();
    // A space, for two braces would end the template.
    format!("{{{} }}", fields.join(", "))
}

/// A value as an expression of templates; `None` if a text in it is none.
fn expression(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) if is_template(text) => format!("({})", as_expression(text)?),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(expression).collect();
            list(items?.into_iter())
        }
        Value::Object(fields) => {
            let fields: Option<Vec<_>> = fields
                .iter()
                .map(|(name, value)| Some((name, expression(value)?)))
                .collect();
            mapping(fields?.into_iter())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => literal(value),
    })
}

/// The paths that the texts of a value read.
fn paths_in(yaml: &Yaml) -> Vec<String> {
    match &yaml.kind {
        Kind::Scalar { text, .. } => references(text).unwrap_or_default(),
        Kind::List(items) => items.iter().flat_map(paths_in).collect(),
        Kind::Map(entries) => entries.iter().flat_map(|entry| paths_in(&entry.value)).collect(),
    }
}

fn roots_in(yaml: &Yaml) -> Vec<String> {
    let root = |path: &String| path.split('.').next().unwrap_or_default().to_owned();
    paths_in(yaml).iter().map(root).collect()
}

/// Whether a value is made of a secret of the plan, whose parameters these are, and whether each is secret.
fn speaks_of_secrets(yaml: &Yaml, params: &BTreeMap<String, bool>) -> bool {
    paths_in(yaml).iter().any(|path| {
        let mut segments = path.split('.');
        match segments.next() {
            Some("secrets") => true,
            Some("params") => segments
                .next()
                .is_some_and(|name| params.get(name) == Some(&true)),
            Some(_) | None => false,
        }
    })
}
