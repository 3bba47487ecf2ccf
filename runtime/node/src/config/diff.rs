//! What differs between two configurations.

use super::NodeConfig;
use super::layers::leaves;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A key whose values differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The key by its path.
    pub key: String,
    /// Its value in the baseline.
    pub baseline: Value,
    /// Its value now.
    pub actual: Value,
}

/// The keys whose effective values differ, in the order of their names.
pub fn differences(baseline: &NodeConfig, actual: &NodeConfig) -> Vec<Difference> {
    let flat = |config: &NodeConfig| {
        let mut out = BTreeMap::new();
        let value = serde_json::to_value(config).expect("a configuration is JSON");
        leaves(&value, "", &mut out);
        out
    };
    let actual = flat(actual);
    flat(baseline)
        .into_iter()
        .filter_map(|(key, baseline)| {
            let actual = actual.get(&key).cloned().unwrap_or(Value::Null);
            (baseline != actual).then_some(Difference {
                key,
                baseline,
                actual,
            })
        })
        .collect()
}
