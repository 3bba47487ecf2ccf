//! `caxplan diff`.

use super::simulate::limits;
use crate::composition::registry;
use crate::failure::{Answer, Failure};
use crate::plan::{Checked, PlanArguments, PlanPath};
use crate::{artefact, ui};
use caxplan_core::diff::{Difference, EndStates};
use caxplan_core::preview::DIFFERENCE_BYTES_MAX;
use caxplan_core::simulate::{Model, Options, RECORDS_MAX, SCENARIOS_MAX};
use caxplan_model::Graph;
use caxplan_run::{Journal, RunName, StateDir};
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

/// How many items a loop gets whose list only the run knows.
const ITEMS: u32 = 2;

/// The most work of the simulated runs of each side, as records times nodes: some seconds.
const WORK_MAX: u64 = 10_000_000;

/// Fewer records than so many per node are not even a few runs.
const RECORDS_PER_NODE_MIN: u64 = 20;

/// Exit code: the two would not do the same.
const DIFFERENT: u8 = 1;

/// Compare two versions of a plan by what would run, not by text
///
/// Exit codes: 0 both do the same, 1 they do not, 2 one of them is invalid.
#[derive(Debug, Args)]
#[command(mut_arg("plan", |plan| plan.index(1).value_name("OLD").help("A plan's file, a saved preview, or a run")))]
pub(crate) struct Diff {
    #[command(flatten)]
    old: PlanArguments,
    /// What to compare it with: a plan's file, a saved preview, or a run
    #[arg(value_name = "NEW", index = 2)]
    new: PlanPath,
    /// Whether to simulate failures of both, to compare where runs can end
    #[arg(long, value_enum, default_value_t)]
    end_states: EndStatesOf,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Shown,
}

/// Whether failures are simulated.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum EndStatesOf {
    /// As far as it goes within seconds
    #[default]
    Auto,
    /// As far as `caxplan simulate` goes, which may take minutes
    All,
    /// Not at all
    None,
}

impl EndStatesOf {
    /// How many records the runs of each side may have: `None` if there are to be no runs, 0 if there is no room for any.
    fn records_max(self, nodes: u64) -> Option<u64> {
        match self {
            Self::Auto => {
                let records = WORK_MAX / nodes.max(1);
                Some(if records < nodes * RECORDS_PER_NODE_MIN {
                    0
                } else {
                    records
                })
            }
            Self::All => Some(RECORDS_MAX),
            Self::None => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Shown {
    /// For people, on a terminal
    #[default]
    Text,
    /// Markdown, for a review
    Markdown,
    /// JSON, for programs
    Json,
    /// YAML
    Yaml,
}

impl Diff {
    pub(crate) fn execute(self) -> Answer {
        let dir = StateDir::locate()?;
        let new = PlanArguments {
            plan: Some(self.new.clone()),
            ..self.old.clone()
        };
        let (old, new) = (graph(&self.old, &dir)?, graph(&new, &dir)?);
        // Both are looked at before either is refused: all errors at once.
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(ExitCode::from(crate::failure::INVALID));
        };
        let mut difference = Difference::of(&old, &new);
        if !difference.is_empty() {
            let nodes = old.nodes.len().max(new.nodes.len()) as u64;
            match self.end_states.records_max(nodes) {
                None => {}
                Some(0) => ui::say(
                    "note: the plans are too large to compare their end states within seconds; `--end-states all` does it\n",
                ),
                Some(records_max) => {
                    let limits = limits(&registry(&dir));
                    let model = |graph: Graph| Model::new(graph, BTreeSet::new(), limits.clone(), ITEMS);
                    let options = Options {
                        pairs: false,
                        crashes: false,
                        scenarios_max: SCENARIOS_MAX,
                        records_max,
                    };
                    difference.with_end_states(EndStates::of(&model(old), &model(new), &options));
                }
            }
        }
        match self.output {
            Shown::Text => ui::print(&difference.to_text()),
            Shown::Markdown => ui::print(&difference.to_markdown(DIFFERENCE_BYTES_MAX)),
            Shown::Json => ui::print_json(&difference),
            Shown::Yaml => {
                let text = serde_saphyr::to_string(&difference);
                ui::print(&text.map_err(|error| Failure::new(error.to_string()))?);
            }
        }
        Ok(if difference.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(DIFFERENT)
        })
    }
}

/// The graph of a plan's file, of a saved preview, or of a run; `None` if a plan is invalid, which has been said.
fn graph(arguments: &PlanArguments, dir: &StateDir) -> Answer<Option<Graph>> {
    let named = arguments.file()?;
    if named.entry.is_none() && named.file.exists() && is_json(&named.file) {
        return Ok(Some(artefact::read(&named.file)?.graph));
    }
    let text = named.file.to_string_lossy();
    let run_like = text.len() >= 4 && text.chars().all(|c| c.is_ascii_alphanumeric());
    if named.entry.is_none() && !named.file.exists() && run_like {
        let journal = Journal::open(dir)?;
        let run = journal.find(&RunName::Prefix(text.into_owned()))?;
        let stored = journal.load(&run)?;
        let state = caxplan_run::fold(&run, stored.graph, &stored.records)?;
        return Ok(Some(state.plan()));
    }
    Ok(match arguments.load(&registry(dir))? {
        Checked::Valid(loaded) => Some(loaded.graph),
        Checked::Invalid(_) => None,
    })
}

/// Whether a file begins as JSON does: a saved preview. Plans are seldom written so, and never begin with this key.
fn is_json(file: &Path) -> bool {
    let mut start = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(256).read_to_end(&mut start));
    read.is_ok()
        && String::from_utf8_lossy(&start)
            .trim_start()
            .starts_with("{\n  \"caxplan_preview\"")
}
