//! `caxton.node.select`: which node goes first.

use super::{only_looks, output};
use crate::ClusterRef;
use crate::cluster::{alive_members, node};
use crate::failure::{Failure, look};
use caxplan_adapter::{Action, Call, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome};
use caxton_model::api::Member;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Arguments of `caxton.node.select`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeSelect {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
}

impl NodeSelect {
    async fn choose(&self, context: &Context) -> Result<Member, Failure> {
        let client = self.cluster.connect(context)?;
        let mut candidates = Vec::new();
        for member in alive_members(&client).await? {
            let healthy = match node(&client, &member.id).await?.health().await {
                Ok(health) => health.status == "healthy",
                Err(error) => {
                    context.note(&format!("{}: {error}", member.id));
                    false
                }
            };
            candidates.push((member, healthy));
        }
        choose(candidates).map_err(|reasons| {
            Failure::before(
                Cause::new(
                    FailureKind::Conflict,
                    format!("no node is fit to go first: {}", reasons.join("; ")),
                )
                .with_hint("at least one node that does not lead must be alive and healthy"),
            )
        })
    }
}

/// The one with the fewest agents among those that are active, healthy and do not lead, of equals the last, for the first
/// nodes of a cluster are those that others join by; or why each is unfit.
fn choose(candidates: Vec<(Member, bool)>) -> Result<Member, Vec<String>> {
    let mut reasons = Vec::new();
    let mut best: Option<Member> = None;
    for (member, healthy) in candidates {
        let id = &member.id;
        if member.status != "alive" {
            reasons.push(format!("{id} is {}", member.status));
        } else if !healthy {
            reasons.push(format!("{id} is not healthy"));
        } else if member.role == "leader" {
            reasons.push(format!("{id} leads"));
        } else if best.as_ref().is_none_or(|best| member.agents <= best.agents) {
            best = Some(member);
        }
    }
    best.ok_or(reasons)
}

#[async_trait]
impl Action for NodeSelect {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("node", "string"), ("agents", "integer"), ("version", "string")]),
            examples: vec![json!({ "cluster": "dev:demo" })],
            ..reads::<Self>(
                "caxton.node.select",
                "Chooses the node to go first: healthy, not the leader, with the fewest agents",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let member = self.choose(context).await.map_err(|failure| failure.cause)?;
        Ok(only_looks(format!(
            "would choose {} now ({} agents)",
            member.id, member.agents
        )))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let member = self.choose(context).await?;
            context.note(&format!("{} goes first", member.id));
            Ok(json!({ "node": member.id, "agents": member.agents, "version": member.version }))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::choose;
    use caxton_model::api::Member;

    fn check(members: &[(&str, &str, &str, u32, bool)], expected: Result<&str, &[&str]>) {
        let candidates = members.iter().map(|(id, status, role, agents, healthy)| {
            let member = Member {
                id: (*id).into(),
                status: (*status).to_owned(),
                last_seen_ms: 0,
                agents: *agents,
                version: "1.0.0".into(),
                api_addr: String::new(),
                cluster_addr: String::new(),
                role: (*role).to_owned(),
            };
            (member, *healthy)
        });
        let chosen = choose(candidates.collect()).map(|member| member.id.0);
        assert_eq!(
            chosen,
            expected
                .map(str::to_owned)
                .map_err(|reasons| reasons.iter().map(|reason| (*reason).to_owned()).collect())
        );
    }

    #[test]
    fn the_idlest_healthy_follower_goes_first() {
        check(
            &[
                ("node-1", "alive", "leader", 0, true),
                ("node-2", "alive", "voter", 2, true),
                ("node-3", "alive", "voter", 3, true),
            ],
            Ok("node-2"),
        );
        check(
            &[
                ("node-1", "alive", "voter", 2, true),
                ("node-2", "alive", "leader", 2, true),
                ("node-3", "alive", "voter", 2, true),
            ],
            Ok("node-3"),
        );
    }

    #[test]
    fn each_unfit_node_is_named() {
        check(
            &[
                ("node-1", "alive", "leader", 0, true),
                ("node-2", "draining", "voter", 0, true),
                ("node-3", "alive", "voter", 2, false),
            ],
            Err(&["node-1 leads", "node-2 is draining", "node-3 is not healthy"]),
        );
    }
}
