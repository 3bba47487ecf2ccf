//! `caxton init`

use crate::{exit::Exit, paths, server, ui::Ui};
use anyhow::{Context as _, bail};
use caxton_model::api::ClientContext;
use caxton_node::config::Layers;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Init {
    /// The node's name
    #[arg(long)]
    node_id: String,
    /// Where other nodes reach it
    #[arg(long, default_value = "127.0.0.1:7946")]
    bind_addr: SocketAddr,
    /// Where the management API answers
    #[arg(long, default_value = "127.0.0.1:8080")]
    api_addr: SocketAddr,
    /// Where Prometheus reads
    #[arg(long, default_value = "127.0.0.1:9090")]
    metrics_addr: SocketAddr,
    /// Where its data lies
    #[arg(long, default_value = "/var/lib/caxton")]
    data_dir: PathBuf,
    /// Where its certificates lie
    #[arg(long, default_value = "/etc/caxton/certs")]
    cert_dir: PathBuf,
    /// How many nodes the cluster has when it is complete
    #[arg(long, default_value_t = 1)]
    bootstrap_expect: u32,
    /// Where to write config.yaml, context.yaml and api.token
    #[arg(long, default_value = "/etc/caxton")]
    config_dir: PathBuf,
    /// Overwrite config.yaml and context.yaml; a token is kept
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(crate) fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let (data_dir, cert_dir) = (
            std::path::absolute(&self.data_dir)?,
            std::path::absolute(&self.cert_dir)?,
        );
        for folder in [&data_dir, &cert_dir] {
            paths::text(folder)?;
        }
        let config = json!({
            "node": { "id": self.node_id },
            "coordination": { "cluster": {
                "bind_addr": self.bind_addr,
                "bootstrap_expect": self.bootstrap_expect,
            } },
            "security": { "cluster": { "mtls": {
                "enabled": true,
                "ca_cert": cert_dir.join("ca.crt"),
                "cert": cert_dir.join(format!("{}.crt", self.node_id)),
                "key": cert_dir.join(format!("{}.key", self.node_id)),
            } } },
            "storage": { "data_dir": data_dir },
            "api": { "bind_addr": self.api_addr, "token_file": "api.token" },
            "metrics": { "bind_addr": self.metrics_addr },
        });
        let context = ClientContext {
            endpoints: vec![format!("http://{}", local(self.api_addr))],
            token_file: "api.token".to_owned(),
        };
        for folder in [&self.config_dir, &data_dir, &cert_dir] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let config_file = self.config_dir.join("config.yaml");
        let context_file = self.config_dir.join("context.yaml");
        let token_file = self.config_dir.join("api.token");
        self.write(&config_file, &serde_saphyr::to_string(&config)?)?;
        self.write(&context_file, &serde_saphyr::to_string(&context)?)?;
        if !token_file.exists() {
            server::write_private(&token_file, &server::new_secret()?)?;
        }
        // What was written must be what a node reads.
        Layers::new().file(&config_file).load()?;
        let answer = json!({ "config": config_file, "context": context_file, "token": token_file, "data_dir": data_dir });
        ui.show(&answer, |_| {
            format!(
                "configuration   {}\ncontext         {}\ntoken           {}   the same on all nodes of a cluster\ndata            {}",
                config_file.display(),
                context_file.display(),
                token_file.display(),
                data_dir.display()
            )
        })?;
        Ok(Exit::Done)
    }

    fn write(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        if path.exists() && !self.force {
            bail!("{} exists; say --force to overwrite it", path.display());
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// How this machine reaches an address that may stand for all its interfaces.
fn local(addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), addr.port())
    } else {
        addr
    }
}
