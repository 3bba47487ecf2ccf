//! The adapter that drives a Caxton cluster through its management API.

mod actions;
mod cluster;
mod failure;
mod release;
mod wait;

pub use cluster::ClusterRef;

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// The adapter `caxton`.
pub fn adapter() -> Arc<dyn Adapter> {
    Arc::new(actions::add_to(ActionSet::new("caxton")))
}

#[cfg(test)]
mod tests {
    use caxplan_adapter::conformance::{Case, check};
    use caxplan_model::FailureKind;
    use serde_json::json;

    /// Cases with a real cluster are among the end-to-end tests.
    #[tokio::test]
    async fn conforms_as_far_as_it_goes_without_a_cluster() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("token"), "s3cret-token\n").expect("writes to a file");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let closed = listener.local_addr().expect("it is bound");
        drop(listener);
        let context = folder.path().join("context.yaml");
        let text = format!("endpoints: [\"http://{closed}\"]\ntoken_file: token\n");
        std::fs::write(&context, text).expect("writes to a file");
        let unreachable = context.display().to_string();

        check(
            &*super::adapter(),
            &[
                Case::fails(
                    "caxton.cluster.status",
                    json!({ "cluster": "no/such/context.yaml" }),
                    FailureKind::NotFound,
                ),
                Case::fails(
                    "caxton.node.drain",
                    json!({ "cluster": unreachable, "node": "node-1" }),
                    FailureKind::Unavailable,
                )
                .masking("s3cret-token"),
                Case::fails(
                    "caxton.node.health",
                    json!({ "cluster": unreachable, "node": "node-1", "within": "0s" }),
                    FailureKind::Expectation,
                ),
            ],
        )
        .await;
    }
}
