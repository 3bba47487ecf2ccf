//! `caxton security init-ca`

use crate::ui::{self, Ui};
use crate::{exit::Exit, server};
use caxton_node::config::HumanDuration;
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct InitCa {
    #[command(flatten)]
    _format: ui::FormatFlag,
    /// The folder for ca.crt, ca.key and gossip.key
    #[arg(long = "output", id = "folder", value_name = "DIR", required_unless_present_all = ["ca_cert", "ca_key"])]
    folder: Option<PathBuf>,
    /// Where to write the certificate [default: ca.crt in the folder]
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Where to write the private key [default: ca.key in the folder]
    #[arg(long, value_name = "FILE")]
    ca_key: Option<PathBuf>,
    /// How long it is valid
    #[arg(long, default_value = "3650d")]
    validity: HumanDuration,
    /// What the authority is called
    #[arg(long, default_value = "caxton cluster")]
    name: String,
}

impl InitCa {
    pub(super) fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let folder = self.folder.unwrap_or_default();
        let cert = self.ca_cert.unwrap_or_else(|| folder.join("ca.crt"));
        let key = self.ca_key.unwrap_or_else(|| folder.join("ca.key"));
        server::create_authority(&cert, &key, &self.name, self.validity.0)?;
        let gossip_key = cert.with_file_name("gossip.key");
        let answer = json!({ "ca_cert": cert, "ca_key": key, "gossip_key": gossip_key });
        ui.show(&answer, |_| {
            format!(
                "certificate   {}\nprivate key   {}   keep it off the nodes\ngossip key    {}   every node needs it",
                cert.display(),
                key.display(),
                gossip_key.display()
            )
        })?;
        Ok(Exit::Done)
    }
}
