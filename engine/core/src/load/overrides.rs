//! `overrides`: options that replace what stands in a block that may not be changed.

use super::keys::{LOOP, PHASE, STEP, WATCH};
use super::loops::LoopOptions;
use super::options::Options;
use super::phase::PhaseOptions;
use super::read::{Fields, mapping};
use super::report::Report;
use super::step::{self, Body, Step};
use super::suggest::did_you_mean;
use super::yaml::{Entry, Spanned, Yaml};
use caxplan_model::ShortText;
use std::collections::BTreeSet;

/// The overrides of a plan, by the path of a phase or step.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    entries: Vec<(Spanned<ShortText>, Yaml)>,
    used: BTreeSet<usize>,
    /// The paths that were asked for, for suggestions.
    paths: BTreeSet<String>,
}

/// What overrides say of a phase.
#[derive(Debug, Default)]
pub(super) struct PhaseOverride {
    pub(super) options: PhaseOptions,
    /// For each loop that stands directly in the phase.
    pub(super) loops: LoopOptions,
}

impl Overrides {
    pub(super) fn new(entries: &[Entry]) -> Self {
        Self {
            entries: entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect(),
            ..Self::default()
        }
    }

    /// What is said of the phase or step at `path`: the mapping, if there is one.
    fn take(&mut self, path: &str) -> Option<Yaml> {
        self.paths.insert(path.to_owned());
        let at = self.entries.iter().position(|(of, _)| of.value == path)?;
        self.used.insert(at);
        Some(self.entries[at].1.clone())
    }

    pub(super) fn phase(&mut self, path: &str, report: &mut Report) -> PhaseOverride {
        let Some(yaml) = self.take(path) else {
            return PhaseOverride::default();
        };
        let Some(fields) = fields(&yaml, "a phase", |key| PHASE.has(key) || LOOP.has(key), report) else {
            return PhaseOverride::default();
        };
        let mut loops = LoopOptions::read(&fields, report);
        // A condition here is the phase's.
        loops.when = None;
        PhaseOverride {
            options: PhaseOptions::read(&fields, report),
            loops,
        }
    }

    pub(super) fn step(&mut self, mut step: Step, path: &str, report: &mut Report) -> Step {
        let Some(yaml) = self.take(path) else {
            return step;
        };
        let known = |key: &str| STEP.has(key) || WATCH.has(key);
        let Some(fields) = fields(&yaml, "a step", known, report) else {
            return step;
        };
        step.options = Options::read(&fields, report).over(&step.options);
        match &mut step.body {
            Body::Foreach(foreach) => {
                let own = std::mem::take(&mut foreach.options);
                foreach.options = LoopOptions::read(&fields, report).over(own);
                step.options.when = None;
            }
            Body::Watch(watch) => step::override_watch(watch, &fields, report),
            Body::Call(call) => {
                let with = fields
                    .get("with")
                    .and_then(|with| mapping(with, "arguments by name", report));
                let own = std::mem::take(&mut call.with);
                call.with = super::bind::merge(with.unwrap_or_default().to_vec(), &own);
            }
            Body::Wait(duration) => {
                if let Some(other) = fields
                    .get("wait")
                    .and_then(|yaml| super::read::duration_text(yaml, report))
                {
                    *duration = other;
                }
            }
            Body::Parallel { max, .. } => *max = fields.count("max_parallel", report).or(*max),
            Body::Block { .. }
            | Body::Approve(_)
            | Body::Checklist(_)
            | Body::Monitor(_)
            | Body::Run(_)
            | Body::Broken => {}
        }
        step
    }

    /// Reports overrides of what is not there. To be called when all has been lowered.
    pub(super) fn finish(&self, report: &mut Report) {
        for (at, (path, _)) in self.entries.iter().enumerate() {
            if !self.used.contains(&at) {
                let message = format!("the plan has no phase or step `{}`", path.value);
                let help = did_you_mean(&path.value, self.paths.iter().map(String::as_str));
                report.error("unknown-override", path.span, message).help = help;
            }
        }
    }
}

fn fields<'y>(
    yaml: &'y Yaml,
    what: &str,
    known: impl Fn(&str) -> bool,
    report: &mut Report,
) -> Option<Fields<'y>> {
    let entries = mapping(yaml, "options by name", report)?;
    for Entry { key, .. } in entries {
        if !known(&key.value) {
            let message = format!("{what} has no option `{}`", key.value);
            let names = PHASE
                .names()
                .chain(STEP.names())
                .chain(LOOP.names())
                .chain(WATCH.names());
            report.error("unknown-key", key.span, message).help = did_you_mean(&key.value, names);
        }
    }
    Some(Fields {
        entries,
        head: yaml.head(),
    })
}
