//! Binds calls to actions and checks their arguments.

use super::call::Call;
use super::foreign;
use super::keys::STEP;
use super::library::Library;
use super::names::{Names, Use, View};
use super::report::Report;
use super::request::{Catalog, adapter_of};
use super::step::{Body, form_names};
use super::suggest::did_you_mean;
use super::yaml::{Entry, Kind, Yaml, to_map};
use crate::template::is_template;
use caxplan_model::{ActionCall, ActionSpec, Span, Value};
use jsonschema::JsonType;
use jsonschema::Validator;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use std::collections::BTreeMap;

/// The actions of all adapters.
pub(super) struct Actions<'a> {
    catalog: &'a dyn Catalog,
    /// Compiled when first used; `None` if an adapter's own schema is broken.
    validators: BTreeMap<String, Option<Validator>>,
}

impl<'a> Actions<'a> {
    pub(super) fn new(catalog: &'a dyn Catalog) -> Self {
        Self {
            catalog,
            validators: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a ActionSpec> {
        self.catalog.action(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let specs = self.catalog.actions().into_iter();
        specs.map(|spec| spec.name.as_str())
    }

    fn validator(&mut self, spec: &ActionSpec) -> Option<&Validator> {
        self.validators
            .entry(spec.name.clone())
            .or_insert_with(|| compile(&spec.arguments))
            .as_ref()
    }
}

/// Compiles a schema. Draft 7 where that says the same: its first use costs half a millisecond, and that of 2020-12
/// costs fifteen, more than a small plan takes to run.
fn compile(schema: &Value) -> Option<Validator> {
    let text = schema.to_string();
    let is_newer = ["\"unevaluated", "\"prefixItems", "\"dependent", "\"$dynamic"]
        .iter()
        .any(|keyword| text.contains(keyword));
    if is_newer {
        jsonschema::validator_for(schema).ok()
    } else {
        jsonschema::draft7::new(schema).ok()
    }
}

/// Reports a name that is no action and that no library binds.
/// `why` says why the name is there, if the file does not hold it.
pub(super) fn unbound(
    call: &Call,
    why: Option<&str>,
    actions: &Actions<'_>,
    library: &Library,
    report: &mut Report,
) {
    let name = &call.action.value;
    let message = if name.contains('.') {
        format!("there is no action `{name}`")
    } else {
        format!("nothing says what `{name}` does")
    };
    let code = if name.contains('.') {
        "unknown-action"
    } else {
        "unbound-name"
    };
    let adapter = adapter_of(name);
    let known = actions.names().chain(library.names()).chain(form_names());
    // A form of a step that stands there as if it were a name.
    let form = form_names()
        .find(|form| form == name)
        .and_then(|form| STEP.keys.iter().find(|key| key.name == form))
        .and_then(|key| STEP.example(key.name).or_else(|| key.shape.example()))
        .map(|example| format!("`{name}` needs a value: `{name}: {example}`"));
    let of_other_tool = || foreign::action(name).map(str::to_owned);
    let help = form
        .or_else(of_other_tool)
        .or_else(|| did_you_mean(name, known))
        .unwrap_or_else(|| {
            if !name.contains('.') {
                return match library.actions.is_empty() {
                    true => {
                        "bind it in an action library, and name that in `use` or give it with `--use LIBRARY`"
                            .to_owned()
                    }
                    false => format!(
                        "none of the libraries in use binds it; they bind {}",
                        list(library.names())
                    ),
                };
            }
            let of_adapter = actions.catalog.actions_of(adapter);
            if of_adapter.is_empty() {
                format!(
                    "there is no adapter `{adapter}`; there is {}",
                    actions.catalog.adapters().join(", ")
                )
            } else {
                let names = of_adapter.iter().map(|spec| spec.name.as_str());
                format!("the actions of `{adapter}` are {}", list(names))
            }
        });
    report.error(code, call.action.span, message).help = Some(match why {
        Some(why) => format!("{why}: {help}"),
        None => help,
    });
}

pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0..=15 => names.join(", "),
        more => format!("{}, and {} more", names[..12].join(", "), more - 12),
    }
}

/// Follows a call through libraries to an adapter's action. `None` if there is none, which has been reported then.
pub(super) fn resolve(
    call: &Call,
    actions: &Actions<'_>,
    library: &Library,
    report: &mut Report,
) -> Option<Call> {
    let mut call = call.clone();
    let mut seen = vec![call.action.value.to_string()];
    while actions.get(&call.action.value).is_none() {
        let Some((step, _)) = library.actions.get(call.action.value.as_str()) else {
            unbound(&call, None, actions, library, report);
            return None;
        };
        let Body::Call(base) = &step.body else {
            let message = format!(
                "`{}` is a group of steps, and one action is wanted here",
                call.action.value
            );
            report.error("no-action", call.action.span, message);
            return None;
        };
        call = Call {
            action: base.action.clone(),
            with: merge(call.with, &base.with),
            done_when: call.done_when.or_else(|| base.done_when.clone()),
        };
        if seen.iter().any(|name| *name == call.action.value) {
            report_cycle(&seen, &call.action.value, call.action.span, report);
            return None;
        }
        seen.push(call.action.value.to_string());
    }
    Some(call)
}

/// Reports that names are bound to each other in a circle.
pub(super) fn report_cycle(seen: &[String], again: &str, span: Span, report: &mut Report) {
    let from = seen.iter().position(|name| name == again).unwrap_or(0);
    let path: Vec<&str> = seen[from..].iter().map(String::as_str).chain([again]).collect();
    let message = format!("`{again}` is made of itself: {}", path.join(" → "));
    report.error("cycle", span, message);
}

/// `over`, and what only `base` has.
pub(super) fn merge(mut over: Vec<Entry>, base: &[Entry]) -> Vec<Entry> {
    for entry in base {
        if over.iter().all(|of| of.key.value != entry.key.value) {
            over.push(entry.clone());
        }
    }
    over
}

/// Gives a call the arguments that libraries and plan have for all actions of its adapter, and checks them all.
pub(super) fn bind(
    call: &Call,
    defaults: &[(String, Vec<Entry>)],
    view: &View,
    actions: &mut Actions<'_>,
    names: &mut Names,
    report: &mut Report,
) -> Option<ActionCall> {
    let spec = actions.get(&call.action.value)?;
    let adapter = adapter_of(&spec.name);
    let mut with = call.with.clone();
    // Later ones go before earlier ones.
    for (of, arguments) in defaults.iter().rev() {
        if of == adapter {
            let known: Vec<Entry> = arguments
                .iter()
                .filter(|entry| knows(spec, &entry.key.value))
                .cloned()
                .collect();
            with = merge(with, &known);
        }
    }
    for entry in &with {
        let use_ = if spec.public_arguments.iter().any(|name| *name == entry.key.value) {
            Use::PublicArgument
        } else {
            Use::Argument
        };
        names.check_value(&entry.value, use_, view, report);
    }
    check_arguments(spec, call.action.span, &with, actions, report);
    Some(ActionCall {
        action: spec.name.as_str().into(),
        with: to_map(&with).into(),
    })
}

fn properties(spec: &ActionSpec) -> Option<&caxplan_model::Map> {
    spec.arguments.get("properties")?.as_object()
}

fn knows(spec: &ActionSpec, argument: &str) -> bool {
    properties(spec).is_some_and(|properties| properties.contains_key(argument))
}

/// The arguments that an action must have, and has not here.
fn missing<'a>(spec: &'a ActionSpec, with: &[Entry]) -> Vec<&'a str> {
    let required = spec.arguments.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    names
        .filter(|name| with.iter().all(|entry| entry.key.value.as_str() != *name))
        .collect()
}

fn check_arguments(
    spec: &ActionSpec,
    place: Span,
    with: &[Entry],
    actions: &mut Actions<'_>,
    report: &mut Report,
) {
    let Some(validator) = actions.validator(spec) else {
        return;
    };
    let instance = Value::Object(to_map(with));
    let has_template = with.iter().any(|entry| holds_template(&entry.value));
    for error in validator.iter_errors(&instance) {
        let pointer = error.instance_path().as_str();
        let path: Vec<&str> = pointer.split('/').skip(1).collect();
        let at = find(with, &path);
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                for name in unexpected {
                    let span = key_of(with, &path, name).unwrap_or(place);
                    let known = properties(spec).filter(|_| path.is_empty());
                    let known: Vec<&str> =
                        known.map_or_else(Vec::new, |map| map.keys().map(String::as_str).collect());
                    let help = if path.is_empty() && name != "name" && STEP.has(name) {
                        Some(format!(
                            "`{name}` is a key of the step: write it beside the action, not in its arguments"
                        ))
                    } else {
                        did_you_mean(name, known.iter().copied()).or_else(|| {
                            if let [missing] = missing(spec, with).as_slice() {
                                return Some(format!("is `{missing}` meant, which is missing?"));
                            }
                            (!known.is_empty())
                                .then(|| format!("the arguments of `{}` are {}", spec.name, known.join(", ")))
                        })
                    };
                    let message = format!("`{}` has no argument `{name}`", spec.name);
                    report.error("unknown-argument", span, message).help = help;
                }
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let (span, message) = match at {
                    Some(yaml) => (yaml.head(), format!("`{name}` is missing here")),
                    None => (place, format!("`{}` needs the argument `{name}`", spec.name)),
                };
                report.error("missing-argument", span, message).help =
                    describe(spec, name).filter(|_| path.is_empty());
            }
            // A template may become anything: its adapter checks it when the step runs.
            _ if at.map_or(has_template, holds_template) => {}
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. }
                if path.is_empty() && !alternatives(spec).is_empty() =>
            {
                let message = format!("`{}` needs one of {}", spec.name, alternatives(spec).join(", "));
                report.error("missing-argument", place, message);
            }
            ValidationErrorKind::OneOfMultipleValid { .. }
                if path.is_empty() && !alternatives(spec).is_empty() =>
            {
                let message = format!(
                    "`{}` takes only one of {}",
                    spec.name,
                    alternatives(spec).join(", ")
                );
                report.error("wrong-argument", place, message);
            }
            _ => {
                let span = at.map_or(place, Yaml::head);
                let message = match path.as_slice() {
                    [] => format!("arguments of `{}`: {error}", spec.name),
                    _ => format!("argument `{}` of `{}`: {error}", path.join("."), spec.name),
                };
                let meaning = path.first().and_then(|name| describe(spec, name));
                let form =
                    at.and_then(|yaml| quoted(yaml, error.kind()).or_else(|| listed(yaml, error.kind())));
                report.error("wrong-argument", span, message).help = match (form, meaning) {
                    (Some(form), Some(meaning)) => Some(format!("{form}; {meaning}")),
                    (form, meaning) => form.or(meaning),
                };
            }
        }
    }
}

/// Whether a value of this type was wanted.
fn wants(kind: &ValidationErrorKind, wanted: JsonType) -> bool {
    match kind {
        ValidationErrorKind::Type {
            kind: TypeKind::Single(one),
        } => *one == wanted,
        ValidationErrorKind::Type {
            kind: TypeKind::Multiple(several),
        } => several.contains(wanted),
        _ => false,
    }
}

/// What to say of a text where a list is wanted: `systemctl restart web` as `[systemctl, restart, web]`.
fn listed(yaml: &Yaml, kind: &ValidationErrorKind) -> Option<String> {
    let Kind::Scalar { text, .. } = &yaml.kind else {
        return None;
    };
    let plain = !text.contains(['"', '\'', '\\', '$', ',', '[', '{', '#', ':', '\n']);
    let words: Vec<&str> = text.split_whitespace().collect();
    (wants(kind, JsonType::Array) && plain && !words.is_empty())
        .then(|| format!("write a list: `[{}]`", words.join(", ")))
}

/// What to say of a number or `true` where a text is wanted.
fn quoted(yaml: &Yaml, kind: &ValidationErrorKind) -> Option<String> {
    let Kind::Scalar { text, .. } = &yaml.kind else {
        return None;
    };
    let is_other = matches!(yaml.to_value(), Value::Number(_) | Value::Bool(_));
    (wants(kind, JsonType::String) && is_other)
        .then(|| format!("a text of digits stands in quotes: `\"{text}\"`"))
}

/// The arguments of which a schema wants one, if it says so by `oneOf` or `anyOf` with `required`.
fn alternatives(spec: &ActionSpec) -> Vec<String> {
    let branches = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| spec.arguments.get(key)?.as_array());
    let Some(branches) = branches else {
        return Vec::new();
    };
    branches
        .iter()
        .filter_map(|branch| {
            let required: Vec<&str> = branch["required"]
                .as_array()?
                .iter()
                .filter_map(Value::as_str)
                .collect();
            Some(format!("`{}`", required.join("` with `")))
        })
        .collect()
}

/// What the schema says about an argument.
fn describe(spec: &ActionSpec, name: &str) -> Option<String> {
    let text = properties(spec)?.get(name)?.get("description")?.as_str()?;
    Some(format!("`{name}`: {text}"))
}

fn holds_template(yaml: &Yaml) -> bool {
    match &yaml.kind {
        Kind::Scalar { text, .. } => is_template(text),
        Kind::List(items) => items.iter().any(holds_template),
        Kind::Map(entries) => entries.iter().any(|entry| holds_template(&entry.value)),
    }
}

/// The value at a path of keys and indices; `None` for the arguments themselves.
fn find<'y>(with: &'y [Entry], path: &[&str]) -> Option<&'y Yaml> {
    let (first, rest) = path.split_first()?;
    let mut at = &with.iter().find(|entry| entry.key.value == *first)?.value;
    for segment in rest {
        at = match &at.kind {
            Kind::List(items) => items.get(segment.parse::<usize>().ok()?)?,
            Kind::Map(entries) => &entries.iter().find(|entry| entry.key.value == *segment)?.value,
            Kind::Scalar { .. } => return None,
        };
    }
    Some(at)
}

fn key_of(with: &[Entry], path: &[&str], name: &str) -> Option<Span> {
    let entries = match find(with, path) {
        None => with,
        Some(yaml) => match &yaml.kind {
            Kind::Map(entries) => entries,
            Kind::List(_) | Kind::Scalar { .. } => return None,
        },
    };
    entries
        .iter()
        .find(|entry| entry.key.value == name)
        .map(|entry| entry.key.span)
}
