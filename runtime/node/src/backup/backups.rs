//! The backups that a node makes.

use super::archive::{self, Manifest};
use super::{BackupError, verify_archive};
use crate::config::NodeConfig;
use crate::release::sha256_of_file;
use caxton_host::Store;
use caxton_model::api::{BackupInfo, BackupRequest};
use caxton_model::{NodeId, Version};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes and keeps backups of one node.
#[derive(Clone, Debug)]
pub struct Backups {
    node: NodeId,
    version: Version,
    data_dir: PathBuf,
    /// Files that are copied as they are, by their path in the archive.
    files: Vec<(&'static str, String, PathBuf)>,
}

/// What is copied from the running node.
pub struct Sources<'a> {
    /// Agents' state and messages.
    pub store: &'a Store,
    /// The replicated catalog, in JSON.
    pub catalog: Vec<u8>,
}

impl Backups {
    /// The backups of the node with this configuration.
    pub fn new(config: &NodeConfig) -> Self {
        let named = |component, folder: &str, path: PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (component, format!("{folder}/{name}"), path.clone())
        };
        let mut files = vec![
            named("certificates", "certs", config.ca_cert()),
            named("certificates", "certs", config.cert()),
            named("certificates", "certs", config.key()),
            named("certificates", "certs", config.gossip_key_file()),
            named("configuration", "config", config.token_file()),
        ];
        files.extend(
            config
                .file
                .iter()
                .map(|path| named("configuration", "config", path.clone())),
        );
        Self {
            node: config.node.id.clone(),
            version: config.version.0.clone(),
            data_dir: config.storage.data_dir.clone(),
            files,
        }
    }

    /// Makes a backup while the node works, and verifies it after it was written. A failure leaves no backup.
    pub async fn create(
        &self,
        request: &BackupRequest,
        sources: Sources<'_>,
    ) -> Result<BackupInfo, BackupError> {
        let folder = self.destination(request)?;
        let work = self.data_dir.join(format!(".backup-{}", ulid::Ulid::new()));
        fs::create_dir_all(&work).map_err(BackupError::io("create", &work))?;
        let result = self.create_in(&work, &folder, request.compress, sources).await;
        fs::remove_dir_all(&work).map_err(BackupError::io("remove", &work))?;
        result
    }

    async fn create_in(
        &self,
        work: &Path,
        folder: &Path,
        compress: bool,
        sources: Sources<'_>,
    ) -> Result<BackupInfo, BackupError> {
        let catalog = work.join("catalog.json");
        fs::write(&catalog, sources.catalog).map_err(BackupError::io("write", &catalog))?;
        let store = work.join("store.db");
        sources.store.backup(store.clone()).await?;

        let now = jiff::Timestamp::now();
        let created_ms = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let (id, path) = free_name(folder, &self.node, now, compress);
        let mut manifest = Manifest::new(id, self.node.clone(), self.version.clone(), created_ms);
        let mut files = BTreeMap::from([
            ("catalog.json".to_owned(), catalog),
            ("store/store.db".to_owned(), store),
        ]);
        manifest.components = ["agent_registry", "agent_state", "message_queues"]
            .map(str::to_owned)
            .to_vec();
        for (component, name, source) in &self.files {
            if source.is_file() {
                files.insert(name.clone(), source.clone());
                if !manifest.components.iter().any(|known| known == component) {
                    manifest.components.push((*component).to_owned());
                }
            }
        }
        let written = blocking(move || {
            let unfinished = path.with_extension("unfinished");
            archive::write(&unfinished, &mut manifest, &files, compress)?;
            verify_archive(&unfinished)?;
            // A backup holds private keys.
            restrict(&unfinished)?;
            fs::rename(&unfinished, &path).map_err(BackupError::io("create", &path))?;
            describe(&path, manifest)
        });
        let info = written.await?;
        let beside = sidecar(folder, &info.id);
        let text = serde_json::to_vec_pretty(&info).expect("a description is JSON");
        fs::write(&beside, text).map_err(BackupError::io("write", &beside))?;
        Ok(info)
    }

    /// The backups in the node's own folder, oldest first.
    pub fn list(&self) -> Result<Vec<BackupInfo>, BackupError> {
        let folder = self.folder();
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut backups = Vec::new();
        for entry in fs::read_dir(&folder).map_err(BackupError::io("read", &folder))? {
            let path = entry.map_err(BackupError::io("read", &folder))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                backups.push(read_sidecar(&path)?);
            }
        }
        backups.sort_by_key(|backup| backup.created_ms);
        Ok(backups)
    }

    /// Compares a backup in the node's own folder, or at a path, with its manifest and with the digest noted when it was
    /// made. The error names all that does not fit. Blocks for as long as reading takes.
    pub fn verify(&self, id: &str) -> Result<BackupInfo, BackupError> {
        let beside = sidecar(&self.folder(), id);
        if id.contains('/') || !beside.is_file() {
            return Err(BackupError::NotFound {
                id: id.to_owned(),
                folder: self.folder(),
            });
        }
        let noted = read_sidecar(&beside)?;
        let path = Path::new(&noted.path);
        let found = verify_archive(path)?;
        if found.sha256 != noted.sha256 {
            return Err(BackupError::Damaged {
                path: path.to_owned(),
                problems: vec![format!(
                    "its SHA-256 is {}, but was {} when it was made",
                    found.sha256, noted.sha256
                )],
            });
        }
        Ok(found)
    }

    fn folder(&self) -> PathBuf {
        self.data_dir.join("backups")
    }

    fn destination(&self, request: &BackupRequest) -> Result<PathBuf, BackupError> {
        if request.kind != "full" {
            return Err(BackupError::Unsupported(format!(
                "backups of type {:?} are not made yet: ask for type \"full\"",
                request.kind
            )));
        }
        match &request.destination {
            Some(address) if address.contains("://") => Err(BackupError::Unsupported(format!(
                "the destination {address} is not supported yet: name a folder on the node"
            ))),
            Some(path) => prepare(PathBuf::from(path)),
            None => prepare(self.folder()),
        }
    }
}

fn prepare(folder: PathBuf) -> Result<PathBuf, BackupError> {
    if !folder.is_absolute() {
        return Err(BackupError::Unsupported(format!(
            "the destination {} must be an absolute path: it lies on the node",
            folder.display()
        )));
    }
    fs::create_dir_all(&folder).map_err(BackupError::io("create", &folder))?;
    Ok(folder)
}

/// An id by the minute, as operators expect it; further ones within the minute are numbered.
fn free_name(folder: &Path, node: &NodeId, now: jiff::Timestamp, compress: bool) -> (String, PathBuf) {
    let minute = now
        .to_zoned(jiff::tz::TimeZone::UTC)
        .strftime("%Y%m%d-%H%M")
        .to_string();
    let extension = if compress { "tar.gz" } else { "tar" };
    let mut id = format!("backup-{minute}-{node}");
    let mut number = 1;
    while sidecar(folder, &id).exists() {
        number += 1;
        id = format!("backup-{minute}-{node}-{number}");
    }
    let path = folder.join(format!("{id}.{extension}"));
    (id, path)
}

fn sidecar(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn read_sidecar(path: &Path) -> Result<BackupInfo, BackupError> {
    let bytes = fs::read(path).map_err(BackupError::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| BackupError::Damaged {
        path: path.to_owned(),
        problems: vec![error.to_string()],
    })
}

/// What the API says of a verified archive.
pub(super) fn describe(path: &Path, manifest: Manifest) -> Result<BackupInfo, BackupError> {
    let (sha256, bytes) = sha256_of_file(path).map_err(BackupError::io("read", path))?;
    Ok(BackupInfo {
        id: manifest.id,
        node: manifest.node,
        kind: manifest.kind,
        created_ms: manifest.created_ms,
        version: manifest.version,
        path: path.display().to_string(),
        bytes,
        sha256,
        components: manifest.components,
        verified: true,
    })
}

fn restrict(path: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(BackupError::io("protect", path))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
