//! Keys of action libraries.

use super::plan::DEFAULTS;
use super::{Object, Shape, key};

/// An entry of a library: a step without a place of its own.
pub(in crate::load) static LIBRARY: Object = Object {
    name: "an action library",
    schema: "library",
    required: &["actions"],
    keys: &[
        key(
            "caxplan",
            Shape::Count,
            "The version of the language; 1 if it is not given.",
        ),
        key("name", Shape::Text, "The library's name."),
        key("description", Shape::Text, "What it is for."),
        key(
            "vars",
            Shape::AnyMap,
            "Values that templates can use; a plan's own go before them.",
        ),
        key(
            "defaults",
            Shape::Object(&DEFAULTS),
            "What its actions get that say nothing of their own.",
        ),
        key(
            "use",
            Shape::OneOrMany(&Shape::Text),
            "Other libraries, by path from this file.",
        ),
        key(
            "actions",
            Shape::MapOf(&Shape::Step),
            "By name: what a step of this name does.",
        ),
    ],
};
