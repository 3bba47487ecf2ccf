//! `caxplan` as it is shipped.
//!
//! Of the program's 33 MB of code a short run executes 2.5 MB, spread over all of it, and the kernel maps the 64 KiB around
//! each page that is touched: most of what such a run has resident is code that it never executes. So a run is traced, and
//! the linker puts what it executed side by side. See `docs/decisions/0015-release-layout.md`.

use crate::{setup, shell};
use anyhow::{Context as _, Result, bail};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is traced: the commands that cron starts, and the one that a person types most.
const TRACED: [&[&str]; 3] = [
    &["run", "plan.yaml"],
    &["show", "--last"],
    &["preview", "plan.yaml"],
];

/// The plan of the traced run.
const PLAN: &str = "\
name: traced
phases:
  - name: work
    steps:
      - id: one
        action: shell.run
        with: {argv: [\"true\"]}
";

/// Whether the linker that Rust brings is the default, which takes an order of functions.
const ORDERS: bool = cfg!(all(
    target_arch = "x86_64",
    target_os = "linux",
    target_env = "gnu"
));

/// Builds `target/release/caxplan` and gives its path. Builds it twice when other functions are executed than at the last time.
pub(crate) fn caxplan() -> Result<PathBuf> {
    let caxplan = shell::target_dir().join("release/caxplan");
    if !ORDERS {
        shell::run(&BUILD)?;
        return Ok(caxplan);
    }
    setup::tracer()?;
    let order = shell::target_dir().join("startup-order.txt");
    if !order.exists() {
        std::fs::create_dir_all(shell::target_dir())?;
        std::fs::write(&order, "")?;
    }
    build(&order)?;
    let traced = trace(&caxplan)?;
    if std::fs::read_to_string(&order)? != traced {
        std::fs::write(&order, traced)?;
        build(&order)?;
    }
    Ok(caxplan)
}

/// Of all the workspace: for one package Cargo would choose other features, and build the dependencies twice.
const BUILD: [&str; 7] = [
    "cargo",
    "build",
    "--release",
    "--workspace",
    "--locked",
    "--bin",
    "caxplan",
];

/// Builds the program with the functions that `order` names first.
fn build(order: &Path) -> Result<()> {
    shell::run_command(&BUILD, shell::command(&BUILD).env("CAXPLAN_STARTUP_ORDER", order))
}

/// The symbols of the functions that short commands execute, one a line, sorted.
fn trace(caxplan: &Path) -> Result<String> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("plan.yaml"), PLAN)?;
    let mut symbols = HashSet::new();
    for arguments in TRACED {
        let profile = folder.path().join("profile");
        let mut command = shell::command(&["valgrind", "--quiet", "--tool=callgrind", "--demangle=no"]);
        command
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(caxplan)
            .args(arguments)
            .current_dir(folder.path())
            .env("CAXPLAN_STATE_DIR", folder.path().join("state"));
        let output = command.output().context("cannot start valgrind")?;
        if !output.status.success() {
            bail!(
                "caxplan {} ended with {} under valgrind:\n{}",
                arguments.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let profile = std::fs::read_to_string(&profile).context("the profile that valgrind wrote")?;
        symbols.extend(profile.lines().filter_map(symbol).map(str::to_owned));
    }
    let mut symbols: Vec<String> = symbols.into_iter().collect();
    symbols.sort_unstable();
    let mut lines = String::new();
    for symbol in symbols {
        writeln!(lines, "{symbol}")?;
    }
    Ok(lines)
}

/// The symbol that a line of a callgrind profile introduces: `fn=(7) name`, or `cfn=(7) name'2` for a recursive call.
fn symbol(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn="))?;
    let (_, name) = rest.split_once(") ")?;
    let name = name.split_once('\'').map_or(name, |(name, _)| name);
    (!name.starts_with("0x")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::symbol;

    #[test]
    fn a_profile_names_each_function_once() {
        assert_eq!(
            symbol("fn=(12) _ZN4core3fmt5write17h0E"),
            Some("_ZN4core3fmt5write17h0E")
        );
        assert_eq!(symbol("cfn=(3) _ZN3run2goE'2"), Some("_ZN3run2goE"));
        assert_eq!(symbol("fn=(12)"), None);
        assert_eq!(symbol("fn=(4) 0x0000000000001050"), None);
        assert_eq!(symbol("calls=1 0"), None);
    }
}
