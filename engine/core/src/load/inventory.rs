//! Inventories: what a plan acts on.

use super::keys::{GROUP, INVENTORY, INVENTORY_FILE, TARGET};
use super::plan::check_language;
use super::read::{Fields, mapping, text, texts};
use super::report::Report;
use super::step::{self, Step};
use super::suggest::did_you_mean;
use super::yaml::{Entry, Kind, Yaml, to_map};
use caxplan_model::{Map, Target};
use std::collections::BTreeMap;

/// An inventory.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) targets: Vec<Target>,
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
    let mut targets: Vec<Target> = entries("targets", "targets by name", report)
        .iter()
        .map(|entry| target(entry, report))
        .collect();
    for entry in entries("groups", "groups by name", report) {
        group(entry, &mut targets, report);
    }
    for target in &mut targets {
        target.groups.sort();
        target.groups.dedup();
    }
    Inventory {
        targets,
        vars: entries("vars", "variables by name", report).to_vec(),
        params: entries("params", "parameters by name", report).to_vec(),
        provision: fields
            .get("provision")
            .map_or_else(Vec::new, |yaml| step::read_all(yaml, report)),
    }
}

fn target(entry: &Entry, report: &mut Report) -> Target {
    let mut target = Target {
        name: entry.key.value.clone(),
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
            .map(|group| group.value)
            .collect();
    }
    target.labels = labels(&fields, report);
    target.vars = vars(&fields, report);
    target
}

/// Reads a group into its targets: those that name it, and those that it names.
fn group(entry: &Entry, targets: &mut [Target], report: &mut Report) {
    if entry.value.is_null() {
        return;
    }
    let Some(fields) = Fields::open(&entry.value, &GROUP, report) else {
        return;
    };
    let name = &entry.key.value;
    if let Some(Yaml {
        kind: Kind::List(members),
        ..
    }) = fields.get("targets")
    {
        for member in members {
            let Some(member) = text(member, report) else {
                continue;
            };
            match targets.iter_mut().find(|target| target.name == member.value) {
                Some(target) => target.groups.push(name.clone()),
                None => {
                    let message = format!("the inventory has no target `{}`", member.value);
                    let names = targets.iter().map(|target| target.name.as_str());
                    report.error("unknown-target", member.span, message).help =
                        did_you_mean(&member.value, names);
                }
            }
        }
    }
    let (labels, vars) = (labels(&fields, report), vars(&fields, report));
    for target in targets.iter_mut().filter(|target| target.groups.contains(name)) {
        for (key, value) in &labels {
            target.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for (key, value) in &vars {
            if !target.vars.contains_key(key) {
                target.vars.insert(key.clone(), value.clone());
            }
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
        .filter_map(|entry| Some((entry.key.value.clone(), text(&entry.value, report)?.value)))
        .collect()
}

fn vars(fields: &Fields<'_>, report: &mut Report) -> Map {
    let entries = fields
        .get("vars")
        .and_then(|yaml| mapping(yaml, "variables by name", report))
        .unwrap_or_default();
    to_map(entries)
}
