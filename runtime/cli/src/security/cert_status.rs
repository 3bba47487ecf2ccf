//! `caxton security cert-status`

use crate::ui::{Table, Ui};
use crate::{dev, exit::Exit, server};
use anyhow::{Context as _, bail};
use caxton_cluster::security::CertificateInfo;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// A certificate that ends sooner is worth a warning.
const WARNING: Duration = Duration::from_secs(30 * 24 * 3_600);

#[derive(clap::Args)]
pub(crate) struct CertStatus {
    /// The folder with certificates [default: that of this machine's configuration, else of the development cluster `demo`]
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Status {
    name: String,
    expires_in_days: u64,
    not_after: String,
    status: &'static str,
}

impl CertStatus {
    pub(super) fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let folder = match self.cert_dir {
            Some(folder) => folder,
            None => default_folder()?,
        };
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut statuses = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "crt") {
                statuses.push(status(&path)?);
            }
        }
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        if statuses.is_empty() {
            bail!("there are no certificates in {}", folder.display());
        }
        ui.show(&statuses, |statuses| {
            let mut table = Table::new(&["NODE-ID", "EXPIRES-IN", "STATUS"]);
            for status in statuses {
                let days = format!("{} days", status.expires_in_days);
                table.row([status.name.clone(), days, status.status.to_owned()]);
            }
            table.to_string()
        })?;
        Ok(Exit::when(
            statuses.iter().all(|status| status.status != "EXPIRED"),
        ))
    }
}

fn status(path: &Path) -> anyhow::Result<Status> {
    let info = CertificateInfo::read(path)?;
    let remaining = info.remaining(jiff::Timestamp::now());
    Ok(Status {
        name: info.subject,
        expires_in_days: remaining.as_secs() / DAY.as_secs(),
        not_after: info.not_after.to_string(),
        status: if remaining.is_zero() {
            "EXPIRED"
        } else if remaining < WARNING {
            "WARNING"
        } else {
            "OK"
        },
    })
}

fn default_folder() -> anyhow::Result<PathBuf> {
    if let Some(file) = server::config_file(None) {
        let config = server::layers(Some(&file))?.load()?;
        if let Some(folder) = config.ca_cert().parent() {
            return Ok(folder.to_owned());
        }
    }
    dev::default_context()
        .and_then(|context| Some(context.parent()?.join("certs")))
        .context("no certificates are known; name their folder by --cert-dir")
}
