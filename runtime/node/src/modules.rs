//! Modules' bytes, copied between nodes by their digest.

use crate::node::Shared;
use bytes::Bytes;
use caxton_cluster::Service;
use caxton_host::StoreError;
use caxton_model::{ModuleDigest, NodeId};
use futures_util::future::join_all;
use std::time::Duration;
use tracing::{debug, warn};

/// The largest module, in bytes. A frame between nodes holds it.
pub(crate) const MODULE_BYTES_MAX: usize = 32 << 20;
/// How long one node may take to give or take a module.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(30);

/// The first byte of a request: give me this digest.
const GET: u8 = b'G';
/// The first byte of a request: keep these bytes.
const PUT: u8 = b'P';

/// Keeps a module here and on all live nodes; answers who has it now.
///
/// # Errors
/// If it cannot be kept here; then it is nowhere. Nodes that cannot be reached get it when they need it.
pub(crate) async fn distribute(
    shared: &Shared,
    module: Vec<u8>,
) -> Result<(ModuleDigest, Vec<NodeId>), StoreError> {
    let body = request(PUT, &module);
    let digest = shared.store.put_module(module).await?;
    let others = shared.live_others();
    let sent = join_all(others.iter().map(|node| {
        let body = body.clone();
        shared
            .cluster
            .request(node, Service::MODULE, body, TRANSFER_TIMEOUT)
    }));
    let mut nodes = vec![shared.id().clone()];
    for (node, answer) in others.iter().zip(sent.await) {
        match answer {
            Ok(_) => nodes.push(node.clone()),
            Err(error) => {
                warn!(%node, %error, "module not copied; the node will ask for it when it needs it");
            }
        }
    }
    nodes.sort();
    Ok((digest, nodes))
}

/// Makes sure that a module is in this node's store, from any live node that has it.
///
/// # Errors
/// If no live node has it, or the store fails.
pub(crate) async fn ensure(shared: &Shared, digest: &ModuleDigest) -> Result<(), String> {
    let here = shared
        .store
        .module(digest)
        .await
        .map_err(|error| error.to_string())?;
    if here.is_some() {
        return Ok(());
    }
    for node in shared.live_others() {
        let body = request(GET, digest.as_str().as_bytes());
        match shared
            .cluster
            .request(&node, Service::MODULE, body, TRANSFER_TIMEOUT)
            .await
        {
            Ok(bytes) if ModuleDigest::of(&bytes) == *digest => {
                shared
                    .store
                    .put_module(bytes.to_vec())
                    .await
                    .map_err(|error| error.to_string())?;
                return Ok(());
            }
            Ok(_) => warn!(%node, %digest, "the bytes do not have the module's digest"),
            Err(error) => debug!(%node, %digest, %error, "module not there"),
        }
    }
    Err(format!("no live node has module {digest}; deploy it again"))
}

/// Answers a node that gives or wants a module.
pub(crate) async fn answer(shared: &Shared, body: &Bytes) -> Result<Bytes, String> {
    match body.split_first() {
        Some((&GET, digest)) => {
            let digest = ModuleDigest(String::from_utf8_lossy(digest).into_owned());
            let module = shared
                .store
                .module(&digest)
                .await
                .map_err(|error| error.to_string())?;
            module
                .map(Bytes::from)
                .ok_or_else(|| format!("module {digest} is not here"))
        }
        Some((&PUT, module)) if module.len() <= MODULE_BYTES_MAX => {
            shared
                .store
                .put_module(module.to_vec())
                .await
                .map_err(|error| error.to_string())?;
            Ok(Bytes::new())
        }
        Some(_) | None => Err("not a request for a module".to_owned()),
    }
}

fn request(kind: u8, rest: &[u8]) -> Bytes {
    let mut body = Vec::with_capacity(1 + rest.len());
    body.push(kind);
    body.extend_from_slice(rest);
    body.into()
}
