//! What `--help` says beyond what clap knows: which commands belong together, examples, exit codes.
//!
//! One table, so that help, the manual pages and the reference page of the documentation cannot differ. A test reads
//! every example as a command line, so that none goes stale.

use clap::{Command, CommandFactory as _, builder::StyledStr};
use std::fmt::Write as _;

/// The commands in groups, in the order in which people meet them.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Write and try plans",
        &[
            "validate",
            "preview",
            "graph",
            "diff",
            "simulate",
            "test",
            "import",
            "adapters",
            "schema",
            "inventory",
        ],
    ),
    (
        "Run plans",
        &[
            "run", "resume", "rollback", "pause", "cancel", "approve", "check", "schedule",
        ],
    ),
    (
        "Look at runs",
        &["runs", "show", "logs", "verify", "prune", "serve"],
    ),
    ("This program", &["completions", "man", "help"]),
];

/// Examples of one command, each with what it does, and the exit codes that mean more than "done" and "wrong usage".
struct Help {
    command: &'static str,
    examples: &'static [(&'static str, &'static str)],
    codes: &'static str,
}

/// Of commands that run a plan.
const RUN_CODES: &str = "0 succeeded, 1 failed (can be resumed), 2 invalid plan or usage, 3 rolled back, \
    4 rollback failed, 5 waits for a person, 6 lock held, 130 cancelled";
/// Of commands that load a plan.
const PLAN_CODES: &str = "0 done, 1 could not be done, 2 invalid plan or usage";
/// Of commands that speak of a run.
const JOURNAL_CODES: &str = "0 done, 1 could not be done (no such run, for example), 2 wrong usage";

const HELP: &[Help] = &[
    Help {
        command: "simulate",
        examples: &[
            ("caxplan simulate upgrade.yaml", "what comes of each failure"),
            (
                "caxplan simulate upgrade.yaml --pairs --fail-on in-doubt,down --rollback-coverage 100%",
                "a gate for CI",
            ),
            (
                "caxplan simulate upgrade.yaml --scenario deploy/restart:fails-midway",
                "one failure as a timeline",
            ),
        ],
        codes: "0 done, 1 found what must not be, 2 invalid plan or usage",
    },
    Help {
        command: "test",
        examples: &[
            ("caxplan test", "all tests below this folder"),
            (
                "caxplan test upgrade.test.yaml --output tap",
                "one file, for a test harness",
            ),
        ],
        codes: "0 all cases as expected, 1 a case is not, 2 invalid test or plan",
    },
    Help {
        command: "run",
        examples: &[
            ("caxplan run upgrade.yaml -p version=1.1.0", "run a plan"),
            (
                "caxplan run upgrade.yaml -p version=1.1.0 --dry-run",
                "say what it would do",
            ),
            (
                "caxplan run backup.yaml --quiet",
                "for cron: silent if all is well",
            ),
        ],
        codes: RUN_CODES,
    },
    Help {
        command: "preview",
        examples: &[
            (
                "caxplan preview upgrade.yaml -p version=1.1.0",
                "what would change, on which target",
            ),
            (
                "caxplan preview upgrade.yaml --offline --output markdown",
                "for a review, contacting nothing",
            ),
            (
                "caxplan preview upgrade.yaml --save seen.json",
                "to review now and run later with `caxplan run --preview seen.json`",
            ),
        ],
        codes: PLAN_CODES,
    },
    Help {
        command: "validate",
        examples: &[
            (
                "caxplan validate upgrade.yaml",
                "everything wrong with it, at once",
            ),
            (
                "caxplan validate upgrade.yaml --use actions.yaml",
                "bind its bare names by a library",
            ),
        ],
        codes: PLAN_CODES,
    },
    Help {
        command: "graph",
        examples: &[
            ("caxplan graph upgrade.yaml", "a Mermaid diagram"),
            ("caxplan graph upgrade.yaml --output dot", "for Graphviz"),
        ],
        codes: PLAN_CODES,
    },
    Help {
        command: "inventory",
        examples: &[
            ("caxplan inventory plan.yaml", "the plan's targets"),
            (
                "caxplan inventory cluster.yaml --limit 'group:web,!web-1'",
                "what a selector selects",
            ),
        ],
        codes: PLAN_CODES,
    },
    Help {
        command: "diff",
        examples: &[
            ("caxplan diff old.yaml new.yaml", "what would run differently"),
            (
                "caxplan diff seen.json upgrade.yaml --output markdown",
                "a saved preview beside the plan as it is now",
            ),
        ],
        codes: "0 both do the same, 1 they do not, 2 one of them is invalid",
    },
    Help {
        command: "resume",
        examples: &[
            ("caxplan resume --last", "go on with the newest run"),
            ("caxplan resume 01kb --in-doubt rerun", "run steps in doubt again"),
            (
                "caxplan resume 01kb --from canary-upgraded",
                "run again all that came after a checkpoint",
            ),
        ],
        codes: RUN_CODES,
    },
    Help {
        command: "rollback",
        examples: &[
            ("caxplan rollback --last", "undo what the newest run did"),
            (
                "caxplan rollback 01kb --to canary-upgraded",
                "keep what was done up to a checkpoint",
            ),
        ],
        codes: RUN_CODES,
    },
    Help {
        command: "schedule",
        examples: &[
            ("caxplan schedule next plans", "when the plans of a folder run"),
            (
                "caxplan schedule conflicts plans --within 30d",
                "which of their runs would come into each other's way",
            ),
            (
                "caxplan schedule run-due plans",
                "for cron: run what is due, quiet when all is well",
            ),
            (
                "caxplan schedule install --crontab plans",
                "let your crontab do so",
            ),
        ],
        codes: RUN_CODES,
    },
    Help {
        command: "pause",
        examples: &[("caxplan pause --last", "running steps end, none starts")],
        codes: JOURNAL_CODES,
    },
    Help {
        command: "cancel",
        examples: &[
            (
                "caxplan cancel --last",
                "running steps end, none starts, the run is over",
            ),
            (
                "caxplan cancel 01kb",
                "a run that waits, or whose engine died, is over after its clean-up",
            ),
            ("caxplan cancel 01kb --abort", "abort what is running, too"),
        ],
        codes: JOURNAL_CODES,
    },
    Help {
        command: "approve",
        examples: &[
            (
                "caxplan approve --last",
                "say yes to the one question of the newest run",
            ),
            (
                "caxplan approve 01kb canary_ok --reject --reason latency",
                "say no, and why",
            ),
        ],
        codes: JOURNAL_CODES,
    },
    Help {
        command: "check",
        examples: &[
            (
                "caxplan check health.yaml --use actions.yaml",
                "look once at all that the monitors watch",
            ),
            (
                "caxplan check alerts.yaml node_down",
                "look at one rule, and do its action if it fires",
            ),
            (
                "caxplan check alerts.yaml --watch",
                "look again and again, and say what changes",
            ),
        ],
        codes: "0 all is well, 1 something is not, could not be told, or an action failed, 2 invalid file or usage",
    },
    Help {
        command: "runs",
        examples: &[
            ("caxplan runs", "the newest runs"),
            (
                "caxplan runs --state failed,waiting --since 24h",
                "what needs a person today",
            ),
            ("caxplan runs --plan backup --output json", "for programs"),
        ],
        codes: JOURNAL_CODES,
    },
    Help {
        command: "show",
        examples: &[
            (
                "caxplan show --last",
                "where the newest run stands, and what to type next",
            ),
            ("caxplan show 01kb --steps", "every step, nothing folded"),
            (
                "caxplan show 01kb rolling_upgrade/node-2/upgrade",
                "all about one step",
            ),
        ],
        codes: JOURNAL_CODES,
    },
    Help {
        command: "logs",
        examples: &[
            (
                "caxplan logs --last --follow",
                "what the steps put out, as they do",
            ),
            (
                "caxplan logs 01kb --step rolling_upgrade/node-2",
                "of one step and all below it",
            ),
        ],
        codes: JOURNAL_CODES,
    },
    Help {
        command: "verify",
        examples: &[
            ("caxplan verify", "check the journal of every run"),
            (
                "caxplan verify --last --output json",
                "of the newest run, for programs",
            ),
        ],
        codes: "0 all is as it was written, 1 something is damaged, 2 wrong usage",
    },
    Help {
        command: "prune",
        examples: &[
            (
                "caxplan prune --older-than 30d --keep-last 10 --dry-run",
                "say what would be removed",
            ),
            (
                "caxplan prune --older-than 30d --keep-last 10",
                "remove it; tombstones stay",
            ),
        ],
        codes: JOURNAL_CODES,
    },
    Help {
        command: "import",
        examples: &[
            (
                "caxplan import RUNBOOK.md --output draft.yaml",
                "make a draft plan of a runbook",
            ),
            (
                "caxplan import RUNBOOK.md --section Upgrade",
                "of one section only, to the standard output",
            ),
        ],
        codes: "0 the draft is a valid plan, 1 it is not yet (what is wrong is said), 2 no such file, or no Markdown text",
    },
    Help {
        command: "serve",
        examples: &[
            ("caxplan serve", "read-only pages on http://127.0.0.1:8920"),
            (
                "caxplan serve --allow-actions --token-file token",
                "approve and cancel from the browser, too",
            ),
        ],
        codes: "0 ended by a signal, 1 the address is taken, 2 wrong usage",
    },
    Help {
        command: "adapters",
        examples: &[
            ("caxplan adapters", "every action that a step can use"),
            (
                "caxplan adapters describe shell.run",
                "the arguments and promises of one",
            ),
        ],
        codes: "0 done, 2 no such action, or wrong usage",
    },
    Help {
        command: "schema",
        examples: &[
            ("caxplan schema plan", "for `# yaml-language-server: $schema=…`"),
            ("caxplan schema --action shell.run", "of one action's arguments"),
        ],
        codes: "0 done, 2 no such action, or wrong usage",
    },
    Help {
        command: "completions",
        examples: &[
            (
                "caxplan completions bash",
                "write it to ~/.local/share/bash-completion/completions/caxplan",
            ),
            (
                "caxplan completions fish",
                "write it to ~/.config/fish/completions/caxplan.fish",
            ),
        ],
        codes: "0 done, 2 wrong usage",
    },
    Help {
        command: "man",
        examples: &[
            (
                "caxplan man run",
                "the page of one command; read it with `man -l -`",
            ),
            ("caxplan man --dir man1", "every page, into a folder"),
        ],
        codes: "0 done, 1 a page could not be written, 2 wrong usage",
    },
];

/// The whole command line with all its help. `colors` is for terminals; manuals and references want none.
pub(crate) fn command() -> Command {
    let mut command = crate::Arguments::command();
    for help in HELP {
        if command.find_subcommand(help.command).is_some() {
            let text = after_help(help);
            command = command.mut_subcommand(help.command, |sub| sub.after_help(text));
        }
    }
    let template = template(&command);
    command.help_template(template)
}

fn after_help(help: &Help) -> StyledStr {
    let mut text = String::from("Examples:\n");
    for (line, what) in help.examples {
        let _ = writeln!(text, "  {line}\n      {what}");
    }
    let _ = write!(text, "\nExit codes: {}", help.codes);
    StyledStr::from(text)
}

/// The first page, with the commands in groups.
fn template(command: &Command) -> StyledStr {
    let mut text = String::from("{before-help}{about-with-newline}\n{usage-heading} {usage}\n");
    let width = command
        .get_subcommands()
        .map(|sub| sub.get_name().len())
        .max()
        .unwrap_or(0)
        .max("help".len());
    for (title, subs) in groups(command) {
        let _ = writeln!(text, "\n{title}:");
        for (name, about) in subs {
            let _ = writeln!(text, "  {name:width$}  {about}");
        }
    }
    text.push_str("\nOptions:\n{options}{after-help}\n");
    StyledStr::from(text)
}

/// The groups that have commands here; what no group knows comes last.
pub(crate) fn groups(command: &Command) -> Vec<(&'static str, Vec<(String, String)>)> {
    let about = |name: &str| match command.find_subcommand(name) {
        Some(sub) => Some(sub.get_about().map(ToString::to_string).unwrap_or_default()),
        // clap adds it later.
        None if name == "help" => Some("Print this, or the help of a command".to_owned()),
        None => None,
    };
    let mut groups: Vec<(&str, Vec<(String, String)>)> = GROUPS
        .iter()
        .map(|(title, names)| {
            let known = names
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), about(name)?)));
            (*title, known.collect())
        })
        .collect();
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let others: Vec<(String, String)> = command
        .get_subcommands()
        .filter(|sub| !is_grouped(sub.get_name()) && !sub.is_hide_set())
        .map(|sub| {
            let about = sub.get_about().map(ToString::to_string);
            (sub.get_name().to_owned(), about.unwrap_or_default())
        })
        .collect();
    groups.push(("Others", others));
    groups.retain(|(_, subs)| !subs.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::{HELP, command, groups};

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_example_is_a_command_line() {
        for help in HELP {
            assert!(!help.examples.is_empty(), "{}", help.command);
            for (line, _) in help.examples {
                let parsed = command().try_get_matches_from(line.split_whitespace());
                assert!(parsed.is_ok(), "{line}: {}", parsed.expect_err("wrong"));
                assert!(line.starts_with(&format!("caxplan {}", help.command)), "{line}");
            }
        }
    }

    #[test]
    fn every_command_belongs_to_a_group_and_has_examples_and_exit_codes() {
        let mut command = command();
        for (title, subs) in groups(&command) {
            assert!(title != "Others", "in no group of help.rs: {subs:?}");
        }
        for sub in command
            .get_subcommands_mut()
            .filter(|sub| sub.get_name() != "help")
        {
            let name = sub.get_name().to_owned();
            let help = sub.render_long_help().to_string();
            assert!(
                help.contains("Examples:\n"),
                "{name} has no examples in help.rs\n{help}"
            );
            assert!(
                help.contains("Exit codes:"),
                "{name} has no exit codes in help.rs\n{help}"
            );
        }
    }
}
