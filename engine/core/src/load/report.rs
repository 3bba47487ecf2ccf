//! Collects what is to be said about a plan, while it is being loaded.

use super::request::{Diagnostic, Diagnostics, Label, Severity};
use caxplan_model::{Location, Span};
use std::sync::Arc;

/// The most diagnostics that are kept: nobody reads more, and a hostile file could make millions.
const DIAGNOSTICS_MAX: usize = 500;

/// The sources that were read so far, and what was found in them.
#[derive(Debug, Default)]
pub(super) struct Report {
    sources: Vec<(String, Arc<str>)>,
    indices: Vec<LineIndex>,
    items: Vec<Diagnostic>,
    errors: usize,
    /// Takes what is over the limit: the last of it.
    overflow: Option<Diagnostic>,
    /// What could stand where a value of the wrong kind stands.
    examples: Vec<(Span, String)>,
}

/// Where the lines of a source start, so that looking up a place costs little in a large file.
#[derive(Debug)]
struct LineIndex {
    /// The name of its file.
    name: Arc<str>,
    /// The first byte of each line.
    starts: Vec<u32>,
    /// Whether columns are bytes.
    ascii: bool,
}

impl LineIndex {
    fn of(name: &str, text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut starts = Vec::with_capacity(text.bytes().filter(|byte| *byte == b'\n').count() + 1);
        starts.push(0);
        starts.extend(after_newlines.map(|at| u32::try_from(at).unwrap_or(u32::MAX)));
        Self {
            name: name.into(),
            starts,
            ascii: text.is_ascii(),
        }
    }
}

impl Report {
    /// Adds a source and answers its index, which spans carry. One that is there already is not added again: what is
    /// wrong with it is then said once.
    pub(super) fn add_source(&mut self, name: &str, text: String) -> u32 {
        let same = |(of, text_of): &(String, Arc<str>)| of == name && **text_of == text;
        if let Some(at) = self.sources.iter().position(same) {
            return u32::try_from(at).unwrap_or(u32::MAX);
        }
        self.indices.push(LineIndex::of(name, &text));
        self.sources.push((name.to_owned(), text.into()));
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn sources(&self) -> &[(String, Arc<str>)] {
        &self.sources
    }

    /// Adds an error; the caller may add help and labels to what it gets.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Severity::Error, code, span, message.into())
    }

    /// As [`Report::error`], for what does not stop the plan from running.
    pub(super) fn warning(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Severity::Warning, code, span, message.into())
    }

    /// Adds help to what was reported last.
    pub(super) fn help(&mut self, help: String) {
        if self.overflow.is_none()
            && let Some(last) = self.items.last_mut()
        {
            last.help = Some(help);
        }
    }

    /// Adds a second sentence to the help of what was reported last, if that begins with `start`.
    pub(super) fn more_help(&mut self, start: &str, more: &str) {
        if self.overflow.is_none()
            && let Some(help) = self.items.last_mut().and_then(|last| last.help.as_mut())
            && help.starts_with(start)
        {
            help.push_str("; ");
            help.push_str(more);
        }
    }

    /// Adds what could stand at `span`, for an error about the kind of the value there that has no help of its own.
    pub(super) fn example(&mut self, span: Span, example: String) {
        if self.examples.len() < DIAGNOSTICS_MAX {
            self.examples.push((span, example));
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Span,
        message: String,
    ) -> &mut Diagnostic {
        self.errors += usize::from(severity == Severity::Error);
        let diagnostic = Diagnostic {
            severity,
            code,
            message,
            primary: Label {
                span,
                text: String::new(),
            },
            others: Vec::new(),
            help: None,
        };
        if self.items.len() >= DIAGNOSTICS_MAX {
            let of_warning = |item: &Diagnostic| item.severity == Severity::Warning;
            // An error has a place, whatever was warned of before.
            return match self.items.iter().rposition(of_warning) {
                Some(at) if severity == Severity::Error => {
                    self.overflow = Some(std::mem::replace(&mut self.items[at], diagnostic));
                    &mut self.items[at]
                }
                Some(_) | None => self.overflow.insert(diagnostic),
            };
        }
        self.items.push(diagnostic);
        let last = self.items.len() - 1;
        &mut self.items[last]
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The number of errors so far: whether something added to it says whether the thing was sound.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// The text that a span covers.
    pub(super) fn slice(&self, span: Span) -> &str {
        self.sources
            .get(span.file as usize)
            .and_then(|(_, text)| text.get(span.start as usize..span.end as usize))
            .unwrap_or_default()
    }

    /// A span as a place that a person can look up.
    pub(super) fn location(&self, span: Span) -> Location {
        let Some((_, text)) = self.sources.get(span.file as usize) else {
            return Location::default();
        };
        let index = &self.indices[span.file as usize];
        let lines = &index.starts;
        let start = span.start as usize;
        let line = lines.partition_point(|at| *at as usize <= start);
        let before = text.get(lines[line - 1] as usize..start).unwrap_or_default();
        let column = if index.ascii {
            before.len()
        } else {
            before.chars().count()
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Location {
            file: Arc::clone(&index.name),
            line: count(line),
            column: count(column + 1),
        }
    }

    /// The word at a place that [`Report::location`] answered.
    pub(super) fn span_at(&self, location: &Location) -> Span {
        let found = self.sources.iter().position(|(name, _)| **name == *location.file);
        let Some((file, (_, text))) = found.map(|file| (file, &self.sources[file])) else {
            return Span::default();
        };
        let number = (location.line as usize).saturating_sub(1);
        let line_start = self.indices[file].starts.get(number).copied().unwrap_or(0) as usize;
        let line = text[line_start..].lines().next().unwrap_or_default();
        let start: usize = line
            .chars()
            .take((location.column as usize).saturating_sub(1))
            .map(char::len_utf8)
            .sum();
        let length = line[start..].find([':', ' ', '#']).unwrap_or(line.len() - start);
        let to_u32 = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            file: to_u32(file),
            start: to_u32(line_start + start),
            end: to_u32(line_start + start + length),
        }
    }

    /// Everything, in the order of the sources; what was found twice (in two elements of a loop) is said once.
    pub(super) fn finish(mut self) -> Diagnostics {
        for item in &mut self.items {
            let example = || self.examples.iter().find(|(span, _)| *span == item.primary.span);
            if item.code == "wrong-type" && item.help.is_none() {
                item.help = example().map(|(_, example)| example.clone());
            }
        }
        self.items.sort_by_key(|item| {
            (
                item.primary.span.file,
                item.primary.span.start,
                item.primary.span.end,
            )
        });
        let mut items: Vec<Diagnostic> = Vec::with_capacity(self.items.len());
        for item in self.items {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        Diagnostics {
            sources: self.sources,
            items,
            is_cut: self.overflow.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DIAGNOSTICS_MAX, Report, Severity};
    use caxplan_model::Span;

    #[test]
    fn an_error_has_a_place_behind_any_number_of_warnings() {
        let mut report = Report::default();
        let span = |start: u32| Span {
            file: 0,
            start,
            end: start + 1,
        };
        for at in 0..600 {
            report.warning("odd", span(at), format!("warning {at}"));
        }
        assert!(!report.has_errors());
        report.error("wrong", span(600), "the one error").help = Some("mend it".to_owned());
        let diagnostics = report.finish();
        assert!(diagnostics.has_errors());
        assert!(diagnostics.is_cut);
        assert_eq!(diagnostics.items.len(), DIAGNOSTICS_MAX);
        let last = diagnostics.items.last().expect("some");
        assert_eq!(
            (last.severity, last.help.as_deref()),
            (Severity::Error, Some("mend it"))
        );
    }
}
