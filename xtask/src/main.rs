//! Developer commands, as `cargo xtask COMMAND`.

mod bench;
mod ci;
mod demo;
mod dist;
mod fuzz;
mod hosts;
mod python;
mod release;
mod runbooks;
mod setup;
mod shell;
mod test;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--quick]   set up what is missing and run all tests; --quick runs what needs no set-up
  demo             build, make two releases, and upgrade a local cluster from one to the other
  dist             build the example agents and the releases that demo and tests use, into target/releases
  release          build caxplan as it is shipped, into target/release, its functions in the order of a traced run
  bench            measure the engine beside the floors of this machine
  bench objects    measure s3.* beside Amazon's command line, at one service on this machine
  bench transfer   measure uploads and downloads beside sftp and rsync (needs sshd)
  bench ssh        measure commands on many hosts beside ssh and Ansible (root, openssh-server)
                   Each bench builds the program as it is shipped, or takes the one that CAXPLAN names.
  ci               what a change must pass: fmt, clippy, docs, generated files, test
  fuzz [SECONDS]   build the fuzz targets, with what they need, and run each for so long (20 if it is not said)
  generate         write the files that are generated from code (schemas, docs/reference, docs/runbooks.md)
  runbooks         write docs/runbooks.md alone, for which nothing is built";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test::all(),
        ["test", "--quick"] => test::quick(),
        ["demo"] => demo::run(),
        ["release"] => release::caxplan().map(|built| shell::say(&built.display().to_string())),
        ["dist"] => dist::releases().map(drop),
        ["bench"] => bench::run(),
        ["bench", "objects"] => bench::objects(),
        ["bench", "transfer"] => bench::transfer::run(),
        ["bench", "ssh"] => bench::ssh::run(),
        ["ci"] => ci::run(),
        ["fuzz"] => fuzz::run(fuzz::CI_SECONDS),
        ["fuzz", seconds] => fuzz::run(seconds.parse().context("how many seconds for each target?")?),
        ["generate"] => ci::generate(),
        ["runbooks"] => runbooks::write(&shell::root()),
        [] | ["help" | "--help" | "-h"] => {
            shell::say(USAGE);
            Ok(())
        }
        other => bail!("no such command: {}\n\n{USAGE}", other.join(" ")),
    }
}
