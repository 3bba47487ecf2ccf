//! An action with its arguments, as it is written.

use super::read::{Fields, mapping, one_or_many, text, wrong};
use super::report::Report;
use super::yaml::{Entry, Kind, Spanned, Yaml};
use caxplan_model::ShortText;

/// An action with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) action: Spanned<ShortText>,
    pub(super) with: Vec<Entry>,
    /// Of a probe.
    pub(super) done_when: Option<Box<Spanned<ShortText>>>,
}

/// Reads an action with its arguments: a name, `{name: {argument: value}}`, or `{action, with}`; a probe may have
/// `done_when`.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Option<Call> {
    let Kind::Map(entries) = &yaml.kind else {
        let action = text(yaml, report)?;
        return Some(Call {
            action,
            with: Vec::new(),
            done_when: None,
        });
    };
    let fields = Fields {
        entries,
        head: yaml.head(),
    };
    let done_when = fields.text("done_when", report).map(Box::new);
    if fields.get("action").is_some() {
        let action = fields.text("action", report)?;
        for entry in entries {
            if !["action", "with", "done_when"].contains(&entry.key.value.as_str()) {
                let message = format!("a call has no key `{}`", entry.key.value);
                report.error("unknown-key", entry.key.span, message).help =
                    Some("the arguments belong below `with`".to_owned());
            }
        }
        let with = match fields.get("with") {
            Some(with) => arguments(with, "with", report)?,
            None => Vec::new(),
        };
        return Some(Call {
            action,
            with,
            done_when,
        });
    }
    let mut actions = entries.iter().filter(|entry| entry.key.value != "done_when");
    match (actions.next(), actions.next()) {
        (Some(only), None) => Some(Call {
            action: only.key.clone(),
            with: arguments(&only.value, &only.key.value, report)?,
            done_when,
        }),
        (Some(_), Some(second)) => {
            let message = "one action was expected here, and this is a second one";
            report.error("two-bodies", second.key.span, message);
            None
        }
        (None, _) => wrong(yaml, "an action with its arguments", report),
    }
}

/// Reads one call, or a list of calls.
pub(super) fn read_all(yaml: &Yaml, report: &mut Report) -> Vec<Call> {
    one_or_many(yaml)
        .iter()
        .filter_map(|yaml| read(yaml, report))
        .collect()
}

/// Arguments by name. `None` if they are something else, which has been reported then.
pub(super) fn arguments(yaml: &Yaml, action: &str, report: &mut Report) -> Option<Vec<Entry>> {
    if yaml.is_null() {
        return Some(Vec::new());
    }
    let arguments = mapping(yaml, "arguments by name", report);
    if arguments.is_none() {
        report.help(match (action, &yaml.kind) {
            ("shell.run", Kind::Scalar { .. }) => {
                "write `shell.run: {script: …}`, or `shell.run: {argv: [program, argument]}` without a shell"
                    .to_owned()
            }
            _ => format!("write `{action}: {{NAME: value}}`; `caxplan adapters` lists the arguments"),
        });
    }
    arguments.map(<[Entry]>::to_vec)
}
