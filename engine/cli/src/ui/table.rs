//! Listings.

use super::Paint;
use caxplan_model::{Duration, RunEnd, Timestamp};
use clap::ValueEnum;

/// How a listing is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listing {
    /// Columns, for people
    #[default]
    Table,
    /// JSON, for programs
    Json,
    /// YAML, for programs and people
    Yaml,
}

impl Listing {
    /// Prints `value` as data, or what `table` makes of it.
    pub(crate) fn print(self, value: &impl serde::Serialize, table: impl FnOnce() -> String) {
        match self {
            Self::Table => super::print(&table()),
            Self::Json => super::print_json(value),
            Self::Yaml => super::print_yaml(value),
        }
    }
}

/// Rows under headings, as wide as they need to be.
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these headings.
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned)],
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// The table as text.
    pub(crate) fn render(&self) -> String {
        let paint = Paint::for_stdout();
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            let line = cells.join("  ");
            let line = line.trim_end();
            text.push_str(&if number == 0 {
                paint.bold(line)
            } else {
                line.to_owned()
            });
            text.push('\n');
        }
        text
    }
}

/// A point in time in the user's zone.
pub(crate) fn date_time(at: Timestamp) -> String {
    local(at, "%Y-%m-%d %H:%M:%S")
}

/// The same without the date.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    local(at, "%H:%M:%S")
}

fn local(at: Timestamp, format: &str) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let zoned = jiff::Timestamp::from_millisecond(millis).map(|at| {
        at.to_zoned(jiff::tz::TimeZone::system())
            .strftime(format)
            .to_string()
    });
    zoned.unwrap_or_default()
}

/// A duration without what nobody reads: no milliseconds from ten seconds on.
pub(crate) fn rounded(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 10_000 {
        duration.to_string()
    } else {
        Duration::from_secs(millis / 1_000).to_string()
    }
}

/// How a run left its engine, in one word.
pub(crate) fn end_word(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "succeeded",
        RunEnd::Failed => "failed",
        RunEnd::RolledBack => "rolled back",
        RunEnd::Stuck => "stuck",
        RunEnd::Waiting => "waiting",
        RunEnd::Cancelled => "cancelled",
    }
}
