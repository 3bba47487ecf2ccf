//! Did you mean …?

use super::syntax::is_odd_blank;
use caxplan_model::Duration;

/// The candidate that is nearest to `text`, if one is near enough to be a slip of the pen.
fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (text.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            // `int` for `integer` comes after all slips.
            let short = || (text.len() >= 3 && candidate.starts_with(text)).then_some(limit + 1);
            let distance = distance(&text.to_lowercase(), &candidate.to_lowercase(), limit).or_else(short)?;
            Some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// ``did you mean `…`?``
pub(super) fn did_you_mean<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(text, candidates).map(|found| format!("did you mean `{found}`?"))
}

/// What to say of a word that holds a character from another script, or a blank that is none: one cannot see it.
pub(super) fn look_alike(word: &str) -> Option<String> {
    let odd = word.chars().find(|c| !c.is_ascii())?;
    let is_mixed = word.chars().any(|c| c.is_ascii_alphabetic());
    let looks_latin = matches!(odd, '\u{370}'..='\u{52f}' | '\u{ff00}'..='\u{ff5e}');
    if is_mixed && (looks_latin || is_odd_blank(odd)) {
        let code = u32::from(odd);
        return Some(format!(
            "it holds the character U+{code:04X}, which looks like a plain letter or blank and is none: type the word anew"
        ));
    }
    None
}

/// A duration that is written in words, or with a blank, as it is written here: `5m` for `5 minutes`.
pub(super) fn duration(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let mut rest = lower.as_str();
    let mut meant = String::new();
    while !rest.is_empty() {
        let (number, after) = take(rest, |c| c.is_ascii_digit() || c == '.')?;
        let (unit, after) = take(after.trim_start(), char::is_alphabetic)?;
        meant.push_str(number);
        meant.push_str(match unit {
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
            "s" | "sec" | "secs" | "second" | "seconds" => "s",
            "m" | "min" | "mins" | "minute" | "minutes" => "m",
            "h" | "hr" | "hrs" | "hour" | "hours" => "h",
            "d" | "day" | "days" => "d",
            "w" | "week" | "weeks" => "w",
            _ => return None,
        });
        rest = after.trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
    }
    meant.parse::<Duration>().is_ok().then_some(meant)
}

/// A text that begins with characters that belong together: those, and what is behind them.
fn take(text: &str, belongs: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The number of insertions, deletions, replacements and swaps of neighbours from `a` to `b`; `None` if more than
/// `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    (last[b.len()] <= limit).then_some(last[b.len()])
}

#[cfg(test)]
mod tests {
    use super::{duration, nearest};

    #[test]
    fn durations_in_words_are_understood() {
        for (text, expected) in [
            ("5 minutes", Some("5m")),
            ("1 hour, 30 min", Some("1h30m")),
            ("2 Days and 1 hour", Some("2d1h")),
            ("10 s", Some("10s")),
            ("10", None),
            ("5 parsecs", None),
            ("", None),
            ("minutes", None),
        ] {
            assert_eq!(duration(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let names = ["timeout", "retry", "needs", "caxton.node.drain"];
        for (text, expected) in [
            ("timeuot", Some("timeout")),
            ("Retry", Some("retry")),
            ("need", Some("needs")),
            ("caxton.nodes.drain", Some("caxton.node.drain")),
            ("time", Some("timeout")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, names), expected, "{text}");
        }
    }
}
