//! What is expected of an answer, and what is picked out of it.

use super::send::{Answer, SendError, kind_of};
use crate::Scalar;
use caxplan_model::{Cause, FailureKind, Map, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;
use std::collections::BTreeMap;

/// How much of an unexpected value or body a message shows, in characters.
const EXCERPT_MAX: usize = 200;

/// What an answer must be like. What is not named may be anything; an answer without `status` must be a success.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The status, or several of which one must be met; any of 200 to 299 if absent.
    #[serde(default)]
    pub status: Statuses,
    /// By the name of a header: a text that it must hold.
    #[serde(default)]
    pub headers: BTreeMap<String, Scalar>,
    /// By a JSONPath (RFC 9535) into the body: the value that must be there.
    #[serde(default)]
    pub json: BTreeMap<String, Value>,
    /// A text that the body must hold.
    #[serde(default)]
    pub body: Option<String>,
}

/// One status, or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Statuses {
    /// One.
    One(u16),
    /// Several.
    Many(Vec<u16>),
}

impl Default for Statuses {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// JSON paths by what they are for, ready to be used.
pub(super) struct Paths(Vec<(String, JsonPath)>);

impl Paths {
    /// Reads paths: `invalid` if one is none.
    pub(super) fn of<'a>(paths: impl Iterator<Item = (&'a String, &'a String)>) -> Result<Self, Cause> {
        let read = |(name, path): (&String, &String)| match JsonPath::parse(path) {
            Ok(read) => Ok((name.clone(), read)),
            Err(error) => Err(
                Cause::new(FailureKind::Invalid, format!("`{path}` is no JSONPath: {error}"))
                    .with_hint("a path begins with `$`: `$.nodes[0].state`"),
            ),
        };
        Ok(Self(paths.map(read).collect::<Result<_, Cause>>()?))
    }

    /// What each finds: the one value, or the list of several; `null` if nothing.
    pub(super) fn select(&self, json: &Value) -> Map {
        self.0
            .iter()
            .map(|(name, path)| (name.clone(), found(path, json)))
            .collect()
    }
}

fn found(path: &JsonPath, json: &Value) -> Value {
    let mut all: Vec<Value> = path.query(json).all().into_iter().cloned().collect();
    match all.len() {
        0 => Value::Null,
        1 => all.remove(0),
        _ => Value::Array(all),
    }
}

impl Expect {
    /// Whether the paths are paths. To be asked before anything is sent.
    pub(super) fn check(&self) -> Result<(), Cause> {
        Paths::of(self.json.keys().map(|path| (path, path))).map(drop)
    }

    /// Whether the answer is as expected; `what` names the request, as in `GET http://…`.
    pub(super) fn met(&self, what: &str, answer: &Answer) -> Result<(), SendError> {
        let status = answer.status;
        let expected = match &self.status {
            Statuses::One(one) => *one == status.as_u16(),
            Statuses::Many(many) if many.is_empty() => status.is_success(),
            Statuses::Many(many) => many.contains(&status.as_u16()),
        };
        let unmet = |kind: FailureKind, message: String| SendError {
            cause: Cause::new(kind, message).with_detail(answer.output()),
            may_have_arrived: true,
        };
        if !expected {
            let body = excerpt(String::from_utf8_lossy(&answer.body).trim());
            return Err(unmet(
                kind_of(status),
                format!("{what} answered {status}: {body}"),
            ));
        }
        match self.unmet(answer) {
            None => Ok(()),
            Some(reason) => Err(unmet(
                FailureKind::Expectation,
                format!("{what} answered {status}, but {reason}"),
            )),
        }
    }

    fn unmet(&self, answer: &Answer) -> Option<String> {
        for (name, wanted) in &self.headers {
            let wanted = wanted.to_string();
            let found = answer.headers.get(&name.to_ascii_lowercase());
            match found.and_then(Value::as_str) {
                None => return Some(format!("has no header `{name}`")),
                Some(found) if !found.contains(&wanted) => {
                    return Some(format!("`{name}` is `{}`, without `{wanted}`", excerpt(found)));
                }
                Some(_) => {}
            }
        }
        if let Some(wanted) = &self.body
            && !String::from_utf8_lossy(&answer.body).contains(wanted)
        {
            return Some(format!("its body does not hold `{}`", excerpt(wanted)));
        }
        if self.json.is_empty() {
            return None;
        }
        let Some(json) = answer.json() else {
            return Some("its body is no JSON".to_owned());
        };
        self.json.iter().find_map(|(path, wanted)| {
            let Ok(read) = JsonPath::parse(path) else {
                return Some(format!("`{path}` is no JSONPath"));
            };
            let all: Vec<Value> = read.query(&json).all().into_iter().cloned().collect();
            let met = match all.as_slice() {
                [one] if same(one, wanted) => true,
                several => wanted.as_array().is_some_and(|wanted| {
                    same(&Value::Array(several.to_vec()), &Value::Array(wanted.clone()))
                }),
            };
            (!met).then(|| match all.as_slice() {
                [] => format!("`{path}` is not there, where {wanted} was expected"),
                [one] => format!("`{path}` is {}, not {wanted}", excerpt(&one.to_string())),
                several => format!(
                    "`{path}` finds {}, not {wanted}",
                    excerpt(&Value::Array(several.to_vec()).to_string())
                ),
            })
        })
    }
}

/// Whether two values are the same; 1 and 1.0 are.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn excerpt(text: &str) -> String {
    if text.chars().count() <= EXCERPT_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(EXCERPT_MAX).collect();
    format!("{head}…")
}
