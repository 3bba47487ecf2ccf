//! Blocks of shell: their pieces, and what a person must fill in.

use super::words::slug;
use std::collections::BTreeMap;

/// The languages of fenced blocks that are shell.
pub(super) fn is_shell(language: &str, text: &str) -> bool {
    match language.to_lowercase().as_str() {
        "bash" | "sh" | "shell" | "zsh" | "console" | "shell-session" | "terminal" => true,
        // A block of no language is shell if it looks like it.
        "" => text.lines().any(|line| {
            let line = line.trim();
            line.starts_with("$ ") || line.starts_with("sudo ") || line.starts_with("#!")
        }),
        _ => false,
    }
}

/// One step of a block.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    /// What its comment says, if it has one.
    pub(super) title: Option<String>,
    pub(super) script: String,
    /// How many lines it stands below the first of its block.
    pub(super) offset: usize,
}

/// The pieces of a block: a comment after an empty line, or a numbered one, begins a new one. What is one script, because
/// it says so or because a construct spans several pieces, stays whole.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let is_whole = text.trim_start().starts_with("#!") || text.contains("<<") || {
        let starts = |word: &str| {
            text.lines()
                .any(|line| line.split_whitespace().next() == Some(word))
        };
        ["if", "for", "while", "until", "case", "function", "set"]
            .into_iter()
            .any(starts)
            || text.contains("() {")
    };
    let mut pieces: Vec<Piece> = Vec::new();
    let mut last_blank = true;
    for (offset, line) in text.lines().enumerate() {
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let comment = line
            .trim_start()
            .strip_prefix('#')
            .filter(|rest| !rest.starts_with('!'));
        let has_command = pieces.last().is_some_and(|piece| has_command(&piece.script));
        let begins = pieces.is_empty() || (!is_whole && comment.is_some() && last_blank && has_command);
        if begins {
            let title = comment
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty());
            pieces.push(Piece {
                title: title.filter(|_| !is_whole),
                script: String::new(),
                offset,
            });
        }
        if let Some(piece) = pieces.last_mut() {
            piece.script.push_str(line.trim_end());
            piece.script.push('\n');
        }
        last_blank = line.trim().is_empty();
    }
    pieces
        .into_iter()
        .filter(|piece| has_command(&piece.script))
        .map(|piece| Piece {
            script: piece.script.trim_matches('\n').to_owned(),
            ..piece
        })
        .collect()
}

fn has_command(script: &str) -> bool {
    script.lines().any(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    })
}

/// The text as a template that yields it, with its placeholders (`<node-id>`) as parameters, which are added to `params`:
/// by name, as they were written.
pub(super) fn template(text: &str, params: &mut BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(open) = ["{{", "{%", "{#"].into_iter().find(|open| rest.starts_with(open)) {
            out.push_str(&format!("{{{{ '{open}' }}}}"));
            rest = &rest[open.len()..];
        } else if let Some(inner) = placeholder(rest).filter(|_| !out.ends_with('<')) {
            let name = slug(inner);
            out.push_str(&format!("{{{{ params.{name} }}}}"));
            params.entry(name).or_insert_with(|| format!("<{inner}>"));
            rest = &rest[inner.len() + 2..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// The name in `<node-id>` at the beginning of a text. No redirection looks like it: it has no blanks beside the signs.
fn placeholder(text: &str) -> Option<&str> {
    const CHARS_MAX: usize = 40;
    let inner = text.strip_prefix('<')?;
    let inner = &inner[..inner.find('>')?];
    let is_name = inner.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && inner.len() <= CHARS_MAX
        && !inner.ends_with(' ')
        && inner
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ' | '.'));
    is_name.then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::{pieces, template};
    use std::collections::BTreeMap;

    #[test]
    fn a_block_of_commented_commands_is_several_steps() {
        let found = pieces("# 1. Ping\nping a\n\n# 2. Look\nls\nls -l\n");
        let found: Vec<_> = found
            .iter()
            .map(|piece| (piece.title.as_deref(), piece.offset))
            .collect();
        assert_eq!(found, [(Some("1. Ping"), 0), (Some("2. Look"), 3)]);
        assert_eq!(
            pieces("#!/bin/bash\n# a\nls\n\n# b\nls\n").len(),
            1,
            "a script is one step"
        );
        assert_eq!(pieces("# only words\n").len(), 0);
    }

    #[test]
    fn placeholders_become_parameters_and_nothing_else_does() {
        let check = |text: &str, expected: &str, names: &[&str]| {
            let mut params = BTreeMap::new();
            assert_eq!(template(text, &mut params), expected);
            assert_eq!(params.keys().map(String::as_str).collect::<Vec<_>>(), names);
        };
        check("ping <node-id>", "ping {{ params.node_id }}", &["node_id"]);
        check("cat < in > out", "cat < in > out", &[]);
        check("cat <<EOF > x", "cat <<EOF > x", &[]);
        check(
            "ps --format '{{.Names}}'",
            "ps --format '{{ '{{' }}.Names}}'",
            &[],
        );
        check("echo ${#list[@]}", "echo ${{ '{#' }}list[@]}", &[]);
    }
}
