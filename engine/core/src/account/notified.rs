//! Who was told of a run's end.

use crate::schedule::State;
use caxplan_model::{Record, Timestamp};
use serde::Serialize;

/// One of the plan's notifications, for the last end of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotificationAccount {
    /// Its action.
    pub action: String,
    /// `sent`, `failed`, or `not_sent`: the engine ended before it came to that, and nothing sends it later.
    pub status: &'static str,
    /// When it was tried.
    pub at: Option<Timestamp>,
    /// Why nobody was told.
    pub note: Option<String>,
}

impl NotificationAccount {
    /// One line for a person.
    pub fn summary(&self) -> String {
        let note = self.note.as_deref().unwrap_or_default();
        let what = self.status.replace('_', " ");
        if note.is_empty() {
            format!("{}: {what}", self.action)
        } else {
            format!("{}: {what}, {note}", self.action)
        }
    }
}

/// Those of the run's last end, in the order in which they were tried. Empty while an engine has the run.
pub(super) fn notifications(state: &State, records: &[Record]) -> Vec<NotificationAccount> {
    let Some(end) = state.run_end() else {
        return Vec::new();
    };
    let action = |number: u32| {
        let of = state.graph().header.notify.get(number as usize);
        of.map_or_else(String::new, |of| of.call.action.to_string())
    };
    let last = records
        .iter()
        .rposition(|record| matches!(record, Record::RunEnded { end: of, .. } if *of == end));
    let after = last.and_then(|at| records.get(at..)).unwrap_or_default();
    let tried = after.iter().filter_map(|record| match record {
        Record::Notified {
            at,
            notification,
            failure,
        } => Some(NotificationAccount {
            action: action(*notification),
            status: if failure.is_none() { "sent" } else { "failed" },
            at: Some(*at),
            note: failure.as_ref().map(ToString::to_string),
        }),
        _ => None,
    });
    let left = state.to_notify().into_iter().map(|number| NotificationAccount {
        action: action(number),
        status: "not_sent",
        at: None,
        note: Some("its engine has not come to it".to_owned()),
    });
    tried.chain(left).collect()
}
