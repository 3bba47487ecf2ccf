//! `caxplan simulate`.

use crate::composition::registry;
use crate::failure::{Answer, FAILED, Failure};
use crate::plan::{Checked, PlanArguments};
use crate::ui;
use caxplan_core::load::{Catalog, Loaded};
use caxplan_core::simulate::{
    Ending, Findings, Gate, Model, Options, RECORDS_MAX, SCENARIOS_MAX, Script, Story, Trouble,
};
use caxplan_core::simulate::{explore, tell};
use caxplan_model::Duration;
use caxplan_run::{Registry, StateDir};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Try everything that can go wrong in a plan; perform nothing
///
/// Each step fails, breaks off, times out and is in doubt after a crash; each undo fails; each watch sees breaches; each
/// approval is rejected; each step is interrupted. What comes of each is shown as a table. Exit code 1 if something is found
/// that must not be (`--fail-on` and the limits below).
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    #[command(flatten)]
    plan: PlanArguments,
    /// Also let two things go wrong in one run
    #[arg(long)]
    pairs: bool,
    /// Also let the engine die after each record of the journal, of the good path and of a rollback of all of it
    #[arg(long)]
    crashes: bool,
    /// Show this scenario as a timeline: `STEP:FAULT`, as the table names it
    #[arg(long, value_name = "ID", conflicts_with_all = ["pairs", "crashes"])]
    scenario: Option<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Rendering,
    /// Exit with 1 if a scenario comes to this (several joined by commas)
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// Exit with 1 if less than this share of failures can be rolled back completely
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    rollback_coverage: Option<f64>,
    /// Exit with 1 if more targets than this are down at once
    #[arg(long, value_name = "NUMBER")]
    max_down: Option<u32>,
    /// Exit with 1 if a scenario takes longer, where every attempt takes its time limit
    #[arg(long, value_name = "DURATION")]
    max_duration: Option<Duration>,
    /// The most scenarios; how many are left out is said
    #[arg(long, value_name = "NUMBER", default_value_t = SCENARIOS_MAX)]
    max_scenarios: u64,
    /// How many items a loop gets whose list only the run knows
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    items: u32,
}

/// How it is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Rendering {
    /// For people, on a terminal
    #[default]
    Text,
    /// JSON, for programs: with every scenario
    Json,
    /// The same as YAML
    Yaml,
    /// Markdown, for a review
    Markdown,
}

/// What a scenario must not come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// An undo fails, and a person must look
    Stuck,
    /// A person must say what became of a step
    InDoubt,
    /// A rollback does not bring everything back
    NotUndone,
    /// The run leaves a target down
    Down,
    /// The run leaves the effect of a step there in part
    HalfApplied,
    /// A step that is not idempotent acts twice
    Twice,
    /// Resuming, with nothing going wrong any more, does not lead to success
    NotResumable,
    /// Scenarios were left out because of the limit
    LeftOut,
}

impl Simulate {
    pub(crate) fn execute(self) -> Answer {
        let registry = registry(&StateDir::locate()?);
        let loaded = match self.plan.load(&registry)? {
            Checked::Valid(loaded) => loaded,
            Checked::Invalid(code) => return Ok(code),
        };
        let model = model(&loaded, &registry, self.items);
        if let Some(id) = &self.scenario {
            return self.show_one(&model, id);
        }
        let findings = explore(
            &model,
            &Options {
                pairs: self.pairs,
                crashes: self.crashes,
                scenarios_max: self.max_scenarios,
                records_max: RECORDS_MAX,
            },
        );
        let gate = self.gate();
        let objections = gate.objections(&findings);
        ui::print(&self.render(&findings, &objections, &model)?);
        if objections.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        Ok(ExitCode::from(FAILED))
    }

    fn gate(&self) -> Gate {
        Gate {
            troubles: self.fail_on.iter().map(|what| what.trouble()).collect(),
            rollback_coverage: self.rollback_coverage,
            down_max: self.max_down,
            duration_max: self.max_duration,
        }
    }

    fn render(&self, findings: &Findings, objections: &[String], model: &Model) -> Answer<String> {
        Ok(match self.output {
            Rendering::Text => {
                let mut text = findings.to_text();
                if objections.is_empty() {
                    let hint = findings.groups.last().and_then(|group| group.scenarios.first());
                    let id = hint.map_or("ID", String::as_str);
                    let plan = self
                        .plan
                        .plan
                        .as_ref()
                        .map_or_else(|| "PLAN".to_owned(), ToString::to_string);
                    text.push_str(&format!(
                        "\n`caxplan simulate {plan} --scenario '{id}'` shows one as a timeline\n"
                    ));
                }
                for objection in objections {
                    text.push_str(&format!(
                        "\n{} {objection}\n",
                        ui::Paint::for_stdout().red("found:")
                    ));
                }
                for counterexample in self.counterexamples(findings) {
                    text.push_str(&format!("\n{counterexample}:\n"));
                    if let Some((story, ending)) = story(model, &counterexample) {
                        text.push_str(&story.to_text(&ending));
                    }
                }
                text
            }
            Rendering::Markdown => {
                let mut text = findings.to_markdown();
                for objection in objections {
                    text.push_str(&format!("* ❌ **found**: {objection}\n"));
                }
                for counterexample in self.counterexamples(findings) {
                    if let Some((story, ending)) = story(model, &counterexample) {
                        text.push_str(&format!(
                            "\n<details><summary>{counterexample}</summary>\n\n```\n{}```\n</details>\n",
                            story.to_text(&ending)
                        ));
                    }
                }
                text
            }
            Rendering::Json | Rendering::Yaml => {
                let mut all =
                    serde_json::to_value(findings).map_err(|error| Failure::new(error.to_string()))?;
                all["found"] = serde_json::json!(objections);
                all["rollback"]["percent"] = serde_json::json!(findings.rollback.percent());
                self.data(&all)?
            }
        })
    }

    /// The first scenario of each kind that must not be.
    fn counterexamples(&self, findings: &Findings) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for what in &self.fail_on {
            let trouble = what.trouble();
            let found = findings.rows.iter().find(|row| trouble.is_in(row));
            ids.extend(found.map(|row| row.id.clone()));
        }
        ids.dedup();
        ids
    }

    fn show_one(&self, model: &Model, id: &str) -> Answer {
        let script: Script = id.parse().map_err(|message: String| {
            Failure::invalid(message).hint("`caxplan simulate PLAN --output json` lists all scenarios")
        })?;
        let (story, ending) = tell(model, &script).map_err(|unheard| {
            let fault = &unheard.fault;
            Failure::invalid(format!("`{fault}` does not come to pass in `{id}`"))
                .hint("the step is not reached, or nothing of this kind can happen to it")
        })?;
        ui::print(&match self.output {
            Rendering::Text => format!("{script}:\n{}", story.to_text(&ending)),
            Rendering::Markdown => format!("### `{script}`\n\n```\n{}```\n", story.to_text(&ending)),
            Rendering::Json | Rendering::Yaml => self.data(&serde_json::json!({
                "id": script.to_string(),
                "timeline": story.timeline(),
                "ending": ending,
            }))?,
        });
        Ok(ExitCode::SUCCESS)
    }

    fn data(&self, value: &serde_json::Value) -> Answer<String> {
        let text = match self.output {
            Rendering::Yaml => serde_saphyr::to_string(value).map_err(|error| error.to_string()),
            _ => serde_json::to_string_pretty(value).map_err(|error| error.to_string()),
        };
        text.map(|text| format!("{}\n", text.trim_end()))
            .map_err(Failure::new)
    }
}

impl FailOn {
    fn trouble(self) -> Trouble {
        match self {
            Self::Stuck => Trouble::Stuck,
            Self::InDoubt => Trouble::InDoubt,
            Self::NotUndone => Trouble::NotUndone,
            Self::Down => Trouble::Down,
            Self::HalfApplied => Trouble::HalfApplied,
            Self::Twice => Trouble::Twice,
            Self::NotResumable => Trouble::NotResumable,
            Self::LeftOut => Trouble::LeftOut,
        }
    }
}

/// A model of a plan.
pub(super) fn model(loaded: &Loaded, registry: &Registry, items: u32) -> Model {
    let secret = loaded.secret_params.keys().cloned().collect();
    Model::new(loaded.graph.clone(), secret, limits(registry), items)
}

/// The time limits that actions have by themselves.
pub(super) fn limits(registry: &Registry) -> BTreeMap<String, Duration> {
    let actions = registry.actions().into_iter();
    actions
        .filter_map(|action| Some((action.name.clone(), action.default_timeout?)))
        .collect()
}

fn story(model: &Model, id: &str) -> Option<(Story, Ending)> {
    tell(model, &id.parse().ok()?).ok()
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        Ok(_) | Err(_) => Err("write a share from 0% to 100%".to_owned()),
    }
}
