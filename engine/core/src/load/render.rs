//! Diagnostics as a person reads them.

use super::request::{Diagnostic, Diagnostics, Label, Severity};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

/// The width that sources are cut to, in columns: it fits beside a line number in most terminals and review tools.
const WIDTH: usize = 120;
/// Longer lines are not shown, in bytes: nobody wrote them by hand, and each would be copied for each diagnostic.
const LINE_MAX: usize = 2_000;

impl Diagnostics {
    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// All of them with their sources underlined, and how many there are in the last line. Empty if there are none.
    pub fn render(&self, color: bool) -> String {
        if self.items.is_empty() {
            return String::new();
        }
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
        let mut text = String::new();
        for item in &self.items {
            text.push_str(&self.render_one(item, &renderer));
            text.push_str("\n\n");
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// `3 errors, 1 warning`.
    fn summary(&self) -> String {
        let count = |severity: Severity, noun: &str| {
            let number = self.items.iter().filter(|item| item.severity == severity).count();
            match number {
                0 => None,
                1 => Some(format!("1 {noun}")),
                _ => Some(format!("{number} {noun}s")),
            }
        };
        let counts = [
            count(Severity::Error, "error"),
            count(Severity::Warning, "warning"),
        ];
        let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let more = if self.is_cut {
            ", and more that are not listed"
        } else {
            ""
        };
        format!("{counts}{more}")
    }

    fn render_one(&self, item: &Diagnostic, renderer: &Renderer) -> String {
        let level = match item.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let primary = &item.primary;
        let (near, far): (Vec<&Label>, Vec<&Label>) = item
            .others
            .iter()
            .partition(|other| other.span.file == primary.span.file);
        let title = level.primary_title(item.message.as_str()).id(item.code);
        let mut group = match self.snippet(Some(primary), &near) {
            Some(snippet) => title.element(snippet),
            None => title.element(self.origin(primary)),
        };
        for label in far {
            if let Some(snippet) = self.snippet(None, &[label]) {
                group = group.element(snippet);
            }
        }
        if let Some(help) = &item.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The place of a label without its source.
    fn origin(&self, label: &Label) -> Origin<'_> {
        let Some((name, text)) = self.sources.get(label.span.file as usize) else {
            return Origin::path("");
        };
        let before = text.get(..label.span.start as usize).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Origin::path(name.as_str())
            .line(before.matches('\n').count() + 1)
            .char_column(before[line_start..].chars().count() + 1)
    }

    /// The lines of one file from the first label to the last. `None` if there is no text to show.
    fn snippet(&self, primary: Option<&Label>, others: &[&Label]) -> Option<Snippet<'_, Annotation<'_>>> {
        let first = primary.or(others.first().copied())?;
        let (name, text) = self.sources.get(first.span.file as usize)?;
        let spans = || {
            primary
                .into_iter()
                .chain(others.iter().copied())
                .map(|label| label.span)
        };
        let from = spans().map(|span| span.start as usize).min()?.min(text.len());
        let to = spans()
            .map(|span| span.end as usize)
            .max()?
            .clamp(from, text.len());
        let start = text.get(..from)?.rfind('\n').map_or(0, |at| at + 1);
        let end = text.get(to..)?.find('\n').map_or(text.len(), |at| to + at);
        let shown = text.get(start..end)?;
        if text.is_empty() || shown.lines().any(|line| line.len() > LINE_MAX) {
            return None;
        }
        let annotation = |kind: AnnotationKind, label: &Label| {
            let at = |byte: u32| (byte as usize).clamp(start, end) - start;
            let annotation = kind.span(at(label.span.start)..at(label.span.end));
            if label.text.is_empty() {
                annotation
            } else {
                annotation.label(label.text.clone())
            }
        };
        Some(
            Snippet::source(shown)
                .path(name.as_str())
                .line_start(text[..start].matches('\n').count() + 1)
                .annotations(primary.map(|label| annotation(AnnotationKind::Primary, label)))
                .annotations(
                    others
                        .iter()
                        .map(|label| annotation(AnnotationKind::Context, label)),
                ),
        )
    }
}
