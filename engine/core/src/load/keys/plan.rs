//! Keys of plans: their header and their phases.

use super::inventory::INVENTORY;
use super::step::RETRY;
use super::{
    IF_HELD, MISFIRES, NOTIFY_ON, ON_FAILURE, ORDERS, OVERLAPS, Object, PARAM_TYPES, STEPS, Shape, key,
};

pub(in crate::load) static PARAM: Object = Object {
    name: "a parameter",
    schema: "param",
    required: &[],
    keys: &[
        key(
            "type",
            Shape::Word(PARAM_TYPES),
            "The type; string if it is not given.",
        ),
        key("default", Shape::Any, "The value if none is given."),
        key("required", Shape::Boolean, "Whether a value must be given."),
        key("description", Shape::Text, "What it is for."),
        key(
            "pattern",
            Shape::Text,
            "A regular expression that the whole text must match.",
        ),
        key(
            "min",
            Shape::Any,
            "The least value, or the least length of a list.",
        ),
        key(
            "max",
            Shape::Any,
            "The greatest value, or the greatest length of a list.",
        ),
        key(
            "secret",
            Shape::Boolean,
            "Whether the value must not be shown or stored.",
        ),
        key("values", Shape::List(&Shape::Any), "The values of an enum."),
    ],
};

pub(in crate::load) static DEFAULTS: Object = Object {
    name: "defaults",
    schema: "defaults",
    required: &[],
    keys: &[
        key(
            "retry",
            Shape::Object(&RETRY),
            "For every action that has no retry of its own.",
        ),
        key(
            "timeout",
            Shape::Duration,
            "For every action that has no timeout of its own.",
        ),
        key(
            "arguments",
            Shape::MapOf(&Shape::AnyMap),
            "By adapter: arguments that are given to each of its actions that knows them.",
        ),
        key("observe", Shape::Call, "What a watch without `observe` looks at."),
    ],
};

pub(in crate::load) static PHASE: Object = Object {
    name: "a phase",
    schema: "phase",
    required: &["name", "steps"],
    keys: &[
        key("name", Shape::Text, "Its name, unique in the plan."),
        key("description", Shape::Text, "What it is for."),
        key(
            "when",
            Shape::Text,
            "A condition; the phase is skipped if it is false.",
        ),
        key(
            "order",
            Shape::Word(ORDERS),
            "One step after the other, or by `needs`.",
        ),
        key("steps", STEPS, "Its steps."),
        key(
            "on_failure",
            Shape::Word(ON_FAILURE),
            "What happens when it has failed.",
        ),
        key(
            "rollback",
            Shape::OneOrMany(&Shape::Call),
            "How to undo the phase as a whole, in place of what its steps say.",
        ),
        key(
            "checkpoint",
            Shape::Text,
            "The point that is reached when it has ended well.",
        ),
        key("max_parallel", Shape::Count, "How many of its steps at once."),
        key("timeout", Shape::Duration, "The time limit of the whole phase."),
        key(
            "needs",
            Shape::OneOrMany(&Shape::Text),
            "The phases that must have ended well; all before it if it is not given.",
        ),
    ],
};

pub(in crate::load) static STRATEGY: Object = Object {
    name: "a strategy",
    schema: "strategy",
    required: &["phases"],
    keys: &[
        key(
            "type",
            Shape::Word(&["rolling", "sequential"]),
            "The kind of strategy.",
        ),
        key(
            "phases",
            Shape::List(&Shape::Object(&PHASE)),
            "The phases, in their order.",
        ),
    ],
};

pub(in crate::load) static PLAN: Object = Object {
    name: "a plan",
    schema: "plan",
    required: &[],
    keys: &[
        key(
            "caxplan",
            Shape::Count,
            "The version of the language; 1 if it is not given.",
        ),
        key(
            "name",
            Shape::Text,
            "The plan's name; the file's name if it is not given.",
        ),
        key("description", Shape::Text, "What it is for."),
        key(
            "params",
            Shape::MapOf(&Shape::Object(&PARAM)),
            "What the user can set.",
        ),
        key("vars", Shape::AnyMap, "Values that templates can use."),
        key(
            "use",
            Shape::OneOrMany(&Shape::Text),
            "Action libraries, by path from this file.",
        ),
        key(
            "inventory",
            Shape::Either(&[Shape::Text, Shape::Object(&INVENTORY)]),
            "The targets: a path from this file, or a mapping.",
        ),
        key(
            "secrets",
            Shape::MapOf(&Shape::Object(&SECRET)),
            "Where secrets come from.",
        ),
        key(
            "env",
            Shape::List(&Shape::Text),
            "Environment variables that templates may read.",
        ),
        key(
            "lock",
            Shape::Either(&[Shape::OneOrMany(&Shape::Text), Shape::Object(&LOCK)]),
            "Locks that a run holds: their names, or a mapping that also says what happens if one is held.",
        ),
        key(
            "defaults",
            Shape::Object(&DEFAULTS),
            "What actions get that say nothing of their own.",
        ),
        key(
            "on_failure",
            Shape::Word(ON_FAILURE),
            "What happens when a phase has failed.",
        ),
        key(
            "max_parallel",
            Shape::Count,
            "How many steps at once; 0 is no limit.",
        ),
        key(
            "overrides",
            Shape::MapOf(&Shape::AnyMap),
            "By the path of a phase or step: options that replace its own.",
        ),
        key(
            "schedule",
            Shape::Either(&[Shape::Text, Shape::Object(&SCHEDULE)]),
            "When it runs by itself: a cron expression, or more.",
        ),
        key(
            "notify",
            Shape::OneOrMany(&Shape::Object(&NOTIFICATION)),
            "Who is told when a run has left its engine.",
        ),
        key(
            "outputs",
            Shape::AnyMap,
            "What a plan that runs it as a child sees of it, by name: templates.",
        ),
        key(
            "invariants",
            Shape::OneOrMany(&Shape::Object(&INVARIANT)),
            "What must hold all the time, or a step that would break it does not start.",
        ),
        key(
            "upgrade_strategy",
            Shape::Object(&STRATEGY),
            "The body: an upgrade in phases.",
        ),
        key(
            "strategy",
            Shape::Object(&STRATEGY),
            "The body: phases of a strategy.",
        ),
        key(
            "phases",
            Shape::List(&Shape::Object(&PHASE)),
            "The body: phases, in their order.",
        ),
    ],
};

pub(in crate::load) static SECRET: Object = Object {
    name: "a secret",
    schema: "secret",
    required: &[],
    keys: &[
        key("env", Shape::Text, "The environment variable that holds it."),
        key("file", Shape::Text, "The file that holds it."),
        key(
            "command",
            Shape::List(&Shape::Text),
            "The program and its arguments that print it.",
        ),
        key(
            "age",
            Shape::Object(&AGE),
            "A file that is encrypted with age, and where in it.",
        ),
    ],
};

pub(in crate::load) static AGE: Object = Object {
    name: "an encrypted file",
    schema: "age",
    required: &["file"],
    keys: &[
        key(
            "file",
            Shape::Text,
            "The encrypted file, by path from this one: binary, or armored.",
        ),
        key(
            "identity",
            Shape::Either(&[Shape::Text, Shape::Object(&AGE_IDENTITY)]),
            "The file of the identity that opens it; the one that CAXPLAN_AGE_IDENTITY names if it is not given.",
        ),
        key(
            "key",
            Shape::Text,
            "Where the secret stands in the file's mapping, as `db.password`; else the whole text is the secret.",
        ),
    ],
};

pub(in crate::load) static AGE_IDENTITY: Object = Object {
    name: "an identity",
    schema: "age-identity",
    required: &["env"],
    keys: &[key(
        "env",
        Shape::Text,
        "The environment variable that holds the identity itself.",
    )],
};

pub(in crate::load) static INVARIANT: Object = Object {
    name: "an invariant",
    schema: "invariant",
    required: &[],
    keys: &[
        key(
            "max_unavailable",
            Shape::Text,
            "The most targets that may be down at once: a number, or a percentage of those that are counted.",
        ),
        key(
            "targets",
            Shape::Text,
            "Which targets are counted, as a selector (`group:web`); all if it is not given.",
        ),
        key(
            "condition",
            Shape::Text,
            "What must hold before each step that takes a target down, and after each element of a loop with such steps.",
        ),
        key(
            "observe",
            Shape::Call,
            "The action that only reads, whose output the condition sees, as the checks of a watch do.",
        ),
    ],
};

pub(in crate::load) static NOTIFICATION: Object = Object {
    name: "a notification",
    schema: "notification",
    required: &[],
    keys: &[
        key(
            "on",
            Shape::OneOrMany(&Shape::Word(NOTIFY_ON)),
            "The ends of a run that it is for; every end if it is not given.",
        ),
        key(
            "action",
            Shape::Text,
            "The action that tells it, such as `notify.webhook`.",
        ),
        key("with", Shape::AnyMap, "The arguments of `action`."),
    ],
};

pub(in crate::load) static LOCK: Object = Object {
    name: "a lock",
    schema: "lock",
    required: &["name"],
    keys: &[
        key("name", Shape::OneOrMany(&Shape::Text), "Its name, or several."),
        key(
            "if_held",
            Shape::Word(IF_HELD),
            "What happens to a run that finds one held: it is refused (exit code 6), waits its turn, or is left out (exit code 0).",
        ),
        key(
            "holders",
            Shape::Count,
            "How many runs may hold it at once; 1 if it is not given. Plans that share a lock say the same number.",
        ),
        key(
            "wait_max",
            Shape::Duration,
            "How long a queued run waits at most, before it is refused.",
        ),
    ],
};

pub(in crate::load) static SCHEDULE: Object = Object {
    name: "a schedule",
    schema: "schedule",
    required: &["cron"],
    keys: &[
        key(
            "cron",
            Shape::Text,
            "The times, as a cron expression: minute, hour, day of the month, month, day of the week.",
        ),
        key(
            "timezone",
            Shape::Text,
            "The time zone of the expression, as `Europe/Berlin`; UTC if it is not given.",
        ),
        key(
            "jitter",
            Shape::Duration,
            "Each start is put off by a part of this, the same for each time.",
        ),
        key(
            "misfire",
            Shape::Word(MISFIRES),
            "What becomes of times that passed while nothing watched: nothing, or one run for all of them.",
        ),
        key(
            "overlap",
            Shape::Word(OVERLAPS),
            "What happens if the run before is still going on: this one is left out, waits for it, or runs beside it.",
        ),
        key(
            "params",
            Shape::AnyMap,
            "Values of the plan's parameters for runs that the schedule starts.",
        ),
    ],
};
