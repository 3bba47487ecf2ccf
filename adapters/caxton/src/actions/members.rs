//! `caxton.cluster.members`: the nodes of a cluster, as targets of an inventory.

use super::{only_looks, output};
use crate::ClusterRef;
use crate::failure::{look, reading};
use caxplan_adapter::{Action, Call, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Outcome, Value};
use caxton_model::api::Member;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Arguments of `caxton.cluster.members`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterMembers {
    /// The cluster: the path of a client context, or `dev:NAME`.
    cluster: ClusterRef,
}

#[async_trait]
impl Action for ClusterMembers {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output(&[("targets", "array")]),
            examples: vec![json!({ "cluster": "dev:demo" })],
            ..reads::<Self>(
                "caxton.cluster.members",
                "Lists the members of a cluster, such that an inventory can take its targets from there",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(only_looks("lists the cluster's members"))
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        look(context, async {
            let client = self.cluster.connect(context)?;
            let mut members = client.members().await.map_err(reading)?;
            // Who has left is no part of the cluster any more; who has failed still is.
            members.retain(|member| member.status != "left");
            members.sort_by(|a, b| a.id.cmp(&b.id));
            let targets: Vec<Value> = members.iter().map(target).collect();
            Ok(json!({ "targets": targets }))
        })
        .await
    }
}

fn target(member: &Member) -> Value {
    json!({
        "name": member.id,
        "groups": ["caxton"],
        "labels": {
            "role": member.role,
            "status": member.status,
            "version": member.version.to_string(),
        },
        "vars": {
            "api_addr": member.api_addr,
            "cluster_addr": member.cluster_addr,
        },
    })
}
