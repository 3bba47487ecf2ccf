//! One section of `~/.aws/credentials` and `~/.aws/config`.

use super::Environment;
use caxplan_model::{Cause, FailureKind};
use ini::{Ini, ParseOption};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The settings of one profile; those of the credentials file go first.
pub(super) struct Profile {
    settings: BTreeMap<String, String>,
    /// Whether a file has a section of this name.
    pub(super) exists: bool,
    credentials: PathBuf,
    config: PathBuf,
}

impl Profile {
    /// Reads both files. One that is not there is empty.
    pub(super) fn read(name: &str, environment: Environment<'_>) -> Result<Self, Cause> {
        let home = environment("HOME").map_or_else(PathBuf::new, PathBuf::from);
        let place = |variable: &str, file: &str| {
            environment(variable)
                .filter(|path| !path.is_empty())
                .map_or_else(|| home.join(".aws").join(file), PathBuf::from)
        };
        let credentials = place("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = place("AWS_CONFIG_FILE", "config");
        let mut settings = BTreeMap::new();
        let mut exists = false;
        // In the config file, sections are called `profile NAME`, but for the default one.
        for (file, section) in [
            (
                &config,
                if name == "default" {
                    name.to_owned()
                } else {
                    format!("profile {name}")
                },
            ),
            (&credentials, name.to_owned()),
        ] {
            let Some(ini) = read(file)? else { continue };
            // Some write more than one space after `profile`.
            let found = ini.iter().find(|(title, _)| {
                title.is_some_and(|title| title.split_whitespace().eq(section.split_whitespace()))
            });
            if let Some((_, properties)) = found {
                exists = true;
                for (key, value) in properties.iter() {
                    settings.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
                }
            }
        }
        Ok(Self {
            settings,
            exists,
            credentials,
            config,
        })
    }

    pub(super) fn get(&self, setting: &str) -> Option<String> {
        self.settings
            .get(setting)
            .filter(|value| !value.is_empty())
            .cloned()
    }

    /// The files' names, for messages.
    pub(super) fn files(&self) -> String {
        format!("{}, {}", self.credentials.display(), self.config.display())
    }

    /// A profile that gets its keys by a program, a browser or another role is not one that can be used here.
    pub(super) fn refuse_what_needs_a_program(&self, source: &str) -> Result<(), Cause> {
        let (what, hint) = if self.settings.contains_key("credential_process") {
            (
                "gets its keys from a program (credential_process), which is not run here",
                "run the program in a secret's command and pass `access_key`, `secret_key` and `session_token`",
            )
        } else if self.settings.keys().any(|key| key.starts_with("sso_")) {
            (
                "gets its keys by single sign-on (sso), for which a person is needed",
                "`eval \"$(aws configure export-credentials --format env)\"` puts the keys of a login into the environment",
            )
        } else if self.settings.contains_key("source_profile")
            || self.settings.contains_key("credential_source")
        {
            (
                "assumes a role by way of other credentials, which is not done here",
                "`eval \"$(aws configure export-credentials --format env)\"` puts the role's keys into the environment",
            )
        } else {
            return Ok(());
        };
        Err(Cause::new(FailureKind::Denied, format!("no credentials: {source} {what}")).with_hint(hint))
    }
}

fn read(file: &Path) -> Result<Option<Ini>, Cause> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => {
            return Err(Cause::new(
                FailureKind::Denied,
                format!("cannot read {}: {error}", file.display()),
            ));
        }
    };
    let as_written = ParseOption {
        enabled_quote: false,
        enabled_escape: false,
        enabled_indented_mutiline_value: true,
        ..ParseOption::default()
    };
    Ini::load_from_str_opt(&text, as_written)
        .map(Some)
        .map_err(|error| {
            // The parser's own text might show a line, and with it a key.
            Cause::new(
                FailureKind::Invalid,
                format!(
                    "{} line {}: this is no `[section]` and no `key = value`",
                    file.display(),
                    error.line
                ),
            )
        })
}
