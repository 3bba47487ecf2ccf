//! Keys of tests of plans.

use super::{CONDITIONS, FAILURE_KINDS, Object, Shape, key};

pub(in crate::load) const ENDS: &[&str] = &[
    "succeeded",
    "failed",
    "rolled_back",
    "stuck",
    "waiting",
    "paused",
    "in_doubt",
    "cancelled",
];
pub(in crate::load) const ANSWERS: &[&str] =
    &["approved", "rejected", "nobody", "rerun", "assume-done", "fail"];
pub(in crate::load) const TRUTHS: &[&str] = &["done", "not_done", "unknown"];

const NAMES: Shape = Shape::OneOrMany(&Shape::Text);

pub(in crate::load) static FAILS: Object = Object {
    name: "a failure",
    schema: "fails",
    required: &[],
    keys: &[
        key(
            "kind",
            Shape::Word(FAILURE_KINDS),
            "Its class, as `retry.on` names it; `other` if it is not given.",
        ),
        key("message", Shape::Text, "What is said of it."),
        key(
            "may_have_acted",
            Shape::Boolean,
            "Whether something may have been changed all the same; false if it is not given.",
        ),
        key(
            "attempts",
            Shape::Count,
            "How many attempts fail before one succeeds; all of them if it is not given.",
        ),
    ],
};

pub(in crate::load) static FATE: Object = Object {
    name: "what happens to a step",
    schema: "fate",
    required: &[],
    keys: &[
        key("output", Shape::Any, "What it puts out."),
        key(
            "before",
            Shape::Any,
            "What is there before it acts, as rollbacks see it.",
        ),
        key(
            "unchanged",
            Shape::Boolean,
            "Whether it finds everything as it should be.",
        ),
        key(
            "fails",
            Shape::Either(&[Shape::Boolean, Shape::Object(&FAILS)]),
            "It fails.",
        ),
        key(
            "times_out",
            Shape::Boolean,
            "It reaches its time limit, and nobody knows whether it acted.",
        ),
        key(
            "in_doubt",
            Shape::Either(&[Shape::Boolean, Shape::Word(TRUTHS)]),
            "The engine dies in its middle. Whether it had done its work; `true` is `unknown`: not even a probe can tell.",
        ),
        key(
            "interrupted",
            Shape::Boolean,
            "A person interrupts the run while it goes on.",
        ),
        key("breaches", Shape::Boolean, "For a watch: its checks are not met."),
        key("undo_fails", Shape::Boolean, "It cannot be undone."),
    ],
};

pub(in crate::load) static EXPECT: Object = Object {
    name: "what is expected",
    schema: "expect",
    required: &["end"],
    keys: &[
        key(
            "end",
            Shape::OneOrMany(&Shape::Word(ENDS)),
            "How the run ends; any of these. `waiting` is any of `paused`, `in_doubt` and a question without an answer.",
        ),
        key("ran", NAMES, "Steps that start."),
        key("not_ran", NAMES, "Steps that do not start."),
        key("skipped", NAMES, "Steps that are skipped."),
        key("failed", NAMES, "Steps that fail for good."),
        key("undone", NAMES, "Steps that are undone."),
        key(
            "not_undone",
            NAMES,
            "Steps that may have acted and that the rollback leaves.",
        ),
        key(
            "attempts",
            Shape::MapOf(&Shape::Count),
            "By step: how often it is tried.",
        ),
        key(
            "down",
            NAMES,
            "Exactly the targets that are down at the end; `[]` is none.",
        ),
        key(
            "max_down",
            Shape::Count,
            "The most targets that are down at once.",
        ),
        key(
            "within",
            Shape::Duration,
            "The longest that it may take, where every attempt takes its time limit.",
        ),
        key(
            "conditions",
            CONDITIONS,
            "What holds at the end, over `steps`, `params` and `vars`.",
        ),
    ],
};

pub(in crate::load) static CASE: Object = Object {
    name: "a case",
    schema: "case",
    required: &["name", "expect"],
    keys: &[
        key("name", Shape::Text, "Its name, unique in the file."),
        key("description", Shape::Text, "What it shows."),
        key(
            "params",
            Shape::AnyMap,
            "Parameters; they go before those of the file.",
        ),
        key("env", Shape::AnyMap, "Environment variables that the plan reads."),
        key(
            "secrets",
            Shape::AnyMap,
            "Secrets that conditions of the plan read.",
        ),
        key(
            "steps",
            Shape::MapOf(&Shape::Object(&FATE)),
            "By step: what happens to it. A name that several steps have means all of them. All others succeed.",
        ),
        key(
            "answers",
            Shape::MapOf(&Shape::Word(ANSWERS)),
            "By approval, checklist or step in doubt: what a person answers. Other approvals are given.",
        ),
        key("expect", Shape::Object(&EXPECT), "What must come of it."),
    ],
};

pub(in crate::load) static TEST: Object = Object {
    name: "a test",
    schema: "test",
    required: &["plan", "cases"],
    keys: &[
        key(
            "caxplan",
            Shape::Count,
            "The version of the language; 1 if it is not given.",
        ),
        key("description", Shape::Text, "What it is about."),
        key(
            "plan",
            Shape::Text,
            "The plan, by path from this file; `FILE#ENTRY` names one of several.",
        ),
        key("params", Shape::AnyMap, "Parameters of the plan."),
        key(
            "use",
            Shape::OneOrMany(&Shape::Text),
            "Libraries that bind the plan's bare names, by path from this file.",
        ),
        key(
            "inventory",
            Shape::Text,
            "An inventory in place of the plan's own, by path from this file.",
        ),
        key("cases", Shape::List(&Shape::Object(&CASE)), "The cases."),
    ],
};
