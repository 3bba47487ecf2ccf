//! Reading typed values from YAML, with what was expected in each error.

use super::foreign;
use super::keys::Object;
use super::report::Report;
use super::suggest::{self, did_you_mean};
use super::yaml::{Entry, Kind, Spanned, Yaml};
use crate::template::is_template;
use caxplan_model::{Duration, ShortText, Span, Value};

/// A mapping whose keys are known.
#[derive(Clone, Copy)]
pub(super) struct Fields<'y> {
    pub(super) entries: &'y [Entry],
    /// Where to point at when something is missing.
    pub(super) head: Span,
}

impl<'y> Fields<'y> {
    /// Reads a mapping and reports keys that `object` does not have, or has not.
    pub(super) fn open(yaml: &'y Yaml, object: &Object, report: &mut Report) -> Option<Self> {
        let Some(entries) = mapping(yaml, object.name, report) else {
            let names: Vec<&str> = object.names().collect();
            let keys = format!("the keys of {} are {}", object.name, names.join(", "));
            report.example(yaml.head(), keys);
            return None;
        };
        for Entry { key, .. } in entries {
            if !object.has(&key.value) {
                unknown_key(key, object, report);
            }
        }
        note_examples(entries, object, report);
        for name in object.required {
            match entries.iter().find(|entry| entry.key.value == *name) {
                None => {
                    let message = format!("{} needs the key `{name}`", object.name);
                    report.error("missing-key", yaml.head(), message);
                }
                Some(Entry { key, value }) if value.is_null() => {
                    let message = format!("`{name}` has no value, and {} needs one", object.name);
                    report.error("missing-key", key.span, message);
                }
                Some(_) => {}
            }
        }
        Some(Self {
            entries,
            head: yaml.head(),
        })
    }

    /// The value of a key; a key without a value counts as not there.
    pub(super) fn get(&self, key: &str) -> Option<&'y Yaml> {
        self.entries
            .iter()
            .find(|entry| entry.key.value == key)
            .map(|entry| &entry.value)
            .filter(|value| !value.is_null())
    }

    /// The place of a key.
    pub(super) fn key(&self, key: &str) -> Option<Span> {
        self.entries
            .iter()
            .find(|entry| entry.key.value == key)
            .map(|entry| entry.key.span)
    }

    pub(super) fn text(&self, key: &str, report: &mut Report) -> Option<Spanned<ShortText>> {
        text(self.get(key)?, report)
    }

    pub(super) fn boolean(&self, key: &str, report: &mut Report) -> Option<bool> {
        let yaml = self.get(key)?;
        match yaml.to_value() {
            Value::Bool(value) => Some(value),
            value => {
                wrong::<()>(yaml, "true or false", report);
                let word = value.as_str().unwrap_or_default().to_lowercase();
                let meant = match word.as_str() {
                    "yes" | "y" | "on" | "true" => "true",
                    "no" | "n" | "off" | "false" => "false",
                    _ => return None,
                };
                report.help(format!(
                    "write `{meant}`, without quotes: other words are texts in YAML 1.2"
                ));
                None
            }
        }
    }

    pub(super) fn count(&self, key: &str, report: &mut Report) -> Option<u32> {
        count(self.get(key)?, report)
    }

    pub(super) fn duration(&self, key: &str, report: &mut Report) -> Option<Duration> {
        let text = duration_text(self.get(key)?, report)?;
        match text.value.parse() {
            Ok(duration) => Some(duration),
            Err(_) => {
                let message = "a template cannot stand here: the length must be known when the plan loads";
                report.error("wrong-type", text.span, message);
                None
            }
        }
    }

    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[&str],
        values: &[T],
        report: &mut Report,
    ) -> Option<T> {
        let text = self.text(key, report)?;
        word(&text, words, report).and_then(|at| values.get(at).copied())
    }
}

/// Gives the report an example for every value that is of the wrong kind, for the error that its reader makes.
pub(super) fn note_examples(entries: &[Entry], object: &Object, report: &mut Report) {
    for Entry { key, value } in entries {
        if let Some(known) = object.keys.iter().find(|of| of.name == key.value)
            && !known.shape.admits(value)
            && let Some(example) = object.example(known.name).or_else(|| known.shape.example())
        {
            report.example(value.head(), format!("for example: `{}: {example}`", known.name));
        }
    }
}

/// The index of a word among those that may stand here.
pub(super) fn word(text: &Spanned<ShortText>, words: &[&str], report: &mut Report) -> Option<usize> {
    let found = words.iter().position(|word| *word == text.value);
    if found.is_none() {
        let message = format!("`{}` is none of {}", text.value, words.join(", "));
        report.error("wrong-word", text.span, message).help = foreign::word(&text.value, words)
            .map(|meant| format!("`{meant}` says the same here"))
            .or_else(|| foreign::elsewhere(&text.value, words))
            .or_else(|| did_you_mean(&text.value, words.iter().copied()));
    }
    found
}

pub(super) fn unknown_key(key: &Spanned<ShortText>, object: &Object, report: &mut Report) {
    let names: Vec<&str> = object.names().collect();
    let otherwise = format!("the keys of {} are {}", object.name, names.join(", "));
    unknown_key_or(key, object, otherwise, report);
}

/// As [`unknown_key`], with what to say if nothing is like the key.
pub(super) fn unknown_key_or(
    key: &Spanned<ShortText>,
    object: &Object,
    otherwise: String,
    report: &mut Report,
) {
    let message = format!("{} has no key `{}`", object.name, key.value);
    let help = foreign::key(&key.value, object)
        .map(str::to_owned)
        .or_else(|| suggest::look_alike(&key.value))
        .or_else(|| did_you_mean(&key.value, object.names()))
        .unwrap_or(otherwise);
    report.error("unknown-key", key.span, message).help = Some(help);
}

/// Reports that something else was expected.
pub(super) fn wrong<T>(yaml: &Yaml, expected: &str, report: &mut Report) -> Option<T> {
    let message = format!("expected {expected}, found {}", yaml.describe());
    report.error("wrong-type", yaml.head(), message);
    None
}

pub(super) fn mapping<'y>(yaml: &'y Yaml, what: &str, report: &mut Report) -> Option<&'y [Entry]> {
    match &yaml.kind {
        Kind::Map(entries) => Some(entries),
        Kind::Scalar { .. } | Kind::List(_) => wrong(yaml, &format!("{what} as a mapping"), report),
    }
}

pub(super) fn list<'y>(yaml: &'y Yaml, what: &str, report: &mut Report) -> Option<&'y [Yaml]> {
    match &yaml.kind {
        Kind::List(items) => Some(items),
        Kind::Scalar { .. } | Kind::Map(_) => wrong(yaml, &format!("a list of {what}"), report),
    }
}

/// A text. Numbers and booleans are taken as they are written: `version: 1.10` is the text `1.10`.
pub(super) fn text(yaml: &Yaml, report: &mut Report) -> Option<Spanned<ShortText>> {
    match &yaml.kind {
        Kind::Scalar { text, .. } if !yaml.is_null() => Some(Spanned {
            value: text.clone(),
            span: yaml.span,
        }),
        Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => wrong(yaml, "a text", report),
    }
}

/// One text, or a list of texts.
pub(super) fn texts(yaml: &Yaml, report: &mut Report) -> Vec<Spanned<ShortText>> {
    if let Kind::Map(_) = yaml.kind {
        wrong::<()>(yaml, "a text, or a list of texts", report);
        return Vec::new();
    }
    one_or_many(yaml)
        .iter()
        .filter_map(|item| text(item, report))
        .collect()
}

/// The items of a list, or the one thing that is no list.
pub(super) fn one_or_many(yaml: &Yaml) -> &[Yaml] {
    match &yaml.kind {
        Kind::List(items) => items,
        Kind::Scalar { .. } | Kind::Map(_) => std::slice::from_ref(yaml),
    }
}

pub(super) fn count(yaml: &Yaml, report: &mut Report) -> Option<u32> {
    match (yaml.to_value().as_u64().map(u32::try_from), &yaml.kind) {
        (Some(Ok(number)), _) => Some(number),
        (Some(Err(_)), _) => {
            let message = format!("this number is too large: the greatest is {}", u32::MAX);
            report.error("wrong-value", yaml.head(), message);
            None
        }
        (None, Kind::Scalar { text, .. }) if is_template(text) => {
            let message = "a template cannot stand here: the number must be known when the plan loads";
            report.error("wrong-type", yaml.head(), message);
            None
        }
        (None, Kind::Scalar { text, .. }) if !yaml.is_null() => {
            let message = format!("expected a whole number from 0, found `{text}`");
            report.error("wrong-type", yaml.head(), message);
            None
        }
        (None, _) => wrong(yaml, "a whole number from 0", report),
    }
}

/// A duration, or a template that will yield one.
pub(super) fn duration_text(yaml: &Yaml, report: &mut Report) -> Option<Spanned<ShortText>> {
    let text = text(yaml, report)?;
    if is_template(&text.value) {
        return Some(text);
    }
    match text.value.parse::<Duration>() {
        Ok(_) => Some(text),
        Err(error) => {
            report
                .error("wrong-type", text.span, format!("expected a duration: {error}"))
                .help = suggest::duration(&text.value).map(|meant| format!("did you mean `{meant}`?"));
            None
        }
    }
}
