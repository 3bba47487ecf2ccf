//! `caxplan preview`, the same as `caxplan run --dry-run`.

use crate::composition::{registry, runtime};
use crate::failure::Answer;
use crate::plan::{Checked, PlanArguments};
use crate::{artefact, ui};
use caxplan_run::StateDir;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
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
    /// Save it to a file, too, which `caxplan run --preview FILE` runs as long as nothing has moved
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// How a preview is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rendering {
    /// For people, on a terminal
    #[default]
    Text,
    /// JSON, for programs, and for `caxplan run --preview`
    Json,
    /// YAML
    Yaml,
    /// Markdown, for a review
    Markdown,
    /// A Mermaid diagram
    Mermaid,
    /// A Graphviz diagram
    Dot,
}

impl Preview {
    pub(crate) fn execute(mut self) -> Answer {
        self.plan.may_contact(!self.offline);
        preview(&self.plan, self.offline, self.output, self.save.as_deref())
    }
}

/// Previews a plan.
pub(super) fn preview(plan: &PlanArguments, offline: bool, output: Rendering, save: Option<&Path>) -> Answer {
    let dir = StateDir::locate()?;
    let registry = registry(&dir);
    let loaded = match plan.load_or_ask(&registry)? {
        Checked::Valid(loaded) => *loaded,
        Checked::Invalid(code) => return Ok(code),
    };
    let made = runtime()?.block_on(artefact::make(&dir, &registry, plan, loaded, offline, None))?;
    if let Some(file) = save {
        artefact::save(&made, file)?;
    }
    ui::print(&match output {
        Rendering::Json => made.to_text(),
        Rendering::Text | Rendering::Yaml | Rendering::Markdown | Rendering::Mermaid | Rendering::Dot => {
            render(&made.preview, output)
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// A preview as text that ends with a line's end.
pub(super) fn render(preview: &caxplan_core::preview::Preview, output: Rendering) -> String {
    let mut text = match output {
        Rendering::Text => preview.to_tree(ui::Paint::for_stdout().is_on()),
        Rendering::Json => preview.to_json(),
        Rendering::Yaml => serde_saphyr::to_string(preview).unwrap_or_else(|error| format!("# {error}")),
        Rendering::Markdown => preview.to_markdown(),
        Rendering::Mermaid => preview.to_mermaid(),
        Rendering::Dot => preview.to_dot(),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
