//! `shell.run`: a program or a script on this machine.

use crate::Scalar;
use caxplan_adapter::process::{self, Finished, Program};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

/// The longest command in a one-line summary, in characters.
const SUMMARY_MAX: usize = 80;

/// Arguments of `shell.run`: a program with its arguments, or a script.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["argv"] }, { "required": ["script"] }]))]
pub struct ShellRun {
    /// The program, looked up in `PATH` unless it is a path, and its arguments. No shell is involved.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// A script for the shell.
    #[serde(default)]
    pub script: Option<String>,
    /// The shell of `script`, which gets `-c` and the script as its last arguments.
    #[serde(default = "default_shell")]
    #[schemars(length(min = 1))]
    pub shell: Vec<String>,
    /// Variables over the engine's own environment.
    #[serde(default)]
    pub env: BTreeMap<String, Scalar>,
    /// The folder to run in, relative to the plan's.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// What the program reads; nothing if absent.
    #[serde(default)]
    pub stdin: Option<String>,
    /// The exit codes that mean success.
    #[serde(default = "default_ok_codes")]
    pub ok_codes: Vec<i32>,
    /// Whether it changes something, as far as you know; a step that does not has nothing to undo.
    #[serde(default = "default_changes")]
    pub changes: bool,
}

fn default_shell() -> Vec<String> {
    ["bash", "-euo", "pipefail"].map(str::to_owned).to_vec()
}

pub(crate) fn default_ok_codes() -> Vec<i32> {
    vec![0]
}

pub(crate) fn default_changes() -> bool {
    true
}

#[async_trait]
impl Action for ShellRun {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "stdout": { "type": "string", "description": "What it wrote, up to 64 KiB." },
                    "stderr": { "type": "string", "description": "The same of its standard error." },
                    "exit_code": { "type": "integer", "description": "Its exit code." },
                },
                "required": ["stdout", "stderr", "exit_code"],
            }),
            examples: vec![
                json!({ "argv": ["systemctl", "is-active", "caxton"], "changes": false }),
                json!({ "script": "df -h / | tail -1", "cwd": "/", "env": { "LC_ALL": "C" } }),
            ],
            changes_argument: Some("changes".to_owned()),
            // A script is an argument of its shell.
            public_arguments: ["argv", "script", "shell"].map(str::to_owned).to_vec(),
            ..changes::<Self>("shell.run", "Runs a program or a script on this machine")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        let summary = format!("would run {}", self.summary());
        Ok(if self.changes {
            Forecast::unknown(summary)
        } else {
            Forecast {
                change: Change::WouldNot,
                summary: format!("{summary}, which changes nothing"),
                before: Value::Null,
            }
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let program = match self.program(context) {
            Ok(program) => program,
            Err(cause) => return Outcome::failed(cause.kind, cause.message),
        };
        match process::run(&program, context).await {
            Ok(finished) => self.outcome(&program, &finished),
            Err(reason) => reason.into(),
        }
    }
}

impl ShellRun {
    fn program(&self, context: &Context) -> Result<Program, Cause> {
        let argv = match &self.script {
            None if self.argv.is_empty() => {
                return Err(Cause::new(FailureKind::Invalid, "give `argv` or `script`"));
            }
            Some(_) if !self.argv.is_empty() => {
                return Err(Cause::new(
                    FailureKind::Invalid,
                    "give `argv` or `script`, not both",
                ));
            }
            None => self.argv.clone(),
            Some(script) => {
                let mut argv = self.shell.clone();
                argv.extend(["-c".to_owned(), script.clone()]);
                argv
            }
        };
        Ok(Program {
            argv,
            env: self
                .env
                .iter()
                .map(|(name, value)| (name.clone(), value.to_string()))
                .collect(),
            inherit_env: true,
            cwd: Some(match &self.cwd {
                Some(cwd) => context.plan_dir.join(cwd),
                None => context.plan_dir.clone(),
            }),
            stdin: self.stdin.clone().map(String::into_bytes),
        })
    }

    fn outcome(&self, program: &Program, finished: &Finished) -> Outcome {
        let Finished {
            status,
            stdout,
            stderr,
        } = finished;
        let code = status.code();
        if let Some(code) = code.filter(|code| self.ok_codes.contains(code)) {
            let output = json!({ "stdout": stdout.text(), "stderr": stderr.text(), "exit_code": code });
            return if self.changes {
                Outcome::Changed { output }
            } else {
                Outcome::Unchanged { output }
            };
        }
        let how = match (code, status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was killed by {}", signal_name(signal)),
            (None, None) => format!("ended: {status}"),
        };
        let cause = Cause::new(FailureKind::Exit, format!("{} {how}", program.name()))
            .with_detail(json!({ "exit_code": code, "signal": status.signal(), "stdout": stdout.tail(), "stderr": stderr.tail() }));
        Outcome::Failed {
            cause,
            effect: if self.changes {
                caxplan_model::FailureEffect::Possible
            } else {
                caxplan_model::FailureEffect::None
            },
        }
    }

    fn summary(&self) -> String {
        let text = match &self.script {
            Some(script) => script.trim().replace('\n', "; "),
            None => self.argv.join(" "),
        };
        if text.chars().count() <= SUMMARY_MAX {
            format!("`{text}`")
        } else {
            let head: String = text.chars().take(SUMMARY_MAX).collect();
            format!("`{head}…`")
        }
    }
}

/// `SIGKILL (9)`; a signal without a name of its own by its number.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    format!("{name} ({number})")
}

#[cfg(test)]
mod tests {
    use super::ShellRun;
    use caxplan_adapter::conformance::{Case, call, check};
    use caxplan_adapter::{ActionSet, Adapter as _, Context};
    use caxplan_model::{FailureKind, Outcome, Value};
    use serde_json::json;
    use std::time::{Duration, Instant};

    fn adapter() -> ActionSet {
        ActionSet::new("shell").with::<ShellRun>()
    }

    async fn run(with: Value) -> Outcome {
        adapter()
            .perform(&call("shell.run", &with), &Context::detached("."))
            .await
    }

    #[tokio::test]
    async fn conforms() {
        check(
            &adapter(),
            &[
                Case::succeeds("shell.run", json!({ "argv": ["true"] })),
                Case::succeeds("shell.run", json!({ "script": "exit 3", "ok_codes": [0, 3] })),
                Case::fails("shell.run", json!({ "argv": ["false"] }), FailureKind::Exit),
                Case::fails(
                    "shell.run",
                    json!({ "argv": ["no-such-program"] }),
                    FailureKind::NotFound,
                ),
                Case::fails(
                    "shell.run",
                    json!({ "argv": ["true"], "cwd": "no/such/folder" }),
                    FailureKind::NotFound,
                ),
                Case::runs_until_cancelled("shell.run", json!({ "script": "echo on; sleep 1000" })),
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn output_is_what_the_program_said() {
        let outcome = run(json!({
            "script": "cat; echo \"$WHO $CAXTON_PORT\" >&2",
            "stdin": "read me",
            "env": { "WHO": "me", "CAXTON_PORT": 7946 },
        }))
        .await;
        let expected = json!({ "stdout": "read me", "stderr": "me 7946\n", "exit_code": 0 });
        assert_eq!(outcome, Outcome::Changed { output: expected });
    }

    #[tokio::test]
    async fn a_signal_is_named() {
        for (script, said) in [
            ("kill -KILL $$", "`bash` was killed by SIGKILL (9)"),
            ("kill -USR1 $$", "`bash` was killed by signal 10"),
        ] {
            let outcome = run(json!({ "script": script })).await;
            assert_eq!(outcome.cause().map(|cause| cause.message.as_str()), Some(said));
        }
    }

    #[tokio::test]
    async fn a_failing_line_or_pipe_fails_the_script() {
        for script in ["false; echo on", "false | cat; echo on", "echo $NO_SUCH_VARIABLE"] {
            let outcome = run(json!({ "script": script })).await;
            assert!(
                outcome.may_have_acted() && !outcome.is_success(),
                "{script}: {outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn captured_output_is_bounded() {
        let outcome =
            run(json!({ "script": "head -c 1000000 /dev/zero | tr '\\0' x", "changes": false })).await;
        let Outcome::Unchanged { output } = outcome else {
            panic!("{outcome:?}")
        };
        let text = output["stdout"].as_str().expect("a text");
        assert!(
            text.ends_with("x\n[934464 more bytes are in the log]\n"),
            "{}",
            &text[text.len() - 60..]
        );
    }

    #[tokio::test]
    async fn a_background_process_does_not_hold_the_step() {
        let started = Instant::now();
        let outcome = run(json!({ "script": "sleep 7 & echo started" })).await;
        assert_eq!(
            outcome.output().map(|output| &output["stdout"]),
            Some(&json!("started\n"))
        );
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    /// Processes whose environment holds `marker`, zombies aside (they have none).
    fn marked(marker: &str) -> usize {
        std::fs::read_dir("/proc")
            .expect("Linux has /proc")
            .flatten()
            .filter_map(|entry| std::fs::read(entry.path().join("environ")).ok())
            .filter(|environ| {
                environ
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == marker.as_bytes())
            })
            .count()
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}");
    }

    /// Starts `script` with a marker of its own, waits for `count` marked processes, ends it by `end`, and waits until
    /// none is left.
    async fn check_no_orphans(name: &str, script: &str, count: usize, drop_future: bool) {
        let value = format!("{name}-{}", std::process::id());
        let marker = format!("CAXPLAN_STEP_ID={value}");
        let mut context = Context::detached(".");
        context.markers = vec![("CAXPLAN_STEP_ID".to_owned(), value)];
        let cancel = context.cancel.clone();
        let call = call("shell.run", &json!({ "script": script }));
        let task = tokio::spawn(async move { adapter().perform(&call, &context).await });
        until("all processes run", || marked(&marker) == count).await;
        if drop_future {
            task.abort();
        } else {
            cancel.cancel();
            let outcome = task.await.expect("does not panic");
            assert_eq!(
                outcome.cause().map(|cause| cause.kind),
                Some(FailureKind::Cancelled)
            );
            assert!(outcome.may_have_acted());
        }
        until("no process is left", || marked(&marker) == 0).await;
    }

    #[tokio::test]
    async fn cancelling_ends_all_descendants() {
        check_no_orphans("cancel", "sleep 1000 & sleep 1000", 3, false).await;
    }

    #[tokio::test]
    async fn cancelling_ends_what_ignores_sigterm() {
        check_no_orphans("ignore", "trap '' TERM; sleep 1000 & sleep 1000", 3, false).await;
    }

    #[tokio::test]
    async fn dropping_ends_all_descendants() {
        check_no_orphans("drop", "sleep 1000 & sleep 1000", 3, true).await;
    }
}
