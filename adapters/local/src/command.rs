//! `command.run`: a program on this machine, without any shell.

use crate::{Scalar, ShellRun};
use caxplan_adapter::{Action, Call, Context, Forecast, async_trait};
use caxplan_model::{ActionSpec, Cause, Outcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `command.run`: those of `shell.run` that need no shell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRun {
    /// The program, looked up in `PATH` unless it is a path, and its arguments.
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// Variables over the engine's own environment.
    #[serde(default)]
    pub env: BTreeMap<String, Scalar>,
    /// The folder to run in, relative to the plan's.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// What the program reads; nothing if absent.
    #[serde(default)]
    pub stdin: Option<String>,
    /// The exit codes that mean success.
    #[serde(default = "crate::shell::default_ok_codes")]
    pub ok_codes: Vec<i32>,
    /// Whether it changes something, as far as you know; a step that does not has nothing to undo.
    #[serde(default = "crate::shell::default_changes")]
    pub changes: bool,
}

impl CommandRun {
    fn as_shell(&self) -> ShellRun {
        ShellRun {
            argv: self.argv.clone(),
            script: None,
            shell: Vec::new(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            stdin: self.stdin.clone(),
            ok_codes: self.ok_codes.clone(),
            changes: self.changes,
        }
    }
}

#[async_trait]
impl Action for CommandRun {
    fn spec() -> ActionSpec {
        ActionSpec {
            name: "command.run".to_owned(),
            summary: "Runs a program on this machine, without any shell".to_owned(),
            arguments: caxplan_adapter::schema_of::<Self>(),
            public_arguments: vec!["argv".to_owned()],
            examples: vec![json!({ "argv": ["systemctl", "is-active", "caxton"], "changes": false })],
            ..ShellRun::spec()
        }
    }

    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        self.as_shell().forecast(call, context).await
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        self.as_shell().perform(call, context).await
    }
}

#[cfg(test)]
mod tests {
    use super::CommandRun;
    use caxplan_adapter::ActionSet;
    use caxplan_adapter::conformance::{Case, check};
    use caxplan_model::FailureKind;
    use serde_json::json;

    #[tokio::test]
    async fn conforms() {
        check(
            &ActionSet::new("command").with::<CommandRun>(),
            &[
                Case::succeeds(
                    "command.run",
                    json!({ "argv": ["test", "$HOME; exit 1", "=", "$HOME; exit 1"] }),
                ),
                Case::fails("command.run", json!({ "argv": ["false"] }), FailureKind::Exit),
                Case::fails(
                    "command.run",
                    json!({ "argv": ["true; true"] }),
                    FailureKind::NotFound,
                ),
                Case::runs_until_cancelled(
                    "command.run",
                    json!({ "argv": ["sh", "-c", "echo on; sleep 1000"] }),
                ),
            ],
        )
        .await;
    }
}
