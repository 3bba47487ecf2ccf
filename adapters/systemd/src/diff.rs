//! The difference of two texts, for a preview.

use similar::TextDiff;

/// How many lines stand around a change.
const AROUND: usize = 2;

/// The most lines of a difference that are shown.
const LINES_MAX: usize = 40;

/// A unified difference, each line begun with a line's end.
pub(crate) fn unified(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let text = diff.unified_diff().context_radius(AROUND).to_string();
    let mut lines: Vec<&str> = text.lines().collect();
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    let mut shown: String = lines.iter().map(|line| format!("\n{line}")).collect();
    if more > 0 {
        shown.push_str(&format!("\n… {more} more lines"));
    }
    shown
}
