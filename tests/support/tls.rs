//! TLS before a plain service of this machine.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A port that speaks TLS and hands what it hears to a service; it lives as long as the test's process.
#[derive(Debug)]
pub struct Tls {
    url: String,
    folder: tempfile::TempDir,
}

impl Tls {
    /// Starts one before `address` (`127.0.0.1:PORT`), with a certificate of an authority of its own.
    pub fn before(address: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
            .expect("an authority");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder is ours");
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(["localhost".to_owned()])
            .and_then(|of| of.signed_by(&key, &authority))
            .expect("a certificate");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("the key is the certificate's");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().expect("it is bound").port()
        );
        let address = address.to_owned();
        std::thread::spawn(move || serve(listener, &TlsAcceptor::from(Arc::new(config)), &address));
        Self { url, folder }
    }

    /// `https://localhost:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority, in PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

fn serve(listener: std::net::TcpListener, acceptor: &TlsAcceptor, address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a socket");
        let listener = TcpListener::from_std(listener).expect("a socket");
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, address) = (acceptor.clone(), address.to_owned());
            tokio::spawn(async move {
                // A client that does not trust the certificate goes away: that is what a test may be about.
                if let Ok(mut client) = acceptor.accept(client).await
                    && let Ok(mut service) = TcpStream::connect(address).await
                {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
                }
            });
        }
    });
}
