//! Tests of plans: a plan, and what must come of it in simulated runs.

use super::keys::{ANSWERS, CASE, ENDS, EXPECT, FAILS, FAILURE_KINDS, FATE, TEST, TRUTHS};
use super::load::{load, open, relative};
use super::plan::check_language;
use super::read::{Fields, list, mapping, one_or_many, text, texts, word, wrong};
use super::report::Report;
use super::request::{Catalog, Diagnostics, LoadRequest, Loaded, ReadError};
use super::suggest::did_you_mean;
use super::yaml::{Entry, Spanned, Yaml, to_map};
use crate::simulate::{End, Expected, Failing, Fault, FaultKind, Script, Trial, Truth, named};
use caxplan_model::{
    Answer, Cause, FailureEffect, FailureKind, Graph, Location, Map, NodeIndex, NodeKind, ShortText, StepId,
    Undo,
};
use std::collections::{BTreeMap, BTreeSet};

/// One case of a test, with the plan as it runs there.
#[derive(Clone, Debug)]
pub struct Case {
    /// What happens and what is expected.
    pub trial: Trial,
    /// The plan, loaded with the case's parameters.
    pub loaded: Loaded,
    /// Where the case stands.
    pub place: Location,
}

type Read<'r> = &'r mut dyn FnMut(&str) -> Result<String, ReadError>;

/// Loads a test and the plan that it is about; paths are taken as by [`load`].
///
/// # Errors
/// Everything that is wrong: with the test, or with the plan as a case runs it.
pub fn load_test(path: &str, actions: &dyn Catalog, read: Read<'_>) -> Result<Vec<Case>, Vec<Diagnostics>> {
    let mut report = Report::default();
    let cases = open(path, None, read, &mut report).and_then(|yaml| {
        let fields = Fields::open(&yaml, &TEST, &mut report)?;
        check_language(&fields, &mut report);
        let about = About::read(path, &fields, &mut report)?;
        let cases = list(fields.get("cases")?, "cases", &mut report)?;
        if report.has_errors() {
            return None;
        }
        Some(about.cases(cases, actions, read, &mut report))
    });
    match cases {
        Some(Ok(cases)) if !report.has_errors() => Ok(cases),
        Some(Err(of_plan)) if !report.has_errors() => Err(vec![of_plan]),
        Some(_) | None => Err(vec![report.finish()]),
    }
}

/// What a test is about.
struct About {
    plan: String,
    entry: Option<String>,
    libraries: Vec<String>,
    inventory: Option<String>,
    params: Map,
}

impl About {
    fn read(path: &str, fields: &Fields<'_>, report: &mut Report) -> Option<Self> {
        let plan = fields.text("plan", report)?.value;
        let (file, entry) = match plan.rsplit_once('#') {
            Some((file, entry)) => (file, Some(entry.to_owned())),
            None => (plan.as_str(), None),
        };
        let libraries = fields
            .get("use")
            .map_or_else(Vec::new, |yaml| texts(yaml, report));
        Some(Self {
            plan: relative(path, file),
            entry,
            libraries: libraries
                .iter()
                .map(|library| relative(path, &library.value))
                .collect(),
            inventory: fields
                .text("inventory", report)
                .map(|inventory| relative(path, &inventory.value)),
            params: map(fields, "params", report),
        })
    }

    /// The cases, or what is wrong with the plan.
    fn cases(
        &self,
        cases: &[Yaml],
        actions: &dyn Catalog,
        read: Read<'_>,
        report: &mut Report,
    ) -> Result<Vec<Case>, Diagnostics> {
        let mut names = BTreeSet::new();
        let mut loaded: Vec<Case> = Vec::new();
        for yaml in cases {
            let Some(fields) = Fields::open(yaml, &CASE, report) else {
                continue;
            };
            let Some(name) = fields.text("name", report) else {
                continue;
            };
            if !names.insert(name.value.clone()) {
                report.error(
                    "duplicate-name",
                    name.span,
                    format!("two cases are named `{}`", name.value),
                );
            }
            let mut params = self.params.clone();
            params.extend(map(&fields, "params", report));
            let request = LoadRequest {
                plan: &self.plan,
                entry: self.entry.as_deref(),
                libraries: &self.libraries,
                inventory: self.inventory.as_deref(),
                params: &params,
                actions,
                limit: &[],
                discover: None,
            };
            let plan = load(&request, &mut *read)?;
            let place = report.location(name.span);
            let trial = read_case(name.value.to_string(), &fields, &plan.graph, report);
            loaded.push(Case {
                trial,
                loaded: plan,
                place,
            });
        }
        Ok(loaded)
    }
}

fn map(fields: &Fields<'_>, key: &str, report: &mut Report) -> Map {
    let entries = fields.get(key).and_then(|yaml| mapping(yaml, key, report));
    to_map(entries.unwrap_or_default())
}

fn read_case(name: String, fields: &Fields<'_>, graph: &Graph, report: &mut Report) -> Trial {
    fields.text("description", report);
    let mut reader = Reader { graph, report };
    let mut script = Script::default();
    for key in ["env", "secrets"] {
        let known: BTreeMap<_, _> = map(fields, key, reader.report).into_iter().collect();
        script.known.insert(key, known);
    }
    for Entry { key, value } in entries(fields, "steps", reader.report) {
        let ids = reader.fated(key);
        reader.fate(key, value, &ids, &mut script);
    }
    for Entry { key, value } in entries(fields, "answers", reader.report) {
        for id in reader.fated(key) {
            if let Some(answer) = reader.answer(value) {
                script.answers.insert(id, answer);
            }
        }
    }
    let expected = fields
        .get("expect")
        .and_then(|yaml| reader.expected(yaml))
        .unwrap_or_default();
    Trial {
        name,
        script,
        expected,
    }
}

fn entries<'y>(fields: &Fields<'y>, key: &str, report: &mut Report) -> &'y [Entry] {
    fields
        .get(key)
        .and_then(|yaml| mapping(yaml, "names", report))
        .unwrap_or_default()
}

/// Reads a case for the graph that it runs.
struct Reader<'r> {
    graph: &'r Graph,
    report: &'r mut Report,
}

impl Reader<'_> {
    /// The ids of the steps that a name means. Elements of a loop whose list only the run knows go by their ids.
    fn fated(&mut self, name: &Spanned<ShortText>) -> Vec<StepId> {
        let found = named(self.graph, &name.value);
        if !found.is_empty() {
            return found
                .into_iter()
                .map(|node| self.graph.node(node).id.clone())
                .collect();
        }
        if self.is_in_open_loop(&name.value) {
            return vec![StepId::new(name.value.clone())];
        }
        self.unknown_step(name);
        Vec::new()
    }

    /// Checks a name that is looked up when the run has ended.
    fn expected_step(&mut self, name: &Spanned<ShortText>) {
        let in_body = |name: &str| {
            self.graph.nodes.iter().any(|node| match &node.kind {
                NodeKind::Foreach(foreach) => foreach.body.iter().any(|node| node.name == name),
                _ => false,
            })
        };
        if named(self.graph, &name.value).is_empty()
            && !self.is_in_open_loop(&name.value)
            && !in_body(&name.value)
        {
            self.unknown_step(name);
        }
    }

    /// Whether an id could be that of a step in a loop whose list only the run knows: `LOOP/ITEM/STEP`.
    fn is_in_open_loop(&self, id: &str) -> bool {
        self.graph.nodes.iter().any(|node| {
            let NodeKind::Foreach(foreach) = &node.kind else {
                return false;
            };
            let prefix = crate::expand::element_prefix(node.id.as_str());
            let Some((_, step)) = id
                .strip_prefix(prefix.as_str())
                .map(|rest| rest.trim_start_matches('/'))
                .and_then(|rest| rest.split_once('/'))
            else {
                return false;
            };
            foreach.body.iter().any(|node| node.id.as_str() == step)
        })
    }

    fn unknown_step(&mut self, name: &Spanned<ShortText>) {
        let message = format!("the plan has no step `{}`", name.value);
        let ids = self.graph.nodes.iter().map(|node| node.id.as_str());
        let names = self.graph.nodes.iter().map(|node| node.name.as_str());
        let help = did_you_mean(&name.value, ids.chain(names).filter(|name| !name.is_empty()));
        self.report.error("unknown-step", name.span, message).help = help;
    }

    fn fate(&mut self, name: &Spanned<ShortText>, yaml: &Yaml, ids: &[StepId], script: &mut Script) {
        let Some(fields) = Fields::open(yaml, &FATE, self.report) else {
            return;
        };
        for entry in fields.entries {
            self.check_fits(name, &entry.key);
        }
        let flags = [
            ("times_out", FaultKind::TimesOut),
            ("interrupted", FaultKind::Interrupted),
            ("breaches", FaultKind::Breaches),
            ("undo_fails", FaultKind::UndoFails),
        ];
        let mut kinds: Vec<FaultKind> = flags
            .into_iter()
            .filter(|(key, _)| fields.boolean(key, self.report) == Some(true))
            .map(|(_, kind)| kind)
            .collect();
        if let Some(yaml) = fields.get("in_doubt") {
            kinds.extend(self.truth(yaml).map(FaultKind::InDoubt));
        }
        let unchanged = fields.boolean("unchanged", self.report) == Some(true);
        let failing = fields.get("fails").and_then(|yaml| self.failing(yaml));
        for id in ids {
            script.faults.extend(kinds.iter().map(|kind| Fault {
                step: id.clone(),
                kind: *kind,
            }));
            for (key, values) in [("output", &mut script.outputs), ("before", &mut script.befores)] {
                if let Some(yaml) = fields.get(key) {
                    values.insert(id.clone(), yaml.to_value());
                }
            }
            if unchanged {
                script.unchanged.push(id.clone());
            }
            if let Some(failing) = &failing {
                script.failing.insert(id.clone(), failing.clone());
            }
        }
    }

    /// Reports what cannot happen to a step of this kind.
    fn check_fits(&mut self, name: &Spanned<ShortText>, key: &Spanned<ShortText>) {
        let Some(node) = named(self.graph, &name.value).first().copied() else {
            return;
        };
        if let Some(why) = misfit(self.graph, node, &key.value) {
            let message = format!("`{}` cannot be said of `{}`: {why}", key.value, name.value);
            self.report.error("wrong-fate", key.span, message);
        }
    }

    fn truth(&mut self, yaml: &Yaml) -> Option<Truth> {
        match yaml.to_value() {
            serde_json::Value::Bool(true) => return Some(Truth::Unknown),
            serde_json::Value::Bool(false) => return None,
            _ => {}
        }
        let at = word(&text(yaml, self.report)?, TRUTHS, self.report)?;
        [Truth::Done, Truth::NotDone, Truth::Unknown].get(at).copied()
    }

    fn failing(&mut self, yaml: &Yaml) -> Option<Failing> {
        let mut failing = Failing {
            cause: Cause::new(FailureKind::Other, "fails (simulated)"),
            effect: FailureEffect::None,
            attempts: u32::MAX,
        };
        match yaml.to_value() {
            serde_json::Value::Bool(true) => return Some(failing),
            serde_json::Value::Bool(false) => return None,
            serde_json::Value::Object(_) => {}
            _ => return wrong(yaml, "true, or a mapping", self.report),
        }
        let fields = Fields::open(yaml, &FAILS, self.report)?;
        if let Some(kind) = fields.text("kind", self.report)
            && word(&kind, FAILURE_KINDS, self.report).is_some()
            && let Ok(kind) = serde_json::from_value(kind.value.as_str().into())
        {
            failing.cause.kind = kind;
        }
        if let Some(message) = fields.text("message", self.report) {
            failing.cause.message = message.value.to_string();
        }
        if fields.boolean("may_have_acted", self.report) == Some(true) {
            failing.effect = FailureEffect::Possible;
        }
        if let Some(attempts) = fields.count("attempts", self.report) {
            failing.attempts = attempts;
        }
        Some(failing)
    }

    /// The answer; `None` inside if nobody answers.
    fn answer(&mut self, yaml: &Yaml) -> Option<Option<Answer>> {
        let at = word(&text(yaml, self.report)?, ANSWERS, self.report)?;
        let rejected = Answer::Rejected {
            reason: "simulated".to_owned(),
        };
        let answers = [
            Some(Answer::Approved),
            Some(rejected),
            None,
            Some(Answer::Rerun),
            Some(Answer::AssumeDone),
            Some(Answer::Fail),
        ];
        answers.get(at).cloned()
    }

    fn expected(&mut self, yaml: &Yaml) -> Option<Expected> {
        let fields = Fields::open(yaml, &EXPECT, self.report)?;
        let mut steps = |key: &str| -> Vec<String> {
            let names = fields
                .get(key)
                .map_or_else(Vec::new, |yaml| texts(yaml, self.report));
            for name in &names {
                self.expected_step(name);
            }
            names.into_iter().map(|name| name.value.into()).collect()
        };
        let mut expected = Expected {
            ran: steps("ran"),
            not_ran: steps("not_ran"),
            skipped: steps("skipped"),
            failed: steps("failed"),
            undone: steps("undone"),
            not_undone: steps("not_undone"),
            ..Expected::default()
        };
        if let Some(yaml) = fields.get("end") {
            for end in texts(yaml, self.report) {
                let Some(at) = word(&end, ENDS, self.report) else {
                    continue;
                };
                expected.end.extend_from_slice(match ENDS[at] {
                    "succeeded" => &[End::Succeeded],
                    "failed" => &[End::Failed],
                    "rolled_back" => &[End::RolledBack],
                    "stuck" => &[End::Stuck],
                    "paused" => &[End::Paused],
                    "in_doubt" => &[End::InDoubt],
                    "cancelled" => &[End::Cancelled],
                    _ => &[End::Waiting, End::Paused, End::InDoubt],
                });
            }
        }
        for Entry { key, value } in entries(&fields, "attempts", self.report) {
            self.expected_step(key);
            if let Some(count) = super::read::count(value, self.report) {
                expected.attempts.push((key.value.to_string(), count));
            }
        }
        expected.down = fields.get("down").map(|yaml| {
            let names = one_or_many(yaml)
                .iter()
                .filter_map(|yaml| text(yaml, self.report));
            names.map(|name| name.value.into()).collect()
        });
        expected.down_max = fields.count("max_down", self.report);
        expected.within = fields.duration("within", self.report);
        if let Some(yaml) = fields.get("conditions") {
            for condition in texts(yaml, self.report) {
                if let Err(error) = crate::condition::parse(&condition.value) {
                    self.report
                        .error("wrong-condition", condition.span, error.message);
                }
                expected.conditions.push(condition.value.to_string());
            }
        }
        Some(expected)
    }
}

/// Why a key of a fate cannot be said of a node.
fn misfit(graph: &Graph, node: NodeIndex, key: &str) -> Option<&'static str> {
    match (&graph.node(node).kind, key) {
        (NodeKind::Action(action), "undo_fails") => match action.undo {
            Undo::Native | Undo::Calls(_) => None,
            Undo::NotNeeded | Undo::Impossible => Some("there is no way to undo it"),
        },
        (NodeKind::Action(_), "breaches") => Some("it is no watch"),
        (NodeKind::Action(_), _) | (NodeKind::Watch(_), "breaches" | "interrupted") => None,
        (_, "breaches") => Some("it is no watch"),
        (_, _) => Some("it is no action"),
    }
}
