//! Targets that an inventory does not name itself: what its sources answer.

use super::bind::{self, Actions};
use super::inventory::Inventory;
use super::library::Library;
use super::names::{Names, Use, View};
use super::report::Report;
use super::request::LoadRequest;
use super::settle::Settler;
use super::yaml::{self, Entry};
use crate::template::references;
use caxplan_model::{ActionCall, Map, Target, Value};
use std::collections::BTreeMap;

/// The most targets that sources may answer with: more is a mistake, or an attack on memory.
const TARGETS_MAX: usize = 100_000;

/// What is needed to ask.
pub(super) struct Asker<'a, 'b> {
    pub(super) request: &'a LoadRequest<'b>,
    pub(super) library: &'a Library,
    /// Arguments for all actions of an adapter.
    pub(super) arguments: &'a [(String, Vec<Entry>)],
    /// Parameters, and the variables that do not depend on targets.
    pub(super) names: Names,
    pub(super) settler: Settler,
}

impl Asker<'_, '_> {
    /// Makes those variables known that do not depend on targets. What is wrong with any is said when all are settled.
    pub(super) fn take_vars(&mut self, layers: [&Vec<Entry>; 3]) {
        for entry in layers.into_iter().flatten() {
            let mut aside = Report::default();
            let view = View::default();
            self.names.check_value(&entry.value, Use::Load, &view, &mut aside);
            let value = entry.value.to_value();
            if aside.has_errors() || speaks_of_targets(&value) {
                continue;
            }
            let value = self.settler.deep(value, &entry.value, &mut aside);
            if !aside.has_errors() {
                self.settler.set_var(&entry.key.value, &value);
                self.names.vars.insert(entry.key.value.to_string());
            }
        }
    }

    /// Asks every source, and makes groups and targets whole. Answers whether all targets are known now.
    pub(super) fn ask(&mut self, inventory: &mut Inventory, report: &mut Report) -> bool {
        let sources = std::mem::take(&mut inventory.sources);
        let mut actions = Actions::new(self.request.actions);
        for source in &sources {
            let span = source.action.span;
            let errors = report.errors();
            let call = bind::resolve(source, &actions, self.library, report).and_then(|call| {
                let view = View::default();
                bind::bind(
                    &call,
                    self.arguments,
                    &view,
                    &mut actions,
                    &mut self.names,
                    report,
                )
            });
            let Some(mut call) = call.filter(|_| report.errors() == errors) else {
                continue;
            };
            if let Some(spec) = actions.get(&call.action)
                && !spec.only_reads(&call.with)
            {
                let message = format!(
                    "a source must only read, and `{}` may change something",
                    call.action
                );
                let help = spec.changes_argument.as_ref();
                report.error("not-read-only", span, message).help =
                    help.map(|argument| format!("if this call only reads, say so: `{argument}: false`"));
                continue;
            }
            let Some(discover) = self.request.discover else {
                let message =
                    "the targets that this source knows are not looked up: nothing is contacted here";
                report.warning("not-asked", span, message);
                continue;
            };
            for (name, value) in call.with.iter_mut() {
                match self.settler.plain(std::mem::take(value)) {
                    Ok(settled) => *value = settled,
                    Err(message) => {
                        let message = format!("argument `{name}`: {message}");
                        report.error("template-value", span, message);
                    }
                }
            }
            if report.errors() > errors {
                continue;
            }
            match discover(&call).map_err(|error| error.message) {
                Err(message) => {
                    let message = format!("`{}` could not be asked for targets: {message}", call.action);
                    report.error("not-discovered", span, message);
                }
                Ok(output) => match targets_of(&call, &output) {
                    Ok(found) => inventory.add(found),
                    Err(message) => {
                        report.error("not-discovered", span, message).help = Some(SHAPES.to_owned());
                    }
                },
            }
        }
        let all_known = self.request.discover.is_some() || sources.is_empty();
        inventory.join_groups(all_known, report);
        all_known
    }
}

fn speaks_of_targets(value: &Value) -> bool {
    match value {
        Value::String(text) => references(text)
            .is_ok_and(|paths| paths.iter().any(|path| path.split('.').next() == Some("targets"))),
        Value::Array(items) => items.iter().any(speaks_of_targets),
        Value::Object(map) => map.values().any(speaks_of_targets),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What a source may answer.
const SHAPES: &str = "it answers with `{targets: {name: {groups, labels, vars}}}`, a list of names, Prometheus' HTTP service \
                      discovery, or an Ansible inventory as JSON";

/// The targets in an action's output: in its field `targets`, in the document that it read (`json`, `body`) or that a
/// program printed (`stdout`).
fn targets_of(call: &ActionCall, output: &Value) -> Result<Vec<Target>, String> {
    let printed = |field: &str| output.get(field).and_then(Value::as_str).map(document);
    let found = if output.get("targets").is_some() {
        Ok(output.clone())
    } else if let Some(json) = output.get("json").filter(|json| !json.is_null()) {
        Ok(json.clone())
    } else {
        printed("stdout")
            .or_else(|| printed("body"))
            .unwrap_or_else(|| Ok(output.clone()))
    };
    let targets = found.and_then(|found| read(&found));
    let targets =
        targets.map_err(|message| format!("`{}` answered with no targets: {message}", call.action))?;
    if targets.len() > TARGETS_MAX {
        return Err(format!(
            "`{}` answered with {} targets, more than {TARGETS_MAX}",
            call.action,
            targets.len()
        ));
    }
    Ok(targets)
}

/// A text as YAML, of which JSON is a part.
fn document(text: &str) -> Result<Value, String> {
    let mut report = Report::default();
    let file = report.add_source("output", text.to_owned());
    match yaml::parse(file, &mut report) {
        Some(yaml) if !report.has_errors() => Ok(yaml.to_value()),
        Some(_) | None => {
            let items = report.finish().items;
            let message = items.first().map_or("", |item| item.message.as_str());
            Err(format!("its output is neither JSON nor YAML: {message}"))
        }
    }
}

fn read(found: &Value) -> Result<Vec<Target>, String> {
    match found {
        Value::Array(items) => {
            let lists: Vec<Vec<Target>> = items.iter().map(item).collect::<Result<_, _>>()?;
            Ok(lists.into_iter().flatten().collect())
        }
        Value::Object(fields) => match fields.get("targets") {
            Some(Value::Object(targets)) => targets.iter().map(|(name, about)| target(name, about)).collect(),
            Some(Value::Array(items)) => read(&Value::Array(items.clone())),
            Some(other) => Err(format!("`targets` is {other}")),
            None if fields.values().any(|group| group.get("hosts").is_some())
                || fields.contains_key("_meta") =>
            {
                ansible(fields)
            }
            None => Err("there is no field `targets` in it".to_owned()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(format!("it is {found}")),
    }
}

/// One item of a list: a name, a target with its name, or a group of Prometheus' service discovery.
fn item(item: &Value) -> Result<Vec<Target>, String> {
    match item {
        Value::String(name) => Ok(vec![target(name, &Value::Null)?]),
        Value::Object(fields) => match (fields.get("name"), fields.get("targets")) {
            (Some(Value::String(name)), _) => Ok(vec![target(name, item)?]),
            (_, Some(Value::Array(addresses))) => {
                let labels = texts(fields.get("labels"));
                addresses
                    .iter()
                    .map(|address| endpoint(address, &labels))
                    .collect()
            }
            (_, _) => Err(format!("an item has neither `name` nor `targets`: {item}")),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err(format!("an item is no target: {item}"))
        }
    }
}

/// `host:port`, as Prometheus' service discovery has it.
fn endpoint(address: &Value, labels: &BTreeMap<String, String>) -> Result<Target, String> {
    let Some(address) = address.as_str() else {
        return Err(format!("a target is no text: {address}"));
    };
    let mut target = target(address, &Value::Null)?;
    target.labels = labels.clone();
    target.vars.insert("address".to_owned(), Value::from(address));
    if let Some((host, port)) = address.rsplit_once(':') {
        target.vars.insert("host".to_owned(), Value::from(host));
        if let Ok(port) = port.parse::<u16>() {
            target.vars.insert("port".to_owned(), Value::from(port));
        }
    }
    Ok(target)
}

fn target(name: &str, about: &Value) -> Result<Target, String> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(format!("{name:?} is no name of a target"));
    }
    let groups = match about.get("groups") {
        Some(Value::Array(groups)) => groups
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Some(Value::String(group)) => vec![group.clone()],
        Some(_) | None => Vec::new(),
    };
    Ok(Target {
        name: name.to_owned(),
        groups,
        labels: texts(about.get("labels")),
        vars: about
            .get("vars")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    })
}

fn texts(labels: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// What `--list` of an Ansible inventory script prints.
fn ansible(groups: &Map) -> Result<Vec<Target>, String> {
    let hostvars = groups
        .get("_meta")
        .and_then(|meta| meta.get("hostvars"))
        .and_then(Value::as_object);
    let mut found: BTreeMap<String, Target> = BTreeMap::new();
    for (name, group) in groups.iter().filter(|(name, _)| *name != "_meta") {
        let hosts = match group {
            Value::Array(hosts) => Some(hosts),
            other => other.get("hosts").and_then(Value::as_array),
        };
        let vars = group.get("vars").and_then(Value::as_object);
        for host in hosts.into_iter().flatten().filter_map(Value::as_str) {
            let target = match found.get_mut(host) {
                Some(target) => target,
                None => {
                    let mut new = target(host, &Value::Null)?;
                    if let Some(Value::Object(vars)) = hostvars.and_then(|all| all.get(host)) {
                        new.vars = vars.clone();
                    }
                    found.entry(host.to_owned()).or_insert(new)
                }
            };
            if name != "all" && name != "ungrouped" {
                target.groups.push(name.clone());
            }
            for (key, value) in vars.into_iter().flatten() {
                if !target.vars.contains_key(key) {
                    target.vars.insert(key.clone(), value.clone());
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::targets_of;
    use caxplan_model::{ActionCall, SharedMap, Value};
    use serde_json::json;

    fn names(output: &Value) -> String {
        let call = ActionCall {
            action: "a.b".into(),
            with: SharedMap::default(),
        };
        match targets_of(&call, output) {
            Ok(targets) => targets
                .iter()
                .map(|target| {
                    format!(
                        "{}{:?}{:?}{}",
                        target.name,
                        target.groups,
                        target.labels,
                        Value::Object(target.vars.clone())
                    )
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(message) => message,
        }
    }

    #[test]
    fn every_shape_is_read() {
        for (output, expected) in [
            (
                json!({"targets": {"a": {"groups": ["g"], "labels": {"n": 1}, "vars": {"x": 2}}, "b": null}}),
                r#"a["g"]{"n": "1"}{"x":2} b[]{}{}"#,
            ),
            (
                json!({"targets": [{"name": "a", "groups": "g"}, "b"]}),
                r#"a["g"]{}{} b[]{}{}"#,
            ),
            (
                json!({"stdout": "targets: [a, b]\n", "exit_code": 0}),
                "a[]{}{} b[]{}{}",
            ),
            (
                json!({"status": 200, "json": [{"targets": ["h:80"], "labels": {"job": "x"}}]}),
                r#"h:80[]{"job": "x"}{"address":"h:80","host":"h","port":80}"#,
            ),
            (
                json!({"stdout": r#"{"web": {"hosts": ["a"], "vars": {"y": 1}}, "_meta": {"hostvars": {"a": {"x": 2}}}}"#}),
                r#"a["web"]{}{"x":2,"y":1}"#,
            ),
            (
                json!({"stdout": "targets: ["}),
                "`a.b` answered with no targets: its output is neither JSON nor YAML: this is no YAML: ",
            ),
            (
                json!({"stdout": "hello"}),
                "`a.b` answered with no targets: it is \"hello\"",
            ),
            (
                json!({"x": 1}),
                "`a.b` answered with no targets: there is no field `targets` in it",
            ),
            (
                json!({"targets": [""]}),
                "`a.b` answered with no targets: \"\" is no name of a target",
            ),
        ] {
            let got = names(&output);
            assert!(got.starts_with(expected), "{output}: {got}");
        }
    }
}
