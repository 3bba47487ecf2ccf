//! What can be wrong with certificates and keys.

use std::path::PathBuf;

/// What can be wrong with certificates and keys. Loading never changes anything; creating leaves no file
/// behind that it did not report as written.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Creating would overwrite a file.
    #[error("{} exists already; move it away first", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Others can read a private key.
    #[error("{} can be read by others (mode {mode:04o}); run `chmod 600 {}`", path.display(), path.display())]
    KeyExposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds no usable certificate or key.
    #[error("{origin}: {reason}")]
    Unusable {
        /// The file, or what the text was for.
        origin: String,
        /// Why.
        reason: String,
    },
    /// The certificate's time is over, or has not come.
    #[error("{origin}: the certificate is valid from {from} until {until}, and now it is {now}")]
    NotValidNow {
        /// The file.
        origin: String,
        /// Begin of its time.
        from: jiff::Timestamp,
        /// End of its time.
        until: jiff::Timestamp,
        /// This computer's clock.
        now: jiff::Timestamp,
    },
    /// A node's name cannot be written into a certificate.
    #[error(
        "`{name}` cannot be a node's name in a certificate: use letters, digits, hyphens and dots, at most 63 of them"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificate for {subject}: {reason}")]
    Issue {
        /// For whom.
        subject: String,
        /// Why.
        reason: String,
    },
}

impl SecurityError {
    pub(super) fn unusable(origin: impl std::fmt::Display, reason: impl std::fmt::Display) -> Self {
        Self::Unusable {
            origin: origin.to_string(),
            reason: reason.to_string(),
        }
    }
}
