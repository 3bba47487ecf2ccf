//! Where a node keeps its releases.
//!
//! ```text
//! DATA/releases/1.0.0/{release.yaml, bin/caxton}
//! DATA/releases/current → 1.0.0         switched by an atomic rename
//! DATA/releases/previous                the version before, as text
//! DATA/upgrade.json                     how the last upgrade stands
//! ```

use super::ReleaseError;
use super::archive::{BINARY, ReleaseManifest, make_executable};
use super::sha256_of_file;
use caxton_model::Version;
use caxton_model::api::UpgradeStatus;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a node's releases. It keeps no state in memory: what counts is on disk.
#[derive(Clone, Debug)]
pub struct Layout {
    data_dir: PathBuf,
}

/// How the last upgrade stands, with what only the node itself needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct UpgradeRecord {
    pub(super) status: UpgradeStatus,
    /// Whether it was a way back.
    pub(super) back: bool,
    /// How often the new binary has begun to start.
    pub(super) starts: u32,
}

impl Layout {
    /// The layout in a node's data folder; touches nothing.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
        }
    }

    /// The folder of a release.
    pub fn folder(&self, version: &Version) -> PathBuf {
        self.root().join(version.as_str())
    }

    /// The binary of a release.
    pub fn binary(&self, version: &Version) -> PathBuf {
        self.folder(version).join(BINARY)
    }

    /// The release that shall run, if the node has any.
    pub fn current(&self) -> Option<Version> {
        let target = fs::read_link(self.root().join("current")).ok()?;
        Some(Version(target.file_name()?.to_string_lossy().into_owned()))
    }

    /// The release before, to which a rollback goes.
    pub fn previous(&self) -> Option<Version> {
        let text = fs::read_to_string(self.root().join("previous")).ok()?;
        let version = Version(text.trim().to_owned());
        self.binary(&version).is_file().then_some(version)
    }

    /// Installs a release archive as the current one on a node that has none yet and does not run.
    pub fn install(&self, archive: &Path) -> Result<Version, ReleaseError> {
        let staging = self.empty_staging()?;
        let manifest = super::unpack(archive, &staging)?;
        self.adopt_staging(&staging, &manifest.version)?;
        self.set_current(&manifest.version)?;
        Ok(manifest.version)
    }

    /// An empty folder on the same disk, to build a release in.
    pub(super) fn empty_staging(&self) -> Result<PathBuf, ReleaseError> {
        let staging = self.root().join(".staging");
        if staging.exists() {
            fs::remove_dir_all(&staging).map_err(ReleaseError::io("remove", &staging))?;
        }
        fs::create_dir_all(&staging).map_err(ReleaseError::io("create", &staging))?;
        Ok(staging)
    }

    /// Makes the staged folder the release of that version. One that was staged before is replaced.
    pub(super) fn adopt_staging(&self, staging: &Path, version: &Version) -> Result<(), ReleaseError> {
        let folder = self.folder(version);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(ReleaseError::io("remove", &folder))?;
        }
        fs::rename(staging, &folder).map_err(ReleaseError::io("create", &folder))?;
        sync_folder(&self.root())
    }

    /// Keeps the running binary as a release, so that one can go back to it, unless it is one already.
    pub(super) fn keep_running(&self, binary: &Path, version: &Version) -> Result<(), ReleaseError> {
        if self.binary(version).is_file() {
            return Ok(());
        }
        let staging = self.root().join(".keeping");
        let target = staging.join(BINARY);
        fs::create_dir_all(staging.join("bin")).map_err(ReleaseError::io("create", &staging))?;
        fs::copy(binary, &target).map_err(ReleaseError::io("copy", binary))?;
        make_executable(&target)?;
        let (binary_sha256, _) = sha256_of_file(&target).map_err(ReleaseError::io("read", &target))?;
        let defaults = ReleaseManifest::of_binary(binary)?.map(|(_, manifest)| manifest.defaults);
        ReleaseManifest {
            version: version.clone(),
            binary_sha256,
            defaults: defaults.unwrap_or_default(),
        }
        .write(&staging)?;
        self.adopt_staging(&staging, version)
    }

    /// Makes a release the one that shall run: atomic, and durable when it returns.
    pub(super) fn set_current(&self, version: &Version) -> Result<(), ReleaseError> {
        let link = self.root().join("current");
        let new = self.root().join(".current.new");
        if new.is_symlink() {
            fs::remove_file(&new).map_err(ReleaseError::io("remove", &new))?;
        }
        std::os::unix::fs::symlink(version.as_str(), &new).map_err(ReleaseError::io("create", &new))?;
        fs::rename(&new, &link).map_err(ReleaseError::io("switch", &link))?;
        sync_folder(&self.root())
    }

    /// Notes the release before, or that there is none to go back to.
    pub(super) fn set_previous(&self, version: Option<&Version>) -> Result<(), ReleaseError> {
        let path = self.root().join("previous");
        match version {
            Some(version) => write_atomically(&path, version.as_str().as_bytes()),
            None if path.exists() => fs::remove_file(&path).map_err(ReleaseError::io("remove", &path)),
            None => Ok(()),
        }
    }

    /// Removes releases that neither run nor are gone back to.
    pub(super) fn prune(&self) -> Result<(), ReleaseError> {
        let kept = [self.current(), self.previous()];
        let root = self.root();
        for entry in fs::read_dir(&root).map_err(ReleaseError::io("read", &root))? {
            let entry = entry.map_err(ReleaseError::io("read", &root))?;
            let version = Version(entry.file_name().to_string_lossy().into_owned());
            let is_release = entry.path().join(BINARY).is_file() && !entry.path().is_symlink();
            if is_release && !kept.iter().flatten().any(|kept| *kept == version) {
                fs::remove_dir_all(entry.path()).map_err(ReleaseError::io("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// How the last upgrade stands; `none` if there was none.
    pub(super) fn record(&self, running: &Version) -> Result<UpgradeRecord, ReleaseError> {
        let path = self.data_dir.join("upgrade.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| ReleaseError::Io {
                action: "understand",
                path,
                source: error.into(),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(UpgradeRecord {
                status: UpgradeStatus {
                    phase: "none".to_owned(),
                    from: running.clone(),
                    to: None,
                    error: None,
                },
                back: false,
                starts: 0,
            }),
            Err(source) => Err(ReleaseError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// Writes how the upgrade stands: durable when it returns.
    pub(super) fn set_record(&self, record: &UpgradeRecord) -> Result<(), ReleaseError> {
        let bytes = serde_json::to_vec_pretty(record).expect("a record is JSON");
        write_atomically(&self.data_dir.join("upgrade.json"), &bytes)
    }

    fn root(&self) -> PathBuf {
        self.data_dir.join("releases")
    }
}

fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ReleaseError> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)
        .and_then(|()| fs::File::open(&new)?.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .map_err(ReleaseError::io("write", path))?;
    match path.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), ReleaseError> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(ReleaseError::io("sync", folder))
}
