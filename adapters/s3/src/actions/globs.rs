//! Patterns of names: `*.tmp`, `cache/**`, `log-?.txt`.

use caxplan_model::{Cause, FailureKind};

/// Patterns; a name matches if one of them does.
#[derive(Clone)]
pub(super) struct Globs(Vec<Vec<char>>);

impl Globs {
    /// Reads patterns: `?` is one character and `*` any number of them, of one part of a path; `**` is any number of
    /// parts. A pattern without `/` is compared with a path's last part, too.
    pub(super) fn new(patterns: &[String]) -> Result<Self, Cause> {
        if patterns.iter().any(String::is_empty) {
            return Err(Cause::new(FailureKind::Invalid, "a pattern is empty"));
        }
        Ok(Self(
            patterns.iter().map(|pattern| pattern.chars().collect()).collect(),
        ))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a pattern matches the path, or a folder that it lies in.
    pub(super) fn matches(&self, path: &str) -> bool {
        let whole: Vec<char> = path.chars().collect();
        let folders = whole
            .iter()
            .enumerate()
            .filter(|(_, c)| **c == '/')
            .map(|(at, _)| at);
        let ends: Vec<usize> = folders.chain([whole.len()]).collect();
        self.0.iter().any(|pattern| {
            let is_name = !pattern.contains(&'/');
            ends.iter().any(|end| {
                let path = &whole[..*end];
                let name_at = path.iter().rposition(|c| *c == '/').map_or(0, |at| at + 1);
                is_match(pattern, path) || (is_name && is_match(pattern, &path[name_at..]))
            })
        })
    }
}

/// Compares without recursion, so that no pattern takes exponential time: positions that are possible, one character
/// of the text after the other.
fn is_match(pattern: &[char], text: &[char]) -> bool {
    let mut possible = vec![false; pattern.len() + 1];
    possible[0] = true;
    spread(pattern, &mut possible);
    for c in text {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate() {
            if !possible[at] {
                continue;
            }
            let is_double = is_double(pattern, at);
            match wanted {
                '*' if is_double || *c != '/' => next[at] = true,
                '*' => {}
                '?' if *c != '/' => next[at + 1] = true,
                _ if wanted == c => next[at + 1] = true,
                _ => {}
            }
        }
        spread(pattern, &mut next);
        possible = next;
    }
    possible[pattern.len()]
}

fn is_double(pattern: &[char], at: usize) -> bool {
    pattern.get(at + 1) == Some(&'*') || (at > 0 && pattern[at - 1] == '*')
}

/// A star may stand for nothing, and `**/` too.
fn spread(pattern: &[char], possible: &mut [bool]) {
    for at in 0..pattern.len() {
        if possible[at] && pattern[at] == '*' {
            possible[at + 1] = true;
            if pattern[at..].starts_with(&['*', '*', '/']) && (at == 0 || pattern[at - 1] == '/') {
                possible[at + 3] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, is) in [
            ("*.tmp", "a.tmp", true),
            ("*.tmp", "b/c/a.tmp", true),
            ("*.tmp", "a.tmpx", false),
            ("a/*", "a/b", true),
            ("a/*", "x/a/b", false),
            ("cache", "x/cache/y/z", true),
            ("cache/**", "cache/y/z", true),
            ("**/z", "x/y/z", true),
            ("**/z", "z", true),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/*/z", "a/b/c/z", false),
            ("?", "ü", true),
            ("?", "ab", false),
            ("a?c", "a/c", false),
            (".git", "sub/.git/config", true),
            ("[x]", "x", false),
        ] {
            assert_eq!(
                Globs::new(&[pattern.to_owned()]).unwrap().matches(path),
                is,
                "{pattern} {path}"
            );
        }
        let slow = format!("{}b", "*a".repeat(200));
        assert!(!Globs::new(&[slow]).unwrap().matches(&"a".repeat(1000)));
    }
}
