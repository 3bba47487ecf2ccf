//! A folder of its own for each test, and the programs under test run in it.

use crate::{Background, Finished};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder with state, runs and clusters of its own. A cluster that was started in it is ended with it.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
    state: PathBuf,
    port_base: u16,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// A new, empty sandbox.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path().join("state");
        Self {
            folder,
            state,
            port_base: free_port_base(),
        }
    }

    /// A sandbox whose journal lies in `state` (a small disk, say).
    pub fn with_state(state: &Path) -> Self {
        let mut sandbox = Self::new();
        sandbox.state = state.to_owned();
        sandbox
    }

    /// The folder that programs run in.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and gives its name.
    pub fn file<'a>(&self, name: &'a str, text: &str) -> &'a str {
        std::fs::write(self.path().join(name), text).expect("the sandbox can be written");
        name
    }

    /// Reads a file; empty if there is none.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// Runs `caxplan` to its end.
    pub fn caxplan(&self, arguments: &[&str]) -> Finished {
        self.start("caxplan", arguments).wait()
    }

    /// Runs `caxplan` to its end, with variables in its environment.
    pub fn caxplan_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Finished {
        let mut command = self.command("caxplan", arguments);
        command
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Background::new(command.spawn().expect("a built program starts")).wait()
    }

    /// Runs `caxton` to its end.
    pub fn caxton(&self, arguments: &[&str]) -> Finished {
        self.start("caxton", arguments).wait()
    }

    /// Starts `caxplan`.
    pub fn start_caxplan(&self, arguments: &[&str]) -> Background {
        self.start("caxplan", arguments)
    }

    fn start(&self, program: &str, arguments: &[&str]) -> Background {
        let mut command = self.command(program, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Background::new(command.spawn().expect("a built program starts"))
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary(program));
        command.args(arguments).stdin(Stdio::null());
        self.prepare(&mut command);
        command
    }

    /// Lets a program run in this sandbox, with its state, and with the programs under test in its search path.
    pub fn prepare(&self, command: &mut Command) {
        let search = std::env::var_os("PATH").unwrap_or_default();
        let search = std::iter::once(programs()).chain(std::env::split_paths(&search));
        command
            .current_dir(self.path())
            .env("PATH", std::env::join_paths(search).expect("no colon in a path"))
            .env("CAXPLAN_STATE_DIR", &self.state)
            .env("CAXTON_DEV_DIR", self.path().join("dev"))
            .env("CAXTON_DEV_PORT_BASE", self.port_base.to_string())
            .env("NO_COLOR", "1");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.path().join("dev").exists() {
            let _ = self.command("caxton", &["dev", "down", "--purge"]).output();
        }
    }
}

/// The checkout's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the checkout")
        .to_owned()
}

/// The releases that `cargo xtask dist` made.
pub fn releases() -> PathBuf {
    let folder = std::env::var_os("CAXTON_RELEASES").map_or_else(
        || programs().parent().expect("target").join("releases"),
        PathBuf::from,
    );
    assert!(
        folder.join("sources.sha256").exists(),
        "no releases in {}: run `cargo xtask test`",
        folder.display()
    );
    folder
}

/// A built program.
fn binary(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo xtask test`",
        path.display()
    );
    path
}

/// The folder of the profile that this test was built in.
pub fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.parent()
        .and_then(Path::parent)
        .expect("tests lie in target/PROFILE/deps")
        .to_owned()
}

/// The first of 100 ports that nobody uses now. Tests of one machine start at different places.
fn free_port_base() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 200).unwrap_or(0);
    for _ in 0..200 {
        let step = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let base = 20_000 + (start + step) % 100 * 100;
        if (0..40).all(|offset| std::net::TcpListener::bind(("127.0.0.1", base + offset)).is_ok()) {
            return base;
        }
    }
    panic!("no 40 free ports in a row between 20,000 and 30,000");
}
