//! Lines of the journal.

use crate::arguments::UnitName;
use crate::place::{NotRan, Place, Ran};
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};

/// Which lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// As `journalctl --since` takes it.
    pub(crate) since: Option<String>,
    pub(crate) priority: Option<&'static str>,
    pub(crate) lines: u32,
    /// A text, not a pattern.
    pub(crate) grep: Option<String>,
}

/// The last lines of a unit, oldest first.
///
/// # Errors
/// If the journal cannot be read, or may not.
pub(crate) async fn read(
    place: &Place,
    unit: &UnitName,
    wanted: &Wanted,
    context: &Context,
) -> Result<Vec<String>, Cause> {
    let lines = wanted.lines.to_string();
    let which = if place.is_user() { "--user-unit" } else { "--unit" };
    let mut words = vec![
        "journalctl",
        "--no-pager",
        "--quiet",
        "--output=short-iso",
        which,
        unit.as_str(),
        "--lines",
        &lines,
    ];
    if let Some(since) = &wanted.since {
        words.extend(["--since", since]);
    }
    if let Some(priority) = wanted.priority {
        words.extend(["--priority", priority]);
    }
    let pattern = wanted.grep.as_deref().map(literal);
    if let Some(pattern) = &pattern {
        words.extend(["--case-sensitive=yes", "--grep", pattern]);
    }
    let ran = place.run(&words, b"", context).await.map_err(NotRan::cause)?;
    let Ran { code, stdout, stderr } = ran;
    let lines: Vec<String> = stdout
        .lines()
        .filter(|line| !line.starts_with("-- "))
        .map(str::to_owned)
        .collect();
    // `--grep` that finds nothing ends with 1 and says nothing.
    if lines.is_empty() && (code != Some(0) || may_not_read(&stderr)) && !stderr.trim().is_empty() {
        let said = stderr.trim().replace('\n', "; ");
        let (kind, hint) = if may_not_read(&stderr) {
            (
                FailureKind::Denied,
                "write `sudo: true`, or add the user to the group systemd-journal",
            )
        } else {
            (FailureKind::Other, "`journalctl` there says more")
        };
        return Err(Cause::new(
            kind,
            format!("cannot read the journal of {unit} on {}: {said}", place.name()),
        )
        .with_hint(hint));
    }
    Ok(lines)
}

/// Whether journalctl showed less than there is because of who we are.
fn may_not_read(stderr: &str) -> bool {
    [
        "insufficient permissions",
        "not seeing messages",
        "Permission denied",
    ]
    .iter()
    .any(|text| stderr.contains(text))
}

/// A pattern that matches just this text.
fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for char in text.chars() {
        if !char.is_alphanumeric() && !char.is_whitespace() && char.is_ascii() {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_is_no_pattern() {
        assert_eq!(super::literal("a.b [x] é_1"), r"a\.b \[x\] é\_1");
    }
}
