//! A value that is written as text wherever it goes.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// A text, number or boolean, for places where `PORT: 8080` must do as well as `PORT: "8080"`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A number, written as in the plan.
    Number(serde_json::Number),
    /// `true` or `false`.
    Boolean(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(boolean) => boolean.fmt(f),
        }
    }
}
