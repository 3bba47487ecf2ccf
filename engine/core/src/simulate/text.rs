//! Findings for a terminal.

use super::ending::{End, Ending};
use super::findings::{Findings, Group};
use super::story::{Assumption, Story};
use caxplan_model::StepId;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// How many scenarios of a group are named.
const NAMED: usize = 3;

impl Findings {
    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{}: {} scenarios were simulated, nothing was performed\n\n",
            self.plan,
            self.rows.len()
        );
        let table: Vec<[String; 6]> = self.table();
        let heads = ["end", "scenarios", "left behind", "down", "resume", "rollback"].map(str::to_uppercase);
        let width = |column: usize| {
            let cells = std::iter::once(&heads).chain(&table);
            cells.map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths: [usize; 6] = std::array::from_fn(width);
        let line = |row: &[String; 6]| {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        text.push_str(&line(&heads));
        for (row, group) in table.iter().zip(&self.groups) {
            text.push_str(&line(row));
            let _ = writeln!(text, "  {}", named(&group.scenarios));
            if !group.half_applied.is_empty() {
                let _ = writeln!(text, "  half-applied: {}", some(&group.half_applied));
            }
        }
        text.push('\n');
        for (name, value) in self.facts() {
            let _ = writeln!(text, "{name:<20}{value}");
        }
        text
    }

    /// The cells of the table of outcomes.
    pub(super) fn table(&self) -> Vec<[String; 6]> {
        self.groups.iter().map(cells).collect()
    }

    /// What else there is to say, by name.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let coverage = self.rollback;
        let mut facts = vec![
            (
                "rollback coverage",
                format!(
                    "{:.1}%: from {} of {} states after a failure a rollback brings everything back",
                    coverage.percent(),
                    coverage.covered,
                    coverage.states
                ),
            ),
            (
                "no way back after",
                match &self.point_of_no_return {
                    Some(step) => format!("{step} begins: it cannot be undone"),
                    None => "nothing: every step of the good path can be undone".to_owned(),
                },
            ),
            (
                "most targets down",
                match self.most_down.value.len() {
                    0 => "none".to_owned(),
                    count => format!(
                        "{count} ({}), in {}",
                        join(&self.most_down.value),
                        self.most_down.scenario
                    ),
                },
            ),
            (
                "time",
                format!(
                    "good path at most {}, longest {} in {}{}",
                    self.good_path,
                    self.longest.value,
                    self.longest.scenario,
                    match self.without_limit.len() {
                        0 => String::new(),
                        count => format!("; plus {count} steps without a time limit"),
                    }
                ),
            ),
        ];
        if !self.without_limit.is_empty() {
            facts.push(("no time limit", some(&self.without_limit)));
        }
        for assumption in &self.assumptions {
            facts.push(("taken to be so", assumption.to_string()));
        }
        if self.left_out > 0 {
            let text = format!(
                "{} scenarios, because of the limit (--max-scenarios), and what would follow from them",
                self.left_out
            );
            facts.push(("LEFT OUT", text));
        }
        facts
    }
}

fn cells(group: &Group) -> [String; 6] {
    let targets = &group.targets_changed;
    let left = group.left.word();
    [
        group.end.word().to_owned(),
        group.scenarios.len().to_string(),
        if targets.is_empty() {
            left.to_owned()
        } else {
            format!("{left} ({})", some(targets))
        },
        match group.down_count {
            0 => "none".to_owned(),
            count if count == group.down.len() => join(&group.down),
            count => format!("{count} of {}", some(&group.down)),
        },
        group.resumed.map_or("-", End::word).to_owned(),
        match (group.end, group.can_go_back) {
            (End::RolledBack, true) => "complete",
            (End::RolledBack, false) => "incomplete",
            (_, true) => "possible",
            (_, false) => "incomplete",
        }
        .to_owned(),
    ]
}

fn named(scenarios: &[String]) -> String {
    let more = scenarios.len().saturating_sub(NAMED);
    let first = scenarios[..scenarios.len().min(NAMED)].join("  ");
    match more {
        0 => first,
        more => format!("{first}  and {more} more"),
    }
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The first few.
fn some<T: ToString>(names: &BTreeSet<T>) -> String {
    let first: Vec<String> = names.iter().take(NAMED).map(T::to_string).collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{}, and {more} more", first.join(", ")),
    }
}

impl std::fmt::Display for Assumption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken { id, what } => {
                write!(
                    f,
                    "the condition of {id} is true (it reads {what}); each was also tried false"
                )
            }
            Self::Items { id, what, items } => write!(f, "{id} has {items} items (it reads {what})"),
            Self::NoTime { id, what } => write!(f, "{id} takes no time (it reads {what})"),
        }
    }
}

impl Story {
    /// The run for a terminal: what happened when, and what is left.
    pub fn to_text(&self, ending: &Ending) -> String {
        let mut text = String::new();
        let moments = self.timeline();
        let width = |time: &str| time.chars().count();
        let longest = moments
            .iter()
            .map(|moment| width(&moment.at.to_string()))
            .max()
            .unwrap_or(0);
        for moment in &moments {
            let time = moment.at.to_string();
            let _ = writeln!(text, "  +{time:<longest$}  {}", moment.what);
        }
        text.push('\n');
        for (name, value) in ending.facts() {
            let _ = writeln!(text, "{name:<14}{value}");
        }
        text
    }
}

impl Ending {
    /// What is left, by name; without what is empty.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let ids = |steps: &BTreeSet<StepId>| {
            let names: Vec<&str> = steps.iter().map(StepId::as_str).collect();
            names.join(", ")
        };
        let all = [
            ("end", self.end.word().to_owned()),
            ("changed", ids(&self.changed)),
            ("half-applied", ids(&self.half_applied)),
            ("undone", ids(&self.undone)),
            ("not undone", ids(&self.not_undone)),
            ("in doubt", ids(&self.in_doubt)),
            ("done twice", ids(&self.doubled)),
            ("down", join(&self.down)),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}
