//! `caxplan graph`.

use super::preview::{Rendering, render};
use crate::composition::registry;
use crate::failure::Answer;
use crate::plan::{Checked, PlanArguments};
use crate::ui;
use caxplan_core::preview::{Foresight, build};
use caxplan_model::Map;
use caxplan_run::StateDir;
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Draw a plan: its phases and steps, and what waits for what
#[derive(Debug, Args)]
pub(crate) struct Graph {
    #[command(flatten)]
    plan: PlanArguments,
    /// In which language
    #[arg(long, value_enum, default_value_t)]
    output: Language,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Language {
    /// Mermaid, which code forges render
    #[default]
    Mermaid,
    /// Graphviz
    Dot,
    /// The expanded plan as JSON, as it lies in the journal
    Json,
}

impl Graph {
    pub(crate) fn execute(self) -> Answer {
        let registry = registry(&StateDir::locate()?);
        let loaded = match self.plan.load(&registry)? {
            Checked::Valid(loaded) => loaded,
            Checked::Invalid(code) => return Ok(code),
        };
        let draw = |rendering| {
            ui::print(&render(
                &build(
                    &loaded.graph,
                    &Foresight::of(&loaded.graph, &Map::new()),
                    &BTreeMap::new(),
                ),
                rendering,
            ));
        };
        match self.output {
            Language::Mermaid => draw(Rendering::Mermaid),
            Language::Dot => draw(Rendering::Dot),
            Language::Json => ui::print_json(&loaded.graph),
        }
        Ok(ExitCode::SUCCESS)
    }
}
