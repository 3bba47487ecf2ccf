//! `caxton security gen-cert`

use crate::ui::{self, Ui};
use crate::{exit::Exit, server};
use anyhow::Context as _;
use caxton_cluster::security::CertificateAuthority;
use caxton_model::NodeId;
use caxton_node::config::HumanDuration;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct GenCert {
    #[command(flatten)]
    _format: ui::FormatFlag,
    /// The node's name
    #[arg(long)]
    node_id: String,
    /// The authority's certificate
    #[arg(long, value_name = "FILE")]
    ca_cert: PathBuf,
    /// The authority's private key
    #[arg(long, value_name = "FILE")]
    ca_key: PathBuf,
    /// The folder for NODE-ID.crt and NODE-ID.key, and copies of ca.crt and gossip.key
    #[arg(long = "output", id = "folder", value_name = "DIR")]
    folder: PathBuf,
    /// A further DNS name or address of the node; repeat for more
    #[arg(long = "san", value_name = "NAME")]
    names: Vec<String>,
    /// How long it is valid
    #[arg(long, default_value = "365d")]
    validity: HumanDuration,
}

impl GenCert {
    pub(super) fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let authority = CertificateAuthority::load(&self.ca_cert, &self.ca_key)?;
        let node = NodeId(self.node_id);
        issue(&authority, &node, &self.names, self.validity.0, &self.folder)?;
        copy_beside(&self.ca_cert, &self.folder)?;
        let cert = self.folder.join(format!("{node}.crt"));
        let key = self.folder.join(format!("{node}.key"));
        let answer = json!({ "node": node, "cert": cert, "key": key });
        ui.show(&answer, |_| {
            format!(
                "certificate   {}\nprivate key   {}",
                cert.display(),
                key.display()
            )
        })?;
        Ok(Exit::Done)
    }
}

/// Writes the certificate and key of a node into a folder.
pub(crate) fn issue(
    authority: &CertificateAuthority,
    node: &NodeId,
    names: &[String],
    validity: Duration,
    folder: &Path,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let issued = authority.issue(node, names, validity)?;
    issued.save(
        &folder.join(format!("{node}.crt")),
        &folder.join(format!("{node}.key")),
    )?;
    Ok(())
}

/// Puts what else a node needs into its folder: the authority's certificate and the gossip key, unless they are there.
fn copy_beside(ca_cert: &Path, folder: &Path) -> anyhow::Result<()> {
    let target = folder.join("ca.crt");
    if !target.exists() {
        std::fs::copy(ca_cert, &target).with_context(|| format!("cannot write {}", target.display()))?;
    }
    let (source, target) = (ca_cert.with_file_name("gossip.key"), folder.join("gossip.key"));
    if source.exists() && !target.exists() {
        let secret =
            std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
        server::write_private(&target, secret.trim())?;
    }
    Ok(())
}
