//! The words of a template's code, without a parser: for what must be known before, or apart from, parsing it.

use super::{ENVIRONMENT, is_template};
use std::ops::Range;

/// The most words (names, numbers, texts, signs) of one `{{ … }}`, and the most `{% … %}` of one template. The parser
/// and all behind it call themselves for each of a chain such as `a + b + c`: this is what the stack of a thread holds.
const WORDS_MAX: usize = 2_000;
const TAGS_MAX: usize = 1_000;

/// Filters that a plan is likely to want, for suggestions.
pub(crate) const FILTERS: &[&str] = &[
    "abs",
    "batch",
    "bool",
    "capitalize",
    "default",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
];

/// One word of code.
struct Word<'a> {
    text: &'a str,
    at: usize,
    /// Whether it opens a `{{ … }}` or `{% … %}`.
    opens: bool,
}

/// The words within `{{ … }}` and `{% … %}`.
struct Words<'a> {
    text: &'a str,
    at: usize,
    is_code: bool,
    /// How many `{` of maps are open in the code.
    braces: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let start = self.at;
            if !self.is_code {
                let open = rest.find("{{").into_iter().chain(rest.find("{%")).min()?;
                self.at += open + 2;
                self.is_code = true;
                self.braces = 0;
                return Some(Word {
                    text: &rest[open..open + 2],
                    at: start + open,
                    opens: true,
                });
            }
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                self.at += first.len_utf8();
                continue;
            }
            let length = match first {
                '"' | '\'' => quoted(rest, first),
                '}' if self.braces > 0 => {
                    self.braces -= 1;
                    1
                }
                _ if rest.starts_with("}}") || rest.starts_with("%}") => {
                    self.is_code = false;
                    2
                }
                '{' => {
                    self.braces += 1;
                    1
                }
                _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            self.at += length;
            return Some(Word {
                text: &rest[..length],
                at: start,
                opens: false,
            });
        }
    }
}

/// The length of the text in quotes that `rest` begins with.
fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn words(text: &str) -> Words<'_> {
    Words {
        text,
        at: 0,
        is_code: false,
        braces: 0,
    }
}

/// Refuses a template that is too long to be parsed.
pub(super) fn check_length(text: &str) -> Result<(), String> {
    // A word has a byte, and a tag has four.
    if text.len() < WORDS_MAX {
        return Ok(());
    }
    let (mut tags, mut count) = (0, 0);
    for word in words(text) {
        if word.opens {
            tags += usize::from(word.text == "{%");
            count = 0;
        }
        count += 1;
        if count > WORDS_MAX || tags > TAGS_MAX {
            return Err(format!(
                "a template is too long: it may have {TAGS_MAX} tags, and {WORDS_MAX} words in each"
            ));
        }
    }
    Ok(())
}

/// The same template with an index in place of each slice (`a[1:n]` is `a[1~n]`), which reads the same variables; `None` if it
/// takes no slice. minijinja's own list of variables leaves out what a slice is taken of.
pub(super) fn without_slices(text: &str) -> Option<String> {
    let (mut index, mut end, mut is_sliced) = (String::new(), 0, false);
    let (mut open, mut last) = (Vec::new(), "");
    for word in words(text) {
        let is_colon = word.text == ":" && open.last() == Some(&"[");
        let ends_slice = word.text == "]" && last == ":" && open.last() == Some(&"[");
        if is_colon || ends_slice {
            index.push_str(text.get(end..word.at)?);
            index.push_str(if matches!(last, "[" | ":") { "0" } else { "" });
            index.push_str(if is_colon { "~" } else { "]" });
            end = word.at + 1;
            is_sliced = true;
        }
        match word.text {
            "[" | "{" | "(" => open.push(word.text),
            "]" | "}" | ")" => _ = open.pop(),
            _ if word.opens => open.clear(),
            _ => {}
        }
        last = word.text;
    }
    index.push_str(text.get(end..)?);
    is_sliced.then_some(index)
}

/// A text with templates as one expression, for use within another: `a-{{ b }}` is `"a-" ~ (b)`. `None` if it holds
/// statements or comments.
pub(crate) fn as_expression(text: &str) -> Option<String> {
    if text.contains("{#") {
        return None;
    }
    let literal = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let (mut parts, mut end, mut open) = (Vec::new(), 0, None);
    for word in words(text) {
        if word.opens {
            if word.text != "{{" || open.is_some() {
                return None;
            }
            if word.at > end {
                parts.push(literal(text.get(end..word.at)?));
            }
            open = Some(word.at + 2);
        } else if word.text == "}}" {
            let code = text.get(open.take()?..word.at)?;
            let code = code.strip_prefix('-').unwrap_or(code);
            parts.push(format!("({})", code.strip_suffix('-').unwrap_or(code).trim()));
            end = word.at + 2;
        }
    }
    if open.is_some() {
        return None;
    }
    match text.get(end..) {
        Some("") | None => {}
        Some(rest) => parts.push(literal(rest)),
    }
    Some(parts.join(" ~ "))
}

/// The first filter or test in a text that does not exist: its name, and where it stands. minijinja itself finds out
/// only when it comes to it.
pub(crate) fn unknown_function(text: &str) -> Option<(&str, Range<usize>)> {
    if !is_template(text) {
        return None;
    }
    let mut kind = "";
    for word in words(text) {
        kind = match (kind, word.text) {
            (_, "|") => "filter",
            (_, "is") | ("test", "not") => "test",
            ("filter" | "test", name) if name.starts_with(is_word) && !exists(name, kind) => {
                return Some((name, word.at..word.at + name.len()));
            }
            _ => "",
        };
    }
    None
}

/// Whether there is a filter or a test of this name.
fn exists(name: &str, kind: &str) -> bool {
    let compiled = ENVIRONMENT.compile_expression(if kind == "filter" {
        "name is filter"
    } else {
        "name is test"
    });
    let answer = compiled.and_then(|compiled| compiled.eval(minijinja::context! { name }));
    answer.is_ok_and(|answer| answer.is_true())
}

#[cfg(test)]
mod tests {
    use super::{FILTERS, check_length, exists, unknown_function, without_slices};

    #[test]
    fn unknown_filters_and_tests_are_found() {
        for (text, expected) in [
            ("{{ params.a | upper }}", None),
            ("{{ params.a|to_json }}", Some(("to_json", 12..19))),
            ("{{ 'a | nope' ~ \"is \\\" nope\" }}", None),
            ("{{ a is defined and b is not none }}", None),
            ("{{ a is match('x') }}", Some(("match", 8..13))),
            ("a | nope {{ a }} | nope", None),
            ("{% if a is not foo %}{% endif %}", Some(("foo", 15..18))),
            ("no template | nope", None),
            ("{{ 'ü", None),
            ("{{ '\\", None),
        ] {
            assert_eq!(unknown_function(text), expected, "{text}");
        }
        for name in FILTERS {
            assert!(exists(name, "filter"), "{name}");
        }
    }

    #[test]
    fn a_slice_reads_what_an_index_reads() {
        for (text, expected) in [
            ("{{ a[1:n] }}", Some("{{ a[1~n] }}")),
            (
                "a[1:] {{ a[:] ~ \"b[1:]\" }}{{ c[::2] }}",
                Some("a[1:] {{ a[0~0] ~ \"b[1:]\" }}{{ c[0~0~2] }}"),
            ),
            (
                "{{ {'a': {'b': 1}} }}{{ a[m['x']:-1] }}",
                Some("{{ {'a': {'b': 1}} }}{{ a[m['x']~-1] }}"),
            ),
            ("{{ a[{'b': 1}['b']] }}{{ a[1] }}", None),
            ("{{ a[1:", Some("{{ a[1~")),
        ] {
            assert_eq!(without_slices(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn length_is_that_of_the_code() {
        let check = |text: &str, ok: bool| assert_eq!(check_length(text).is_ok(), ok, "{}", text.len());
        check(&"a + b ".repeat(9_999), true);
        check(&"{{ a + b }}".repeat(9_999), true);
        check(&format!("{{{{ '{}' }}}}", "a + b ".repeat(9_999)), true);
        check(&format!("{{{{ 1{} }}}}", " + a".repeat(9_999)), false);
        check(&"{% if a %}".repeat(9_999), false);
    }
}
