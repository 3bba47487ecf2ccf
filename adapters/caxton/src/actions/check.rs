//! `caxton.cluster.*`: whether the cluster as a whole is well.

use super::{only_looks, output, to_value};
use crate::ClusterRef;
use crate::failure::{Failure, look, reading};
use crate::wait::{Look, until};
use caxplan_adapter::{Action, Call, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureKind, Outcome, Value};
use caxton_client::{Client, ClientError};
use caxton_model::api::{Member, Verification};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

fn default_within() -> Duration {
    Duration::from_secs(30)
}

/// Arguments of `caxton.cluster.verify`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterVerify {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// How long the cluster may take to come to rest.
    #[serde(default = "default_within")]
    within: Duration,
}

#[async_trait]
impl Action for ClusterVerify {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[
                ("members", "array"),
                ("leader", "string"),
                ("revision", "integer"),
            ]),
            examples: vec![json!({ "cluster": "dev:demo" })],
            ..reads::<Self>(
                "caxton.cluster.verify",
                "Checks that all members are alive and healthy, one of them leads, and all catalogs agree",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let client = self.cluster.connect(context).map_err(|failure| failure.cause)?;
        let summary = match examine(&client).await {
            Ok(Examined {
                problems, members, ..
            }) if problems.is_empty() => {
                format!("all {} members are well now", members.len())
            }
            Ok(Examined { problems, .. }) => format!("would fail now: {}", problems.join("; ")),
            Err(error) => return Err(reading(error).cause),
        };
        Ok(only_looks(summary))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let client = self.cluster.connect(context)?;
            let client = &client;
            until(context, self.within, FailureKind::Expectation, || async move {
                match examine(client).await {
                    Ok(examined) if examined.problems.is_empty() => Look::Ready(json!({
                        "members": examined.members.iter().map(|member| &member.id).collect::<Vec<_>>(),
                        "leader": examined.leader(),
                        "revision": examined.revision(),
                    })),
                    Ok(examined) => Look::NotYet(examined.problems.join("; ")),
                    Err(error) => not_yet(error),
                }
            })
            .await
            .map_err(|failure| {
                hint(
                    failure,
                    "`caxton cluster status` says more; nothing was changed yet",
                )
            })
        })
        .await
    }
}

/// Arguments of `caxton.cluster.status`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterStatus {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
}

#[async_trait]
impl Action for ClusterStatus {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[
                ("status", "string"),
                ("operations", "string"),
                ("voters", "integer"),
                ("alive", "integer"),
                ("failed", "integer"),
                ("agents", "integer"),
            ]),
            examples: vec![json!({ "cluster": "dev:demo" })],
            ..reads::<Self>("caxton.cluster.status", "Reads how the cluster stands")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(only_looks("reads the cluster's status"))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let client = self.cluster.connect(context)?;
            Ok(to_value(&client.cluster_status().await.map_err(reading)?))
        })
        .await
    }
}

/// Arguments of `caxton.cluster.consistency`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterConsistency {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
    /// The version that every node must run, if it matters.
    #[serde(default)]
    version: Option<String>,
    /// How long the nodes may take to agree.
    #[serde(default = "default_within")]
    within: Duration,
}

#[async_trait]
impl Action for ClusterConsistency {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[
                ("versions", "object"),
                ("revision", "integer"),
                ("digest", "string"),
            ]),
            examples: vec![json!({ "cluster": "dev:demo", "version": "1.1.0" })],
            ..reads::<Self>(
                "caxton.cluster.consistency",
                "Asks every node for its catalog and compares; checks that all run one version",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(only_looks(match &self.version {
            Some(version) => format!("compares all catalogs, and all versions with {version}"),
            None => "compares all catalogs".to_owned(),
        }))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let client = self.cluster.connect(context)?;
            let client = &client;
            until(context, self.within, FailureKind::Expectation, || async move {
                match client.verify().await {
                    Ok(verification) => {
                        let problems = disagreements(&verification, self.version.as_deref());
                        if problems.is_empty() {
                            Look::Ready(agreement(&verification))
                        } else {
                            Look::NotYet(problems.join("; "))
                        }
                    }
                    Err(error) => not_yet(error),
                }
            })
            .await
        })
        .await
    }
}

struct Examined {
    members: Vec<Member>,
    verification: Verification,
    problems: Vec<String>,
}

impl Examined {
    fn leader(&self) -> Option<&str> {
        self.members
            .iter()
            .find(|member| member.role == "leader")
            .map(|member| member.id.as_str())
    }

    fn revision(&self) -> u64 {
        self.verification
            .nodes
            .iter()
            .map(|node| node.revision)
            .max()
            .unwrap_or_default()
    }
}

async fn examine(client: &Client) -> Result<Examined, ClientError> {
    let members = client.members().await?;
    let verification = client.verify().await?;
    // Who has left in order is missed by nobody.
    let mut problems: Vec<String> = members
        .iter()
        .filter(|member| !matches!(member.status.as_str(), "alive" | "left"))
        .map(|member| format!("{} is {}", member.id, member.status))
        .collect();
    match members.iter().filter(|member| member.role == "leader").count() {
        1 => {}
        0 => problems.push("no node leads".to_owned()),
        more => problems.push(format!("{more} nodes lead")),
    }
    problems.extend(disagreements(&verification, None));
    Ok(Examined {
        members,
        verification,
        problems,
    })
}

/// What keeps the nodes from being of one mind: what the cluster says, and other versions than the wanted one.
fn disagreements(verification: &Verification, version: Option<&str>) -> Vec<String> {
    let mut problems = verification.problems.clone();
    if problems.is_empty() && !verification.ok {
        problems.push("the cluster says that it is not consistent".to_owned());
    }
    for node in &verification.nodes {
        if let (Some(wanted), Some(version)) = (version, &node.version)
            && version.as_str() != wanted
        {
            problems.push(format!("{} runs {version}, not {wanted}", node.id));
        }
    }
    problems
}

fn agreement(verification: &Verification) -> Value {
    let versions: caxplan_model::Map = verification
        .nodes
        .iter()
        .map(|node| (node.id.0.clone(), to_value(&node.version)))
        .collect();
    let newest = verification.nodes.iter().max_by_key(|node| node.revision);
    json!({
        "versions": versions,
        "revision": newest.map_or(0, |node| node.revision),
        "digest": newest.map_or("", |node| node.catalog_digest.as_str()),
    })
}

/// An error that may go away is a reason to look again; any other ends the wait.
fn not_yet<T>(error: ClientError) -> Look<T> {
    if error.is_transient() {
        Look::NotYet(error.to_string())
    } else {
        Look::Hopeless(reading(error))
    }
}

fn hint(mut failure: Failure, text: &str) -> Failure {
    if failure.cause.hint.is_none() {
        failure.cause.hint = Some(text.to_owned());
    }
    failure
}
