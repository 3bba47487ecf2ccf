//! Notifications as they are written, and as they stand in the graph.

use super::call::{self, Call};
use super::keys::{NOTIFICATION, NOTIFY_ON};
use super::lower::Lowering;
use super::names::View;
use super::read::{mapping, one_or_many, texts, word};
use super::report::Report;
use super::yaml::{Entry, Kind, Yaml};
use caxplan_model::{Notification, RunEnd};

/// One notification.
#[derive(Clone, Debug)]
pub(super) struct Notify {
    on: Vec<RunEnd>,
    call: Call,
}

/// Reads one notification, or a list of them: an action with its arguments, and `on`.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Vec<Notify> {
    one_or_many(yaml)
        .iter()
        .filter_map(|item| {
            let (on, action): (Vec<&Entry>, Vec<&Entry>) = mapping(item, NOTIFICATION.name, report)?
                .iter()
                .partition(|entry| entry.key.value == "on");
            let on = on.first().map(|entry| &entry.value);
            let action = Yaml {
                span: item.span,
                kind: Kind::Map(action.into_iter().cloned().collect()),
            };
            Some(Notify {
                on: ends(on.filter(|on| !on.is_null()), report),
                call: call::read(&action, report)?,
            })
        })
        .collect()
}

/// The ends that are named; all of them if none is.
fn ends(on: Option<&Yaml>, report: &mut Report) -> Vec<RunEnd> {
    let Some(on) = on else {
        return RunEnd::ALL.to_vec();
    };
    let words = texts(on, report);
    if words.is_empty() {
        let message = "`on` names no end, so nobody would be told";
        report.error("wrong-word", on.head(), message).help =
            Some(format!("name some of {}", NOTIFY_ON.join(", ")));
    }
    let mut named = Vec::new();
    for text in &words {
        match word(text, NOTIFY_ON, report).map(|at| RunEnd::ALL.get(at)) {
            // `always` stands behind the ends.
            Some(None) => named.extend(RunEnd::ALL),
            Some(Some(end)) => named.push(*end),
            None => {}
        }
    }
    RunEnd::ALL
        .into_iter()
        .filter(|end| named.contains(end))
        .collect()
}

impl Lowering<'_, '_> {
    /// Binds notifications and checks them: what their templates see is known when the run has ended.
    pub(super) fn notifications(&mut self, notify: &[Notify]) -> Vec<Notification> {
        let view = View {
            at_end: true,
            ..View::default()
        };
        notify
            .iter()
            .filter_map(|of| {
                Some(Notification {
                    on: of.on.clone(),
                    call: self.call(&of.call, &view)?,
                })
            })
            .collect()
    }
}
