//! What users see.

mod account;
pub(crate) mod ask;
pub(crate) mod checks;
mod json;
mod lines;
mod live;
mod narrate;
mod output;
mod paint;
mod reference;
mod table;

pub(crate) use account::finish;
pub(crate) use caxplan_core::account::{next_commands, while_running};
pub(crate) use paint::Paint;
pub(crate) use reference::actions as reference;
pub(crate) use table::{Listing, Table, date_time, end_word, rounded, time_of_day};

use caxplan_model::{Graph, RunId};
use caxplan_run::Observer;
use clap::ValueEnum;
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

/// How a run shows itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// Live on a terminal, one line per event elsewhere
    #[default]
    Text,
    /// One JSON object per line and event
    Json,
}

/// How much a run says while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loudness {
    /// What the engine itself has to say, and what failed.
    Quiet,
    /// What the steps do.
    Normal,
    /// What they put out, too.
    Verbose,
}

/// What shows a run while it goes on.
pub(crate) fn observer(
    show: Show,
    loudness: Loudness,
    asks: bool,
    run: &RunId,
    graph: &Graph,
) -> Box<dyn Observer> {
    match show {
        Show::Json => Box::new(json::JsonEvents::new(run.clone())),
        Show::Text if loudness != Loudness::Quiet && std::io::stderr().is_terminal() => {
            Box::new(live::Live::new(graph, loudness == Loudness::Verbose, asks))
        }
        Show::Text => Box::new(lines::Lines::new(loudness)),
    }
}

/// Prints to the standard output. A reader that has gone away is no error of ours; a disk that is full is, and
/// [`write_error`] tells it at the end.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The first error says why; those after it add nothing.
        let _ = WRITE_ERROR.set(error);
    }
}

static WRITE_ERROR: OnceLock<std::io::Error> = OnceLock::new();

/// Why something could not be printed, unless its reader has just gone away.
pub(crate) fn write_error() -> Option<&'static std::io::Error> {
    WRITE_ERROR.get().filter(|_| !reader_is_gone())
}

/// Whether nobody reads the standard output any more: what only prints can stop.
pub(crate) fn reader_is_gone() -> bool {
    WRITE_ERROR
        .get()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
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

/// Prints a value as YAML.
pub(crate) fn print_yaml(value: &impl serde::Serialize) {
    // By way of JSON: the same fields in the same order, and nothing that only one of the two can write.
    let value = serde_json::to_value(value).expect("what is shown is plain data");
    let text = serde_saphyr::to_string(&value).expect("JSON is plain data");
    print(&format!("{}\n", text.trim_end_matches('\n')));
}
