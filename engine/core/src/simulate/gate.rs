//! What must not be found: the gate for CI.

use super::ending::End;
use super::findings::{Findings, Row};
use caxplan_model::Duration;
use serde::Serialize;

/// What must not be found.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// No scenario may have one of these.
    pub troubles: Vec<Trouble>,
    /// From at least this share of failures, in percent, there must be a way back.
    pub rollback_coverage: Option<f64>,
    /// No more targets than this may be down at once.
    pub down_max: Option<u32>,
    /// No scenario may take longer.
    pub duration_max: Option<Duration>,
}

/// What a scenario may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// An undo fails, and a person must look.
    Stuck,
    /// A person must say what became of a step.
    InDoubt,
    /// A rollback does not bring everything back.
    NotUndone,
    /// The run leaves a target down.
    Down,
    /// The run leaves the effect of a step there in part.
    HalfApplied,
    /// A step that is not idempotent acts twice.
    Twice,
    /// Resuming, with nothing going wrong any more, does not lead to success.
    NotResumable,
    /// Scenarios were left out.
    LeftOut,
}

impl Trouble {
    /// For a person.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::InDoubt => "in doubt",
            Self::NotUndone => "not all undone",
            Self::Down => "targets left down",
            Self::HalfApplied => "half-applied",
            Self::Twice => "done twice",
            Self::NotResumable => "not resumable",
            Self::LeftOut => "left out",
        }
    }

    /// Whether a scenario came to it.
    pub fn is_in(self, row: &Row) -> bool {
        let ending = &row.ending;
        match self {
            Self::Stuck => ending.end == End::Stuck,
            Self::InDoubt => ending.end == End::InDoubt,
            Self::NotUndone => !ending.not_undone.is_empty(),
            Self::Down => !ending.down.is_empty(),
            Self::HalfApplied => !ending.half_applied.is_empty(),
            Self::Twice => !ending.doubled.is_empty(),
            Self::NotResumable => row
                .resumed
                .is_some_and(|end| !matches!(end, End::Succeeded | End::RolledBack)),
            Self::LeftOut => false,
        }
    }
}

impl Gate {
    /// What was found and must not be, one line each, with a scenario that shows it. Faults of caxplan itself are always
    /// among it.
    pub fn objections(&self, findings: &Findings) -> Vec<String> {
        let mut objections = Vec::new();
        let mut object = |what: &str, is_in: &dyn Fn(&Row) -> bool| {
            let mut rows = findings.rows.iter().filter(|row| is_in(row));
            if let Some(first) = rows.next() {
                let count = 1 + rows.count();
                let plural = if count == 1 { "" } else { "s" };
                objections.push(format!("{what}: {count} scenario{plural}, such as {}", first.id));
            }
        };
        object(End::Faulty.word(), &|row| row.ending.end == End::Faulty);
        for trouble in &self.troubles {
            object(trouble.word(), &|row| trouble.is_in(row));
        }
        if self.troubles.contains(&Trouble::LeftOut) && findings.left_out > 0 {
            objections.push(format!(
                "left out: {} scenarios, because of the limit",
                findings.left_out
            ));
        }
        let coverage = findings.rollback.percent();
        if let Some(least) = self.rollback_coverage
            && coverage < least
        {
            let first = findings
                .rows
                .iter()
                .find(|row| row.is_to_be_undone() && !row.left_by_rollback.is_empty());
            let example = first.map_or_else(String::new, |row| {
                let steps: Vec<&str> = row.left_by_rollback.iter().map(|step| step.as_str()).collect();
                format!(", such as {}, which leaves {}", row.id, steps.join(", "))
            });
            objections.push(format!(
                "rollback coverage: {coverage:.1}%, expected at least {least}%{example}"
            ));
        }
        let down = findings.most_down.value.len();
        if let Some(most) = self.down_max
            && down > most as usize
        {
            let names: Vec<&str> = findings.most_down.value.iter().map(String::as_str).collect();
            objections.push(format!(
                "targets down at once: {down} ({}) in {}, expected at most {most}",
                names.join(", "),
                findings.most_down.scenario
            ));
        }
        if let Some(most) = self.duration_max
            && findings.longest.value > most
        {
            objections.push(format!(
                "duration: {} in {}, expected at most {most}",
                findings.longest.value, findings.longest.scenario
            ));
        }
        objections
    }
}
