//! Adapters by name.

use caxplan_adapter::Adapter;
use caxplan_model::ActionSpec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The adapters of a process and what they offer. Made once, in the composition root, of an explicit list.
#[derive(Clone, Default)]
pub struct Registry {
    adapters: BTreeMap<&'static str, Arc<dyn Adapter>>,
    actions: BTreeMap<String, ActionSpec>,
}

impl Registry {
    /// A registry of these adapters; of two with the same name the later one stays.
    pub fn new(adapters: impl IntoIterator<Item = Arc<dyn Adapter>>) -> Self {
        let mut registry = Self::default();
        for adapter in adapters {
            for action in adapter.describe() {
                registry.actions.insert(action.name.clone(), action);
            }
            registry.adapters.insert(adapter.name(), adapter);
        }
        registry
    }

    /// The adapter that offers an action: the first segment of the action's name is its name.
    pub fn adapter(&self, action: &str) -> Option<&Arc<dyn Adapter>> {
        let name = action.split('.').next().unwrap_or(action);
        self.adapters.get(name)
    }

    /// What an action is.
    pub fn action(&self, name: &str) -> Option<&ActionSpec> {
        self.actions.get(name)
    }

    /// All actions, by name.
    pub fn actions(&self) -> impl Iterator<Item = &ActionSpec> {
        self.actions.values()
    }
}
