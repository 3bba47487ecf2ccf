//! Python programs that the tests and benches need, in environments of their own below `target`.

use crate::shell;
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// An S3 service with versions and object lock: what the tests of `adapters/s3` and of backups speak to.
pub(crate) fn moto() -> Result<PathBuf> {
    environment("venv-moto", "moto_server", "moto[server,s3]>=5,<6")
}

/// Amazon's command line, beside which objects are measured.
pub(crate) fn aws() -> Result<PathBuf> {
    environment("venv-aws", "aws", "awscli>=1.40,<2")
}

/// Makes an environment with one package, unless it is there; gives the program.
fn environment(name: &str, program: &str, package: &str) -> Result<PathBuf> {
    // Tests look for it below the checkout, wherever Cargo builds.
    let folder = shell::root().join("target").join(name);
    let program = folder.join("bin").join(program);
    if program.exists() {
        return Ok(program);
    }
    let at = folder.to_string_lossy().into_owned();
    shell::run(&["python3", "-m", "venv", &at])
        .context("python3 with venv is needed (apt-get install python3-venv)")?;
    let pip = folder.join("bin/pip").to_string_lossy().into_owned();
    shell::run(&[&pip, "install", "--quiet", "--disable-pip-version-check", package])?;
    Ok(program)
}
