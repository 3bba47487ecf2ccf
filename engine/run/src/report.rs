//! The built-in adapter `run`: what a step can say about the run that it belongs to.

use crate::{Journal, StateDir, clock, session};
use caxplan_adapter::{Adapter, Call, Change, Context, Forecast, async_trait};
use caxplan_core::account::Account;
use caxplan_model::{ActionSpec, Cause, Effect, FailureKind, Map, Outcome, UndoSupport, Value};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The name of the action.
const REPORT: &str = "run.report";

/// The adapter.
#[derive(Clone, Debug)]
pub struct RunAdapter {
    state_dir: StateDir,
}

impl RunAdapter {
    /// An adapter that reads the journal of this state folder.
    pub fn new(state_dir: StateDir) -> Self {
        Self { state_dir }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    path: PathBuf,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    figures: Map,
}

#[async_trait]
impl Adapter for RunAdapter {
    fn name(&self) -> &'static str {
        "run"
    }

    fn describe(&self) -> Vec<ActionSpec> {
        vec![ActionSpec {
            name: REPORT.to_owned(),
            summary: "Writes a report of this run, in Markdown".to_owned(),
            arguments: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["path"],
                "properties": {
                    "path": {
                        "type": "string",
                        "description": "The file, relative to the plan's folder. An older one is replaced.",
                    },
                    "title": {"type": "string", "description": "The heading; the plan's name if absent."},
                    "figures": {
                        "type": "object",
                        "description": "What else to say: a table of labels and values before the steps.",
                    },
                },
            }),
            output: json!({
                "type": "object",
                "properties": {"path": {"type": "string"}},
                "required": ["path"],
            }),
            effect: Effect::Changes,
            changes_argument: None,
            idempotent: true,
            probes: false,
            undo: UndoSupport::NotNeeded,
            records_before: false,
            availability: 0,
            default_timeout: None,
            public_arguments: Vec::new(),
            examples: vec![json!({
                "path": "reports/upgrade.md",
                "title": "Upgrade to 1.1.0",
                "figures": {"messages lost": "{{ steps.check_messages.output.lost }}"},
            })],
        }]
    }

    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        let report: Report = call.arguments()?;
        let path = context.plan_dir.join(&report.path);
        Ok(Forecast {
            change: Change::Would,
            summary: format!("would write {}", path.display()),
            before: Value::Null,
        })
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        let written = call.arguments().and_then(|report: Report| {
            let text = self.text(call, &report)?;
            let path = context.plan_dir.join(&report.path);
            replace(&path, &text).map_err(|error| {
                Cause::new(
                    FailureKind::Other,
                    format!("{} could not be written: {error}", path.display()),
                )
            })?;
            Ok(path)
        });
        match written {
            Ok(path) => Outcome::Changed {
                output: json!({ "path": path }),
            },
            // The report is replaced as a whole, or not at all.
            Err(cause) => Outcome::Failed {
                cause,
                effect: caxplan_model::FailureEffect::None,
            },
        }
    }
}

impl RunAdapter {
    fn text(&self, call: &Call, report: &Report) -> Result<String, Cause> {
        let unreadable = |error: String| Cause::new(FailureKind::Other, error);
        let journal = Journal::open(&self.state_dir).map_err(|error| unreadable(error.to_string()))?;
        let stored = journal
            .load(&call.run)
            .map_err(|error| unreadable(error.to_string()))?;
        let state = session::fold(&call.run, stored.graph, &stored.records)
            .map_err(|error| unreadable(error.to_string()))?;
        let account = Account::of(&state, &stored.records);
        let title = report.title.as_deref().unwrap_or(&stored.summary.name);
        let figures: Vec<(String, String)> = report
            .figures
            .iter()
            .map(|(label, value)| (label.clone(), shown(value)))
            .collect();
        Ok(account.to_markdown(title, &figures, &clock::utc))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Writes the whole file, or leaves the old one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = folder.join(name);
    let write = || {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().inspect_err(|_| {
        // The error that is reported is the first one.
        let _ = std::fs::remove_file(&part);
    })
}
