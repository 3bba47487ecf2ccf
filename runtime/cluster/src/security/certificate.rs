//! What a certificate says.

use super::{SecurityError, key_file};
use caxton_model::NodeId;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::Duration;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};

/// What a certificate says. Reading it verifies no signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The common name: for a node's certificate, the node's name.
    pub subject: String,
    /// The common name of who signed it.
    pub issuer: String,
    /// The alternative names: DNS names and addresses.
    pub names: Vec<String>,
    /// Begin of its time.
    pub not_before: Timestamp,
    /// End of its time.
    pub not_after: Timestamp,
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// The SHA-256 of the certificate in hexadecimal digits.
    pub fingerprint: String,
}

impl CertificateInfo {
    /// Reads the first certificate of a PEM file.
    pub fn read(path: &Path) -> Result<Self, SecurityError> {
        Self::from_pem(&key_file::read_public(path)?)
            .map_err(|reason| SecurityError::unusable(path.display(), reason))
    }

    /// The node that the certificate names: its subject, if it is among the alternative names too.
    pub fn node(&self) -> Option<NodeId> {
        let named = !self.is_authority && self.names.contains(&self.subject);
        named.then(|| NodeId(self.subject.clone()))
    }

    /// How long the certificate is valid from `now` on; zero if its time is over.
    pub fn remaining(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_until(self.not_after)).unwrap_or(Duration::ZERO)
    }

    /// Whether `now` lies in its time.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| format!("it holds no certificate in PEM format: {error}"))?;
        Self::from_der(&der)
    }

    pub(super) fn from_der(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| format!("it is no X.509 certificate: {error}"))?;
        let names = match certificate.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
            Ok(None) => Vec::new(),
            Err(error) => return Err(format!("its alternative names are not readable: {error}")),
        };
        Ok(Self {
            subject: common_name(certificate.subject()),
            issuer: common_name(certificate.issuer()),
            names,
            not_before: timestamp(certificate.validity().not_before.timestamp()),
            not_after: timestamp(certificate.validity().not_after.timestamp()),
            serial: hex::encode(certificate.raw_serial()),
            is_authority: certificate.is_ca(),
            fingerprint: hex::encode(Sha256::digest(der)),
        })
    }
}

fn common_name(name: &X509Name<'_>) -> String {
    let first = name.iter_common_name().next();
    first
        .and_then(|name| name.as_str().ok())
        .unwrap_or_default()
        .to_owned()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some((*dns).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|v4| std::net::Ipv4Addr::from(v4).to_string()),
            16 => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// X.509 knows years up to 9999, as does `Timestamp`; a time outside is of a broken certificate and counts as
/// the epoch.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
