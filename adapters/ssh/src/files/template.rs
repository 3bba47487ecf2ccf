//! `ssh.template`: a rendered text as a file of a host.

use super::before::{Before, restore};
use super::fault::{Ended, Fault, nothing_done};
use super::install::{Mode, Wanted, compare, forecast, install};
use super::output::{transfer_schema, transferred};
use super::owner::{Owner, mode_of};
use super::remote::Remote;
use super::stream::{Source, unreadable};
use crate::{Connections, Sudo};
use caxplan_adapter::{ActionThrough, Call, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureKind, Map, Outcome, UndoSupport, Value, Verdict};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, UndefinedBehavior};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

/// The mode of a new file if the plan names none.
pub(super) const MODE_DEFAULT: u32 = 0o644;

/// How many steps of its engine a template may take: an endless loop ends.
const FUEL: u64 = 10_000_000;

/// Arguments of `ssh.template`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshTemplate {
    /// The template's file, relative to the plan's folder. It sees `vars`, and `target` with its `name`, `labels` and `vars`.
    #[serde(default)]
    pub src: Option<PathBuf>,
    /// The text itself in place of a file. The plan renders it as all its texts; what that leaves is rendered again.
    #[serde(default)]
    pub content: Option<String>,
    /// What the template sees, by name. A name that it uses and that is not there is a failure.
    #[serde(default)]
    pub vars: Map,
    /// The file on the host, relative to the user's home. The folder that it lies in must be there. A link that lies there
    /// is replaced, not followed.
    pub dest: String,
    /// Its permissions in octal digits (`"0640"`); those of the file that is there, else `"0644"`. What only its owner may
    /// read is not shown in previews.
    #[serde(default)]
    #[schemars(regex(pattern = r"^0?[0-7]{3,4}$"))]
    pub mode: Option<String>,
    /// The user that it belongs to: an account of the host, or a number. The one of the file that is there, else the one
    /// who logs in. Only root gives files away.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group that it belongs to, likewise.
    #[serde(default)]
    pub group: Option<String>,
    /// A program of the host that judges the new file before it takes its place, with `{file}` for its path:
    /// `[nginx, -t, -c, "{file}"]`. Another exit code than 0 is a failure, and nothing is replaced.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub validate: Option<Vec<String>>,
    /// As whom to write.
    #[serde(default)]
    pub sudo: Option<Sudo>,
    /// The host: `host`, `host:port` or `user@host:port`; the step's target if absent.
    #[serde(default)]
    pub host: Option<String>,
}

/// Writes a value into a text as a plan would write it: `true` and not `True`, `["a"]` and not `['a']`.
fn write_value(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &minijinja::Value,
) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            let json = serde_json::to_string(value).map_err(|error| {
                minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string())
            })?;
            out.write_str(&json).map_err(minijinja::Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

impl SshTemplate {
    /// The text.
    fn render(&self, call: &Call, context: &Context) -> Result<String, Fault> {
        let (name, text) = match (&self.src, &self.content) {
            (Some(src), None) => {
                let path = context.plan_dir.join(src);
                let name = path.display().to_string();
                let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&name, &error))?;
                (name, text)
            }
            (None, Some(content)) => ("content".to_owned(), content.clone()),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Cause::new(
                    FailureKind::Invalid,
                    "ssh.template takes either `src` or `content`",
                )
                .with_hint("`src: FILE` renders a file, `content: TEXT` a text of the plan")
                .into());
            }
        };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A name that ends in `.html` changes nothing.
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(write_value);
        environment.set_syntax(
            SyntaxConfig::builder()
                .keep_trailing_newline(true)
                .build()
                .expect("the default delimiters are valid"),
        );
        environment.set_fuel(Some(FUEL));
        let mut vars = Map::new();
        if let Some(target) = &call.target {
            vars.insert(
                "target".to_owned(),
                serde_json::to_value(target).expect("it is plain data"),
            );
        }
        vars.extend(self.vars.clone());
        let vars = minijinja::Value::from(Serde(vars));
        environment.render_named_str(&name, &text, vars).map_err(|error| {
            let line = error
                .line()
                .map_or(String::new(), |line| format!(", line {line}"));
            let mut message = format!("{name}{line}: {}", error.kind());
            if let Some(detail) = error.detail() {
                message.push_str(&format!(": {detail}"));
            }
            Fault::new(FailureKind::Template, message)
        })
    }

    async fn remote(&self, through: &Connections, call: &Call, context: &Context) -> Result<Remote, Fault> {
        Remote::open(through, call, self.host.as_deref(), self.sudo.as_ref(), context).await
    }

    async fn wanted(&self, remote: &Remote, text: String) -> Result<Wanted, Fault> {
        let bytes = text.into_bytes();
        Ok(Wanted {
            path: remote.resolve(&self.dest).await?,
            bytes: bytes.len() as u64,
            source: Source::Bytes(bytes.into()),
            mode: match &self.mode {
                Some(mode) => Mode::Exactly(mode_of(mode)?),
                None => Mode::ElseKept(MODE_DEFAULT),
            },
            owner: Owner::of(remote, self.owner.as_deref(), self.group.as_deref()).await?,
        })
    }

    async fn try_perform(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Outcome, Ended> {
        let text = self.render(call, context).map_err(nothing_done)?;
        let remote = self.remote(through, call, context).await.map_err(nothing_done)?;
        let wanted = self.wanted(&remote, text).await.map_err(nothing_done)?;
        let compared = compare(&remote, &wanted, call).await.map_err(nothing_done)?;
        let (sent, changed) = install(&remote, &wanted, &compared, self.validate.as_deref()).await?;
        let output = transferred(
            &wanted.path,
            sent.bytes,
            Some(&sent.sha256),
            u64::from(changed && compared.differs),
        );
        Ok(match changed {
            true => Outcome::Changed { output },
            false => Outcome::Unchanged { output },
        })
    }
}

#[async_trait]
impl ActionThrough<Connections> for SshTemplate {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: transfer_schema("The file on the host."),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            public_arguments: ["src", "dest"].map(str::to_owned).to_vec(),
            examples: vec![json!({
                "content": "listen {{ port }};\n", "vars": { "port": 8080 }, "dest": "/etc/app/listen.conf",
                "mode": "0644", "sudo": true, "validate": ["grep", "-q", "listen", "{file}"], "host": "web-1.example.org",
            })],
            ..changes::<Self>(
                "ssh.template",
                "Renders a template into a file of a host, in one step",
            )
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        let work = async {
            let text = self.render(call, context)?;
            let remote = self.remote(through, call, context).await?;
            let wanted = self.wanted(&remote, text).await?;
            let compared = compare(&remote, &wanted, call).await?;
            let text = super::text::difference(&remote, &wanted, &compared).await?;
            Ok(forecast(&remote, &wanted, &compared, text))
        };
        work.await.map_err(Fault::into_cause)
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let done = self.try_perform(through, call, context).await;
        done.unwrap_or_else(|ended| *ended)
    }

    async fn probe(&self, through: &Connections, call: &Call, context: &Context) -> Verdict {
        let work = async {
            let text = self.render(call, context)?;
            let remote = self.remote(through, call, context).await?;
            let wanted = self.wanted(&remote, text).await?;
            let compared = compare(&remote, &wanted, call).await?;
            Ok(match compared.is_same() {
                true => Verdict::Done {
                    output: transferred(&wanted.path, wanted.bytes, compared.sha256.as_deref(), 1),
                },
                false => Verdict::NotDone,
            })
        };
        super::output::verdict(work.await)
    }

    async fn undo(&self, through: &Connections, call: &Call, before: &Value, context: &Context) -> Outcome {
        let work = async {
            let before: Before = Before::parse(&self.dest, before)?;
            let remote = self.remote(through, call, context).await?;
            let path = remote.resolve(&self.dest).await?;
            Ok::<_, Fault>(restore(&remote, &path, &before).await)
        };
        work.await.unwrap_or_else(Fault::before_any_effect)
    }
}
