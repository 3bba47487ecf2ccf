//! Release archives: where one lies, what it must hash to, what it says it is.

use crate::cluster::{file_name, plan_file};
use crate::failure::Failure;
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use serde::Deserialize;
use sha2::Digest as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The file inside an archive that says what it is.
const MANIFEST: &str = "release.yaml";

/// The largest manifest that is read.
const MANIFEST_MAX: u64 = 64 << 10;

/// The most entries of an archive that are looked through for the manifest.
const ENTRIES_MAX: usize = 10_000;

/// Where a release archive lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    /// A file that both this program and the nodes can read under this path.
    File(PathBuf),
    /// An address that the nodes fetch from.
    Url(String),
}

impl Archive {
    /// What a plan says: a path relative to the plan's folder, or an address.
    pub(crate) fn new(context: &Context, text: &str) -> Self {
        if text.starts_with("http://") || text.starts_with("https://") {
            Self::Url(text.to_owned())
        } else {
            Self::File(plan_file(context, text))
        }
    }

    /// The archive as a node's upgrade request names it.
    pub(crate) fn for_node(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => url.clone(),
        }
    }

    /// The checksum that the archive must have: the one that is given, else that of the file `ARCHIVE.sha256` beside it.
    /// Never one that is computed from the archive itself: it would fit a broken one too.
    pub(crate) fn expected_sha256(&self, given: Option<&str>) -> Result<String, Failure> {
        if let Some(given) = given {
            return parse_sha256(given).ok_or_else(|| {
                invalid(format!(
                    "`{given}` is no SHA-256: 64 hexadecimal digits are expected"
                ))
            });
        }
        let path = match self {
            Self::File(path) => path,
            Self::Url(url) => {
                return Err(invalid(format!("the checksum of {url} is not known"))
                    .with_hint("give `sha256` with the release's published checksum"));
            }
        };
        let sidecar = sidecar(path);
        let text = std::fs::read_to_string(&sidecar).map_err(|error| {
            Failure::before(
                Cause::new(
                    FailureKind::NotFound,
                    format!("the checksum {} cannot be read: {error}", sidecar.display()),
                )
                .with_hint("give `sha256`, or put the file that the release was published with beside it"),
            )
        })?;
        text.split_whitespace()
            .next()
            .and_then(parse_sha256)
            .ok_or_else(|| invalid(format!("{} holds no SHA-256", sidecar.display())))
    }
}

impl Failure {
    fn with_hint(mut self, hint: &str) -> Self {
        self.cause = self.cause.with_hint(hint);
        self
    }
}

/// What an archive was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    pub(crate) version: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

#[derive(Deserialize)]
struct Manifest {
    version: String,
}

/// Reads an archive from end to end: its checksum and the version in its manifest. Blocks.
pub(crate) fn inspect(path: &Path) -> Result<Inspected, Failure> {
    let cannot_read = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => FailureKind::NotFound,
            std::io::ErrorKind::PermissionDenied => FailureKind::Denied,
            _ => FailureKind::Other,
        };
        Failure::before(
            Cause::new(
                kind,
                format!("the release {} cannot be read: {error}", path.display()),
            )
            .with_hint("`release` is a path relative to the plan's folder"),
        )
    };
    let mut file = std::fs::File::open(path).map_err(cannot_read)?;
    let mut hash = sha2::Sha256::new();
    let bytes = std::io::copy(&mut file, &mut hash).map_err(cannot_read)?;
    let sha256 = hex::encode(hash.finalize());

    let name = file_name(path);
    let broken = |error: std::io::Error| invalid(format!("{name} is no release archive (tar.gz): {error}"));
    let file = std::fs::File::open(path).map_err(cannot_read)?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().map_err(broken)?.take(ENTRIES_MAX) {
        let entry = entry.map_err(broken)?;
        let is_manifest = entry.path().is_ok_and(|path| {
            path.file_name().is_some_and(|name| name == MANIFEST) && path.components().count() <= 2
        });
        if !is_manifest {
            continue;
        }
        let mut text = String::new();
        entry
            .take(MANIFEST_MAX)
            .read_to_string(&mut text)
            .map_err(broken)?;
        let manifest: Manifest = serde_saphyr::from_str(&text)
            .map_err(|error| invalid(format!("{MANIFEST} in {name} is broken: {error}")))?;
        return Ok(Inspected {
            version: manifest.version,
            sha256,
            bytes,
        });
    }
    Err(invalid(format!(
        "{name} is no release archive: it holds no {MANIFEST}"
    )))
}

/// Why a node must not go from one version to another, if it must not.
///
/// Releases speak to their neighbours: the same major version, and at most one minor version apart. Going back is a
/// rollback, which only the release before allows.
pub(crate) fn refuse_step(from: &str, to: &str) -> Option<String> {
    let (Some(old), Some(new)) = (numbers(from), numbers(to)) else {
        return Some(format!("{from} or {to} is no version (MAJOR.MINOR.PATCH)"));
    };
    if new < old {
        Some(format!("{to} is older than {from}"))
    } else if new[0] != old[0] {
        Some(format!("from {from} to {to} is another major version"))
    } else if new[1] > old[1] + 1 {
        Some(format!("from {from} to {to} leaves out minor versions"))
    } else {
        None
    }
}

fn numbers(version: &str) -> Option<[u64; 3]> {
    let release = version.split(['-', '+']).next()?;
    let mut parts = release.split('.').map(|part| part.parse::<u64>().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn sidecar(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    PathBuf::from(name)
}

fn parse_sha256(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    hex::decode(&text)
        .is_ok_and(|bytes| bytes.len() == 32)
        .then_some(text)
}

fn invalid(message: String) -> Failure {
    Failure::before(Cause::new(FailureKind::Invalid, message))
}

/// Writes an archive for tests.
#[cfg(test)]
pub(crate) fn write_archive(path: &Path, files: &[(&str, &str)]) {
    let file = std::fs::File::create(path).expect("a folder of our own");
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive
            .append_data(&mut header, name, text.as_bytes())
            .expect("writes to a file");
    }
    archive
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .expect("writes to a file");
}

#[cfg(test)]
mod tests {
    use super::{Archive, inspect, refuse_step, write_archive};

    fn check_step(from: &str, to: &str, expected: Option<&str>) {
        assert_eq!(refuse_step(from, to).as_deref(), expected);
    }

    #[test]
    fn only_neighbours_follow_each_other() {
        check_step("1.0.0", "1.1.0", None);
        check_step("1.1.0", "1.1.0", None);
        check_step("1.1.9", "1.2.0-rc.1", None);
        check_step("1.1.0", "1.0.9", Some("1.0.9 is older than 1.1.0"));
        check_step(
            "1.0.0",
            "1.2.0",
            Some("from 1.0.0 to 1.2.0 leaves out minor versions"),
        );
        check_step(
            "1.9.0",
            "2.0.0",
            Some("from 1.9.0 to 2.0.0 is another major version"),
        );
        check_step(
            "1.0.0",
            "new",
            Some("1.0.0 or new is no version (MAJOR.MINOR.PATCH)"),
        );
    }

    #[test]
    fn an_archive_says_what_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("caxton-1.1.0.tar.gz");
        write_archive(
            &path,
            &[
                ("bin/caxton", "x"),
                ("release.yaml", "version: 1.1.0\nextra: 1\n"),
            ],
        );
        let inspected = inspect(&path).expect("a good archive");
        assert_eq!(inspected.version, "1.1.0");

        let archive = Archive::File(path);
        let missing = archive.expected_sha256(None).expect_err("no checksum yet");
        assert!(
            missing.cause.message.contains("caxton-1.1.0.tar.gz.sha256"),
            "{missing:?}"
        );
        let sidecar = folder.path().join("caxton-1.1.0.tar.gz.sha256");
        let line = format!("{}  caxton-1.1.0.tar.gz\n", inspected.sha256.to_uppercase());
        std::fs::write(sidecar, line).expect("writes to a file");
        assert_eq!(
            archive.expected_sha256(None).expect("a checksum"),
            inspected.sha256
        );
    }

    #[test]
    fn what_is_no_archive_is_said_to_be_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let check = |name: &str, expected: &str| {
            let failure = inspect(&folder.path().join(name)).expect_err("not good");
            assert!(failure.cause.message.contains(expected), "{failure:?}");
        };
        check("none.tar.gz", "cannot be read");
        std::fs::write(folder.path().join("text.tar.gz"), "text").expect("writes to a file");
        check("text.tar.gz", "text.tar.gz is no release archive (tar.gz)");
        write_archive(&folder.path().join("empty.tar.gz"), &[("a", "b")]);
        check("empty.tar.gz", "it holds no release.yaml");
        write_archive(&folder.path().join("bad.tar.gz"), &[("release.yaml", "name: x")]);
        check("bad.tar.gz", "release.yaml in bad.tar.gz is broken");
    }
}
