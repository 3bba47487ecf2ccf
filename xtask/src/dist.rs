//! Releases of `caxton` and the example agents, in `target/releases`.

use crate::shell;
use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// The versions that the demo upgrades between. Each is a build of its own, with its number compiled in.
pub(crate) const VERSIONS: [&str; 2] = ["1.0.0", "1.1.0"];

/// Configuration defaults of the broken release: it starts, and its health check fails, since no disk is that free.
const BROKEN_DEFAULTS: &str = "limits:\n  min_free_disk_percent: 100\n";

/// The folder with everything that was made.
pub(crate) struct Releases {
    folder: PathBuf,
}

impl Releases {
    /// `target/releases`.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Makes the releases and agents, unless they are there already and no source has changed since.
///
/// * `caxton-VERSION.tar.gz` with its `.sha256` for each of [`VERSIONS`]
/// * `broken/caxton-1.1.0.tar.gz`: a release whose nodes are never healthy
/// * `agents/echo.wasm`, `agents/counter.wat`
pub(crate) fn releases() -> Result<Releases> {
    let releases = Releases {
        folder: shell::target_dir().join("releases"),
    };
    let stamp = releases.folder.join("sources.sha256");
    let fingerprint = fingerprint()?;
    if std::fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == fingerprint) {
        return Ok(releases);
    }
    std::fs::create_dir_all(releases.folder.join("broken"))?;
    agents(&releases.folder.join("agents"))?;
    for version in VERSIONS {
        let binary = build(version)?;
        pack(&binary, version, &releases.folder, None)?;
        if version == VERSIONS[1] {
            let defaults = releases.folder.join("broken/defaults.yaml");
            std::fs::write(&defaults, BROKEN_DEFAULTS)?;
            pack(&binary, version, &releases.folder.join("broken"), Some(&defaults))?;
        }
    }
    std::fs::write(&stamp, fingerprint)?;
    Ok(releases)
}

/// Builds `caxton` with a release number and gives the path of its binary.
fn build(version: &str) -> Result<PathBuf> {
    // All of the workspace: for one package Cargo would choose other features, and build the dependencies twice.
    let words = ["cargo", "build", "--workspace", "--locked"];
    let mut command = shell::command(&words);
    command.env("CAXTON_RELEASE", version);
    shell::run_command(&words, &mut command)?;
    let built = shell::target_dir().join("debug/caxton");
    let said = shell::output(&[&path_text(&built)?, "--version"])?;
    if said.trim() != format!("caxton {version}") {
        bail!(
            "{} says it is `{}`, not version {version}",
            built.display(),
            said.trim()
        );
    }
    Ok(built)
}

/// Packs a release with the binary's own command.
fn pack(binary: &Path, version: &str, output: &Path, defaults: Option<&Path>) -> Result<()> {
    let (binary, output) = (path_text(binary)?, path_text(output)?);
    let mut words = vec![
        binary.as_str(),
        "release",
        "pack",
        "--binary",
        &binary,
        "--version",
        version,
        "--output",
        &output,
    ];
    let defaults = defaults.map(path_text).transpose()?;
    if let Some(defaults) = &defaults {
        words.extend(["--defaults", defaults]);
    }
    shell::run(&words)
}

/// Builds the example agents.
fn agents(folder: &Path) -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    if !shell::output(&["rustup", "target", "list", "--installed"])?
        .lines()
        .any(|line| line == TARGET)
    {
        shell::run(&["rustup", "target", "add", TARGET])?;
    }
    shell::run(&[
        "cargo",
        "build",
        "--package",
        "caxton-agent-echo",
        "--target",
        TARGET,
        "--release",
        "--locked",
    ])?;
    std::fs::create_dir_all(folder)?;
    let built = shell::target_dir()
        .join(TARGET)
        .join("release/caxton_agent_echo.wasm");
    std::fs::copy(&built, folder.join("echo.wasm")).with_context(|| built.display().to_string())?;
    let counter = shell::root().join("examples/agents/counter.wat");
    std::fs::copy(&counter, folder.join("counter.wat")).with_context(|| counter.display().to_string())?;
    Ok(())
}

/// A digest over every file that a release is made of.
fn fingerprint() -> Result<String> {
    let listed = shell::output(&[
        "git",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        "runtime",
        "examples/agents",
        "Cargo.lock",
        "Cargo.toml",
        "xtask",
    ])?;
    let mut hash = Sha256::new();
    for name in listed.lines() {
        hash.update(name.as_bytes());
        hash.update(std::fs::read(shell::root().join(name)).unwrap_or_default());
    }
    Ok(hex::encode(hash.finalize()))
}

fn path_text(path: &Path) -> Result<String> {
    path.to_str()
        .map(str::to_owned)
        .with_context(|| format!("{} is not UTF-8", path.display()))
}
