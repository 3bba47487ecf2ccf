//! Reading backups: verify and restore.

use super::backups::describe;
use super::{BackupError, archive};
use caxton_model::api::BackupInfo;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Where a restore leaves the catalog: the first node of a restored cluster reads it when it founds the cluster anew.
/// The consensus log is deliberately not part of a backup: an old log beside newer ones could undo what was agreed.
pub const RESTORED_CATALOG: &str = "catalog.restored.json";

/// Reads the whole archive and compares every file with the manifest. The error names all that does not fit. Blocks.
pub fn verify_archive(path: &Path) -> Result<BackupInfo, BackupError> {
    let manifest = archive::read(path, &mut |_, _| Ok(()))?;
    describe(path, manifest)
}

/// Restores a backup into the data folder of a node that does not run. The folder must be new or empty, but for backups
/// and releases. The archive is verified before
/// anything is written. Certificates, token and configuration land in `certs` and `config` inside of it. Blocks.
///
/// An error after writing began leaves a part of the files: remove the folder before trying again.
pub fn restore(archive_path: &Path, target: &Path) -> Result<BackupInfo, BackupError> {
    if target.exists() {
        let mut entries = fs::read_dir(target).map_err(BackupError::io("read", target))?;
        if entries.any(|entry| !entry.is_ok_and(|entry| may_stay(&entry.file_name()))) {
            return Err(BackupError::NotEmpty {
                target: target.to_owned(),
            });
        }
    }
    let info = verify_archive(archive_path)?;
    archive::read(archive_path, &mut |name, content| {
        let name = if name == "catalog.json" {
            RESTORED_CATALOG
        } else {
            name
        };
        // Names were written by this program and the manifest is intact, but a forged archive must not leave the folder.
        if Path::new(name)
            .components()
            .any(|part| !matches!(part, std::path::Component::Normal(_)))
        {
            return Err(BackupError::Damaged {
                path: archive_path.to_owned(),
                problems: vec![format!("{name} lies outside of the backup")],
            });
        }
        write_private(&target.join(name), content)
    })?;
    Ok(info)
}

/// What a restore neither needs nor touches.
fn may_stay(name: &std::ffi::OsStr) -> bool {
    name == "backups" || name == "releases"
}

fn write_private(path: &Path, content: &mut dyn std::io::Read) -> Result<(), BackupError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(BackupError::io("create", folder))?;
    }
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            std::io::copy(content, &mut file)?;
            file.sync_all()
        })
        .map_err(BackupError::io("write", path))
}
