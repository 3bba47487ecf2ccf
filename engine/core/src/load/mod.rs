//! From plan text to graph.

mod request;

pub use request::{Diagnostic, Diagnostics, Label, LoadRequest, Loaded, ReadError, Severity};
