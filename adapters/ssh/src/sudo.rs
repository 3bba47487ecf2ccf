//! As whom something is done on a host.

use caxplan_adapter::Call;
use caxplan_model::{Cause, FailureKind, Value};
use serde::{Deserialize, Deserializer};

/// As whom something is done on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sudo {
    /// As the user who logged in.
    #[default]
    No,
    /// As root, by `sudo -n`.
    Root,
    /// As another user, by `sudo -n -u`.
    User(String),
}

impl Sudo {
    /// The target's variable `sudo`: the default of the argument.
    pub(crate) fn of_target(call: &Call) -> Result<Self, Cause> {
        let value = call.target.as_ref().and_then(|target| target.vars.get("sudo"));
        match value {
            None | Some(Value::Null) => Ok(Self::No),
            Some(value) => Self::of_value(value).map_err(|reason| {
                Cause::new(
                    FailureKind::Invalid,
                    format!("the target's variable `sudo` is {value}, {reason}"),
                )
            }),
        }
    }

    fn of_value(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Bool(false) => Ok(Self::No),
            Value::Bool(true) => Ok(Self::Root),
            Value::String(text) if text == "root" || text == "true" => Ok(Self::Root),
            Value::String(text) if text == "false" => Ok(Self::No),
            Value::String(user)
                if !user.is_empty() && !user.starts_with('-') && !user.contains(char::is_whitespace) =>
            {
                Ok(Self::User(user.clone()))
            }
            _ => Err("which is neither true, nor false, nor a user's name"),
        }
    }
}

impl<'de> Deserialize<'de> for Sudo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::of_value(&value).map_err(|reason| serde::de::Error::custom(format!("{value}, {reason}")))
    }
}

impl schemars::JsonSchema for Sudo {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sudo".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "As whom: false is the user who logs in, true is root, a text is another user's name; by `sudo -n`, which asks for no password.",
            "type": ["boolean", "string"],
        })
    }
}
