//! The reference page of the keys, made from the table that the loader itself reads by.

use super::keys::{
    ALERTS, BACKUP, INVENTORY_FILE, Key, LIBRARY, MAINTENANCE, MONITORS, Object, PLAN, Shape, TEST,
};
use std::fmt::Write as _;

/// The kinds of documents: what one is called, and its keys.
const DOCUMENTS: [(&str, &Object); 8] = [
    ("Plan", &PLAN),
    ("Action library", &LIBRARY),
    ("Inventory", &INVENTORY_FILE),
    ("Maintenance calendar", &MAINTENANCE),
    ("Backup policy", &BACKUP),
    ("Monitors", &MONITORS),
    ("Alert rules", &ALERTS),
    ("Test of a plan", &TEST),
];

/// Every key of every kind of document, as a page of Markdown.
pub fn reference() -> String {
    let mut parts: Vec<&Object> = Vec::new();
    let mut text = String::from(INTRODUCTION);
    for (title, _) in DOCUMENTS {
        let _ = writeln!(text, "* [{title}](#{})", anchor(title));
    }
    for (title, object) in DOCUMENTS {
        section(&mut text, title, object, &mut parts);
    }
    // What the documents are made of, each part once, where it is met first.
    let mut next = 0;
    while let Some(object) = parts.get(next).copied() {
        section(&mut text, &title(object), object, &mut parts);
        next += 1;
    }
    text.push_str(CALL);
    text
}

const INTRODUCTION: &str = "\
# Every key of every document

Generated from the table that the loader reads by, by `cargo xtask generate` (`caxplan schema --markdown`). What the keys mean together
stands in [plan-language.md](../plan-language.md), the actions in [adapters.md](adapters.md). A key that is not here is an error when
the file loads.

";

const CALL: &str = "
## Call

`{adapter.verb: {argument: value}}`, or `{action: adapter.verb, with: {argument: value}}`, or a name that a library binds. In a `probe` a
third key, `done_when`, is the condition on the action's `output` that says whether the work was done; without it the work was done if the
action succeeds. A step can be written in the same ways, with the keys of a [step](#step) beside the name of the action.
";

fn section(text: &mut String, title: &str, object: &Object, parts: &mut Vec<&'static Object>) {
    let _ = writeln!(
        text,
        "\n## {title}\n\n| key | value | meaning | example |\n|---|---|---|---|"
    );
    for key in object.keys {
        let _ = writeln!(text, "{}", row(object, key, parts));
    }
}

fn row(object: &Object, key: &Key, parts: &mut Vec<&'static Object>) -> String {
    let mut meaning = key.doc.to_owned();
    if object.required.contains(&key.name) {
        meaning.push_str(" **Required.**");
    }
    if let Some(default) = object.default(key.name) {
        let _ = write!(meaning, " Default: `{default}`.");
    }
    let example = object
        .example(key.name)
        .or_else(|| key.shape.example())
        .map(|example| format!("`{example}`"))
        .unwrap_or_default();
    format!(
        "| `{}` | {} | {} | {} |",
        key.name,
        cell(&value(&key.shape, parts)),
        cell(&meaning),
        cell(&example)
    )
}

/// What a value may be, in words. Objects that are met are added to `parts`.
fn value(shape: &Shape, parts: &mut Vec<&'static Object>) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Duration => "duration".to_owned(),
        Shape::Count => "whole number".to_owned(),
        Shape::Boolean => "true or false".to_owned(),
        Shape::Word(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Shape::Any => "any value".to_owned(),
        Shape::AnyMap => "mapping".to_owned(),
        Shape::List(item) => format!("list of: {}", value(item, parts)),
        Shape::MapOf(item) => format!("mapping from names to: {}", value(item, parts)),
        Shape::OneOrMany(item) => format!("one or a list of: {}", value(item, parts)),
        Shape::Either(shapes) => {
            let mut words: Vec<String> = shapes.iter().map(|shape| value(shape, parts)).collect();
            words.dedup();
            words.join("; or ")
        }
        Shape::Object(object) => {
            if !parts.iter().any(|part| part.schema == object.schema) {
                parts.push(object);
            }
            let title = title(object);
            format!("[{}](#{})", title.to_lowercase(), anchor(&title))
        }
        Shape::Step => {
            let step = value(&Shape::Object(&super::keys::STEP), parts);
            format!("{step}, or a name")
        }
        Shape::Call => "[call](#call)".to_owned(),
    }
}

/// The heading of a part: its name in the schemas, which is unique.
fn title(object: &Object) -> String {
    let words = object.schema.trim_end_matches("_mapping").replace('_', " ");
    // A document's own heading may be the same word: the part of it that stands under the body key.
    let taken = DOCUMENTS
        .iter()
        .any(|(title, _)| title.eq_ignore_ascii_case(&words));
    let words = if taken || words == "inventory" {
        format!("{words} body")
    } else {
        words
    };
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => words,
    }
}

fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}

/// A cell of a table: a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_of_the_page_has_its_heading_and_no_heading_is_there_twice() {
        let page = reference();
        let headings: Vec<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(anchor)
            .collect();
        let mut unique = headings.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), headings.len(), "{headings:?}");
        for link in page.split("](#").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            assert!(headings.iter().any(|heading| heading == link), "{link}");
        }
    }
}
