//! The account as a Markdown report.

use super::text::{end_words, mark};
use super::{Account, Note, NotificationAccount};
use caxplan_model::{StepId, Timestamp};
use std::fmt::Write as _;

impl Account {
    /// For a file. `figures` are what the plan wants to be seen first: a label and a value each. `time` writes a point
    /// in time as its readers want it.
    pub fn to_markdown(
        &self,
        title: &str,
        figures: &[(String, String)],
        time: &dyn Fn(Timestamp) -> String,
    ) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# {}\n", line(title));
        // A report that a step of the run itself writes cannot know the end.
        if self.end.is_some() {
            let words = end_words(self.end);
            let _ = writeln!(
                out,
                "The run of `{}` {words}: {}.\n",
                self.plan,
                line(&self.reason)
            );
        }
        let mut rows = vec![
            ("Plan".to_owned(), self.plan.clone()),
            ("Started".to_owned(), time(self.started)),
            ("Duration".to_owned(), self.duration().to_string()),
        ];
        if !self.by.is_empty() {
            rows.insert(1, ("Started by".to_owned(), self.by.clone()));
        }
        if let Some(checkpoint) = &self.checkpoint {
            rows.push(("Checkpoint reached".to_owned(), checkpoint.to_string()));
        }
        let _ = writeln!(out, "| Figure | Value |\n|---|---|");
        for (label, value) in figures.iter().chain(&rows) {
            let _ = writeln!(out, "| {} | {} |", cell(label), cell(value));
        }
        self.steps(&mut out);
        if !self.targets.is_empty() {
            let _ = writeln!(out, "\n## Targets\n\n| Target | State |\n|---|---|");
            for target in &self.targets {
                let state = format!("{}: {}", target.state.words(), target.summary());
                let _ = writeln!(out, "| {} | {} |", cell(&target.name), cell(&state));
            }
        }
        let plain = |steps: &[StepId]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        let with = |notes: &[Note]| {
            let entry = |note: &Note| format!("{}: {}", note.step, note.text);
            notes.iter().map(entry).collect::<Vec<_>>()
        };
        list(&mut out, "In doubt", &with(&self.in_doubt));
        list(&mut out, "Waits for a person", &with(&self.questions));
        list(&mut out, "Undone", &plain(&self.undone));
        list(&mut out, "Could not be undone", &with(&self.undo_failed));
        if self.rolling_back {
            list(&mut out, "Still to be undone", &plain(&self.to_undo));
            list(&mut out, "Cannot be undone", &plain(&self.cannot_undo));
        }
        let told: Vec<String> = self
            .notifications
            .iter()
            .map(NotificationAccount::summary)
            .collect();
        list(&mut out, "Notifications", &told);
        out
    }

    fn steps(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "\n## Steps\n\n| Phase | Step | Target | Result | Attempts | Duration | Note |\n|---|---|---|---|--:|--:|---|"
        );
        for phase in &self.phases {
            for step in &phase.steps {
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {} {} | {} | {} | {} |",
                    cell(&phase.name),
                    cell(&step.name),
                    cell(step.target.as_deref().unwrap_or("")),
                    mark(step.status),
                    step.status.replace('_', " "),
                    if step.attempts > 0 {
                        step.attempts.to_string()
                    } else {
                        String::new()
                    },
                    step.duration
                        .map_or_else(String::new, |duration| duration.to_string()),
                    cell(step.note.as_deref().unwrap_or("")),
                );
            }
        }
    }
}

fn list(out: &mut String, title: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {title}\n");
    for entry in entries {
        let _ = writeln!(out, "- {}", line(entry));
    }
}

/// A text that cannot break out of its line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text that cannot break out of its cell.
fn cell(text: &str) -> String {
    line(text).replace('\\', "\\\\").replace('|', "\\|")
}
