//! `caxplan validate`.

use crate::composition::registry;
use crate::failure::Answer;
use crate::plan::{Checked, PlanArguments};
use crate::ui;
use caxplan_model::NodeKind;
use caxplan_run::StateDir;
use clap::Args;
use std::process::ExitCode;

/// Check a plan: everything wrong with it, at once
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    plan: PlanArguments,
}

impl Validate {
    pub(crate) fn execute(self) -> Answer {
        let registry = registry(&StateDir::locate()?);
        let loaded = match self.plan.load(&registry)? {
            Checked::Valid(loaded) => loaded,
            Checked::Invalid(code) => return Ok(code),
        };
        let graph = &loaded.graph;
        let phases = graph.nodes.iter().filter(|node| node.phase.is_some()).count();
        let steps = graph
            .nodes
            .iter()
            .filter(|node| matches!(node.kind, NodeKind::Action(_)))
            .count();
        ui::print(&format!(
            "{} is valid: {phases} phases, {steps} steps, {} targets, digest {}\n",
            self.plan.plan,
            graph.targets.len(),
            graph.digest().short(),
        ));
        Ok(ExitCode::SUCCESS)
    }
}
