//! `caxplan validate`.

use crate::composition::registry;
use crate::failure::Answer;
use crate::plan::{Checked, PlanArguments};
use crate::ui;
use caxplan_core::load::Loaded;
use caxplan_run::StateDir;
use clap::Args;
use std::process::ExitCode;

/// Check a plan, or all that a file holds: everything wrong with it, at once
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    plan: PlanArguments,
}

impl Validate {
    pub(crate) fn execute(self) -> Answer {
        let registry = registry(&StateDir::locate()?);
        if self.plan.file()?.entry.is_some() {
            let loaded = match self.plan.load(&registry)? {
                Checked::Valid(loaded) => loaded,
                Checked::Invalid(code) => return Ok(code),
            };
            ui::print(&valid(&self.plan.file()?.to_string(), &loaded));
            return Ok(ExitCode::SUCCESS);
        }
        let all = match self.plan.load_all(&registry)? {
            Checked::Valid(all) => all,
            Checked::Invalid(code) => return Ok(code),
        };
        for (entry, loaded) in &all {
            let name = match &entry.name {
                Some(name) => format!("{}#{name}", self.plan.file()?),
                None => self.plan.file()?.to_string(),
            };
            ui::print(&valid(&name, loaded));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a valid plan holds, in one line.
fn valid(name: &str, loaded: &Loaded) -> String {
    let graph = &loaded.graph;
    let phases = graph.nodes.iter().filter(|node| node.phase.is_some()).count();
    let steps = graph.nodes.iter().filter(|node| node.kind.is_leaf()).count();
    format!(
        "{name} is valid: {phases} {}, {steps} {}, {} {}, digest {}\n",
        plural(phases, "phase"),
        plural(steps, "step"),
        graph.targets.len(),
        plural(graph.targets.len(), "target"),
        graph.digest().short(),
    )
}

fn plural(count: usize, one: &str) -> String {
    match count {
        1 => one.to_owned(),
        _ => format!("{one}s"),
    }
}
