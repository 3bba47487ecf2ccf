//! Modes, users and groups as plans write them.

use super::fault::Fault;
use super::place::MODE_MASK;
use super::remote::Remote;
use crate::{Command, shell_word};
use caxplan_model::{Cause, FailureKind};

/// A mode as plans write it, in octal digits.
pub(super) fn mode_of(text: &str) -> Result<u32, Cause> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= MODE_MASK)
        .ok_or_else(|| {
            Cause::new(
                FailureKind::Invalid,
                format!("`{text}` is no mode such as \"0644\""),
            )
        })
}

/// Whom a file shall belong to; `None` leaves that as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owner {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
}

impl Owner {
    /// Asks the host for the numbers of names; numbers need no asking.
    pub(super) async fn of(remote: &Remote, user: Option<&str>, group: Option<&str>) -> Result<Self, Fault> {
        Ok(Self {
            user: match user {
                Some(user) => Some(number(remote, "user", user).await?),
                None => None,
            },
            group: match group {
                Some(group) => Some(number(remote, "group", group).await?),
                None => None,
            },
        })
    }

    /// The numbers, where what is not given stays.
    pub(super) fn over(self, now: (u32, u32)) -> (u32, u32) {
        (self.user.unwrap_or(now.0), self.group.unwrap_or(now.1))
    }

    pub(super) fn is_given(self) -> bool {
        self.user.is_some() || self.group.is_some()
    }
}

async fn number(remote: &Remote, what: &str, name: &str) -> Result<u32, Fault> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let word = shell_word(name)?;
    // `id` takes a name that begins with a dash for an option.
    let script = match what {
        _ if name.starts_with('-') => return Err(unknown(remote, what, name)),
        "user" => format!("id -u {word}"),
        _ => format!(
            "if command -v getent >/dev/null 2>&1; then getent group {word}; else grep -- \"^{name}:\" /etc/group; fi | cut -d: -f3",
            name = name.replace(
                |char: char| !char.is_ascii_alphanumeric() && char != '_' && char != '-',
                "."
            )
        ),
    };
    let Some(finished) = remote.try_run(Command::script(script)).await? else {
        return Err(unknown(remote, what, name));
    };
    finished
        .stdout
        .text()
        .trim()
        .parse()
        .map_err(|_| unknown(remote, what, name))
}

fn unknown(remote: &Remote, what: &str, name: &str) -> Fault {
    Cause::new(
        FailureKind::NotFound,
        format!("{} knows no {what} `{name}`", remote.host.name()),
    )
    .with_hint("make it first; one that programs there do not know can be given by its number")
    .into()
}
