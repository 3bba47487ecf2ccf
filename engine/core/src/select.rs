//! Which targets of an inventory: the one little language of `targets('…')` and `--limit`.

use caxplan_model::Target;

/// A choice among targets.
///
/// ```text
/// selector = all { "|" all }                           one of them must hold
/// all      = term { "," term }                         all of them must hold; none selects everything
/// term     = [ "!" ] ( pattern | "group:" pattern | label "=" pattern | label "!=" pattern )
/// pattern  = text in which `*` stands for any characters and `?` for one
/// ```
///
/// A pattern alone is one of names. The label `name` is the target's name, unless it has such a label of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Vec<Term>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    wanted: bool,
    of: Of,
    pattern: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Name,
    Group,
    Label(String),
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// What cannot be read, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split('|')
            .map(|all| {
                all.split(',')
                    .map(str::trim)
                    .filter(|term| !term.is_empty())
                    .map(term)
                    .collect()
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it selects a target.
    pub fn matches(&self, target: &Target) -> bool {
        self.0.iter().any(|all| all.iter().all(|term| term.holds(target)))
    }
}

fn term(text: &str) -> Result<Term, String> {
    let (rest, mut wanted) = match text.strip_prefix('!') {
        Some(rest) => (rest.trim(), false),
        None => (text, true),
    };
    let (of, pattern) = match (rest.strip_prefix("group:"), rest.split_once('=')) {
        (Some(group), _) => (Of::Group, group),
        (None, Some((label, pattern))) => {
            let label = match label.strip_suffix('!') {
                Some(label) => {
                    wanted = !wanted;
                    label
                }
                None => label,
            };
            (Of::Label(label.trim().to_owned()), pattern)
        }
        (None, None) => (Of::Name, rest),
    };
    let empty = match &of {
        Of::Label(label) => label.is_empty(),
        Of::Name | Of::Group => pattern.trim().is_empty(),
    };
    if empty {
        return Err(format!(
            "`{text}` selects nothing; write a name, `group:name`, `label=value` or `label!=value`"
        ));
    }
    Ok(Term {
        wanted,
        of,
        pattern: pattern.trim().to_owned(),
    })
}

impl Term {
    fn holds(&self, target: &Target) -> bool {
        let fits = |text: &str| fits(&self.pattern, text);
        let found = match &self.of {
            Of::Name => fits(&target.name),
            Of::Group => target.groups.iter().any(|group| fits(group)),
            Of::Label(label) => match target.labels.get(label) {
                Some(value) => fits(value),
                None => label == "name" && fits(&target.name),
            },
        };
        found == self.wanted
    }
}

/// Whether a text fits a pattern. Takes time that grows with the product of both lengths at most.
fn fits(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut seen) = (0, 0);
    // Where to go on if what follows the last `*` does not fit: after it, with one more character taken by it.
    let mut retry: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, seen));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[seen] => {
                at += 1;
                seen += 1;
            }
            Some(_) | None => match retry {
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    at = star + 1;
                    seen = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::Selector;
    use caxplan_model::Target;

    fn selected(selector: &str) -> String {
        let target = |name: &str, group: &str, zone: &str| Target {
            name: name.to_owned(),
            groups: vec![group.to_owned()],
            labels: [("zone".to_owned(), zone.to_owned())].into(),
            ..Target::default()
        };
        let targets = [
            target("web-1", "web", "a"),
            target("web-2", "web", "b"),
            target("db-1", "db", "a"),
            target("a*b", "odd", ""),
        ];
        match Selector::parse(selector) {
            Ok(selector) => {
                let names = targets.iter().filter(|target| selector.matches(target));
                names
                    .map(|target| target.name.as_str())
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            Err(message) => message,
        }
    }

    #[test]
    fn selectors_select() {
        for (selector, names) in [
            ("", "web-1 web-2 db-1 a*b"),
            ("web-1", "web-1"),
            ("web-*", "web-1 web-2"),
            ("*-?", "web-1 web-2 db-1"),
            ("*b*", "web-1 web-2 db-1 a*b"),
            ("group:web, zone=a", "web-1"),
            ("group:web,!web-1", "web-2"),
            ("zone!=a", "web-2 a*b"),
            ("!zone!=a", "web-1 db-1"),
            ("group:db | web-2", "web-2 db-1"),
            ("name=db-1", "db-1"),
            ("rack=r1", ""),
            ("zone=", "a*b"),
            ("nothing", ""),
        ] {
            assert_eq!(selected(selector), names, "{selector}");
        }
        assert!(selected("=x").contains("selects nothing"));
        assert!(selected("group:").contains("selects nothing"));
        assert!(selected("!").contains("selects nothing"));
    }

    #[test]
    fn patterns_take_no_exponential_time() {
        let target = Target {
            name: "a".repeat(5_000),
            ..Target::default()
        };
        let selector = Selector::parse(&format!("{}b", "a*".repeat(50))).expect("a pattern");
        assert!(!selector.matches(&target));
    }
}
