//! Accounts of this machine that tests log in to.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An ordinary account without any right.
const ORDINARY: &str = "caxplan-test";

/// An account that may become root, and anybody, by `sudo` without a password.
const SUDOER: &str = "caxplan-sudo";

/// An account of this machine. Those that tests make stay on it: tests of other processes use them too, so what a test
/// leaves in a home belongs into a folder of its own ([`Account::folder`]).
#[derive(Clone, Debug)]
pub struct Account {
    name: String,
    home: PathBuf,
}

impl Account {
    /// Who runs the test.
    pub fn own() -> Self {
        let id = rustix::process::getuid().as_raw().to_string();
        Self::find(|fields| fields.get(2) == Some(&id.as_str())).expect("who runs a test has an account")
    }

    /// Whether tests may make accounts: `root` may. Where that is missing a test may be skipped, but not in CI.
    pub fn can_be_made() -> bool {
        let is_root = rustix::process::geteuid().is_root();
        assert!(
            is_root || std::env::var_os("CI").is_none(),
            "only root can make accounts to log in to"
        );
        is_root
    }

    /// An ordinary account, made if it is not there: its home has no shell start-up files, its shell is `/bin/sh`, it
    /// has no password and no `sudo`.
    pub fn ordinary() -> Self {
        Self::ensure(ORDINARY)
    }

    /// An account that may become anybody by `sudo -n`.
    pub fn sudoer() -> Self {
        let account = Self::ensure(SUDOER);
        let _lock = lock();
        let rule = Path::new("/etc/sudoers.d").join(SUDOER);
        if !rule.exists() {
            // `sudo` skips names with a dot.
            let half = rule.with_extension("new");
            fs::write(&half, format!("{SUDOER} ALL=(ALL:ALL) NOPASSWD: ALL\n")).expect("root may");
            fs::set_permissions(&half, fs::Permissions::from_mode(0o440)).expect("root may");
            fs::rename(&half, &rule).expect("root may");
        }
        account
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// An empty folder that belongs to it, removed when the value is dropped.
    pub fn folder(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown")
                .arg(&self.name)
                .arg(folder.path())
                .status()
                .expect("chown starts");
            assert!(owned.success(), "chown {}", self.name);
        }
        folder
    }

    fn find(is_it: impl Fn(&[&str]) -> bool) -> Option<Self> {
        fs::read_to_string("/etc/passwd")
            .expect("it can be read")
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.len() >= 6 && is_it(fields))
            .map(|fields| Self {
                name: fields[0].to_owned(),
                home: fields[5].into(),
            })
    }

    fn ensure(name: &str) -> Self {
        let _lock = lock();
        let known = || Self::find(|fields| fields[0] == name);
        if let Some(account) = known() {
            return account;
        }
        let skeleton = tempfile::tempdir().expect("a temporary folder");
        for command in [
            &[
                "useradd",
                "--create-home",
                "--skel",
                &skeleton.path().display().to_string(),
                "--shell",
                "/bin/sh",
                name,
            ][..],
            // Neither a password nor locked: sshd refuses locked accounts.
            &["usermod", "-p", "*", name],
        ] {
            let output = Command::new(command[0])
                .args(&command[1..])
                .output()
                .expect("it starts");
            assert!(output.status.success(), "{command:?}: {output:?}");
        }
        known().expect("it was made")
    }
}

/// One process at a time, one thread at a time.
fn lock() -> File {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(std::env::temp_dir().join("caxplan-test-accounts.lock"))
        .expect("the temporary folder can be written");
    file.lock().expect("a file can be locked");
    file
}
