//! Findings for a review comment.

use super::findings::Findings;
use std::fmt::Write as _;

/// How many scenarios of a group are named.
const NAMED: usize = 3;

impl Findings {
    /// As Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "## Simulation of `{}`\n\n{} scenarios, nothing was performed. Digest `{}`.\n\n",
            self.plan,
            self.rows.len(),
            self.digest.short()
        );
        text.push_str("| end | scenarios | left behind | down | resume | rollback | such as |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
        for (cells, group) in self.table().iter().zip(&self.groups) {
            let named: Vec<String> = group
                .scenarios
                .iter()
                .take(NAMED)
                .map(|id| format!("`{id}`"))
                .collect();
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            let _ = writeln!(text, "| {} | {} |", cells.join(" | "), named.join("<br>"));
        }
        text.push('\n');
        for (name, value) in self.facts() {
            let _ = writeln!(text, "* **{name}**: {value}");
        }
        text
    }
}
