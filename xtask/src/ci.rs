//! What a change must pass.

use crate::{fuzz, runbooks, shell, test};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// All checks, cheapest first.
pub(crate) fn run() -> Result<()> {
    shell::run(&["cargo", "fmt", "--all", "--check"])?;
    shell::run(&[
        "cargo",
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ])?;
    document()?;
    test::all()?;
    compare_generated()?;
    fuzz::run(fuzz::CI_SECONDS)
}

/// Builds the documentation; a warning is an error.
fn document() -> Result<()> {
    let words = ["cargo", "doc", "--workspace", "--no-deps", "--locked"];
    shell::run_command(&words, shell::command(&words).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Writes the generated files into the checkout.
pub(crate) fn generate() -> Result<()> {
    write_generated(&shell::root())
}

/// Fails if a generated file in the checkout is not what the code generates now.
fn compare_generated() -> Result<()> {
    let fresh = tempfile::tempdir()?;
    write_generated(fresh.path())?;
    let mut stale = Vec::new();
    let schemas = SCHEMAS.map(|kind| format!("schemas/{kind}.schema.json"));
    let pages = PAGES.map(|(page, _)| page).into_iter().chain([runbooks::PAGE]);
    for name in schemas.into_iter().chain(pages.map(str::to_owned)) {
        let committed = std::fs::read(shell::root().join(&name)).unwrap_or_default();
        if std::fs::read(fresh.path().join(&name))? != committed {
            stale.push(name);
        }
    }
    if !stale.is_empty() {
        bail!(
            "stale: {}; run `cargo xtask generate` and commit the result",
            stale.join(", ")
        );
    }
    Ok(())
}

/// The document kinds that have a schema.
const SCHEMAS: [&str; 8] = [
    "plan",
    "library",
    "inventory",
    "maintenance",
    "backup",
    "health_checks",
    "alerts",
    "test",
];

/// The pages of the reference, each with the arguments that print it.
const PAGES: [(&str, &[&str]); 3] = [
    ("docs/reference/cli.md", &["man", "--markdown"]),
    ("docs/reference/plan.md", &["schema", "--markdown"]),
    ("docs/reference/adapters.md", &["adapters", "reference"]),
];

fn write_generated(root: &Path) -> Result<()> {
    shell::run(&["cargo", "build", "--workspace", "--locked"])?;
    let caxplan = shell::target_dir().join("debug/caxplan");
    let caxplan = caxplan
        .to_str()
        .context("the target folder's path is not UTF-8")?;
    std::fs::create_dir_all(root.join("schemas"))?;
    for kind in SCHEMAS {
        let text = shell::output(&[caxplan, "schema", kind])?;
        let path = root.join("schemas").join(format!("{kind}.schema.json"));
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    for (page, arguments) in PAGES {
        let path = root.join(page);
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        let text = shell::output(&[&[caxplan], arguments].concat())?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    runbooks::write(root)
}
