//! Where runs are kept.

use std::path::{Path, PathBuf};

/// The folder that holds the journal of all runs and the files of their locks. Two folders know nothing of each other:
/// a lock held in one does not bind a run in the other.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
}

/// Why there is no such folder.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Neither variable that could name it is set.
    #[error("no folder for the state of runs: neither CAXPLAN_STATE_DIR, XDG_STATE_HOME nor HOME is set")]
    Unknown,
    /// It could not be made.
    #[error("the folder for the state of runs, {}, could not be made", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl StateDir {
    /// The folder that the environment names: `CAXPLAN_STATE_DIR`, else `caxplan` in the XDG state folder. It is made,
    /// readable by its owner only, if it is not there.
    pub fn locate() -> Result<Self, StateDirError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = if let Some(root) = set("CAXPLAN_STATE_DIR") {
            PathBuf::from(root)
        } else if let Some(state) = set("XDG_STATE_HOME") {
            Path::new(&state).join("caxplan")
        } else {
            let home = set("HOME").ok_or(StateDirError::Unknown)?;
            Path::new(&home).join(".local/state/caxplan")
        };
        Self::at(root)
    }

    /// The folder at `root`, which is made, readable by its owner only, if it is not there.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self, StateDirError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let root = root.into();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root.join("locks"))
            .map_err(|source| StateDirError::Create {
                path: root.clone(),
                source,
            })?;
        Ok(Self { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        self.root.join("caxplan.db")
    }

    /// The file that says where alerts stand.
    pub fn alerts(&self) -> PathBuf {
        self.root.join("alerts.db")
    }

    /// The folder of the locks' files.
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }
}
