//! What steps act on.

use crate::Map;
use serde::{Deserialize, Serialize};

/// One machine, node or service of an inventory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name, unique in the inventory.
    pub name: String,
    /// The groups it belongs to, sorted.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Labels to select it by (`targets('role=storage')`).
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
    /// Its variables, in templates as `target.vars.…`.
    #[serde(default)]
    pub vars: Map,
}

impl Target {
    /// Whether it belongs to a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|of| of == group)
    }
}
