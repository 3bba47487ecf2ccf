//! The account on a terminal. What matters most stands last, where the eye of a person at a terminal is.

use super::{
    Account, EventKind, FailureAccount, Note, NotificationAccount, PhaseAccount, StepAccount, TargetAccount,
    TargetState,
};
use caxplan_model::{RunEnd, StepId, Timestamp};
use std::fmt::Write as _;

/// The longest note in a list of steps, in characters; the whole of it stands in the log.
const NOTE_MAX: usize = 200;
/// A phase of more steps shows only those that did not end well, and counts the others.
const PHASE_STEPS_MAX: usize = 40;
/// A longer story shows its beginning and its end.
const EVENTS_MAX: usize = 60;
/// Of which the beginning has so many lines.
const EVENTS_FIRST: usize = 15;
/// Longer lists show their beginning and count the rest.
const LIST_MAX: usize = 15;

/// How an account is shown on a terminal.
#[derive(Clone, Copy)]
pub struct TextStyle<'a> {
    /// Whether to paint.
    pub color: bool,
    /// Whether to show everything, however long it is.
    pub all: bool,
    /// Writes a point in time with its date as its readers want it.
    pub time: &'a dyn Fn(Timestamp) -> String,
    /// The same without the date.
    pub clock: &'a dyn Fn(Timestamp) -> String,
}

impl Account {
    /// For a terminal.
    pub fn to_text(&self, style: TextStyle<'_>) -> String {
        let mut page = Page {
            out: String::new(),
            style,
        };
        page.head(self);
        for phase in &self.phases {
            page.phase(self, phase);
        }
        page.events(self);
        page.failures(&self.failures);
        let in_flight: Vec<String> = self.in_flight.iter().map(ToString::to_string).collect();
        page.list("In flight when the last record was written", &in_flight);
        page.notes("In doubt: nobody knows whether they acted", &self.in_doubt);
        page.targets(&self.targets);
        page.rollback(self);
        let told: Vec<String> = self
            .notifications
            .iter()
            .map(NotificationAccount::summary)
            .collect();
        page.list("Notifications", &told);
        page.notes("Waits for a person", &self.questions);
        if let Some(checkpoint) = &self.checkpoint {
            let _ = writeln!(page.out, "\nCheckpoint reached: {checkpoint}");
        }
        page.out
    }
}

struct Page<'a> {
    out: String,
    style: TextStyle<'a>,
}

impl Page<'_> {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn title(&mut self, text: &str) {
        let title = self.paint("1", text);
        self.line(&format!("\n{title}"));
    }

    fn head(&mut self, account: &Account) {
        let headline = format!("{} {}", account.plan, end_words(account.end));
        let headline = self.paint(end_color(account.end), &headline);
        self.line(&format!("{headline}: {}", account.reason));
        let by = if account.by.is_empty() {
            String::new()
        } else {
            format!(" by {}", account.by)
        };
        let line = format!(
            "started {}{by}, last record {}, {}",
            (self.style.time)(account.started),
            (self.style.time)(account.last),
            account.duration()
        );
        let line = self.paint("2", &line);
        self.line(&line);
    }

    fn phase(&mut self, account: &Account, phase: &PhaseAccount) {
        let length = phase
            .duration
            .map_or_else(String::new, |length| format!("  {length}"));
        let title = format!("{} {}", mark(phase.status), phase.name);
        let title = format!(
            "\n{}{}",
            self.paint(color_of(phase.status), &title),
            self.paint("2", &length)
        );
        self.line(&title);
        let folds = !self.style.all && phase.steps.len() > PHASE_STEPS_MAX;
        // What an ended run has not come to is counted, not listed; of a long phase, what went well too.
        let is_counted = |step: &StepAccount| {
            let not_reached = account.end.is_some() && step.status == "pending";
            let good = matches!(
                step.status,
                "succeeded" | "unchanged" | "skipped" | "undone" | "pending"
            );
            not_reached || (folds && good)
        };
        let (counted, mut listed): (Vec<&StepAccount>, Vec<&StepAccount>) =
            phase.steps.iter().partition(|step| is_counted(step));
        let mut left_out = 0;
        if folds && listed.len() > PHASE_STEPS_MAX {
            left_out = listed.len() - PHASE_STEPS_MAX;
            listed.truncate(PHASE_STEPS_MAX);
        }
        let width = listed
            .iter()
            .map(|step| step.name.chars().count())
            .max()
            .unwrap_or(0);
        for step in listed {
            let title = format!("{} {:width$}", mark(step.status), step.name);
            let title = self.paint(color_of(step.status), &title);
            let started = step.started.map(|at| format!("{}  ", (self.style.clock)(at)));
            let started = self.paint("2", &started.unwrap_or_default());
            self.line(&format!("  {title}  {started}{}", details(step)));
        }
        if left_out > 0 {
            let text = format!("… and {left_out} more that did not end well; --steps lists them");
            let text = self.paint("33", &text);
            self.line(&format!("  {text}"));
        }
        for status in ["succeeded", "unchanged", "undone", "skipped", "pending"] {
            let count = counted.iter().filter(|step| step.status == status).count();
            let words = if status == "pending" {
                "not reached"
            } else {
                status
            };
            let steps = if count == 1 { "step" } else { "steps" };
            if count > 0 {
                let more = if folds { "; --steps lists them" } else { "" };
                let text = format!("{} {count} {steps} {words}{more}", mark(status));
                let text = self.paint("2", &text);
                self.line(&format!("  {text}"));
            }
        }
    }

    fn events(&mut self, account: &Account) {
        self.title("What happened");
        let events = &account.events;
        let hidden = if self.style.all {
            0
        } else {
            events.len().saturating_sub(EVENTS_MAX)
        };
        for (number, event) in events.iter().enumerate() {
            if hidden > 0 && number == EVENTS_FIRST {
                let text = format!("  … {hidden} more events; --steps lists them");
                let text = self.paint("2", &text);
                self.line(&text);
            }
            if hidden > 0 && (EVENTS_FIRST..EVENTS_FIRST + hidden).contains(&number) {
                continue;
            }
            let at = (self.style.clock)(event.at);
            let at = self.paint("2", &at);
            let text = shortened(event.text.lines().next().unwrap_or_default());
            let text = self.paint(event_color(event.kind), &text);
            self.line(&format!("  {at}  {text}"));
        }
    }

    fn failures(&mut self, failures: &[FailureAccount]) {
        if failures.is_empty() {
            return;
        }
        self.title("What failed");
        let shown = if self.style.all { failures.len() } else { LIST_MAX };
        for failure in failures.iter().take(shown) {
            let on = failure
                .target
                .as_ref()
                .map(|on| format!(" on {on}"))
                .unwrap_or_default();
            let at = failure
                .at
                .map(|at| format!(", {}", (self.style.clock)(at)))
                .unwrap_or_default();
            let attempts = match failure.attempts {
                0 | 1 => String::new(),
                count => format!(", {count} attempts"),
            };
            let step = self.paint("31", failure.step.as_str());
            self.line(&format!("  {step}{on}{at}{attempts}: {}", failure.why));
            if failure.tolerated {
                self.line("    the plan tolerates it");
            }
            if failure.may_have_acted {
                self.line("    it may have changed something before it failed");
            }
            for line in &failure.output {
                self.line(&format!("    │ {line}"));
            }
            if let Some(hint) = &failure.hint {
                self.line(&format!("    hint: {hint}"));
            }
        }
        self.rest(failures.len(), shown);
    }

    fn notes(&mut self, title: &str, notes: &[Note]) {
        let lines: Vec<String> = notes
            .iter()
            .map(|note| format!("{}: {}", note.step, note.text))
            .collect();
        self.list(title, &lines);
    }

    fn list(&mut self, title: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.title(title);
        let shown = if self.style.all { lines.len() } else { LIST_MAX };
        for line in lines.iter().take(shown) {
            self.line(&format!("  {line}"));
        }
        self.rest(lines.len(), shown);
    }

    fn rest(&mut self, all: usize, shown: usize) {
        if all > shown {
            let text = format!("  … and {} more; --steps lists them", all - shown);
            let text = self.paint("2", &text);
            self.line(&text);
        }
    }

    fn targets(&mut self, targets: &[TargetAccount]) {
        if targets.is_empty() {
            return;
        }
        self.title("Targets");
        let width = targets
            .iter()
            .map(|target| target.name.chars().count())
            .max()
            .unwrap_or(0);
        let folds = !self.style.all && targets.len() > LIST_MAX;
        let is_whole = |target: &TargetAccount| match target.state {
            TargetState::Unchanged | TargetState::Undone | TargetState::Changed => true,
            TargetState::HalfApplied | TargetState::Unknown => false,
        };
        let (folded, listed): (Vec<&TargetAccount>, Vec<&TargetAccount>) =
            targets.iter().partition(|target| folds && is_whole(target));
        let shown = if self.style.all {
            listed.len()
        } else {
            PHASE_STEPS_MAX
        };
        for target in listed.iter().take(shown) {
            let state = format!("{:12}", target.state.words());
            let state = self.paint(target_color(target.state), &state);
            self.line(&format!(
                "  {:width$}  {state}  {}",
                target.name,
                target.summary()
            ));
        }
        self.rest(listed.len(), shown);
        for state in [TargetState::Changed, TargetState::Undone, TargetState::Unchanged] {
            let names: Vec<&str> = folded
                .iter()
                .filter(|target| target.state == state)
                .map(|target| target.name.as_str())
                .collect();
            if let [first, rest @ ..] = names.as_slice() {
                let others = match rest {
                    [] => String::new(),
                    [.., last] => format!(" … {last}"),
                };
                self.line(&format!("  {} {}: {first}{others}", names.len(), state.words()));
            }
        }
    }

    fn rollback(&mut self, account: &Account) {
        let plain = |steps: &[StepId]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        self.list("Undone, in this order", &plain(&account.undone));
        self.notes("Could not be undone", &account.undo_failed);
        let (to_undo, cannot) = if account.rolling_back {
            ("Still to be undone", "Left as it is: there is no way to undo it")
        } else {
            (
                "A rollback would undo, in this order",
                "A rollback could not undo",
            )
        };
        // A run that went well says only what it could not take back by itself.
        if account.rolling_back || account.end != Some(RunEnd::Succeeded) {
            self.list(to_undo, &plain(&account.to_undo));
            self.list(cannot, &plain(&account.cannot_undo));
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

fn event_color(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Failed | EventKind::UndoFailed => "31",
        EventKind::EngineDied
        | EventKind::Waiting
        | EventKind::Breached
        | EventKind::Cancelled
        | EventKind::Rollback
        | EventKind::PlanReplaced
        | EventKind::Retried => "33",
        EventKind::Started
        | EventKind::Resumed
        | EventKind::EndedWell
        | EventKind::Skipped
        | EventKind::Timer
        | EventKind::Answered
        | EventKind::Paused
        | EventKind::Undone
        | EventKind::Ended => "0",
    }
}

fn target_color(state: TargetState) -> &'static str {
    match state {
        TargetState::Unchanged => "2",
        TargetState::Undone => "33",
        TargetState::Changed => "32",
        TargetState::HalfApplied | TargetState::Unknown => "31",
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
