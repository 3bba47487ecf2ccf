//! `caxton release pack`

use crate::exit::Exit;
use crate::ui::{self, Ui};
use anyhow::Context as _;
use caxton_model::Version;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Write a release archive, and its SHA-256 beside it
    Pack(Pack),
}

#[derive(clap::Args)]
pub(crate) struct Pack {
    #[command(flatten)]
    _format: ui::FormatFlag,
    /// The binary of the release
    #[arg(long)]
    binary: PathBuf,
    /// Its version
    #[arg(long)]
    version: String,
    /// Configuration that holds where the operator says nothing: a YAML file
    #[arg(long)]
    defaults: Option<PathBuf>,
    /// The folder to write to
    #[arg(long = "output", id = "folder", value_name = "DIR")]
    folder: PathBuf,
}

impl Command {
    pub(crate) fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let Self::Pack(pack) = self;
        let defaults: Value = match &pack.defaults {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the defaults {}", path.display()))?;
                // Checked as a configuration too, so that a typing error is found here and not on a node.
                caxton_node::config::Layers::new().file(path).load()?;
                serde_saphyr::from_str(&text)?
            }
            None => Value::Null,
        };
        let version = Version(pack.version);
        let (path, sha256) = caxton_node::release::pack(&pack.binary, &version, defaults, &pack.folder)?;
        let answer = json!({ "path": path, "sha256": sha256, "version": version });
        ui.show(&answer, |_| format!("{}\nsha256 {sha256}", path.display()))?;
        Ok(Exit::Done)
    }
}
