//! `caxplan adapters`.

use crate::composition::registry;
use crate::failure::{Answer, Failure};
use crate::ui::{self, Listing, Table};
use caxplan_core::load::Catalog;
use caxplan_model::{ActionSpec, Effect, UndoSupport, Value};
use caxplan_run::StateDir;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// List the actions that steps can use, or describe one
#[derive(Debug, Args)]
pub(crate) struct Adapters {
    #[command(subcommand)]
    what: Option<What>,
    /// How to list them
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Listing,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List all actions
    List,
    /// Print the reference of all actions, in Markdown
    Reference,
    /// Describe one action: its arguments, its output, what it promises
    Describe {
        /// The action, such as shell.run
        action: String,
    },
}

impl Adapters {
    pub(crate) fn execute(self) -> Answer {
        let registry = registry(&StateDir::locate()?);
        match self.what {
            None | Some(What::List) => {
                let actions = registry.actions();
                self.output.print(&actions, || list(&actions));
            }
            Some(What::Reference) => ui::print(&ui::reference(&registry.actions())),
            Some(What::Describe { action }) => {
                let spec = registry.action(&action).ok_or_else(|| {
                    Failure::invalid(format!("there is no action `{action}`"))
                        .hint("`caxplan adapters` lists them all")
                })?;
                self.output.print(spec, || describe(spec));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(actions: &[&ActionSpec]) -> String {
    let mut table = Table::new(["ACTION", "EFFECT", "UNDO", "SUMMARY"]);
    for spec in actions {
        table.row([
            spec.name.clone(),
            effect(spec.effect).to_owned(),
            undo(spec).to_owned(),
            spec.summary.clone(),
        ]);
    }
    table.render()
}

fn describe(spec: &ActionSpec) -> String {
    let paint = ui::Paint::for_stdout();
    let mut text = format!("{}  {}\n\n", paint.bold(&spec.name), spec.summary);
    let mut promises = vec![effect(spec.effect), undo(spec)];
    if spec.effect == Effect::Changes {
        promises.push(if spec.idempotent {
            "safe to repeat"
        } else {
            "not safe to repeat"
        });
        promises.push(if spec.probes {
            "can tell after a crash"
        } else {
            "cannot tell after a crash"
        });
    }
    text.push_str(&format!("{}\n", promises.join(" · ")));
    if let Some(timeout) = spec.default_timeout {
        text.push_str(&format!("time limit {timeout}, if the step has none\n"));
    }
    text.push_str(&format!("\n{}\n", paint.bold("Arguments")));
    text.push_str(&fields(&spec.arguments));
    text.push_str(&format!("\n{}\n", paint.bold("Output")));
    text.push_str(&fields(&spec.output));
    for example in &spec.examples {
        text.push_str(&format!(
            "\n{}\n  {}: {example}\n",
            paint.bold("Example"),
            spec.name
        ));
    }
    text
}

fn fields(schema: &Value) -> String {
    let Some(properties) = schema
        .get("properties")
        .and_then(Value::as_object)
        .filter(|all| !all.is_empty())
    else {
        return "  anything\n".to_owned();
    };
    let required = |name: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|of| of == name))
    };
    let mut text = String::new();
    for (name, about) in properties {
        let kind = match about.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => {
                let kinds = kinds
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|kind| *kind != "null");
                kinds.collect::<Vec<_>>().join(" or ")
            }
            _ => String::new(),
        };
        let needed = if required(name) { ", required" } else { "" };
        let description = about
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        text.push_str(&format!(
            "  {name} ({kind}{needed})  {}\n",
            description.replace('\n', " ")
        ));
    }
    text
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::ReadOnly => "reads",
        Effect::Changes => "changes",
    }
}

fn undo(spec: &ActionSpec) -> &'static str {
    match spec.undo {
        UndoSupport::NotNeeded => "nothing to undo",
        UndoSupport::Native => "undone by itself",
        UndoSupport::Impossible => "undone by the plan's rollback only",
    }
}
