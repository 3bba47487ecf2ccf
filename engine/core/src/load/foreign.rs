//! Words of other tools, and what says the same here. Asked only where a key or a name is not known.

use super::keys::{
    DEFAULTS, INVENTORY, LOCK as LOCKS, Object, PARAM, PHASE, PLAN, RETRY as RETRIES, SCHEDULE as TIMES,
    STEP, WATCH,
};

const PHASES: &str = "the work stands in `phases`: a list in which each has a `name` and a list of `steps`";
const SHELL: &str = "a command is an action: `shell.run: {script: …}`, or `shell.run: {argv: [program, argument]}` without a shell";
const ACTIONS: &str =
    "a step is an action of an adapter: `caxplan adapters` lists them, with their arguments";
const RETRY: &str = "write `retry: {attempts: 5, initial: 2s, backoff: exponential}`";
const FOREACH: &str = "write `foreach: {var: item, in: [a, b]}` with `steps` beside it";
const NEEDS: &str =
    "write `needs: [ID]` in a phase with `order: dag`; else steps run in the order of the list";
const CONTINUE: &str = "write `on_failure: continue`";
const RESCUE: &str =
    "put the steps into a `block`, with `rescue` for its failure and `always` for its end beside it";
const TARGET: &str = "targets are listed in an `inventory`; a step acts on one with `target: NAME`, or on each within `foreach_node`";
const ENV: &str =
    "the environment is an argument of the action: `shell.run: {script: …, env: {NAME: value}}`";
const CWD: &str = "the folder is an argument of the action: `shell.run: {script: …, cwd: /srv}`";
const OUTPUT: &str =
    "nothing needs to be registered: later steps read `steps.ID.output`, where ID is the step's `id`";
const EXPECT: &str = "write `expect: [\"output.exit_code == 0\"]`: the step fails if a condition is not met";
const WHEN: &str = "write `when: \"params.full\"`: the step is skipped if the condition is false";
const TIMEOUT: &str = "write `timeout: 10m`: a number with its unit";
const USE: &str = "steps that several plans share stand in an action library: name its file in `use`";
const VARS: &str = "values stand in `vars`, and what the user can set in `params`";
const BECOME: &str =
    "an action runs as the user that its adapter logs in as, and a local one as the user of the engine";
const ID: &str = "a step is called by its `id`, and what it is for stands in `description`";
const SCHEDULE: &str = "write `schedule: {cron: \"0 2 * * *\", timezone: Europe/Berlin}`";
const VERSION: &str = "the version of the language is `caxplan: 1`, and needs not be given";
const RESULT: &str = "a step's result is what its action puts out: `steps.ID.output`";
const LOCK: &str = "write `lock: NAME` so that two runs never overlap, and `max_parallel` for steps at once";
const BATCH: &str = "write `batch_size: 1` in the `foreach_node` that holds the steps";
const SECRETS: &str = "write `secrets: {NAME: {file: PATH}}`, and `{{ secrets.NAME }}` in an argument";

/// Words that mean the same in every mapping.
const ANYWHERE: &[(&[&str], &str)] = &[
    (
        &["<<"],
        "merge keys are not part of YAML 1.2: say what is common in `defaults`, or in an action library",
    ),
    (&["register", "outputs"], OUTPUT),
    (
        &[
            "become",
            "become_user",
            "become_method",
            "remote_user",
            "sudo",
            "user",
        ],
        BECOME,
    ),
    (
        &["hosts", "host", "delegate_to", "runs-on", "runs_on", "nodes"],
        TARGET,
    ),
    (
        &["vars_files", "variables", "set_fact", "locals", "arguments"],
        VARS,
    ),
    (
        &[
            "include",
            "include_tasks",
            "import_tasks",
            "import_playbook",
            "import",
            "imports",
            "extends",
            "roles",
            "role",
            "templateRef",
            "include_role",
        ],
        USE,
    ),
    (
        &[
            "handlers",
            "handlerOn",
            "handler_on",
            "onExit",
            "finally",
            "on_error",
            "ensure",
        ],
        RESCUE,
    ),
    (
        &[
            "depends_on",
            "depends",
            "dependencies",
            "dependsOn",
            "after",
            "requires",
        ],
        NEEDS,
    ),
    (
        &[
            "concurrency",
            "maxActiveRuns",
            "max_active_runs",
            "parallelism",
            "mutex",
        ],
        LOCK,
    ),
    (&["cron", "crontab", "on"], SCHEDULE),
    (&["serial", "batch"], BATCH),
    (
        &[
            "timeout-minutes",
            "timeout_minutes",
            "timeoutSec",
            "timeout_seconds",
            "activeDeadlineSeconds",
        ],
        TIMEOUT,
    ),
    (&["vault", "secret"], SECRETS),
];

const OF_PLAN: &[(&[&str], &str)] = &[
    (
        &[
            "tasks",
            "jobs",
            "stages",
            "steps",
            "services",
            "workflow",
            "workflows",
            "pipeline",
            "templates",
            "plays",
            "spec",
            "entrypoint",
            "dag",
            "job",
        ],
        PHASES,
    ),
    (&["version", "apiVersion", "kind", "metadata"], VERSION),
    (&["environment"], VARS),
    (
        &["retries", "retryPolicy", "retryStrategy", "retry"],
        "write it below `defaults`: `defaults: {retry: {attempts: 5}}`",
    ),
    (
        &["timeout"],
        "write it below `defaults`: `defaults: {timeout: 10m}`",
    ),
];

const OF_PHASE: &[(&[&str], &str)] = &[
    (&["id", "title"], "a phase is called by its `name`"),
    (
        &["tasks", "jobs", "script", "run", "actions", "commands"],
        "what a phase does is its list of `steps`",
    ),
    (&["if", "condition", "preconditions"], WHEN),
    (&["strategy", "mode"], "write `order: sequential` or `order: dag`"),
    (
        &["parallel"],
        "write `order: dag`, or a step `parallel: […]` that holds the steps",
    ),
    (&["allow_failure", "continue-on-error", "ignore_errors"], CONTINUE),
    (
        &["foreach", "foreach_node", "loop"],
        "a loop is a step of the phase: `- foreach_node: [steps]`",
    ),
    (
        &["retry", "retries"],
        "each step has a `retry` of its own; one for all of them stands in the plan's `defaults`",
    ),
];

const OF_PARAM: &[(&[&str], &str)] = &[
    (
        &["choices", "options", "enum", "allowed", "one_of"],
        "write `values: [full, incremental]`",
    ),
    (&["minimum", "minLength"], "write `min: 1`"),
    (&["maximum", "maxLength"], "write `max: 100`"),
    (&["help", "doc", "title", "prompt"], "write `description: …`"),
    (
        &["sensitive", "private", "no_log", "masked"],
        "write `secret: true`",
    ),
    (&["regex", "format"], "write `pattern: …`"),
    (&["value"], "write `default: …`"),
];

const OF_INVENTORY: &[(&[&str], &str)] = &[
    (
        &["all", "hosts", "host", "nodes", "machines"],
        "write `targets: {node-1: {groups: [storage], vars: {port: 8081}}}`",
    ),
    (&["children"], "write `groups: {storage: {targets: [node-1]}}`"),
];

const OF_STEP: &[(&[&str], &str)] = &[
    (&["name", "title", "label"], ID),
    (
        &[
            "shell",
            "command",
            "cmd",
            "script",
            "bash",
            "sh",
            "exec",
            "commands",
            "ansible.builtin.shell",
            "ansible.builtin.command",
            "raw",
            "before_script",
            "local_action",
        ],
        SHELL,
    ),
    (
        &[
            "uses",
            "image",
            "container",
            "template",
            "executor",
            "module",
            "plugin",
            "task",
            "resource",
        ],
        ACTIONS,
    ),
    (
        &[
            "retries",
            "delay",
            "until",
            "retryPolicy",
            "retryStrategy",
            "retry_policy",
            "attempts",
            "backoff",
        ],
        RETRY,
    ),
    (
        &[
            "loop",
            "with_items",
            "with_list",
            "with_dict",
            "with_sequence",
            "withItems",
            "withParam",
            "for_each",
            "for",
            "matrix",
            "repeatPolicy",
            "items",
        ],
        FOREACH,
    ),
    (
        &[
            "ignore_errors",
            "continue-on-error",
            "continueOn",
            "continue_on",
            "allow_failure",
            "continueOnError",
        ],
        CONTINUE,
    ),
    (&["environment", "env"], ENV),
    (
        &[
            "cwd",
            "dir",
            "chdir",
            "workdir",
            "working-directory",
            "working_dir",
            "workingDir",
        ],
        CWD,
    ),
    (
        &[
            "failed_when",
            "changed_when",
            "check",
            "checks",
            "success_criteria",
        ],
        EXPECT,
    ),
    (
        &[
            "if",
            "condition",
            "only_if",
            "preconditions",
            "unless",
            "only",
            "rules",
        ],
        WHEN,
    ),
    (&["output", "stdout"], RESULT),
    (
        &["undo", "compensate", "compensation", "on_rollback", "revert"],
        "write `rollback: {adapter.verb: {argument: value}}`",
    ),
    (
        &["assert"],
        "write `assert.that: {that: \"{{ … }}\"}`; `expect` beside an action judges that action's own result",
    ),
    (
        &["sleep", "pause", "wait_for"],
        "write `wait: 5m`; to wait for a condition, give an action `retry` and `expect`",
    ),
    (
        &["prompt", "confirm", "manual", "approval", "input", "suspend"],
        "write `approve: \"Go on?\"`",
    ),
    (
        &["args", "inputs", "parameters", "properties"],
        "an action's arguments stand below its name, or below `with` beside `action`",
    ),
    (
        &["tags", "run_once", "listen"],
        "there is no such choice among steps: use `when` with a parameter",
    ),
    (
        &["tasks", "jobs"],
        "a group of steps is a `block`, or `parallel` if they run at the same time",
    ),
    (
        &["then", "else", "case", "switch"],
        "give each step its own `when`",
    ),
];

const OF_SCHEDULE: &[(&[&str], &str)] = &[
    (
        &["tz", "zone", "time_zone", "timeZone"],
        "write `timezone: Europe/Berlin`",
    ),
    (
        &["expression", "schedule", "at", "time", "every", "start"],
        "write `cron: \"0 2 * * *\"`",
    ),
    (
        &["concurrency", "concurrencyPolicy", "concurrency_policy"],
        "write `overlap: forbid`, `queue` or `allow`",
    ),
    (
        &["catchup", "catchUp", "catch_up", "startingDeadlineSeconds"],
        "write `misfire: once` so that a missed time is made up for",
    ),
];

const OF_LOCK: &[(&[&str], &str)] = &[
    (
        &["mode", "policy", "on_conflict", "action", "strategy"],
        "write `if_held: refuse`, `queue` or `skip`",
    ),
    (
        &["timeout", "wait", "max_wait", "wait_timeout"],
        "write `wait_max: 10m`",
    ),
    (
        &["names", "key", "id", "resource"],
        "write `name: database`, or a list of names",
    ),
];

const OF_RETRY: &[(&[&str], &str)] = &[
    (
        &[
            "count",
            "times",
            "limit",
            "retries",
            "max_attempts",
            "maximumAttempts",
            "max_retries",
        ],
        "write `attempts: 5`, the first one included",
    ),
    (
        &[
            "delay",
            "interval",
            "intervalSec",
            "interval_sec",
            "wait",
            "pause",
            "initialInterval",
        ],
        "write `initial: 2s`, and `backoff: constant` if it shall stay that",
    ),
    (
        &["maximumInterval", "max_delay", "maxDuration"],
        "write `max: 30s`",
    ),
];

const OF_DEFAULTS: &[(&[&str], &str)] = &[
    (&["retries", "attempts", "retryPolicy", "retryStrategy"], RETRY),
    (
        &["env", "environment", "shell", "cwd"],
        "write `arguments: {shell: {…}}`: arguments that all actions of an adapter get",
    ),
];

const OF_WATCH: &[(&[&str], &str)] = &[
    (&["duration", "during", "timeout", "time"], "write `for: 10m`"),
    (&["interval", "period", "frequency"], "write `every: 30s`"),
    (
        &["conditions", "expect", "metrics", "rules", "check"],
        "write `checks: [\"error_rate < 1%\"]`",
    ),
    (
        &["failures", "max_failures", "threshold"],
        "write `max_breaches: 2`",
    ),
];

/// Other tools' words for the choices of this language.
const WORDS: &[(&[&str], &str)] = &[
    (&["parallel", "concurrent", "graph", "depends"], "dag"),
    (&["serial", "linear", "ordered", "chain"], "sequential"),
    (&["ignore", "proceed", "skip", "next"], "continue"),
    (&["abort", "fail", "halt", "exit", "cancel"], "stop"),
    (&["undo", "revert"], "rollback"),
    (&["wait", "ask", "suspend", "manual"], "pause"),
    (&["fixed", "linear", "none"], "constant"),
    (&["exp", "double"], "exponential"),
    (&["str", "text"], "string"),
    (&["int", "long"], "integer"),
    (&["float", "double", "decimal"], "number"),
    (&["bool", "flag"], "boolean"),
    (&["array", "sequence"], "list"),
    (&["object", "dict", "mapping"], "map"),
    (&["choice", "select", "oneof"], "enum"),
    (&["size"], "bytes"),
    (&["time", "timespan"], "duration"),
    (&["semver"], "version"),
    (&["error", "failed", "nonzero"], "exit"),
];

/// The one of `words` that says what another tool's `word` says.
pub(super) fn word<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    WORDS
        .iter()
        .filter(|(others, _)| others.contains(&word.to_lowercase().as_str()))
        .find_map(|(_, own)| words.iter().find(|of| *of == own))
        .copied()
}

/// What to say of a word that is none of `words`, but has a place elsewhere.
pub(super) fn elsewhere(word: &str, words: &[&str]) -> Option<String> {
    (word == "retry" && words.contains(&"rollback")).then(|| {
        "a step is tried again by its `retry: {attempts: 5}`; this says what becomes of it then".to_owned()
    })
}

/// What to say about a name that no template knows, if another tool has it.
pub(super) fn name(word: &str) -> Option<&'static str> {
    find(
        &[
            (
                &[
                    "parameters",
                    "inputs",
                    "input",
                    "workflow",
                    "github",
                    "vars_prompt",
                    "args",
                    "arguments",
                ],
                "what the user can set is `params.NAME`",
            ),
            (
                &["item", "loop", "matrix", "each", "node"],
                "a variable of a loop is known within its `foreach`, under the name that its `var` gives",
            ),
            (
                &[
                    "outputs", "result", "results", "needs", "jobs", "tasks", "dag", "stdout", "rc",
                ],
                "a step's result is `steps.ID.output`",
            ),
            (
                &["inventory_hostname", "hostvars", "host", "ansible_host", "groups"],
                "the target is `target.name`, with `target.vars` and `target.labels`; all are `targets()`",
            ),
            (
                &["lookup", "vault"],
                "write `env.NAME` or `secrets.NAME`, and list the name in the plan's header",
            ),
            (&["now", "date"], "`run` knows when the run began"),
        ],
        word,
    )
}

/// What to say about a key that an object does not have, if another tool has it.
pub(super) fn key(word: &str, object: &Object) -> Option<&'static str> {
    let own = match object.schema {
        schema if schema == PLAN.schema => OF_PLAN,
        schema if schema == PHASE.schema => OF_PHASE,
        schema if schema == STEP.schema => OF_STEP,
        schema if schema == PARAM.schema => OF_PARAM,
        schema if schema == INVENTORY.schema => OF_INVENTORY,
        // Their keys are few, and are listed.
        schema if schema == TIMES.schema => return find(OF_SCHEDULE, word),
        schema if schema == LOCKS.schema => return find(OF_LOCK, word),
        schema if schema == RETRIES.schema => return find(OF_RETRY, word),
        schema if schema == DEFAULTS.schema => return find(OF_DEFAULTS, word),
        schema if schema == WATCH.schema => return find(OF_WATCH, word),
        _ => return None,
    };
    find(own, word).or_else(|| find(ANYWHERE, word))
}

/// What to say about the name of an action that nothing binds, if another tool has it.
pub(super) fn action(word: &str) -> Option<&'static str> {
    if word.contains(char::is_whitespace) {
        return Some(SHELL);
    }
    find(OF_STEP, word).or_else(|| find(ANYWHERE, word))
}

fn find(table: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|(words, _)| words.contains(&word))
        .map(|(_, help)| *help)
}

/// What to say of a document that is a list.
pub(super) const PLAYBOOK: &str = "a plan is a mapping: a list of plays or tasks becomes `phases: [{name: …, steps: […]}]`, its hosts an `inventory`";
