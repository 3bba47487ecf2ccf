//! Keys of inventories.

use super::{Object, STEPS, Shape, key};

pub(in crate::load) static TARGET: Object = Object {
    name: "a target",
    schema: "target",
    required: &[],
    keys: &[
        key(
            "groups",
            Shape::OneOrMany(&Shape::Text),
            "The groups it belongs to.",
        ),
        key("labels", Shape::MapOf(&Shape::Any), "Labels to select it by."),
        key(
            "vars",
            Shape::AnyMap,
            "Its variables, `target.vars.…` in templates.",
        ),
    ],
};

pub(in crate::load) static GROUP: Object = Object {
    name: "a group",
    schema: "group",
    required: &[],
    keys: &[
        key(
            "targets",
            Shape::List(&Shape::Text),
            "The targets that belong to it.",
        ),
        key(
            "groups",
            Shape::OneOrMany(&Shape::Text),
            "Groups whose targets belong to it too.",
        ),
        key(
            "labels",
            Shape::MapOf(&Shape::Any),
            "Labels of all its targets; a target's own go before them.",
        ),
        key(
            "vars",
            Shape::AnyMap,
            "Variables of all its targets; a target's own go before them.",
        ),
    ],
};

pub(in crate::load) static INVENTORY: Object = Object {
    name: "an inventory",
    schema: "inventory",
    required: &[],
    keys: &[
        key(
            "targets",
            Shape::MapOf(&Shape::Object(&TARGET)),
            "By name: what steps act on.",
        ),
        key(
            "groups",
            Shape::MapOf(&Shape::Object(&GROUP)),
            "By name: labels and variables of several targets. Every target belongs to the group `all`.",
        ),
        key(
            "from",
            Shape::OneOrMany(&Shape::Call),
            "Actions that only read and answer with more targets: a command, a cluster's members, HTTP service discovery.",
        ),
        key("vars", Shape::AnyMap, "Variables that go before the plan's own."),
        key(
            "params",
            Shape::AnyMap,
            "Values of parameters that go before the plan's defaults.",
        ),
        key(
            "provision",
            STEPS,
            "Steps that run first, as the phase `provision`.",
        ),
    ],
};

/// A file that holds an inventory: the inventory itself, or under the key `inventory`.
pub(in crate::load) static INVENTORY_FILE: Object = Object {
    name: "an inventory file",
    schema: "inventory_file",
    required: &["inventory"],
    keys: &[
        key(
            "caxplan",
            Shape::Count,
            "The version of the language; 1 if it is not given.",
        ),
        key("name", Shape::Text, "The inventory's name."),
        key("description", Shape::Text, "What it is for."),
        key("inventory", Shape::Object(&INVENTORY), "The inventory."),
    ],
};
