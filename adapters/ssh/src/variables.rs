//! The variables of a target that say how it is reached.

use caxplan_model::{Cause, FailureKind, Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A target's variables.
pub(crate) struct Variables<'a> {
    vars: &'a Map,
    folder: &'a Path,
}

impl<'a> Variables<'a> {
    /// Paths in them are relative to `folder`, the plan's.
    pub(crate) fn new(vars: &'a Map, folder: &'a Path) -> Self {
        Self { vars, folder }
    }

    fn wrong(&self, name: &str, wanted: &str) -> Cause {
        let value = self.vars.get(name).unwrap_or(&Value::Null);
        Cause::new(
            FailureKind::Invalid,
            format!("the target's variable `{name}` is {value}, which is not {wanted}"),
        )
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Cause> {
        match self.vars.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Cause> {
        match self.vars.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::Number(number)) => number.as_u64().map(Some),
            Some(Value::String(text)) => text.parse().ok().map(Some),
            Some(_) => None,
        }
        .ok_or_else(|| self.wrong(name, "a whole number"))
    }

    pub(crate) fn port(&self, name: &str) -> Result<Option<u16>, Cause> {
        let port = self.number(name)?.map(u16::try_from).transpose();
        port.ok()
            .filter(|port| *port != Some(0))
            .ok_or_else(|| self.wrong(name, "a port"))
    }

    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, Cause> {
        match self.vars.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => match text.parse::<caxplan_model::Duration>() {
                Ok(duration) => Ok(Some(Duration::from_millis(duration.as_millis()))),
                Err(_) => Err(self.wrong(name, "a duration such as 10s")),
            },
            Some(Value::Number(number)) if number.as_u64() == Some(0) => Ok(Some(Duration::ZERO)),
            Some(_) => Err(self.wrong(name, "a duration such as 10s")),
        }
    }

    pub(crate) fn paths(&self, name: &str, home: &Path) -> Result<Vec<PathBuf>, Cause> {
        match self.vars.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![self.path(text, home)]),
            Some(Value::Array(texts)) => texts
                .iter()
                .map(|text| match text {
                    Value::String(text) => Ok(self.path(text, home)),
                    _ => Err(self.wrong(name, "a path or a list of them")),
                })
                .collect(),
            Some(_) => Err(self.wrong(name, "a path or a list of them")),
        }
    }

    /// A path in a plan is relative to the plan's folder.
    pub(crate) fn path(&self, text: &str, home: &Path) -> PathBuf {
        match text.strip_prefix("~/") {
            Some(rest) => home.join(rest),
            None => self.folder.join(text),
        }
    }
}
