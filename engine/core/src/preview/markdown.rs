//! The preview for a review comment.

use super::tree::{Line, arguments, remarks};
use super::{Change, IN_ORDER, Preview};
use std::fmt::Write as _;

/// The most bytes of a preview in Markdown. A comment on GitHub holds 65,536 characters; with a difference of
/// [`DIFFERENCE_BYTES_MAX`] beside it, both fit into one.
pub const PREVIEW_BYTES_MAX: usize = 48_000;

/// The most bytes of a difference in Markdown.
pub const DIFFERENCE_BYTES_MAX: usize = 16_000;

/// What is kept free to close what is open and to say what was left out.
const RESERVE: usize = 200;

impl Preview {
    /// Markdown of at most [`PREVIEW_BYTES_MAX`] bytes: the facts as a table, the steps as a list for each phase, folded.
    /// Whatever comes from the plan or from adapters is escaped.
    pub fn to_markdown(&self) -> String {
        let mut out = Bounded::new(PREVIEW_BYTES_MAX);
        out.push(&format!(
            "## Preview of {} ({})\n\n",
            code(&short(&self.plan, 200)),
            self.digest.short()
        ));
        if !self.description.is_empty() {
            out.push(&format!("{}\n\n", escape(&short(self.description.trim(), 2_000))));
        }
        out.push("| | |\n|---|---|\n");
        for (label, value) in self.facts() {
            out.push(&format!("| {label} | {} |\n", escape(&short(&value, 2_000))));
        }
        out.push("\n");
        let lines = self.lines();
        for phase in lines.chunk_by(|_, next| next.entry.depth > 0) {
            let Some((head, rest)) = phase.split_first() else {
                continue;
            };
            let steps = rest.iter().filter(|line| !line.entry.group).count();
            let summary = format!(
                "<details><summary><b>{}</b>: {steps} steps{}</summary>\n\n",
                html(&head.entry.name),
                tally(rest)
            );
            if !out.item(&summary) {
                out.left_out += rest.len();
                continue;
            }
            for remark in remarks(head.entry) {
                out.item(&format!("- _{}_\n", escape(&remark)));
            }
            for line in rest {
                out.item(&item(line));
            }
            out.push("\n</details>\n\n");
        }
        out.finish()
    }
}

/// How many steps of each kind there are: `, 2 would change, 1 unknown until run`.
fn tally(lines: &[Line<'_>]) -> String {
    let mut text = String::new();
    for change in [Change::Would, Change::WouldNot, Change::Unknown, Change::Skipped] {
        let count = lines
            .iter()
            .filter(|line| line.entry.change == Some(change))
            .count();
        if count > 0 {
            let _ = write!(text, ", {count} {}", words(change));
        }
    }
    text
}

fn item(line: &Line<'_>) -> String {
    let entry = line.entry;
    let indent = "  ".repeat(entry.depth.saturating_sub(1) as usize);
    let mut out = format!("{indent}- **{}**", escape(&entry.name));
    if let Some(target) = &entry.target {
        let _ = write!(out, " on {}", code(target));
    }
    if entry.what != IN_ORDER {
        let _ = write!(out, " — {}", escape(&entry.what));
    }
    let arguments = arguments(&entry.arguments);
    if !arguments.is_empty() {
        let _ = write!(out, " {}", code(&arguments));
    }
    if let Some(change) = entry.change {
        let _ = write!(out, "; {}", words(change));
    }
    // Details, such as the difference of a file, stand in the other renderings.
    if let Some(line) = entry.summary.lines().next() {
        let _ = write!(out, ": {}", escape(&short(line, 500)));
    }
    for remark in remarks(entry) {
        let _ = write!(out, " _({})_", escape(&short(&remark, 300)));
    }
    if !line.folded.is_empty() {
        let names: Vec<&str> = line.folded.iter().take(20).copied().collect();
        let more = match line.folded.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = write!(out, " — same for {}{more}", escape(&names.join(", ")));
    }
    out.push('\n');
    out
}

fn words(change: Change) -> &'static str {
    match change {
        Change::Would => "would change",
        Change::WouldNot => "would not change",
        Change::Unknown => "unknown until run",
        Change::Never => "only reads",
        Change::Skipped => "skipped",
    }
}

/// A text that never grows past a limit, and says at its end how many items did not fit.
pub(crate) struct Bounded {
    text: String,
    bytes_max: usize,
    left_out: usize,
}

impl Bounded {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            text: String::new(),
            bytes_max,
            left_out: 0,
        }
    }

    /// Adds what must be there; the caller keeps it short.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds an item if it fits, and answers whether it did. After the first that does not, none does: a list has no
    /// holes.
    pub(crate) fn item(&mut self, text: &str) -> bool {
        let fits = self.left_out == 0 && self.text.len() + text.len() + RESERVE <= self.bytes_max;
        if fits {
            self.text.push_str(text);
        } else {
            self.left_out += 1;
        }
        fits
    }

    pub(crate) fn finish(mut self) -> String {
        if self.left_out > 0 {
            let _ = write!(
                self.text,
                "\n_{} more lines left out: the text has a limit._\n",
                self.left_out
            );
        }
        self.text
    }
}

/// The first characters of a text.
fn short(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A text in one line, without what a terminal or a browser would obey: control characters and those that turn the
/// direction of writing.
pub(crate) fn plain(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    text.chars()
        .filter(|c| !turns(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A text that Markdown shows as it is: no markup, no HTML, no mention, no link.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // No mention of a person, no link to an issue, no link at all.
            '@' => out.push_str("@\u{200b}"),
            '#' => out.push_str("#\u{200b}"),
            ':' => out.push_str(":\u{200b}"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '!' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// A text as code: between as many backticks as it needs.
pub(crate) fn code(text: &str) -> String {
    let text = plain(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest > 0 || text.is_empty() {
        format!("{fence} {text} {fence}")
    } else {
        format!("{fence}{text}{fence}")
    }
}

/// A text inside HTML.
fn html(text: &str) -> String {
    let escaped = plain(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    escaped.replace('@', "@\u{200b}").replace('#', "#\u{200b}")
}

#[cfg(test)]
mod tests {
    use super::{code, escape};

    #[test]
    fn text_of_a_plan_is_shown_and_never_obeyed() {
        let check = |text: &str, escaped: &str, as_code: &str| {
            assert_eq!(escape(text), escaped);
            assert_eq!(code(text), as_code);
        };
        check("a_b", "a\\_b", "`a_b`");
        check(
            "</details><img src=x>",
            "&lt;/details&gt;&lt;img src=x&gt;",
            "`</details><img src=x>`",
        );
        check("@team #1", "@\u{200b}team #\u{200b}1", "`@team #1`");
        check("a `` b", "a \\`\\` b", "``` a `` b ```");
        check(
            "x\n## y\u{1b}[31m\u{202e}",
            "x #\u{200b}#\u{200b} y \\[31m",
            "`x ## y [31m`",
        );
    }
}
