//! `ssh.run`: a program or a script on another machine.

use crate::receipts::{self, Fate};
use crate::{Broken, Command, Connections, Exit, Host, Sudo};
use caxplan_adapter::{ActionThrough, Call, Captured, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, Value, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The longest command in a one-line summary, in characters.
const SUMMARY_MAX: usize = 80;

/// How long a host may be out of reach after the connection broke in the middle of a command, before its fate is left open.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// How long to wait before a host that cannot be reached is tried again.
const BACK_POLL: Duration = Duration::from_secs(1);

/// What stands in the place of output that nobody got.
pub(crate) const OUTPUT_LOST: &str = "[what it wrote after the connection broke is lost]\n";

/// Arguments of `ssh.run`: a program with its arguments, or a script.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["argv"] }, { "required": ["script"] }]))]
pub struct SshRun {
    /// The program, looked up in the host's `PATH` unless it is a path, and its arguments. No shell sees them.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// A script for the shell.
    #[serde(default)]
    pub script: Option<String>,
    /// The shell of `script`, with its options. Another program than a shell gets `-c` and the script as its last arguments,
    /// where `ps` shows them.
    #[serde(default = "default_shell")]
    #[schemars(length(min = 1))]
    pub shell: Vec<String>,
    /// Variables over those that the user has on the host. No process list shows them: a secret may stand here.
    #[serde(default)]
    pub env: BTreeMap<String, Scalar>,
    /// The folder to run in; the user's home if absent.
    #[serde(default)]
    pub cwd: Option<String>,
    /// What the program reads; nothing if absent.
    #[serde(default)]
    pub stdin: Option<String>,
    /// The exit codes that mean success.
    #[serde(default = "default_ok_codes")]
    pub ok_codes: Vec<i32>,
    /// Whether it changes something, as far as you know. One that does not has nothing to undo, and leaves no receipt on the
    /// host.
    #[serde(default = "default_changes")]
    pub changes: bool,
    /// As whom to run it; what the target's variable `sudo` says if absent.
    #[serde(default)]
    pub sudo: Option<Sudo>,
    /// The host, as `host`, `host:port` or `user@host:port`; that of the step's target if absent.
    #[serde(default)]
    pub host: Option<String>,
}

/// A text, number or boolean, for places where `PORT: 8080` must do as well as `PORT: "8080"`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A number, written as in the plan.
    Number(serde_json::Number),
    /// `true` or `false`.
    Boolean(bool),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(boolean) => boolean.fmt(f),
        }
    }
}

pub(crate) fn default_shell() -> Vec<String> {
    ["sh", "-eu"].map(str::to_owned).to_vec()
}

pub(crate) fn default_ok_codes() -> Vec<i32> {
    vec![0]
}

fn default_changes() -> bool {
    true
}

#[async_trait]
impl ActionThrough<Connections> for SshRun {
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
                json!({ "argv": ["systemctl", "is-active", "caxton"], "host": "deploy@web-1.example.com", "changes": false }),
                json!({ "script": "df -h / | tail -1", "host": "web-1", "cwd": "/", "env": { "LC_ALL": "C" }, "sudo": true }),
            ],
            changes_argument: Some("changes".to_owned()),
            probes: true,
            // A script reaches its shell by other ways than the command line.
            public_arguments: vec!["argv".to_owned()],
            ..changes::<Self>("ssh.run", "Runs a program or a script on another machine")
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        let host = through.host(call, self.host.as_deref(), context)?;
        self.command(&host)?.check()?;
        let summary = format!(
            "would run {} on {} ({})",
            self.summary(),
            host.name(),
            host.address()
        );
        if let Err(broken) = host.ready(context).await {
            let why = &broken.cause().message;
            return Ok(Forecast::unknown(format!(
                "{summary}; now, it is out of reach: {why}"
            )));
        }
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

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let (host, command) = match self.prepare(through, call, context) {
            Ok(prepared) => prepared,
            Err(cause) => return Broken::NeverStarted(cause).into(),
        };
        if !self.changes {
            return match host.run(&command.streaming(), context).await {
                Ok(finished) => self.outcome(&host, finished.exit, &finished.stdout, &finished.stderr),
                // What changes nothing has done nothing, however it ended.
                Err(broken) => Outcome::Failed {
                    cause: broken.into_cause(),
                    effect: FailureEffect::None,
                },
            };
        }
        let boot = host.boot();
        let receipt = receipts::name(call);
        let command = command.receipt(receipt.clone()).streaming();
        match host.run(&command, context).await {
            Ok(finished) => self.outcome(&host, finished.exit, &finished.stdout, &finished.stderr),
            Err(Broken::Lost(cause)) if !context.cancel.is_cancelled() => {
                self.after_loss(&host, call, &receipt, boot.as_deref(), cause, context)
                    .await
            }
            Err(broken) => broken.into(),
        }
    }

    async fn probe(&self, through: &Connections, call: &Call, context: &Context) -> Verdict {
        let host = match self.prepare(through, call, context) {
            Ok((host, _)) => host,
            Err(cause) => {
                return Verdict::Unknown {
                    reason: cause.to_string(),
                };
            }
        };
        if !self.changes {
            // There is nothing that could have been done.
            return Verdict::NotDone;
        }
        match receipts::fate(&host, &receipts::name(call), call, None, context).await {
            Ok(Fate::Running) => Verdict::Running {
                reason: format!("it is still running on {}", host.name()),
            },
            Ok(Fate::Ended(code)) if self.ok_codes.contains(&code) => Verdict::Done {
                output: output(OUTPUT_LOST, "", code),
            },
            Ok(Fate::Ended(code)) => Verdict::Unknown {
                reason: format!(
                    "it ended on {} with exit code {code}{}, and what it did until then stays",
                    host.name(),
                    why(code)
                ),
            },
            Ok(Fate::NeverStarted) => Verdict::NotDone,
            Ok(Fate::Unknown(reason)) => Verdict::Unknown { reason },
            Err(broken) => Verdict::Unknown {
                reason: format!("its receipt cannot be read: {}", broken.cause()),
            },
        }
    }
}

/// The exit code that a shell gives to a program which SIGPIPE has ended.
const PIPE_CODE: i32 = 128 + 13;

/// What an exit code tells of a command whose connection broke.
fn why(code: i32) -> &'static str {
    match code {
        PIPE_CODE => " (SIGPIPE: it wrote output after the connection had broken)",
        _ => "",
    }
}

impl SshRun {
    fn prepare(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<(Arc<Host>, Command), Cause> {
        let host = through.host(call, self.host.as_deref(), context)?;
        let command = self.command(&host)?;
        command.check()?;
        Ok((host, command))
    }

    fn command(&self, host: &Host) -> Result<Command, Cause> {
        let invalid = |message: &str| Err(Cause::new(FailureKind::Invalid, message));
        let mut command = match &self.script {
            None if self.argv.is_empty() => return invalid("give `argv` or `script`"),
            Some(_) if !self.argv.is_empty() => return invalid("give `argv` or `script`, not both"),
            None => Command::new(self.argv.clone()),
            Some(script) => Command::script_for(self.shell.clone(), script.clone()),
        };
        command = command
            .sudo(host.sudo(self.sudo.as_ref()))
            .stdin(self.stdin.clone().unwrap_or_default());
        if let Some(cwd) = &self.cwd {
            command = command.cwd(cwd.clone());
        }
        for (name, value) in &self.env {
            command = command.env(name.clone(), value.to_string());
        }
        Ok(command)
    }

    fn outcome(&self, host: &Host, exit: Exit, stdout: &Captured, stderr: &Captured) -> Outcome {
        match exit {
            Exit::Code(code) if self.ok_codes.contains(&code) => {
                self.success(output(&stdout.text(), &stderr.text(), code))
            }
            exit => self.failure(host, exit, &stdout.tail(), &stderr.tail()),
        }
    }

    fn success(&self, output: Value) -> Outcome {
        if self.changes {
            Outcome::Changed { output }
        } else {
            Outcome::Unchanged { output }
        }
    }

    fn failure(&self, host: &Host, exit: Exit, stdout: &str, stderr: &str) -> Outcome {
        let (how, code, signal) = match exit {
            // What the shell around it makes of a signal; a program may also choose such a code itself.
            Exit::Code(code) if (129..=192).contains(&code) => (
                format!("ended with exit code {code} (as if by signal {})", code - 128),
                Some(code),
                None,
            ),
            Exit::Code(code) => (format!("ended with exit code {code}"), Some(code), None),
            Exit::Signal(signal) => (format!("was killed by signal {signal}"), None, Some(signal)),
        };
        let name = match &self.script {
            Some(_) => &self.shell,
            None => &self.argv,
        };
        let name = name.first().map_or("", String::as_str);
        let cause = Cause::new(FailureKind::Exit, format!("`{name}` on {} {how}", host.name()))
            .with_detail(json!({ "exit_code": code, "signal": signal, "stdout": stdout, "stderr": stderr }));
        Outcome::Failed {
            cause,
            effect: if self.changes {
                FailureEffect::Possible
            } else {
                FailureEffect::None
            },
        }
    }

    /// The connection broke in the middle: the receipt tells what became of the command, as soon as the host answers again.
    async fn after_loss(
        &self,
        host: &Host,
        call: &Call,
        receipt: &str,
        boot: Option<&str>,
        lost: Cause,
        context: &Context,
    ) -> Outcome {
        context.note(&format!(
            "{}; asking {} what became of it",
            lost.message,
            host.name()
        ));
        let mut silent_since = tokio::time::Instant::now();
        loop {
            match receipts::fate(host, receipt, call, boot, context).await {
                Ok(Fate::Running) => {
                    context.note("it is still running there; waiting for its end");
                    silent_since = tokio::time::Instant::now();
                }
                Ok(Fate::Ended(code)) if self.ok_codes.contains(&code) => {
                    context.note(&format!("it has ended there with exit code {code}"));
                    let said = |stream: &str| lost.detail[stream].as_str().unwrap_or_default().to_owned();
                    let stdout = said("stdout");
                    let gap = if stdout.is_empty() { "" } else { "\n" };
                    return self.success(output(
                        &format!("{stdout}{gap}{OUTPUT_LOST}"),
                        &said("stderr"),
                        code,
                    ));
                }
                Ok(Fate::Ended(code)) => {
                    if code == PIPE_CODE {
                        context.note(&format!("it has ended there with exit code {code}{}", why(code)));
                    }
                    let said = |stream: &str| lost.detail[stream].as_str().unwrap_or_default().to_owned();
                    return self.failure(host, Exit::Code(code), &said("stdout"), &said("stderr"));
                }
                Ok(Fate::NeverStarted) => {
                    return Outcome::Failed {
                        cause: Cause::new(
                            FailureKind::Unavailable,
                            format!("{}; by its receipt, it was never started", lost.message),
                        ),
                        effect: FailureEffect::None,
                    };
                }
                Ok(Fate::Unknown(reason)) => {
                    return Outcome::Unknown {
                        cause: Cause::new(FailureKind::Lost, format!("{}; {reason}", lost.message))
                            .with_detail(lost.detail),
                    };
                }
                Err(broken) => {
                    let out_of_reach =
                        matches!(broken.cause().kind, FailureKind::Unavailable | FailureKind::Lost);
                    if !out_of_reach || silent_since.elapsed() > BACK_WITHIN {
                        let why = &broken.cause().message;
                        return Outcome::Unknown {
                            cause: Cause::new(
                                FailureKind::Lost,
                                format!("{}; its receipt cannot be read: {why}", lost.message),
                            )
                            .with_hint("once the host is back, `caxplan resume` asks it again")
                            .with_detail(lost.detail),
                        };
                    }
                    tokio::select! {
                        () = tokio::time::sleep(BACK_POLL) => {}
                        () = context.cancel.cancelled() => {}
                    }
                }
            }
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

fn output(stdout: &str, stderr: &str, code: i32) -> Value {
    json!({ "stdout": stdout, "stderr": stderr, "exit_code": code })
}
