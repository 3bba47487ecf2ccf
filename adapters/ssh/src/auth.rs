//! Logging in: certificates and keys, from the agent and from files.

use crate::client::Client;
use crate::known_hosts::check_validity;
use crate::reach::Reach;
use caxplan_model::{Cause, FailureKind};
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixStream;

/// How much is offered at most: sshd ends the connection after six (`MaxAuthTries`).
const OFFERS_MAX: usize = 6;

/// Something to prove with who we are.
struct Offer {
    /// What it is, for messages.
    what: String,
    certificate: Option<Certificate>,
    key: Key,
}

enum Key {
    /// The agent has it.
    Agent(PublicKey),
    File(Arc<PrivateKey>),
}

type Agent = AgentClient<UnixStream>;

/// Logs in.
///
/// # Errors
/// Says everything that was offered, and what could not be. The connection is of no use then.
pub(crate) async fn log_in(handle: &mut Handle<Client>, reach: &Reach) -> Result<(), Cause> {
    let mut tried = Vec::new();
    let mut agent = None;
    let mut identities = Vec::new();
    if let Some(socket) = &reach.agent {
        match connect_agent(socket).await {
            Ok((client, found)) => {
                agent = Some(client);
                identities = found;
            }
            Err(reason) => tried.push(format!("the agent at {}: {reason}", socket.display())),
        }
    }
    let offers = offers(reach, identities, &mut tried);
    let rsa = match offers.iter().any(Offer::is_rsa) {
        true => handle
            .best_supported_rsa_hash()
            .await
            .ok()
            .flatten()
            .unwrap_or(Some(HashAlg::Sha512)),
        false => None,
    };
    for offer in offers.into_iter().take(OFFERS_MAX) {
        let what = offer.what.clone();
        match offer.make(handle, reach, rsa, agent.as_mut()).await {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure {
                partial_success: true,
                ..
            }) => {
                return Err(Cause::new(
                    FailureKind::Denied,
                    format!("{} accepts {what}, but asks for a second proof", reach.shown()),
                )
                .with_hint("only keys and certificates are supported; allow them alone for this user (`AuthenticationMethods publickey`)"));
            }
            Ok(AuthResult::Failure { .. }) => tried.push(format!("{what}: refused by the host")),
            Err(reason) => tried.push(format!("{what}: {reason}")),
        }
        if handle.is_closed() {
            tried.push("the host ended the connection".to_owned());
            break;
        }
    }
    if tried.is_empty() {
        tried.push("nothing: no agent, no key file, no certificate".to_owned());
    }
    Err(Cause::new(
        FailureKind::Denied,
        format!("{} lets nobody in with what was tried: {}", reach.shown(), tried.join("; ")),
    )
    .with_hint("is one of these keys in the user's authorized_keys there? Name another by `ssh_identity`, or add it to the agent"))
}

async fn connect_agent(socket: &Path) -> Result<(Agent, Vec<AgentIdentity>), String> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| error.to_string())?;
    let mut agent = AgentClient::connect(stream);
    let identities = agent
        .request_identities()
        .await
        .map_err(|error| error.to_string())?;
    Ok((agent, identities))
}

/// What to offer, in order: the certificates, then the keys that were named (by the agent, if it has them), then the agent's
/// others. What cannot be offered is said in `tried`.
fn offers(reach: &Reach, identities: Vec<AgentIdentity>, tried: &mut Vec<String>) -> Vec<Offer> {
    let mut agent_keys: Vec<(PublicKey, String)> = Vec::new();
    let mut agent_certificates = Vec::new();
    for identity in identities {
        match identity {
            AgentIdentity::PublicKey { key, comment } => agent_keys.push((key, comment)),
            AgentIdentity::Certificate { certificate, comment } => {
                agent_certificates.push((certificate, comment));
            }
        }
    }
    let mut keys = Vec::new();
    let mut certificates: Vec<(Certificate, String)> = Vec::new();
    for path in &reach.certificates {
        match read_certificate(path) {
            Ok(certificate) => certificates.push((certificate, path.display().to_string())),
            Err(reason) => tried.push(format!("the certificate {}: {reason}", path.display())),
        }
    }
    for path in &reach.identities {
        let beside = with_suffix(path, "-cert.pub");
        if beside.exists() {
            match read_certificate(&beside) {
                Ok(certificate) => certificates.push((certificate, beside.display().to_string())),
                Err(reason) => tried.push(format!("the certificate {}: {reason}", beside.display())),
            }
        }
        let shown = path.display();
        // The public half suffices to find the key in the agent, and the private one may need a passphrase.
        if let Some(public) = read_public(path)
            && let Some((key, _)) = agent_keys
                .iter()
                .find(|(key, _)| key.key_data() == public.key_data())
        {
            keys.push((Key::Agent(key.clone()), format!("the key {shown} (by the agent)")));
            continue;
        }
        match read_private(path) {
            Ok(key) => keys.push((Key::File(Arc::new(key)), format!("the key {shown}"))),
            Err(None) if !reach.identities_named => {}
            Err(None) => tried.push(format!("the key {shown}: there is no such file")),
            Err(Some(reason)) => tried.push(format!("the key {shown}: {reason}")),
        }
    }
    let named: Vec<KeyData> = keys.iter().map(|(key, _)| key.data()).collect();
    let alone = reach.identities_only;
    let others = agent_keys
        .iter()
        .filter(|(key, _)| !alone && !named.contains(key.key_data()))
        .map(|(key, comment)| (Key::Agent(key.clone()), format!("the agent's key `{comment}`")));
    keys.extend(others);

    let mut offers = Vec::new();
    let from_agent = agent_certificates
        .into_iter()
        .filter(|_| !alone)
        .map(|(certificate, comment)| {
            let key = Key::Agent(PublicKey::new(certificate.public_key().clone(), ""));
            (certificate, format!("the agent's `{comment}`"), Some(key))
        });
    let from_files = certificates.into_iter().map(|(certificate, what)| {
        let key = keys
            .iter()
            .find(|(key, _)| key.data() == *certificate.public_key())
            .map(|(key, _)| key.copy());
        (certificate, what, key)
    });
    for (certificate, name, key) in from_files.chain(from_agent).collect::<Vec<_>>() {
        let what = format!("the certificate `{}` ({name})", certificate.key_id());
        if certificate.cert_type() != CertType::User {
            tried.push(format!("{what}: it is one for hosts"));
        } else if let Err(cause) = check_validity(&certificate, "it") {
            tried.push(format!("{what}: {}", cause.message));
        } else if let Some(key) = key {
            offers.push(Offer {
                what,
                certificate: Some(certificate),
                key,
            });
        } else {
            tried.push(format!(
                "{what}: its private key is neither in a file nor in the agent"
            ));
        }
    }
    offers.extend(keys.into_iter().map(|(key, what)| Offer {
        what,
        certificate: None,
        key,
    }));
    offers
}

impl Key {
    fn data(&self) -> KeyData {
        match self {
            Self::Agent(key) => key.key_data().clone(),
            Self::File(key) => key.public_key().key_data().clone(),
        }
    }

    fn copy(&self) -> Self {
        match self {
            Self::Agent(key) => Self::Agent(key.clone()),
            Self::File(key) => Self::File(Arc::clone(key)),
        }
    }
}

impl Offer {
    fn is_rsa(&self) -> bool {
        self.key.data().algorithm().is_rsa()
    }

    async fn make(
        self,
        handle: &mut Handle<Client>,
        reach: &Reach,
        rsa: Option<HashAlg>,
        agent: Option<&mut Agent>,
    ) -> Result<AuthResult, String> {
        let rsa = rsa.filter(|_| self.is_rsa());
        let user = reach.user.as_str();
        match (self.key, self.certificate, agent) {
            (Key::File(key), None, _) => {
                let key = PrivateKeyWithHashAlg::new(key, rsa);
                handle
                    .authenticate_publickey(user, key)
                    .await
                    .map_err(|error| error.to_string())
            }
            (Key::File(key), Some(certificate), _) => handle
                .authenticate_openssh_cert(user, key, certificate)
                .await
                .map_err(|error| error.to_string()),
            (Key::Agent(key), None, Some(agent)) => handle
                .authenticate_publickey_with(user, key, rsa, agent)
                .await
                .map_err(|error| error.to_string()),
            (Key::Agent(_), Some(certificate), Some(agent)) => handle
                .authenticate_certificate_with(user, certificate, rsa, agent)
                .await
                .map_err(|error| error.to_string()),
            (Key::Agent(_), _, None) => Err("the agent is gone".to_owned()),
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn read_certificate(path: &Path) -> Result<Certificate, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Certificate::from_openssh(text.trim()).map_err(|error| format!("it cannot be read: {error}"))
}

/// The public half of a key file: the file beside it, the file itself, or the part of the private file that is never
/// encrypted.
fn read_public(path: &Path) -> Option<PublicKey> {
    for path in [with_suffix(path, ".pub"), path.to_owned()] {
        if let Ok(text) = std::fs::read_to_string(path)
            && let Ok(key) = PublicKey::from_openssh(text.trim())
        {
            return Some(key);
        }
    }
    let text = std::fs::read_to_string(path).ok()?;
    let key = PrivateKey::from_openssh(text).ok()?;
    Some(key.public_key().clone())
}

/// A private key; `None` as the reason if there is no such file.
fn read_private(path: &Path) -> Result<PrivateKey, Option<String>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(None),
        Err(error) => return Err(Some(error.to_string())),
        Ok(_) => {}
    }
    let encrypted = || {
        Some(format!(
            "it is encrypted, and nobody is asked for a passphrase; add it to the agent (`ssh-add {}`)",
            path.display()
        ))
    };
    match russh::keys::load_secret_key(path, None) {
        Ok(key) if key.is_encrypted() => Err(encrypted()),
        Ok(key) => Ok(key),
        Err(russh::keys::Error::KeyIsEncrypted) => Err(encrypted()),
        Err(error) => Err(Some(format!("it cannot be read: {error}"))),
    }
}
