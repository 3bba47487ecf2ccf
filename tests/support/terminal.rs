//! A program at a real terminal, with a person who types.

use crate::Sandbox;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a program may take to say what a test waits for.
const LIMIT: Duration = Duration::from_secs(60);

/// A program whose standard streams are a terminal. It is killed when the value is dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    seen: usize,
    /// Kept open, so that the terminal stays one when the program has ended.
    _other_end: File,
}

impl Terminal {
    /// Starts `caxplan` at a terminal of its own, in a sandbox.
    pub fn caxplan(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let size = Winsize {
            ws_row: 40,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).expect("a size");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let path = name.to_str().expect("a device's path");
        let other_end = File::options().read(true).write(true).open(path);
        let other_end = other_end.expect("the terminal's other end");
        let open = || Stdio::from(OwnedFd::from(other_end.try_clone().expect("cloned")));
        // `setsid --ctty` makes it the controlling terminal, so that Ctrl-C is a signal.
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait", "caxplan"])
            .args(arguments)
            .stdin(open())
            .stdout(open())
            .stderr(open());
        sandbox.prepare(&mut command);
        command.env("TERM", "xterm").env("USER", "ada");
        let child = command.spawn().expect("setsid is there");
        drop(command);
        let keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut reader, shown) = (keyboard.try_clone().expect("cloned"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                shown.lock().expect("never poisoned").push_str(&text);
            }
        });
        Self {
            child,
            keyboard,
            screen,
            seen: 0,
            _other_end: other_end,
        }
    }

    /// Waits until the program shows `text`, after what was waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> &mut Self {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if let Some(at) = screen[self.seen..].find(text) {
                self.seen += at + text.len();
                return self;
            }
            assert!(start.elapsed() < LIMIT, "`{text}` was not shown:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types.
    pub fn type_keys(&mut self, keys: &str) -> &mut Self {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
        self
    }

    /// All that was shown so far.
    pub fn screen(&self) -> String {
        self.screen.lock().expect("never poisoned").clone()
    }

    /// Waits for the program's end, and fails the test unless its exit code is `code`.
    #[track_caller]
    pub fn expect_code(mut self, code: i32) -> String {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                let screen = self.screen();
                assert_eq!(status.code(), Some(code), "wrong exit code\n{screen}");
                return screen;
            }
            assert!(start.elapsed() < LIMIT, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
