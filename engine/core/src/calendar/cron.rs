//! Cron expressions: what is accepted, and what is wrong with one.
//!
//! `croner` parses and matches; this file finds the place of a mistake, and refuses what `croner` takes although nobody
//! means it (`MON` as a minute, `1,,2`, a year).

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;

/// A cron expression: 5 fields, or 6 with seconds in front, or a word such as `@daily`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    pattern: croner::Cron,
    hourly: bool,
}

/// What is wrong with a cron expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError {
    /// The bytes of the expression that are wrong.
    pub place: std::ops::Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: String,
}

const WORDS: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A field: its name, what stands in it, the names that may stand for numbers, other letters and signs.
type Field = (&'static str, &'static str, &'static [&'static str], &'static str);

const FIELDS: [Field; 6] = [
    (
        "second",
        "0 to 59, `*`, `*/15`, a range `10-20`, or a list of these",
        &[],
        "",
    ),
    (
        "minute",
        "0 to 59, `*`, `*/15`, a range `10-20`, or a list of these",
        &[],
        "",
    ),
    (
        "hour",
        "0 to 23, `*`, `*/6`, a range `8-18`, or a list of these",
        &[],
        "",
    ),
    (
        "day of the month",
        "1 to 31, `*`, `*/2`, a range `1-7`, `L` (the last day), `15W` (the working day nearest to the 15th), or a list",
        &[],
        "LW?",
    ),
    (
        "month",
        "1 to 12, `JAN` to `DEC`, `*`, `*/3`, a range, or a list of these",
        &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
        "",
    ),
    (
        "day of the week",
        "0 to 7 (0 and 7 are Sunday), `SUN` to `SAT`, `*`, a range `MON-FRI`, `FRI#2` (the second Friday), `FRI#L` (the last), or a list",
        &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
        "L#?+",
    ),
];

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it first.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let trimmed = text.trim();
        let whole = text.len() - text.trim_start().len()..text.trim_end().len();
        let fail = |place, message: String, help: &str| {
            Err(CronError {
                place,
                message,
                help: help.to_owned(),
            })
        };
        if trimmed.is_empty() {
            return fail(
                0..text.len(),
                "this cron expression is empty".to_owned(),
                "write one, as `0 2 * * *` for two at night",
            );
        }
        let written = if trimmed.starts_with('@') {
            let lower = trimmed.to_ascii_lowercase();
            let Some((_, fields)) = WORDS.iter().find(|(word, _)| *word == lower) else {
                let words: Vec<String> = WORDS.iter().map(|(word, _)| format!("`{word}`")).collect();
                let help = format!("there are {}", words.join(", "));
                return fail(whole, format!("`{trimmed}` stands for no times"), &help);
            };
            fields
        } else {
            text
        };
        let fields = split(written);
        if !(5..=6).contains(&fields.len()) {
            let count = fields.len();
            return fail(
                whole,
                format!("a cron expression has 5 fields, or 6 with seconds; this one has {count}"),
                "minute, hour, day of the month, month, day of the week: `30 2 * * MON-FRI`",
            );
        }
        for ((at, field), about) in fields.iter().zip(FIELDS.iter().skip(6 - fields.len())) {
            check(*at, field, about)?;
        }
        let fields: Vec<&str> = fields.into_iter().map(|(_, field)| field).collect();
        let Ok(pattern) = parser().parse(&fields.join(" ")) else {
            return fail(
                whole,
                format!("`{trimmed}` is no cron expression"),
                "write it as `30 2 * * MON-FRI`",
            );
        };
        let hours = fields[fields.len() - 4];
        let hourly =
            hours.split(',').any(|item| item.starts_with('*')) || pattern.pattern.hours.values().len() == 24;
        let cron = Self { pattern, hourly };
        if cron
            .next(DateTime::constant(2000, 1, 1, 0, 0, 0, 0), true)
            .is_none()
        {
            return fail(
                whole,
                format!("`{trimmed}` never comes"),
                "is there such a day in such a month?",
            );
        }
        Ok(cron)
    }

    /// Whether its hours go with the clock (`*`, `*/2`) in place of being named: see [`Effect`](super::Effect).
    pub(super) fn is_hourly(&self) -> bool {
        self.hourly
    }

    /// The first match from `from` on, as if every day had 24 hours.
    pub(super) fn next(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        self.pattern.find_next_occurrence(&from, inclusive).ok()
    }
}

fn parser() -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build()
}

/// Its words, each with the place of its first byte.
fn split(text: &str) -> Vec<(usize, &str)> {
    let start = text.as_ptr() as usize;
    text.split_whitespace()
        .map(|word| (word.as_ptr() as usize - start, word))
        .collect()
}

fn check(at: usize, field: &str, (name, what, names, signs): &Field) -> Result<(), CronError> {
    let mut at = at;
    for item in field.split(',') {
        let place = at..at + item.len().max(1).min(field.len());
        at += item.len() + 1;
        let fail = |message: String, help: String| {
            Err(CronError {
                place: place.clone(),
                message,
                help,
            })
        };
        if item.is_empty() {
            return fail(
                format!("an item of the list of the {name} is empty"),
                "leave out the comma".to_owned(),
            );
        }
        let letters = item
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| !word.is_empty());
        let strange = letters.map(str::to_ascii_uppercase).find(|word| {
            let known = names.contains(&word.as_str());
            // `FRIL` is `FRI#L`.
            let last = word
                .strip_suffix('L')
                .is_some_and(|day| signs.contains('L') && names.contains(&day));
            !known && !last && !word.chars().all(|c| signs.contains(c))
        });
        // One item in an expression that is else right: whether the item is.
        let mut fields = ["0", "*", "*", "*", "*", "*"];
        if let Some(index) = FIELDS.iter().position(|(of, ..)| of == name) {
            fields[index] = item;
        }
        if strange.is_none() && parser().parse(&fields.join(" ")).is_ok() {
            continue;
        }
        let ends = item.split('/').next().unwrap_or_default().split_once('-');
        let help = match ends.map(|(from, to)| (from.parse::<u32>(), to.parse::<u32>())) {
            Some((Ok(from), Ok(to))) if from > to => {
                "a range goes up: write two, with a comma between them".to_owned()
            }
            _ => format!("it is {what}"),
        };
        return fail(format!("`{item}` is no {name}"), help);
    }
    Ok(())
}
