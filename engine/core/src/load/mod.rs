//! From plan text to graph.
//!
//! Each stage has its own file: `yaml` (text → nodes with places) → `plan`, `phase`, `step`, `library`,
//! `inventory`, `param` (nodes → what is written, typed; `calendar`, `policy` and `monitors` make plans of what is none) → `lower` with `bind` and `names` (what is written →
//! nodes of the graph, bound and checked) → `crate::expand` (loops → elements). All of them add to one `report`.

mod all;
mod arena;
mod bind;
mod calendar;
mod call;
mod child;
mod dag;
mod discover;
mod entries;
mod foreign;
mod handed;
mod invariant;
mod inventory;
mod keys;
mod library;
#[allow(clippy::module_inception)]
mod load;
mod lock;
mod loops;
mod lower;
mod lower_action;
mod lower_foreach;
mod lower_monitor;
mod missing;
mod monitors;
mod names;
mod notify;
mod options;
mod overrides;
mod param;
mod parts;
mod phase;
mod plan;
mod policy;
mod read;
mod reference;
mod render;
mod report;
mod request;
mod retry;
mod schedule;
mod schema;
mod settle;
mod step;
mod suggest;
mod syntax;
mod test;
mod yaml;

pub use all::{All, Check, Monitor, Monitors, Rule, load_all, monitors};
pub use entries::{Entry, entries};
pub use handed::{checked_params, checked_secrets, hand_over, handed_secrets};
pub use keys::body_keys;
pub use load::load;
pub use missing::{MissingParam, declared_params, missing_params};
pub use reference::reference;
pub use request::{
    Catalog, Diagnostic, Diagnostics, Discover, Label, LoadRequest, Loaded, NO_ACTIONS, ReadError, Severity,
    adapter_of,
};
pub use schema::{DocumentKind, schema};
pub use test::{Case, load_test};
