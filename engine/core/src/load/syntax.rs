//! What to do about text that is no YAML: the parser says what it did not expect, and a person wants to know what to
//! write.

/// What is said beside a syntax error.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Advice {
    /// What to do.
    pub(super) help: Option<String>,
    /// Another place that matters, in bytes, and what to say there.
    pub(super) other: Option<(std::ops::Range<usize>, &'static str)>,
}

/// Advice for the parser's complaint `info` at the byte `at`.
pub(super) fn advise(text: &str, at: usize, info: &str) -> Advice {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let mut behind = text[start..].lines();
    let line = behind.next().unwrap_or_default();
    let next = behind.next().unwrap_or_default();
    let before = text[..start]
        .lines()
        .rev()
        .find(|line| !is_blank(line))
        .unwrap_or_default();
    let first = text[at..].chars().next().unwrap_or(' ');
    let help = |help: &str| Advice {
        help: Some(help.to_owned()),
        other: None,
    };
    if [line, next].into_iter().any(is_tabbed) {
        return help("YAML is indented with spaces, not with tabs");
    }
    if let Some(odd) = [before, line].into_iter().find_map(odd_blank) {
        return help(&format!(
            "this line or the one before holds U+{:04X}, which looks like a blank or a `-` and is none: type it anew",
            u32::from(odd)
        ));
    }
    if line.contains(": {{") || line.contains("- {{") || line.contains(": ${{") {
        return help("a value that begins with `{{` must stand in quotes: \"{{ … }}\"");
    }
    if info.contains("unknown escape") {
        return help("in double quotes `\\` begins an escape: write `\\\\`, or use single quotes");
    }
    if info.contains("trailing content after") {
        return help(
            "within single quotes a `'` is written twice, and within double quotes a `\"` as `\\\"`",
        );
    }
    if info.contains("quoted scalar") && matches!(first, '"' | '\'') {
        return help("the quote that begins here is not closed, or goes on in a line that is not indented");
    }
    if info.contains("unexpected character")
        || (info.contains("anchor or alias") && matches!(first, '*' | '&'))
    {
        return help(&format!("a text that begins with `{first}` must stand in quotes"));
    }
    if info.contains("unknown anchor") {
        return help("an alias `*NAME` repeats what `&NAME` has marked before it");
    }
    if info.contains("misplaced bracket") {
        return help("there is one bracket too many, or it belongs to a text that must stand in quotes");
    }
    if text[at..].starts_with("//") || text[at..].starts_with("/*") {
        return help("a comment begins with `#`");
    }
    if let Some(open) = unclosed(&text[..at]) {
        return Advice {
            help: Some("close it, or put the text that it belongs to into quotes".to_owned()),
            other: Some((open..open + 1, "not closed")),
        };
    }
    if info.contains("mapping values are not allowed") && line[..at - start].contains(": ") {
        return help("a text that holds `: ` must stand in quotes");
    }
    let is_about_keys = info.contains("mapping values") || info.contains("simple key");
    let content = before.trim_start().trim_start_matches("- ");
    if is_about_keys && !content.contains(": ") && !content.ends_with(':') {
        return match content.split_once(':') {
            Some((key, value)) => help(&format!(
                "the line before needs a blank behind its colon: `{key}: {value}`"
            )),
            None => help("the line before has no colon: a key is written `key: value`"),
        };
    }
    if is_about_keys && indent(line) > indent(before) && !content.ends_with(':') {
        return help(
            "this line is deeper than the one before, which has its value already: begin both alike",
        );
    }
    if info.contains("document start") {
        return help("a plan is one YAML mapping, such as `phases: […]`: something else begins the file");
    }
    if info.contains("did not find expected") || info.contains("indentation") {
        return help(
            "this line begins deeper or less deep than those that it belongs to: begin keys of one mapping alike",
        );
    }
    Advice::default()
}

/// The tab that indents the line of the byte `at` or the one below, over which the parser has stumbled.
pub(super) fn indenting_tab(text: &str, at: usize) -> Option<usize> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let below = text[at..].find('\n').map(|newline| at + newline + 1);
    [Some(start), below].into_iter().flatten().find_map(|start| {
        let line = text[start..].lines().next().unwrap_or_default();
        is_tabbed(line).then(|| start + line.len() - line.trim_start_matches(' ').len())
    })
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn is_tabbed(line: &str) -> bool {
    line.trim_start_matches(' ').starts_with('\t')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

/// A character at the beginning of a line that looks like a blank or a dash.
fn odd_blank(line: &str) -> Option<char> {
    line.trim_start_matches(' ')
        .chars()
        .next()
        .filter(|c| is_odd_blank(*c))
}

/// Whether a character looks like a blank or a dash and is none.
pub(super) fn is_odd_blank(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{2000}'..='\u{200b}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{3000}' | '\u{feff}')
}

/// The last bracket that is open at the end of `text`, as far as one can tell without a parser.
fn unclosed(text: &str) -> Option<usize> {
    let mut open: Vec<usize> = Vec::new();
    let mut quote = None;
    let mut last = ' ';
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => {
                chars.next();
            }
            (Some(of), _) if of == c => quote = None,
            (Some(_), _) => {}
            // A quote within a word is an apostrophe.
            (None, '"' | '\'') if !last.is_alphanumeric() => quote = Some(c),
            (None, '#') if last.is_whitespace() => {
                for (_, next) in chars.by_ref() {
                    if next == '\n' {
                        break;
                    }
                }
            }
            (None, '[' | '{') if matches!(last, ' ' | '[' | '{' | ',' | '\n') => open.push(at),
            (None, ']' | '}') => {
                open.pop();
            }
            (None, _) => {}
        }
        last = c;
    }
    open.pop()
}
