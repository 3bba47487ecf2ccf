//! Debian packages whose programs the tests and a release build need.

use crate::shell;
use anyhow::{Result, bail};
use std::path::Path;

/// A program that tests start (or the path of a file that they need), and the Debian package that brings it.
struct Needed {
    program: &'static str,
    package: &'static str,
}

/// One line per program, sorted by package.
const NEEDED: &[Needed] = &[
    // tests/e2e/schedule.rs: a real cron, in a namespace of its own.
    Needed {
        program: "cron",
        package: "cron",
    },
    // adapters/systemd/tests: a user's systemd and its bus, known by a file.
    Needed {
        program: "/usr/lib/systemd/user/dbus.socket",
        package: "dbus-user-session",
    },
    // tests/support/hosts.rs: hosts with systemd and addresses of their own.
    Needed {
        program: "ip",
        package: "iproute2",
    },
    Needed {
        program: "mmdebstrap",
        package: "mmdebstrap",
    },
    Needed {
        program: "nft",
        package: "nftables",
    },
    // tests/support/sshd.rs
    Needed {
        program: "ssh-agent",
        package: "openssh-client",
    },
    Needed {
        program: "sshd",
        package: "openssh-server",
    },
    Needed {
        program: "sudo",
        package: "sudo",
    },
    Needed {
        program: "systemd-nspawn",
        package: "systemd-container",
    },
    // tests/e2e/review.rs: the review job, and what draws the diagrams.
    Needed {
        program: "git",
        package: "git",
    },
    Needed {
        program: "dot",
        package: "graphviz",
    },
    // tests/e2e/editor.rs: the language server that editors use.
    Needed {
        program: "node",
        package: "nodejs",
    },
    Needed {
        program: "npm",
        package: "npm",
    },
    // xtask/src/python.rs: environments for programs in Python.
    Needed {
        program: "python3",
        package: "python3-venv",
    },
    // tests/e2e/schedule.rs: whether units are right.
    Needed {
        program: "systemd-analyze",
        package: "systemd",
    },
];

/// What `cargo xtask release` traces a run with.
const TRACER: Needed = Needed {
    program: "valgrind",
    package: "valgrind",
};

/// Installs the packages of programs that tests need and that are not there. Does nothing, quickly, if all are.
pub(crate) fn packages() -> Result<()> {
    install(NEEDED)
}

/// Installs the program that a release build needs, if it is not there.
pub(crate) fn tracer() -> Result<()> {
    install(&[TRACER])
}

fn install(needed: &[Needed]) -> Result<()> {
    let missing: Vec<&Needed> = needed.iter().filter(|needed| !is_there(needed.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|needed| needed.package).collect();
    packages.dedup();
    let by_hand = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if !is_there("apt-get") {
        let programs: Vec<&str> = missing.iter().map(|needed| needed.program).collect();
        bail!(
            "these programs are needed, and there is no apt-get to install them with: {}",
            programs.join(", ")
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!("programs are needed that only root can install: run `{by_hand}` as root");
    }
    apt_get(&["update", "-qq"])?;
    apt_get(
        &[
            &["install", "-qq", "--yes", "--no-install-recommends"],
            packages.as_slice(),
        ]
        .concat(),
    )?;
    match missing.iter().find(|needed| !is_there(needed.program)) {
        Some(needed) => bail!(
            "`{}` did not bring the program `{}`",
            needed.package,
            needed.program
        ),
        None => Ok(()),
    }
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let words = [&["apt-get"], arguments].concat();
    let mut command = shell::command(&words);
    // A package that asks a question would wait for ever.
    command.env("DEBIAN_FRONTEND", "noninteractive");
    shell::run_command(&words, &mut command)
}

/// Whether a program is on the search path, or where only root's search path has it; or a file is where its path says.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_owned(), Path::new("/sbin").to_owned()])
        .any(|folder| folder.join(program).is_file())
}
