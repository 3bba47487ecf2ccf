//! Adapters by name.

use caxplan_adapter::Adapter;
use caxplan_core::load::{Catalog, adapter_of};
use caxplan_model::{ActionName, ActionSpec};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The adapters of a process and what they offer. Made once, in the composition root, of an explicit list.
///
/// An adapter describes itself when one of its actions is first asked for: most plans use few of them.
#[derive(Clone, Default)]
pub struct Registry {
    adapters: BTreeMap<&'static str, Arc<Entry>>,
}

struct Entry {
    adapter: Arc<dyn Adapter>,
    actions: OnceLock<BTreeMap<ActionName, ActionSpec>>,
}

impl Registry {
    /// A registry of these adapters; of two with the same name the later one stays.
    pub fn new(adapters: impl IntoIterator<Item = Arc<dyn Adapter>>) -> Self {
        let entry = |adapter: Arc<dyn Adapter>| {
            let entry = Entry {
                adapter,
                actions: OnceLock::new(),
            };
            (entry.adapter.name(), Arc::new(entry))
        };
        Self {
            adapters: adapters.into_iter().map(entry).collect(),
        }
    }

    /// The adapter that offers an action: the first segment of the action's name is its name.
    pub fn adapter(&self, action: &str) -> Option<&Arc<dyn Adapter>> {
        Some(&self.adapters.get(adapter_of(action))?.adapter)
    }

    fn described(&self, adapter: &str) -> Option<&BTreeMap<ActionName, ActionSpec>> {
        let entry = self.adapters.get(adapter)?;
        Some(entry.actions.get_or_init(|| {
            let specs = entry.adapter.describe().into_iter();
            specs.map(|spec| (spec.name.clone(), spec)).collect()
        }))
    }
}

impl Catalog for Registry {
    fn adapters(&self) -> Vec<&str> {
        self.adapters.keys().copied().collect()
    }

    fn actions_of(&self, adapter: &str) -> Vec<&ActionSpec> {
        let described = self.described(adapter).into_iter();
        described.flat_map(BTreeMap::values).collect()
    }

    fn action(&self, name: &str) -> Option<&ActionSpec> {
        self.described(adapter_of(name))?.get(name)
    }
}
