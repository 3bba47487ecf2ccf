//! What would change in a text, line by line.

use similar::{ChangeTag, TextDiff};

/// How many lines stand around a change.
const AROUND: usize = 2;

/// The most lines of a difference that are shown.
const LINES_MAX: usize = 40;

/// How many lines go and come, and the difference: lines that each begin with a line's end.
pub fn of(old: &str, new: &str) -> (usize, usize, String) {
    let diff = TextDiff::from_lines(old, new);
    let count = |tag| {
        diff.iter_all_changes()
            .filter(|change| change.tag() == tag)
            .count()
    };
    let mut lines = Vec::new();
    for group in diff.grouped_ops(AROUND) {
        if !lines.is_empty() {
            lines.push("…".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(format!("{sign}{}", change.value().trim_end_matches(['\n', '\r'])));
        }
    }
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if more > 0 {
        lines.push(format!("… {more} more lines"));
    }
    let text = lines.iter().map(|line| format!("\n{line}")).collect();
    (count(ChangeTag::Delete), count(ChangeTag::Insert), text)
}
