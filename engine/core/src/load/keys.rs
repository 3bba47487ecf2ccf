//! The one table of every key of every document: what the loader accepts, what it suggests, and what the JSON Schemas
//! for editors say.

/// A kind of mapping.
#[derive(Debug)]
pub(super) struct Object {
    /// Its name with an article, for messages: `a phase`.
    pub(super) name: &'static str,
    /// The name of its definition in a schema.
    pub(super) schema: &'static str,
    /// Its keys.
    pub(super) keys: &'static [Key],
    /// Keys that must be there.
    pub(super) required: &'static [&'static str],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) doc: &'static str,
}

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    Text,
    /// A duration, or a template that yields one.
    Duration,
    /// A whole number from 0, or a template that yields one.
    Count,
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    Any,
    /// Any mapping from names to anything.
    AnyMap,
    List(&'static Shape),
    /// A mapping from names of the user's to values of one shape.
    MapOf(&'static Shape),
    /// One, or a list of them.
    OneOrMany(&'static Shape),
    Either(&'static [Shape]),
    Object(&'static Object),
    Step,
    /// `{adapter.verb: {argument: value}}`, or `{action, with}`.
    Call,
}

impl Object {
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|of| of.name == key)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc }
}

pub(super) const ON_FAILURE: &[&str] = &["stop", "rollback", "continue", "pause"];
pub(super) const ORDERS: &[&str] = &["sequential", "dag"];
pub(super) const BACKOFFS: &[&str] = &["exponential", "constant"];
pub(super) const FAILURE_KINDS: &[&str] = &[
    "timeout",
    "unavailable",
    "denied",
    "conflict",
    "not_found",
    "invalid",
    "exit",
    "expectation",
    "breach",
    "cancelled",
    "lost",
    "rejected",
    "template",
    "other",
];
pub(super) const PARAM_TYPES: &[&str] = &[
    "string", "integer", "number", "boolean", "duration", "bytes", "version", "enum", "list", "map",
];

const CONDITIONS: Shape = Shape::OneOrMany(&Shape::Text);
const STEPS: Shape = Shape::List(&Shape::Step);

pub(super) static RETRY: Object = Object {
    name: "a retry",
    schema: "retry",
    required: &[],
    keys: &[
        key("attempts", Shape::Count, "The most attempts in all, from 1."),
        key(
            "backoff",
            Shape::Word(BACKOFFS),
            "How the pauses grow: doubled each time, or constant.",
        ),
        key("initial", Shape::Duration, "The pause before the second attempt."),
        key("max", Shape::Duration, "The longest pause."),
        key(
            "jitter",
            Shape::Boolean,
            "Whether each pause is drawn from 50 to 100 % of its length.",
        ),
        key(
            "on",
            Shape::OneOrMany(&Shape::Word(FAILURE_KINDS)),
            "The classes of failures that are tried again.",
        ),
    ],
};

pub(super) static PARAM: Object = Object {
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

pub(super) static DEFAULTS: Object = Object {
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

pub(super) static WATCH: Object = Object {
    name: "a watch",
    schema: "watch",
    required: &["for", "checks"],
    keys: &[
        key("for", Shape::Duration, "How long."),
        key(
            "every",
            Shape::Duration,
            "The pause between two observations; 30s if it is not given.",
        ),
        key(
            "observe",
            Shape::Call,
            "The action that only reads, whose output the checks see.",
        ),
        key(
            "checks",
            CONDITIONS,
            "Conditions over the fields of the observation.",
        ),
        key(
            "max_breaches",
            Shape::Count,
            "How many observations may breach a check before the watch has failed.",
        ),
    ],
};

/// What can be said of a loop, beside its steps.
pub(super) static LOOP: Object = Object {
    name: "a foreach",
    schema: "foreach",
    required: &[],
    keys: &[
        key(
            "in",
            Shape::Either(&[Shape::Text, Shape::List(&Shape::Any)]),
            "The items: a list, or a template that yields one.",
        ),
        key("var", Shape::Text, "The variable that each item is bound to."),
        key(
            "when",
            Shape::Text,
            "Items for which this condition is false are skipped.",
        ),
        key(
            "batch_size",
            Shape::Any,
            "How many at once: a number or a percentage.",
        ),
        key("batch_delay", Shape::Duration, "The pause between two batches."),
        key(
            "max_failures",
            Shape::Count,
            "How many items may fail before no further batch starts.",
        ),
        key(
            "max_unavailable",
            Shape::Count,
            "The most items that may be unavailable at once.",
        ),
    ],
};

pub(super) static STEP: Object = Object {
    name: "a step",
    schema: "step_mapping",
    required: &[],
    keys: &[
        key(
            "id",
            Shape::Text,
            "What other steps call it by; unique in its phase.",
        ),
        key("description", Shape::Text, "What it is for."),
        key(
            "action",
            Shape::Text,
            "The action: `adapter.verb`, or a name that a library binds.",
        ),
        key("with", Shape::AnyMap, "The action's arguments."),
        key("target", Shape::Text, "The name of the target it acts on."),
        key(
            "needs",
            Shape::OneOrMany(&Shape::Text),
            "Steps that must have ended well (`order: dag` only).",
        ),
        key(
            "when",
            Shape::Text,
            "A condition, or a template that yields a boolean; the step is skipped if it is false.",
        ),
        key("retry", Shape::Object(&RETRY), "When and how often to try again."),
        key("timeout", Shape::Duration, "The time limit of one attempt."),
        key(
            "expect",
            CONDITIONS,
            "Conditions on `output`; if one is not met, the attempt has failed.",
        ),
        key(
            "probe",
            Shape::Call,
            "How to tell whether an interrupted attempt did its work; may hold `done_when`.",
        ),
        key("rollback", Shape::OneOrMany(&Shape::Call), "How to undo it."),
        key(
            "checkpoint",
            Shape::Text,
            "The point that is reached when it has ended well.",
        ),
        key(
            "on_failure",
            Shape::Word(ON_FAILURE),
            "What happens when it has failed for good.",
        ),
        key("parallel", STEPS, "Steps that run at the same time."),
        key("max_parallel", Shape::Count, "How many of them at once."),
        key("block", STEPS, "Steps that succeed or fail as one."),
        key("rescue", STEPS, "Steps that run if the block failed."),
        key("always", STEPS, "Steps that run after the block in any case."),
        key("foreach_node", STEPS, "Steps that run for each node, in batches."),
        key(
            "foreach",
            Shape::Either(&[Shape::Object(&LOOP), Shape::Text, Shape::List(&Shape::Any)]),
            "What to run `steps` for.",
        ),
        key("steps", STEPS, "The steps of a foreach."),
        key("in", Shape::Any, "The items of a foreach."),
        key("var", Shape::Text, "The variable of a foreach."),
        key(
            "batch_size",
            Shape::Any,
            "How many at once: a number or a percentage.",
        ),
        key("batch_delay", Shape::Duration, "The pause between two batches."),
        key(
            "max_failures",
            Shape::Count,
            "How many items may fail before no further batch starts.",
        ),
        key(
            "max_unavailable",
            Shape::Count,
            "The most items that may be unavailable at once.",
        ),
        key(
            "approve",
            Shape::Text,
            "A question that a person answers before the run goes on.",
        ),
        key(
            "checklist",
            Shape::List(&Shape::Text),
            "Lines that a person confirms.",
        ),
        key("wait", Shape::Duration, "A durable timer."),
        key(
            "watch",
            Shape::Object(&WATCH),
            "Checks that are repeated for some time.",
        ),
        key("run", Shape::Text, "Another plan, as a child run."),
        key("params", Shape::AnyMap, "The parameters of the child run."),
    ],
};

pub(super) static PHASE: Object = Object {
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
            Shape::Any,
            "Not used yet: steps say how they are undone.",
        ),
        key(
            "checkpoint",
            Shape::Text,
            "The point that is reached when it has ended well.",
        ),
        key("max_parallel", Shape::Count, "How many of its steps at once."),
        key("timeout", Shape::Duration, "The time limit of the phase."),
        key("needs", Shape::Any, "Not used yet: phases run in their order."),
    ],
};

pub(super) static STRATEGY: Object = Object {
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

pub(super) static PLAN: Object = Object {
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
        key("lock", Shape::OneOrMany(&Shape::Text), "Locks that a run holds."),
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
        key("schedule", Shape::Any, "When it runs. Has no effect yet."),
        key("notify", Shape::Any, "Whom to tell. Has no effect yet."),
        key(
            "invariants",
            Shape::Any,
            "What must hold all the time. Has no effect yet.",
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

pub(super) static SECRET: Object = Object {
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
    ],
};

/// An entry of a library: a step without a place of its own.
pub(super) static LIBRARY: Object = Object {
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

pub(super) static TARGET: Object = Object {
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

pub(super) static GROUP: Object = Object {
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

pub(super) static INVENTORY: Object = Object {
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
            "By name: labels and variables of several targets.",
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
pub(super) static INVENTORY_FILE: Object = Object {
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

/// The keys that say what a document is, and what to call that.
pub(super) const BODIES: &[(&str, &str)] = &[
    ("upgrade_strategy", "a plan"),
    ("strategy", "a plan"),
    ("phases", "a plan"),
    ("maintenance", "a maintenance calendar"),
    ("backup", "a backup policy"),
    ("health_checks", "monitors"),
    ("alerts", "alert rules"),
];
