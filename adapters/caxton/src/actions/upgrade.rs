//! `caxton.node.upgrade`: another release on one node.

use super::{output, to_value};
use crate::ClusterRef;
use crate::cluster::node;
use crate::failure::{Failure, carry_out, changing, reading};
use crate::release::Archive;
use crate::wait::{Look, until};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{
    ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict,
};
use caxton_client::Client;
use caxton_model::api::{NodeInfo, UpgradeRequest};
use caxton_model::{NodeId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long a probe waits for a node that is just switching.
const PROBE_WITHIN: Duration = Duration::from_secs(30);

fn default_within() -> Duration {
    Duration::from_secs(120)
}

/// Arguments of `caxton.node.upgrade`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeUpgrade {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The node. It should be drained.
    #[schemars(with = "String")]
    node: NodeId,
    /// The version that it shall run.
    #[schemars(with = "String")]
    version: Version,
    /// The release archive: a path relative to the plan's folder that the node can read too, or an address.
    release: String,
    /// The archive's SHA-256; that of the file `ARCHIVE.sha256` beside it if absent.
    #[serde(default)]
    sha256: Option<String>,
    /// How long the node may take to answer with the new version, once the release is staged.
    #[serde(default = "default_within")]
    within: Duration,
}

/// What an undo restores.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Before {
    version: Version,
}

#[async_trait]
impl Action for NodeUpgrade {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("node", "string"), ("from", "string"), ("version", "string")]),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            default_timeout: Some(Duration::from_secs(300)),
            examples: vec![json!({
                "cluster": "dev:demo",
                "node": "node-1",
                "version": "1.1.0",
                "release": "../target/releases/caxton-1.1.0.tar.gz",
            })],
            ..changes::<Self>(
                "caxton.node.upgrade",
                "Brings a node to another release and waits until it answers with the new version",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let info = async {
            let at = self.at(context).await?;
            at.node_info().await.map_err(reading)
        };
        let info = info.await.map_err(|failure| failure.cause)?;
        let (change, summary) = if info.version == self.version {
            (Change::WouldNot, format!("{} runs {}", self.node, self.version))
        } else {
            let summary = format!("{} would go from {} to {}", self.node, info.version, self.version);
            (Change::Would, summary)
        };
        Ok(Forecast {
            change,
            summary,
            before: to_value(&Before {
                version: info.version,
            }),
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        carry_out(context, FailureEffect::Possible, async {
            let at = self.at(context).await?;
            let info = settled(&at, &self.node, context, self.within).await?;
            let from = info.version;
            if from == self.version {
                return Ok(Outcome::Unchanged {
                    output: self.output(&from, &from),
                });
            }
            let archive = Archive::new(context, &self.release);
            let request = UpgradeRequest {
                version: self.version.clone(),
                source: archive.for_node(),
                sha256: archive.expected_sha256(self.sha256.as_deref())?,
            };
            context.note(&format!("{} goes from {from} to {}", self.node, self.version));
            at.upgrade(&request).await.map_err(changing)?;
            self.wait_for(&at, &self.version, context).await?;
            Ok(Outcome::Changed {
                output: self.output(&from, &self.version),
            })
        })
        .await
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        let info = async {
            let at = self.at(context).await?;
            settled(&at, &self.node, context, PROBE_WITHIN).await
        };
        match info.await {
            Ok(info) if info.version == self.version => Verdict::Done {
                output: self.output(
                    info.previous_version.as_ref().unwrap_or(&info.version),
                    &info.version,
                ),
            },
            Ok(_) => Verdict::NotDone,
            Err(failure) => Verdict::Unknown {
                reason: failure.cause.message,
            },
        }
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        let before = match serde_json::from_value::<Before>(before.clone()) {
            Ok(before) => before.version,
            Err(error) => {
                return Outcome::failed(
                    FailureKind::Invalid,
                    format!("the version before is not known: {error}"),
                );
            }
        };
        carry_out(context, FailureEffect::Possible, async {
            let at = self.at(context).await?;
            let info = settled(&at, &self.node, context, self.within).await?;
            let output = self.output(&info.version, &before);
            if info.version == before {
                return Ok(Outcome::Unchanged { output });
            }
            if info.previous_version.as_ref() != Some(&before) {
                let kept = info
                    .previous_version
                    .map_or("none".to_owned(), |version| version.0);
                return Err(Failure::before(
                    Cause::new(
                        FailureKind::Conflict,
                        format!(
                            "{} runs {} and keeps {kept}, so it cannot go back to {before}",
                            self.node, info.version
                        ),
                    )
                    .with_hint(format!("upgrade {} to the wanted release by hand", self.node)),
                ));
            }
            context.note(&format!(
                "{} goes back from {} to {before}",
                self.node, info.version
            ));
            at.rollback().await.map_err(changing)?;
            self.wait_for(&at, &before, context).await?;
            Ok(Outcome::Changed { output })
        })
        .await
    }
}

impl NodeUpgrade {
    /// A client of the node. Its address is looked up once, before it restarts.
    async fn at(&self, context: &Context) -> Result<Client, Failure> {
        node(&self.cluster.connect(context)?, &self.node).await
    }

    fn output(&self, from: &Version, version: &Version) -> Value {
        json!({ "node": self.node, "from": from, "version": version })
    }

    /// Waits until the node answers with `version`; while it switches, it does not answer at all.
    async fn wait_for(&self, at: &Client, version: &Version, context: &Context) -> Result<(), Failure> {
        let id = &self.node;
        until(context, self.within, FailureKind::Timeout, || async move {
            let status = match at.upgrade_status().await {
                Ok(status) => status,
                Err(error) => return Look::NotYet(format!("waiting for {id} to run {version}: {error}")),
            };
            let is_meant = status.to.as_ref() == Some(version);
            let has_failed = match status.phase.as_str() {
                "failed" => is_meant,
                // Going back is an upgrade too, whose goal is the release before.
                "rolled_back" => !is_meant,
                _ => false,
            };
            if has_failed {
                let reason = status.error.unwrap_or_else(|| "it does not say why".to_owned());
                let message = format!("{id} did not go to {version} ({}): {reason}", status.phase);
                return Look::Hopeless(Failure::midway(
                    Cause::new(FailureKind::Conflict, message)
                        .with_hint(format!("the log of {id} says more; it keeps the release before")),
                ));
            }
            match at.node_info().await {
                Ok(info) if info.version == *version && !is_switching(&status.phase) => Look::Ready(()),
                Ok(info) => Look::NotYet(format!(
                    "{id} runs {}, its upgrade is {}",
                    info.version, status.phase
                )),
                Err(error) => Look::NotYet(format!("waiting for {id} to run {version}: {error}")),
            }
        })
        .await
        .map_err(|failure| Failure::midway(failure.cause))
    }
}

fn is_switching(phase: &str) -> bool {
    matches!(phase, "staging" | "switching")
}

/// The node as it is when no upgrade is going on any more.
async fn settled(at: &Client, id: &NodeId, context: &Context, within: Duration) -> Result<NodeInfo, Failure> {
    until(context, within, FailureKind::Timeout, || async move {
        match (at.upgrade_status().await, at.node_info().await) {
            (Ok(status), Ok(_)) if is_switching(&status.phase) => {
                Look::NotYet(format!("an upgrade of {id} is {}", status.phase))
            }
            (Ok(_), Ok(info)) => Look::Ready(info),
            (Err(error), _) | (_, Err(error)) if error.is_transient() => Look::NotYet(error.to_string()),
            (Err(error), _) | (_, Err(error)) => Look::Hopeless(reading(error)),
        }
    })
    .await
}
