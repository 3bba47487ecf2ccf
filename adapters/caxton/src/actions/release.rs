//! `caxton.release.check`: whether a release is whole and every node may go to it.

use super::{only_looks, output};
use crate::ClusterRef;
use crate::cluster::alive_members;
use crate::failure::{Failure, look};
use crate::release::{Archive, Inspected, inspect, refuse_step};
use caxplan_adapter::{Action, Call, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, FailureKind, Map, Outcome, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Arguments of `caxton.release.check`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseCheck {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The version that the nodes shall run.
    version: String,
    /// The release archive: a path relative to the plan's folder, or an address. What an address holds is checked by
    /// each node when it fetches it.
    release: String,
    /// The archive's SHA-256; that of the file `ARCHIVE.sha256` beside it if absent.
    #[serde(default)]
    sha256: Option<String>,
}

impl ReleaseCheck {
    async fn check(&self, context: &Context) -> Result<Value, Failure> {
        let archive = Archive::new(context, &self.release);
        let sha256 = archive.expected_sha256(self.sha256.as_deref())?;
        let bytes = match &archive {
            Archive::Url(_) => None,
            Archive::File(path) => {
                let path = path.clone();
                let inspected = tokio::task::spawn_blocking(move || inspect(&path))
                    .await
                    .map_err(|error| conflict(format!("the archive could not be read: {error}")))??;
                self.compare(&inspected, &sha256)?;
                Some(inspected.bytes)
            }
        };
        let mut from = Map::new();
        let mut refusals = Vec::new();
        for member in alive_members(&self.cluster.connect(context)?).await? {
            if let Some(reason) = refuse_step(member.version.as_str(), &self.version) {
                refusals.push(format!("{}: {reason}", member.id));
            }
            from.insert(member.id.0, json!(member.version));
        }
        if !refusals.is_empty() {
            return Err(Failure::before(
                Cause::new(
                    FailureKind::Conflict,
                    format!(
                        "not every node may go to {}: {}",
                        self.version,
                        refusals.join("; ")
                    ),
                )
                .with_hint("go through the versions between, one minor version at a time"),
            ));
        }
        Ok(json!({ "version": self.version, "sha256": sha256, "bytes": bytes, "from": from }))
    }

    fn compare(&self, inspected: &Inspected, sha256: &str) -> Result<(), Failure> {
        if inspected.sha256 != sha256 {
            return Err(Failure::before(
                Cause::new(
                    FailureKind::Conflict,
                    format!(
                        "{} is not what was published: its SHA-256 is {}, not {sha256}",
                        self.release, inspected.sha256
                    ),
                )
                .with_hint("fetch the release again"),
            ));
        }
        if inspected.version != self.version {
            return Err(conflict(format!(
                "{} is release {}, not {}",
                self.release, inspected.version, self.version
            )));
        }
        Ok(())
    }
}

#[async_trait]
impl Action for ReleaseCheck {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("version", "string"), ("sha256", "string"), ("from", "object")]),
            examples: vec![json!({
                "cluster": "dev:demo",
                "version": "1.1.0",
                "release": "../target/releases/caxton-1.1.0.tar.gz",
            })],
            ..reads::<Self>(
                "caxton.release.check",
                "Checks a release's checksum and version, and that every node may go to it",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let found = self.check(context).await.map_err(|failure| failure.cause)?;
        let versions: Vec<String> = found["from"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(node, version)| format!("{node} {}", version.as_str().unwrap_or("?")))
            .collect();
        Ok(only_looks(format!(
            "{} is whole; nodes now: {}",
            self.version,
            versions.join(", ")
        )))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, self.check(context)).await
    }
}

fn conflict(message: String) -> Failure {
    Failure::before(Cause::new(FailureKind::Conflict, message))
}
