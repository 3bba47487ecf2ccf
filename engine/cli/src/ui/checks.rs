//! What monitors and alert rules saw.

use super::{Listing, Paint, Table, date_time, print};
use caxplan_core::load::Monitor;
use caxplan_core::monitor::Change;
use caxplan_model::{RunEnd, Timestamp};
use caxplan_run::{Action, Answer, Decided, Verdict, utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One check of a monitor, or one alert rule, with what was seen.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    name: String,
    answer: Answer,
    /// Of an alert rule.
    alert: Option<Alert>,
}

#[derive(Clone, Debug)]
struct Alert {
    severity: &'static str,
    /// Why it is not known where the alert stands, if it is not.
    decided: Result<Decided, String>,
}

impl Line {
    /// A check of a monitor.
    pub(crate) fn of_monitor(name: &str, answer: Answer) -> Self {
        Self {
            name: name.to_owned(),
            answer,
            alert: None,
        }
    }

    /// An alert rule.
    pub(crate) fn of_alert(
        name: &str,
        severity: &'static str,
        answer: Answer,
        decided: Result<Decided, String>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            answer,
            alert: Some(Alert { severity, decided }),
        }
    }

    /// Whether nobody needs to look.
    pub(crate) fn is_well(&self) -> bool {
        match &self.alert {
            None => self.answer.verdict == Verdict::Holds,
            Some(_) => {
                self.answer.verdict == Verdict::HoldsNot && self.state() == "ok" && self.problem().is_none()
            }
        }
    }

    /// The verdict, or where the alert stands, in one word or two.
    fn state(&self) -> &'static str {
        match &self.alert {
            None => match self.answer.verdict {
                Verdict::Holds => "well",
                Verdict::HoldsNot => "not well",
                Verdict::Unknown => "unknown",
            },
            Some(Alert { decided: Err(_), .. }) => "unknown",
            Some(Alert {
                decided: Ok(decided), ..
            }) => match (decided.standing.word(), self.answer.verdict) {
                ("ok", Verdict::Unknown) => "unknown",
                (word, _) => word,
            },
        }
    }

    fn decided(&self) -> Option<&Decided> {
        self.alert.as_ref()?.decided.as_ref().ok()
    }

    /// What became of the action, shortly.
    fn action(&self) -> String {
        match self.decided().map(|decided| &decided.action) {
            None | Some(Action::None) => String::new(),
            Some(Action::Done(run) | Action::DoneBefore(run)) => format!("run {run} succeeded"),
            Some(Action::NotDone(run, end)) => format!("run {run} {}", super::end_word(*end)),
            Some(Action::GivenUp(run)) => format!("run {run} did not succeed"),
            Some(Action::NotStarted(_)) => "could not be started".to_owned(),
            Some(Action::Busy) => "going on elsewhere".to_owned(),
        }
    }

    /// What a person must know beside what was seen.
    pub(crate) fn problem(&self) -> Option<String> {
        let alert = self.alert.as_ref()?;
        let name = &self.name;
        match &alert.decided {
            Err(message) => Some(format!("{name}: {message}; nothing was done")),
            Ok(decided) => match &decided.action {
                Action::None | Action::Done(_) | Action::DoneBefore(_) | Action::Busy => None,
                Action::NotDone(run, RunEnd::Failed) => Some(format!(
                    "{name} fires, and its action failed: `caxplan show {run}` says why; the next check tries again"
                )),
                Action::NotDone(run, end) => Some(format!(
                    "{name} fires, and its action is {}: `caxplan show {run}` says what to do",
                    super::end_word(*end)
                )),
                Action::NotStarted(why) => Some(format!(
                    "{name} fires, and its action could not be started: {why}; the next check tries again"
                )),
                Action::GivenUp(run) => Some(format!(
                    "{name} is over, and its action never succeeded: `caxplan show {run}` says why"
                )),
            },
        }
    }

    fn as_data(&self) -> Value {
        let Some(alert) = &self.alert else {
            return json!({
                "monitor": self.name,
                "check": self.answer.check,
                "verdict": self.state(),
                "seen": self.answer.seen,
            });
        };
        let decided = self.decided();
        let standing = decided.map(|decided| &decided.standing);
        json!({
            "alert": self.name,
            "severity": alert.severity,
            "condition": self.answer.check,
            "state": self.state(),
            "change": decided.and_then(|decided| decided.change),
            "since": standing.and_then(|standing| standing.since()).map(utc),
            "seen": self.answer.seen,
            "run": standing.and_then(|standing| standing.run()),
            "action": match self.action() {
                text if text.is_empty() => Value::Null,
                text => text.into(),
            },
            "problem": self.problem(),
        })
    }
}

/// All lines as data.
pub(crate) fn as_data(lines: &[Line]) -> Vec<Value> {
    lines.iter().map(Line::as_data).collect()
}

/// All lines as a table.
pub(crate) fn tables(lines: &[Line]) -> String {
    if lines.iter().any(|line| line.alert.is_some()) {
        let mut table = Table::new([
            "ALERT",
            "SEVERITY",
            "CONDITION",
            "STATE",
            "SINCE",
            "SEEN",
            "ACTION",
        ]);
        for line in lines {
            let since = line.decided().and_then(|decided| decided.standing.since());
            table.row([
                line.name.clone(),
                line.alert.as_ref().map_or("", |alert| alert.severity).to_owned(),
                line.answer.check.clone(),
                line.state().to_owned(),
                since.map(date_time).unwrap_or_default(),
                line.answer.seen.clone(),
                line.action(),
            ]);
        }
        return table.render();
    }
    let mut table = Table::new(["MONITOR", "CHECK", "VERDICT", "SEEN"]);
    for line in lines {
        table.row([
            line.name.clone(),
            line.answer.check.clone(),
            line.state().to_owned(),
            line.answer.seen.clone(),
        ]);
    }
    table.render()
}

/// How many monitors or rules, in words.
pub(crate) fn count(monitors: &[Monitor]) -> String {
    let what = match monitors.first() {
        Some(first) if first.rule.is_some() => "alert rule",
        Some(_) | None => "monitor",
    };
    match monitors.len() {
        1 => format!("one {what}"),
        number => format!("{number} {what}s"),
    }
}

/// Shows what changes from look to look.
pub(crate) struct LiveLines {
    output: Listing,
    /// What was shown of each check last.
    shown: BTreeMap<(String, String), String>,
}

impl LiveLines {
    /// Nothing was shown yet.
    pub(crate) fn new(output: Listing) -> Self {
        Self {
            output,
            shown: BTreeMap::new(),
        }
    }

    /// Shows those of which the state is another than before; of a first look, those that are not well.
    pub(crate) fn show(&mut self, lines: Vec<Line>, now: Timestamp) {
        for line in lines {
            let state = [
                line.state().to_owned(),
                line.action(),
                line.problem().unwrap_or_default(),
            ]
            .join("|");
            let key = (line.name.clone(), line.answer.check.clone());
            let before = self.shown.insert(key, state.clone());
            let is_new = match before {
                Some(before) => before != state,
                None => !line.is_well(),
            };
            if is_new {
                self.print(&line, now);
            }
        }
    }

    fn print(&self, line: &Line, now: Timestamp) {
        if self.output == Listing::Json {
            let mut data = line.as_data();
            data["at"] = utc(now).into();
            return print(&format!("{data}\n"));
        }
        let paint = Paint::for_stdout();
        let resolved = line
            .decided()
            .is_some_and(|decided| decided.change == Some(Change::Resolved));
        let state = match line.state() {
            "ok" if resolved => paint.green("resolved"),
            state @ ("well" | "ok") => paint.green(state),
            state @ "pending" => paint.yellow(state),
            state => paint.red(state),
        };
        let severity = line
            .alert
            .as_ref()
            .map(|alert| format!("{} ", alert.severity))
            .unwrap_or_default();
        let mut text = format!(
            "{}  {severity}{}  {}  {state}: {}",
            date_time(now),
            line.name,
            line.answer.check,
            line.answer.seen
        );
        for more in [Some(line.action()), line.problem()].into_iter().flatten() {
            if !more.is_empty() {
                text.push_str(&format!("; {more}"));
            }
        }
        print(&format!("{text}\n"));
    }
}
