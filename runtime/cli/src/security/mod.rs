//! `caxton security …`

mod cert_status;
mod gen_cert;
mod init_ca;

use crate::{exit::Exit, ui::Ui};

pub(crate) use gen_cert::issue;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make the certificate authority of a cluster
    InitCa(init_ca::InitCa),
    /// Make the certificate of a node
    GenCert(gen_cert::GenCert),
    /// Say how long certificates are valid
    CertStatus(cert_status::CertStatus),
}

impl Command {
    pub(crate) fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        match self {
            Self::InitCa(command) => command.run(ui),
            Self::GenCert(command) => command.run(ui),
            Self::CertStatus(command) => command.run(ui),
        }
    }
}
