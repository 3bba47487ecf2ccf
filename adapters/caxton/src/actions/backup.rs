//! `caxton.backup.*`.

use super::{only_looks, output, to_value};
use crate::ClusterRef;
use crate::cluster::{alive_members, node};
use crate::failure::{carry_out, changing, look, reading};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, Outcome, UndoSupport, Value};
use caxton_model::NodeId;
use caxton_model::api::BackupRequest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Everything.
    #[default]
    Full,
    /// What changed since the last one.
    Incremental,
}

/// Arguments of `caxton.backup.create`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupCreate {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The nodes to back up; all that are alive if absent. Each node holds state of its own.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    nodes: Option<Vec<NodeId>>,
    /// `full` or `incremental`.
    #[serde(default, rename = "type")]
    kind: Kind,
    /// A folder on the nodes; each node's own `backups` folder if absent.
    #[serde(default)]
    destination: Option<String>,
    /// Whether to compress.
    #[serde(default)]
    compress: bool,
}

impl BackupCreate {
    async fn node_ids(&self, client: &caxton_client::Client) -> Result<Vec<NodeId>, crate::failure::Failure> {
        match &self.nodes {
            Some(nodes) => Ok(nodes.clone()),
            None => Ok(alive_members(client)
                .await?
                .into_iter()
                .map(|member| member.id)
                .collect()),
        }
    }
}

#[async_trait]
impl Action for BackupCreate {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("backups", "array"), ("bytes", "integer")]),
            // A second backup takes space and hurts nobody: after a crash another one is right.
            idempotent: true,
            undo: UndoSupport::NotNeeded,
            default_timeout: Some(Duration::from_secs(600)),
            examples: vec![json!({ "cluster": "dev:demo" })],
            ..changes::<Self>(
                "caxton.backup.create",
                "Backs up nodes and verifies each backup against its manifest",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let nodes = async { self.node_ids(&self.cluster.connect(context)?).await };
        let nodes = nodes.await.map_err(|failure| failure.cause)?;
        let names: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
        Ok(Forecast {
            change: Change::Would,
            summary: format!("would back up {}", names.join(", ")),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        carry_out(context, FailureEffect::Possible, async {
            let client = self.cluster.connect(context)?;
            let request = BackupRequest {
                kind: to_value(&self.kind).as_str().unwrap_or_default().to_owned(),
                destination: self.destination.clone(),
                compress: self.compress,
            };
            let mut backups = Vec::new();
            for id in self.node_ids(&client).await? {
                let at = node(&client, &id).await?;
                let made = at.create_backup(&request).await.map_err(changing)?;
                let backup = at.verify_backup(&made.id).await.map_err(changing)?;
                context.note(&format!(
                    "{id}: {} ({} bytes) is written and verified",
                    backup.path, backup.bytes
                ));
                backups.push(backup);
            }
            let bytes: u64 = backups.iter().map(|backup| backup.bytes).sum();
            Ok(Outcome::Changed {
                output: json!({ "backups": backups, "bytes": bytes }),
            })
        })
        .await
    }
}

/// Arguments of `caxton.backup.verify`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupVerify {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The node that made the backup.
    #[schemars(with = "String")]
    node: NodeId,
    /// The backup's id.
    id: String,
}

#[async_trait]
impl Action for BackupVerify {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("id", "string"), ("sha256", "string"), ("bytes", "integer")]),
            examples: vec![json!({
                "cluster": "dev:demo",
                "node": "node-1",
                "id": "backup-20240115-0200-node-1",
            })],
            ..reads::<Self>("caxton.backup.verify", "Compares a backup with its manifest")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(only_looks(format!("compares {} with its manifest", self.id)))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let at = node(&self.cluster.connect(context)?, &self.node).await?;
            Ok(to_value(&at.verify_backup(&self.id).await.map_err(reading)?))
        })
        .await
    }
}
