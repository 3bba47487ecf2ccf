//! Keys of steps, and of what stands in them.

use super::{BACKOFFS, CONDITIONS, FAILURE_KINDS, ON_FAILURE, Object, STEPS, Shape, key};

pub(in crate::load) static RETRY: Object = Object {
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

pub(in crate::load) static WATCH: Object = Object {
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
pub(in crate::load) static LOOP: Object = Object {
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

pub(in crate::load) static STEP: Object = Object {
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
            "availability",
            Shape::Text,
            "Its effect on its target: -1 takes it down, 1 brings it back, 0 neither; else as its action says.",
        ),
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
            "A question that a person answers before the run goes on; its templates are evaluated when it is asked.",
        ),
        key(
            "checklist",
            Shape::List(&Shape::Text),
            "Lines that a person confirms; their templates are evaluated when they are shown.",
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
