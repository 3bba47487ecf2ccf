//! One host, as actions see it.

use crate::Sudo;
use crate::client::{Connection, lock};
use crate::command::Command;
use crate::connections::{Pool, Slot};
use crate::exec::{self, ByteStream};
use crate::files::Sftp;
use caxplan_adapter::{Captured, Context};
use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// A host that can be reached over SSH. Cheap to make; connects when something is first asked of it.
pub struct Host {
    name: String,
    pub(crate) slot: Arc<Slot>,
    pool: Arc<Pool>,
    sudo: Sudo,
}

/// How often a host may refuse a channel before it is believed.
const REFUSALS_MAX: u32 = 5;

/// How long to wait before it is asked again.
const REFUSAL_PAUSE: Duration = Duration::from_millis(50);

/// How a command ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// By a signal, of this number.
    Signal(i32),
}

impl Exit {
    /// Whether it ended with exit code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// What a command left when it ended by itself.
#[derive(Debug)]
pub struct Finished {
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// What it wrote to its standard error.
    pub stderr: Captured,
    /// How it ended.
    pub exit: Exit,
}

/// Why there is no [`Finished`].
#[derive(Clone, Debug)]
pub enum Broken {
    /// It has certainly not been started.
    NeverStarted(Cause),
    /// It was started, and stopped with what it started, because the attempt was cancelled.
    Stopped(Cause),
    /// The connection broke: whether it was started, and what became of it, is not known.
    Lost(Cause),
}

impl Broken {
    /// Why.
    pub fn cause(&self) -> &Cause {
        match self {
            Self::NeverStarted(cause) | Self::Stopped(cause) | Self::Lost(cause) => cause,
        }
    }

    /// Why.
    pub fn into_cause(self) -> Cause {
        match self {
            Self::NeverStarted(cause) | Self::Stopped(cause) | Self::Lost(cause) => cause,
        }
    }
}

impl From<Broken> for Outcome {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NeverStarted(cause) => Self::Failed {
                cause,
                effect: FailureEffect::None,
            },
            Broken::Stopped(cause) => Self::Failed {
                cause,
                effect: FailureEffect::Possible,
            },
            Broken::Lost(cause) => Self::Unknown { cause },
        }
    }
}

/// A channel for one command, and its place in the queue.
pub(crate) struct Session {
    pub(crate) channel: russh::Channel<russh::client::Msg>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    /// A channel beside the queue: for what lives as long as the connection, or must not wait.
    pub(crate) async fn beside(connection: &Arc<Connection>, host: &str) -> Result<Self, Broken> {
        let channel = connection.channel().await.map_err(|error| {
            Broken::NeverStarted(Cause::new(
                FailureKind::Unavailable,
                format!("{host} opens no channel: {error}"),
            ))
        })?;
        Ok(Self {
            channel,
            connection: Arc::clone(connection),
            permit: None,
        })
    }
}

impl Host {
    pub(crate) fn new(name: String, slot: Arc<Slot>, pool: Arc<Pool>, sudo: Sudo) -> Self {
        Self {
            name,
            slot,
            pool,
            sudo,
        }
    }

    /// Its name for people: the target's, or the address as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `user@host:port`, for people.
    pub fn address(&self) -> String {
        self.slot.reach.shown()
    }

    /// As whom to act: what the step says, else what the target says.
    pub fn sudo(&self, argument: Option<&Sudo>) -> Sudo {
        argument.unwrap_or(&self.sudo).clone()
    }

    /// Runs a command to its end. Many may run at a time; those beyond the connection's limit wait for their turn.
    ///
    /// When the context is cancelled, the command is told to end (SIGTERM), with all that it started, and killed after two
    /// seconds. When this future is dropped instead, the command goes on.
    ///
    /// # Errors
    /// [`Broken`] says whether the command was certainly never started. Any exit code is no error.
    pub async fn run(&self, command: &Command, context: &Context) -> Result<Finished, Broken> {
        command.check().map_err(Broken::NeverStarted)?;
        let session = self.session(context).await?;
        exec::run(session, &self.name, command, context)
            .await
            .map(|(finished, _)| finished)
    }

    /// Starts a command and gives its standard input and output as one stream of bytes. Dropping the stream closes both;
    /// the command is expected to end then.
    ///
    /// # Errors
    /// As of [`Host::run`]; what the command says on its standard error is not kept once it has started.
    pub async fn open(&self, command: &Command, context: &Context) -> Result<ByteStream, Broken> {
        command.check().map_err(Broken::NeverStarted)?;
        let session = self.session(context).await?;
        self.unless_cancelled(context, exec::open(session, &self.name, command, context))
            .await
    }

    /// The file transfer of this host: one session for each user, kept as long as the connection. With sudo, the host's own
    /// `sftp-server` is run by it.
    ///
    /// # Errors
    /// [`Broken::NeverStarted`] if there is no connection or no file transfer.
    pub(crate) async fn sftp(&self, sudo: &Sudo, context: &Context) -> Result<Arc<Sftp>, Broken> {
        let connection = self.connect(context).await?;
        let sudo = match sudo {
            Sudo::Root if connection.reach.user == "root" => Sudo::No,
            sudo => sudo.clone(),
        };
        let mut sessions = connection.sftp.lock().await;
        sessions.retain(|(_, session)| !session.is_broken());
        if let Some((_, session)) = sessions.iter().find(|(user, _)| *user == sudo) {
            return Ok(Arc::clone(session));
        }
        let unable = |reason: String| {
            Broken::NeverStarted(
                Cause::new(
                    FailureKind::Unavailable,
                    format!("{} offers no file transfer: {reason}", self.name),
                )
                .with_hint("does its sshd_config have `Subsystem sftp internal-sftp`?"),
            )
        };
        let started = async {
            match &sudo {
                Sudo::No => {
                    let channel = connection
                        .channel()
                        .await
                        .map_err(|error| unable(error.to_string()))?;
                    channel
                        .request_subsystem(true, "sftp")
                        .await
                        .map_err(|error| unable(error.to_string()))?;
                    Sftp::start(channel.into_stream())
                        .await
                        .map_err(|error| unable(error.to_string()))
                }
                Sudo::Root | Sudo::User(_) => {
                    let command = Command::script(SFTP_SERVER).sudo(sudo.clone());
                    let session = Session::beside(&connection, &self.name).await?;
                    let stream = exec::open(session, &self.name, &command, context).await?;
                    Sftp::start(stream)
                        .await
                        .map_err(|error| unable(error.to_string()))
                }
            }
        };
        let session = Arc::new(self.unless_cancelled(context, started).await?);
        sessions.push((sudo, Arc::clone(&session)));
        Ok(session)
    }

    /// Lets go of the connection, such that the next command opens another: the host is about to go down, or was.
    pub fn forget(&self) {
        self.slot.forget();
    }

    /// The host's boot when it last ran something, if it has told.
    pub(crate) fn boot(&self) -> Option<String> {
        lock(&self.slot.boot).clone()
    }

    /// Connects and logs in, unless that has been done.
    ///
    /// # Errors
    /// [`Broken::NeverStarted`].
    pub async fn ready(&self, context: &Context) -> Result<(), Broken> {
        self.connect(context).await.map(|_| ())
    }

    pub(crate) async fn connect(&self, context: &Context) -> Result<Arc<Connection>, Broken> {
        let connecting = async {
            self.pool
                .connection(&self.slot)
                .await
                .map_err(Broken::NeverStarted)
        };
        self.unless_cancelled(context, connecting).await
    }

    async fn unless_cancelled<T>(
        &self,
        context: &Context,
        work: impl Future<Output = Result<T, Broken>>,
    ) -> Result<T, Broken> {
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(Broken::NeverStarted(Cause::new(
                FailureKind::Cancelled,
                format!("stopped before anything was started on {}", self.name),
            ))),
            done = work => done,
        }
    }

    /// A channel for one command, as soon as it is its turn. Connects anew, once, if the connection turns out to be broken.
    pub(crate) async fn session(&self, context: &Context) -> Result<Session, Broken> {
        let opening = async {
            let mut again = true;
            let mut refusals = 0;
            loop {
                let connection = self.connect(context).await?;
                let permits = Arc::clone(&connection.permits);
                let Ok(permit) = permits.acquire_owned().await else {
                    continue;
                };
                match connection.channel().await {
                    Ok(channel) => {
                        return Ok(Session {
                            channel,
                            connection,
                            permit: Some(permit),
                        });
                    }
                    // What has just ended may still count there for a moment.
                    Err(russh::Error::ChannelOpenFailure(_)) if refusals < REFUSALS_MAX => {
                        refusals += 1;
                        tokio::time::sleep(REFUSAL_PAUSE).await;
                        drop(permit);
                    }
                    // The host allows fewer than we thought. It has others of ours: this one waits until one of them ends.
                    Err(russh::Error::ChannelOpenFailure(_))
                        if connection.permits.available_permits() + 1 < connection.limit() =>
                    {
                        refusals = 0;
                        connection.allow_fewer(permit);
                    }
                    Err(russh::Error::ChannelOpenFailure(reason)) => {
                        return Err(self.never(&format!("it allows no session ({reason:?})")));
                    }
                    Err(_) if again => {
                        again = false;
                        self.pool.replace(&self.slot, &connection);
                    }
                    Err(error) => {
                        let why = format!("the connection broke: {error}; {}", connection.end());
                        return Err(self.never(&why));
                    }
                }
            }
        };
        self.unless_cancelled(context, opening).await
    }

    fn never(&self, why: &str) -> Broken {
        Broken::NeverStarted(Cause::new(
            FailureKind::Unavailable,
            format!("nothing was started on {}: {why}", self.name),
        ))
    }
}

/// Becomes the host's sftp-server, which has a different place in every distribution.
const SFTP_SERVER: &str = "for s in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec /usr/lib64/ssh /usr/lib64/misc \
/usr/local/libexec;do [ -x \"$s/sftp-server\" ]&&exec \"$s/sftp-server\";done;echo 'there is no sftp-server' >&2;exit 127";
