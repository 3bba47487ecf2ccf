//! The machine's own tools.

use std::process::{Command, Stdio};

/// Runs a program that must succeed, and gives its standard output.
#[track_caller]
pub(super) fn run(words: &[&str]) -> String {
    let output = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{} does not start ({error}): run `cargo xtask test`", words[0]));
    assert!(
        output.status.success(),
        "`{}` ended with {}: {}",
        words.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program that may fail, such as one that removes what may not be there.
pub(super) fn quietly(words: &[&str]) {
    let _ = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output();
}
