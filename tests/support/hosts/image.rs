//! The file system that all test hosts start from: a Debian of its own, made once and kept in the user's cache.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a host has beyond Debian's minimum. curl and python3 are what operators' checks and stand-ins are written with.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,openssh-server,iproute2,procps,curl,libpam-systemd,sudo,python3-minimal,ca-certificates";

/// What is done to it afterwards.
const SCRIPT: &str = include_str!("base.sh");

/// The folder with the image, made if it is not there, which takes about 45 s. Several processes may ask at once.
///
/// # Errors
///
/// What is missing to make it, or what the maker said; then nothing is left under the image's name.
pub fn prepare() -> Result<PathBuf, String> {
    if !rustix::process::geteuid().is_root() {
        return Err(
            "hosts with systemd can only be started by root: run `cargo xtask test` as root (or `--quick`, which needs none)"
                .to_owned(),
        );
    }
    let suite = suite()?;
    let cache = cache()?;
    let mut hash = DefaultHasher::new();
    (PACKAGES, SCRIPT, &suite).hash(&mut hash);
    let image = cache.join(format!("host-{suite}-{:016x}", hash.finish()));
    if image.exists() {
        return Ok(image);
    }
    std::fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let lock = std::fs::File::create(cache.join("lock")).map_err(|error| error.to_string())?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(|error| error.to_string())?;
    if !image.exists() {
        make(&suite, &image)?;
    }
    Ok(image)
}

fn make(suite: &str, image: &Path) -> Result<(), String> {
    let part = image.with_extension("part");
    // Left by a maker that was killed.
    let _ = std::fs::remove_dir_all(&part);
    let script = part.with_extension("sh");
    std::fs::write(&script, SCRIPT).map_err(|error| error.to_string())?;
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=minbase", "--format=directory"])
        .arg(format!("--include={PACKAGES}"))
        .arg(format!(
            "--customize-hook=chroot \"$1\" sh < '{}'",
            script.display()
        ))
        .arg(suite)
        .arg(&part);
    // The mirrors that this machine uses, as it knows them.
    let sources = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    if let Some(sources) = sources.iter().find(|path| Path::new(path).exists()) {
        command.arg(sources);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("mmdebstrap does not start ({error}): run `cargo xtask test`"))?;
    if !output.status.success() {
        return Err(format!(
            "mmdebstrap ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let _ = std::fs::remove_file(&script);
    std::fs::rename(&part, image).map_err(|error| format!("{}: {error}", image.display()))
}

/// The release of Debian that this machine runs: its mirrors are sure to have it.
fn suite() -> Result<String, String> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned());
    name.ok_or_else(|| {
        "/etc/os-release names no VERSION_CODENAME: test hosts are made on Debian only".to_owned()
    })
}

fn cache() -> Result<PathBuf, String> {
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|cache| cache.join("caxton-tests"))
        .ok_or_else(|| "neither XDG_CACHE_HOME nor HOME is set".to_owned())
}
