//! The account on a terminal.

use super::{Account, NotificationAccount, StepAccount};
use caxplan_model::{RunEnd, StepId, Timestamp};
use std::fmt::Write as _;

/// The longest note in a list of steps, in characters; the whole of it stands in the log.
const NOTE_MAX: usize = 200;

impl Account {
    /// For a terminal. `time` writes a point in time as its readers want it.
    pub fn to_text(&self, color: bool, time: &dyn Fn(Timestamp) -> String) -> String {
        let paint = |code: &str, text: &str| {
            if color {
                format!("\u{1b}[{code}m{text}\u{1b}[0m")
            } else {
                text.to_owned()
            }
        };
        let mut out = String::new();
        let headline = format!("{} {}", self.plan, end_words(self.end));
        let _ = writeln!(out, "{}: {}", paint(end_color(self.end), &headline), self.reason);
        let by = if self.by.is_empty() {
            String::new()
        } else {
            format!(" by {}", self.by)
        };
        let line = format!(
            "started {}{by}, last record {}, {}",
            time(self.started),
            time(self.last),
            self.duration()
        );
        let _ = writeln!(out, "{}", paint("2", &line));
        for phase in &self.phases {
            let length = phase
                .duration
                .map_or_else(String::new, |length| format!("  {length}"));
            let title = format!("{} {}", mark(phase.status), phase.name);
            let _ = writeln!(
                out,
                "\n{}{}",
                paint(color_of(phase.status), &title),
                paint("2", &length)
            );
            self.list_steps(&mut out, &phase.steps, &paint);
        }
        if !self.targets.is_empty() {
            let _ = writeln!(out, "\n{}", paint("1", "Targets"));
            let width = self
                .targets
                .iter()
                .map(|target| target.name.chars().count())
                .max();
            for target in &self.targets {
                let name = format!("{:width$}", target.name, width = width.unwrap_or(0));
                let _ = writeln!(out, "  {name}  {}", target.summary());
            }
        }
        let mut list = |title: &str, lines: &mut dyn Iterator<Item = String>| {
            let mut lines = lines.peekable();
            if lines.peek().is_some() {
                let _ = writeln!(out, "\n{}", paint("1", title));
            }
            for line in lines {
                let _ = writeln!(out, "  {line}");
            }
        };
        let plain = |steps: &[StepId]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        let with = |steps: &[(StepId, String)]| {
            let line = |(step, text): &(StepId, String)| format!("{step}: {text}");
            steps.iter().map(line).collect::<Vec<_>>()
        };
        list(
            "In doubt: nobody knows whether they acted",
            &mut plain(&self.in_doubt).into_iter(),
        );
        list("Waits for a person", &mut with(&self.questions).into_iter());
        list("Undone, in this order", &mut plain(&self.undone).into_iter());
        list("Could not be undone", &mut with(&self.undo_failed).into_iter());
        list("Still to be undone", &mut plain(&self.to_undo).into_iter());
        list(
            "Left as it is: there is no way to undo it",
            &mut plain(&self.cannot_undo).into_iter(),
        );
        list(
            "Notifications",
            &mut self.notifications.iter().map(NotificationAccount::summary),
        );
        if let Some(checkpoint) = &self.checkpoint {
            let _ = writeln!(out, "\nCheckpoint reached: {checkpoint}");
        }
        out
    }

    fn list_steps(&self, out: &mut String, steps: &[StepAccount], paint: &dyn Fn(&str, &str) -> String) {
        // What an ended run has not come to is counted, not listed.
        let is_shown = |step: &&StepAccount| self.end.is_none() || step.status != "pending";
        let width = steps
            .iter()
            .filter(is_shown)
            .map(|step| step.name.chars().count());
        let width = width.max().unwrap_or(0);
        for step in steps.iter().filter(is_shown) {
            let title = format!("{} {:width$}", mark(step.status), step.name);
            let _ = writeln!(
                out,
                "  {}  {}",
                paint(color_of(step.status), &title),
                details(step)
            );
        }
        match steps.len() - steps.iter().filter(is_shown).count() {
            0 => {}
            1 => {
                let _ = writeln!(out, "  {}", paint("2", "· 1 step not reached"));
            }
            count => {
                let _ = writeln!(out, "  {}", paint("2", &format!("· {count} steps not reached")));
            }
        }
    }
}

fn details(step: &StepAccount) -> String {
    let mut parts = vec![step.status.replace('_', " ")];
    if let Some(target) = &step.target {
        parts.push(format!("on {target}"));
    }
    if step.attempts > 1 {
        parts.push(format!("{} attempts", step.attempts));
    }
    if let Some(duration) = step.duration {
        parts.push(duration.to_string());
    }
    let mut line = parts.join(", ");
    if let Some(note) = &step.note {
        let note = note.lines().next().unwrap_or_default();
        let _ = write!(line, " — {}", shortened(note));
    }
    line
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= NOTE_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(NOTE_MAX).collect();
    format!("{start}…")
}

pub(super) fn end_words(end: Option<RunEnd>) -> &'static str {
    match end {
        Some(RunEnd::Succeeded) => "succeeded",
        Some(RunEnd::Failed) => "failed",
        Some(RunEnd::RolledBack) => "was rolled back",
        Some(RunEnd::Stuck) => "is stuck",
        Some(RunEnd::Waiting) => "waits",
        Some(RunEnd::Cancelled) => "was cancelled",
        None => "has no end",
    }
}

fn end_color(end: Option<RunEnd>) -> &'static str {
    match end {
        Some(RunEnd::Succeeded) => "1;32",
        Some(RunEnd::Failed | RunEnd::Stuck) => "1;31",
        Some(RunEnd::RolledBack | RunEnd::Waiting | RunEnd::Cancelled) | None => "1;33",
    }
}

/// One sign per status, so that a list can be read without colour.
pub(super) fn mark(status: &str) -> &'static str {
    match status {
        "succeeded" | "unchanged" => "✓",
        "failed" | "undo_failed" => "✗",
        "skipped" => "–",
        "undone" => "↩",
        "in_doubt" => "?",
        "waiting" => "…",
        "running" | "retrying" => "▸",
        _ => "·",
    }
}

fn color_of(status: &str) -> &'static str {
    match status {
        "succeeded" => "32",
        "failed" | "undo_failed" => "31",
        "in_doubt" | "waiting" | "undone" => "33",
        "running" | "retrying" => "36",
        _ => "2",
    }
}
