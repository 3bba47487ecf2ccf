//! Whether a unit that is active stays so.

use crate::arguments::UnitName;
use crate::bus::Bus;
use crate::failure::Failure;
use crate::state::{UnitState, human};
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use std::time::Duration;
use tokio::time::Instant;

/// The pause between two looks.
const POLL: Duration = Duration::from_millis(250);

/// What came of watching a unit.
pub(crate) enum Settled {
    /// It stayed active, as the same process, all the time.
    Stayed(UnitState),
    /// It did not: its state then, and why in words.
    Left(UnitState, String),
}

/// Watches a unit that shall be active for `time`. A zero time is one look.
///
/// # Errors
/// If the state cannot be read, or the attempt is cancelled; nothing was changed by watching.
pub(crate) async fn watch(
    bus: &Bus<'_>,
    unit: &UnitName,
    time: Duration,
    context: &Context,
) -> Result<Settled, Failure> {
    let begun = Instant::now();
    let first = bus.look(unit).await?;
    let mut state = first.clone();
    loop {
        let after = human(begun.elapsed().as_secs());
        if state.has_done_its_work() {
            return Ok(Settled::Stayed(state));
        }
        if !state.is_active() {
            let why = if state.is_failed() {
                format!("failed {after} after it had started: {}", state.how_it_ended())
            } else {
                format!(
                    "is {} ({}) {after} after it had started",
                    state.active_state, state.sub_state
                )
            };
            return Ok(Settled::Left(state, why));
        }
        if state.invocation_id != first.invocation_id || state.restarts != first.restarts {
            return Ok(Settled::Left(
                state,
                format!("ended and was started again within {after}"),
            ));
        }
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(Settled::Stayed(state));
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(POLL)) => {}
            () = context.cancel.cancelled() => {
                return Err(Failure::Before(Cause::new(
                    FailureKind::Cancelled,
                    format!("stopped while {unit} was watched on {}", bus.on()),
                )));
            }
        }
        state = bus.look(unit).await?;
    }
}
