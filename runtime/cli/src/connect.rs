//! Where the cluster is.

use crate::dev;
use anyhow::{Context as _, bail};
use caxton_client::Client;
use caxton_model::NodeId;
use std::path::{Path, PathBuf};

/// Where `caxton init` writes it.
const INSTALLED: &str = "/etc/caxton/context.yaml";

/// Finds the cluster when a command needs it.
pub(crate) struct Connect {
    given: Option<PathBuf>,
}

impl Connect {
    pub(crate) fn new(given: Option<PathBuf>) -> Self {
        Self { given }
    }

    /// The context file: the given one, else the machine's own, else that of a development cluster.
    pub(crate) fn context(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.given {
            return Ok(path.clone());
        }
        let development = dev::default_context();
        let candidates = [Some(PathBuf::from(INSTALLED)), development];
        match candidates.into_iter().flatten().find(|path| Path::is_file(path)) {
            Some(path) => Ok(path),
            None => bail!(
                "no cluster is known: name its context by --context FILE or CAXTON_CONTEXT, or start one by `caxton dev up`"
            ),
        }
    }

    /// A client of the cluster.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let path = self.context()?;
        Client::from_context(&path).with_context(|| format!("cannot use the context {}", path.display()))
    }

    /// A client of one node of the cluster.
    pub(crate) async fn node(&self, node: &str) -> anyhow::Result<Client> {
        Ok(self.client()?.node(&NodeId::from(node)).await?)
    }
}
