//! How answers are shown.

use serde::Serialize;
use std::io::Write as _;

/// How to show an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For both
    Yaml,
}

/// For commands whose `--output` names a folder: it has the id of the global flag, which so stays away from them.
#[derive(clap::Args)]
pub(crate) struct FormatFlag {
    /// How to show the answer
    #[arg(long = "format", value_enum)]
    format: Option<Format>,
}

/// Standard output.
pub(crate) struct Ui {
    format: Format,
}

impl Ui {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Shows an answer: as data, or as the text that `people` makes of it.
    pub(crate) fn show<T: Serialize + ?Sized>(
        &self,
        answer: &T,
        people: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Table => say(&people(answer)),
            Format::Json => say(&serde_json::to_string_pretty(answer)?),
            Format::Yaml => say(&serde_saphyr::to_string(&answer)?),
        }
        Ok(())
    }

    /// Says something that is no answer, unless a program reads.
    pub(crate) fn note(&self, text: &str) {
        match self.format {
            Format::Table => say(text),
            Format::Json | Format::Yaml => {}
        }
    }
}

fn say(text: &str) {
    // If the reader has gone away, as `head` does, there is nothing left to do.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Columns under headings, as wide as they must be.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()],
        }
    }

    /// Adds a row with a cell for each heading.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.rows[0].len());
        self.rows.push(Vec::from(cells));
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..self.rows[0].len())
            .map(|column| width(column).unwrap_or(0))
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}    "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// "45s ago" of milliseconds.
pub(crate) fn ago(ms: u64) -> String {
    match ms {
        0..1_000 => "now".to_owned(),
        1_000..60_000 => format!("{}s ago", ms / 1_000),
        60_000..3_600_000 => format!("{}m ago", ms / 60_000),
        _ => format!("{}h ago", ms / 3_600_000),
    }
}

/// Bytes in the unit that fits.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1_000.0 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{count}B")
    } else {
        format!("{value:.1}{}", UNITS[unit])
    }
}
