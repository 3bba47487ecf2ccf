//! Which systemd a step is about, and what can be run beside it.

use crate::arguments::BusName;
use crate::bridge::{Bridge, Said};
use crate::failure::lost;
use caxplan_adapter::process::{self, NotFinished, Program};
use caxplan_adapter::{Call, Context, OutputSink, Stream};
use caxplan_model::{Cause, FailureKind, Value};
use caxplan_ssh::{Broken, Command, Connections, Exit, Host, Sudo};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;

/// The variable and address by which a target, or a step, says that it means this machine.
const HERE: &str = "local";

/// The program that lends its standard input and output to a bus.
const BRIDGE: &str = "systemd-stdio-bridge";

/// Says the time there on a line, and becomes the bridge with its arguments. The user's own bus is where it always is, if the
/// login has not said where.
const START_BRIDGE: &str = r#"command -v systemd-stdio-bridge >/dev/null 2>&1 || { echo none; exit 127; }
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"
date +%s
exec systemd-stdio-bridge "$@""#;

/// The longest first line of a bridge, in bytes.
const FIRST_LINE_MAX: usize = 64;

/// One systemd: a machine, as whom we are there, and the bus.
pub(crate) struct Place {
    machine: Machine,
    sudo: Sudo,
    bus: BusName,
}

enum Machine {
    Here,
    Host(Arc<Host>),
}

/// What a program left.
pub(crate) struct Ran {
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Why there is no [`Ran`].
pub(crate) enum NotRan {
    /// It was never started.
    NotStarted(Cause),
    /// It was stopped, or lost, in its middle.
    Midway(Cause),
}

impl NotRan {
    pub(crate) fn cause(self) -> Cause {
        match self {
            Self::NotStarted(cause) | Self::Midway(cause) => cause,
        }
    }
}

impl Place {
    /// What a call means. Connects to nothing.
    ///
    /// # Errors
    /// Of kind `invalid` if the target's variables make no sense.
    pub(crate) fn of(
        through: &Connections,
        call: &Call,
        host: Option<&str>,
        sudo: Option<&Sudo>,
        bus: &BusName,
        context: &Context,
    ) -> Result<Self, Cause> {
        let vars = call.target.as_ref().map(|target| &target.vars);
        let address = vars.and_then(|vars| vars.get("address")).and_then(Value::as_str);
        let is_here = match host {
            Some(host) => host == HERE,
            None => call.target.is_none() || address == Some(HERE),
        };
        if !is_here {
            let host = through.host(call, host, context)?;
            return Ok(Self {
                sudo: host.sudo(sudo),
                machine: Machine::Host(host),
                bus: bus.clone(),
            });
        }
        let sudo = match (sudo, vars.and_then(|vars| vars.get("sudo"))) {
            (Some(sudo), _) => sudo.clone(),
            (None, Some(value)) => serde_json::from_value(value.clone()).map_err(|error| {
                Cause::new(
                    FailureKind::Invalid,
                    format!("the target's variable `sudo` is {error}"),
                )
            })?,
            (None, None) => Sudo::No,
        };
        let is_root = rustix::process::geteuid().is_root();
        Ok(Self {
            machine: Machine::Here,
            // Root needs no sudo to be root.
            sudo: if sudo == Sudo::Root && is_root {
                Sudo::No
            } else {
                sudo
            },
            bus: bus.clone(),
        })
    }

    /// The machine's name for people.
    pub(crate) fn name(&self) -> &str {
        match &self.machine {
            Machine::Here => "this machine",
            Machine::Host(host) => host.name(),
        }
    }

    /// Whether the journal is asked for the units of a user.
    pub(crate) fn is_user(&self) -> bool {
        self.bus == BusName::User
    }

    /// Lets go of a connection that turned out to be broken.
    pub(crate) fn forget(&self) {
        if let Machine::Host(host) = &self.machine {
            host.forget();
        }
    }

    /// The connection to the bus, as far as D-Bus goes: by its socket if we may simply open it, else through a bridge.
    pub(crate) async fn dial(&self, context: &Context) -> Result<Dialled, Cause> {
        match (&self.machine, &self.sudo, &self.bus) {
            (Machine::Here, Sudo::No, BusName::System) => Ok(Dialled::System),
            (Machine::Here, Sudo::No, BusName::User) => Ok(Dialled::User),
            (Machine::Here, Sudo::No, BusName::At(address)) => Ok(Dialled::Address(address.clone())),
            (Machine::Here, Sudo::Root | Sudo::User(_), _) => {
                let (bridge, said) = self.bridge_here(context)?;
                self.greet(bridge, said).await
            }
            (Machine::Host(host), sudo, _) => {
                let command = Command::new(self.bridge_words()).sudo(sudo.clone());
                let stream = host.open(&command, context).await.map_err(Broken::into_cause)?;
                let (output, input) = tokio::io::split(stream);
                let bridge = Bridge {
                    output: Box::new(output),
                    input: Box::new(input),
                    keeper: Box::new(()),
                };
                self.greet(bridge, Said::default()).await
            }
        }
    }

    /// Takes the first line of a bridge, which is no D-Bus.
    async fn greet(&self, mut bridge: Bridge, said: Said) -> Result<Dialled, Cause> {
        let line = bridge.first_line(FIRST_LINE_MAX).await.map_err(|error| {
            let error = zbus::Error::from(error);
            self.explain(&error, &said.text())
        })?;
        if line == "none" {
            return Err(Cause::new(
                FailureKind::NotFound,
                format!(
                    "systemd of {} cannot be asked: there is no `{BRIDGE}`",
                    self.name()
                ),
            )
            .with_hint(NO_BRIDGE));
        }
        Ok(Dialled::Bridge {
            bridge,
            said,
            now_us: line
                .parse::<u64>()
                .ok()
                .map(|seconds| seconds.saturating_mul(1_000_000)),
        })
    }

    fn bridge_words(&self) -> Vec<String> {
        let argument = match &self.bus {
            BusName::System => "--system".to_owned(),
            BusName::User => "--user".to_owned(),
            BusName::At(address) => format!("--bus-path={address}"),
        };
        let mut words = ["sh", "-c", START_BRIDGE, "sh"].map(str::to_owned).to_vec();
        words.push(argument);
        words
    }

    /// As another user of this machine.
    fn bridge_here(&self, context: &Context) -> Result<(Bridge, Said), Cause> {
        let words = self.as_whom(self.bridge_words());
        let failed = |reason: String| {
            Cause::new(
                FailureKind::Unavailable,
                format!("cannot reach systemd by `{}`: {reason}", words[0]),
            )
        };
        let mut child = tokio::process::Command::new(&words[0])
            .args(&words[1..])
            .envs(context.markers.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(input), Some(output), Some(said)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("it has no pipes".to_owned()));
        };
        let listener = Said::default();
        tokio::spawn(listener.clone().listen(said));
        let bridge = Bridge {
            output: Box::new(output),
            input: Box::new(input),
            keeper: Box::new(child),
        };
        Ok((bridge, listener))
    }

    /// The words that run a program of this machine as whom we are to be.
    fn as_whom(&self, words: Vec<String>) -> Vec<String> {
        let user = match &self.sudo {
            Sudo::No => return words,
            Sudo::Root => "root",
            Sudo::User(user) => user,
        };
        let mut all: Vec<String> = ["sudo", "-n", "-u", user, "--"].map(str::to_owned).to_vec();
        all.extend(words);
        all
    }

    /// Runs a program there to its end, as whom we are. What it puts out goes to the caller alone.
    pub(crate) async fn run(&self, words: &[&str], stdin: &[u8], context: &Context) -> Result<Ran, NotRan> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match &self.machine {
            Machine::Here => {
                let program = Program {
                    argv: self.as_whom(words),
                    inherit_env: true,
                    cwd: Some("/".into()),
                    stdin: Some(stdin.to_vec()),
                    ..Program::default()
                };
                match process::run(&program, &quiet(context)).await {
                    Ok(finished) => Ok(Ran {
                        code: finished
                            .status
                            .code()
                            .filter(|_| finished.status.signal().is_none()),
                        stdout: finished.stdout.text(),
                        stderr: finished.stderr.text(),
                    }),
                    Err(NotFinished::NotStarted(cause)) => Err(NotRan::NotStarted(cause)),
                    Err(NotFinished::Stopped(cause)) => Err(NotRan::Midway(cause)),
                }
            }
            Machine::Host(host) => {
                let command = Command::new(words).stdin(stdin).sudo(self.sudo.clone());
                match host.run(&command, context).await {
                    Ok(finished) => Ok(Ran {
                        code: match finished.exit {
                            Exit::Code(code) => Some(code),
                            Exit::Signal(_) => None,
                        },
                        stdout: finished.stdout.text(),
                        stderr: finished.stderr.text(),
                    }),
                    Err(Broken::NeverStarted(cause)) => Err(NotRan::NotStarted(cause)),
                    Err(Broken::Stopped(cause) | Broken::Lost(cause)) => Err(NotRan::Midway(cause)),
                }
            }
        }
    }

    /// Why a bus that was dialled did not answer.
    pub(crate) fn explain(&self, error: &zbus::Error, said: &str) -> Cause {
        if said.contains("password is required") || said.contains("not in the sudoers") {
            return Cause::new(
                FailureKind::Denied,
                format!("sudo refuses on {}: {said}", self.name()),
            )
            .with_hint("a rule such as `deploy ALL=(root) NOPASSWD: ALL` lets it ask for no password");
        }
        if !said.is_empty() {
            return Cause::new(
                FailureKind::Unavailable,
                format!("systemd of {} cannot be asked: {said}", self.name()),
            )
            .with_hint(NO_BRIDGE);
        }
        match &self.machine {
            Machine::Here => Cause::new(
                FailureKind::Unavailable,
                format!("systemd of this machine cannot be asked: {error}"),
            )
            .with_hint(match self.bus {
                BusName::System => "is systemd running here, and dbus? `bus: user` means the user's own",
                BusName::User => "does a systemd of this user run (`systemctl --user`)? DBUS_SESSION_BUS_ADDRESS or XDG_RUNTIME_DIR says where",
                BusName::At(_) => "is there a bus at this address?",
            }),
            Machine::Host(host) => {
                let mut cause = lost(&format!("systemd of {} does not answer: {error}", host.name()));
                cause.kind = FailureKind::Unavailable;
                cause.with_hint(format!(
                    "`ssh {} {BRIDGE}` shows what is wrong: is systemd running there, and dbus?",
                    host.address()
                ))
            }
        }
    }
}

/// What to do about a bridge that is not there.
const NO_BRIDGE: &str = "`systemd-stdio-bridge` must be there: it comes with systemd (on some systems in the package systemd-container), and `systemctl -H` needs it too";

/// How a bus is reached.
pub(crate) enum Dialled {
    System,
    User,
    Address(String),
    /// Through a program.
    Bridge {
        bridge: Bridge,
        /// What it says on its standard error.
        said: Said,
        /// The time there, in microseconds since 1970, if it told.
        now_us: Option<u64>,
    },
}

/// The same context for a program whose output is no output of the step.
fn quiet(context: &Context) -> Context {
    struct Null;
    impl OutputSink for Null {
        fn write(&self, _: Stream, _: &[u8]) {}
        fn mask(&self, _: &str) {}
    }
    Context {
        output: Arc::new(Null),
        ..context.clone()
    }
}
