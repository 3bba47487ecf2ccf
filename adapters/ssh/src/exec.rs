//! A command on its channel: started, read, ended.

use crate::command::Command;
use crate::host::{Broken, Exit, Finished, Session};
use crate::said::{Listener, Said};
use caxplan_adapter::{CAPTURE_MAX, Captured, Context, Stream};
use caxplan_model::{Cause, FailureKind};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelStream, ChannelWriteHalf, Sig};
use serde_json::json;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{self, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long output is read on after the program has ended and nothing more came: a background process may hold it for ever.
const LEAK_GRACE: Duration = Duration::from_millis(500);

/// How long ending a cancelled command may take in all, before it is given up: two seconds of grace, and the way there.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How long a channel that we have closed may take to be closed by the host.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Ends the groups of the processes `PIDS` and the processes themselves: by SIGTERM, and after two seconds by SIGKILL.
const KILL: &str = r#"all=
for p in PIDS;do
  g=$p;s=;read -r s 2>/dev/null </proc/$p/stat||s=
  case $s in ?*) set -- ${s##*) };g=$3;;esac
  all="$all -$g $p"
done
t(){ for x in $all;do kill -s "$1" -- "$x" 2>/dev/null||:;done;}
lives(){ for x in $all;do kill -s 0 -- "$x" 2>/dev/null&&return 0;done;return 1;}
waits(){ i=0;while lives;do i=$((i+1));[ $i -le "$1" ]||return 0;sleep 0.1 2>/dev/null||sleep 1;done;}
t TERM;waits 20
if lives;then t KILL;waits 20;fi
if lives;then echo lives;else echo gone;fi
"#;

/// A text that no output holds by chance: it marks the wrapper's own line.
fn token() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("caxplan-{:x}-{count:x}-{nanos:x}", std::process::id())
}

/// A command that has been sent.
struct Sent {
    listener: Listener,
    input: Vec<u8>,
    name: String,
}

/// Asks sshd to run a command. An error means that it was not asked.
async fn ask(session: &Session, host: &str, command: &Command, context: &Context) -> Result<Sent, Broken> {
    let token = token();
    let as_root = session.connection.reach.user == "root";
    // Under names of their own: a resumed engine ends what it finds on its own machine under the usual ones, and a host may be
    // that machine. What runs on a host is decided by its receipt.
    let markers: Vec<(String, String)> = context
        .markers
        .iter()
        .map(|(name, value)| (name.replacen("CAXPLAN_", "CAXPLAN_SSH_", 1), value.clone()))
        .collect();
    let wire = command
        .wire(&token, &markers, as_root)
        .map_err(Broken::NeverStarted)?;
    let name = command.name();
    session.channel.exec(true, wire.exec).await.map_err(|error| {
        Broken::NeverStarted(Cause::new(
            FailureKind::Unavailable,
            format!("the connection to {host} broke before {name} was sent: {error}"),
        ))
    })?;
    Ok(Sent {
        listener: Listener::new(&token),
        input: wire.input,
        name,
    })
}

/// What is read of a command.
struct Reading<'a> {
    host: &'a str,
    name: String,
    command: &'a Command,
    context: &'a Context,
    listener: Option<Listener>,
    said: Said,
    stdout: Captured,
    stderr: Captured,
    exit: Option<Exit>,
    closed: bool,
    refused: bool,
}

/// Runs a command to its end on a channel. Beside what it left, tells what its wrapper said.
pub(crate) async fn run(
    session: Session,
    host: &str,
    command: &Command,
    context: &Context,
) -> Result<(Finished, Said), Broken> {
    let sent = ask(&session, host, command, context).await?;
    let Session {
        channel,
        connection,
        permit,
    } = session;
    let (mut read, write) = channel.split();
    let mut reading = Reading {
        host,
        name: sent.name,
        command,
        context,
        listener: Some(sent.listener),
        said: Said::default(),
        stdout: Captured::new(command.capture_max.unwrap_or(CAPTURE_MAX)),
        stderr: Captured::new(command.capture_max.unwrap_or(CAPTURE_MAX)),
        exit: None,
        closed: false,
        refused: false,
    };
    let feed = async {
        // A program need not read all that it is given.
        let _ = write.data_bytes(sent.input).await;
        let _ = write.eof().await;
    };
    let ended = {
        let reading = reading.until_closed(&mut read);
        tokio::pin!(feed, reading);
        let mut fed = false;
        loop {
            tokio::select! {
                () = &mut reading => break true,
                () = &mut feed, if !fed => fed = true,
                () = context.cancel.cancelled() => break false,
            }
        }
    };
    if !ended {
        let stopped = stop(&mut reading, &mut read, &write, &connection).await;
        let _ = write.close().await;
        tokio::spawn(closed(read, permit));
        return Err(stopped);
    }
    let _ = write.close().await;
    tokio::spawn(closed(read, permit));
    let why = match reading.closed {
        true => "sshd closed its channel without telling how it ended".to_owned(),
        false => format!("the connection broke: {}", connection.end()),
    };
    reading.finish(&why)
}

/// Waits until the host has closed a channel too, for it counts there until then, and gives its place in the queue to the
/// next one.
async fn closed(mut read: ChannelReadHalf, permit: Option<tokio::sync::OwnedSemaphorePermit>) {
    let closing = async { while read.wait().await.is_some() {} };
    let _ = tokio::time::timeout(CLOSE_MAX, closing).await;
    drop(permit);
}

impl Reading<'_> {
    /// Reads until the channel is closed, or the command has ended and nothing more comes. Cancel safe.
    async fn until_closed(&mut self, read: &mut ChannelReadHalf) {
        loop {
            let next = match self.exit {
                None => read.wait().await,
                Some(_) => match tokio::time::timeout(LEAK_GRACE, read.wait()).await {
                    Ok(next) => next,
                    Err(_) => {
                        if self.command.streams {
                            self.context.note(
                                "the program has ended, but a process that it started keeps its output open",
                            );
                        }
                        return;
                    }
                },
            };
            match next {
                Some(ChannelMsg::Data { data }) => self.take_stdout(&data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    if self.command.streams {
                        self.context.output.write(Stream::Stderr, &data);
                    }
                    self.stderr.push(&data);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    self.exit = Some(Exit::Code(i32::try_from(exit_status).unwrap_or(i32::MAX)));
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.exit = Some(Exit::Signal(signal_number(&signal_name)));
                }
                Some(ChannelMsg::Failure) => self.refused = true,
                Some(ChannelMsg::Close) => {
                    self.closed = true;
                    return;
                }
                // After the end of its output, only how it ended is still to come.
                Some(ChannelMsg::Eof) if self.exit.is_some() => return,
                Some(_) => {}
                None => return,
            }
            if self.refused {
                return;
            }
        }
    }

    fn take_stdout(&mut self, bytes: &[u8]) {
        let rest;
        let bytes = match &mut self.listener {
            None => bytes,
            Some(listener) => match listener.push(bytes) {
                None => return,
                Some((said, after)) => {
                    if said.receipt == Some(false) {
                        self.context.note(&format!(
                            "{} keeps no receipt: the home folder of the user there cannot be written to",
                            self.host
                        ));
                    }
                    self.said = said;
                    self.listener = None;
                    rest = after;
                    &rest
                }
            },
        };
        if bytes.is_empty() {
            return;
        }
        if self.command.streams {
            self.context.output.write(Stream::Stdout, bytes);
        }
        self.stdout.push(bytes);
    }

    fn finish(self, why: &str) -> Result<(Finished, Said), Broken> {
        if self.said.begun() {
            return match self.exit {
                Some(exit) => Ok((
                    Finished {
                        stdout: self.stdout,
                        stderr: self.stderr,
                        exit,
                    },
                    self.said,
                )),
                None => Err(Broken::Lost(
                    Cause::new(
                        FailureKind::Lost,
                        format!("{} was running on {} when {why}", self.name, self.host),
                    )
                    .with_detail(json!({ "stdout": self.stdout.tail(), "stderr": self.stderr.tail() })),
                )),
            };
        }
        Err(not_begun(&self, why))
    }
}

/// Why a program has not begun, as far as its wrapper, sudo or sshd say.
fn not_begun(reading: &Reading<'_>, why: &str) -> Broken {
    let (name, host) = (&reading.name, reading.host);
    let command = reading.command;
    let never = |kind, message: String| Cause::new(kind, message);
    if reading.refused {
        return Broken::NeverStarted(
            never(
                FailureKind::Denied,
                format!("{host} does not run commands for this user"),
            )
            .with_hint("is it one for file transfer alone (`ForceCommand`)?"),
        );
    }
    let cause = match reading.said.word.as_str() {
        "no-cwd" => never(
            FailureKind::NotFound,
            format!(
                "cannot run {name} in {} on {host}: there is no such folder, or it may not be entered",
                command.cwd.as_deref().unwrap_or_default()
            ),
        ),
        "no-program" => never(
            FailureKind::NotFound,
            format!("there is no program {name} on {host}"),
        )
        .with_hint("install it, or give its full path"),
        "no-sudo" => never(FailureKind::NotFound, format!("there is no sudo on {host}"))
            .with_hint("install it, or log in as the user who may do this"),
        "refused" => match reading.said.found.as_deref() {
            Some("fenced") => never(
                FailureKind::Conflict,
                format!("{name} came to {host} too late: it had been decided that it would never start"),
            ),
            _ => never(
                FailureKind::Conflict,
                format!("{name} was not started on {host}: there is a receipt of this attempt already"),
            ),
        },
        _ => {
            let said = match reading.stderr.tail() {
                text if text.is_empty() => reading.listener.as_ref().map(Listener::noise).unwrap_or_default(),
                text => text,
            };
            let said = said.lines().last().unwrap_or_default().to_owned();
            return match reading.exit {
                // sudo ended without our line: it has not run what stands behind it.
                Some(Exit::Code(_)) if command.uses_sudo() && said.contains("sudo") => Broken::NeverStarted(
                    never(FailureKind::Denied, format!("sudo on {host} refuses: {said}"))
                        .with_hint("allow it without a password in sudoers (NOPASSWD), or log in as that user"),
                ),
                // Neither our shell nor anything behind it can have run: its line comes first.
                Some(Exit::Code(code)) => Broken::NeverStarted(
                    never(
                        FailureKind::Denied,
                        format!("{host} does not run commands for this user: its login ended with exit code {code}: {said}"),
                    )
                    .with_hint("is the user's shell one (`getent passwd`), and is there /bin/sh?"),
                ),
                Some(Exit::Signal(_)) | None => Broken::Lost(never(
                    FailureKind::Lost,
                    format!("{name} had been sent to {host} when {why}"),
                )),
            };
        }
    };
    Broken::NeverStarted(cause)
}

/// Ends a command that is running, with all that it started, and says what is known of it then.
async fn stop(
    reading: &mut Reading<'_>,
    read: &mut ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
    connection: &Arc<crate::client::Connection>,
) -> Broken {
    // The shell before sudo first, for its group is there as long as it is.
    let pids: Vec<String> = [reading.said.outer, reading.said.pid]
        .into_iter()
        .flatten()
        .map(|pid| pid.to_string())
        .collect();
    let pids = pids.join(" ");
    let sudo = reading.command.sudo.clone();
    let host = reading.host;
    let kill = async {
        // sshd passes signals to what belongs to the user who logged in; what sudo has started is reached by sudo alone.
        if !pids.is_empty() {
            let quiet = Context::detached(".");
            let command = Command::script_for(vec!["sh".to_owned()], KILL.replace("PIDS", &pids)).sudo(sudo);
            let session = Session::beside(connection, host).await?;
            let (finished, _) = Box::pin(run(session, host, &command, &quiet)).await?;
            Ok::<_, Broken>(finished.stdout.text().trim() == "gone")
        } else {
            let _ = write.signal(Sig::TERM).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let _ = write.signal(Sig::KILL).await;
            Ok(false)
        }
    };
    let work = async { tokio::join!(kill, reading.until_closed(read)).0 };
    let known = tokio::time::timeout(STOP_LIMIT, work).await;
    let name = &reading.name;
    let detail = json!({ "stdout": reading.stdout.tail(), "stderr": reading.stderr.tail() });
    let ended = reading.exit.is_some() || matches!(known, Ok(Ok(true)));
    if ended {
        return Broken::Stopped(
            Cause::new(
                FailureKind::Cancelled,
                format!("{name} on {host} was stopped before it ended"),
            )
            .with_detail(detail),
        );
    }
    Broken::Lost(
        Cause::new(
            FailureKind::Lost,
            format!("{name} on {host} was told to end, and it is not known whether it did"),
        )
        .with_detail(detail),
    )
}

/// Starts a command and answers its streams once its program has begun.
pub(crate) async fn open(
    session: Session,
    host: &str,
    command: &Command,
    context: &Context,
) -> Result<ByteStream, Broken> {
    let sent = ask(&session, host, command, context).await?;
    let Session {
        mut channel,
        connection,
        permit,
    } = session;
    let mut reading = Reading {
        host,
        name: sent.name,
        command,
        context,
        listener: Some(sent.listener),
        said: Said::default(),
        stdout: Captured::new(command.capture_max.unwrap_or(CAPTURE_MAX)),
        stderr: Captured::new(command.capture_max.unwrap_or(CAPTURE_MAX)),
        exit: None,
        closed: false,
        refused: false,
    };
    if channel.data_bytes(sent.input).await.is_err() {
        return Err(not_begun(
            &reading,
            &format!("the connection broke: {}", connection.end()),
        ));
    }
    while let Some(listener) = &mut reading.listener {
        match channel.wait().await {
            Some(ChannelMsg::Data { data }) => {
                if let Some((said, rest)) = listener.push(&data) {
                    reading.said = said;
                    reading.listener = None;
                    reading.stdout.push(&rest);
                    if reading.said.begun() {
                        return Ok(ByteStream {
                            left: rest,
                            stream: channel.into_stream(),
                            _connection: connection,
                            _permit: permit,
                        });
                    }
                }
            }
            Some(ChannelMsg::ExtendedData { data, .. }) => reading.stderr.push(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                reading.exit = Some(Exit::Code(i32::try_from(exit_status).unwrap_or(i32::MAX)));
            }
            Some(ChannelMsg::Failure) => {
                reading.refused = true;
                break;
            }
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
    }
    let _ = channel.close().await;
    Err(not_begun(
        &reading,
        &format!("the connection broke: {}", connection.end()),
    ))
}

/// The standard input and output of a command on a host, as one stream.
pub struct ByteStream {
    /// What came with the wrapper's line and has not been read yet.
    left: Vec<u8>,
    stream: ChannelStream<Msg>,
    _connection: Arc<crate::client::Connection>,
    _permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if !self.left.is_empty() {
            let length = self.left.len().min(buffer.remaining());
            buffer.put_slice(&self.left[..length]);
            self.left.drain(..length);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn signal_number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 0,
    }
}
