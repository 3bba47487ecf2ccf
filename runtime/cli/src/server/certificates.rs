//! The secrets of a node's first start.

use anyhow::{Context as _, bail};
use caxton_cluster::security::CertificateAuthority;
use caxton_node::config::NodeConfig;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// How long a certificate that a node makes for itself is valid.
const OWN_VALIDITY: Duration = Duration::from_secs(365 * 24 * 3_600);
/// How many random bytes make a token or a key.
const SECRET_BYTES: usize = 32;

/// Writes a new API token, unless there is one.
pub(super) fn prepare_token(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    write_private(path, &new_secret()?)
}

/// Makes what is missing of the certificates, where that gives nobody more power than he has: a node on the machine with
/// the authority's key gets a certificate; a lone node on loopback gets an authority of its own.
pub(super) fn prepare_certificates(config: &NodeConfig) -> anyhow::Result<()> {
    let (ca_cert, cert, key) = (config.ca_cert(), config.cert(), config.key());
    let ca_key = ca_cert.with_file_name("ca.key");
    let cluster = &config.coordination.cluster;
    if !ca_cert.exists() && cluster.bind_addr.ip().is_loopback() && cluster.seeds.is_empty() {
        create_authority(&ca_cert, &ca_key, "caxton", OWN_VALIDITY)?;
    }
    if cert.exists() {
        return Ok(());
    }
    if !ca_key.exists() {
        bail!(
            "there is no certificate {}; make one with `caxton security gen-cert --node-id {} --ca-cert {} --ca-key … --output {}`",
            cert.display(),
            config.node.id,
            ca_cert.display(),
            cert.parent().unwrap_or(Path::new(".")).display(),
        );
    }
    let issued = CertificateAuthority::load(&ca_cert, &ca_key)?.issue(&config.node.id, &[], OWN_VALIDITY)?;
    issued.save(&cert, &key)?;
    Ok(())
}

/// Makes an authority and, beside it, the secret that encrypts gossip. Nothing that exists is overwritten.
pub(crate) fn create_authority(
    cert: &Path,
    key: &Path,
    name: &str,
    validity: Duration,
) -> anyhow::Result<()> {
    for path in [cert, key] {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
    }
    CertificateAuthority::create(name, validity)?.save(cert, key)?;
    let gossip_key = cert.with_file_name("gossip.key");
    if !gossip_key.exists() {
        write_private(&gossip_key, &new_secret()?)?;
    }
    Ok(())
}

/// A secret as hexadecimal digits, from the operating system.
pub(crate) fn new_secret() -> anyhow::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    let mut random = std::fs::File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    std::io::Read::read_exact(&mut random, &mut bytes).context("cannot read /dev/urandom")?;
    Ok(hex::encode(bytes))
}

/// Writes a new file that only its owner can read; an error if it exists.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            writeln!(file, "{text}")?;
            file.sync_all()
        })
        .with_context(|| format!("cannot write {}", path.display()))
}
