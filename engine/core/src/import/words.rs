//! What words mean in a runbook.

use std::collections::BTreeSet;

/// The longest name that is made of a text, in characters.
const NAME_CHARS_MAX: usize = 40;

/// A name for steps, phases and parameters: lower case letters, digits and `_`, not beginning with a digit.
pub(super) fn slug(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        if name.len() >= NAME_CHARS_MAX {
            break;
        }
    }
    let name = name.trim_matches('_');
    match name.chars().next() {
        None => "step".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("step_{name}"),
        Some(_) => name.to_owned(),
    }
}

/// The name, or the name with a number that nobody has yet.
pub(super) fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    // There are more numbers than names.
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

/// The pause that a text asks for: `wait 5 minutes`, `sleep for 30s`.
pub(super) fn wait_of(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '(' | ')' | '~'))
        .map(|word| word.trim_matches(|c: char| matches!(c, '.' | '*' | '`')))
        .filter(|word| !word.is_empty())
        .collect();
    let start = words
        .iter()
        .position(|word| matches!(*word, "wait" | "pause" | "sleep"))?;
    // `wait for 5 to 10 minutes`: the number comes soon, or it is about something else.
    const NEAR: usize = 6;
    let near = &words[start + 1..words.len().min(start + 1 + NEAR)];
    near.iter().enumerate().find_map(|(at, word)| {
        let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = word[..digits].parse::<u32>().ok()?;
        let range = word[digits..].trim_start_matches(['-', '–']);
        let more = range.len() - range.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = match range[..more].parse::<u32>() {
            Ok(upper) => (upper, &range[more..]),
            Err(_) => (number, &word[digits..]),
        };
        let unit = if rest.is_empty() {
            near.get(at + 1).copied()?
        } else {
            rest
        };
        let unit = match unit.trim_start_matches('-') {
            "s" | "sec" | "secs" | "second" | "seconds" => "s",
            "m" | "min" | "mins" | "minute" | "minutes" => "m",
            "h" | "hr" | "hrs" | "hour" | "hours" => "h",
            "d" | "day" | "days" => "d",
            _ => return None,
        };
        Some(format!("{number}{unit}"))
    })
}

/// The condition in `If the node is failed:`.
pub(super) fn condition_of(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['*', '_']).trim();
    let rest = text.strip_suffix(':')?.trim_end_matches(['*', '_']).trim();
    let first = rest.split_whitespace().next()?;
    let is_if = matches!(first.to_lowercase().as_str(), "if" | "when" | "unless");
    (is_if && rest.len() > first.len()).then(|| rest.to_owned())
}

/// Whether what stands under a heading tells and asks for nothing to be done: a list in it is no list of steps.
pub(super) fn only_tells(title: &str) -> bool {
    const TELLING: &[&str] = &[
        "alert",
        "architecture",
        "appendix",
        "background",
        "consequences",
        "contact",
        "contacts",
        "contents",
        "context",
        "decision",
        "dependencies",
        "detection",
        "escalation",
        "expected",
        "impact",
        "levels",
        "locations",
        "metrics",
        "negative",
        "neutral",
        "overview",
        "positive",
        "references",
        "resources",
        "status",
        "symptoms",
        "causes",
        "ports",
        "components",
        "prevention",
        "indicators",
    ];
    let lower = title.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    words.any(|word| TELLING.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::{condition_of, slug, wait_of};

    #[test]
    fn pauses_are_found_where_they_are_meant() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(wait_of(text).as_deref(), expected, "{text}");
        };
        check("Wait 5 minutes", Some("5m"));
        check("Then wait for 30s before the next node.", Some("30s"));
        check("wait 5-10 minutes", Some("10m"));
        check("Wait (about 2 hours)", Some("2h"));
        check("wait until the node is up", None);
        check("wait for 3 nodes", None);
        check("5 minutes", None);
    }

    #[test]
    fn conditions_end_with_a_colon() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(condition_of(text).as_deref(), expected, "{text}");
        };
        check("If the node is failed:", Some("If the node is failed"));
        check("**If on minority side:**", Some("If on minority side"));
        check("If so, call somebody.", None);
        check("Iffy:", None);
    }

    #[test]
    fn names_can_be_used_in_plans() {
        for (text, name) in [
            ("Node Failure", "node_failure"),
            ("1. Create Agent", "step_1_create_agent"),
            ("…", "step"),
            ("NODE-ID", "node_id"),
        ] {
            assert_eq!(slug(text), name);
        }
    }
}
