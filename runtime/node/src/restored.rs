//! Takes up what a restored backup brought: the catalog it knew, and agents' state from before.
//!
//! A restored node founds its cluster anew, so epochs begin anew, too. State from before gets epoch 0, under which no agent
//! ever runs: it is older than all that comes, and is what an agent begins with that has not run in this cluster.

use crate::backup::RESTORED_CATALOG;
use crate::checkpoint::Copies;
use crate::node::{NodeError, Shared};
use caxton_core::Catalog;
use caxton_host::Store;
use caxton_model::{CatalogCommand, CatalogReply, Epoch};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The pause before another try while there is no majority.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The epoch of state from before.
pub(crate) const BEFORE: Epoch = Epoch(0);

/// Makes copies of agents' state from before, in place of the state itself. To be called before anything runs.
///
/// # Errors
/// If the store or a copy fails. What was not yet done is done by the next call.
pub(crate) async fn set_state_aside(
    data_dir: &Path,
    store: &Store,
    copies: &Copies,
) -> Result<(), NodeError> {
    if !file(data_dir).exists() {
        return Ok(());
    }
    for position in store.agents().await? {
        if let Some(mut bundle) = store.snapshot(&position.agent).await? {
            bundle.epoch = BEFORE;
            copies.keep(bundle).await.map_err(|source| NodeError::File {
                what: "the folder of copies",
                path: data_dir.to_owned(),
                source,
            })?;
        }
        store.remove(&position.agent).await?;
    }
    Ok(())
}

/// Deploys what the restored catalog knew and this cluster does not, until `stop` or done.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let path = file(&shared.config.storage.data_dir);
    let Ok(text) = std::fs::read(&path) else {
        return;
    };
    let catalog: Catalog = match serde_json::from_slice(&text) {
        Ok(catalog) => catalog,
        Err(error) => {
            warn!(%error, path = %path.display(), "the restored catalog cannot be read; deploy its agents by hand");
            return;
        }
    };
    tokio::select! {
        () = stop.cancelled() => return,
        () = deploy(&shared, &catalog) => {}
    }
    match std::fs::remove_file(&path) {
        Ok(()) => info!(
            agents = catalog.agents().len(),
            "the restored catalog is deployed"
        ),
        Err(error) => {
            warn!(%error, path = %path.display(), "remove it by hand, or it is deployed again at each start");
        }
    }
}

async fn deploy(shared: &Shared, restored: &Catalog) {
    let config = restored
        .config()
        .iter()
        .map(|(key, value)| CatalogCommand::SetConfig {
            key: key.clone(),
            value: value.clone(),
        });
    let agents = restored.agents().values().flat_map(|record| {
        let suspend = record.suspended.then(|| CatalogCommand::SuspendAgent {
            agent: record.spec.name.clone(),
            suspended: true,
        });
        let spec = record.spec.clone();
        [CatalogCommand::DeployAgent { spec }].into_iter().chain(suspend)
    });
    for command in config.chain(agents) {
        if is_known(shared, &command) {
            continue;
        }
        loop {
            match shared.cluster.propose(command.clone()).await {
                Ok(CatalogReply::Applied { .. }) => break,
                Ok(CatalogReply::Refused { refusal }) => {
                    warn!(?command, ?refusal, "not restored");
                    break;
                }
                Err(error) => {
                    warn!(%error, "the restored catalog waits for a majority");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

/// Several nodes may have been restored; what one of them has deployed may have been changed since.
fn is_known(shared: &Shared, command: &CatalogCommand) -> bool {
    let catalog = shared.cluster.catalog();
    match command {
        CatalogCommand::DeployAgent { spec } => catalog.agent(&spec.name).is_some(),
        CatalogCommand::SetConfig { key, .. } => catalog.config().contains_key(key),
        _ => false,
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join(RESTORED_CATALOG)
}
