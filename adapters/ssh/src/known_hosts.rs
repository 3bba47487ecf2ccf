//! Which keys a host is known by, and whether the one it shows is among them.

use crate::config::matches_any;
use crate::reach::{HostKeyPolicy, Reach};
use caxplan_model::{Cause, FailureKind};
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is known of one host.
pub(crate) struct KnownHost {
    name: String,
    /// The name and the address, without the port: what a certificate names.
    principals: Vec<String>,
    shown: String,
    policy: HostKeyPolicy,
    files: Vec<PathBuf>,
    lines: Vec<Line>,
}

struct Line {
    marker: Option<Marker>,
    key: PublicKey,
    place: String,
    file: PathBuf,
    number: usize,
}

/// The order in which kinds of keys are asked for, if nothing is known that says otherwise.
pub(crate) const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

impl KnownHost {
    /// Reads what the files say about a host. A file that does not exist says nothing; a line that cannot be read is
    /// passed over, as `ssh` does.
    pub(crate) fn read(reach: &Reach) -> Result<Self, Cause> {
        let name = reach.known_name();
        let bare = reach.alias.clone().unwrap_or_else(|| reach.host.to_lowercase());
        let mut lines = Vec::new();
        for file in &reach.known_hosts {
            let text = match std::fs::read(file) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(Cause::new(
                        FailureKind::Invalid,
                        format!("cannot read the known hosts {}: {error}", file.display()),
                    ));
                }
            };
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let Ok(entry) = line.replace('\t', " ").parse::<Entry>() else {
                    continue;
                };
                // As in `ssh`, an authority that is named for the host alone speaks for all its ports.
                let authority = entry.marker() == Some(&Marker::CertAuthority);
                let names: &[&str] = if authority { &[&name, &bare] } else { &[&name] };
                if names.iter().any(|name| fits(entry.host_patterns(), name)) {
                    lines.push(Line {
                        marker: entry.marker().copied(),
                        key: entry.public_key().clone(),
                        place: format!("{}:{}", file.display(), number + 1),
                        file: file.clone(),
                        number: number + 1,
                    });
                }
            }
        }
        Ok(Self {
            name,
            principals: vec![bare],
            shown: reach.shown(),
            policy: reach.host_key,
            files: reach.known_hosts.clone(),
            lines,
        })
    }

    fn with_marker(&self, marker: Option<Marker>) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.marker == marker)
    }

    /// The kinds of plain keys to ask the host for: those that it is known by, so that a key which the host prefers but
    /// which nobody has seen does not stand before one that is known.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let known: Vec<Algorithm> = self.with_marker(None).map(|line| line.key.algorithm()).collect();
        let is_known = |algorithm: &&Algorithm| known.iter().any(|known| same_kind(known, algorithm));
        let mut algorithms: Vec<Algorithm> = ALGORITHMS.iter().filter(is_known).cloned().collect();
        if algorithms.is_empty() {
            algorithms = ALGORITHMS.to_vec();
        }
        algorithms
    }

    /// The kinds of certificates to ask the host for: none, unless an authority is trusted for it.
    pub(crate) fn certificates(&self) -> Vec<Algorithm> {
        match self.with_marker(Some(Marker::CertAuthority)).next() {
            Some(_) => ALGORITHMS.to_vec(),
            None => Vec::new(),
        }
    }

    /// Whether a plain key is the host's.
    ///
    /// # Errors
    /// Says whether the host is not known or its key has changed, where the known one stands, and what to do.
    pub(crate) fn check_key(&self, key: &PublicKey) -> Result<(), Cause> {
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        self.check_revoked(key)?;
        if self
            .with_marker(None)
            .any(|line| line.key.key_data() == key.key_data())
        {
            return Ok(());
        }
        let denied = |message: String| {
            Cause::new(FailureKind::Denied, message)
                .with_detail(serde_json::json!({ "host_key": fingerprint.to_string() }))
        };
        let kind = key.algorithm();
        if let Some(known) = self
            .with_marker(None)
            .find(|line| same_kind(&line.key.algorithm(), &kind))
            .or_else(|| self.with_marker(None).next())
        {
            return Err(denied(format!(
                "the host key of {} HAS CHANGED: it shows {kind} {fingerprint}, {} has {} {}",
                self.shown,
                known.place,
                known.key.algorithm(),
                known.key.fingerprint(HashAlg::Sha256)
            ))
            .with_hint(format!(
                "either the host was installed anew, or another machine answers in its place; ask who runs it. If the new key is right, remove line {} (`ssh-keygen -R '{}' -f {}`) and add the new one",
                known.number,
                self.name,
                known.file.display()
            )));
        }
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        match self.policy {
            HostKeyPolicy::AcceptNew => self.learn(key),
            HostKeyPolicy::Strict => Err(denied(format!(
                "the host key of {} is not known: it shows {kind} {fingerprint}, and {} has no key of `{}`",
                self.shown,
                if files.is_empty() { "no file".to_owned() } else { files.join(", ") },
                self.name,
            ))
            .with_hint(format!(
                "compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` says on the host, then add it; or give the target `ssh_host_key: accept-new`",
                match kind {
                    Algorithm::Rsa { .. } => "rsa",
                    Algorithm::Ecdsa { .. } => "ecdsa",
                    _ => "ed25519",
                }
            ))),
        }
    }

    fn check_revoked(&self, key: &PublicKey) -> Result<(), Cause> {
        match self
            .with_marker(Some(Marker::Revoked))
            .find(|line| line.key.key_data() == key.key_data())
        {
            Some(line) => Err(Cause::new(
                FailureKind::Denied,
                format!(
                    "the key of {} is revoked: {} {} by {}",
                    self.shown,
                    key.algorithm(),
                    key.fingerprint(HashAlg::Sha256),
                    line.place
                ),
            )
            .with_hint("somebody else may have the key; give the host a new one")),
            None => Ok(()),
        }
    }

    /// Whether a certificate is the host's, is valid now, and comes from an authority that is trusted for the host.
    ///
    /// # Errors
    /// Says which of these it is not.
    pub(crate) fn check_certificate(&self, certificate: &Certificate) -> Result<(), Cause> {
        let what = format!(
            "the host certificate `{}` of {}",
            certificate.key_id(),
            self.shown
        );
        let denied = |message: String| {
            Cause::new(FailureKind::Denied, message)
                .with_detail(serde_json::json!({ "host_key": certificate.key_id() }))
        };
        let authority = PublicKey::new(certificate.signature_key().clone(), "");
        self.check_revoked(&authority)?;
        self.check_revoked(&PublicKey::new(certificate.public_key().clone(), ""))?;
        let fingerprint = authority.fingerprint(HashAlg::Sha256);
        if !self
            .with_marker(Some(Marker::CertAuthority))
            .any(|line| line.key.key_data() == authority.key_data())
        {
            // The key in it may be known by itself.
            let key = PublicKey::new(certificate.public_key().clone(), "");
            if self
                .with_marker(None)
                .any(|line| line.key.key_data() == key.key_data())
            {
                return Ok(());
            }
            let known: Vec<&str> = self
                .with_marker(Some(Marker::CertAuthority))
                .map(|line| line.place.as_str())
                .collect();
            return Err(denied(format!(
                "{what} is signed by {} {fingerprint}, which is not the authority of {}",
                authority.algorithm(),
                known.join(", ")
            ))
            .with_hint("has the authority changed? then put the new one's `@cert-authority` line there"));
        }
        if certificate.cert_type() != CertType::Host {
            return Err(denied(format!("{what} is one for users")));
        }
        certificate
            .validate_at(certificate.valid_after(), [&fingerprint])
            .map_err(|error| denied(format!("the signature of {what} is wrong: {error}")))?;
        check_validity(certificate, &what)
            .map_err(|cause| cause.with_hint("sign the host's key anew, and check both clocks"))?;
        if let Some((name, _)) = certificate.critical_options().iter().next() {
            return Err(denied(format!(
                "{what} has the option `{name}`, which is not known"
            )));
        }
        let principals = certificate.valid_principals();
        let named = principals.iter().any(|pattern| {
            self.principals
                .iter()
                .any(|name| matches_any(std::slice::from_ref(pattern), name))
        });
        // A certificate without principals would be one for every host; `ssh` refuses it too.
        if !named {
            return Err(denied(format!(
                "{what} is one for {}, not for {}",
                if principals.is_empty() {
                    "no host at all".to_owned()
                } else {
                    principals.join(", ")
                },
                self.principals.join(", ")
            ))
            .with_hint("connect by a name that the certificate has, or set HostKeyAlias to it"));
        }
        Ok(())
    }

    /// Writes a new host's key down.
    fn learn(&self, key: &PublicKey) -> Result<(), Cause> {
        let Some(file) = self.files.first().filter(|file| *file != Path::new("/dev/null")) else {
            return Ok(());
        };
        append(file, &format!("{} {}\n", self.name, key_text(key))).map_err(|error| {
            Cause::new(
                FailureKind::Other,
                format!(
                    "the new key of {} cannot be added to {}: {error}",
                    self.shown,
                    file.display()
                ),
            )
        })
    }
}

fn key_text(key: &PublicKey) -> String {
    let text = key.to_openssh().unwrap_or_default();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Adds a line in one write, so that several processes may do it at a time.
fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut open = std::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)?;
    let mut last = [b'\n'];
    if open.seek(SeekFrom::End(-1)).is_ok() {
        open.read_exact(&mut last)?;
    }
    let line = if last == *b"\n" {
        line.to_owned()
    } else {
        format!("\n{line}")
    };
    open.write_all(line.as_bytes())
}

fn fits(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => matches_any(patterns, name),
        HostPatterns::HashedName { salt, hash } => Hmac::<sha1::Sha1>::new_from_slice(salt)
            .is_ok_and(|hmac| hmac.chain_update(name).verify_slice(hash).is_ok()),
    }
}

/// Whether two names mean the same kind of key: an RSA key is one, by whatever hash it signs.
fn same_kind(a: &Algorithm, b: &Algorithm) -> bool {
    a == b || matches!((a, b), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// Whether a certificate is valid now.
pub(crate) fn check_validity(certificate: &Certificate, what: &str) -> Result<(), Cause> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let said = if now < certificate.valid_after() {
        format!("is not valid before {}", time_text(certificate.valid_after()))
    } else if now >= certificate.valid_before() {
        format!("expired at {}", time_text(certificate.valid_before()))
    } else {
        return Ok(());
    };
    Err(Cause::new(FailureKind::Denied, format!("{what} {said}")))
}

/// Seconds since 1970 as `2026-11-27 19:00:00 UTC`.
fn time_text(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    match SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
        Some(_) if seconds < 253_402_300_800 => {}
        _ => return "the end of time".to_owned(),
    }
    let (days, rest) = (seconds / DAY, seconds % DAY);
    // Howard Hinnant's `civil_from_days`: the year begins in March, so that the leap day is its last.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::time_text;

    #[test]
    fn times_are_readable() {
        assert_eq!(time_text(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(time_text(1_709_210_096), "2024-02-29 12:34:56 UTC");
        assert_eq!(time_text(u64::MAX), "the end of time");
    }
}
