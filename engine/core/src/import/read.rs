//! From Markdown to sections.

use super::shell::is_shell;
use super::words::{condition_of, only_tells, wait_of};
use super::{Part, PartKind, Section};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// The sections of a runbook, in order. What stands before the first heading belongs to one without a title.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut reader = Reader {
        text,
        sections: vec![Section {
            title: String::new(),
            line: 1,
            parts: Vec::new(),
        }],
        path: Vec::new(),
        words: String::new(),
        code: None,
        items: Vec::new(),
        boxed: None,
    };
    let options = Options::ENABLE_TASKLISTS | Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let lines = Lines::of(text);
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        reader.take(event, lines.at(range.start));
    }
    reader.sections
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(breaks.map(|(at, _)| at + 1).collect())
    }

    /// The line of an offset, from 1.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset) + 1
    }
}

struct Reader<'a> {
    text: &'a str,
    sections: Vec<Section>,
    /// The headings above, with their levels.
    path: Vec<(HeadingLevel, String)>,
    /// The text that is being gathered.
    words: String,
    /// The fenced block that is being gathered: language, line.
    code: Option<(String, usize)>,
    /// The list items that are open: the line of each.
    items: Vec<usize>,
    /// Whether the item has a box.
    boxed: Option<bool>,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                self.flush(line);
                self.words.clear();
            }
            Event::End(TagEnd::Heading(level)) => self.heading(level, line),
            Event::Start(Tag::CodeBlock(kind)) => {
                self.flush(line);
                let (language, shift) = match kind {
                    CodeBlockKind::Fenced(info) => {
                        let first = info.split([' ', ',', '{']).next().unwrap_or_default();
                        (first.to_owned(), 1)
                    }
                    CodeBlockKind::Indented => (String::new(), 0),
                };
                self.code = Some((language, line + shift));
            }
            Event::End(TagEnd::CodeBlock) => self.code_block(),
            Event::Start(Tag::Item) => {
                self.flush(line);
                self.items.push(line);
            }
            Event::End(TagEnd::Item) => {
                self.flush(line);
                self.items.pop();
            }
            Event::TaskListMarker(_) => self.boxed = Some(true),
            Event::End(TagEnd::Paragraph | TagEnd::TableRow | TagEnd::TableHead) => self.flush(line),
            Event::Start(Tag::TableCell) if !self.words.is_empty() => self.words.push_str(" | "),
            Event::Text(text) => self.words.push_str(&text),
            Event::Code(text) => {
                self.words.push('`');
                self.words.push_str(&text);
                self.words.push('`');
            }
            Event::SoftBreak | Event::HardBreak => self.words.push(' '),
            _ => {}
        }
    }

    fn heading(&mut self, level: HeadingLevel, line: usize) {
        let title = std::mem::take(&mut self.words).trim().to_owned();
        self.path.retain(|(above, _)| *above < level);
        self.path.push((level, title));
        self.sections.push(Section {
            title: self.title(),
            line,
            parts: Vec::new(),
        });
    }

    /// The heading with the one above it, so that six sections called "Detection" can be told apart.
    fn title(&self) -> String {
        let below_first = self.path.iter().filter(|(level, _)| *level > HeadingLevel::H2);
        let near: Vec<&str> = below_first.map(|(_, title)| title.as_str()).collect();
        match near.as_slice() {
            [] => self
                .path
                .last()
                .map(|(_, title)| title.clone())
                .unwrap_or_default(),
            near => near.join(" "),
        }
    }

    fn code_block(&mut self) {
        let text = std::mem::take(&mut self.words);
        let Some((language, line)) = self.code.take() else {
            return;
        };
        let kind = if is_shell(&language, &text) {
            PartKind::Shell(text)
        } else {
            PartKind::Other { language, text }
        };
        self.push(line, kind);
    }

    /// A paragraph or a list item has ended.
    fn flush(&mut self, line: usize) {
        if self.code.is_some() {
            return;
        }
        let words = std::mem::take(&mut self.words);
        let text = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let boxed = self.boxed.take().is_some();
        if text.is_empty() {
            return;
        }
        let in_list = self.items.last().copied();
        let line = in_list.unwrap_or(line);
        let tells = self.path.last().is_some_and(|(_, title)| only_tells(title));
        if boxed {
            let parts = &mut self.current().parts;
            if let Some(Part {
                kind: PartKind::Boxes(boxes),
                ..
            }) = parts.last_mut()
            {
                boxes.push(text);
                return;
            }
            return self.push(line, PartKind::Boxes(vec![text]));
        }
        let kind = if let Some(condition) = condition_of(&text) {
            PartKind::Condition(condition)
        } else if tells {
            PartKind::Prose(text)
        } else if let Some(pause) = wait_of(&text) {
            PartKind::Wait(pause)
        } else if in_list.is_some() {
            match command_in(&text) {
                Some(command) => PartKind::Shell(format!("# {text}\n{command}\n")),
                None if is_link(&text, self.text) => PartKind::Prose(text),
                None => PartKind::Task(text),
            }
        } else {
            PartKind::Prose(text)
        };
        self.push(line, kind);
    }

    fn push(&mut self, line: usize, kind: PartKind) {
        self.current().parts.push(Part { line, kind });
    }

    fn current(&mut self) -> &mut Section {
        self.sections.last_mut().expect("there is one from the beginning")
    }
}

/// The command in an item such as "Run `systemctl restart caxton`": code of several words, after a verb or alone.
fn command_in(text: &str) -> Option<String> {
    let (before, rest) = text.split_once('`')?;
    let (command, after) = rest.split_once('`')?;
    let before = before.trim().trim_end_matches(':').to_lowercase();
    let asks = before.is_empty()
        || before
            .split_whitespace()
            .any(|word| matches!(word, "run" | "execute" | "with" | "using" | "use" | "via"));
    let is_command = command.contains(' ') && !command.contains('`');
    (asks && is_command && !after.contains('`')).then(|| command.to_owned())
}

/// Whether an item is a link only, as in a table of contents.
fn is_link(item: &str, text: &str) -> bool {
    text.contains(&format!("[{item}]("))
}
