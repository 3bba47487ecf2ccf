//! Starting a program without copying the engine.
//!
//! `fork` copies the engine's page tables and makes each page that the engine touches afterwards fault once; that took
//! most of the time of a short step. `posix_spawn` avoids it, but cannot ask the kernel to kill the child when the engine
//! dies, which nothing else does as surely. So this does what `posix_spawn` does inside, and that in addition: the child
//! shares the engine's memory and has a stack of its own, and the engine stands still until the child has become the
//! program (`CLONE_VM | CLONE_VFORK`).

use rustix::process::Pid;
use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use tokio::io::unix::AsyncFd;

/// A program that is running. Dropping it neither ends it nor waits for it.
pub(crate) struct Spawned {
    /// Its process id, which is also its process group's.
    pub(crate) pid: Pid,
    /// Readable as soon as it has ended.
    pub(crate) ended: AsyncFd<OwnedFd>,
}

/// What becomes the program's standard streams.
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Starts `argv` as the leader of a process group of its own, in `cwd`, with exactly the variables `env`. The kernel kills
/// it when the calling thread ends.
///
/// The program is looked up in the `PATH` of `env`, unless its name holds a slash.
///
/// # Errors
/// Those of looking it up and of `chdir` and `execve`; there is no process then.
///
/// # Panics
/// Outside of a tokio runtime, like everything that waits in one.
pub(crate) fn spawn(
    argv: &[String],
    env: &[(OsString, OsString)],
    cwd: Option<&Path>,
    streams: &Streams,
) -> io::Result<Spawned> {
    let name = argv.first().ok_or(io::ErrorKind::InvalidInput)?;
    let cwd = cwd.map(|cwd| text(cwd.as_os_str())).transpose()?;
    let variables = env
        .iter()
        .map(|(name, value)| {
            let mut variable = name.clone();
            variable.push("=");
            variable.push(value);
            text(&variable)
        })
        .collect::<io::Result<Vec<CString>>>()?;
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for program in candidates(name, path.map(OsString::as_os_str)) {
        let program = text(program.as_os_str())?;
        let arguments = argv.iter().map(|argument| text(OsStr::new(argument)));
        let mut arguments = arguments.collect::<io::Result<Vec<CString>>>()?;
        let mut result = execute(&program, &arguments, &variables, cwd.as_deref(), streams);
        // A script without a `#!` line belongs to the shell, as everywhere.
        if let Err(error) = &result
            && error.raw_os_error() == Some(libc::ENOEXEC)
        {
            arguments.splice(..1, [c"sh".to_owned(), program]);
            result = execute(c"/bin/sh", &arguments, &variables, cwd.as_deref(), streams);
        }
        match result {
            // Not in this folder of the path; a program that may not be run is remembered, in case there is no other.
            Err(error) if is_missing(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => last = error,
            ended => return ended,
        }
    }
    Err(last)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

/// Where the program may lie. In a search, only files that are there: each try costs a process.
fn candidates(name: &str, path: Option<&OsStr>) -> Vec<PathBuf> {
    const DEFAULT_PATH: &str = "/bin:/usr/bin";
    if name.contains('/') {
        return vec![PathBuf::from(name)];
    }
    if name.is_empty() {
        return Vec::new();
    }
    std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH)))
        .map(|folder| folder.join(name))
        .filter(|program| program.is_file())
        .collect()
}

fn text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes().to_vec()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "it holds a zero byte, which no argument of a program can",
        )
    })
}

/// All that the child needs, made before it exists: it must not allocate.
struct Plan<'a> {
    program: &'a CStr,
    argv: *const *const c_char,
    env: *const *const c_char,
    cwd: *const c_char,
    streams: [RawFd; 3],
    engine: libc::pid_t,
    /// Where the child leaves the reason why it did not become the program.
    errno: c_int,
}

/// The child's stack: its deepest call is a system call of the C library.
const STACK_BYTES: usize = 64 << 10;

#[allow(unsafe_code)]
fn execute(
    program: &CStr,
    argv: &[CString],
    env: &[CString],
    cwd: Option<&CStr>,
    streams: &Streams,
) -> io::Result<Spawned> {
    let argv = pointers(argv);
    let env = pointers(env);
    let mut plan = Plan {
        program,
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        cwd: cwd.map_or(std::ptr::null(), CStr::as_ptr),
        streams: [
            streams.stdin.as_raw_fd(),
            streams.stdout.as_raw_fd(),
            streams.stderr.as_raw_fd(),
        ],
        engine: rustix::process::getpid().as_raw_nonzero().get(),
        errno: 0,
    };
    let mut stack: Vec<MaybeUninit<u8>> = Vec::with_capacity(STACK_BYTES);
    let mut pidfd: c_int = -1;
    // SAFETY: the child runs `become_program` on a stack of its own and, as `CLONE_VFORK` says, this thread stands still
    // until the child has become the program or has ended; so all that `plan` points to outlives its use, and nothing else
    // writes to it. Signals are blocked meanwhile, for a handler of the engine must not run in the child, which shares its
    // memory. `top` is the end of the stack, aligned as the ABI wants it; the kernel writes the descriptor to `pidfd`.
    let pid = unsafe {
        let top = stack.as_mut_ptr().cast::<u8>().add(STACK_BYTES);
        let top = top.sub(top as usize % 16);
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        let pid = libc::clone(
            become_program,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            (&raw mut plan).cast(),
            &raw mut pidfd,
        );
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        pid
    };
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: a plain read of what the child, which is gone or has another memory now, may have written.
    let errno = unsafe { std::ptr::read_volatile(&raw const plan.errno) };
    if errno != 0 {
        let _ = rustix::process::waitid(
            rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)),
            rustix::process::WaitIdOptions::EXITED,
        );
        return Err(io::Error::from_raw_os_error(errno));
    }
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    // SAFETY: an `OwnedFd` stays open, and is the same descriptor, for as long as it lives.
    let ended = unsafe { AsyncFd::register(pidfd) }.map_err(|error| error.into_parts().1)?;
    Ok(Spawned { pid, ended })
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    let end = [std::ptr::null()];
    texts.iter().map(|text| text.as_ptr()).chain(end).collect()
}

/// What the child does: nothing but system calls.
#[allow(unsafe_code)]
extern "C" fn become_program(plan: *mut c_void) -> c_int {
    // SAFETY: `execute` hands over its `Plan`, and waits until this has ended. The pointers in it are to texts that end in
    // zero, and to lists that end in null. Only async-signal-safe functions are called, none of which allocates or takes
    // a lock.
    unsafe {
        let plan = plan.cast::<Plan<'_>>();
        libc::setpgid(0, 0);
        let ready = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
            && ((*plan).cwd.is_null() || libc::chdir((*plan).cwd) == 0)
            && (0..)
                .zip((*plan).streams)
                .all(|(to, from)| libc::dup2(from, to) == to);
        // The engine may have died before it was asked for the signal; then none will come.
        if ready && libc::getppid() == (*plan).engine {
            default_signals();
            libc::execve((*plan).program.as_ptr(), (*plan).argv, (*plan).env);
        }
        let errno = *libc::__errno_location();
        (*plan).errno = if errno == 0 { libc::ESRCH } else { errno };
        libc::_exit(127)
    }
}

/// No handler of the engine may run any more, then signals are let through again. A program expects a broken pipe to end
/// it, which Rust's own start-up has switched off.
///
/// # Safety
/// Only in a child that has its own table of signal handlers and is about to become another program.
#[allow(unsafe_code)]
unsafe fn default_signals() {
    // SAFETY: plain system calls on memory of this stack. Numbers that are no signal, or that have no handler, are refused.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        for signal in 1..=libc::SIGRTMAX() {
            if libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
                continue;
            }
            let handler = (*action.as_ptr()).sa_sigaction;
            if handler != libc::SIG_DFL && (handler != libc::SIG_IGN || signal == libc::SIGPIPE) {
                (*action.as_mut_ptr()).sa_sigaction = libc::SIG_DFL;
                (*action.as_mut_ptr()).sa_flags = 0;
                libc::sigaction(signal, action.as_ptr(), std::ptr::null_mut());
            }
        }
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// The engine's environment, with `changes` over it.
pub(crate) fn environment<'a>(
    inherit: bool,
    changes: impl Iterator<Item = &'a (String, String)>,
) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = if inherit {
        std::env::vars_os().collect()
    } else {
        Vec::new()
    };
    for (name, value) in changes {
        let value = OsString::from_vec(value.clone().into_bytes());
        match env.iter_mut().find(|(known, _)| known == name.as_str()) {
            Some(known) => known.1 = value,
            None => env.push((OsString::from(name), value)),
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use crate::Context;
    use crate::process::{Finished, NotFinished, Program, run};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::ExitStatusExt as _;

    async fn start(argv: &[&str], env: &[(&str, &str)]) -> Result<Finished, NotFinished> {
        let program = Program {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            inherit_env: true,
            ..Program::default()
        };
        run(&program, &Context::detached(".")).await
    }

    async fn says(argv: &[&str], env: &[(&str, &str)]) -> String {
        match start(argv, env).await {
            Ok(finished) => finished.stdout.text(),
            Err(NotFinished::NotStarted(cause) | NotFinished::Stopped(cause)) => cause.to_string(),
        }
    }

    #[tokio::test]
    async fn a_program_is_found_and_started_as_a_shell_would() {
        let folder = std::env::temp_dir().join(format!("caxplan-spawn-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("temporary files can be made");
        let file = |name: &str, text: &str, mode| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("temporary files can be written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("and changed");
            path.to_string_lossy().into_owned()
        };
        let bare = file("bare", "echo bare $1", 0o755);
        file("closed", "#!/bin/sh\necho closed", 0o644);
        let path = format!("{}:/usr/bin:/bin", folder.display());

        assert_eq!(
            says(&[&bare, "x"], &[]).await,
            "bare x\n",
            "no `#!` line: the shell's"
        );
        assert_eq!(
            says(&["bare", "y"], &[("PATH", &path)]).await,
            "bare y\n",
            "the step's PATH"
        );
        assert!(
            says(&["closed"], &[("PATH", &path)])
                .await
                .contains("may not be run")
        );
        assert!(says(&["no-such-program"], &[]).await.contains("no program"));
        assert!(says(&["/no/such/program"], &[]).await.contains("no program"));
        assert!(says(&["echo", "a\0b"], &[]).await.contains("zero byte"));
        std::fs::remove_dir_all(&folder).expect("temporary files can be removed");
    }

    #[tokio::test]
    async fn a_program_has_the_signals_that_it_would_have_from_a_shell() {
        // Rust ignores SIGPIPE, the engine handles others: a program has none of that.
        let ended = start(&["bash", "-c", "kill -PIPE $$"], &[])
            .await
            .expect("it starts");
        assert_eq!(ended.status.signal(), Some(libc::SIGPIPE));
        let ended = start(&["bash", "-c", "exit 7"], &[]).await.expect("it starts");
        assert_eq!(ended.status.code(), Some(7));
        let _handler = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        let ended = start(&["bash", "-c", "kill -HUP $$"], &[])
            .await
            .expect("it starts");
        assert_eq!(ended.status.signal(), Some(libc::SIGHUP));
        let group = "ps -o pgid= -p $$ | tr -d ' '; echo $$";
        let said = says(&["bash", "-c", group], &[]).await;
        let numbers: Vec<&str> = said.lines().collect();
        assert!(matches!(numbers[..], [group, pid] if group == pid), "{said}");
    }
}
