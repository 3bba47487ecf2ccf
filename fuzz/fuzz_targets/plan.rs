//! Whatever the files of a plan hold, loading it ends in a graph that can be shown, or in diagnostics.
//!
//! The input is one plan file, behind a line `%%%` perhaps a library, behind another perhaps an inventory.

#![no_main]

#[allow(dead_code)]
#[path = "../../engine/core/tests/load/actions.rs"]
mod actions;

use caxplan_core::load::{LoadRequest, ReadError, entries, load};
use caxplan_core::preview::{Foresight, build};
use caxplan_core::schedule::State;
use caxplan_model::{ActionSpec, Map};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::LazyLock;

static ACTIONS: LazyLock<Vec<ActionSpec>> = LazyLock::new(actions::actions);

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, "\n%%%\n");
    let files: BTreeMap<&str, &str> = ["plan.yaml", "library.yaml", "inventory.yaml"]
        .into_iter()
        .filter_map(|name| Some((name, parts.next()?)))
        .collect();
    let libraries: Vec<String> = files
        .contains_key("library.yaml")
        .then(|| "library.yaml".to_owned())
        .into_iter()
        .collect();
    let params = Map::from_iter([("token".to_owned(), "hush".into())]);
    let mut request = LoadRequest {
        plan: "plan.yaml",
        entry: None,
        libraries: &libraries,
        inventory: files.contains_key("inventory.yaml").then_some("inventory.yaml"),
        params: &params,
        actions: &*ACTIONS,
        limit: &[],
        discover: None,
    };
    let mut read = |path: &str| {
        files
            .get(path)
            .map(|text| (*text).to_owned())
            .ok_or_else(|| ReadError {
                message: "it is not there".to_owned(),
            })
    };
    let listed = entries(&request, &mut read).unwrap_or_default();
    let names = listed.iter().map(|entry| entry.name.as_deref());
    for entry in names.chain([None]).take(3) {
        request.entry = entry;
        match load(&request, &mut read) {
            Ok(loaded) => {
                assert!(!loaded.warnings.has_errors());
                loaded.graph.digest();
                let preview = build(
                    &loaded.graph,
                    &Foresight::of(&loaded.graph, &Map::new()),
                    &BTreeMap::new(),
                );
                preview.to_tree(false);
                preview.to_markdown();
                preview.to_mermaid();
                preview.to_json();
                State::new(loaded.graph);
            }
            Err(wrong) => {
                assert!(wrong.has_errors());
                assert!(wrong.render(true).ends_with('\n'));
                assert!(!wrong.render(false).contains("hush") || text.contains("hush"));
            }
        }
    }
});
