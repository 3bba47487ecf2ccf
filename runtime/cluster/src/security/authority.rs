//! The certificate authority of a cluster.

use super::{CertificateInfo, SecurityError, key_file};
use caxton_model::NodeId;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use std::path::Path;
use std::time::Duration;

/// How long before it is made a certificate begins to be valid: clocks of nodes differ a little.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The most letters of a node's name: a DNS label holds no more.
const NAME_LETTERS_MAX: usize = 63;

/// The certificate authority of a cluster: whoever it signs is let in.
pub struct CertificateAuthority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A node's certificate and its private key, not written anywhere yet.
pub struct IssuedCertificate {
    /// The certificate in PEM format.
    pub cert_pem: String,
    /// The private key in PEM format: a secret.
    pub key_pem: String,
}

impl CertificateAuthority {
    /// Makes a new authority that is valid from now for `validity`. Nothing is written; see [`Self::save`].
    pub fn create(name: &str, validity: Duration) -> Result<Self, SecurityError> {
        let failed = |error: rcgen::Error| issue_error(name, error);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(name, Vec::new(), validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads an authority that was saved.
    pub fn load(cert_path: &Path, key_path: &Path) -> Result<Self, SecurityError> {
        let certificate_pem = key_file::read_public(cert_path)?;
        let info = CertificateInfo::from_pem(&certificate_pem)
            .map_err(|reason| SecurityError::unusable(cert_path.display(), reason))?;
        if !info.is_authority {
            let reason = format!("the certificate of `{}` is not an authority's", info.subject);
            return Err(SecurityError::unusable(cert_path.display(), reason));
        }
        let key = KeyPair::from_pem(&key_file::read_private(key_path)?)
            .map_err(|error| SecurityError::unusable(key_path.display(), error))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .map_err(|error| SecurityError::unusable(cert_path.display(), error))?;
        Ok(Self {
            certificate_pem,
            issuer,
        })
    }

    /// Writes certificate and private key (mode 0600) to new files. If the second cannot be written, the
    /// first is removed.
    pub fn save(&self, cert_path: &Path, key_path: &Path) -> Result<(), SecurityError> {
        save(
            &self.certificate_pem,
            &self.issuer.key().serialize_pem(),
            cert_path,
            key_path,
        )
    }

    /// The authority's certificate in PEM format: what every node needs to know.
    pub fn cert_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Makes a key and a certificate for a node, valid from now for `validity`. `names` are further DNS names
    /// and addresses; the node's own name is always among them.
    pub fn issue(
        &self,
        node: &NodeId,
        names: &[String],
        validity: Duration,
    ) -> Result<IssuedCertificate, SecurityError> {
        check_name(node)?;
        let failed = |error: rcgen::Error| issue_error(node.as_str(), error);
        let mut all_names = vec![node.as_str().to_owned()];
        all_names.extend(names.iter().filter(|name| *name != node.as_str()).cloned());
        let mut params = params(node.as_str(), all_names, validity)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(IssuedCertificate {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

impl IssuedCertificate {
    /// Writes certificate and private key (mode 0600) to new files. If the second cannot be written, the
    /// first is removed.
    pub fn save(&self, cert_path: &Path, key_path: &Path) -> Result<(), SecurityError> {
        save(&self.cert_pem, &self.key_pem, cert_path, key_path)
    }
}

fn save(cert_pem: &str, key_pem: &str, cert_path: &Path, key_path: &Path) -> Result<(), SecurityError> {
    key_file::create_private(key_path, key_pem)?;
    key_file::create_public(cert_path, cert_pem).inspect_err(|_| {
        // Best effort: the error that counts is the one being reported.
        let _ = std::fs::remove_file(key_path);
    })
}

fn params(subject: &str, names: Vec<String>, validity: Duration) -> Result<CertificateParams, SecurityError> {
    let mut params = CertificateParams::new(names).map_err(|error| issue_error(subject, error))?;
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, subject);
    params.distinguished_name = distinguished_name;
    // `rcgen` takes times of another library: count from the one that it lends a constructor for.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::try_from(Timestamp::now().duration_since(Timestamp::UNIX_EPOCH))
        .map_err(|_| issue_error(subject, "the clock stands before 1970"))?;
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + validity;
    Ok(params)
}

fn check_name(node: &NodeId) -> Result<(), SecurityError> {
    let name = node.as_str();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if name.is_empty() || name.len() > NAME_LETTERS_MAX || !name.chars().all(allowed) {
        return Err(SecurityError::Name {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn issue_error(subject: &str, reason: impl std::fmt::Display) -> SecurityError {
    SecurityError::Issue {
        subject: subject.to_owned(),
        reason: reason.to_string(),
    }
}
