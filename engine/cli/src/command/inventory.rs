//! `caxplan inventory`.

use crate::composition::registry;
use crate::failure::{Answer, Failure};
use crate::plan::{self, Checked, PlanArguments};
use crate::ui::{Listing, Table};
use caxplan_core::load::body_keys;
use caxplan_core::select::Selector;
use caxplan_model::{Map, Target, Value};
use caxplan_run::StateDir;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// List the targets of a plan or of an inventory file, with their groups, labels and variables
#[derive(Debug, Args)]
pub(crate) struct Inventory {
    #[command(flatten)]
    plan: PlanArguments,
    /// Contact nothing: only the targets that the inventory names itself
    #[arg(long)]
    offline: bool,
    /// How to list them; the YAML is an inventory file, with all that was looked up written down
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

/// The plan through which an inventory is looked at.
const LOOK: &str = "phases: [{name: look, steps: [{noop.run: {}}]}]";

impl Inventory {
    pub(crate) fn execute(mut self) -> Answer {
        // Of an inventory alone, a limit has no place in a plan to point at.
        let limit = std::mem::take(&mut self.plan.limit)
            .iter()
            .map(|text| Selector::parse(text))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|message| Failure::invalid(format!("--limit: {message}")))?;
        let registry = registry(&StateDir::locate()?);
        self.plan.may_contact(!self.offline);
        let file = self.plan.file()?.file.to_string_lossy();
        let text = plan::read(&file).unwrap_or_default();
        let value: Value = serde_saphyr::from_str(&text).unwrap_or_default();
        let is_inventory = value.is_object() && body_keys().all(|body| value.get(body).is_none());
        let checked = if is_inventory {
            self.plan.load_inventory(&registry, LOOK)?
        } else {
            self.plan.load(&registry)?
        };
        let loaded = match checked {
            Checked::Valid(loaded) => loaded,
            Checked::Invalid(code) => return Ok(code),
        };
        let mut targets = loaded.graph.targets;
        targets.retain(|target| limit.is_empty() || limit.iter().any(|selector| selector.matches(target)));
        self.output.print(&document(&targets), || table(&targets));
        Ok(ExitCode::SUCCESS)
    }
}

/// The targets as an inventory file.
fn document(targets: &[Target]) -> Value {
    let by_name: Map = targets
        .iter()
        .map(|target| {
            let about = json!({
                "groups": target.groups,
                "labels": target.labels,
                "vars": target.vars,
            });
            (target.name.clone(), about)
        })
        .collect();
    json!({ "inventory": { "targets": by_name } })
}

fn table(targets: &[Target]) -> String {
    if targets.is_empty() {
        return "there are no targets\n".to_owned();
    }
    let mut table = Table::new(["TARGET", "GROUPS", "LABELS", "VARIABLES"]);
    for target in targets {
        let labels: Vec<String> = target
            .labels
            .iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect();
        let vars: Vec<&str> = target.vars.keys().map(String::as_str).collect();
        table.row([
            target.name.clone(),
            target.groups.join(","),
            labels.join(","),
            vars.join(","),
        ]);
    }
    table.render()
}
