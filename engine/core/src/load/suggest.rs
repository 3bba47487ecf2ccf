//! Did you mean …?

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
    use super::nearest;

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
