//! Certificates and mutual TLS: who a node is, and how it proves that.
//!
//! One certificate authority per cluster. A node's certificate names the node in its common name, and repeats
//! the name among the alternative names. Whoever holds a certificate of the authority may speak; who it is,
//! is what the certificate says.

mod authority;
mod certificate;
mod error;
mod identity;
mod key_file;
mod verifier;

pub use authority::{CertificateAuthority, IssuedCertificate};
pub use certificate::CertificateInfo;
pub use error::SecurityError;
pub use identity::Identity;
