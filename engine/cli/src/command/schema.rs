//! `caxplan schema`.

use crate::composition::registry;
use crate::failure::{Answer, Failure};
use crate::ui;
use caxplan_core::load::{DocumentKind, reference, schema};
use caxplan_model::ActionSpec;
use caxplan_run::StateDir;
use clap::{Args, ValueEnum};
use std::process::ExitCode;

/// Print the JSON Schema of a document, or of an action's arguments, for editors
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which kind of document
    #[arg(value_enum, default_value_t)]
    kind: Kind,
    /// The arguments of this action instead
    #[arg(long, value_name = "NAME", conflicts_with = "kind")]
    action: Option<String>,
    /// Print every key of every kind as one page of Markdown instead
    #[arg(long, conflicts_with_all = ["kind", "action"])]
    markdown: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Kind {
    /// A plan
    #[default]
    Plan,
    /// An action library
    Library,
    /// An inventory
    Inventory,
    /// A maintenance calendar
    Maintenance,
    /// A backup policy
    Backup,
    /// Monitors
    #[value(name = "health_checks")]
    HealthChecks,
    /// Alert rules
    Alerts,
    /// A test of a plan
    Test,
}

impl Schema {
    pub(crate) fn execute(self) -> Answer {
        if self.markdown {
            ui::print(&reference());
            return Ok(ExitCode::SUCCESS);
        }
        let registry = registry(&StateDir::locate()?);
        if let Some(action) = &self.action {
            let spec = registry.action(action).ok_or_else(|| {
                Failure::invalid(format!("there is no action `{action}`"))
                    .hint("`caxplan adapters` lists them all")
            })?;
            ui::print_json(&spec.arguments);
            return Ok(ExitCode::SUCCESS);
        }
        let kind = match self.kind {
            Kind::Plan => DocumentKind::Plan,
            Kind::Library => DocumentKind::Library,
            Kind::Inventory => DocumentKind::Inventory,
            Kind::Maintenance => DocumentKind::Maintenance,
            Kind::Backup => DocumentKind::Backup,
            Kind::HealthChecks => DocumentKind::HealthChecks,
            Kind::Alerts => DocumentKind::Alerts,
            Kind::Test => DocumentKind::Test,
        };
        let actions: Vec<ActionSpec> = registry.actions().cloned().collect();
        ui::print_json(&schema(kind, &actions));
        Ok(ExitCode::SUCCESS)
    }
}
