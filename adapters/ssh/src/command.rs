//! What is run on a host, and how it gets there.
//!
//! What sshd is asked to run is always the same short text ([`BOOTSTRAP`]), which every login shell understands. It reads
//! one line from its standard input and evaluates it: the program, its variables and folder. So none of them stand in the
//! host's process list, and what follows the line is the program's own input.

use crate::Sudo;
use caxplan_model::{Cause, FailureKind};
use std::fmt::Write as _;

/// What sshd is asked to run: a shell that does what the first line of its input says.
///
/// `read` takes no byte beyond the line's end, in every shell. No quote, dollar sign or newline stands where another login
/// shell than a POSIX one would stumble over it.
const BOOTSTRAP: &str = r#"exec /bin/sh -c 'IFS= read -r p;eval "$p"'"#;

/// The same as an argument of sudo, in the wrapper's own shell.
const BOOTSTRAP_WORDS: &str = r#"/bin/sh -c 'IFS= read -r p;eval "$p"'"#;

/// The longest script that is handed over by a variable; Linux takes 128 KiB for one.
const SCRIPT_MAX: usize = 100 << 10;

/// A command for a host.
#[derive(Clone, Debug, Default)]
pub struct Command {
    pub(crate) program: Program,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<String>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) sudo: Sudo,
    pub(crate) streams: bool,
    pub(crate) receipt: Option<String>,
    pub(crate) capture_max: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// A program and its arguments.
    Argv(Vec<String>),
    /// A shell with its options, and a script for it.
    Script(Vec<String>, String),
}

impl Default for Program {
    fn default() -> Self {
        Self::Argv(Vec::new())
    }
}

impl Command {
    /// A program, looked up in the host's `PATH` unless it is a path, and its arguments. No shell sees them.
    pub fn new<T: Into<String>>(argv: impl IntoIterator<Item = T>) -> Self {
        Self {
            program: Program::Argv(argv.into_iter().map(Into::into).collect()),
            ..Self::default()
        }
    }

    /// A script for the host's `sh -eu`.
    pub fn script(script: impl Into<String>) -> Self {
        Self::script_for(["sh", "-eu"].map(str::to_owned).to_vec(), script.into())
    }

    /// A script for another shell, which gets `-c` and the script as its last arguments.
    pub fn script_for(shell: Vec<String>, script: String) -> Self {
        Self {
            program: Program::Script(shell, script),
            ..Self::default()
        }
    }

    /// Adds a variable of its environment. Its value appears in no process list and no log of the host.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The folder that it runs in; the user's home if not given.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<String>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// What it reads; nothing if not given.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// As whom it runs; as the one who logged in if not given.
    #[must_use]
    pub fn sudo(mut self, sudo: Sudo) -> Self {
        self.sudo = sudo;
        self
    }

    /// Hands what it writes to the step's log as it comes. Without it, the caller alone sees it.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.streams = true;
        self
    }

    /// How much of each output stream is kept, in bytes; 64 KiB if not given.
    #[must_use]
    pub fn capture(mut self, bytes_max: usize) -> Self {
        self.capture_max = Some(bytes_max);
        self
    }

    /// Leaves a receipt of this name on the host, by which [`crate::receipts`] can tell what became of it.
    #[must_use]
    pub(crate) fn receipt(mut self, name: String) -> Self {
        self.receipt = Some(name);
        self
    }

    pub(crate) fn uses_sudo(&self) -> bool {
        self.sudo != Sudo::No
    }

    /// The program's name for messages: `` `make` ``.
    pub fn name(&self) -> String {
        let words = match &self.program {
            Program::Argv(argv) => argv,
            Program::Script(shell, _) => shell,
        };
        format!("`{}`", words.first().map_or("", String::as_str))
    }

    /// Whether it can be sent at all.
    pub(crate) fn check(&self) -> Result<(), Cause> {
        self.wire("", &[], false).map(|_| ())
    }

    /// What goes over the wire.
    ///
    /// `token` marks the wrapper's own line in the output, `markers` are variables that tell whose attempt this is.
    ///
    /// # Errors
    /// Of kind `invalid` if a text holds a zero byte, which no argument can, or a variable has an impossible name.
    pub(crate) fn wire(
        &self,
        token: &str,
        markers: &[(String, String)],
        as_root: bool,
    ) -> Result<Wire, Cause> {
        let sudo = match &self.sudo {
            Sudo::No => None,
            Sudo::Root if as_root => None,
            Sudo::Root => Some("root"),
            Sudo::User(user) => Some(user.as_str()),
        };
        let mut outer = "n=${IFS#??};".to_owned();
        let mut inner = String::new();
        if let Some(receipt) = &self.receipt {
            crate::receipts::place(&mut outer, receipt)?;
        }
        let enter = self.enter(token, markers)?;
        let run = self.exec(sudo.is_none() && self.receipt.is_some())?;
        // Printed last before the program begins: with it, the program has certainly been started.
        let go = |receipt: &str| format!("printf '{token} go %s %s %s\\n' \"$$\" \"${{b:--}}\" {receipt};");
        match (sudo, &self.receipt) {
            (None, None) => {
                crate::receipts::boot_id(&mut outer);
                outer.push_str(&enter);
                outer.push_str(&go("-"));
                outer.push_str(&run);
            }
            (None, Some(_)) => {
                outer.push_str(&enter);
                crate::receipts::begin(&mut outer, token);
                outer.push_str(&go("\"$r\""));
                crate::receipts::around(&mut outer, &format!("({run})"));
            }
            (Some(user), receipt) => {
                let user = quote(user)?;
                write!(
                    outer,
                    "command -v sudo >/dev/null 2>&1||{{ printf '{token} no-sudo\\n';exit 127;}};"
                )
                .unwrap_or_default();
                let sudo = format!("sudo -n -u {user} -- {BOOTSTRAP_WORDS}");
                // The shell that leads the session: what it started is ended through it, whatever sudo makes of signals.
                let by = |receipt: &str| format!("printf '{token} by %s %s\\n' \"$$\" {receipt};");
                if receipt.is_some() {
                    crate::receipts::begin(&mut outer, token);
                    outer.push_str(&by("\"$r\""));
                    crate::receipts::around(&mut outer, &sudo);
                } else {
                    outer.push_str(&by("-"));
                    outer.push_str("exec ");
                    outer.push_str(&sudo);
                }
                inner.push_str("n=${IFS#??};");
                crate::receipts::boot_id(&mut inner);
                inner.push_str(&enter);
                inner.push_str(&go("-"));
                inner.push_str(&run);
            }
        }
        let mut input = outer.into_bytes();
        input.push(b'\n');
        if !inner.is_empty() {
            input.extend_from_slice(inner.as_bytes());
            input.push(b'\n');
        }
        input.extend_from_slice(&self.stdin);
        Ok(Wire {
            exec: BOOTSTRAP.to_owned(),
            input,
        })
    }

    /// Sets the variables, enters the folder and looks for the program, each with a line that says what is missing.
    fn enter(&self, token: &str, markers: &[(String, String)]) -> Result<String, Cause> {
        let mut text = String::new();
        for (name, value) in self.env.iter().chain(markers) {
            if !is_name(name) {
                return Err(invalid(format!("`{name}` is no name of a variable")));
            }
            write!(text, "export {name}={};", quote(value)?).unwrap_or_default();
        }
        if let Some(cwd) = &self.cwd {
            // A folder whose name begins with a dash is no option.
            let cwd = match cwd.as_str() {
                cwd if cwd.starts_with('-') => quote(&format!("./{cwd}"))?,
                cwd => quote(cwd)?,
            };
            write!(
                text,
                "CDPATH= cd {cwd} >/dev/null 2>&1||{{ printf '{token} no-cwd\\n';exit 126;}};"
            )
            .unwrap_or_default();
        }
        if let Some(program) = self.program_word()? {
            write!(
                text,
                "command -v {program} >/dev/null 2>&1||{{ printf '{token} no-program\\n';exit 127;}};"
            )
            .unwrap_or_default();
        }
        Ok(text)
    }

    /// The program to look for; none if the wrapper's own shell does it.
    fn program_word(&self) -> Result<Option<String>, Cause> {
        let words = match &self.program {
            Program::Script(shell, _) if own_shell(shell).is_some() => return Ok(None),
            Program::Script(shell, _) => shell,
            Program::Argv(argv) => argv,
        };
        match words.first() {
            Some(word) if word.is_empty() || word.starts_with('-') => {
                Err(invalid(format!("`{word}` is no name of a program")))
            }
            Some(word) => quote(word).map(Some),
            None => Err(invalid("no program is named".to_owned())),
        }
    }

    /// Becomes the program. In a child of the wrapper, `$$` would be the wrapper's id: a script gets a shell of its own there.
    fn exec(&self, in_child: bool) -> Result<String, Cause> {
        match &self.program {
            // The same shell does it in place: one process fewer, and the script stands in no process list.
            Program::Script(shell, script)
                if let Some(options) = own_shell(shell)
                    && (!in_child || script.len() > SCRIPT_MAX) =>
            {
                let set = match options {
                    [] => String::new(),
                    options => format!("set {};", options.join(" ")),
                };
                let script = quote(&format!("unset p n b t r d f;{script}"))?;
                Ok(format!("set --;{set}eval {script}"))
            }
            // Another shell gets it by a variable, which is seen by its own user alone.
            Program::Script(shell, script) if is_shell(shell) => {
                let shell = quote_all(shell.iter().map(String::as_str))?;
                Ok(format!(
                    "export CAXPLAN_SCRIPT={};exec {shell} -c 'eval \"unset CAXPLAN_SCRIPT;$CAXPLAN_SCRIPT\"'",
                    quote(script)?
                ))
            }
            Program::Script(shell, script) => {
                let words = shell.iter().map(String::as_str).chain(["-c", script]);
                Ok(format!("exec {}", quote_all(words)?))
            }
            Program::Argv(argv) => Ok(format!("exec {}", quote_all(argv.iter().map(String::as_str))?)),
        }
    }
}

/// The options of a shell that the wrapper's own can stand for.
fn own_shell(shell: &[String]) -> Option<&[String]> {
    let (name, options) = shell.split_first()?;
    let plain = |option: &String| {
        option.strip_prefix('-').is_some_and(|letters| {
            !letters.is_empty() && letters.chars().all(|letter| "eufx".contains(letter))
        })
    };
    (name == "sh" && options.iter().all(plain)).then_some(options)
}

/// Whether a program is a POSIX shell, by its name.
fn is_shell(shell: &[String]) -> bool {
    let name = shell
        .first()
        .map_or("", |path| path.rsplit('/').next().unwrap_or(path));
    ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"].contains(&name)
}

/// A command as it goes over the wire.
pub(crate) struct Wire {
    /// What sshd is asked to run.
    pub(crate) exec: String,
    /// What the wrapper, and then the program, reads.
    pub(crate) input: Vec<u8>,
}

/// A text as one word of a POSIX shell, without a newline: `$n` must hold one where the word is evaluated.
///
/// # Errors
/// Of kind `invalid` if the text holds a zero byte.
pub(crate) fn quote(text: &str) -> Result<String, Cause> {
    if text.contains('\0') {
        return Err(invalid(
            "a text for a command on a host holds a zero byte, which no argument can".to_owned(),
        ));
    }
    Ok(format!(
        "'{}'",
        text.replace('\'', r"'\''").replace('\n', "'\"$n\"'")
    ))
}

/// A text as one word of a POSIX shell, for a script that is written by hand.
///
/// # Errors
/// Of kind `invalid` if the text holds a zero byte.
pub fn shell_word(text: &str) -> Result<String, Cause> {
    if text.contains('\0') {
        return Err(invalid(
            "a text for a command on a host holds a zero byte, which no argument can".to_owned(),
        ));
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

fn quote_all<'a>(words: impl Iterator<Item = &'a str>) -> Result<String, Cause> {
    Ok(words.map(quote).collect::<Result<Vec<_>, _>>()?.join(" "))
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|char| char.is_ascii_alphabetic() || char == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}

fn invalid(message: String) -> Cause {
    Cause::new(FailureKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::{Command, Wire};
    use std::io::Write as _;
    use std::process::{Command as Local, Stdio};

    /// What the bootstrap does with a command, by a real shell of this machine.
    fn run(shell: &str, command: &Command) -> (String, Option<i32>) {
        let Wire { exec, input, .. } = command.wire("TOKEN", &[], false).expect("it can be written");
        let mut child = Local::new(shell)
            .args(["-c", &exec])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shell starts");
        let mut stdin = child.stdin.take().expect("piped");
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("it ends");
        let _ = writer.join();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rest = text
            .split_once("TOKEN go ")
            .and_then(|(_, rest)| rest.split_once('\n'));
        (
            rest.map_or(text.clone(), |(_, rest)| rest.to_owned()),
            output.status.code(),
        )
    }

    const HOSTILE: [&str; 9] = [
        "",
        "plain",
        "two words",
        "it's 'quoted' \"twice\"",
        "$(touch /tmp/never) `id` ${HOME} $n $p !! \\n \\",
        "line one\nline two\n",
        "\n\n",
        "tab\tand\rreturn; rm -rf / & | > < * ? [a] ~ #",
        "ünïcödé 🚀 'x'\n'y'",
    ];

    #[test]
    fn no_text_is_understood_as_anything_but_itself() {
        for shell in ["sh", "bash"] {
            for text in HOSTILE {
                let command = Command::new(["printf", "%s|%s", text, "end"]);
                assert_eq!(
                    run(shell, &command),
                    (format!("{text}|end"), Some(0)),
                    "as an argument"
                );
                let command = Command::script("printf %s \"$V\"; cat")
                    .env("V", text)
                    .stdin(text);
                assert_eq!(
                    run(shell, &command),
                    (format!("{text}{text}"), Some(0)),
                    "as a variable and as input"
                );
                let script = format!("printf %s {}", super::shell_word(text).expect("no zero byte"));
                assert_eq!(
                    run(shell, &Command::script(script)),
                    (text.to_owned(), Some(0)),
                    "in a script"
                );
                let folder = tempfile::tempdir().expect("a folder");
                let inner = folder.path().join(format!("-{}", text.replace('/', "_")));
                std::fs::create_dir_all(&inner).expect("made");
                let cwd = inner.to_str().expect("it is UTF-8");
                let command = Command::script("printf %s \"$PWD\"").cwd(cwd);
                assert_eq!(run(shell, &command).0, cwd, "as a folder");
            }
        }
    }

    #[test]
    fn what_no_command_can_hold_is_refused() {
        for command in [
            Command::new(["a\0b"]),
            Command::new(["a"]).env("V", "\0"),
            Command::new(["a"]).env("A=B", ""),
            Command::new(["a"]).env("", ""),
            Command::new(["-x"]),
            Command::new(Vec::<String>::new()),
            Command::script("a\0"),
        ] {
            assert!(command.wire("T", &[], false).is_err(), "{command:?}");
        }
    }

    #[test]
    fn what_is_missing_is_said_before_anything_starts() {
        let said = |command| run("sh", &command);
        assert_eq!(
            said(Command::new(["true"]).cwd("/no/such/folder")),
            ("TOKEN no-cwd\n".to_owned(), Some(126))
        );
        assert_eq!(
            said(Command::new(["no-such-program"])),
            ("TOKEN no-program\n".to_owned(), Some(127))
        );
    }

    #[test]
    fn a_script_has_the_options_of_its_shell() {
        assert_eq!(
            run("sh", &Command::script("false; echo on")),
            (String::new(), Some(1))
        );
        assert_eq!(run("sh", &Command::script("exit 7")).1, Some(7));
        let plain = Command::script_for(vec!["sh".to_owned()], "false; echo \"on$#\"".to_owned());
        assert_eq!(run("sh", &plain), ("on0\n".to_owned(), Some(0)));
        let bash = Command::script_for(
            ["bash", "-euo", "pipefail"].map(str::to_owned).to_vec(),
            "false | cat; echo on".to_owned(),
        );
        assert_eq!(run("sh", &bash), (String::new(), Some(1)));
    }
}
