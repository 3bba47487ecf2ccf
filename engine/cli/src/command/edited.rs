//! What `caxplan resume --with-edited-plan` asks before the run follows another version of its plan.

use super::run::How;
use crate::failure::{Answer, Failure};
use crate::plan::{Checked, PlanArguments};
use crate::ui;
use caxplan_core::diff::{Difference, What};
use caxplan_core::load::Loaded;
use caxplan_core::schedule::State;
use caxplan_run::{EditedPlan, Registry};
use std::path::PathBuf;
use std::process::ExitCode;

/// An edited plan that a person has agreed to.
pub(super) struct Edited {
    plan: PathBuf,
    loaded: Box<Loaded>,
    changes: Vec<String>,
    seen: u64,
}

/// What came of it.
pub(super) enum Considered {
    /// The run shall follow it.
    Follow(Edited),
    /// It does the same as the plan that the run has.
    Same,
    /// It is no valid plan, which has been said.
    Invalid(ExitCode),
}

impl Edited {
    pub(super) fn as_plan(&self) -> EditedPlan<'_> {
        EditedPlan {
            plan: &self.plan,
            loaded: &self.loaded,
            changes: self.changes.clone(),
            seen: self.seen,
        }
    }
}

/// Loads the plan anew, shows the difference, refuses what must not be, and has a person agree to the rest.
pub(super) fn consider(
    state: &State,
    arguments: &PlanArguments,
    registry: &Registry,
    how: &How,
) -> Answer<Considered> {
    let old = state.plan();
    let loaded = match arguments.load_over(registry, &old.params)? {
        Checked::Valid(loaded) => loaded,
        Checked::Invalid(code) => return Ok(Considered::Invalid(code)),
    };
    if state.is_rolling_back() {
        return Err(Failure::invalid(
            "the run only undoes: it follows no other plan any more",
        ));
    }
    let difference = Difference::of(&old, &loaded.graph);
    ui::say(&format!(
        "what the edited plan changes:\n{}",
        difference.to_text()
    ));
    if let Err(refusals) = state.replacement(&loaded.graph) {
        return Err(Failure::edited(&refusals));
    }
    if difference.is_empty() && old == loaded.graph {
        return Ok(Considered::Same);
    }
    if !how.says_yes() {
        if !ui::ask::is_possible() {
            let failure = Failure::invalid("nobody is there to agree to the edited plan");
            return Err(failure.hint("look at the difference above, then add `--yes`"));
        }
        if !ui::ask::yes_or_no("Go on with the edited plan?") {
            return Err(Failure::interrupted());
        }
    }
    Ok(Considered::Follow(Edited {
        plan: arguments.absolute()?,
        changes: changes(&difference),
        loaded,
        seen: state.records(),
    }))
}

/// The changes in words, for the account: ids and names only.
fn changes(difference: &Difference) -> Vec<String> {
    let plan = difference
        .plan
        .iter()
        .map(|change| format!("the plan's {} changed", change.field));
    let steps = difference.steps.iter().map(|step| {
        let what = match &step.what {
            What::Added => "is new".to_owned(),
            What::Removed => "is gone".to_owned(),
            What::Renamed { from } => format!("was `{from}`"),
            What::Moved { .. } => "was moved".to_owned(),
            What::Changed => "changed".to_owned(),
        };
        format!("`{}` {what}", step.id)
    });
    let mut all: Vec<String> = plan.chain(steps).collect();
    if all.is_empty() {
        all.push("nothing that would run".to_owned());
    }
    all
}
