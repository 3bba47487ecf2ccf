//! `ssh.wait`: waits until a host answers, and is as it should be.

use crate::run::{default_ok_codes, default_shell};
use crate::{Broken, Command, Connections, Exit, Finished, Host, Sudo};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

/// The least pause between two tries: a host that comes up is not to be hindered.
const EVERY_MIN: std::time::Duration = std::time::Duration::from_millis(100);

/// How long a try that has begun in time may go on.
const TRY_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// Arguments of `ssh.wait`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("not" = { "required": ["argv", "script"] }))]
pub struct SshWait {
    /// A program and its arguments that must succeed; if neither this nor `script` is given, it is enough that one can log in.
    #[serde(default)]
    pub argv: Vec<String>,
    /// A script that must succeed.
    #[serde(default)]
    pub script: Option<String>,
    /// The exit codes that mean success.
    #[serde(default = "default_ok_codes")]
    pub ok_codes: Vec<i32>,
    /// The pause between two tries.
    #[serde(default = "default_every")]
    pub every: Duration,
    /// How long to try in all.
    #[serde(default = "default_for", rename = "for")]
    pub within: Duration,
    /// Whether the host must go down first: not answer any more, or have been started anew since this run last saw it. For a
    /// step after a reboot, which would else find the host that is still going down.
    #[serde(default)]
    pub down_first: bool,
    /// As whom to run it; what the target's variable `sudo` says if absent.
    #[serde(default)]
    pub sudo: Option<Sudo>,
    /// The host, as `host`, `host:port` or `user@host:port`; that of the step's target if absent.
    #[serde(default)]
    pub host: Option<String>,
}

fn default_every() -> Duration {
    Duration::from_secs(2)
}

fn default_for() -> Duration {
    Duration::from_secs(300)
}

#[async_trait]
impl ActionThrough<Connections> for SshWait {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "tries": { "type": "integer", "description": "How often it was tried." },
                    "waited": { "type": "number", "description": "How long it took, in seconds." },
                    "boot_id": { "type": ["string", "null"], "description": "The id of the host's boot." },
                    "stdout": { "type": "string", "description": "What the command wrote at last." },
                },
                "required": ["tries", "waited", "boot_id", "stdout"],
            }),
            examples: vec![
                json!({ "host": "web-1", "for": "2m" }),
                json!({ "host": "web-1", "argv": ["test", "-e", "/run/ready"], "every": "1s", "for": "30s" }),
            ],
            public_arguments: vec!["argv".to_owned()],
            ..reads::<Self>(
                "ssh.wait",
                "Waits until another machine answers over SSH, and a command succeeds there",
            )
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
        let what = match (&self.script, self.argv.first()) {
            (None, None) => "answers".to_owned(),
            (Some(_), _) => "answers and a script succeeds there".to_owned(),
            (None, Some(program)) => format!("answers and `{program}` succeeds there"),
        };
        let first = if self.down_first { " has gone down and" } else { "" };
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!(
                "would wait up to {} until {}{first} {what}",
                self.within,
                host.name()
            ),
            before: Value::Null,
        })
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        match self.wait(through, call, context).await {
            Ok(output) => Outcome::Unchanged { output },
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            },
        }
    }
}

impl SshWait {
    fn command(&self, host: &Host) -> Result<Command, Cause> {
        let command = match &self.script {
            Some(_) if !self.argv.is_empty() => {
                return Err(Cause::new(
                    FailureKind::Invalid,
                    "give `argv` or `script`, not both",
                ));
            }
            Some(script) => Command::script_for(default_shell(), script.clone()),
            None if self.argv.is_empty() => Command::script(":"),
            None => Command::new(self.argv.clone()),
        };
        Ok(command.sudo(host.sudo(self.sudo.as_ref())))
    }

    async fn wait(&self, through: &Connections, call: &Call, context: &Context) -> Result<Value, Cause> {
        let host = through.host(call, self.host.as_deref(), context)?;
        let command = self.command(&host)?;
        command.check()?;
        let began = Instant::now();
        let deadline = began + self.within.as_std();
        let mut boot = host.boot();
        let mut up = !self.down_first;
        let mut said = String::new();
        for tries in 1_u64.. {
            if !up {
                // A connection of before says nothing of now.
                host.forget();
            }
            let seen = try_once(&host, &command, deadline.max(Instant::now() + TRY_MAX), context).await;
            let why = match self.judge(&host, seen) {
                Ok(_) if !up && boot.is_some() && boot != host.boot() => {
                    up = true;
                    continue;
                }
                Ok(_) if !up => {
                    boot = host.boot();
                    Cause::new(
                        FailureKind::Expectation,
                        format!("{} has not gone down yet", host.name()),
                    )
                }
                Ok(finished) => {
                    return Ok(json!({
                        "tries": tries,
                        "waited": (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
                        "boot_id": host.boot(),
                        "stdout": finished.stdout.text(),
                    }));
                }
                // Waiting makes no key a known one, and no wrong setting right.
                Err(cause) if cause.kind == FailureKind::Invalid || cause.detail["host_key"].is_string() => {
                    return Err(cause);
                }
                Err(cause) if !up && matches!(cause.kind, FailureKind::Unavailable | FailureKind::Lost) => {
                    context.note(&format!("{} has gone down", host.name()));
                    up = true;
                    continue;
                }
                Err(cause) => cause,
            };
            if context.cancel.is_cancelled() {
                return Err(why);
            }
            if Instant::now() >= deadline {
                let times = if tries == 1 { "try" } else { "tries" };
                return Err(Cause {
                    message: format!(
                        "{} is not as wanted within {} ({tries} {times}); at last: {}",
                        host.name(),
                        self.within,
                        why.message
                    ),
                    ..why
                });
            }
            if why.message != said {
                context.note(&why.message);
                said = why.message;
            }
            let pause = self.every.as_std().max(EVERY_MIN);
            tokio::select! {
                () = tokio::time::sleep_until((Instant::now() + pause).min(deadline)) => {}
                () = context.cancel.cancelled() => {}
            }
        }
        unreachable!("the numbers of tries do not end before the deadline")
    }

    fn judge(&self, host: &Host, seen: Result<Finished, Broken>) -> Result<Finished, Cause> {
        let finished = seen.map_err(Broken::into_cause)?;
        match finished.exit {
            Exit::Code(code) if self.ok_codes.contains(&code) => Ok(finished),
            exit => {
                let name = match (&self.script, self.argv.first()) {
                    (None, Some(program)) => format!("`{program}`"),
                    _ => "the script".to_owned(),
                };
                let how = match exit {
                    Exit::Code(code) => format!("ends with exit code {code}"),
                    Exit::Signal(signal) => format!("is killed by signal {signal}"),
                };
                let tail = finished.stderr.tail();
                let tail = tail
                    .lines()
                    .last()
                    .map(|line| format!(": {line}"))
                    .unwrap_or_default();
                Err(Cause::new(
                    FailureKind::Exit,
                    format!("{name} on {} {how}{tail}", host.name()),
                ))
            }
        }
    }
}

/// One try, until `limit` at most; then it is ended like what is cancelled.
async fn try_once(
    host: &Host,
    command: &Command,
    limit: Instant,
    context: &Context,
) -> Result<Finished, Broken> {
    let context = Context {
        cancel: context.cancel.child_token(),
        ..context.clone()
    };
    let trying = host.run(command, &context);
    tokio::pin!(trying);
    tokio::select! {
        seen = &mut trying => return seen,
        () = tokio::time::sleep_until(limit) => context.cancel.cancel(),
    }
    match trying.await {
        Err(broken) if broken.cause().kind == FailureKind::Cancelled => Err(Broken::Stopped(Cause::new(
            FailureKind::Timeout,
            format!("{} on {} does not end", command.name(), host.name()),
        ))),
        seen => seen,
    }
}
