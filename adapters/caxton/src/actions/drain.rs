//! `caxton.node.drain` and `caxton.node.undrain`: whether a node takes agents.

use super::output;
use crate::ClusterRef;
use crate::cluster::node;
use crate::failure::{Failure, carry_out, changing, reading};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{
    ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict,
};
use caxton_client::Client;
use caxton_model::api::NodeInfo;
use caxton_model::{NodeId, NodeState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Arguments of `caxton.node.drain`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeDrain {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The node.
    #[schemars(with = "String")]
    node: NodeId,
}

/// Arguments of `caxton.node.undrain`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeUndrain {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The node.
    #[schemars(with = "String")]
    node: NodeId,
}

/// What an undo restores.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Before {
    state: NodeState,
}

#[async_trait]
impl Action for NodeDrain {
    fn spec() -> ActionSpec {
        ActionSpec {
            availability: -1,
            ..spec::<Self>(
                "caxton.node.drain",
                "Moves a node's agents, with their state, to other nodes",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let (_, info) = find(&self.cluster, &self.node, context)
            .await
            .map_err(|failure| failure.cause)?;
        Ok(if is_drained(&info) {
            forecast(Change::WouldNot, format!("{} is drained", self.node), &info)
        } else {
            let summary = format!("would move {} agents off {}", info.agents, self.node);
            forecast(Change::Would, summary, &info)
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        set(&self.cluster, &self.node, NodeState::Draining, context).await
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        probe(&self.cluster, &self.node, context, is_drained).await
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        restore(&self.cluster, &self.node, before, context).await
    }
}

#[async_trait]
impl Action for NodeUndrain {
    fn spec() -> ActionSpec {
        ActionSpec {
            availability: 1,
            ..spec::<Self>("caxton.node.undrain", "Lets a node take agents again")
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let (_, info) = find(&self.cluster, &self.node, context)
            .await
            .map_err(|failure| failure.cause)?;
        Ok(if info.state == NodeState::Active {
            forecast(Change::WouldNot, format!("{} takes agents", self.node), &info)
        } else {
            let summary = format!("would let {} take agents again", self.node);
            forecast(Change::Would, summary, &info)
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        set(&self.cluster, &self.node, NodeState::Active, context).await
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        probe(&self.cluster, &self.node, context, |info| {
            info.state == NodeState::Active
        })
        .await
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        restore(&self.cluster, &self.node, before, context).await
    }
}

fn spec<A: JsonSchema>(name: &str, summary: &str) -> ActionSpec {
    ActionSpec {
        output: output(&[("node", "string"), ("state", "string"), ("agents", "integer")]),
        idempotent: true,
        probes: true,
        undo: UndoSupport::Native,
        records_before: true,
        default_timeout: Some(Duration::from_secs(150)),
        examples: vec![json!({ "cluster": "dev:demo", "node": "node-1" })],
        ..changes::<A>(name, summary)
    }
}

/// Whether nothing is left on the node: no agent, no message in hand, none that it still has to deliver.
fn is_drained(info: &NodeInfo) -> bool {
    info.state == NodeState::Draining && info.agents == 0 && info.in_flight == 0 && info.outbox == 0
}

fn forecast(change: Change, summary: String, info: &NodeInfo) -> Forecast {
    Forecast {
        change,
        summary,
        before: super::to_value(&Before { state: info.state }),
    }
}

async fn find(cluster: &ClusterRef, id: &NodeId, context: &Context) -> Result<(Client, NodeInfo), Failure> {
    let client = cluster.connect(context)?;
    let info = node(&client, id).await?.node_info().await.map_err(reading)?;
    Ok((client, info))
}

/// Brings the node to `wanted`, and says whether it was there.
async fn set(cluster: &ClusterRef, id: &NodeId, wanted: NodeState, context: &Context) -> Outcome {
    carry_out(context, FailureEffect::Possible, async {
        let (client, info) = find(cluster, id, context).await?;
        let (there, info) = match wanted {
            NodeState::Active if info.state == NodeState::Active => (true, info),
            NodeState::Active => (false, client.undrain(id).await.map_err(changing)?),
            NodeState::Draining if is_drained(&info) => (true, info),
            NodeState::Draining => {
                context.note(&format!("moving {} agents off {id}", info.agents));
                (false, client.drain(id).await.map_err(changing)?)
            }
            NodeState::Maintenance => {
                return Err(Failure::before(Cause::new(
                    FailureKind::Invalid,
                    format!("{id} was in maintenance, to which only an operator can bring it"),
                )));
            }
        };
        let output = json!({ "node": id, "state": info.state, "agents": info.agents });
        Ok(if there {
            Outcome::Unchanged { output }
        } else {
            Outcome::Changed { output }
        })
    })
    .await
}

async fn probe(
    cluster: &ClusterRef,
    id: &NodeId,
    context: &Context,
    is_done: impl Fn(&NodeInfo) -> bool,
) -> Verdict {
    match find(cluster, id, context).await {
        Ok((_, info)) if is_done(&info) => Verdict::Done {
            output: json!({ "node": id, "state": info.state, "agents": info.agents }),
        },
        Ok(_) => Verdict::NotDone,
        Err(failure) => Verdict::Unknown {
            reason: failure.cause.message,
        },
    }
}

async fn restore(cluster: &ClusterRef, id: &NodeId, before: &Value, context: &Context) -> Outcome {
    match serde_json::from_value::<Before>(before.clone()) {
        Ok(before) => set(cluster, id, before.state, context).await,
        Err(error) => Outcome::failed(
            FailureKind::Invalid,
            format!("the state before is not known: {error}"),
        ),
    }
}
