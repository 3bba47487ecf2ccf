//! Files of certificates and keys.

use super::SecurityError;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
/// The permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Reads a private key that nobody else can read.
pub(super) fn read_private(path: &Path) -> Result<String, SecurityError> {
    let file_error = |source| SecurityError::File {
        path: path.to_owned(),
        source,
    };
    let mode = std::fs::metadata(path).map_err(file_error)?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SecurityError::KeyExposed {
            path: path.to_owned(),
            mode,
        });
    }
    std::fs::read_to_string(path).map_err(file_error)
}

pub(super) fn read_public(path: &Path) -> Result<String, SecurityError> {
    std::fs::read_to_string(path).map_err(|source| SecurityError::File {
        path: path.to_owned(),
        source,
    })
}

/// Writes a new file that only its owner can read, from its first byte on.
pub(super) fn create_private(path: &Path, text: &str) -> Result<(), SecurityError> {
    create(path, text, PRIVATE)
}

pub(super) fn create_public(path: &Path, text: &str) -> Result<(), SecurityError> {
    create(path, text, PUBLIC)
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), SecurityError> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => SecurityError::Exists {
            path: path.to_owned(),
        },
        _ => SecurityError::File {
            path: path.to_owned(),
            source,
        },
    })
}
