//! From text to condition.

use super::unit::{ENDINGS, Quantity, Unit, parse_quantity};
use caxplan_model::Value;
use std::ops::Range;

/// How deep parentheses and `not` may be nested.
const DEPTH_MAX: u32 = 32;

/// A condition that has been read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Compare {
        left: Side,
        operator: Operator,
        right: Side,
    },
    Flag(Side),
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Side {
    Path(Path),
    Quantity(Quantity, String),
    Literal(Value),
    List(Vec<Side>),
}

/// A dotted path into the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    /// Where it stands in the text, in bytes.
    pub(crate) range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    In,
    NotIn,
}

impl Operator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::In => "in",
            Self::NotIn => "not in",
        }
    }
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConditionError {
    /// What is wrong and what was expected: lower case, no full stop.
    pub(crate) message: String,
    /// Where in the text, in bytes.
    pub(crate) range: Range<usize>,
}

/// Reads a condition and checks the units that are known from the text alone.
pub(crate) fn parse(text: &str) -> Result<Condition, ConditionError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        end: text.len(),
        depth: 0,
    };
    let condition = parser.condition()?;
    match parser.peek() {
        None => Ok(condition),
        Some(token) if is_comparison(&token.kind) => Err(ConditionError {
            message: "comparisons cannot be chained; join two with `and`".to_owned(),
            range: token.range.clone(),
        }),
        Some(token) => Err(parser.detached_unit(token).unwrap_or_else(|| ConditionError {
            message: "expected `and`, `or` or the end of the condition".to_owned(),
            range: token.range.clone(),
        })),
    }
}

impl Condition {
    /// Calls `visit` with every path.
    pub(crate) fn for_each_path(&self, visit: &mut dyn FnMut(&Path)) {
        match self {
            Self::Any(parts) | Self::All(parts) => {
                for part in parts {
                    part.for_each_path(visit);
                }
            }
            Self::Not(inner) => inner.for_each_path(visit),
            Self::Compare { left, right, .. } => {
                left.for_each_path(visit);
                right.for_each_path(visit);
            }
            Self::Flag(side) => side.for_each_path(visit),
        }
    }
}

impl Side {
    fn for_each_path(&self, visit: &mut dyn FnMut(&Path)) {
        match self {
            Self::Path(path) => visit(path),
            Self::List(items) => {
                for item in items {
                    item.for_each_path(visit);
                }
            }
            Self::Quantity(..) | Self::Literal(_) => {}
        }
    }

    /// The unit, where the text alone tells it.
    fn unit(&self) -> Option<Unit> {
        match self {
            Self::Quantity(quantity, _) => Some(quantity.unit),
            Self::Path(path) => {
                let last = path.segments.last()?;
                ENDINGS
                    .iter()
                    .find(|(ending, ..)| last.ends_with(ending))
                    .map(|(_, unit, ..)| *unit)
            }
            Self::Literal(_) | Self::List(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Token {
    kind: TokenKind,
    range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum TokenKind {
    Word(Vec<String>),
    Quantity(Quantity, String),
    Literal(Value),
    Compare(Operator),
    And,
    Or,
    Not,
    In,
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
}

fn is_comparison(kind: &TokenKind) -> bool {
    matches!(kind, TokenKind::Compare(_) | TokenKind::In)
}

fn tokens(text: &str) -> Result<Vec<Token>, ConditionError> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let two = text.get(at..at + 2);
        let kind = match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'(' => single(&mut at, TokenKind::Open),
            b')' => single(&mut at, TokenKind::Close),
            b'[' => single(&mut at, TokenKind::OpenList),
            b']' => single(&mut at, TokenKind::CloseList),
            b',' => single(&mut at, TokenKind::Comma),
            b'<' | b'>' | b'=' | b'!' => {
                let operator = match two {
                    Some("<=") => Some((Operator::LessOrEqual, 2)),
                    Some(">=") => Some((Operator::GreaterOrEqual, 2)),
                    Some("==") => Some((Operator::Equal, 2)),
                    Some("!=") => Some((Operator::NotEqual, 2)),
                    _ if bytes[at] == b'<' => Some((Operator::Less, 1)),
                    _ if bytes[at] == b'>' => Some((Operator::Greater, 1)),
                    _ => None,
                };
                let Some((operator, length)) = operator else {
                    return Err(ConditionError {
                        message: if bytes[at] == b'=' {
                            "`=` is no comparison; write `==`".to_owned()
                        } else {
                            "`!` is no operator; write `not` or `!=`".to_owned()
                        },
                        range: at..at + 1,
                    });
                };
                at += length;
                TokenKind::Compare(operator)
            }
            b'&' | b'|' => {
                let (symbol, word) = if bytes[at] == b'&' {
                    ("&&", "and")
                } else {
                    ("||", "or")
                };
                let message = if two == Some(symbol) {
                    format!("`{symbol}` is no operator; write `{word}`")
                } else {
                    "filters need a template: write the whole condition as `{{ … }}`".to_owned()
                };
                let end = if two == Some(symbol) { at + 2 } else { at + 1 };
                return Err(ConditionError {
                    message,
                    range: at..end,
                });
            }
            quote @ (b'\'' | b'"') => {
                let Some(length) = text[at + 1..].find(char::from(quote)) else {
                    return Err(ConditionError {
                        message: "the text has no closing quote".to_owned(),
                        range: at..bytes.len(),
                    });
                };
                at += length + 2;
                TokenKind::Literal(Value::String(text[start + 1..at - 1].to_owned()))
            }
            b'0'..=b'9' | b'-' => {
                at += 1;
                at += run(&text[at..], |c| c.is_ascii_alphanumeric() || c == '.');
                if bytes.get(at) == Some(&b'%') {
                    at += 1;
                }
                number(&text[start..at], start)?
            }
            first if first.is_ascii_alphabetic() || first == b'_' => word(text, &mut at)?,
            _ => {
                let length = text[at..].chars().next().map_or(1, char::len_utf8);
                return Err(ConditionError {
                    message: format!("`{}` has no place in a condition", &text[at..at + length]),
                    range: at..at + length,
                });
            }
        };
        tokens.push(Token {
            kind,
            range: start..at,
        });
    }
    Ok(tokens)
}

fn single(at: &mut usize, kind: TokenKind) -> TokenKind {
    *at += 1;
    kind
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn number(text: &str, start: usize) -> Result<TokenKind, ConditionError> {
    if let Some(quantity) = parse_quantity(text) {
        return Ok(TokenKind::Quantity(quantity, text.to_owned()));
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Ok(TokenKind::Literal(integer.into()));
    }
    if let Ok(float) = text.parse::<f64>()
        && let Some(float) = serde_json::Number::from_f64(float)
    {
        return Ok(TokenKind::Literal(Value::Number(float)));
    }
    if super::unit::parse_version(text).is_some() {
        return Ok(TokenKind::Literal(Value::String(text.to_owned())));
    }
    Err(ConditionError {
        message: format!(
            "`{text}` is no number; units are ms, s, m, h, d, w for durations, % for percentages, and B, KB, MB, GB, KiB, \
             MiB, GiB for sizes"
        ),
        range: start..start + text.len(),
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// A keyword or a path: `steps.check.output['exit code']`, `nodes.0.name`.
fn word(text: &str, at: &mut usize) -> Result<TokenKind, ConditionError> {
    let start = *at;
    *at += run(&text[*at..], is_word);
    let mut segments = vec![text[start..*at].to_owned()];
    loop {
        let rest = &text[*at..];
        if let Some(next) = rest.strip_prefix('.') {
            let length = run(next, is_word);
            if length == 0 {
                return Err(ConditionError {
                    message: "expected a name after the dot".to_owned(),
                    range: *at..*at + 1,
                });
            }
            segments.push(next[..length].to_owned());
            *at += 1 + length;
        } else if let Some(next) = rest.strip_prefix('[') {
            let Some(length) = next.find(']') else {
                return Err(ConditionError {
                    message: "expected a closing `]`".to_owned(),
                    range: *at..text.len(),
                });
            };
            let index = next[..length].trim();
            let range = *at + 1..*at + 1 + length;
            segments.push(subscript(index).map_err(|message| ConditionError { message, range })?);
            *at += length + 2;
        } else if rest.starts_with('(') {
            return Err(ConditionError {
                message: "functions need a template: write the whole condition as `{{ … }}`".to_owned(),
                range: start..*at + 1,
            });
        } else {
            break;
        }
    }
    Ok(match &text[start..*at] {
        "and" => TokenKind::And,
        "or" => TokenKind::Or,
        "not" => TokenKind::Not,
        "in" => TokenKind::In,
        "true" => TokenKind::Literal(Value::Bool(true)),
        "false" => TokenKind::Literal(Value::Bool(false)),
        "null" => TokenKind::Literal(Value::Null),
        _ => TokenKind::Word(segments),
    })
}

/// What stands between brackets: a number, or a key in quotes.
fn subscript(text: &str) -> Result<String, String> {
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    match quoted('\'').or_else(|| quoted('"')) {
        Some(key) => Ok(key.to_owned()),
        None if !text.is_empty() && text.chars().all(is_word) => Ok(text.to_owned()),
        None if text.contains(':') => {
            Err("slices need a template: write the whole condition as `{{ … }}`".to_owned())
        }
        None => Err("an index is a number, or a key in quotes".to_owned()),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    end: usize,
    depth: u32,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == *kind);
        self.at += usize::from(found);
        found
    }

    fn expected<T>(&self, what: &str) -> Result<T, ConditionError> {
        let (message, range) = match self.peek() {
            Some(token) => (format!("expected {what}"), token.range.clone()),
            None => (
                format!("expected {what}, found the end"),
                self.end.saturating_sub(1)..self.end,
            ),
        };
        Err(ConditionError { message, range })
    }

    /// What to say of `5 MiB`, where a unit stands apart from its number.
    fn detached_unit(&self, token: &Token) -> Option<ConditionError> {
        let before = self.tokens.get(self.at.checked_sub(1)?)?;
        let (TokenKind::Literal(Value::Number(number)), TokenKind::Word(path)) = (&before.kind, &token.kind)
        else {
            return None;
        };
        let together = format!("{number}{}", path.join("."));
        parse_quantity(&together).map(|_| ConditionError {
            message: format!("a unit stands right behind its number: write `{together}`"),
            range: before.range.start..token.range.end,
        })
    }

    fn condition(&mut self) -> Result<Condition, ConditionError> {
        let mut parts = vec![self.all()?];
        while self.take(&TokenKind::Or) {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, ConditionError> {
        let mut parts = vec![self.term()?];
        while self.take(&TokenKind::And) {
            parts.push(self.term()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn term(&mut self) -> Result<Condition, ConditionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ConditionError {
                message: format!("nested more than {DEPTH_MAX} deep"),
                range: self.peek().map_or(0..self.end, |token| token.range.clone()),
            });
        }
        let term = self.term_at_depth();
        self.depth -= 1;
        term
    }

    fn term_at_depth(&mut self) -> Result<Condition, ConditionError> {
        if self.take(&TokenKind::Not) {
            return Ok(Condition::Not(Box::new(self.term()?)));
        }
        if self.take(&TokenKind::Open) {
            let inner = self.condition()?;
            if !self.take(&TokenKind::Close) {
                return self.expected("`)`");
            }
            return Ok(inner);
        }
        let start = self.at;
        let left = self.side()?;
        let Some(operator) = self.operator() else {
            return match &left {
                Side::Path(_) | Side::Literal(Value::Bool(_)) => Ok(Condition::Flag(left)),
                Side::Quantity(..) | Side::Literal(_) | Side::List(_) => {
                    self.expected("a comparison such as `<`")
                }
            };
        };
        let right = self.side()?;
        if let (Some(a), Some(b)) = (left.unit(), right.unit())
            && a != b
        {
            return Err(ConditionError {
                message: format!("{} cannot be compared with {}", a.name(), b.name()),
                range: self.tokens[start].range.start..self.tokens[self.at - 1].range.end,
            });
        }
        Ok(Condition::Compare {
            left,
            operator,
            right,
        })
    }

    fn operator(&mut self) -> Option<Operator> {
        if self.take(&TokenKind::In) {
            return Some(Operator::In);
        }
        if let Some([not, next]) = self.tokens.get(self.at..self.at + 2)
            && not.kind == TokenKind::Not
            && next.kind == TokenKind::In
        {
            self.at += 2;
            return Some(Operator::NotIn);
        }
        let TokenKind::Compare(operator) = self.peek()?.kind else {
            return None;
        };
        self.at += 1;
        Some(operator)
    }

    fn side(&mut self) -> Result<Side, ConditionError> {
        let Some(token) = self.peek() else {
            return self.expected("a name or a value");
        };
        let side = match &token.kind {
            TokenKind::Word(segments) => Side::Path(Path {
                segments: segments.clone(),
                range: token.range.clone(),
            }),
            TokenKind::Quantity(quantity, text) => Side::Quantity(*quantity, text.clone()),
            TokenKind::Literal(value) => Side::Literal(value.clone()),
            TokenKind::OpenList => {
                self.at += 1;
                return self.list();
            }
            TokenKind::Compare(_)
            | TokenKind::And
            | TokenKind::Or
            | TokenKind::Not
            | TokenKind::In
            | TokenKind::Open
            | TokenKind::Close
            | TokenKind::CloseList
            | TokenKind::Comma => return self.expected("a name or a value"),
        };
        self.at += 1;
        Ok(side)
    }

    fn list(&mut self) -> Result<Side, ConditionError> {
        let mut items = Vec::new();
        loop {
            if self.take(&TokenKind::CloseList) {
                return Ok(Side::List(items));
            }
            if !items.is_empty() && !self.take(&TokenKind::Comma) {
                return self.expected("`,` or `]`");
            }
            match self.peek().map(|token| &token.kind) {
                Some(TokenKind::OpenList) => return self.expected("a value"),
                Some(_) | None => items.push(self.side()?),
            }
        }
    }
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn wrong_conditions_say_where_and_why() {
        for (text, expected) in [
            ("", "0..0 expected a name or a value, found the end"),
            ("a <", "2..3 expected a name or a value, found the end"),
            ("a = 1", "2..3 `=` is no comparison; write `==`"),
            ("a && b", "2..4 `&&` is no operator; write `and`"),
            (
                "a | length > 1",
                "2..3 filters need a template: write the whole condition as `{{ … }}`",
            ),
            (
                "len(a) > 1",
                "0..4 functions need a template: write the whole condition as `{{ … }}`",
            ),
            (
                "1 < a < 3",
                "6..7 comparisons cannot be chained; join two with `and`",
            ),
            ("5m < 80%", "0..8 a duration cannot be compared with a percentage"),
            (
                "x and wait_ms > 5%",
                "6..18 a duration cannot be compared with a percentage",
            ),
            ("a == 'x", "5..7 the text has no closing quote"),
            ("(a", "1..2 expected `)`, found the end"),
            ("a b", "2..3 expected `and`, `or` or the end of the condition"),
            (
                "a < 5 MiB",
                "4..9 a unit stands right behind its number: write `5MiB`",
            ),
            ("'a'", "2..3 expected a comparison such as `<`, found the end"),
            ("a < 5 ü", "6..8 `ü` has no place in a condition"),
            ("a. < 1", "1..2 expected a name after the dot"),
        ] {
            let error = parse(text).expect_err(text);
            let shown = format!("{}..{} {}", error.range.start, error.range.end, error.message);
            assert_eq!(shown, expected, "{text}");
        }
        assert!(parse("a < 5parsecs").is_err());
        assert!(parse(&"(".repeat(10_000)).is_err());
        assert!(parse(&"not ".repeat(10_000)).is_err());
    }
}
