//! The text format in which services expose their metrics (Prometheus, version 0.0.4).

use std::iter::Peekable;
use std::str::Chars;

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
}

/// Which samples are meant: those of a name that carry all of some labels, `nodes{state="failed"}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

/// Reads a page of metrics. An error names the line.
pub(super) fn read(page: &str) -> Result<Vec<Sample>, String> {
    let lines = (1..).zip(page.lines());
    lines
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(number, line)| sample(line.trim()).map_err(|why| format!("line {number}: {why}")))
        .collect()
}

fn sample(line: &str) -> Result<Sample, String> {
    let mut rest = line.chars().peekable();
    let (name, labels) = name_and_labels(&mut rest)?;
    let rest: String = rest.collect();
    // Behind the value there may be a time, and behind `#` an exemplar.
    let mut words = rest.split_whitespace();
    let word = words.next().ok_or("a value is missing")?;
    let value = word.parse().map_err(|_| format!("`{word}` is no number"))?;
    Ok(Sample { name, labels, value })
}

impl Selector {
    /// Reads a selector.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut rest = text.trim().chars().peekable();
        let (name, labels) = name_and_labels(&mut rest)?;
        match rest.next() {
            None => Ok(Self { name, labels }),
            Some(c) => Err(format!("`{c}` is not expected")),
        }
    }

    /// Whether it means this sample.
    pub(super) fn is_met(&self, sample: &Sample) -> bool {
        self.name == sample.name && self.labels.iter().all(|label| sample.labels.contains(label))
    }
}

type Rest<'a> = Peekable<Chars<'a>>;

fn name_and_labels(rest: &mut Rest<'_>) -> Result<(String, Vec<(String, String)>), String> {
    let name = word(rest, ":").ok_or("a name is missing")?;
    skip_blanks(rest);
    let mut labels = Vec::new();
    if rest.next_if_eq(&'{').is_none() {
        return Ok((name, labels));
    }
    loop {
        skip_blanks(rest);
        if rest.next_if_eq(&'}').is_some() {
            break;
        }
        let label = word(rest, "").ok_or("the name of a label is missing")?;
        skip_blanks(rest);
        rest.next_if_eq(&'=')
            .ok_or_else(|| format!("`=` is missing behind `{label}`"))?;
        skip_blanks(rest);
        labels.push((label, quoted(rest)?));
        skip_blanks(rest);
        if rest.next_if_eq(&',').is_none() && rest.peek() != Some(&'}') {
            return Err("`,` or `}` is missing behind a label".to_owned());
        }
    }
    Ok((name, labels))
}

/// A word of letters, digits, `_` and `also`, that begins with no digit.
fn word(rest: &mut Rest<'_>, also: &str) -> Option<String> {
    let mut word = String::new();
    while let Some(c) = rest.next_if(|c| {
        (c.is_ascii_alphanumeric() || *c == '_' || also.contains(*c))
            && !(word.is_empty() && c.is_ascii_digit())
    }) {
        word.push(c);
    }
    (!word.is_empty()).then_some(word)
}

fn quoted(rest: &mut Rest<'_>) -> Result<String, String> {
    rest.next_if_eq(&'"')
        .ok_or("the value of a label stands in `\"`")?;
    let mut text = String::new();
    loop {
        match rest.next() {
            Some('"') => return Ok(text),
            Some('\\') => match rest.next() {
                Some('n') => text.push('\n'),
                Some(c @ ('"' | '\\')) => text.push(c),
                Some(c) => text.extend(['\\', c]),
                None => break,
            },
            Some(c) => text.push(c),
            None => break,
        }
    }
    Err("the closing `\"` is missing".to_owned())
}

fn skip_blanks(rest: &mut Rest<'_>) {
    while rest.next_if(|c| *c == ' ' || *c == '\t').is_some() {}
}

#[cfg(test)]
mod tests {
    use super::{Sample, Selector, read};

    /// A name, its labels and its value.
    type Expected<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    fn check(line: &str, expected: Result<Expected<'_>, &str>) {
        let read = read(&format!("# HELP x\n\n{line}\n"));
        match expected {
            Ok((name, labels, value)) => {
                let label = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
                let sample = Sample {
                    name: name.to_owned(),
                    labels: labels.iter().map(label).collect(),
                    value,
                };
                assert_eq!(read, Ok(vec![sample]), "{line}");
            }
            Err(why) => assert_eq!(read, Err(format!("line 3: {why}")), "{line}"),
        }
    }

    #[test]
    fn lines_are_read_as_the_format_says() {
        check("up 1", Ok(("up", &[], 1.0)));
        check("  up\t1.5e3 1700000000000 ", Ok(("up", &[], 1500.0)));
        check("a:b{} -0", Ok(("a:b", &[], 0.0)));
        check(
            r#"nodes{ state = "failed" , zone="a,}\"\\\n" , } 2"#,
            Ok(("nodes", &[("state", "failed"), ("zone", "a,}\"\\\n")], 2.0)),
        );
        check(
            r#"c_total{x="é"} 7 # {trace="1"} 0.5"#,
            Ok(("c_total", &[("x", "é")], 7.0)),
        );
        check("wait_seconds +Inf", Ok(("wait_seconds", &[], f64::INFINITY)));
        check("up", Err("a value is missing"));
        check("up one", Err("`one` is no number"));
        check("{} 1", Err("a name is missing"));
        check("9up 1", Err("a name is missing"));
        check("up{state} 1", Err("`=` is missing behind `state`"));
        check("up{state=failed} 1", Err("the value of a label stands in `\"`"));
        check("up{state=\"failed} 1", Err("the closing `\"` is missing"));
        check(
            "up{a=\"1\" b=\"2\"} 1",
            Err("`,` or `}` is missing behind a label"),
        );
        check("<html>", Err("a name is missing"));
    }

    #[test]
    fn a_selector_means_samples_that_carry_its_labels() {
        let page = read("n{a=\"1\",b=\"2\"} 1\nn{a=\"1\"} 2\nn 4\nm 8\n").expect("a page");
        let sum = |selector: &str| {
            let selector = Selector::read(selector).expect("a selector");
            let met = page.iter().filter(|sample| selector.is_met(sample));
            met.map(|sample| sample.value).sum::<f64>()
        };
        assert_eq!(
            [sum("n"), sum("n{a=\"1\"}"), sum("n{b=\"2\",a=\"1\"}"), sum("k")],
            [7.0, 3.0, 1.0, 0.0]
        );
        assert_eq!(Selector::read("n > 1"), Err("`>` is not expected".to_owned()));
    }
}
