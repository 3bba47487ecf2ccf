//! `caxplan schema`.

use crate::composition::registry;
use crate::failure::{Answer, Failure};
use crate::ui;
use caxplan_core::load::{Catalog, DocumentKind, reference, schema};
use caxplan_run::StateDir;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::process::ExitCode;
use std::sync::LazyLock;

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

/// A kind of documents, as the command line names it.
#[derive(Clone, Copy, Debug)]
struct Kind(DocumentKind);

impl Default for Kind {
    fn default() -> Self {
        Self(DocumentKind::Plan)
    }
}

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Kind>> = LazyLock::new(|| DocumentKind::all().map(Kind).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.about()))
    }
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
        ui::print_json(&schema(self.kind.0, &registry));
        Ok(ExitCode::SUCCESS)
    }
}
