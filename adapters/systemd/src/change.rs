//! Bringing a unit to an active state and saying how it went: what all actions that start or stop something share.

use crate::arguments::UnitName;
use crate::bus::Bus;
use crate::failure::Failure;
use crate::job::{self, JobEnd, Verb};
use crate::lines::{self, Wanted};
use crate::settle::{self, Settled};
use crate::state::{Before, UnitState};
use caxplan_adapter::{Context, Stream};
use caxplan_model::{Cause, FailureKind, Outcome, Value};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// One unit to act on, over a bus.
pub(crate) struct Acting<'a> {
    pub(crate) bus: &'a Bus<'a>,
    pub(crate) unit: &'a UnitName,
    /// How long it must stay active.
    pub(crate) settle: Duration,
    /// How many lines of the journal a failure shows.
    pub(crate) log_lines: u32,
    pub(crate) context: &'a Context,
}

impl Acting<'_> {
    /// Does it, waits for the job's end, and watches the unit if it shall be active. Gives its state.
    pub(crate) async fn act(&self, verb: Verb) -> Result<UnitState, Failure> {
        let begun = Instant::now();
        let end = job::run(self.bus, verb, self.unit, self.context).await?;
        let after = |failure: Failure| match failure {
            // The job is over, and what became of the unit is not known.
            Failure::Before(cause) if cause.kind == FailureKind::Lost => Failure::Unknown(cause),
            failure => failure.after_a_change(),
        };
        let state = self.bus.look(self.unit).await.map_err(after)?;
        if !end.is_done() {
            return Err(self.explain(verb, &end, &state, begun).await);
        }
        if verb == Verb::Stop {
            return Ok(state);
        }
        // A unit whose job is done may be on its way already to another state; a reload tells nothing of that.
        self.settled(begun).await.map_err(after)
    }

    /// Watches the unit for as long as the step says.
    pub(crate) async fn settled(&self, begun: Instant) -> Result<UnitState, Failure> {
        if self.settle.is_zero() {
            return self.bus.look(self.unit).await;
        }
        match settle::watch(self.bus, self.unit, self.settle, self.context).await? {
            Settled::Stayed(state) => Ok(state),
            Settled::Left(state, why) => {
                let message = format!("{} {why} on {}", self.unit, self.bus.on());
                Err(Failure::Midway(self.with_journal(message, &state, begun).await))
            }
        }
    }

    /// Why a job did not end well.
    async fn explain(&self, verb: Verb, end: &JobEnd, state: &UnitState, begun: Instant) -> Failure {
        let (unit, on) = (self.unit, self.bus.on());
        let how = match end.0.as_str() {
            "failed" => state.how_it_ended(),
            "timeout" => "its job took longer than its unit allows".to_owned(),
            "dependency" => "a unit that it needs did not start".to_owned(),
            "canceled" => "somebody cancelled its job, or asked for the opposite".to_owned(),
            "skipped" => "it does not apply in the unit's state".to_owned(),
            "invalid" => "the unit cannot do that".to_owned(),
            "assert" => "an Assert…= of its file is not met".to_owned(),
            "unsupported" => "the machine does not support such a unit".to_owned(),
            "once" => "it can be started only once".to_owned(),
            other => format!("its job ended as `{other}`"),
        };
        let message = format!("{} of {unit} failed on {on}: {how}", verb.word());
        let mut cause = self.with_journal(message, state, begun).await;
        cause.kind = match end.0.as_str() {
            "timeout" => FailureKind::Timeout,
            "failed" | "dependency" => FailureKind::Exit,
            _ => FailureKind::Conflict,
        };
        if state.result == "start-limit-hit" {
            cause.hint = Some(format!(
                "`systemctl reset-failed {unit}` lets it be started again"
            ));
        }
        Failure::Midway(cause)
    }

    /// A cause with the unit's last lines since the job began.
    async fn with_journal(&self, message: String, state: &UnitState, begun: Instant) -> Cause {
        // By the length of time, for the clock over there may differ; a second more, for it counts in whole ones.
        let since = format!("-{}s", begun.elapsed().as_secs() + 1);
        let wanted = Wanted {
            since: Some(since),
            lines: self.log_lines,
            ..Wanted::default()
        };
        let mut cause = Cause::new(FailureKind::Exit, message);
        let lines = if self.log_lines == 0 {
            Ok(Vec::new())
        } else {
            lines::read(self.bus.place, self.unit, &wanted, self.context).await
        };
        let said = match lines {
            Ok(lines) => lines.join("\n"),
            Err(no) => {
                cause.hint = no.hint.clone();
                format!("({})", no.message)
            }
        };
        if !said.is_empty() {
            self.context
                .output
                .write(Stream::Stdout, format!("{said}\n").as_bytes());
        }
        let status = state.output(0);
        cause.with_detail(json!({
            "result": status["result"],
            "exit_status": status["exit_status"],
            "active_state": status["active_state"],
            "sub_state": status["sub_state"],
            "stdout": said,
        }))
    }

    /// The status as an output.
    pub(crate) fn output(&self, state: &UnitState) -> Value {
        state.output(self.bus.now())
    }

    /// Lets the unit run, or not, as it did before. Idempotent.
    pub(crate) async fn restore_active(&self, before: &Before) -> Result<bool, Failure> {
        let now = self.bus.look(self.unit).await?;
        if before.was_active() && !now.is_active() {
            self.act(Verb::Start).await?;
            return Ok(true);
        }
        if !before.was_active() && now.exists() && !now.is_down() {
            self.act(Verb::Stop).await?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// An outcome of what was changed, or was not.
pub(crate) fn outcome(changed: bool, output: Value) -> Outcome {
    if changed {
        Outcome::Changed { output }
    } else {
        Outcome::Unchanged { output }
    }
}
