//! Where secrets come from.

use crate::encrypted::{Age, from_home};
use caxplan_model::{Map, Value};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The values of a run's secrets, by name. Shows nothing of them when printed.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Map,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.values.keys()).finish()
    }
}

/// Why a secret could not be had. Names the secret and its source, never its value.
#[derive(Debug, thiserror::Error)]
#[error("the secret `{name}` could not be had from {origin}: {reason}")]
pub struct SecretError {
    /// The secret.
    pub name: String,
    /// Where it should have come from.
    pub origin: String,
    /// Why it did not.
    pub reason: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Source {
    Env(String),
    File(PathBuf),
    Command(Vec<String>),
    Age(Age),
}

/// The largest secret.
const SECRET_BYTES_MAX: usize = 1 << 20;

/// How long a command may take to print its secret.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

impl Secrets {
    /// Fetches all secrets that a plan's header names. Relative paths are relative to the plan's folder. Changes nothing;
    /// dropping the future kills a command that is going on.
    pub async fn load(sources: &Map, plan_dir: &Path) -> Result<Self, SecretError> {
        let mut values = Map::new();
        for (name, source) in sources {
            let text = fetch(name, source, plan_dir).await?;
            values.insert(name.clone(), Value::String(text));
        }
        Ok(Self { values })
    }

    /// Secrets of the same names whose values are masks: for a preview that contacts nothing.
    pub fn masked(sources: &Map) -> Self {
        let mask = Value::from(crate::MASK);
        Self {
            values: sources.keys().map(|name| (name.clone(), mask.clone())).collect(),
        }
    }

    /// All of them, for templates.
    pub fn values(&self) -> &Map {
        &self.values
    }
}

async fn fetch(name: &str, source: &Value, plan_dir: &Path) -> Result<String, SecretError> {
    let fail = |origin: String, reason: String| SecretError {
        name: name.to_owned(),
        origin,
        reason,
    };
    let source: Source = serde_json::from_value(source.clone()).map_err(|_| {
        let expected =
            "write `{env: NAME}`, `{file: PATH}`, `{command: [program, argument, …]}` or `{age: {file: PATH}}`";
        fail("its source".to_owned(), expected.to_owned())
    })?;
    let (origin, fetched) = match source {
        Source::Env(variable) => {
            let value = std::env::var(&variable).map_err(|error| match error {
                std::env::VarError::NotPresent => "it is not set".to_owned(),
                std::env::VarError::NotUnicode(_) => "it is not UTF-8".to_owned(),
            });
            (format!("the environment variable {variable}"), value)
        }
        Source::File(path) => {
            let value = from_home(&path).and_then(|path| {
                std::fs::read(plan_dir.join(path))
                    .map_err(|error| error.to_string())
                    .and_then(text)
            });
            (format!("the file {}", plan_dir.join(path).display()), value)
        }
        Source::Age(age) => (age.origin(), age.fetch(plan_dir).and_then(text)),
        Source::Command(argv) => {
            let program = argv.first().cloned().unwrap_or_default();
            (
                format!("the command {program}"),
                from_command(&argv, plan_dir).await,
            )
        }
    };
    match fetched {
        Ok(value) if value.is_empty() => Err(fail(origin, "it is empty".to_owned())),
        Ok(value) => Ok(value),
        Err(reason) => Err(fail(origin, reason)),
    }
}

async fn from_command(argv: &[String], plan_dir: &Path) -> Result<String, String> {
    let (program, arguments) = argv.split_first().ok_or("no program is named")?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .current_dir(plan_dir)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND_TIMEOUT, command.output())
        .await
        .map_err(|_| format!("it did not end within {} s", COMMAND_TIMEOUT.as_secs()))?
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        // What it printed is not shown: it may hold the secret.
        return Err(format!("it ended with {}", output.status));
    }
    text(output.stdout)
}

/// A secret as people mean it: without the line's end that editors and `echo` add.
fn text(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(format!("it is larger than {SECRET_BYTES_MAX} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::Secrets;
    use caxplan_model::Map;
    use serde_json::json;

    fn check(source: &serde_json::Value, expected: Result<&str, &str>) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("token"), "hunter2!\n").expect("written");
        let mut sources = Map::new();
        sources.insert("token".to_owned(), source.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let loaded = runtime.block_on(Secrets::load(&sources, dir.path()));
        match (loaded, expected) {
            (Ok(secrets), Ok(value)) => {
                assert_eq!(secrets.values()["token"], value, "{source}");
                assert!(!format!("{secrets:?}").contains(value), "printed");
            }
            (Err(error), Err(reason)) => {
                let message = error.to_string();
                assert!(
                    message.contains("`token`") && message.contains(reason),
                    "{message}"
                );
            }
            (loaded, _) => panic!("{source}: {loaded:?}"),
        }
    }

    #[test]
    fn secrets_come_from_where_the_plan_says() {
        check(&json!({"file": "token"}), Ok("hunter2!"));
        check(&json!({"command": ["cat", "token"]}), Ok("hunter2!"));
        check(
            &json!({"command": ["sh", "-c", "echo hunter2!; exit 3"]}),
            Err("exit status: 3"),
        );
        check(&json!({"command": []}), Err("no program"));
        check(&json!({"file": "missing"}), Err("No such file"));
        check(&json!({"env": "CAXPLAN_TEST_IS_NOT_SET"}), Err("not set"));
        check(&json!({"vault": "x"}), Err("write `{env: NAME}`"));
    }
}
