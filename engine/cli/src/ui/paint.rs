//! Colours, where they are wanted.

use std::io::IsTerminal;

/// Paints texts, or leaves them as they are: elsewhere than on a terminal, and where `NO_COLOR` is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For what goes to the standard error.
    pub(crate) fn for_stderr() -> Self {
        Self::on(&std::io::stderr())
    }

    /// For what goes to the standard output.
    pub(crate) fn for_stdout() -> Self {
        Self::on(&std::io::stdout())
    }

    fn on(stream: &impl IsTerminal) -> Self {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            on: stream.is_terminal() && !forbidden && !dumb,
        }
    }

    /// Whether it paints.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// For what failed.
    pub(crate) fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// For what went well.
    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// For what needs a person's eye.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// For what can be done.
    pub(crate) fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }

    /// For what matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// For headings.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
