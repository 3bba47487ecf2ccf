//! `caxton.dev.*`: the cluster on this machine that stands in where there is none, by the program `caxton`.

use super::{only_looks, output};
use crate::ClusterRef;
use crate::cluster::{alive_members, plan_file};
use caxplan_adapter::process::{self, Program};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, UndoSupport, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// What the program gets of the engine's environment, beside `CAXTON_DEV_…`: nothing that would configure a node by
/// accident.
const ENVIRONMENT: [&str; 7] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
];

fn default_nodes() -> u32 {
    3
}

/// Arguments of `caxton.dev.up`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DevUp {
    /// The name of the development cluster.
    name: String,
    /// How many nodes.
    #[serde(default = "default_nodes")]
    #[schemars(range(min = 1, max = 9))]
    nodes: u32,
    /// The release archive that new nodes start from: a path relative to the plan's folder. Nodes that are there keep
    /// theirs.
    release: String,
    /// A folder of agents to deploy, relative to the plan's folder; none if absent.
    #[serde(default)]
    agents: Option<String>,
    /// How many messages a second the message generator sends; 0 is none.
    #[serde(default)]
    traffic: u32,
}

#[async_trait]
impl Action for DevUp {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({ "type": "object" }),
            idempotent: true,
            // The cluster stays, so that one can look around: `caxton dev down` ends it.
            undo: UndoSupport::NotNeeded,
            default_timeout: Some(Duration::from_secs(180)),
            examples: vec![json!({
                "name": "demo",
                "nodes": 3,
                "release": "../target/releases/caxton-1.0.0.tar.gz",
                "agents": "../target/releases/agents",
                "traffic": 100,
            })],
            ..changes::<Self>(
                "caxton.dev.up",
                "Starts a cluster on this machine, or finds the one that is there",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let cluster: ClusterRef = serde_json::from_value(json!(format!("dev:{}", self.name)))
            .expect("a cluster reference is any text");
        let members = async { alive_members(&cluster.connect(context)?).await };
        // A cluster that cannot be found or does not answer is one to start.
        let alive = members.await.map_or(0, |members| members.len());
        Ok(if alive >= self.nodes as usize {
            only_looks(format!("the cluster {} is up with {alive} nodes", self.name))
        } else {
            Forecast {
                change: Change::Would,
                summary: format!(
                    "would bring the cluster {} up to {} nodes ({alive} run)",
                    self.name, self.nodes
                ),
                before: Value::Null,
            }
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let mut arguments = vec!["dev".to_owned(), "up".to_owned(), self.name.clone()];
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("--nodes", self.nodes.to_string());
        option(
            "--release",
            plan_file(context, &self.release).display().to_string(),
        );
        if let Some(agents) = &self.agents {
            option("--agents", plan_file(context, agents).display().to_string());
        }
        option("--traffic", self.traffic.to_string());
        match caxton(&arguments, context).await {
            Ok(output) => Outcome::Changed { output },
            Err(outcome) => outcome,
        }
    }
}

fn default_settle() -> Duration {
    Duration::from_secs(10)
}

/// Arguments of `caxton.dev.traffic`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DevTraffic {
    /// The name of the development cluster.
    name: String,
    /// How long to wait for answers that are still on their way.
    #[serde(default = "default_settle")]
    settle: Duration,
}

#[async_trait]
impl Action for DevTraffic {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[
                ("sent", "integer"),
                ("answered", "integer"),
                ("lost", "integer"),
                ("doubled", "integer"),
                ("outstanding", "integer"),
                ("slowest_ms", "number"),
                ("p99_ms", "number"),
            ]),
            examples: vec![json!({ "name": "demo", "settle": "10s" })],
            ..reads::<Self>(
                "caxton.dev.traffic",
                "Reads what the message generator has sent and got back",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(only_looks("reads the message generator's figures"))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let settle = self.settle.to_string();
        let arguments = ["dev", "traffic", &self.name, "--settle", &settle].map(str::to_owned);
        match caxton(&arguments, context).await {
            Ok(output) => Outcome::Unchanged { output },
            // It only reads.
            Err(outcome) => match outcome.cause() {
                Some(cause) => Outcome::Failed {
                    cause: cause.clone(),
                    effect: FailureEffect::None,
                },
                None => outcome,
            },
        }
    }
}

/// Runs the program `caxton` and reads what it says as JSON.
async fn caxton(arguments: &[String], context: &Context) -> Result<Value, Outcome> {
    let mut argv = vec![binary()];
    argv.extend(arguments.iter().cloned());
    argv.extend(["--output".to_owned(), "json".to_owned()]);
    let program = Program {
        argv,
        env: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("CAXTON_DEV_") || ENVIRONMENT.contains(&name.as_str()))
            .collect(),
        ..Program::default()
    };
    // The nodes that it starts outlive the engine. With the attempt's markers in their environment, a resumed run would
    // take them for leftovers.
    let context = Context {
        markers: Vec::new(),
        ..context.clone()
    };
    let finished = process::run(&program, &context).await?;
    let command = format!("`caxton {}`", arguments.join(" "));
    if !finished.status.success() {
        let said = finished.stderr.tail();
        return Err(Outcome::Failed {
            cause: Cause::new(
                FailureKind::Exit,
                format!("{command} failed ({}): {said}", finished.status),
            ),
            effect: FailureEffect::Possible,
        });
    }
    serde_json::from_str(&finished.stdout.text()).map_err(|error| {
        Outcome::failed_midway(
            FailureKind::Other,
            format!("{command} did not answer with JSON: {error}"),
        )
    })
}

/// The program beside this one, as they are installed together; else the one in `PATH`.
fn binary() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|engine| Some(engine.parent()?.join("caxton")))
        .filter(|path| path.is_file())
        .map_or_else(|| "caxton".to_owned(), |path| path.display().to_string())
}
