//! What systemd says of a unit.

use crate::arguments::UnitName;
use caxplan_model::{Cause, FailureKind, Value};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use zbus::OwnedVariant;

/// `SIGCHLD`'s code for a process that exited; the others mean that a signal ended it.
const CLD_EXITED: i32 = 1;

/// The state of a unit at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UnitState {
    pub(crate) unit: String,
    pub(crate) load_state: String,
    /// Why it could not be loaded.
    pub(crate) load_error: String,
    pub(crate) active_state: String,
    pub(crate) sub_state: String,
    pub(crate) unit_file_state: String,
    /// The same for as long as the unit is not started anew; empty if it never was.
    pub(crate) invocation_id: String,
    /// When it came to its active state, or left it: microseconds since 1970, 0 if never.
    active_enter_us: u64,
    inactive_enter_us: u64,
    /// Whether a job for it is not done yet.
    pub(crate) has_job: bool,
    pub(crate) can_reload: bool,
    pub(crate) need_reload: bool,
    /// Where its file lies; empty if it has none.
    pub(crate) fragment: String,
    pub(crate) drop_ins: Vec<String>,
    // Of services only.
    pub(crate) service_type: String,
    pub(crate) result: String,
    pub(crate) main_pid: u32,
    pub(crate) restarts: u32,
    exit_code: i32,
    exit_status: i32,
}

impl UnitState {
    /// A template can be enabled, but never runs.
    pub(crate) fn of_template(unit: &UnitName) -> Self {
        Self {
            unit: unit.to_string(),
            load_state: "template".to_owned(),
            active_state: "inactive".to_owned(),
            sub_state: "dead".to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn of_properties(unit: &UnitName, properties: &HashMap<String, OwnedVariant>) -> Self {
        let text = |name: &str| {
            let value = properties
                .get(name)
                .and_then(|value| value.downcast_ref::<&str>().ok());
            value.unwrap_or_default().to_owned()
        };
        let number = |name: &str| {
            properties
                .get(name)
                .and_then(|value| u64::try_from(value).ok())
                .unwrap_or(0)
        };
        let small = |name: &str| {
            properties
                .get(name)
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(0)
        };
        let signed = |name: &str| {
            properties
                .get(name)
                .and_then(|value| i32::try_from(value).ok())
                .unwrap_or(0)
        };
        let flag = |name: &str| {
            properties
                .get(name)
                .and_then(|value| bool::try_from(value).ok())
                .unwrap_or(false)
        };
        fn owned<T: TryFrom<OwnedVariant>>(
            properties: &HashMap<String, OwnedVariant>,
            name: &str,
        ) -> Option<T> {
            T::try_from(properties.get(name)?.try_clone().ok()?).ok()
        }
        let invocation: Vec<u8> = owned(properties, "InvocationID").unwrap_or_default();
        let job: Option<(u32, zbus::OwnedObjectPath)> = owned(properties, "Job");
        let load_error: Option<(String, String)> = owned(properties, "LoadError");
        Self {
            unit: unit.to_string(),
            load_state: text("LoadState"),
            load_error: load_error.map(|(_, text)| text).unwrap_or_default(),
            active_state: text("ActiveState"),
            sub_state: text("SubState"),
            unit_file_state: text("UnitFileState"),
            invocation_id: invocation.iter().map(|byte| format!("{byte:02x}")).collect(),
            active_enter_us: number("ActiveEnterTimestamp"),
            inactive_enter_us: number("InactiveEnterTimestamp"),
            has_job: job.is_some_and(|(id, _)| id != 0),
            can_reload: flag("CanReload"),
            need_reload: flag("NeedDaemonReload"),
            fragment: text("FragmentPath"),
            drop_ins: owned(properties, "DropInPaths").unwrap_or_default(),
            service_type: text("Type"),
            result: text("Result"),
            main_pid: small("MainPID"),
            restarts: small("NRestarts"),
            exit_code: signed("ExecMainCode"),
            exit_status: signed("ExecMainStatus"),
        }
    }

    /// Whether systemd knows the unit at all.
    pub(crate) fn exists(&self) -> bool {
        self.load_state != "not-found"
    }

    /// Whether it runs. One that reloads its configuration does.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether it is at rest.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.active_state.as_str(), "inactive" | "failed")
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.active_state == "failed"
    }

    pub(crate) fn is_masked(&self) -> bool {
        self.load_state == "masked" || self.unit_file_state.starts_with("masked")
    }

    /// A service that has done its work and is not meant to stay.
    pub(crate) fn has_done_its_work(&self) -> bool {
        self.service_type == "oneshot" && self.active_state == "inactive" && self.result == "success"
    }

    /// Since when it is in its state: microseconds since 1970.
    fn since_us(&self) -> Option<u64> {
        let since = if self.is_down() {
            self.inactive_enter_us
        } else {
            self.active_enter_us
        };
        Some(since).filter(|since| *since > 0)
    }

    /// How long it has been active, in whole seconds; 0 if it is not. `now_us` is the time on its machine.
    pub(crate) fn uptime_s(&self, now_us: u64) -> u64 {
        match self.since_us().filter(|_| self.is_active()) {
            Some(since) => now_us.saturating_sub(since) / 1_000_000,
            None => 0,
        }
    }

    /// `active for 3 days 4 h, pid 812`.
    pub(crate) fn shown(&self, now_us: u64) -> String {
        if !self.exists() {
            return "does not exist".to_owned();
        }
        if self.load_state == "error" || self.load_state == "bad-setting" {
            return format!("cannot be loaded: {}", self.load_error);
        }
        let mut text = match self.active_state.as_str() {
            "inactive" | "active" => self.active_state.clone(),
            _ => format!("{} ({})", self.active_state, self.sub_state),
        };
        if let Some(since) = self.since_us() {
            let elapsed = now_us.saturating_sub(since) / 1_000_000;
            text.push_str(&format!(" for {}", human(elapsed)));
        }
        if self.main_pid > 0 {
            text.push_str(&format!(", pid {}", self.main_pid));
        }
        if self.is_failed() {
            text.push_str(&format!(", {}", self.how_it_ended()));
        }
        text
    }

    /// How its main process ended, or why systemd gave it up.
    pub(crate) fn how_it_ended(&self) -> String {
        let process = match (self.exit_code, self.exit_status) {
            (0, _) => None,
            (CLD_EXITED, 0) if self.result == "success" => None,
            (CLD_EXITED, status) => Some(match own_status(status) {
                Some(meaning) => format!("it exited with status {status}: {meaning}"),
                None => format!("it exited with status {status}"),
            }),
            (_, signal) => Some(format!("it was killed by {}", signal_name(signal))),
        };
        let result = match self.result.as_str() {
            "timeout" => Some("it took longer than its unit allows"),
            "start-limit-hit" => Some("it was started too often in a short time"),
            "watchdog" => Some("its watchdog heard nothing of it"),
            "oom-kill" => Some("it ran out of memory"),
            "protocol" => Some("it did not behave as its Type= says"),
            "resources" => Some("systemd could not give it what it needs"),
            "exec-condition" => Some("its ExecCondition= said no"),
            _ => None,
        };
        match (result, process) {
            (Some(result), Some(process)) => format!("{result} ({process})"),
            (Some(result), None) => result.to_owned(),
            (None, Some(process)) => process,
            (None, None) if self.result.is_empty() || self.result == "success" => {
                format!("it is {} ({})", self.active_state, self.sub_state)
            }
            (None, None) => format!("its result is {}", self.result),
        }
    }

    /// What later steps see.
    pub(crate) fn output(&self, now_us: u64) -> Value {
        let since = self
            .since_us()
            .and_then(|us| Timestamp::from_second(i64::try_from(us / 1_000_000).ok()?).ok());
        let ended = self.exit_code != 0;
        json!({
            "unit": self.unit,
            "load_state": self.load_state,
            "active_state": self.active_state,
            "sub_state": self.sub_state,
            "result": self.result,
            "unit_file_state": self.unit_file_state,
            "main_pid": Some(self.main_pid).filter(|pid| *pid > 0),
            "since": since.map(|since| since.to_string()),
            "uptime_s": self.uptime_s(now_us),
            "restarts": self.restarts,
            "exit_status": Some(self.exit_status).filter(|_| ended),
        })
    }

    /// What an undo restores and a probe compares with.
    pub(crate) fn before(&self) -> Value {
        serde_json::to_value(self.remembered()).expect("it is plain data")
    }

    /// The same, to be a part of something else.
    pub(crate) fn remembered(&self) -> Before {
        Before {
            unit: self.unit.clone(),
            load_state: self.load_state.clone(),
            active_state: self.active_state.clone(),
            unit_file_state: self.unit_file_state.clone(),
            invocation_id: self.invocation_id.clone(),
        }
    }
}

/// A unit's state before a step, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    unit: String,
    load_state: String,
    active_state: String,
    pub(crate) unit_file_state: String,
    pub(crate) invocation_id: String,
}

impl Before {
    pub(crate) fn of(value: &Value) -> Result<Self, Cause> {
        serde_json::from_value(value.clone()).map_err(|error| {
            Cause::new(
                FailureKind::Invalid,
                format!("the state of the unit before the step is not known: {error}"),
            )
        })
    }

    /// Whether it ran, or was about to.
    pub(crate) fn was_active(&self) -> bool {
        matches!(
            self.active_state.as_str(),
            "active" | "reloading" | "refreshing" | "activating"
        )
    }
}

/// The schema of a status.
pub(crate) fn status_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "unit": { "type": "string" },
            "load_state": { "type": "string", "description": "loaded, not-found, masked, error, …" },
            "active_state": { "type": "string", "description": "active, reloading, inactive, failed, activating or deactivating." },
            "sub_state": { "type": "string", "description": "The same in the words of the unit's type: running, exited, dead, …" },
            "result": { "type": "string", "description": "How it ended last: success, exit-code, signal, timeout, …; empty for what is no service." },
            "unit_file_state": { "type": "string", "description": "enabled, disabled, static, masked, …; empty if it has no file." },
            "main_pid": { "type": ["integer", "null"] },
            "since": { "type": ["string", "null"], "description": "Since when it is in this state, by its machine's clock." },
            "uptime_s": { "type": "integer", "description": "How long it has been active, in seconds; 0 if it is not." },
            "restarts": { "type": "integer", "description": "How often systemd has restarted it by itself." },
            "exit_status": { "type": ["integer", "null"], "description": "The exit code, or the signal, that its main process ended with last." },
        },
        "required": ["unit", "load_state", "active_state", "sub_state", "unit_file_state", "uptime_s"],
    })
}

/// `3 days 4 h`, `2 h 5 min`, `41 s`: the two largest units.
pub(crate) fn human(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let day = if days == 1 { "day" } else { "days" };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} {day}"),
        (_, _, _) => format!("{days} {day} {hours} h"),
    }
}

/// The exit codes by which systemd says that it could not start the program.
fn own_status(status: i32) -> Option<&'static str> {
    Some(match status {
        200 => "its WorkingDirectory= is not there",
        203 => "its program is not there, or cannot be run",
        216 => "its Group= is not there",
        217 => "its User= is not there",
        218 => "it may not have the capabilities that it asks for",
        219 => "its control group could not be made",
        226 => "its file system could not be set up",
        238..=243 => "one of its folders could not be set up",
        _ => return None,
    })
}

fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return format!("signal {number}"),
    };
    format!("{name} ({number})")
}

#[cfg(test)]
mod tests {
    use super::{UnitState, human};

    #[test]
    fn a_length_of_time_has_its_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (41, "41 s"),
            (125, "2 min 5 s"),
            (7_500, "2 h 5 min"),
            (86_400, "1 day"),
            (273_600, "3 days 4 h"),
        ] {
            assert_eq!(human(seconds), text);
        }
    }

    #[test]
    fn how_it_ended_is_said_in_words() {
        let state = |result: &str, exit_code, exit_status| UnitState {
            result: result.to_owned(),
            exit_code,
            exit_status,
            active_state: "failed".to_owned(),
            sub_state: "failed".to_owned(),
            ..UnitState::default()
        };
        for (state, text) in [
            (state("exit-code", 1, 3), "it exited with status 3"),
            (
                state("exit-code", 1, 203),
                "it exited with status 203: its program is not there, or cannot be run",
            ),
            (state("signal", 2, 9), "it was killed by SIGKILL (9)"),
            (
                state("timeout", 2, 15),
                "it took longer than its unit allows (it was killed by SIGTERM (15))",
            ),
            (
                state("start-limit-hit", 0, 0),
                "it was started too often in a short time",
            ),
            (state("success", 0, 0), "it is failed (failed)"),
            (state("some-new-word", 0, 0), "its result is some-new-word"),
        ] {
            assert_eq!(state.how_it_ended(), text);
        }
    }
}
