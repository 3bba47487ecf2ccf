//! Which algorithms a connection may use: what OpenSSH's lists say, as far as they are implemented.

use crate::config::{Settings, glob};
use caxplan_model::{Cause, FailureKind};
use russh::keys::Algorithm;
use russh::{Preferred, cipher, compression, kex, mac};
use std::borrow::Cow;

/// The algorithms that a connection may use, each list with the most preferred first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Algorithms {
    kex: Vec<kex::Name>,
    ciphers: Vec<cipher::Name>,
    macs: Vec<mac::Name>,
    host_keys: Vec<String>,
}

impl Algorithms {
    /// What `KexAlgorithms`, `Ciphers`, `MACs` and `HostKeyAlgorithms` say; else what is usual.
    ///
    /// # Errors
    /// Of kind `invalid` if a list leaves nothing that is implemented.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Cause> {
        let usual = Preferred::DEFAULT;
        // Two names of an exchange are none, but tell what a client understands.
        let (said, usual_kex): (Vec<_>, Vec<_>) = usual
            .kex
            .iter()
            .copied()
            .partition(|name| is_extension(name.as_ref()));
        let mut kex = chosen(
            settings,
            "kexalgorithms",
            &usual_kex,
            &every(kex::ALL_KEX_ALGORITHMS),
        )?;
        kex.extend(said);
        let host_keys = host_key_names();
        Ok(Self {
            kex,
            ciphers: chosen(settings, "ciphers", &usual_ciphers(), &every(cipher::ALL_CIPHERS))?,
            macs: chosen(settings, "macs", &usual.mac, &every(mac::ALL_MAC_ALGORITHMS))?,
            host_keys: chosen(settings, "hostkeyalgorithms", &host_keys, &host_keys)?,
        })
    }

    /// As the connection wants them, for a host that is known by keys of the kinds `keys`, or by certificates.
    pub(crate) fn preferred(&self, keys: Vec<Algorithm>, certificates: Vec<Algorithm>) -> Preferred {
        let plain = |key: &Algorithm| key.as_str().to_owned();
        let (mut keys, certificates) = (
            self.allowed(keys, plain),
            self.allowed(certificates, Algorithm::to_certificate_type),
        );
        // It is known by what may not be used: what it shows instead is refused then, with its fingerprint.
        if keys.is_empty() && certificates.is_empty() {
            keys = self.allowed(crate::known_hosts::ALGORITHMS.to_vec(), plain);
        }
        Preferred {
            kex: Cow::Owned(self.kex.clone()),
            cipher: Cow::Owned(self.ciphers.clone()),
            mac: Cow::Owned(self.macs.clone()),
            key: Cow::Owned(keys),
            host_key_certificates: Cow::Owned(certificates),
            compression: Cow::Borrowed(&[compression::NONE]),
        }
    }

    fn allowed(&self, kinds: Vec<Algorithm>, name: impl Fn(&Algorithm) -> String) -> Vec<Algorithm> {
        let place = |kind: &Algorithm| self.host_keys.iter().position(|allowed| *allowed == name(kind));
        let mut kinds: Vec<Algorithm> = kinds.into_iter().filter(|kind| place(kind).is_some()).collect();
        kinds.sort_by_key(place);
        kinds
    }
}

/// The kinds of host keys, plain and in a certificate.
fn host_key_names() -> Vec<String> {
    let kinds = crate::known_hosts::ALGORITHMS;
    let plain = kinds.iter().map(|kind| kind.as_str().to_owned());
    plain
        .chain(kinds.iter().map(Algorithm::to_certificate_type))
        .collect()
}

/// Where the processor does AES itself, it is twice as fast as the other.
fn usual_ciphers() -> Vec<cipher::Name> {
    let mut usual = Preferred::DEFAULT.cipher.into_owned();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("aes") {
        usual.sort_by_key(|name| *name != cipher::AES_256_GCM);
    }
    usual
}

fn is_extension(name: &str) -> bool {
    name.starts_with("ext-info-") || name.starts_with("kex-strict-")
}

/// All that are implemented, but those that protect nothing.
fn every<T: AsRef<str> + Copy>(all: &[&T]) -> Vec<T> {
    let protects = |name: &T| !["none", "clear"].contains(&name.as_ref());
    all.iter().map(|name| **name).filter(protects).collect()
}

/// What a list of OpenSSH makes of the usual algorithms: `+…` adds to them, `-…` takes from them, `^…` puts in front of them,
/// and without a sign the list replaces them. Names that are not implemented are passed over.
fn chosen<T: AsRef<str> + Clone + PartialEq>(
    settings: &Settings,
    keyword: &str,
    usual: &[T],
    all: &[T],
) -> Result<Vec<T>, Cause> {
    let Some(text) = settings.get(keyword) else {
        return Ok(usual.to_vec());
    };
    let (sign, list) = match text.split_at_checked(1) {
        Some((sign @ ("+" | "-" | "^"), list)) => (sign, list),
        _ => ("", text),
    };
    let named = || list.split(',').map(str::trim);
    let is_named = |name: &T| named().any(|pattern| glob(pattern, name.as_ref()));
    let listed = || named().flat_map(|pattern| all.iter().filter(move |name| glob(pattern, name.as_ref())));
    let with = |first: Vec<T>, then: Vec<T>| {
        let mut list: Vec<T> = Vec::new();
        for name in first.into_iter().chain(then) {
            if !list.contains(&name) {
                list.push(name);
            }
        }
        list
    };
    let list = match sign {
        "+" => with(usual.to_vec(), listed().cloned().collect()),
        "-" => usual.iter().filter(|name| !is_named(name)).cloned().collect(),
        "^" => with(listed().cloned().collect(), usual.to_vec()),
        _ => with(listed().cloned().collect(), Vec::new()),
    };
    if list.is_empty() {
        let known: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
        return Err(Cause::new(
            FailureKind::Invalid,
            format!(
                "{}: `{text}` leaves none of the {keyword} that are implemented",
                settings.place(keyword)
            ),
        )
        .with_hint(format!("they are {}", known.join(", "))));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::chosen;
    use crate::config::Settings;

    const USUAL: [&str; 3] = ["gcm", "ctr-256", "ctr-128"];
    const ALL: [&str; 5] = ["gcm", "ctr-256", "ctr-128", "cbc-256", "chacha"];

    fn with(text: &str) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), format!("Host *\n  Ciphers {text}\n")).expect("written");
        let settings = Settings::read(
            &[file.path().into()],
            true,
            "web",
            None,
            std::path::Path::new("/"),
        )
        .expect("it can be read");
        chosen(&settings, "ciphers", &USUAL, &ALL)
            .map(|names| names.join(" "))
            .map_err(|cause| cause.message.replace(&file.path().display().to_string(), "FILE"))
    }

    #[test]
    fn lists_are_those_of_openssh() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(with("chacha,unheard-of,gcm"), ok("chacha gcm"));
        assert_eq!(with("+chacha,gcm"), ok("gcm ctr-256 ctr-128 chacha"));
        assert_eq!(with("-ctr-*"), ok("gcm"));
        assert_eq!(with("^ctr-128,cbc-256"), ok("ctr-128 cbc-256 gcm ctr-256"));
        assert_eq!(
            with("unheard-of"),
            Err("FILE:2: `unheard-of` leaves none of the ciphers that are implemented".to_owned())
        );
    }
}
