//! One connection: from the address to a session that has logged in.

use crate::auth;
use crate::known_hosts::KnownHost;
use crate::reach::Reach;
use caxplan_model::{Cause, FailureKind};
use russh::client::{DisconnectReason, Handle, Handler};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, client};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the protocol's task asks of us.
pub(crate) struct Client {
    known: KnownHost,
    said: Arc<Said>,
}

/// What the protocol's task leaves for those who use the connection.
#[derive(Default)]
struct Said {
    /// Why the host's key was not accepted.
    refusal: Mutex<Option<Cause>>,
    /// Why the connection ended.
    end: Mutex<Option<String>>,
}

impl Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let checked = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.known.check_key(key),
            PublicKeyOrCertificate::Certificate(certificate) => self.known.check_certificate(certificate),
        };
        match checked {
            Ok(()) => Ok(true),
            Err(cause) => {
                *lock(&self.said.refusal) = Some(cause);
                Ok(false)
            }
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let text = match &reason {
            DisconnectReason::ReceivedDisconnect(info) if info.message.is_empty() => {
                "the host closed it".to_owned()
            }
            DisconnectReason::ReceivedDisconnect(info) => format!("the host closed it: {}", info.message),
            DisconnectReason::Error(russh::Error::KeepaliveTimeout) => {
                "the host does not answer any more".to_owned()
            }
            DisconnectReason::Error(russh::Error::HUP | russh::Error::Disconnect) => {
                "the other side closed it".to_owned()
            }
            DisconnectReason::Error(error) => error.to_string(),
        };
        lock(&self.said.end).get_or_insert(text);
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What it guards is whole at every moment, so a thread that panicked cannot have left half of it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that has logged in.
pub(crate) struct Connection {
    handle: Handle<Client>,
    said: Arc<Said>,
    /// How to reach the host that it leads to.
    pub(crate) reach: Arc<Reach>,
    /// One for each command that may run at a time.
    pub(crate) permits: Arc<Semaphore>,
    /// How many permits there are.
    limit: AtomicUsize,
    /// The file transfer of each user.
    pub(crate) sftp: tokio::sync::Mutex<Vec<(crate::Sudo, Arc<crate::files::Sftp>)>>,
    /// Carries our bytes, so it must live as long as we do.
    _via: Option<Arc<Connection>>,
}

impl Connection {
    /// Connects and logs in, through `via` if there is a jump host.
    ///
    /// # Errors
    /// Of kind `unavailable` if the host cannot be reached in time, `denied` if it is not the right one or lets nobody in.
    pub(crate) async fn open(reach: Arc<Reach>, via: Option<Arc<Self>>) -> Result<Self, Cause> {
        let limit = reach.connect_timeout;
        match tokio::time::timeout(limit, Self::open_at_leisure(Arc::clone(&reach), via)).await {
            Ok(opened) => opened,
            Err(_) => Err(unreachable(
                &reach,
                &format!(
                    "no answer within {}",
                    caxplan_model::Duration::from_millis(
                        u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
                    )
                ),
            )),
        }
    }

    async fn open_at_leisure(reach: Arc<Reach>, via: Option<Arc<Self>>) -> Result<Self, Cause> {
        let known = KnownHost::read(&reach)?;
        let config = Arc::new(client::Config {
            keepalive_interval: reach.keepalive,
            keepalive_max: reach.keepalive_max,
            preferred: reach
                .algorithms
                .preferred(known.algorithms(), known.certificates()),
            nodelay: true,
            ..client::Config::default()
        });
        let said = Arc::new(Said::default());
        let client = Client {
            known,
            said: Arc::clone(&said),
        };
        let mut handle = match &via {
            None => {
                let stream = TcpStream::connect((reach.host.as_str(), reach.port))
                    .await
                    .map_err(|error| unreachable(&reach, &error.to_string()))?;
                // A command is a few small packets; waiting to fill one would only cost time.
                let _ = stream.set_nodelay(true);
                greet(config, stream, client, &said, &reach).await?
            }
            Some(via) => {
                let channel = via
                    .handle
                    .channel_open_direct_tcpip(reach.host.as_str(), u32::from(reach.port), "127.0.0.1", 0)
                    .await
                    .map_err(|error| match error {
                        russh::Error::ChannelOpenFailure(reason) => unreachable(
                            &reach,
                            &format!("the jump host cannot connect to it, or may not ({reason:?})"),
                        ),
                        error => unreachable(&reach, &error.to_string()),
                    })?;
                greet(config, channel.into_stream(), client, &said, &reach).await?
            }
        };
        auth::log_in(&mut handle, &reach).await?;
        Ok(Self {
            handle,
            said,
            permits: Arc::new(Semaphore::new(reach.sessions_max)),
            limit: AtomicUsize::new(reach.sessions_max),
            reach,
            sftp: tokio::sync::Mutex::default(),
            _via: via,
        })
    }

    /// Whether it can carry nothing any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Why it ended, if that was said.
    pub(crate) fn end(&self) -> String {
        lock(&self.said.end)
            .clone()
            .unwrap_or_else(|| "no reason was given".to_owned())
    }

    /// How many commands may run at a time.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Lets one command fewer run at a time from now on: the host has refused this one.
    pub(crate) fn allow_fewer(&self, permit: OwnedSemaphorePermit) {
        permit.forget();
        self.limit.fetch_sub(1, Ordering::Relaxed);
    }

    /// Opens a channel for one command.
    pub(crate) async fn channel(&self) -> Result<Channel<client::Msg>, russh::Error> {
        self.handle.channel_open_session().await
    }
}

async fn greet<S>(
    config: Arc<client::Config>,
    stream: S,
    client: Client,
    said: &Said,
    reach: &Reach,
) -> Result<Handle<Client>, Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    client::connect_stream(config, stream, client).await.map_err(|error| {
        if let Some(cause) = lock(&said.refusal).take() {
            return cause;
        }
        match error {
            russh::Error::NoCommonAlgo { kind, ours, theirs } => Cause::new(
                FailureKind::Unavailable,
                format!(
                    "{} and we have no {kind:?} algorithm in common: it offers {}, we {}",
                    reach.shown(),
                    theirs.join(", "),
                    ours.join(", ")
                ),
            ),
            russh::Error::HUP | russh::Error::Disconnect => unreachable(
                reach,
                "it closed the connection before the key exchange (too many logins at a time, or a firewall?)",
            ),
            error => unreachable(reach, &error.to_string()),
        }
    })
}

fn unreachable(reach: &Reach, why: &str) -> Cause {
    Cause::new(
        FailureKind::Unavailable,
        format!("cannot connect to {}: {why}", reach.shown()),
    )
    .with_hint("is the machine up, does an SSH server listen there, and is the address right?")
}
