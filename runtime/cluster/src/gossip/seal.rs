//! Encrypts and authenticates datagrams.

use chacha20poly1305::aead::{Aead as _, AeadCore as _, KeyInit as _, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// The first byte of each datagram: how the rest is sealed.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// How much longer a sealed datagram is.
pub(super) const OVERHEAD_BYTES: usize = 1 + NONCE_BYTES + TAG_BYTES;

/// Encrypts and authenticates datagrams by XChaCha20-Poly1305: its nonces are long enough to be drawn at
/// random by all nodes under one key. Who opens a datagram knows that a holder of the key made it. A datagram
/// that was caught on the way can be sent again by anyone; to SWIM, an old message is no news.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
}

impl Seal {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
        }
    }

    pub(super) fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload {
            msg: plain,
            aad: &[VERSION],
        };
        let sealed = self
            .cipher
            .encrypt(&nonce, payload)
            .expect("a datagram is far below the cipher's limit");
        let mut datagram = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        datagram.push(VERSION);
        datagram.extend_from_slice(&nonce);
        datagram.extend_from_slice(&sealed);
        datagram
    }

    /// `None` if the datagram was not sealed with this key, or was changed.
    pub(super) fn open(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = datagram.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        if *version != VERSION {
            return None;
        }
        let payload = Payload {
            msg: sealed,
            aad: &[VERSION],
        };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_what_the_same_key_sealed_unchanged() {
        let (ours, theirs) = (Seal::new(&[1; 32]), Seal::new(&[2; 32]));
        let datagram = ours.seal(b"news");
        assert_eq!(ours.open(&datagram).as_deref(), Some(&b"news"[..]));
        assert_eq!(datagram.len(), b"news".len() + OVERHEAD_BYTES);
        assert_eq!(theirs.open(&datagram), None);
        for index in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[index] ^= 1;
            assert_eq!(ours.open(&changed), None, "byte {index} was changed");
            assert_eq!(ours.open(&datagram[..index]), None, "cut after {index} bytes");
        }
        assert_ne!(ours.seal(b"news"), datagram, "each has its own nonce");
    }
}
