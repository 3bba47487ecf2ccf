//! What users see.

mod account;
mod json;
mod lines;
mod live;
mod narrate;
mod paint;
mod table;

pub(crate) use account::{finish, next_commands};
pub(crate) use paint::Paint;
pub(crate) use table::{Listing, Table, date_time, end_word, rounded};

use caxplan_model::{Graph, RunId};
use caxplan_run::Observer;
use clap::ValueEnum;
use std::io::{IsTerminal as _, Write as _};

/// How a run shows itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// Live on a terminal, one line per event elsewhere
    #[default]
    Text,
    /// One JSON object per line and event
    Json,
}

/// What shows a run while it goes on.
pub(crate) fn observer(show: Show, verbose: bool, run: &RunId, graph: &Graph) -> Box<dyn Observer> {
    match show {
        Show::Json => Box::new(json::JsonEvents::new(run.clone())),
        Show::Text if std::io::stderr().is_terminal() => Box::new(live::Live::new(graph, verbose)),
        Show::Text => Box::new(lines::Lines::new(verbose)),
    }
}

/// Prints to the standard output. A reader that has gone away is no error of ours.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says something on the standard error.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints a value as indented JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(value).expect("what is shown is plain data");
    print(&format!("{text}\n"));
}
