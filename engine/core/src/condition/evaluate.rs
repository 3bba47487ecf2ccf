//! From condition and scope to verdict.

use super::parse::{Condition, Operator, Path, Side, parse};
use super::unit::{ENDINGS, Quantity, Unit, parse_quantity, parse_version};
use caxplan_model::Value;
use std::cmp::Ordering;

/// What a condition says of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub ok: bool,
    /// What was seen and what was expected, for a person: `p99_latency was 132 (ms), expected < 100ms`.
    pub detail: String,
}

/// Evaluates a condition over the fields of `scope`, an object.
///
/// # Errors
/// A message for a person, if the text is no condition, names what is not there, or compares what cannot be compared.
pub fn evaluate(text: &str, scope: &Value) -> Result<Verdict, String> {
    let condition = parse(text).map_err(|error| format!("`{text}`: {}", error.message))?;
    decide(&condition, false, scope)
}

/// Decides `condition`, or its opposite if `negated`.
fn decide(condition: &Condition, negated: bool, scope: &Value) -> Result<Verdict, String> {
    match condition {
        Condition::Not(inner) => decide(inner, !negated, scope),
        // The opposite of `a and b` is `not a or not b`.
        Condition::All(parts) => join(parts, negated, negated, scope),
        Condition::Any(parts) => join(parts, !negated, negated, scope),
        Condition::Flag(side) => flag(side, negated, scope),
        Condition::Compare {
            left,
            operator,
            right,
        } => compare(left, *operator, right, negated, scope),
    }
}

/// Joins parts until one decides: the first that holds if `any` does, else the first that does not.
fn join(parts: &[Condition], any: bool, negated: bool, scope: &Value) -> Result<Verdict, String> {
    let mut details = Vec::with_capacity(parts.len());
    for part in parts {
        let verdict = decide(part, negated, scope)?;
        if verdict.ok == any {
            return Ok(verdict);
        }
        details.push(verdict.detail);
    }
    Ok(Verdict {
        ok: !any,
        detail: details.join("; "),
    })
}

fn flag(side: &Side, negated: bool, scope: &Value) -> Result<Verdict, String> {
    let seen = look(side, scope)?;
    let value = match &seen.value {
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        other @ (Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(format!("`{}` is {other}, neither true nor false", seen.name));
        }
    };
    Ok(Verdict {
        ok: value != negated,
        detail: format!("{} was {}, expected {}", seen.name, seen.value, !negated),
    })
}

fn compare(
    left: &Side,
    operator: Operator,
    right: &Side,
    negated: bool,
    scope: &Value,
) -> Result<Verdict, String> {
    let (a, b) = (look(left, scope)?, look(right, scope)?);
    let holds = match operator {
        Operator::In => contains(&b, &a)?,
        Operator::NotIn => !contains(&b, &a)?,
        Operator::Equal => equal(&a, &b)?,
        Operator::NotEqual => !equal(&a, &b)?,
        Operator::Less => order(&a, &b)? == Ordering::Less,
        Operator::LessOrEqual => order(&a, &b)? != Ordering::Greater,
        Operator::Greater => order(&a, &b)? == Ordering::Greater,
        Operator::GreaterOrEqual => order(&a, &b)? != Ordering::Less,
    };
    let expected = match right {
        Side::Path(_) => format!("{} ({})", b.name, b.shown(None)),
        Side::Quantity(..) | Side::Literal(_) | Side::List(_) => b.name.clone(),
    };
    Ok(Verdict {
        ok: holds != negated,
        detail: format!(
            "{} was {}, expected {}{} {expected}",
            a.name,
            a.shown(b.own_unit()),
            if negated { "not " } else { "" },
            operator.symbol(),
        ),
    })
}

/// One side of a comparison, looked up.
struct Seen {
    /// As the condition writes it.
    name: String,
    value: Value,
    /// The value with its unit, if a literal or a text says so.
    quantity: Option<Quantity>,
    /// The unit that the field is named by: factor and name.
    named: Option<(Unit, f64, &'static str)>,
}

impl Seen {
    fn own_unit(&self) -> Option<Unit> {
        self.quantity.map(|quantity| quantity.unit)
    }

    fn number(&self) -> Option<f64> {
        self.value.as_f64()
    }

    /// The value as a number in the measure of `unit`.
    fn measured(&self, unit: Unit) -> Option<f64> {
        if let Some(quantity) = self.quantity {
            return (quantity.unit == unit).then_some(quantity.number);
        }
        let factor = match self.named {
            Some((named, factor, _)) if named == unit => factor,
            Some(_) => return None,
            None => 1.0,
        };
        Some(self.number()? * factor)
    }

    /// The value for a person, with the unit it was taken in when compared with a quantity of `unit`.
    fn shown(&self, unit: Option<Unit>) -> String {
        let value = match &self.value {
            Value::String(text) => format!("'{text}'"),
            other => other.to_string(),
        };
        let taken_in = match (self.named, unit) {
            (Some((_, _, name)), _) => Some(name),
            (None, Some(Unit::Duration)) => Some("ms"),
            (None, Some(Unit::Percent)) => Some("%"),
            (None, Some(Unit::Size)) => Some("bytes"),
            (None, None) => None,
        };
        match taken_in {
            Some(name) if self.value.is_number() => format!("{value} ({name})"),
            Some(_) | None => value,
        }
    }
}

fn look(side: &Side, scope: &Value) -> Result<Seen, String> {
    match side {
        Side::Path(path) => look_up(path, scope),
        Side::Quantity(quantity, text) => Ok(Seen {
            name: text.clone(),
            value: Value::String(text.clone()),
            quantity: Some(*quantity),
            named: None,
        }),
        Side::Literal(value) => Ok(Seen {
            name: match value {
                Value::String(text) => format!("'{text}'"),
                other => other.to_string(),
            },
            value: value.clone(),
            quantity: None,
            named: None,
        }),
        Side::List(items) => {
            let items: Vec<Seen> = items
                .iter()
                .map(|item| look(item, scope))
                .collect::<Result<_, _>>()?;
            let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
            Ok(Seen {
                name: format!("[{}]", names.join(", ")),
                value: items.into_iter().map(|item| item.value).collect(),
                quantity: None,
                named: None,
            })
        }
    }
}

fn look_up(path: &Path, scope: &Value) -> Result<Seen, String> {
    let name = path.segments.join(".");
    let mut at = scope;
    let mut field = String::new();
    for (depth, segment) in path.segments.iter().enumerate() {
        let is_last = depth + 1 == path.segments.len();
        let found = child(at, segment)
            .map(|value| (segment.clone(), value))
            .or_else(|| {
                let mut completed = ENDINGS.iter().map(|(ending, ..)| format!("{segment}{ending}"));
                completed
                    .find_map(|longer| child(at, &longer).map(|value| (longer, value)))
                    .filter(|_| is_last)
            });
        let Some((key, value)) = found else {
            let parent = path.segments[..depth].join(".");
            return Err(missing(&name, &parent, at));
        };
        (field, at) = (key, value);
    }
    let quantity = at.as_str().and_then(parse_quantity);
    let named = ENDINGS
        .iter()
        .find(|(ending, ..)| field.ends_with(ending))
        .map(|(_, unit, factor, name)| (*unit, *factor, *name));
    Ok(Seen {
        name,
        value: at.clone(),
        quantity,
        named,
    })
}

fn child<'a>(value: &'a Value, segment: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(segment),
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn missing(name: &str, parent: &str, at: &Value) -> String {
    let known = match at {
        Value::Object(map) if !map.is_empty() => {
            let keys: Vec<&str> = map.keys().map(String::as_str).collect();
            keys.join(", ")
        }
        _ => "nothing".to_owned(),
    };
    if parent.is_empty() {
        format!("`{name}` is not known; known here: {known}")
    } else {
        format!("`{name}` is not known; `{parent}` has {known}")
    }
}

fn equal(a: &Seen, b: &Seen) -> Result<bool, String> {
    let texts = a.value.is_string() && b.value.is_string() && a.quantity.is_none() | b.quantity.is_none();
    if texts || !(is_measure(a) && is_measure(b)) {
        return Ok(a.value == b.value);
    }
    Ok(order(a, b)? == Ordering::Equal)
}

fn is_measure(seen: &Seen) -> bool {
    seen.quantity.is_some() || seen.value.is_number()
}

fn contains(list: &Seen, item: &Seen) -> Result<bool, String> {
    match &list.value {
        Value::Array(items) => Ok(items.contains(&item.value)
            || items
                .iter()
                .any(|of| of.is_number() && of.as_f64() == item.number())),
        Value::Object(map) => Ok(item.value.as_str().is_some_and(|key| map.contains_key(key))),
        Value::String(text) => match item.value.as_str() {
            Some(part) => Ok(text.contains(part)),
            None => Err(format!(
                "`{}` is no text to look for in `{}`",
                item.name, list.name
            )),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            Err(format!("`{}` is {}, no list", list.name, list.value))
        }
    }
}

fn order(a: &Seen, b: &Seen) -> Result<Ordering, String> {
    let incomparable = || {
        let kind = |seen: &Seen| match (seen.quantity, seen.named) {
            (Some(quantity), _) => quantity.unit.name(),
            (None, Some((unit, ..))) => unit.name(),
            (None, None) => match seen.value {
                Value::Null => "null",
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                Value::String(_) => "a text",
                Value::Array(_) => "a list",
                Value::Object(_) => "an object",
            },
        };
        format!(
            "`{}` ({}, {}) cannot be compared with `{}` ({})",
            a.name,
            a.shown(None),
            kind(a),
            b.name,
            kind(b)
        )
    };
    let numbers = match (a.own_unit().or(b.own_unit()), a.named, b.named) {
        (Some(unit), _, _) => a.measured(unit).zip(b.measured(unit)),
        (None, Some((unit, ..)), Some((other, ..))) if unit == other => {
            a.measured(unit).zip(b.measured(unit))
        }
        (None, _, _) => a.number().zip(b.number()),
    };
    if let Some((a, b)) = numbers {
        return a.partial_cmp(&b).ok_or_else(incomparable);
    }
    let versions = a
        .value
        .as_str()
        .and_then(parse_version)
        .zip(b.value.as_str().and_then(parse_version));
    match versions {
        Some((a, b)) => Ok(a.cmp(&b)),
        None => Err(incomparable()),
    }
}

#[cfg(test)]
mod tests {
    use super::evaluate;
    use serde_json::{Value, json};

    fn scope() -> Value {
        json!({
            "cpu_usage": 91.5, "error_rate_percent": 0.5, "p99_latency_ms": 132, "p50_latency_us": 900, "uptime_seconds": 90,
            "memory_used": 3_221_225_472_u64, "cert_expiry": "20d", "agent_count": 3, "max_agents": 5,
            "partition_detected": false, "up": 1, "version": "1.9.0", "roles": ["a", "b"], "name": "node-1",
            "output": {"status": "active", "nodes": [{"name": "n1"}], "5xx": 3},
            "params": {"limit": "200ms"},
        })
    }

    fn check(text: &str, expected: bool, detail: &str) {
        let verdict = evaluate(text, &scope()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            (verdict.ok, verdict.detail.as_str()),
            (expected, detail),
            "{text}"
        );
    }

    #[test]
    fn conditions_decide_and_say_what_they_saw() {
        check("cpu_usage < 80%", false, "cpu_usage was 91.5 (%), expected < 80%");
        check("error_rate < 1%", true, "error_rate was 0.5 (%), expected < 1%");
        check(
            "p99_latency < 100ms",
            false,
            "p99_latency was 132 (ms), expected < 100ms",
        );
        check(
            "p50_latency < 1ms",
            true,
            "p50_latency was 900 (us), expected < 1ms",
        );
        check("uptime > 1m", true, "uptime was 90 (s), expected > 1m");
        check(
            "p99_latency < params.limit",
            true,
            "p99_latency was 132 (ms), expected < params.limit ('200ms')",
        );
        check(
            "p50_latency < p99_latency",
            true,
            "p50_latency was 900 (us), expected < p99_latency (132 (ms))",
        );
        check(
            "memory_used >= 2GiB",
            true,
            "memory_used was 3221225472 (bytes), expected >= 2GiB",
        );
        check("cert_expiry < 30d", true, "cert_expiry was '20d', expected < 30d");
        check(
            "agent_count < max_agents",
            true,
            "agent_count was 3, expected < max_agents (5)",
        );
        check(
            "partition_detected",
            false,
            "partition_detected was false, expected true",
        );
        check(
            "not partition_detected",
            true,
            "partition_detected was false, expected false",
        );
        check(
            "up and not partition_detected",
            true,
            "up was 1, expected true; partition_detected was false, expected false",
        );
        check(
            "output.status == 'active'",
            true,
            "output.status was 'active', expected == 'active'",
        );
        check(
            "not output.status == 'active'",
            false,
            "output.status was 'active', expected not == 'active'",
        );
        check(
            "output.nodes[0].name != \"n1\"",
            false,
            "output.nodes.0.name was 'n1', expected != 'n1'",
        );
        check("output['5xx'] == 3", true, "output.5xx was 3, expected == 3");
        check(
            "version < 1.10.0",
            true,
            "version was '1.9.0', expected < '1.10.0'",
        );
        check(
            "'a' in roles",
            true,
            "'a' was 'a', expected in roles ([\"a\",\"b\"])",
        );
        check(
            "name not in ['x', 'y']",
            true,
            "name was 'node-1', expected not in ['x', 'y']",
        );
        check(
            "agent_count in [1, 3.0]",
            true,
            "agent_count was 3, expected in [1, 3.0]",
        );
        check("not (up or cpu_usage < 1%)", false, "up was 1, expected false");
        check("up or missing.thing", true, "up was 1, expected true");
        check("true", true, "true was true, expected true");
    }

    #[test]
    fn what_cannot_be_decided_is_an_error() {
        for (text, expected) in [
            ("nope < 1", "`nope` is not known; known here: cpu_usage,"),
            (
                "output.foo",
                "`output.foo` is not known; `output` has status, nodes, 5xx",
            ),
            (
                "name < 5",
                "`name` ('node-1', a text) cannot be compared with `5` (a number)",
            ),
            (
                "error_rate < 5s",
                "`error_rate` (0.5 (%), a percentage) cannot be compared with `5s` (a duration)",
            ),
            ("name", "`name` is \"node-1\", neither true nor false"),
            ("a <", "`a <`: expected a name or a value, found the end"),
        ] {
            let error = evaluate(text, &scope()).expect_err(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
