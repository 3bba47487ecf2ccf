//! The preview on a terminal.

use super::markdown::plain;
use super::{Change, Down, Entry, IN_ORDER, Preview};
use caxplan_model::{
    IfHeld, LockPolicy, Map, NodeIndex, Notification, OnFailure, RunEnd, Schedule, StepId, Value,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The longest argument that is shown, in characters.
const ARGUMENT_MAX: usize = 60;

/// Who is told of what: `failed or stuck by notify.webhook`.
fn told(notification: &Notification) -> String {
    let ends = match notification.on.len() == RunEnd::ALL.len() {
        true => "every end".to_owned(),
        false => {
            let words: Vec<&str> = notification.on.iter().map(|end| end.word()).collect();
            words.join(" or ").replace('_', " ")
        }
    };
    format!("{ends} by {}", notification.call.action)
}

/// One line of a rendering: an entry, and the names of the siblings that are folded into it.
pub(super) struct Line<'a> {
    pub(super) entry: &'a Entry,
    pub(super) folded: Vec<&'a str>,
}

/// What becomes of a run that finds a lock held, if a plan says something of it.
fn if_held(policy: LockPolicy) -> Option<String> {
    let becomes = match (policy.if_held, policy.wait_max) {
        (IfHeld::Refuse, _) if policy.holders == 1 => return None,
        (IfHeld::Refuse, _) => "it is refused".to_owned(),
        (IfHeld::Skip, _) => "it is left out".to_owned(),
        (IfHeld::Queue, None) => "it waits its turn".to_owned(),
        (IfHeld::Queue, Some(max)) => format!("it waits its turn, {max} at most"),
    };
    Some(match policy.holders {
        1 => becomes,
        holders => format!("by {holders} runs, {becomes}"),
    })
}

impl Preview {
    /// For a terminal: what a reviewer reads before saying yes.
    pub fn to_tree(&self, color: bool) -> String {
        let paint = |code: &str, text: &str| {
            if color && !text.is_empty() {
                format!("\u{1b}[{code}m{text}\u{1b}[0m")
            } else {
                text.to_owned()
            }
        };
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{}  {}",
            paint("1", &self.plan),
            paint("2", &self.digest.short())
        );
        if !self.description.is_empty() {
            let _ = writeln!(out, "{}", self.description.trim());
        }
        let lines = self.lines();
        for (line, branches) in lines.iter().zip(branches(&lines)) {
            let entry = line.entry;
            let sign = paint(color_of(entry.change), sign(entry));
            let name = if entry.group {
                paint("1", &entry.name)
            } else {
                entry.name.to_string()
            };
            let _ = write!(out, "{}{sign} {name}", paint("2", &branches));
            if let Some(target) = &entry.target {
                let _ = write!(out, " {}", paint("36", &format!("@{target}")));
            }
            if entry.what != IN_ORDER {
                let _ = write!(out, "  {}", paint("2", &entry.what));
            }
            let arguments = arguments(&entry.arguments);
            if !arguments.is_empty() {
                let _ = write!(out, " {}", paint("2", &arguments));
            }
            let mut summary = entry.summary.lines();
            if let Some(line) = summary.next() {
                let _ = write!(out, "  {}", plain(line));
            }
            for remark in remarks(entry) {
                let _ = write!(out, "  {}", paint("33", &format!("[{remark}]")));
            }
            if !line.folded.is_empty() {
                let _ = write!(
                    out,
                    "  {}",
                    paint("2", &format!("(same for {})", line.folded.join(", ")))
                );
            }
            out.push('\n');
            for detail in summary {
                let color = match detail.chars().next() {
                    Some('+') => "32",
                    Some('-') => "31",
                    _ => "2",
                };
                let indent = "│  ".repeat(entry.depth as usize);
                let _ = writeln!(
                    out,
                    "{}     {}",
                    paint("2", &indent),
                    paint(color, &plain(detail))
                );
            }
        }
        out.push('\n');
        for (label, value) in self.facts() {
            let _ = writeln!(out, "{}  {value}", paint("1", &format!("{label:<25}")));
        }
        out
    }

    /// What is to be known of the plan as a whole: a label and a value each.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let changes = self.changes;
        let mut facts = vec![(
            "Changes",
            format!(
                "{} would change something, {} would not, {} unknown until run, {} only read{}",
                changes.would,
                changes.would_not,
                changes.unknown,
                changes.never,
                match changes.skipped {
                    0 => String::new(),
                    skipped => format!(", {skipped} skipped"),
                }
            ),
        )];
        let mut list = |label: &'static str, items: Vec<String>| {
            if !items.is_empty() {
                facts.push((label, items.join(", ")));
            }
        };
        list("Targets down at once", vec![self.down.to_string()]);
        list("Cannot be rolled back", gathered(&self.cannot_undo));
        list("In doubt after a crash", gathered(&self.in_doubt));
        let with = |items: &[(StepId, String)]| {
            let item = |(step, text): &(StepId, String)| format!("{step} ({text})");
            items.iter().map(item).collect::<Vec<_>>()
        };
        list(
            "So many by",
            self.down_timeline
                .iter()
                .filter(|_| self.down > Down::AtMost { count: 1 })
                .map(ToString::to_string)
                .collect(),
        );
        list(
            "Usually takes",
            self.expected.iter().map(ToString::to_string).collect(),
        );
        list("Takes at most", vec![self.worst.to_string()]);
        list("Takes its time", with(&self.times));
        list("Waits for a person", with(&self.questions));
        list(
            "Scheduled",
            self.schedule
                .iter()
                .map(|schedule| times(schedule, self.next_due.as_deref()))
                .collect(),
        );
        list("Locks", self.locks.iter().map(ToString::to_string).collect());
        if !self.locks.is_empty() {
            list(
                "If a lock is held",
                if_held(self.lock_policy).into_iter().collect(),
            );
        }
        list("Tells", self.notify.iter().map(told).collect());
        list("On failure", vec![policy(self.on_failure).to_owned()]);
        facts
    }

    /// The entries that are shown: elements of a loop that are like an earlier one are folded into it.
    pub(super) fn lines(&self) -> Vec<Line<'_>> {
        let mut folded: BTreeMap<NodeIndex, Vec<&str>> = BTreeMap::new();
        for entry in &self.entries {
            if let Some(first) = entry.like {
                folded.entry(first).or_default().push(&entry.name);
            }
        }
        let mut lines = Vec::new();
        let mut hidden_below: Option<u32> = None;
        for entry in &self.entries {
            if hidden_below.is_some_and(|depth| entry.depth > depth) {
                continue;
            }
            hidden_below = entry.like.map(|_| entry.depth);
            if entry.like.is_none() {
                let folded = folded.remove(&entry.node).unwrap_or_default();
                lines.push(Line { entry, folded });
            }
        }
        lines
    }
}

/// When a plan runs by itself.
fn times(schedule: &Schedule, next: Option<&str>) -> String {
    let zone = schedule.timezone.as_deref().unwrap_or("UTC");
    let next = next.map_or(String::new(), |next| format!(", next at {next}"));
    format!("{} ({zone}){next}", schedule.cron)
}

/// The branches of the tree in front of each line.
fn branches(lines: &[Line<'_>]) -> Vec<String> {
    // From the last line up: the levels at which another line follows before one above it.
    let mut goes_on: Vec<bool> = Vec::new();
    let mut all: Vec<String> = lines
        .iter()
        .rev()
        .map(|line| {
            let depth = line.entry.depth as usize;
            goes_on.resize(depth + 1, false);
            let text = (1..=depth).map(|level| match (level == depth, goes_on[level]) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            });
            let text = text.collect();
            goes_on[depth] = true;
            text
        })
        .collect();
    all.reverse();
    all
}

/// One sign per kind of change, so that the tree can be read without colour.
pub(super) fn sign(entry: &Entry) -> &'static str {
    match entry.change {
        Some(Change::Would) => "~",
        Some(Change::WouldNot) => "=",
        Some(Change::Unknown) => "?",
        Some(Change::Never) => "·",
        Some(Change::Skipped) => "-",
        None if entry.group => "▪",
        None => "⏸",
    }
}

fn color_of(change: Option<Change>) -> &'static str {
    match change {
        Some(Change::Would) => "33",
        Some(Change::WouldNot) => "32",
        Some(Change::Unknown) => "35",
        Some(Change::Never | Change::Skipped) | None => "2",
    }
}

/// What a reviewer must not miss of a step.
pub(super) fn remarks(entry: &Entry) -> Vec<String> {
    let mut remarks = Vec::new();
    match (entry.change, &entry.when) {
        // The reason says it.
        (Some(Change::Skipped), _) | (_, None) => {}
        (_, Some(when)) => remarks.push(format!("when {when}")),
    }
    if let Some(usual) = &entry.usual {
        remarks.push(format!("usually {usual}"));
    }
    for because in &entry.because {
        remarks.push(match entry.change {
            Some(Change::Skipped) => format!("skipped: {because}"),
            _ => format!("unknown: {because}"),
        });
    }
    if !entry.needs.is_empty() {
        let needs: Vec<&str> = entry
            .needs
            .iter()
            .map(|need| need.as_str().rsplit('/').next().unwrap_or_default())
            .collect();
        remarks.push(format!("after {}", needs.join(", ")));
    }
    if entry.can_undo == Some(false) {
        remarks.push("cannot be rolled back".to_owned());
    }
    if let Some(on_failure) = entry.on_failure {
        remarks.push(format!("on failure: {}", policy(on_failure)));
    }
    if let Some(checkpoint) = &entry.checkpoint {
        remarks.push(format!("checkpoint {checkpoint}"));
    }
    remarks
}

pub(super) fn policy(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Stop => "stop, can be resumed",
        OnFailure::Rollback => "roll back",
        OnFailure::Continue => "go on",
        OnFailure::Pause => "pause for a person",
    }
}

/// Arguments in one line: `version=1.1.0 timeout=5m`.
pub(super) fn arguments(arguments: &Map) -> String {
    let one = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => plain(&text.split_whitespace().collect::<Vec<_>>().join(" ")),
            value => value.to_string(),
        };
        if text.chars().count() > ARGUMENT_MAX {
            let start: String = text.chars().take(ARGUMENT_MAX).collect();
            format!("{name}={start}…")
        } else {
            format!("{name}={text}")
        }
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Steps for a list: those of one phase that share their name, as the elements of a loop do, are counted together.
fn gathered(steps: &[StepId]) -> Vec<String> {
    let mut groups: Vec<((&str, &str), u32, &StepId)> = Vec::new();
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for step in steps {
        let path = step.as_str();
        let key = (
            path.split('/').next().unwrap_or_default(),
            path.rsplit('/').next().unwrap_or_default(),
        );
        match places.get(&key) {
            Some(place) => groups[*place].1 += 1,
            None => {
                places.insert(key, groups.len());
                groups.push((key, 1, step));
            }
        }
    }
    let text = |((phase, name), count, first): ((&str, &str), u32, &StepId)| match count {
        1 => first.to_string(),
        count => format!("{phase}/…/{name} ({count} times)"),
    };
    groups.into_iter().map(text).collect()
}
