//! `caxplan approve`.

use crate::failure::{Answer, Failure};
use crate::select::{self, StepArgument};
use crate::ui;
use caxplan_core::schedule::{NodeStatus, State};
use caxplan_model::{Answer as Said, NodeIndex};
use caxplan_run::{Request, engine_of};
use clap::Args;
use std::process::ExitCode;

/// Answer a step that waits for an approval or a checklist
#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    run: StepArgument,
    /// Say no: the step has failed
    #[arg(long)]
    reject: bool,
    /// Why
    #[arg(long, requires = "reject", default_value = "")]
    reason: String,
}

impl Approve {
    pub(crate) fn execute(self) -> Answer {
        let (dir, mut journal) = select::open()?;
        let (run, step) = self.run.find(&journal)?;
        let stored = journal.load(&run)?;
        let state = caxplan_run::fold(&run, stored.graph, &stored.records)?;
        let node = asking(&state, step.as_deref())?;
        let id = &state.graph().node(node).id;
        let answer = if self.reject {
            Said::Rejected {
                reason: self.reason.clone(),
            }
        } else {
            Said::Approved
        };
        journal.ask(&run, &caxplan_run::user(), &Request::Answer { node, answer })?;
        let what = if self.reject { "rejected" } else { "approved" };
        let then = match engine_of(&dir, &run) {
            Some(_) => "its engine takes it up".to_owned(),
            None => format!("`caxplan resume {run}` goes on"),
        };
        ui::print(&format!("{id} is {what}; {then}\n"));
        Ok(ExitCode::SUCCESS)
    }
}

/// The step that asks: the one that is named, or the only one.
pub(crate) fn asking(state: &State, step: Option<&str>) -> Answer<NodeIndex> {
    let nodes = (0..).map(NodeIndex).zip(&state.graph().nodes);
    let asking: Vec<(NodeIndex, &str)> = nodes
        .filter(|(at, _)| *state.status(*at) == NodeStatus::Asking)
        .map(|(at, node)| (at, node.id.as_str()))
        .collect();
    let list = || asking.iter().map(|(_, id)| *id).collect::<Vec<_>>().join(", ");
    match (step, asking.as_slice()) {
        (_, []) => Err(Failure::new("no step of this run waits for an approval")),
        (None, [(at, _)]) => Ok(*at),
        (None, _) => Err(Failure::invalid("several steps wait").hint(format!("name one of {}", list()))),
        (Some(step), _) => {
            let found = asking
                .iter()
                .find(|(_, id)| *id == step || id.rsplit('/').next() == Some(step));
            found.map(|(at, _)| *at).ok_or_else(|| {
                Failure::invalid(format!("`{step}` does not wait for an approval"))
                    .hint(format!("these do: {}", list()))
            })
        }
    }
}
