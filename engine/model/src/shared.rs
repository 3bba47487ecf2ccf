//! Maps that cost little where they are empty or the same.

use crate::{Map, Value};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};

/// A map that takes no room where it is empty, and is shared where it was copied: most steps of a large plan have few
/// arguments and no bindings, and all elements of a loop have the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Map", into = "Map")]
pub struct SharedMap(Option<Arc<Map>>);

impl SharedMap {
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Keeps only the entries whose keys are `kept`.
    pub fn retain(&mut self, mut kept: impl FnMut(&str) -> bool) {
        if let Some(map) = &mut self.0 {
            Arc::make_mut(map).retain(|name, _| kept(name));
            if map.is_empty() {
                self.0 = None;
            }
        }
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.as_mut().and_then(|map| Arc::make_mut(map).get_mut(name))
    }

    /// All entries, whose values may be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Value)> {
        self.0.iter_mut().flat_map(|map| Arc::make_mut(map).iter_mut())
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().flat_map(|map| Arc::make_mut(map).values_mut())
    }

    /// Sets the value of a key, in place of what it was.
    pub fn insert(&mut self, name: String, value: Value) {
        Arc::make_mut(self.0.get_or_insert_default()).insert(name, value);
    }
}

impl std::ops::Deref for SharedMap {
    type Target = Map;

    fn deref(&self) -> &Map {
        static NOTHING: LazyLock<Map> = LazyLock::new(Map::new);
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl From<Map> for SharedMap {
    fn from(map: Map) -> Self {
        Self((!map.is_empty()).then(|| Arc::new(map)))
    }
}

impl From<SharedMap> for Map {
    fn from(shared: SharedMap) -> Self {
        shared.0.map(Arc::unwrap_or_clone).unwrap_or_default()
    }
}
