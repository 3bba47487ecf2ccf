//! The actions, one file for each part of the management API.

mod agent;
mod backup;
mod check;
mod dev;
mod drain;
mod exchange;
mod members;
mod node;
mod release;
mod select;
mod upgrade;

use caxplan_adapter::ActionSet;
use caxplan_model::Value;
use serde_json::json;

pub(crate) fn add_to(set: ActionSet) -> ActionSet {
    set.with::<check::ClusterVerify>()
        .with::<check::ClusterStatus>()
        .with::<members::ClusterMembers>()
        .with::<check::ClusterConsistency>()
        .with::<backup::BackupCreate>()
        .with::<backup::BackupVerify>()
        .with::<release::ReleaseCheck>()
        .with::<select::NodeSelect>()
        .with::<drain::NodeDrain>()
        .with::<drain::NodeUndrain>()
        .with::<node::NodeCheckpoint>()
        .with::<upgrade::NodeUpgrade>()
        .with::<node::NodeHealth>()
        .with::<node::NodeVersion>()
        .with::<node::NodeMetrics>()
        .with::<exchange::MessageExchange>()
        .with::<agent::AgentDeploy>()
        .with::<dev::DevUp>()
        .with::<dev::DevTraffic>()
}

/// The schema of an output: an object that has at least these fields.
fn output(fields: &[(&str, &str)]) -> Value {
    let properties: caxplan_model::Map = fields
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind })))
        .collect();
    let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// The API's types as the engine's values.
fn to_value<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("the API's types are JSON")
}

/// The forecast of an action that only reads.
fn only_looks(summary: impl Into<String>) -> caxplan_adapter::Forecast {
    caxplan_adapter::Forecast {
        change: caxplan_adapter::Change::WouldNot,
        summary: summary.into(),
        before: Value::Null,
    }
}
