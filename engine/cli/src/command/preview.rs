//! `caxplan preview`, the same as `caxplan run --dry-run`.

use crate::composition::{registry, runtime};
use crate::failure::Answer;
use crate::plan::{Checked, PlanArguments};
use crate::ui;
use caxplan_core::preview::build;
use caxplan_run::StateDir;
use clap::{Args, ValueEnum};
use std::process::ExitCode;

/// Say what a plan would do; change nothing
#[derive(Debug, Args)]
pub(crate) struct Preview {
    #[command(flatten)]
    plan: PlanArguments,
    /// Contact nothing: neither targets nor sources of secrets
    #[arg(long)]
    offline: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Rendering,
}

/// How a preview is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rendering {
    /// For people, on a terminal
    #[default]
    Text,
    /// JSON, for programs
    Json,
    /// Markdown, for a review
    Markdown,
    /// A Mermaid diagram
    Mermaid,
    /// A Graphviz diagram
    Dot,
}

impl Preview {
    pub(crate) fn execute(self) -> Answer {
        preview(&self.plan, self.offline, self.output)
    }
}

/// Previews a plan.
pub(super) fn preview(plan: &PlanArguments, offline: bool, output: Rendering) -> Answer {
    let registry = registry(&StateDir::locate()?);
    let loaded = match plan.load_or_ask(&registry)? {
        Checked::Valid(loaded) => loaded,
        Checked::Invalid(code) => return Ok(code),
    };
    let path = plan.absolute()?;
    let forecasts = runtime()?.block_on(caxplan_run::forecast(&registry, &loaded, &path, offline))?;
    ui::print(&render(&build(&loaded.graph, &forecasts), output));
    Ok(ExitCode::SUCCESS)
}

/// A preview as text that ends with a line's end.
pub(super) fn render(preview: &caxplan_core::preview::Preview, output: Rendering) -> String {
    let mut text = match output {
        Rendering::Text => preview.to_tree(ui::Paint::for_stdout().is_on()),
        Rendering::Json => preview.to_json(),
        Rendering::Markdown => preview.to_markdown(),
        Rendering::Mermaid => preview.to_mermaid(),
        Rendering::Dot => preview.to_dot(),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
