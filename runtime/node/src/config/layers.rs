//! Layers of a configuration, lowest first: release defaults, file, environment, flags.

use super::diagnostic::{did_you_mean, of_yaml};
use super::{ConfigError, NodeConfig, check};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every environment variable of a configuration key begins so: `CAXTON_API_BIND_ADDR` is `api.bind_addr`.
const ENVIRONMENT_PREFIX: &str = "CAXTON_";

/// Gathers the layers; [`Layers::load`] makes the configuration of them.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    release_defaults: Option<(PathBuf, Value)>,
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    overrides: Vec<(String, String)>,
}

impl Layers {
    /// No layer: the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Values that a release wants where the operator says nothing; `origin` is the file that holds them.
    #[must_use]
    pub fn release_defaults(mut self, origin: &Path, values: Value) -> Self {
        self.release_defaults = Some((origin.to_owned(), values));
        self
    }

    /// The operator's file.
    #[must_use]
    pub fn file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }

    /// Environment variables; those that are no configuration are passed over.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// One key by its path, `api.bind_addr`, with a value in YAML.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.overrides.push((key.to_owned(), value.into()));
        self
    }

    /// Puts the layers on top of each other and checks that the values fit. Does not touch any file but those named.
    pub fn load(self) -> Result<NodeConfig, ConfigError> {
        let defaults = serde_json::to_value(NodeConfig::default()).expect("a configuration is JSON");
        let mut known = BTreeMap::new();
        leaves(&defaults, "", &mut known);

        let mut merged = Value::Object(Map::new());
        if let Some((origin, values)) = self.release_defaults {
            typed(&origin.display().to_string(), values.clone())?;
            merge(&mut merged, values);
        }
        if let Some(path) = &self.file {
            merge(&mut merged, read_file(path)?);
        }
        for (variable, text) in &self.environment {
            if let Some(key) = key_of_variable(variable, &known)? {
                merge(&mut merged, one_key(&key, scalar(text)));
            }
        }
        for (key, text) in &self.overrides {
            if !known.contains_key(key) {
                return Err(unknown_key("command line", key, &known));
            }
            let layer = one_key(key, scalar(text));
            typed(&format!("command line: {key}={text}"), layer.clone())?;
            merge(&mut merged, layer);
        }

        let origin = match &self.file {
            Some(path) => path.display().to_string(),
            None => "the configuration".to_owned(),
        };
        let mut config = typed(&origin, merged)?;
        if let Some(path) = self.file {
            let path = std::path::absolute(&path).map_err(|source| ConfigError::Read { path, source })?;
            if let Some(folder) = path.parent() {
                config.anchor_paths(folder);
            }
            config.file = Some(path);
        }
        let problems = check::problems(&config);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Unfit { origin, problems })
        }
    }
}

/// The values of a file, after they were checked against the shape, so that errors name a line.
fn read_file(path: &Path) -> Result<Value, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim().starts_with('#'))
    {
        return Ok(Value::Object(Map::new()));
    }
    let options = || serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options::<NodeConfig>(&text, options())
        .map_err(|error| of_yaml(path, &text, &error))?;
    serde_saphyr::from_str_with_options(&text, options()).map_err(|error| of_yaml(path, &text, &error))
}

fn typed(origin: &str, value: Value) -> Result<NodeConfig, ConfigError> {
    serde_json::from_value(value).map_err(|error| ConfigError::At {
        origin: origin.to_owned(),
        position: None,
        source_line: None,
        message: error.to_string(),
        help: None,
    })
}

/// The configuration key that a variable sets; an unknown key of a known section is an error.
fn key_of_variable(variable: &str, known: &BTreeMap<String, Value>) -> Result<Option<String>, ConfigError> {
    let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
        return Ok(None);
    };
    let name = name.to_ascii_lowercase();
    let key = known.keys().find(|key| key.replace('.', "_") == name);
    let names_section = known
        .keys()
        .filter_map(|key| key.split('.').next())
        .any(|section| name.starts_with(&format!("{section}_")));
    match key {
        Some(key) => Ok(Some(key.clone())),
        None if names_section => Err(unknown_key(
            &format!("environment variable {variable}"),
            &name,
            known,
        )),
        None => Ok(None),
    }
}

fn unknown_key(origin: &str, key: &str, known: &BTreeMap<String, Value>) -> ConfigError {
    ConfigError::At {
        origin: origin.to_owned(),
        position: None,
        source_line: None,
        message: format!("unknown key {key:?}"),
        help: Some(did_you_mean(key, known.keys().map(String::as_str))),
    }
}

/// A value as YAML would read it: `3` is a number, `200ms` and `0.0.0.0:80` are texts.
fn scalar(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn one_key(key: &str, value: Value) -> Value {
    key.rsplit('.').fold(value, |inner, name| {
        Value::Object(Map::from_iter([(name.to_owned(), inner)]))
    })
}

/// Maps are merged key by key; anything else is replaced.
fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// All keys of a configuration with their values, by path.
pub(super) fn leaves(value: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                leaves(value, &path, out);
            }
        }
        other => {
            out.insert(path.to_owned(), other.clone());
        }
    }
}
