//! Unit files of a machine: reading, and putting in place in one step.
//!
//! Both are small scripts for the machine's `sh`, for they must run there as whom we are there: the same on this machine,
//! over SSH and by sudo.

use crate::bus::Bus;
use crate::failure::{BusError, Failure};
use crate::place::{NotRan, Place, Ran};
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use serde::{Deserialize, Serialize};

/// The largest file that is kept for an undo, in bytes. (What a program prints is kept up to 64 KiB, its head included.)
const KEPT_MAX: u64 = (64 << 10) - 64;

/// Says what lies under `$1`, and what it holds if it is a file of at most `$2` bytes.
const READ: &str = r#"if [ -L "$1" ]; then printf 'link\n'; readlink "$1"
elif [ ! -e "$1" ]; then echo absent
elif [ ! -f "$1" ]; then echo strange
else
  n=$(($(wc -c <"$1")))
  stat -c 'file %a' "$1"
  echo "$n"
  [ "$n" -gt "$2" ] || cat "$1"
fi"#;

/// Puts `$3` bytes from the standard input under `$1`, with the mode `$2`. What stands under the final name is whole, or
/// what was there before; a broken connection shows as fewer bytes.
const WRITE: &str = r#"d=$(dirname "$1")
mkdir -p "$d"
t=$(mktemp "$d/.caxplan-XXXXXX")
trap 'rm -f "$t"' EXIT
cat >"$t"
n=$(($(wc -c <"$t")))
[ "$n" = "$3" ] || { echo "only $n of $3 bytes came" >&2; exit 74; }
chmod "$2" "$t"
sync "$t"
mv -f "$t" "$1"
sync "$d""#;

/// Takes `$1` away, and the folder of drop-ins that it leaves empty.
const REMOVE: &str = r#"rm -f "$1"
d=$(dirname "$1")
case "$d" in *.d) rmdir "$d" 2>/dev/null || true;; esac"#;

/// Makes `$1` a link to `$2`.
const LINK: &str = r#"rm -f "$1"
ln -s "$2" "$1""#;

/// Lets systemd look at a file of the name `$1` that holds the standard input, in a folder that goes again.
const VERIFY: &str = r#"command -v systemd-analyze >/dev/null 2>&1 || exit 0
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
cat >"$d/$1"
systemd-analyze $2 --man=no verify "$d/$1" 2>&1 | sed "s|$d/||g""#;

/// What lies under a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum UnitFile {
    /// Nothing.
    Absent,
    /// A file.
    Text {
        /// What it holds.
        text: String,
        /// Its permissions.
        mode: u32,
    },
    /// A link, such as a mask.
    Link {
        /// Where it leads.
        to: String,
    },
    /// A file that cannot be put back: too large, or no text.
    Other {
        /// Its length.
        bytes: u64,
    },
}

impl UnitFile {
    /// Reads what lies under `path`.
    pub(crate) async fn read(place: &Place, path: &str, context: &Context) -> Result<Self, Cause> {
        let max = KEPT_MAX.to_string();
        let ran = place
            .run(&["sh", "-euc", READ, "sh", path, &max], b"", context)
            .await;
        let said = succeeded(ran.map_err(NotRan::cause)?, "read", path, place)?;
        Self::parse(&said).ok_or_else(|| {
            Cause::new(
                FailureKind::Conflict,
                format!("{path} on {} is no file", place.name()),
            )
        })
    }

    fn parse(said: &str) -> Option<Self> {
        let (head, rest) = said.split_once('\n')?;
        match head {
            "absent" => Some(Self::Absent),
            "link" => Some(Self::Link {
                to: rest.trim_end_matches('\n').to_owned(),
            }),
            _ => {
                let mode = u32::from_str_radix(head.strip_prefix("file ")?, 8).ok()?;
                let (length, text) = rest.split_once('\n')?;
                let bytes: u64 = length.parse().ok()?;
                // What is no text has come with other bytes than it has.
                if text.len() as u64 == bytes && !text.contains('\u{fffd}') {
                    Some(Self::Text {
                        text: text.to_owned(),
                        mode,
                    })
                } else {
                    Some(Self::Other { bytes })
                }
            }
        }
    }

    /// Brings `path` to this state.
    pub(crate) async fn put(&self, place: &Place, path: &str, context: &Context) -> Result<(), Failure> {
        let (verb, ran) = match self {
            Self::Absent => (
                "remove",
                place.run(&["sh", "-euc", REMOVE, "sh", path], b"", context).await,
            ),
            Self::Link { to } => (
                "restore",
                place
                    .run(&["sh", "-euc", LINK, "sh", path, to], b"", context)
                    .await,
            ),
            Self::Text { text, mode } => {
                let (mode, length) = (format!("{mode:o}"), text.len().to_string());
                let words = ["sh", "-euc", WRITE, "sh", path, &mode, &length];
                ("write", place.run(&words, text.as_bytes(), context).await)
            }
            Self::Other { bytes } => {
                return Err(Failure::Before(
                    Cause::new(
                        FailureKind::Conflict,
                        format!(
                            "{path} held {bytes} bytes that were not kept: more than {KEPT_MAX}, or no text"
                        ),
                    )
                    .with_hint("restore it from a backup"),
                ));
            }
        };
        let ran = ran.map_err(|not_ran| match not_ran {
            NotRan::NotStarted(cause) => Failure::Before(cause),
            NotRan::Midway(cause) if cause.kind == FailureKind::Cancelled => Failure::Midway(cause),
            NotRan::Midway(cause) => Failure::Unknown(cause),
        })?;
        succeeded(ran, verb, path, place)
            .map(|_| ())
            .map_err(Failure::Midway)
    }

    /// What systemd finds wrong with a unit file of this name and text; nothing if it cannot be asked.
    pub(crate) async fn verify(place: &Place, name: &str, text: &str, context: &Context) -> Option<String> {
        let user = if place.is_user() { "--user" } else { "--system" };
        let words = ["sh", "-euc", VERIFY, "sh", name, user];
        let ran = place.run(&words, text.as_bytes(), context).await.ok()?;
        Some(ran.stdout.trim().to_owned()).filter(|said| !said.is_empty())
    }
}

/// The output of a script, or why it failed.
fn succeeded(ran: Ran, verb: &str, path: &str, place: &Place) -> Result<String, Cause> {
    let Ran { code, stdout, stderr } = ran;
    if code == Some(0) {
        return Ok(stdout);
    }
    let said = stderr.trim().replace('\n', "; ");
    let message = format!("cannot {verb} {path} on {}: {said}", place.name());
    Err(
        if said.contains("ermission denied") || said.contains("password is required") {
            Cause::new(FailureKind::Denied, message)
                .with_hint("only root may write there: write `sudo: true`, or log in as root")
        } else if said.contains("No space left") {
            Cause::new(FailureKind::Other, message).with_hint("the disk over there is full")
        } else {
            Cause::new(FailureKind::Other, message)
        },
    )
}

/// The folder in which the administrator's unit files of this systemd lie.
pub(crate) async fn folder(bus: &Bus<'_>) -> Result<String, Failure> {
    let reading = |error: BusError| error.reading("ask where unit files lie", bus.on());
    let answer = bus
        .call(
            "/org/freedesktop/systemd1",
            "org.freedesktop.DBus.Properties",
            "Get",
            &(crate::bus::MANAGER, "UnitPath"),
        )
        .await
        .map_err(reading)?;
    let paths = answer
        .body()
        .deserialize::<zbus::OwnedVariant>()
        .and_then(Vec::<String>::try_from)
        .map_err(|error| reading(error.into()))?;
    choose(&paths).map(str::to_owned).ok_or_else(|| {
        Failure::Before(Cause::new(
            FailureKind::Other,
            format!("systemd of {} names no folder for unit files of ours", bus.on()),
        ))
    })
}

/// `/etc/systemd/system` of a machine's systemd, `~/.config/systemd/user` of a user's.
fn choose(paths: &[String]) -> Option<&str> {
    const SYSTEM: &str = "/etc/systemd/system";
    if let Some(path) = paths.iter().find(|path| *path == SYSTEM) {
        return Some(path);
    }
    let own = |path: &&String| path.ends_with("/systemd/user") && !path.starts_with("/etc/");
    paths.iter().find(own).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::{UnitFile, choose};

    #[test]
    fn what_the_machine_says_of_a_file_is_understood() {
        let text = |text: &str| UnitFile::Text {
            text: text.to_owned(),
            mode: 0o644,
        };
        for (said, file) in [
            ("absent\n", Some(UnitFile::Absent)),
            (
                "link\n/dev/null\n",
                Some(UnitFile::Link {
                    to: "/dev/null".to_owned(),
                }),
            ),
            ("file 644\n7\n[Unit]\n", Some(text("[Unit]\n"))),
            ("file 644\n0\n", Some(text(""))),
            ("file 644\n70000\n", Some(UnitFile::Other { bytes: 70_000 })),
            (
                "file 644\n2\n\u{fffd}\u{fffd}",
                Some(UnitFile::Other { bytes: 2 }),
            ),
            ("strange\n", None),
            ("", None),
        ] {
            assert_eq!(UnitFile::parse(said), file, "{said:?}");
        }
    }

    #[test]
    fn unit_files_go_where_the_administrator_keeps_them() {
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let system = paths(&[
            "/etc/systemd/system.control",
            "/run/systemd/transient",
            "/etc/systemd/system",
            "/lib/systemd/system",
        ]);
        assert_eq!(choose(&system), Some("/etc/systemd/system"));
        let user = paths(&[
            "/home/a/.config/systemd/user.control",
            "/run/user/1/systemd/transient",
            "/home/a/.config/systemd/user",
            "/etc/systemd/user",
        ]);
        assert_eq!(choose(&user), Some("/home/a/.config/systemd/user"));
        assert_eq!(choose(&[]), None);
    }
}
