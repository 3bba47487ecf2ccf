//! YAML with the place of every node, within limits that a hostile file cannot get around.

use super::report::Report;
use super::request::Label;
use super::syntax::{advise, indenting_tab};
use caxplan_model::{Map, ShortText, Span, Value};
use saphyr::{Scalar, ScalarStyle, Tag};
use saphyr_parser::{Event, Parser, Span as Marked};
use serde_json::Number;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The largest file that is read, in bytes: a thousand times the largest plan that was seen.
pub(super) const FILE_SIZE_MAX: usize = 16 * 1024 * 1024;
/// How deep nodes may be nested. Everything behind this file may recurse over nodes.
const DEPTH_MAX: usize = 64;
/// The most nodes of one file, with what aliases repeat: enough for 100,000 steps with some arguments each.
const NODES_MAX: usize = 2_000_000;
/// From how many keys on a mapping gets an index of them.
const KEYS_INDEXED_FROM: usize = 16;

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Yaml {
    /// Where it stands.
    pub(super) span: Span,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A scalar: what it is by the core schema, and its text.
    Scalar {
        value: ScalarValue,
        text: ShortText,
    },
    List(Vec<Yaml>),
    Map(Vec<Entry>),
}

/// What a scalar is by the core schema. Small, and without the text once more: large plans are mostly scalars.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ScalarValue {
    Null,
    Boolean(bool),
    Number(Number),
    Text,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: Spanned<ShortText>,
    pub(super) value: Yaml,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl Yaml {
    /// A scalar that stands nowhere; errors about it point at `span`.
    pub(super) fn plain(value: impl Into<Value>, span: Span) -> Self {
        let (value, text) = match value.into() {
            Value::Null => (ScalarValue::Null, ShortText::default()),
            Value::Bool(value) => (ScalarValue::Boolean(value), value.to_string().into()),
            Value::Number(number) => (ScalarValue::Number(number.clone()), number.to_string().into()),
            Value::String(text) => (ScalarValue::Text, text.into()),
            // No scalar; as a text it is at least seen.
            other @ (Value::Array(_) | Value::Object(_)) => (ScalarValue::Text, other.to_string().into()),
        };
        Self {
            span,
            kind: Kind::Scalar { value, text },
        }
    }

    /// The node as data.
    pub(super) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar { value, text } => match value {
                ScalarValue::Null => Value::Null,
                ScalarValue::Boolean(value) => Value::Bool(*value),
                ScalarValue::Number(value) => Value::Number(value.clone()),
                ScalarValue::Text => Value::String(text.to_string()),
            },
            Kind::List(items) => items.iter().map(Self::to_value).collect(),
            Kind::Map(entries) => Value::Object(to_map(entries)),
        }
    }

    /// What it is, for a person.
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { value, .. } => match value {
                ScalarValue::Null => "nothing",
                ScalarValue::Boolean(_) => "a boolean",
                ScalarValue::Number(_) => "a number",
                ScalarValue::Text => "a text",
            },
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(
            self.kind,
            Kind::Scalar {
                value: ScalarValue::Null,
                ..
            }
        )
    }

    /// The node's own place, or that of its first key: the span of a whole block is more than one wants to see.
    pub(super) fn head(&self) -> Span {
        match &self.kind {
            Kind::Map(entries) => entries.first().map_or(self.span, |entry| entry.key.span),
            // Its bracket or first dash.
            Kind::List(_) => Span {
                end: self.span.end.min(self.span.start + 1),
                ..self.span
            },
            Kind::Scalar { .. } => self.span,
        }
    }

    fn measure(&self) -> Size {
        let children: Box<dyn Iterator<Item = &Self>> = match &self.kind {
            Kind::Scalar { .. } => Box::new(std::iter::empty()),
            Kind::List(items) => Box::new(items.iter()),
            Kind::Map(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
        };
        children
            .map(Self::measure)
            .fold(Size { nodes: 1, depth: 1 }, |whole, part| Size {
                nodes: whole.nodes + part.nodes,
                depth: whole.depth.max(part.depth + 1),
            })
    }
}

/// Entries as data.
pub(super) fn to_map(entries: &[Entry]) -> Map {
    entries
        .iter()
        .map(|entry| (entry.key.value.to_string(), entry.value.to_value()))
        .collect()
}

/// Reads the source with the index `file`. `None` if it is no usable YAML, which has been reported then.
pub(super) fn parse(file: u32, report: &mut Report) -> Option<Yaml> {
    let text = Arc::clone(&report.sources()[file as usize].1);
    let mut builder = Builder {
        file,
        offsets: Offsets::of(&text),
        report,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
    };
    let mut parser = Parser::new_from_str(&text);
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let at = builder.offsets.byte(error.marker().index());
                builder.syntax_error(at, error.info());
                return None;
            }
        }
    }
    if builder.root.is_none() {
        let span = Span {
            file,
            start: 0,
            end: 0,
        };
        builder.report.error("empty-file", span, "the file holds nothing");
    }
    builder.root
}

/// A value of ours that is written as YAML; `null` if it is none.
pub(super) fn parse_value(text: &str) -> Value {
    let mut report = Report::default();
    let file = report.add_source("", text.to_owned());
    parse(file, &mut report).map_or(Value::Null, |yaml| yaml.to_value())
}

/// From the parser's positions, which count characters, to bytes.
struct Offsets {
    /// The byte of each character; `None` if all are one byte long.
    bytes: Option<Vec<u32>>,
    length: usize,
}

impl Offsets {
    fn of(text: &str) -> Self {
        let to_u32 = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            bytes: (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| to_u32(at)).collect()),
            length: text.len(),
        }
    }

    fn byte(&self, character: usize) -> usize {
        match &self.bytes {
            None => character.min(self.length),
            Some(bytes) => bytes.get(character).map_or(self.length, |at| *at as usize),
        }
    }
}

#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    depth: usize,
}

/// A collection that has not ended.
struct Open {
    anchor: usize,
    node: Yaml,
    key: Option<Spanned<ShortText>>,
    /// The keys of a mapping so far, once it has many.
    keys: Option<BTreeMap<ShortText, Span>>,
}

struct Builder<'r> {
    file: u32,
    offsets: Offsets,
    report: &'r mut Report,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Yaml, Size)>,
    nodes: usize,
    root: Option<Yaml>,
}

impl Builder<'_> {
    /// Takes one event; `None` ends it all, after a report.
    fn take(&mut self, event: Event<'_>, marked: Marked) -> Option<()> {
        let span = self.span(marked);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) if self.root.is_some() => {
                self.report
                    .error("many-documents", span, "a second document starts here")
                    .help =
                    Some("a plan file is one YAML document: put this into a file of its own".to_owned());
                None
            }
            Event::DocumentStart(_) => Some(()),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    self.report
                        .error("yaml-alias", span, "the alias lies within its own anchor");
                    return None;
                };
                self.count(size, span)?;
                self.close(node, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(Size { nodes: 1, depth: 1 }, span)?;
                let node = self.scalar(&text, style, tag.as_ref(), span)?;
                self.close(node, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, span, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, span, Kind::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { anchor, mut node, .. } = self.open.pop()?;
                node.span.end = span.end.max(node.span.start);
                match &mut node.kind {
                    Kind::List(items) => items.shrink_to_fit(),
                    Kind::Map(entries) => entries.shrink_to_fit(),
                    Kind::Scalar { .. } => {}
                }
                self.close(node, anchor)
            }
        }
    }

    fn span(&self, marked: Marked) -> Span {
        let at = |character: usize| u32::try_from(self.offsets.byte(character)).unwrap_or(u32::MAX);
        let (start, end) = (at(marked.start.index()), at(marked.end.index()));
        Span {
            file: self.file,
            start,
            end: end.max(start),
        }
    }

    fn begin(&mut self, anchor: usize, span: Span, kind: Kind) -> Option<()> {
        self.count(Size { nodes: 1, depth: 1 }, span)?;
        self.open.push(Open {
            anchor,
            node: Yaml { span, kind },
            key: None,
            keys: None,
        });
        Some(())
    }

    fn count(&mut self, size: Size, span: Span) -> Option<()> {
        self.nodes += size.nodes;
        if self.nodes > NODES_MAX {
            self.report.error(
                "too-large",
                span,
                format!("the file holds more than {NODES_MAX} values, with those that aliases repeat"),
            );
            return None;
        }
        if self.open.len() + size.depth > DEPTH_MAX {
            self.report
                .error("too-deep", span, format!("nested more than {DEPTH_MAX} deep"));
            return None;
        }
        Some(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Cow<'_, Tag>>,
        mut span: Span,
    ) -> Option<Yaml> {
        // Anew, because the parser leaves room for more.
        let text = ShortText::new(text);
        if style == ScalarStyle::Plain && text.starts_with(['|', '>']) {
            // The parser takes what YAML forbids, and would make one line of it.
            span.end = span.start + 1;
            let message = "this is no YAML: a block of text cannot stand within `{…}` or `[…]`";
            self.report.error("yaml-syntax", span, message).help = Some(
                "write the mapping over several lines, with the block below its key; or put the text into quotes".to_owned(),
            );
            return None;
        }
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema()
        {
            self.report
                .error("yaml-tag", span, format!("the tag `{tag}` means nothing here"));
            return None;
        }
        let Some(scalar) = Scalar::parse_from_cow_and_metadata(Cow::Borrowed(text.as_str()), style, tag)
        else {
            self.report
                .error("yaml-tag", span, "the value does not fit its tag");
            return None;
        };
        let value = match scalar {
            Scalar::Null => ScalarValue::Null,
            Scalar::Boolean(value) => ScalarValue::Boolean(value),
            Scalar::Integer(value) => ScalarValue::Number(Number::from(value)),
            // JSON has no infinity; `.inf` stays a text.
            Scalar::FloatingPoint(value) => {
                Number::from_f64(value.into_inner()).map_or(ScalarValue::Text, ScalarValue::Number)
            }
            Scalar::String(_) => ScalarValue::Text,
        };
        // The parser's end may lie behind blanks and a comment.
        let length = written_length(self.report.slice(span), style);
        span.end = span.start + u32::try_from(length).unwrap_or(0);
        Some(Yaml {
            span,
            kind: Kind::Scalar { value, text },
        })
    }

    /// A node is whole: puts it where it belongs.
    fn close(&mut self, node: Yaml, anchor: usize) -> Option<()> {
        if anchor > 0 {
            let size = node.measure();
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(Open {
            node: parent,
            key,
            keys,
            ..
        }) = self.open.last_mut()
        else {
            self.root = Some(node);
            return Some(());
        };
        match &mut parent.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match key.take() {
                None => {
                    let Kind::Scalar { text, .. } = node.kind else {
                        let is_template = matches!(node.kind, Kind::Map(_));
                        let error = self
                            .report
                            .error("yaml-key", node.span, "a key must be a plain text");
                        error.help = Some(match is_template {
                            true => {
                                "a value that begins with `{{` must stand in quotes: \"{{ … }}\"".to_owned()
                            }
                            false => "a key is one word, or a text in quotes".to_owned(),
                        });
                        return None;
                    };
                    *key = Some(Spanned {
                        value: text,
                        span: node.span,
                    });
                }
                Some(key) => match first_of(entries, keys, &key) {
                    None => entries.push(Entry { key, value: node }),
                    Some(first) => {
                        let message = format!("the key `{}` stands here a second time", key.value);
                        let error = self.report.error("duplicate-key", key.span, message);
                        error.others.push(Label::first_here(first));
                    }
                },
            },
            Kind::Scalar { .. } => unreachable!("a scalar is never open"),
        }
        Some(())
    }

    fn syntax_error(&mut self, at: usize, info: &str) {
        let text = &self.report.sources()[self.file as usize].1;
        let at = indenting_tab(text, at).unwrap_or(at);
        // What the end of the file lacks belongs behind what stands last, and not into the blank lines below that.
        let place = match text[at..].trim().is_empty() {
            true => text[..at].trim_end().len(),
            false => at,
        };
        let length = text[place..]
            .chars()
            .next()
            .filter(|c| place == at && *c != '\n')
            .map_or(0, char::len_utf8);
        let to_u32 = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span {
            file: self.file,
            start: to_u32(place),
            end: to_u32(place + length),
        };
        let advice = advise(text, at, info);
        let error = self
            .report
            .error("yaml-syntax", span, format!("this is no YAML: {info}"));
        error.help = advice.help;
        error.others.extend(advice.other.map(|(range, said)| Label {
            span: Span {
                file: self.file,
                start: to_u32(range.start),
                end: to_u32(range.end),
            },
            text: said.to_owned(),
        }));
    }
}

/// Where a mapping has a key already; if it has not, the key counts as there from now on. Few keys are looked through
/// one by one: an index of its own for each mapping would cost more.
fn first_of(
    entries: &[Entry],
    keys: &mut Option<BTreeMap<ShortText, Span>>,
    key: &Spanned<ShortText>,
) -> Option<Span> {
    if entries.len() < KEYS_INDEXED_FROM {
        let same = entries.iter().find(|entry| entry.key.value == key.value);
        return same.map(|entry| entry.key.span);
    }
    let known = || {
        entries
            .iter()
            .map(|entry| (entry.key.value.clone(), entry.key.span))
    };
    let keys = keys.get_or_insert_with(|| known().collect());
    match keys.get(&key.value) {
        Some(first) => Some(*first),
        None => {
            keys.insert(key.value.clone(), key.span);
            None
        }
    }
}

/// The length of the scalar that `source` begins with.
fn written_length(source: &str, style: ScalarStyle) -> usize {
    let quote = match style {
        ScalarStyle::SingleQuoted => '\'',
        ScalarStyle::DoubleQuoted => '"',
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return source.trim_end().len(),
    };
    let mut chars = source.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        let escapes = match style {
            ScalarStyle::DoubleQuoted => c == '\\',
            _ => c == quote && chars.peek().is_some_and(|(_, next)| *next == quote),
        };
        if escapes {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    source.trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::{Kind, Yaml, parse};
    use crate::load::report::Report;

    fn load(text: &str) -> (Option<Yaml>, Report) {
        let mut report = Report::default();
        let file = report.add_source("test.yaml", text.to_owned());
        (parse(file, &mut report), report)
    }

    fn error(text: &str) -> &'static str {
        let (_, report) = load(text);
        report.finish().items.first().expect("an error").code
    }

    #[test]
    fn spans_count_bytes() {
        for newline in ["\n", "\r\n"] {
            let text = format!(
                "# Grüße 😀{newline}näme: \"ä b\" # ü{newline}list:{newline}  - ö1   # x{newline}  - |{newline}    ß{newline}z: 1"
            );
            let (root, report) = load(&text);
            let Kind::Map(entries) = root.expect("valid").kind else {
                panic!("a mapping");
            };
            assert_eq!(report.slice(entries[0].key.span), "näme");
            assert_eq!(report.slice(entries[0].value.span), "\"ä b\"");
            let Kind::List(items) = &entries[1].value.kind else {
                panic!("a list");
            };
            assert_eq!(report.slice(items[0].span), "ö1");
            assert_eq!(report.slice(entries[2].key.span), "z");
            assert_eq!(report.location(entries[2].key.span).line, 7);
        }
    }

    #[test]
    fn hostile_files_are_refused() {
        let bomb = (1..20).fold(
            "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(),
            |text, level| {
                let alias = format!("*a{}", level - 1);
                format!("{text}a{level}: &a{level} [{}]\n", vec![alias; 9].join(", "))
            },
        );
        assert_eq!(error(&bomb), "too-large");
        assert_eq!(error(&"[".repeat(100)), "too-deep");
        assert_eq!(error(&format!("{}x", "- ".repeat(100_000))), "too-deep");
        assert_eq!(error("a: &a [*a]"), "yaml-alias");
        assert_eq!(error("a: 1\na: 2"), "duplicate-key");
        assert_eq!(error("a: 1\n---\nb: 1"), "many-documents");
        assert_eq!(error(""), "empty-file");
        assert_eq!(error("a: !vault x"), "yaml-tag");
        assert_eq!(error("a: {{ x }}"), "yaml-key");
        assert_eq!(error("a: 'x"), "yaml-syntax");
        let nested = (1..20).fold("a0: &a0 [x]\n".to_owned(), |text, level| {
            format!("{text}a{level}: &a{level} [[[[*a{}]]]]\n", level - 1)
        });
        assert_eq!(error(&nested), "too-deep");
    }
}
