//! Programs that an adapter starts on this machine, such that none outlives the attempt that started it.

use crate::spawn::{self, Streams};
use crate::{CAPTURE_MAX, Captured, Context, Stream};
use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;

/// How long a program that was told to end (SIGTERM) may take before it is killed.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// How often the group of a program that was told to end is looked at.
const TERM_POLL: Duration = Duration::from_millis(10);

/// How long output is read on after the program itself has ended: a background process may hold the pipe for ever.
const LEAK_GRACE: Duration = Duration::from_millis(250);

/// A program to run.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The program, looked up in `PATH` unless it is a path, and its arguments.
    pub argv: Vec<String>,
    /// Variables of its environment, over the engine's own or instead of it.
    pub env: Vec<(String, String)>,
    /// Whether it gets the engine's own environment.
    pub inherit_env: bool,
    /// The folder that it runs in; the engine's own if absent.
    pub cwd: Option<PathBuf>,
    /// What it reads; nothing if absent.
    pub stdin: Option<Vec<u8>>,
}

/// What a program left when it ended by itself.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// What it wrote to its standard error.
    pub stderr: Captured,
}

/// Why there is no [`Finished`].
#[derive(Debug)]
pub enum NotFinished {
    /// It was never started.
    NotStarted(Cause),
    /// It was started and stopped with all its descendants, because the attempt was cancelled; or the system took it
    /// from our hands.
    Stopped(Cause),
}

impl From<NotFinished> for Outcome {
    fn from(reason: NotFinished) -> Self {
        match reason {
            NotFinished::NotStarted(cause) => Self::Failed {
                cause,
                effect: FailureEffect::None,
            },
            NotFinished::Stopped(cause) => Self::Failed {
                cause,
                effect: FailureEffect::Possible,
            },
        }
    }
}

/// Runs a program to its end, hands its output to [`Context::output`] as it comes, and keeps a bounded part of it.
///
/// The program leads its own process group and carries [`Context::markers`]. When the context is cancelled, or this
/// future is dropped, the whole group ends: by SIGTERM and after two seconds by SIGKILL, or by SIGKILL at once. When the
/// engine dies, the kernel kills the program itself; its descendants are found by their markers.
///
/// Must be polled on a thread that lives as long as the engine, for the kernel watches the thread that starts a program.
pub async fn run(program: &Program, context: &Context) -> Result<Finished, NotFinished> {
    let (mut child, pipes) = start(program, context).map_err(NotFinished::NotStarted)?;
    let group = Group::of(&child);

    let feed = async {
        if let (Some(mut pipe), Some(bytes)) = (pipes.stdin, &program.stdin) {
            // A program need not read all that it is given.
            let _ = pipe.write_all(bytes).await;
        }
    };
    let mut stdout = Captured::new(CAPTURE_MAX);
    let mut stderr = Captured::new(CAPTURE_MAX);

    let ended = {
        let output = async {
            tokio::join!(
                feed,
                drain(pipes.stdout, Stream::Stdout, context, &mut stdout),
                drain(pipes.stderr, Stream::Stderr, context, &mut stderr),
            );
        };
        tokio::pin!(output);
        let mut drained = false;
        let ended = loop {
            tokio::select! {
                () = &mut output, if !drained => drained = true,
                status = child.wait() => break Some(status),
                () = context.cancel.cancelled() => break None,
            }
        };
        if ended.is_some() && !drained && tokio::time::timeout(LEAK_GRACE, output).await.is_err() {
            context.note("the program has ended, but a process that it started keeps its output open");
        }
        ended
    };

    match ended {
        Some(Ok(status)) => {
            group.release();
            Ok(Finished {
                status,
                stdout,
                stderr,
            })
        }
        Some(Err(error)) => Err(NotFinished::Stopped(Cause::new(
            FailureKind::Other,
            format!("cannot wait for {}: {error}", program.name()),
        ))),
        None => {
            group.stop(&mut child).await;
            Err(NotFinished::Stopped(
                Cause::new(
                    FailureKind::Cancelled,
                    format!("{} was stopped before it ended", program.name()),
                )
                .with_detail(serde_json::json!({ "stdout": stdout.tail(), "stderr": stderr.tail() })),
            ))
        }
    }
}

impl Program {
    /// The program's name for messages: `` `make` ``.
    pub fn name(&self) -> String {
        format!("`{}`", self.argv.first().map_or("", String::as_str))
    }
}

/// A program that is running.
struct Child {
    pid: Pid,
    /// Readable as soon as it has ended; gone when nobody will look any more.
    ended: Option<AsyncFd<OwnedFd>>,
    status: Option<ExitStatus>,
}

/// Our ends of its standard streams.
struct Pipes {
    stdin: Option<pipe::Sender>,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

fn start(program: &Program, context: &Context) -> Result<(Child, Pipes), Cause> {
    let Some(name) = program.argv.first() else {
        return Err(Cause::new(FailureKind::Invalid, "no program is named"));
    };
    // A plan that was named without a folder lies in the empty path, which means the current one.
    let cwd = program.cwd.as_deref().filter(|cwd| !cwd.as_os_str().is_empty());
    let env = spawn::environment(program.inherit_env, program.env.iter().chain(&context.markers));
    let started = || -> io::Result<(Child, Pipes)> {
        let (stdin, fed) = match program.stdin {
            Some(_) => {
                let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map(|(read, write)| (write, read))?;
                (theirs, Some(pipe::Sender::from_owned_fd(ours)?))
            }
            None => (OpenOptions::new().read(true).open("/dev/null")?.into(), None),
        };
        let (out, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (err, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let pipes = Pipes {
            stdin: fed,
            stdout: pipe::Receiver::from_owned_fd(out)?,
            stderr: pipe::Receiver::from_owned_fd(err)?,
        };
        let streams = Streams {
            stdin,
            stdout,
            stderr,
        };
        let spawned = spawn::spawn(&program.argv, &env, cwd, &streams)?;
        let child = Child {
            pid: spawned.pid,
            ended: Some(spawned.ended),
            status: None,
        };
        Ok((child, pipes))
    };
    started().map_err(|error| explain(&error, name, cwd))
}

impl Child {
    /// Waits until it has ended. Cancel safe; what it answered once it answers again.
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let ended = self.ended.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let status = reap(ended).await?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Somebody must take note of its end, or it stays as a zombie for as long as the engine lives.
        if let (None, Some(ended)) = (self.status, self.ended.take())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { reap(&ended).await });
        }
    }
}

async fn reap(ended: &AsyncFd<OwnedFd>) -> io::Result<ExitStatus> {
    loop {
        let mut ready = ended.readable().await?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::PidFd(ended.get_ref().as_fd()), options)? {
            Some(status) => return Ok(exit_status(&status)),
            None => ready.clear_ready(),
        }
    }
}

/// As `wait` would have said it: the exit code in the second byte, else the signal in the first.
fn exit_status(status: &rustix::process::WaitIdStatus) -> ExitStatus {
    const DUMPED_CORE: i32 = 0x80;
    let signal = |number: i32| {
        if status.dumped() {
            number | DUMPED_CORE
        } else {
            number
        }
    };
    ExitStatus::from_raw(match status.terminating_signal() {
        Some(number) => signal(number),
        None => status.exit_status().unwrap_or_default() << 8,
    })
}

fn explain(error: &io::Error, name: &str, cwd: Option<&Path>) -> Cause {
    if let Some(cwd) = cwd.filter(|cwd| !cwd.is_dir()) {
        return Cause::new(
            FailureKind::NotFound,
            format!(
                "cannot run `{name}` in {}: there is no such folder",
                cwd.display()
            ),
        )
        .with_hint("`cwd` is relative to the plan's folder");
    }
    match error.kind() {
        io::ErrorKind::NotFound => Cause::new(FailureKind::NotFound, format!("there is no program `{name}`"))
            .with_hint("install it, or give its full path"),
        io::ErrorKind::PermissionDenied => {
            Cause::new(FailureKind::Denied, format!("`{name}` may not be run: {error}"))
                .with_hint("is it executable (`chmod +x`)?")
        }
        _ => Cause::new(FailureKind::Other, format!("cannot start `{name}`: {error}")),
    }
}

/// A program's process group. Killed when dropped, unless released.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(Some(child.pid))
    }

    /// Lets the group be: the program has ended, and what it left in the background was meant to stay.
    fn release(mut self) {
        self.0 = None;
    }

    /// Tells the group to end, and kills what has not after [`TERM_GRACE`].
    async fn stop(mut self, child: &mut Child) {
        let Some(group) = self.0 else { return };
        let _ = rustix::process::kill_process_group(group, Signal::TERM);
        let empty = async {
            let _ = child.wait().await;
            while rustix::process::test_kill_process_group(group).is_ok() {
                tokio::time::sleep(TERM_POLL).await;
            }
        };
        if tokio::time::timeout(TERM_GRACE, empty).await.is_err() {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
            let _ = child.wait().await;
        }
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

async fn drain(mut pipe: pipe::Receiver, stream: Stream, context: &Context, into: &mut Captured) {
    let mut buffer = vec![0; 8 << 10];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let bytes = &buffer[..length];
                context.output.write(stream, bytes);
                into.push(bytes);
            }
        }
    }
}
