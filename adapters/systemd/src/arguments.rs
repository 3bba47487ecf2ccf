//! The arguments that all actions share, checked when they are read.

use caxplan_model::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest name of a unit that systemd takes, in bytes.
const NAME_MAX: usize = 255;

/// What the name of a unit ends with.
const SUFFIXES: [&str; 11] = [
    "service",
    "socket",
    "target",
    "timer",
    "path",
    "mount",
    "automount",
    "swap",
    "slice",
    "scope",
    "device",
];

/// The name of a unit, with its suffix; never a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct UnitName(String);

impl UnitName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a template, such as `app@.service`, which cannot run itself.
    pub(crate) fn is_template(&self) -> bool {
        self.0.contains("@.")
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for UnitName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if let Some(wrong) = text.chars().find(|c| !is_allowed(*c)) {
            return Err(format!("`{text}` is no name of a unit: it holds {wrong:?}"));
        }
        let known = text
            .rsplit_once('.')
            .is_some_and(|(stem, suffix)| !stem.is_empty() && SUFFIXES.contains(&suffix));
        let name = if known {
            text.to_owned()
        } else {
            format!("{text}.service")
        };
        let stem = name.rsplit_once('.').map_or("", |(stem, _)| stem);
        if stem.is_empty() || stem.starts_with('@') || stem.starts_with('.') {
            return Err(format!("`{text}` is no name of a unit"));
        }
        if name.len() > NAME_MAX {
            return Err(format!("the name of a unit has at most {NAME_MAX} bytes"));
        }
        Ok(Self(name))
    }
}

impl<'de> Deserialize<'de> for UnitName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for UnitName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UnitName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^[A-Za-z0-9:_.\\@-]+$" })
    }
}

/// Which systemd of a machine is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum BusName {
    /// The machine's own.
    #[default]
    System,
    /// That of the user who asks.
    User,
    /// The one on the bus with this address, `unix:path=…`.
    At(String),
}

/// What the address of a bus begins with.
const ADDRESS_PREFIX: &str = "unix:path=";

impl std::str::FromStr for BusName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "system" => Ok(Self::System),
            "user" => Ok(Self::User),
            // More than a path (`unixexec:`, a list) would be a way to run something.
            _ => match text.strip_prefix(ADDRESS_PREFIX) {
                Some(path) if path.starts_with('/') && !path.contains([',', ';']) => {
                    Ok(Self::At(text.to_owned()))
                }
                Some(_) | None => Err(format!("`{text}` is no bus: write system, user or unix:path=/…")),
            },
        }
    }
}

impl<'de> Deserialize<'de> for BusName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for BusName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BusName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^(system|user|unix:path=/[^,;]+)$",
            "default": "system",
        })
    }
}

/// How many of a unit's last journal lines a failure shows if the plan does not say.
pub(crate) fn default_log_lines() -> u32 {
    20
}

/// How long an action waits if the plan does not say.
pub(crate) fn default_wait() -> Duration {
    Duration::from_secs(60)
}

/// The pause between two looks if the plan does not say.
pub(crate) fn default_every() -> Duration {
    Duration::from_secs(1)
}

/// A type of arguments with those that say where the unit is. (`serde` cannot both flatten and refuse what it does not
/// know.)
macro_rules! arguments {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    ) => {
        #[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_meta])* $field: $type,)*
            /// The machine: `host`, `host:port` or `user@host:port`. Goes before the step's target; without both it is
            /// this machine.
            #[serde(default)]
            host: Option<String>,
            /// As whom: false is the user who is there, true is root, a text is another user's name; by `sudo -n`, which
            /// asks for no password. The target's variable `sudo` if absent.
            #[serde(default)]
            sudo: Option<caxplan_ssh::Sudo>,
            /// Which systemd: `system`, the `user`'s own, or that on a bus `unix:path=…`.
            #[serde(default)]
            bus: $crate::arguments::BusName,
        }

        impl $name {
            /// The systemd that is meant.
            fn place(
                &self,
                through: &caxplan_ssh::Connections,
                call: &caxplan_adapter::Call,
                context: &caxplan_adapter::Context,
            ) -> Result<$crate::place::Place, caxplan_model::Cause> {
                $crate::place::Place::of(through, call, self.host.as_deref(), self.sudo.as_ref(), &self.bus, context)
            }
        }
    };
}
pub(crate) use arguments;

#[cfg(test)]
mod tests {
    use super::{BusName, UnitName};

    #[test]
    fn names_of_units_get_their_suffix_and_are_no_paths() {
        for (text, expected) in [
            ("caxton", Some("caxton.service")),
            ("caxton.service", Some("caxton.service")),
            ("caxton.v2", Some("caxton.v2.service")),
            ("backup.timer", Some("backup.timer")),
            ("app@1", Some("app@1.service")),
            ("app@.service", Some("app@.service")),
            (
                "systemd-fsck@dev-disk-by\\x2duuid.service",
                Some("systemd-fsck@dev-disk-by\\x2duuid.service"),
            ),
            ("", None),
            (".service", None),
            ("@x.service", None),
            ("..", None),
            ("../x.service", None),
            ("a/b.service", None),
            ("a b", None),
            ("a\n", None),
            ("é", None),
            (&"x".repeat(300), None),
        ] {
            let name = text.parse::<UnitName>().ok();
            assert_eq!(name.as_ref().map(UnitName::as_str), expected, "{text:?}");
        }
    }

    #[test]
    fn a_bus_is_a_socket_and_nothing_that_runs_a_program() {
        assert_eq!("system".parse(), Ok(BusName::System));
        assert_eq!(
            "unix:path=/run/x".parse(),
            Ok(BusName::At("unix:path=/run/x".to_owned()))
        );
        for text in [
            "",
            "session",
            "unixexec:path=/bin/sh",
            "unix:path=x",
            "unix:path=/a;unixexec:path=/b",
        ] {
            assert!(text.parse::<BusName>().is_err(), "{text}");
        }
    }
}
