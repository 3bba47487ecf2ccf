//! Keys of the documents that hold several plans, or things to look at: maintenance calendars, backup policies,
//! monitors, alert rules.

use super::plan::{PLAN, SCHEDULE};
use super::{CONDITIONS, Key, ON_FAILURE, Object, STEPS, Shape, key};

/// Keys of a plan's header that the other documents do not have, or have in another form.
const LEFT_OUT: &[&str] = &["overrides", "schedule", "upgrade_strategy", "strategy", "phases"];

/// The keys of a plan's header, and `own` ones behind them.
const fn header_and<const N: usize>(own: &[Key]) -> [Key; N] {
    let mut keys = [own[0]; N];
    let (mut at, mut from) = (0, 0);
    while from < PLAN.keys.len() {
        if !is_in(PLAN.keys[from].name, LEFT_OUT) {
            keys[at] = PLAN.keys[from];
            at += 1;
        }
        from += 1;
    }
    let mut from = 0;
    while from < own.len() {
        keys[at] = own[from];
        at += 1;
        from += 1;
    }
    assert!(at == N, "every key has its place");
    keys
}

const fn is_in(name: &str, names: &[&str]) -> bool {
    let mut at = 0;
    while at < names.len() {
        if equal(name.as_bytes(), names[at].as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

const HEADER_LEN: usize = PLAN.keys.len() - LEFT_OUT.len();

/// A schedule of which another says the rest.
pub(in crate::load) static PARTIAL_SCHEDULE: Object = Object {
    name: "a schedule",
    schema: "partial_schedule",
    required: &[],
    keys: SCHEDULE.keys,
};

const TIMES: Shape = Shape::Either(&[Shape::Text, Shape::Object(&PARTIAL_SCHEDULE)]);

const TIMEZONE: Key = key(
    "timezone",
    Shape::Text,
    "The time zone of the times, as `Europe/Berlin`; UTC if it is not given.",
);
const JITTER: Key = key(
    "jitter",
    Shape::Duration,
    "Each start is put off by a part of this, the same for each time.",
);
const MISFIRE: Key = key(
    "misfire",
    Shape::Word(super::MISFIRES),
    "What becomes of times that passed while nothing watched: nothing, or one run for all of them, which is the default.",
);
const OVERLAP: Key = key(
    "overlap",
    Shape::Word(super::OVERLAPS),
    "What happens if the run before is still going on: this one is left out, waits for it, or runs beside it.",
);
const SCHEDULE_PARAMS: Key = key(
    "params",
    Shape::AnyMap,
    "Values of the file's parameters for runs that the schedule starts.",
);

pub(in crate::load) static MAINTENANCE_SCHEDULE: Object = Object {
    name: "the schedule of a maintenance calendar",
    schema: "maintenance_schedule",
    required: &[],
    keys: &[
        TIMEZONE,
        JITTER,
        MISFIRE,
        OVERLAP,
        SCHEDULE_PARAMS,
        key("daily", TIMES, "When the daily tasks run; every day at 03:00."),
        key("weekly", TIMES, "When the weekly tasks run; on Sundays at 04:00."),
        key(
            "monthly",
            TIMES,
            "When the monthly tasks run; on the 1st of each month at 05:00.",
        ),
        key(
            "quarterly",
            TIMES,
            "When the quarterly tasks run; on the 1st of January, April, July and October at 06:00.",
        ),
    ],
};

pub(in crate::load) static PERIOD: Object = Object {
    name: "a period of maintenance",
    schema: "period",
    required: &["steps"],
    keys: &[
        key("description", Shape::Text, "What it is for."),
        key(
            "schedule",
            TIMES,
            "When its tasks run: a cron expression, or more.",
        ),
        key(
            "on_failure",
            Shape::Word(ON_FAILURE),
            "What happens when a task has failed: the others are left out, if nothing else is said.",
        ),
        key("steps", STEPS, "Its tasks, in their order."),
    ],
};

const TASKS: Shape = Shape::Either(&[STEPS, Shape::Object(&PERIOD)]);

pub(in crate::load) static CALENDAR: Object = Object {
    name: "a maintenance calendar",
    schema: "calendar",
    required: &[],
    keys: &[
        key("daily", TASKS, "What is done every day."),
        key("weekly", TASKS, "What is done every week."),
        key("monthly", TASKS, "What is done every month."),
        key("quarterly", TASKS, "What is done every three months."),
    ],
};

const MAINTENANCE_KEYS: [Key; 2] = [
    key(
        "schedule",
        Shape::Object(&MAINTENANCE_SCHEDULE),
        "When the periods run, for each, or for all of them.",
    ),
    key(
        "maintenance",
        Shape::Object(&CALENDAR),
        "The body: tasks by period; each period is a plan of its own.",
    ),
];

pub(in crate::load) static MAINTENANCE: Object = Object {
    name: "a maintenance calendar",
    schema: "maintenance",
    required: &["maintenance"],
    keys: &header_and::<{ HEADER_LEN + MAINTENANCE_KEYS.len() }>(&MAINTENANCE_KEYS),
};

pub(in crate::load) const FREQUENCIES: &[&str] = &["hourly", "daily", "weekly", "monthly"];

pub(in crate::load) static BACKUP_ENTRY: Object = Object {
    name: "a scheduled backup",
    schema: "scheduled_backup",
    required: &[],
    keys: &[
        key("description", Shape::Text, "What it is for."),
        key("frequency", Shape::Word(FREQUENCIES), "How often it is made."),
        key(
            "time",
            Shape::Text,
            "The time of day, as `02:00`, which is the default; of an hourly one only the minute counts.",
        ),
        key(
            "day",
            Shape::Text,
            "Of a weekly one the day of the week, Sunday by default; of a monthly one the day, from 1 to 28.",
        ),
        key(
            "cron",
            Shape::Text,
            "The times, as a cron expression, in place of `frequency`, `time` and `day`.",
        ),
        key(
            "retention",
            Shape::Duration,
            "How long each is kept; without it, none is ever removed.",
        ),
        TIMEZONE,
        JITTER,
        MISFIRE,
        OVERLAP,
        SCHEDULE_PARAMS,
    ],
};

pub(in crate::load) static POLICY: Object = Object {
    name: "a backup policy",
    schema: "policy",
    required: &["schedule", "destinations"],
    keys: &[
        key(
            "schedule",
            Shape::MapOf(&Shape::Object(&BACKUP_ENTRY)),
            "By name: which backups are made, and when; each is a plan of its own.",
        ),
        key(
            "destinations",
            Shape::List(&Shape::AnyMap),
            "Where each backup is stored: a `type`, and what its library's `store_…` and `prune_…` want to know.",
        ),
        key(
            "components",
            Shape::List(&Shape::Text),
            "What belongs into each backup, for the library.",
        ),
    ],
};

pub(in crate::load) static BACKUP_SCHEDULE: Object = Object {
    name: "the schedule of a backup policy",
    schema: "backup_schedule",
    required: &[],
    keys: &[TIMEZONE, JITTER, MISFIRE, OVERLAP, SCHEDULE_PARAMS],
};

const BACKUP_KEYS: [Key; 2] = [
    key(
        "schedule",
        Shape::Object(&BACKUP_SCHEDULE),
        "What is the same for all scheduled backups.",
    ),
    key("backup", Shape::Object(&POLICY), "The body: a backup policy."),
];

pub(in crate::load) static BACKUP: Object = Object {
    name: "a backup policy",
    schema: "backup",
    required: &["backup"],
    keys: &header_and::<{ HEADER_LEN + BACKUP_KEYS.len() }>(&BACKUP_KEYS),
};

const OBSERVE: Key = key(
    "observe",
    Shape::Call,
    "The action that only reads, whose output the conditions see; else what a library binds its name to, \
     else `observe` of the defaults.",
);

pub(in crate::load) static MONITOR: Object = Object {
    name: "a monitor",
    schema: "monitor",
    required: &["checks"],
    keys: &[
        key("description", Shape::Text, "What it is for."),
        key(
            "interval",
            Shape::Duration,
            "How often `caxplan check --watch` looks; 30s if it is not given.",
        ),
        OBSERVE,
        key(
            "checks",
            CONDITIONS,
            "Conditions over the fields of the observation, and names that a library binds to actions that only read.",
        ),
    ],
};

const MONITORS_BY_NAME: Shape = Shape::MapOf(&Shape::Object(&MONITOR));

const MONITORS_KEYS: [Key; 1] = [key(
    "health_checks",
    MONITORS_BY_NAME,
    "The body: monitors by name.",
)];

pub(in crate::load) static MONITORS: Object = Object {
    name: "a file of monitors",
    schema: "monitors",
    required: &["health_checks"],
    keys: &header_and::<{ HEADER_LEN + MONITORS_KEYS.len() }>(&MONITORS_KEYS),
};

pub(in crate::load) static RULE: Object = Object {
    name: "an alert rule",
    schema: "rule",
    required: &["name", "condition", "action"],
    keys: &[
        key("name", Shape::Text, "Its name, unique in the file."),
        key("description", Shape::Text, "What it is for."),
        key(
            "condition",
            Shape::Text,
            "What must not be so: a condition over the fields of the observation, or a name that a library binds to an \
             action that only reads.",
        ),
        key(
            "duration",
            Shape::Duration,
            "How long the condition must hold before the alert fires; at once if it is not given.",
        ),
        key(
            "every",
            Shape::Duration,
            "How often `caxplan check --watch` looks; 30s if it is not given.",
        ),
        OBSERVE,
        key(
            "action",
            Shape::Step,
            "What is done, once, when the alert fires: a name that a library binds, or any other step.",
        ),
    ],
};

const RULES: Shape = Shape::List(&Shape::Object(&RULE));

/// Severities, the worst first.
pub(in crate::load) static SEVERITIES: Object = Object {
    name: "a set of alert rules",
    schema: "severities",
    required: &[],
    keys: &[
        key(
            "critical",
            RULES,
            "Rules of alerts that somebody must look at now.",
        ),
        key(
            "warning",
            RULES,
            "Rules of alerts that somebody should look at soon.",
        ),
        key("info", RULES, "Rules of alerts that are good to know."),
    ],
};

const ALERTS_KEYS: [Key; 1] = [key(
    "alerts",
    Shape::Object(&SEVERITIES),
    "The body: alert rules by severity.",
)];

pub(in crate::load) static ALERTS: Object = Object {
    name: "a file of alert rules",
    schema: "alerts",
    required: &["alerts"],
    keys: &header_and::<{ HEADER_LEN + ALERTS_KEYS.len() }>(&ALERTS_KEYS),
};
