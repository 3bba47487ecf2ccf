//! A release archive: `caxton-VERSION.tar.gz` with `release.yaml` and `bin/caxton`.

use super::{ReleaseError, sha256_of_file};
use caxton_model::Version;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The manifest's name in an archive and in a release's folder.
const MANIFEST: &str = "release.yaml";
/// The binary's name in an archive and in a release's folder.
pub(super) const BINARY: &str = "bin/caxton";
/// The largest manifest.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// What a release says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseManifest {
    /// Its version.
    pub version: Version,
    /// The SHA-256 of `bin/caxton`.
    pub binary_sha256: String,
    /// Configuration that holds where the operator says nothing.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub defaults: serde_json::Value,
}

impl ReleaseManifest {
    /// The manifest in a release's folder.
    pub fn read(folder: &Path) -> Result<Self, ReleaseError> {
        let path = folder.join(MANIFEST);
        let size = fs::metadata(&path)
            .map_err(ReleaseError::io("read", &path))?
            .len();
        if size > MANIFEST_BYTES_MAX {
            return Err(ReleaseError::Archive {
                reason: format!("{MANIFEST} has {size} bytes; at most {MANIFEST_BYTES_MAX} are allowed"),
            });
        }
        let text = fs::read_to_string(&path).map_err(ReleaseError::io("read", &path))?;
        serde_saphyr::from_str(&text).map_err(|error| ReleaseError::Archive {
            reason: format!("{MANIFEST}: {error}"),
        })
    }

    /// The manifest of the release that a binary belongs to, with its path; `None` for a binary outside of any release.
    pub fn of_binary(binary: &Path) -> Result<Option<(PathBuf, Self)>, ReleaseError> {
        let Some(folder) = binary.parent().and_then(Path::parent) else {
            return Ok(None);
        };
        let path = folder.join(MANIFEST);
        if binary.ends_with(BINARY) && path.is_file() {
            Ok(Some((path, Self::read(folder)?)))
        } else {
            Ok(None)
        }
    }

    /// Writes the manifest into a release's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<(), ReleaseError> {
        let path = folder.join(MANIFEST);
        fs::write(&path, self.to_yaml()).map_err(ReleaseError::io("write", &path))
    }

    fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("a manifest is YAML")
    }
}

/// Writes `caxton-VERSION.tar.gz` and `caxton-VERSION.tar.gz.sha256` into a folder; returns the archive's path and digest.
pub fn pack(
    binary: &Path,
    version: &Version,
    defaults: serde_json::Value,
    folder: &Path,
) -> Result<(PathBuf, String), ReleaseError> {
    let (binary_sha256, _) = sha256_of_file(binary).map_err(ReleaseError::io("read", binary))?;
    let manifest = ReleaseManifest {
        version: version.clone(),
        binary_sha256,
        defaults,
    };
    fs::create_dir_all(folder).map_err(ReleaseError::io("create", folder))?;
    let path = folder.join(format!("caxton-{version}.tar.gz"));
    let io = |source| ReleaseError::Io {
        action: "write",
        path: path.clone(),
        source,
    };
    let file = File::create(&path).map_err(io)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    // Linkers leave holes; a sparse entry would be an extension that not every tar reads.
    archive.sparse(false);
    let text = manifest.to_yaml();
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive
        .append_data(&mut header, MANIFEST, text.as_bytes())
        .map_err(io)?;
    archive.append_path_with_name(binary, BINARY).map_err(io)?;
    archive
        .into_inner()
        .and_then(GzEncoder::finish)
        .and_then(|file| file.sync_all())
        .map_err(io)?;

    let (digest, _) = sha256_of_file(&path).map_err(io)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!("{name}.sha256"));
    fs::write(&beside, format!("{digest}  {name}\n")).map_err(ReleaseError::io("write", &beside))?;
    Ok((path, digest))
}

/// Unpacks an archive into an empty folder, and compares the binary with the manifest. Other entries are refused.
pub fn unpack(archive: &Path, folder: &Path) -> Result<ReleaseManifest, ReleaseError> {
    let broken = |error: std::io::Error| ReleaseError::Archive {
        reason: error.to_string(),
    };
    let file = File::open(archive).map_err(ReleaseError::io("read", archive))?;
    let mut entries = tar::Archive::new(GzDecoder::new(file));
    fs::create_dir_all(folder.join("bin")).map_err(ReleaseError::io("create", folder))?;
    for entry in entries.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        let known = name == MANIFEST || name == BINARY;
        if !known || !entry.header().entry_type().is_file() {
            return Err(ReleaseError::Archive {
                reason: format!("it holds {name:?}; only the files {MANIFEST} and {BINARY} are expected"),
            });
        }
        let target = folder.join(&name);
        entry.unpack(&target).map_err(broken)?;
        if name == BINARY {
            make_executable(&target)?;
        }
    }
    let manifest = ReleaseManifest::read(folder)?;
    let binary = folder.join(BINARY);
    let (actual, _) = sha256_of_file(&binary).map_err(ReleaseError::io("read", &binary))?;
    if actual != manifest.binary_sha256 {
        return Err(ReleaseError::Checksum {
            what: "binary in the archive",
            expected: manifest.binary_sha256,
            actual,
        });
    }
    Ok(manifest)
}

/// Marks a file executable and makes its content durable.
pub(super) fn make_executable(path: &Path) -> Result<(), ReleaseError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .and_then(|()| File::open(path)?.sync_all())
        .map_err(ReleaseError::io("make executable", path))
}
