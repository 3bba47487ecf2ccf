//! `caxton.node.*`: looking at one node, and keeping its agents' state safe.

use super::{only_looks, output, to_value};
use crate::ClusterRef;
use crate::cluster::{is_up, node};
use crate::failure::{carry_out, changing, look, reading};
use crate::wait::{Look, until};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, UndoSupport, Value};
use caxton_client::{Client, ClientError};
use caxton_model::NodeId;
use caxton_model::api::Health;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Arguments of `caxton.node.checkpoint`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeCheckpoint {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The node.
    #[schemars(with = "String")]
    node: NodeId,
}

#[async_trait]
impl Action for NodeCheckpoint {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[
                ("agents", "integer"),
                ("bytes", "integer"),
                ("copied_to", "array"),
            ]),
            idempotent: true,
            undo: UndoSupport::NotNeeded,
            default_timeout: Some(Duration::from_secs(150)),
            examples: vec![json!({ "cluster": "dev:demo", "node": "node-1" })],
            ..changes::<Self>(
                "caxton.node.checkpoint",
                "Makes the state of a node's agents durable and copies it to a peer",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let info = async {
            let at = node(&self.cluster.connect(context)?, &self.node).await?;
            at.node_info().await.map_err(reading)
        };
        let info = info.await.map_err(|failure| failure.cause)?;
        Ok(Forecast {
            change: Change::Would,
            summary: format!("would write the state of {} agents of {}", info.agents, self.node),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        carry_out(context, FailureEffect::Possible, async {
            let at = node(&self.cluster.connect(context)?, &self.node).await?;
            let checkpoint = at.checkpoint().await.map_err(changing)?;
            Ok(Outcome::Changed {
                output: to_value(&checkpoint),
            })
        })
        .await
    }
}

fn default_within() -> Duration {
    Duration::from_secs(60)
}

/// Arguments of `caxton.node.health`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeHealth {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The node.
    #[schemars(with = "String")]
    node: NodeId,
    /// How long the node may take to become healthy and to join the others again.
    #[serde(default = "default_within")]
    within: Duration,
}

#[async_trait]
impl Action for NodeHealth {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("status", "string"), ("version", "string"), ("checks", "array")]),
            examples: vec![json!({ "cluster": "dev:demo", "node": "node-1", "within": "30s" })],
            ..reads::<Self>(
                "caxton.node.health",
                "Waits until a node is healthy and the other nodes see it alive",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(only_looks(format!(
            "waits up to {} for {} to be healthy",
            self.within, self.node
        )))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let client = self.cluster.connect(context)?;
            let client = &client;
            let health = until(context, self.within, FailureKind::Expectation, || async move {
                match health_now(client, &self.node).await {
                    Ok(Ok(health)) => Look::Ready(health),
                    Ok(Err(reason)) => Look::NotYet(reason),
                    Err(error @ ClientError::UnknownNode { .. }) => Look::Hopeless(reading(error)),
                    Err(error) => Look::NotYet(error.to_string()),
                }
            });
            Ok(to_value(&health.await?))
        })
        .await
    }
}

/// The node's health if it is healthy and the others see it; else what is wrong.
async fn health_now(client: &Client, id: &NodeId) -> Result<Result<Health, String>, ClientError> {
    let health = client.node(id).await?.health().await?;
    let failing: Vec<String> = health
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    if !failing.is_empty() || health.status != "healthy" {
        return Ok(Err(format!("{id} is {} ({})", health.status, failing.join("; "))));
    }
    let members = client.members().await?;
    match members.iter().find(|member| member.id == *id) {
        Some(member) if is_up(member) => Ok(Ok(health)),
        Some(member) => Ok(Err(format!("the other nodes see {id} as {}", member.status))),
        None => Ok(Err(format!("{id} is no member"))),
    }
}

/// Arguments of `caxton.node.version`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeVersion {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The node.
    #[schemars(with = "String")]
    node: NodeId,
    /// The version to compare with; `done` in the output says whether the node runs it.
    #[serde(default)]
    is: Option<String>,
}

#[async_trait]
impl Action for NodeVersion {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("version", "string"), ("done", "boolean")]),
            examples: vec![json!({ "cluster": "dev:demo", "node": "node-1", "is": "1.1.0" })],
            ..reads::<Self>("caxton.node.version", "Reads which version a node runs")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(only_looks(format!("reads which version {} runs", self.node)))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let at = node(&self.cluster.connect(context)?, &self.node).await?;
            let info = at.node_info().await.map_err(reading)?;
            let done = self
                .is
                .as_deref()
                .is_none_or(|wanted| info.version.as_str() == wanted);
            Ok(json!({ "version": info.version, "done": done }))
        })
        .await
    }
}

/// Arguments of `caxton.node.metrics`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeMetrics {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The node.
    #[schemars(with = "String")]
    node: NodeId,
}

#[async_trait]
impl Action for NodeMetrics {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[
                ("message_rate", "number"),
                ("error_rate_percent", "number"),
                ("p50_latency_ms", "number"),
                ("p99_latency_ms", "number"),
                ("cpu_usage_percent", "number"),
                ("memory_usage_percent", "number"),
                ("disk_usage_percent", "number"),
                ("agent_count", "integer"),
                ("agent_crashes_total", "integer"),
                ("nodes_alive", "integer"),
                ("nodes_failed", "integer"),
            ]),
            examples: vec![json!({ "cluster": "dev:demo", "node": "node-1" })],
            ..reads::<Self>(
                "caxton.node.metrics",
                "Reads a node's figures over the last ten seconds",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(only_looks(format!("reads the figures of {}", self.node)))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let at = node(&self.cluster.connect(context)?, &self.node).await?;
            Ok(to_value(&at.metrics().await.map_err(reading)?))
        })
        .await
    }
}
