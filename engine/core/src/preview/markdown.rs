//! The preview for a review comment.

use super::tree::{arguments, remarks};
use super::{Change, IN_ORDER, Preview};
use std::fmt::Write as _;

impl Preview {
    /// Markdown: the facts as a table, the steps as a nested list.
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "## Preview of `{}` ({})\n", self.plan, self.digest.short());
        if !self.description.is_empty() {
            let _ = writeln!(out, "{}\n", self.description.trim());
        }
        let _ = writeln!(out, "| | |\n|---|---|");
        for (label, value) in self.facts() {
            let _ = writeln!(
                out,
                "| {label} | {} |",
                value.replace('|', "\\|").replace('\n', " ")
            );
        }
        out.push('\n');
        for line in self.lines() {
            let entry = line.entry;
            let indent = "  ".repeat(entry.depth as usize);
            let _ = write!(out, "{indent}- **{}**", entry.name);
            if let Some(target) = &entry.target {
                let _ = write!(out, " on `{target}`");
            }
            if entry.what != IN_ORDER {
                let _ = write!(out, " — {}", entry.what);
            }
            let arguments = arguments(&entry.arguments);
            if !arguments.is_empty() {
                let _ = write!(out, " `{}`", arguments.replace('`', "'"));
            }
            if let Some(change) = entry.change {
                let _ = write!(out, "; {}", words(change));
            }
            if !entry.summary.is_empty() {
                let _ = write!(out, ": {}", entry.summary.replace('\n', " "));
            }
            for remark in remarks(entry) {
                let _ = write!(out, " _({remark})_");
            }
            if !line.folded.is_empty() {
                let _ = write!(out, " — same for {}", line.folded.join(", "));
            }
            out.push('\n');
        }
        out
    }
}

fn words(change: Change) -> &'static str {
    match change {
        Change::Would => "would change",
        Change::WouldNot => "would not change",
        Change::Unknown => "cannot be told before the run",
        Change::Never => "only reads",
    }
}
