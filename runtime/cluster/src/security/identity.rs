//! Who a node is, and how it proves that.

use super::verifier::NodeVerifier;
use super::{CertificateInfo, SecurityError, key_file};
use caxton_model::NodeId;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Who a node is: its certificate, its key and the authority that it trusts, ready for both sides of mutual
/// TLS 1.3.
///
/// Clones share what [`Identity::reload`] reads anew.
#[derive(Clone)]
pub struct Identity {
    node: NodeId,
    files: Files,
    current: Arc<RwLock<Arc<Credentials>>>,
}

#[derive(Clone)]
struct Files {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

struct Credentials {
    info: CertificateInfo,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Identity {
    /// Reads the authority's certificate, the node's certificate and its private key. The node's name is what
    /// its certificate says.
    ///
    /// Errors: a file is missing, unreadable or not what it should be; others can read the key; the
    /// certificate was not signed by the authority, is not of a node, is not of this key, or is not valid
    /// now.
    pub fn load(ca_path: &Path, cert_path: &Path, key_path: &Path) -> Result<Self, SecurityError> {
        let files = Files {
            ca: ca_path.to_owned(),
            cert: cert_path.to_owned(),
            key: key_path.to_owned(),
        };
        let (node, credentials) = files.load()?;
        Ok(Self {
            node,
            files,
            current: Arc::new(RwLock::new(Arc::new(credentials))),
        })
    }

    /// Reads the files again, for connections from here on; open ones go on. After an error the old ones stay
    /// in use.
    ///
    /// Errors: as of [`Identity::load`], or the new certificate names another node.
    pub fn reload(&self) -> Result<(), SecurityError> {
        let (node, credentials) = self.files.load()?;
        if node != self.node {
            let reason = format!("it names {node}, but this node is {}", self.node);
            return Err(SecurityError::unusable(self.files.cert.display(), reason));
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(credentials);
        Ok(())
    }

    /// The node's name.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// What the certificate in use says.
    pub fn certificate(&self) -> CertificateInfo {
        self.credentials().info.clone()
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.credentials().server)
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.credentials().client)
    }

    /// Who the peer of a finished handshake is.
    pub(crate) fn peer(certificates: Option<&[CertificateDer<'_>]>) -> Result<NodeId, String> {
        let certificate = certificates
            .and_then(<[_]>::first)
            .ok_or_else(|| "the peer showed no certificate".to_owned())?;
        let info = CertificateInfo::from_der(certificate)?;
        info.node()
            .ok_or_else(|| format!("the certificate of `{}` names no node", info.subject))
    }

    fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Files {
    fn load(&self) -> Result<(NodeId, Credentials), SecurityError> {
        let roots = Arc::new(self.roots()?);
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(key_file::read_private(&self.key)?.as_bytes()).map_err(
            |error| SecurityError::unusable(self.key.display(), format!("it holds no private key: {error}")),
        )?;

        let cert_error = |reason: String| SecurityError::unusable(self.cert.display(), reason);
        let first = chain
            .first()
            .ok_or_else(|| cert_error("it holds no certificate".to_owned()))?;
        let info = CertificateInfo::from_der(first).map_err(cert_error)?;
        let node = info
            .node()
            .ok_or_else(|| cert_error(format!("the certificate of `{}` names no node", info.subject)))?;
        let now = Timestamp::now();
        if !info.is_valid_at(now) {
            return Err(SecurityError::NotValidNow {
                origin: self.cert.display().to_string(),
                from: info.not_before,
                until: info.not_after,
                now,
            });
        }
        let tls_error = |error: rustls::Error| cert_error(format!("with {}: {error}", self.key.display()));
        let verifier_error =
            |error: rustls::client::VerifierBuilderError| SecurityError::unusable(self.ca.display(), error);

        // The provider is named here and nowhere else: two are linked in, so there is no default.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client_verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(verifier_error)?;
        self.check_signature(first, &chain, client_verifier.as_ref())?;

        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .with_client_cert_verifier(client_verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(tls_error)?;
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(NodeVerifier::new(roots, provider)))
            .with_client_auth_cert(chain, key)
            .map_err(tls_error)?;
        // A resumed session would show the certificate of its first handshake: every connection shows the one
        // of now.
        server.send_tls13_tickets = 0;
        client.resumption = rustls::client::Resumption::disabled();
        let credentials = Credentials {
            info,
            server: Arc::new(server),
            client: Arc::new(client),
        };
        Ok((node, credentials))
    }

    fn roots(&self) -> Result<RootCertStore, SecurityError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots
                .add(certificate)
                .map_err(|error| SecurityError::unusable(self.ca.display(), error))?;
        }
        if roots.is_empty() {
            return Err(SecurityError::unusable(
                self.ca.display(),
                "it holds no certificate",
            ));
        }
        Ok(roots)
    }

    /// A node whose own certificate no other node would accept learns so at its start.
    fn check_signature(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        verifier: &dyn rustls::server::danger::ClientCertVerifier,
    ) -> Result<(), SecurityError> {
        let now = rustls::pki_types::UnixTime::now();
        verifier
            .verify_client_cert(certificate, &chain[1..], now)
            .map(|_| ())
            .map_err(|error| {
                let reason = format!(
                    "{} did not sign it, or not for a node: {error}",
                    self.ca.display()
                );
                SecurityError::unusable(self.cert.display(), reason)
            })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let pem = key_file::read_public(path)?;
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| SecurityError::unusable(path.display(), format!("not in PEM format: {error}")))
}
