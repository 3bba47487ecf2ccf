//! Inventories: what a plan acts on.

use super::bind;
use super::call::{self, Call};
use super::keys::{GROUP, INVENTORY, INVENTORY_FILE, TARGET};
use super::plan::check_language;
use super::read::{Fields, mapping, one_or_many, text, texts};
use super::report::Report;
use super::step::{self, Step};
use super::suggest::did_you_mean;
use super::yaml::{Entry, Kind, Spanned, Yaml, to_map};
use crate::select::Selector;
use caxplan_model::{Map, ShortText, Target};
use std::collections::BTreeMap;

/// The group that every target belongs to, if an inventory names it.
const EVERYONE: &str = "all";

/// An inventory.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) targets: Vec<Target>,
    /// Actions that know of more targets.
    pub(super) sources: Vec<Call>,
    groups: Vec<Entry>,
    /// Whether `targets` cannot be read at all, so that nobody knows which there are.
    is_unreadable: bool,
    pub(super) vars: Vec<Entry>,
    pub(super) params: Vec<Entry>,
    pub(super) provision: Vec<Step>,
}

/// Reads an inventory file: the inventory below the key `inventory`, or the inventory alone.
pub(super) fn read_file(yaml: &Yaml, report: &mut Report) -> Inventory {
    let Some(entries) = mapping(yaml, "an inventory", report) else {
        return Inventory::default();
    };
    if entries.iter().all(|entry| entry.key.value != "inventory") {
        return read(yaml, report);
    }
    let Some(fields) = Fields::open(yaml, &INVENTORY_FILE, report) else {
        return Inventory::default();
    };
    check_language(&fields, report);
    fields
        .get("inventory")
        .map_or_else(Inventory::default, |yaml| read(yaml, report))
}

/// Reads an inventory.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Inventory {
    let Some(fields) = Fields::open(yaml, &INVENTORY, report) else {
        return Inventory::default();
    };
    let entries = |key: &str, what: &str, report: &mut Report| {
        fields
            .get(key)
            .and_then(|yaml| mapping(yaml, what, report))
            .unwrap_or_default()
    };
    let targets = entries("targets", "targets by name", report)
        .iter()
        .map(|entry| target(entry, report))
        .collect();
    Inventory {
        targets,
        is_unreadable: fields
            .get("targets")
            .is_some_and(|yaml| !matches!(yaml.kind, Kind::Map(_))),
        sources: fields.get("from").map_or_else(Vec::new, |yaml| {
            one_or_many(yaml)
                .iter()
                .filter_map(|yaml| call::read(yaml, report))
                .collect()
        }),
        groups: entries("groups", "groups by name", report).to_vec(),
        vars: entries("vars", "variables by name", report).to_vec(),
        params: entries("params", "parameters by name", report).to_vec(),
        provision: fields
            .get("provision")
            .map_or_else(Vec::new, |yaml| step::read_all(yaml, report)),
    }
}

fn target(entry: &Entry, report: &mut Report) -> Target {
    let mut target = Target {
        name: entry.key.value.to_string(),
        ..Target::default()
    };
    if entry.value.is_null() {
        return target;
    }
    let Some(fields) = Fields::open(&entry.value, &TARGET, report) else {
        return target;
    };
    if let Some(groups) = fields.get("groups") {
        target.groups = texts(groups, report)
            .into_iter()
            .map(|group| group.value.into())
            .collect();
    }
    target.labels = labels(&fields, report);
    target.vars = vars(&fields, report);
    target
}

impl Inventory {
    /// Takes in what its sources know. What the inventory itself says of a target goes before that.
    pub(super) fn add(&mut self, found: Vec<Target>) {
        for target in found {
            match self.targets.iter_mut().find(|known| known.name == target.name) {
                None => self.targets.push(target),
                Some(known) => {
                    known.groups.extend(target.groups);
                    fill(known, &target.labels, &target.vars);
                }
            }
        }
    }

    /// Brings targets and groups together, when all targets are known. `all_known` says that there are no others.
    pub(super) fn join_groups(&mut self, all_known: bool, report: &mut Report) {
        let all_known = all_known && !self.is_unreadable;
        let groups = std::mem::take(&mut self.groups);
        let mut parents: Vec<(String, Vec<Spanned<ShortText>>)> = Vec::new();
        let mut given = Vec::new();
        for entry in groups.iter().filter(|entry| !entry.value.is_null()) {
            let Some(fields) = Fields::open(&entry.value, &GROUP, report) else {
                continue;
            };
            let name = &entry.key.value;
            if let Some(members) = fields.get("targets") {
                for member in texts(members, report) {
                    match self.targets.iter_mut().find(|target| target.name == member.value) {
                        Some(target) => target.groups.push(name.to_string()),
                        None if !all_known => {}
                        None => {
                            let message = format!("the inventory has no target `{}`", member.value);
                            let names = self.targets.iter().map(|target| target.name.as_str());
                            report.error("unknown-target", member.span, message).help =
                                did_you_mean(&member.value, names);
                        }
                    }
                }
            }
            let children = fields
                .get("groups")
                .map_or_else(Vec::new, |yaml| texts(yaml, report));
            parents.push((name.to_string(), children));
            given.push((name.clone(), labels(&fields, report), vars(&fields, report)));
        }
        self.nest(&parents, all_known, report);
        if given.iter().any(|(name, ..)| name == EVERYONE) {
            for target in &mut self.targets {
                target.groups.push(EVERYONE.to_owned());
            }
        }
        // Of two groups, the one that stands first goes before.
        for (name, labels, vars) in &given {
            for target in self.targets.iter_mut().filter(|target| target.is_in(name)) {
                fill(target, labels, vars);
            }
        }
        for target in &mut self.targets {
            target.groups.sort();
            target.groups.dedup();
        }
    }

    /// What belongs to a group belongs to the groups that hold it.
    fn nest(&mut self, parents: &[(String, Vec<Spanned<ShortText>>)], all_known: bool, report: &mut Report) {
        for (parent, children) in parents {
            for child in children {
                let is_named = parents.iter().any(|(name, _)| *name == child.value);
                let has_targets = self.targets.iter().any(|target| target.is_in(&child.value));
                if all_known && !is_named && !has_targets {
                    let message = format!("the inventory has no group `{}`", child.value);
                    let names = parents.iter().map(|(name, _)| name.as_str());
                    report.error("unknown-group", child.span, message).help =
                        did_you_mean(&child.value, names.filter(|name| name != parent));
                }
            }
        }
        // As often as groups can lie in each other; a circle makes all of them the same, and is none's mistake to fear.
        for _ in 0..parents.len() {
            let mut changed = false;
            for (parent, children) in parents {
                for target in &mut self.targets {
                    let held = children.iter().any(|child| target.is_in(&child.value));
                    if held && !target.groups.contains(parent) {
                        target.groups.push(parent.clone());
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// Leaves only the targets that one of the selectors selects.
    ///
    /// # Errors
    /// A selector that cannot be read, or that none of them selects a target.
    pub(super) fn limit(&mut self, selectors: &[String], all_known: bool) -> Result<(), String> {
        if selectors.is_empty() {
            return Ok(());
        }
        let parsed = selectors
            .iter()
            .map(|text| Selector::parse(text).map_err(|message| format!("--limit: {message}")))
            .collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = self.targets.iter().map(|target| target.name.clone()).collect();
        self.targets
            .retain(|target| parsed.iter().any(|selector| selector.matches(target)));
        if self.targets.is_empty() && all_known {
            let text = selectors.join(" | ");
            let known = bind::list(names.iter().map(String::as_str));
            return Err(format!(
                "--limit {text} selects none of the targets; there are: {known}"
            ));
        }
        Ok(())
    }
}

/// Adds labels and variables that a target has not.
fn fill(target: &mut Target, labels: &BTreeMap<String, String>, vars: &Map) {
    for (key, value) in labels {
        target.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (key, value) in vars {
        if !target.vars.contains_key(key) {
            target.vars.insert(key.clone(), value.clone());
        }
    }
}

fn labels(fields: &Fields<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let entries = fields
        .get("labels")
        .and_then(|yaml| mapping(yaml, "labels by name", report))
        .unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            Some((
                entry.key.value.to_string(),
                text(&entry.value, report)?.value.into(),
            ))
        })
        .collect()
}

fn vars(fields: &Fields<'_>, report: &mut Report) -> Map {
    let entries = fields
        .get("vars")
        .and_then(|yaml| mapping(yaml, "variables by name", report))
        .unwrap_or_default();
    to_map(entries)
}
