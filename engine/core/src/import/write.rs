//! From sections to the text of a plan.

use super::read::sections;
use super::shell::{pieces, template};
use super::words::{only_tells, slug, unique};
use super::{Draft, Part, PartKind, Section};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A block in another language is kept up to so many lines.
const OTHER_LINES_MAX: usize = 20;
/// A description of a phase is as long at most, in characters.
const DESCRIPTION_CHARS_MAX: usize = 300;
/// Comments are wrapped at this width, in characters.
const WIDTH: usize = 100;

/// Makes a draft of a runbook. `name` is that of its file; `only` is a part of the heading of the sections to take, all
/// if absent. `None` if there is nothing to do in it.
pub fn draft(name: &str, text: &str, only: Option<&str>) -> Option<Draft> {
    let wanted = only.map(str::to_lowercase);
    let sections: Vec<Section> = sections(text)
        .into_iter()
        .filter(|section| {
            wanted
                .as_ref()
                .is_none_or(|only| section.title.to_lowercase().contains(only))
        })
        .collect();
    let mut writer = Writer {
        file: name,
        out: String::new(),
        params: BTreeMap::new(),
        conditions: BTreeMap::new(),
        phases: BTreeSet::new(),
        steps: 0,
        todos: 0,
    };
    // The gate below has this name.
    writer.phases.insert("draft".to_owned());
    for section in &sections {
        writer.section(section);
    }
    if writer.steps == 0 {
        return None;
    }
    Some(Draft {
        text: format!("{}{}", writer.header(), writer.out),
        phases: writer.phases.len(),
        steps: writer.steps + 1,
        todos: writer.todos,
    })
}

struct Writer<'a> {
    file: &'a str,
    out: String,
    /// Placeholders: name, and how the runbook writes them.
    params: BTreeMap<String, String>,
    /// Conditions: name of the parameter, and what the runbook says.
    conditions: BTreeMap<String, String>,
    phases: BTreeSet<String>,
    steps: usize,
    todos: usize,
}

impl Writer<'_> {
    fn header(&mut self) -> String {
        let file = one_line(self.file);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "# A draft, made of {file} by `caxplan import`. Nothing in it was run or checked."
        );
        let _ = writeln!(
            text,
            "# Look at every TODO; then remove the first phase, which asks whether you have."
        );
        let stem = std::path::Path::new(self.file).file_stem().unwrap_or_default();
        let _ = writeln!(text, "name: {}", slug(&stem.to_string_lossy()));
        let _ = writeln!(text, "description: {}", quoted(&format!("Imported from {file}")));
        if !self.params.is_empty() || !self.conditions.is_empty() {
            text.push_str("params:\n");
        }
        for (name, written) in &self.params {
            self.todos += 1;
            let _ = writeln!(text, "  # TODO: remove the default, so that it must be given.");
            let _ = writeln!(
                text,
                "  {name}: {{type: string, default: TODO, pattern: '[A-Za-z0-9._:/@-]+', description: {}}}",
                quoted(&format!("{written} in the runbook"))
            );
        }
        for (name, says) in &self.conditions {
            self.todos += 1;
            let _ = writeln!(
                text,
                "  # TODO: a condition on what steps have seen may be better than a question to a person."
            );
            let _ = writeln!(
                text,
                "  {name}: {{type: boolean, default: false, description: {}}}",
                quoted(says)
            );
        }
        text.push_str("phases:\n  - name: draft\n    steps:\n");
        let question = format!("This is a draft made of {file}. Is every TODO in it resolved?");
        let _ = writeln!(text, "      - {{id: reviewed, approve: {}}}", quoted(&question));
        text
    }

    fn section(&mut self, section: &Section) {
        let is_done = |part: &Part| {
            matches!(
                part.kind,
                PartKind::Shell(_) | PartKind::Task(_) | PartKind::Boxes(_) | PartKind::Wait(_)
            )
        };
        if !section.parts.iter().any(is_done) {
            return;
        }
        let mut body = Body {
            out: String::new(),
            ids: BTreeSet::new(),
            when: None,
        };
        let before = self.steps;
        let mut description = String::new();
        for part in &section.parts {
            if let PartKind::Prose(text) = &part.kind
                && body.out.is_empty()
                && description.len() + text.len() < DESCRIPTION_CHARS_MAX
            {
                description = format!("{description} {text}").trim().to_owned();
                continue;
            }
            self.part(section, part, &mut body);
        }
        if self.steps == before {
            return;
        }
        let name = unique(&slug(&section.title), &mut self.phases);
        let _ = writeln!(self.out, "  # {}:{}", one_line(self.file), section.line);
        let _ = writeln!(self.out, "  - name: {name}");
        if !description.is_empty() {
            let _ = writeln!(self.out, "    description: {}", quoted(&escape(&description)));
        }
        let _ = write!(self.out, "    steps:\n{}", body.out);
    }

    fn part(&mut self, section: &Section, part: &Part, body: &mut Body) {
        let place = format!("{}:{}", one_line(self.file), part.line);
        match &part.kind {
            PartKind::Prose(text) => comment(&mut body.out, &format!("{place}: {text}")),
            PartKind::Condition(text) => {
                comment(&mut body.out, &format!("{place}: {text}:"));
                let name = slug(text);
                self.conditions.insert(name.clone(), text.clone());
                body.when = Some(name);
            }
            PartKind::Other { language, text } => {
                let what = if language.is_empty() {
                    "a block".to_owned()
                } else {
                    format!("a block of {language}")
                };
                comment(&mut body.out, &format!("{place}: {what}, which is no step:"));
                for line in text.lines().take(OTHER_LINES_MAX) {
                    let _ = writeln!(body.out, "      #   {}", one_line_kept(line));
                }
                let left_out = text.lines().count().saturating_sub(OTHER_LINES_MAX);
                if left_out > 0 {
                    let _ = writeln!(body.out, "      #   … and {left_out} more lines");
                }
            }
            PartKind::Shell(text) => self.shell(section, part.line, text, body),
            PartKind::Task(text) => {
                self.todo(
                    &mut body.out,
                    &format!("{place}: a person does this; can a step?"),
                );
                let id = body.id(text);
                self.step(
                    body,
                    &format!("id: {id}"),
                    &[format!("approve: {}", quoted(&escape(text)))],
                );
            }
            PartKind::Boxes(boxes) => {
                comment(&mut body.out, &place);
                let id = body.id(&format!("checklist {}", section.title));
                let mut lines = vec!["checklist:".to_owned()];
                lines.extend(boxes.iter().map(|text| format!("  - {}", quoted(&escape(text)))));
                self.step(body, &format!("id: {id}"), &lines);
            }
            PartKind::Wait(pause) => {
                comment(&mut body.out, &place);
                let id = body.id(&format!("wait {pause}"));
                self.step(body, &format!("id: {id}"), &[format!("wait: {pause}")]);
            }
        }
    }

    fn shell(&mut self, section: &Section, line: usize, text: &str, body: &mut Body) {
        for piece in pieces(text) {
            let place = format!("{}:{}", one_line(self.file), line + piece.offset);
            if only_tells(&section.title) {
                comment(&mut body.out, &place);
            } else {
                let todo = format!("{place}: is it safe to repeat? How is it undone? (probe, rollback)");
                self.todo(&mut body.out, &todo);
            }
            let title = piece.title.clone().unwrap_or_else(|| section.title.clone());
            let id = body
                .id(title.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')' | ' ')));
            let script = template(&piece.script, &mut self.params);
            let mut lines = vec!["action: shell.run".to_owned(), "with:".to_owned()];
            if script.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
                lines.push(format!("  script: {}", quoted(&script)));
            } else {
                // The first line may be indented: the indicator says how far the block itself is.
                lines.push("  script: |2".to_owned());
                lines.extend(script.lines().map(|line| {
                    if line.is_empty() {
                        String::new()
                    } else {
                        format!("    {line}")
                    }
                }));
            }
            self.step(body, &format!("id: {id}"), &lines);
        }
    }

    fn step(&mut self, body: &mut Body, first: &str, lines: &[String]) {
        self.steps += 1;
        let _ = writeln!(body.out, "      - {first}");
        if let Some(when) = &body.when {
            let _ = writeln!(body.out, "        when: params.{when}");
        }
        for line in lines {
            let _ = writeln!(body.out, "{}", format!("        {line}").trim_end());
        }
    }

    fn todo(&mut self, out: &mut String, text: &str) {
        self.todos += 1;
        comment(out, &format!("TODO {text}"));
    }
}

/// The steps of a phase.
struct Body {
    out: String,
    ids: BTreeSet<String>,
    /// The parameter that says whether the condition above holds.
    when: Option<String>,
}

impl Body {
    fn id(&mut self, text: &str) -> String {
        unique(&slug(text), &mut self.ids)
    }
}

/// A text that templates leave as it is.
fn escape(text: &str) -> String {
    text.replace("{{", "{ {")
        .replace("{%", "{ %")
        .replace("{#", "{ #")
}

/// A text as a YAML scalar on one line: what JSON writes is YAML too.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// A comment, wrapped.
fn comment(out: &mut String, text: &str) {
    let mut line = String::new();
    for word in one_line(text).split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= WIDTH {
            let _ = writeln!(out, "      # {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "      # {line}");
}

/// A text that cannot break out of its line.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The same, with its blanks.
fn one_line_kept(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim_end()
        .to_owned()
}
