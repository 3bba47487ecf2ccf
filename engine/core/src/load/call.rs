//! An action with its arguments, as it is written.

use super::read::{Fields, mapping, text, wrong};
use super::report::Report;
use super::yaml::{Entry, Kind, Spanned, Yaml};

/// An action with its arguments.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) action: Spanned<String>,
    pub(super) with: Vec<Entry>,
    /// Of a probe.
    pub(super) done_when: Option<Spanned<String>>,
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
    let done_when = fields.text("done_when", report);
    if fields.get("action").is_some() {
        let action = fields.text("action", report)?;
        for entry in entries {
            if !["action", "with", "done_when"].contains(&entry.key.value.as_str()) {
                let message = format!("a call has no key `{}`", entry.key.value);
                report.error("unknown-key", entry.key.span, message).help =
                    Some("the arguments belong below `with`".to_owned());
            }
        }
        return Some(Call {
            action,
            with: fields
                .get("with")
                .map_or_else(Vec::new, |with| arguments(with, report)),
            done_when,
        });
    }
    let mut actions = entries.iter().filter(|entry| entry.key.value != "done_when");
    match (actions.next(), actions.next()) {
        (Some(only), None) => Some(Call {
            action: only.key.clone(),
            with: arguments(&only.value, report),
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

pub(super) fn arguments(yaml: &Yaml, report: &mut Report) -> Vec<Entry> {
    if yaml.is_null() {
        return Vec::new();
    }
    mapping(yaml, "arguments by name", report).map_or_else(Vec::new, <[Entry]>::to_vec)
}
