//! `caxton.agent.*`.

use super::{output, to_value};
use crate::ClusterRef;
use crate::cluster::plan_file;
use crate::failure::{Failure, carry_out, changing, reading};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{
    ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict,
};
use caxton_client::Client;
use caxton_model::api::AgentInfo;
use caxton_model::{AgentName, AgentSpec, ModuleDigest, Placement, Priority};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The largest module that is read.
const MODULE_MAX: u64 = 64 << 20;

/// Arguments of `caxton.agent.deploy`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentDeploy {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The agent's name.
    #[schemars(with = "String")]
    name: AgentName,
    /// The WebAssembly module: a path relative to the plan's folder.
    module: String,
    /// The version that its author gave it.
    #[serde(default)]
    version: String,
    /// What it can do, for lookup by capability.
    #[serde(default)]
    capabilities: Vec<String>,
    /// How much it matters: `low`, `normal`, `high` or `critical`.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["low", "normal", "high", "critical"]))]
    priority: Priority,
}

#[async_trait]
impl Action for AgentDeploy {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("name", "string"), ("node", "string"), ("module", "string")]),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            default_timeout: Some(Duration::from_secs(180)),
            examples: vec![json!({
                "cluster": "dev:demo",
                "name": "echo",
                "module": "agents/echo.wasm",
                "capabilities": ["echo"],
            })],
            ..changes::<Self>("caxton.agent.deploy", "Deploys an agent, or a new module of it")
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let work = async {
            let spec = self.spec_for(&ModuleDigest::of(&self.read_module(context)?));
            Ok::<_, Failure>((spec, self.find(&self.cluster.connect(context)?).await?))
        };
        let (spec, found) = work.await.map_err(|failure| failure.cause)?;
        let (change, summary) = match &found {
            None => (Change::Would, format!("would deploy {}", self.name)),
            Some(found) if found.spec == spec => (Change::WouldNot, format!("{} is deployed", self.name)),
            Some(_) => (Change::Would, format!("would change {}", self.name)),
        };
        Ok(Forecast {
            change,
            summary,
            before: to_value(&found.map(|found| found.spec)),
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        carry_out(context, FailureEffect::Possible, async {
            let bytes = self.read_module(context)?;
            let client = self.cluster.connect(context)?;
            let spec = self.spec_for(&ModuleDigest::of(&bytes));
            let found = self.find(&client).await?;
            if let Some(found) = found.filter(|found| found.spec == spec && found.status == "running") {
                return Ok(Outcome::Unchanged {
                    output: summary(&found),
                });
            }
            client.put_module(bytes).await.map_err(changing)?;
            let deployed = client.deploy(&spec).await.map_err(changing)?;
            Ok(Outcome::Changed {
                output: summary(&deployed),
            })
        })
        .await
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        let work = async {
            let spec = self.spec_for(&ModuleDigest::of(&self.read_module(context)?));
            Ok::<_, Failure>((spec, self.find(&self.cluster.connect(context)?).await?))
        };
        match work.await {
            Ok((spec, Some(found))) if found.spec == spec => Verdict::Done {
                output: summary(&found),
            },
            Ok(_) => Verdict::NotDone,
            Err(failure) => Verdict::Unknown {
                reason: failure.cause.message,
            },
        }
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        let before: Option<AgentSpec> = match serde_json::from_value(before.clone()) {
            Ok(before) => before,
            Err(error) => {
                return Outcome::failed(
                    FailureKind::Invalid,
                    format!("what was deployed before is not known: {error}"),
                );
            }
        };
        carry_out(context, FailureEffect::Possible, async {
            let client = self.cluster.connect(context)?;
            let found = self.find(&client).await?.map(|found| found.spec);
            let output = json!({ "name": self.name });
            if found == before {
                return Ok(Outcome::Unchanged { output });
            }
            match before {
                Some(spec) => drop(client.deploy(&spec).await.map_err(changing)?),
                None => client.remove_agent(&self.name).await.map_err(changing)?,
            }
            Ok(Outcome::Changed { output })
        })
        .await
    }
}

impl AgentDeploy {
    fn read_module(&self, context: &Context) -> Result<Vec<u8>, Failure> {
        let path = plan_file(context, &self.module);
        let refuse = |kind, message: String| {
            Failure::before(
                Cause::new(kind, format!("the module {}: {message}", path.display()))
                    .with_hint("`module` is a path relative to the plan's folder"),
            )
        };
        let size = std::fs::metadata(&path)
            .map_err(|error| refuse(FailureKind::NotFound, error.to_string()))?
            .len();
        if size > MODULE_MAX {
            return Err(refuse(
                FailureKind::Invalid,
                format!("it has {size} bytes; {MODULE_MAX} are the most"),
            ));
        }
        std::fs::read(&path).map_err(|error| refuse(FailureKind::Other, error.to_string()))
    }

    fn spec_for(&self, module: &ModuleDigest) -> AgentSpec {
        AgentSpec {
            name: self.name.clone(),
            module: module.clone(),
            version: self.version.clone(),
            capabilities: self.capabilities.clone(),
            priority: self.priority,
            limits: caxton_model::Limits::default(),
            restart: caxton_model::RestartPolicy::default(),
            placement: Placement::default(),
        }
    }

    async fn find(&self, client: &Client) -> Result<Option<AgentInfo>, Failure> {
        let agents = client.agents().await.map_err(reading)?;
        Ok(agents.into_iter().find(|agent| agent.spec.name == self.name))
    }
}

fn summary(info: &AgentInfo) -> Value {
    json!({ "name": info.spec.name, "node": info.node, "module": info.spec.module })
}
