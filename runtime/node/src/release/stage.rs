//! Staging: fetch a release, check all that can be checked before it takes over.

use super::archive::{BINARY, unpack};
use super::{Layout, ReleaseError, sha256_of_file};
use caxton_model::Version;
use caxton_model::api::UpgradeRequest;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The largest archive that is fetched.
const ARCHIVE_BYTES_MAX: u64 = 1 << 30;
/// How long fetching may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(90);
/// How long the new binary may take for each check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);
/// How much of the new binary's output an error carries.
const OUTPUT_BYTES_MAX: usize = 2_000;

/// Brings the release that was asked for into its folder on this node, checked: the archive's and the binary's digests,
/// that the binary says that version, and that it understands this node's configuration. What fails leaves no release.
pub(super) async fn stage(
    layout: &Layout,
    request: &UpgradeRequest,
    config_file: Option<&Path>,
) -> Result<(), ReleaseError> {
    let staging = layout.empty_staging()?;
    let archive = staging.join("archive.tar.gz");
    fetch(&request.source, &archive).await?;
    let (archive, promised, folder) = (archive, request.sha256.to_ascii_lowercase(), staging.clone());
    let manifest = blocking(move || {
        let (actual, _) = sha256_of_file(&archive).map_err(ReleaseError::io("read", &archive))?;
        if actual != promised {
            return Err(ReleaseError::Checksum {
                what: "archive",
                expected: promised,
                actual,
            });
        }
        let manifest = unpack(&archive, &folder)?;
        std::fs::remove_file(&archive).map_err(ReleaseError::io("remove", &archive))?;
        Ok(manifest)
    })
    .await?;
    demand_version(&request.version, &manifest.version)?;

    let binary = staging.join(BINARY);
    let said = run(&binary, &["--version"]).await?;
    let version = said.split_whitespace().last().unwrap_or_default();
    demand_version(&request.version, &Version::from(version))?;
    if let Some(config) = config_file {
        run(&binary, &["config", "check", &config.display().to_string()]).await?;
    }
    layout.adopt_staging(&staging, &request.version)
}

/// Copies or downloads the archive.
async fn fetch(source: &str, target: &Path) -> Result<(), ReleaseError> {
    let fail = |reason: String| ReleaseError::Fetch {
        source_address: source.to_owned(),
        reason,
    };
    if source.starts_with("http://") {
        return tokio::time::timeout(FETCH_TIMEOUT, download(source, target))
            .await
            .map_err(|_| fail(format!("it took longer than {FETCH_TIMEOUT:?}")))?
            .map_err(fail);
    }
    let path = match source.split_once("://") {
        Some(("file", path)) => PathBuf::from(path),
        Some((scheme, _)) => {
            return Err(fail(format!(
                "{scheme}:// is not supported yet; use a path on the node, file:// or http://"
            )));
        }
        None => PathBuf::from(source),
    };
    let size = tokio::fs::metadata(&path)
        .await
        .map_err(|error| fail(error.to_string()))?
        .len();
    if size > ARCHIVE_BYTES_MAX {
        return Err(fail(format!(
            "it has {size} bytes; at most {ARCHIVE_BYTES_MAX} are allowed"
        )));
    }
    tokio::fs::copy(&path, target)
        .await
        .map_err(|error| fail(error.to_string()))?;
    Ok(())
}

async fn download(source: &str, target: &Path) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .map_err(|error| error.to_string())?;
    let mut response = client
        .get(source)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| error.to_string())?;
    let mut file = tokio::fs::File::create(target)
        .await
        .map_err(|error| error.to_string())?;
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        size += chunk.len() as u64;
        if size > ARCHIVE_BYTES_MAX {
            return Err(format!("it has more than {ARCHIVE_BYTES_MAX} bytes"));
        }
        file.write_all(&chunk).await.map_err(|error| error.to_string())?;
    }
    file.sync_all().await.map_err(|error| error.to_string())
}

fn demand_version(expected: &Version, actual: &Version) -> Result<(), ReleaseError> {
    if expected == actual {
        return Ok(());
    }
    Err(ReleaseError::Version {
        expected: expected.to_string(),
        actual: actual.to_string(),
    })
}

/// Runs the new binary; its output if it ends well.
async fn run(binary: &Path, arguments: &[&str]) -> Result<String, ReleaseError> {
    let failed = |output: String| ReleaseError::Binary {
        command: format!("caxton {}", arguments.join(" ")),
        output,
    };
    let child = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(CHECK_TIMEOUT, child)
        .await
        .map_err(|_| failed(format!("it took longer than {CHECK_TIMEOUT:?}")))?
        .map_err(|error| failed(error.to_string()))?;
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(OUTPUT_BYTES_MAX)]).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        Err(failed(format!("{} ({})", said.trim(), output.status)))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReleaseError> + Send + 'static,
) -> Result<T, ReleaseError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
