//! Which cluster an action drives.

use crate::failure::{Failure, reading};
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use caxton_client::Client;
use caxton_model::NodeId;
use caxton_model::api::Member;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The path of a client context (`context.yaml`, relative to the plan's folder), or `dev:NAME` for the development
/// cluster of that name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ClusterRef(String);

impl ClusterRef {
    /// A client of the cluster. Its token is masked from here on.
    pub(crate) fn connect(&self, context: &Context) -> Result<Client, Failure> {
        let path = self.context_file(context)?;
        if let Some(name) = self.0.strip_prefix("dev:")
            && !path.exists()
        {
            return Err(Failure::before(
                Cause::new(
                    FailureKind::NotFound,
                    format!("there is no development cluster `{name}`"),
                )
                .with_hint(format!("start it with `caxton dev up {name}`")),
            ));
        }
        let (endpoints, token) = caxton_client::load_context(&path).map_err(|error| {
            let message = format!(
                "the cluster `{}` cannot be found: {}",
                self.0,
                with_sources(&error)
            );
            Failure::before(
                Cause::new(FailureKind::NotFound, message)
                    .with_hint("`cluster` is the path of a client context, relative to the plan's folder"),
            )
        })?;
        context.mask(&token);
        Client::new(&endpoints, token).map_err(reading)
    }

    fn context_file(&self, context: &Context) -> Result<PathBuf, Failure> {
        match self.0.strip_prefix("dev:") {
            None => Ok(context.plan_dir.join(&self.0)),
            Some(name) => {
                let folder = dev_dir().ok_or_else(|| {
                    Failure::before(
                        Cause::new(
                            FailureKind::NotFound,
                            "there is no folder for development clusters: HOME is not set",
                        )
                        .with_hint("set CAXTON_DEV_DIR"),
                    )
                })?;
                Ok(folder.join(name).join("context.yaml"))
            }
        }
    }
}

/// Where development clusters lie, as `caxton dev` decides it too.
fn dev_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("CAXTON_DEV_DIR")
        .or_else(|| absolute("XDG_STATE_HOME").map(|state| state.join("caxton/dev")))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state/caxton/dev")))
}

/// A file that a plan names: as it is if it is absolute, else relative to the plan's folder; without `file://`.
pub(crate) fn plan_file(context: &Context, path: &str) -> PathBuf {
    let joined = context
        .plan_dir
        .join(path.strip_prefix("file://").unwrap_or(path));
    std::path::absolute(&joined).unwrap_or(joined)
}

/// The members that gossip sees alive, in the order of their names.
pub(crate) async fn alive_members(client: &Client) -> Result<Vec<Member>, Failure> {
    let mut members = client.members().await.map_err(reading)?;
    members.retain(is_up);
    members.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(members)
}

/// Whether gossip sees the member alive, whatever an operator said about its agents.
pub(crate) fn is_up(member: &Member) -> bool {
    matches!(member.status.as_str(), "alive" | "draining" | "maintenance")
}

/// A client of this node alone.
pub(crate) async fn node(client: &Client, node: &NodeId) -> Result<Client, Failure> {
    client.node(node).await.map_err(reading)
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

/// The last part of a path, for one-line summaries.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
