//! Plans from files, as users write them: `tests/fixtures/valid` must load, and what is wrong with each file of
//! `tests/fixtures/invalid` must be said exactly as in the file beside it.
//!
//! `UPDATE=1 cargo test -p caxplan-core --test load` writes what is said now.

// Tests read fixtures; the package itself does no I/O.
#![allow(clippy::disallowed_methods)]

mod actions;
mod documents;
mod invalid;
mod mangled;
mod schemas;
mod valid;

use caxplan_core::load::{Diagnostics, LoadRequest, Loaded, ReadError, load};
use caxplan_model::Map;
use std::path::{Path, PathBuf};

/// The folder of the fixtures.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// What to load beside a plan.
#[derive(Default)]
struct With<'a> {
    libraries: Vec<&'a str>,
    inventory: Option<&'a str>,
    entry: Option<&'a str>,
    params: Map,
}

/// Loads a plan; names of files are taken from `tests/fixtures/{folder}`.
fn load_file(folder: &str, plan: &str, with: &With<'_>) -> Result<Loaded, Diagnostics> {
    let root = fixtures().join(folder);
    let libraries: Vec<String> = with.libraries.iter().map(|path| (*path).to_owned()).collect();
    let request = LoadRequest {
        plan,
        entry: with.entry,
        libraries: &libraries,
        inventory: with.inventory,
        params: &with.params,
        actions: &actions::actions(),
        limit: &[],
        discover: None,
    };
    load(&request, &mut |path| {
        std::fs::read_to_string(root.join(path)).map_err(|error| ReadError {
            message: error.kind().to_string(),
        })
    })
}

/// Loads a plan from its text.
fn load_text(text: &str, params: &Map) -> Result<Loaded, Diagnostics> {
    let request = LoadRequest {
        plan: "plan.yaml",
        entry: None,
        libraries: &[],
        inventory: None,
        params,
        actions: &actions::actions(),
        limit: &[],
        discover: None,
    };
    load(&request, &mut |_| Ok(text.to_owned()))
}
