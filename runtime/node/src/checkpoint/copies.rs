//! Copies of other nodes' agents: one file each, in a folder.

use super::newest;
use caxton_host::AgentBundle;
use caxton_model::AgentName;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Copies of other nodes' agents.
#[derive(Clone, Debug)]
pub(crate) struct Copies {
    folder: PathBuf,
    writing: Arc<Mutex<()>>,
}

impl Copies {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            writing: Arc::default(),
        })
    }

    /// Keeps a bundle unless a newer one is here. Durable when it returns.
    ///
    /// # Errors
    /// If it cannot be written; then the old one is left.
    pub(crate) async fn keep(&self, bundle: AgentBundle) -> io::Result<()> {
        let _writing = self.writing.lock().await;
        let folder = self.folder.clone();
        blocking(move || {
            let path = path(&folder, &bundle.agent);
            if read(&path)?.is_some_and(|here| newest(&here) >= newest(&bundle)) {
                return Ok(());
            }
            let bytes = postcard::to_stdvec(&bundle).map_err(io::Error::other)?;
            let new = path.with_extension("new");
            let mut file = std::fs::File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            std::fs::File::open(&folder)?.sync_all()
        })
        .await
    }

    /// The copy of an agent, if there is one that can be read.
    pub(crate) async fn newest(&self, agent: &AgentName) -> Option<AgentBundle> {
        let path = path(&self.folder, agent);
        let found = blocking(move || read(&path)).await;
        found.unwrap_or_else(|error| {
            tracing::warn!(%agent, %error, "the copy cannot be read");
            None
        })
    }

    /// Forgets the copies of all agents but these.
    ///
    /// # Errors
    /// If the folder cannot be read or a file not be removed; then some copies may be left.
    pub(crate) async fn retain(&self, known: Vec<AgentName>) -> io::Result<()> {
        let _writing = self.writing.lock().await;
        let folder = self.folder.clone();
        blocking(move || {
            let known: BTreeSet<PathBuf> = known.iter().map(|agent| path(&folder, agent)).collect();
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if !known.contains(&path) {
                    std::fs::remove_file(path)?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// Names of agents may hold any character; their digests are good names of files.
fn path(folder: &Path, agent: &AgentName) -> PathBuf {
    use sha2::Digest as _;
    let digest = hex::encode(sha2::Sha256::digest(agent.as_str()));
    folder.join(format!("{}.bundle", &digest[..32]))
}

fn read(path: &Path) -> io::Result<Option<AgentBundle>> {
    match std::fs::read(path) {
        Ok(bytes) => postcard::from_bytes(&bytes).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_model::Epoch;

    fn bundle(agent: &str, epoch: u64, revision: u64) -> AgentBundle {
        AgentBundle {
            agent: AgentName::from(agent),
            epoch: Epoch(epoch),
            revision,
            state: vec![(b"key".to_vec(), vec![0, 255])],
            handled: Vec::new(),
        }
    }

    #[tokio::test]
    async fn only_the_newest_copy_of_each_agent_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::open(folder.path().join("copies")).unwrap();
        for (epoch, revision) in [(1, 5), (1, 4), (2, 1), (1, 9)] {
            copies.keep(bundle("a/b", epoch, revision)).await.unwrap();
        }
        copies.keep(bundle("other", 7, 7)).await.unwrap();
        assert_eq!(copies.newest(&"a/b".into()).await, Some(bundle("a/b", 2, 1)));

        copies.retain(vec!["other".into()]).await.unwrap();
        assert_eq!(copies.newest(&"a/b".into()).await, None);
        assert_eq!(copies.newest(&"other".into()).await, Some(bundle("other", 7, 7)));
    }
}
