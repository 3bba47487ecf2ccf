//! What is wrong with a configuration, where, and what was probably meant.

use serde_saphyr::Error as YamlError;
use std::fmt;
use std::path::{Path, PathBuf};

/// A configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The file could not be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A text is wrong at one place.
    At {
        /// Which file, or which environment variable or flag.
        origin: String,
        /// Line and column, both from 1, if it is a file.
        position: Option<(usize, usize)>,
        /// The line itself.
        source_line: Option<String>,
        /// What is wrong.
        message: String,
        /// What was probably meant.
        help: Option<String>,
    },
    /// The values do not fit each other or this machine; one sentence each.
    Unfit {
        /// The file.
        origin: String,
        /// What does not fit.
        problems: Vec<String>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => {
                write!(f, "cannot read the configuration {}: {source}", path.display())
            }
            Self::At {
                origin,
                position,
                source_line,
                message,
                help,
            } => {
                match position {
                    Some((line, column)) => write!(f, "{origin}:{line}:{column}: {message}")?,
                    None => write!(f, "{origin}: {message}")?,
                }
                if let (Some((line, column)), Some(text)) = (position, source_line) {
                    let number = line.to_string();
                    let margin = " ".repeat(number.len());
                    let indent = " ".repeat(column - 1);
                    write!(f, "\n{margin} |\n{number} | {text}\n{margin} | {indent}^")?;
                }
                match help {
                    Some(help) => write!(f, "\nhelp: {help}"),
                    None => Ok(()),
                }
            }
            Self::Unfit { origin, problems } => {
                write!(f, "{origin} cannot be used:")?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::At { .. } | Self::Unfit { .. } => None,
        }
    }
}

/// Turns a parser's error into one that names file, line and column, and guesses what was meant.
pub(super) fn of_yaml(path: &Path, text: &str, error: &YamlError) -> ConfigError {
    let plain = error.without_snippet();
    let position = plain
        .location()
        .map(|location| (location.line() as usize, location.column() as usize))
        .filter(|(line, column)| *line > 0 && *column > 0);
    let (message, help) = match plain {
        YamlError::SerdeUnknownField { field, expected, .. } => (
            format!("unknown key {field:?}"),
            Some(did_you_mean(field, expected.iter().copied())),
        ),
        YamlError::SerdeInvalidType {
            unexpected, expected, ..
        } => (format!("expected {expected}, found {unexpected}"), None),
        other => (first_line(&other.to_string()), None),
    };
    ConfigError::At {
        origin: path.display().to_string(),
        position,
        source_line: position
            .and_then(|(line, _)| text.lines().nth(line - 1))
            .map(str::to_owned),
        message,
        help,
    }
}

/// "did you mean …?", or all that there is.
pub(super) fn did_you_mean<'a>(wrong: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let closest = known
        .clone()
        .map(|name| (edit_distance(wrong, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3);
    match closest {
        Some((_, name)) => format!("did you mean {name:?}?"),
        None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// How many characters to insert, remove or replace to make `b` of `a`.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a_char) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b_char) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a_char != *b_char);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
