//! Secrets from files that are encrypted with age.

use caxplan_model::Value;
use serde::Deserialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The environment variable that names the file of the identity, if the plan does not.
const IDENTITY_VARIABLE: &str = "CAXPLAN_AGE_IDENTITY";

/// The largest file of secrets, and of identities.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// One secret of an encrypted file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Age {
    /// The file: binary, or armored.
    file: PathBuf,
    /// What opens it.
    #[serde(default)]
    identity: Option<Identity>,
    /// Where the secret stands in it, as `db.password`; without it, the whole text is the secret.
    #[serde(default)]
    key: Option<String>,
}

/// Where the identity comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Identity {
    /// A file of identities, as `age-keygen` writes it.
    File(PathBuf),
    /// The text of an identity in an environment variable.
    Variable {
        /// Its name.
        env: String,
    },
}

type Identities = Vec<Box<dyn age::Identity>>;

impl Age {
    /// Where the secret comes from, for messages.
    pub(crate) fn origin(&self) -> String {
        match &self.key {
            Some(key) => format!("`{key}` in the encrypted file {}", self.file.display()),
            None => format!("the encrypted file {}", self.file.display()),
        }
    }

    /// Decrypts the file and picks the secret. What is said on an error holds nothing of either.
    pub(crate) fn fetch(&self, plan_dir: &Path) -> Result<Vec<u8>, String> {
        let sealed = read(&plan_dir.join(&self.file))?;
        let (identities, from) = self.identities(plan_dir)?;
        let plain = decrypt(&sealed, &identities, &from)?;
        match &self.key {
            None => Ok(plain),
            Some(key) => pick(&plain, key),
        }
    }

    /// The identities, and what they come from.
    fn identities(&self, plan_dir: &Path) -> Result<(Identities, String), String> {
        let (text, from) = match &self.identity {
            Some(Identity::Variable { env }) => {
                let text = std::env::var(env).map_err(|_| {
                    format!("the environment variable {env}, which holds the identity, is not set")
                })?;
                (text.into_bytes(), format!("the environment variable {env}"))
            }
            given => {
                let path = match given {
                    Some(Identity::File(path)) => path.clone(),
                    Some(Identity::Variable { .. }) | None => std::env::var_os(IDENTITY_VARIABLE)
                        .map(PathBuf::from)
                        .ok_or_else(|| {
                            format!(
                                "no identity is named: give it `identity: FILE`, or set {IDENTITY_VARIABLE}"
                            )
                        })?,
                };
                let path = plan_dir.join(from_home(&path)?);
                let text = read(&path).map_err(|why| format!("the identity in {}: {why}", path.display()))?;
                (text, path.display().to_string())
            }
        };
        let is_sealed =
            text.starts_with(b"age-encryption.org/") || text.starts_with(b"-----BEGIN AGE ENCRYPTED FILE");
        if is_sealed {
            return Err(format!(
                "the identity in {from} is itself encrypted with a passphrase, which cannot be asked for here: \
                 decrypt it first (`age -d`)"
            ));
        }
        if text.starts_with(b"-----BEGIN OPENSSH") || text.starts_with(b"-----BEGIN RSA") {
            return Err(format!(
                "the identity in {from} is an SSH key, which cannot be used: make one with `age-keygen`"
            ));
        }
        let none =
            |why: String| format!("{from} holds no identity of age{why}: one begins with `AGE-SECRET-KEY-1`");
        // What the parser says of a line may show a part of it.
        let file = age::IdentityFile::from_buffer(text.as_slice()).map_err(|_| none(String::new()))?;
        let identities = file
            .into_identities()
            .map_err(|_| none(" that can be used".to_owned()))?;
        if identities.is_empty() {
            return Err(none(String::new()));
        }
        Ok((identities, from))
    }
}

fn decrypt(sealed: &[u8], identities: &Identities, from: &str) -> Result<Vec<u8>, String> {
    let explain = |error: age::DecryptError| match error {
        age::DecryptError::NoMatchingKeys => {
            format!("it is not encrypted for the identity in {from}")
        }
        age::DecryptError::InvalidHeader | age::DecryptError::UnknownFormat => {
            "it is not encrypted with age".to_owned()
        }
        other => format!("it cannot be decrypted: {other}"),
    };
    let decryptor = age::Decryptor::new(age::armor::ArmoredReader::new(sealed)).map_err(explain)?;
    if decryptor.is_scrypt() {
        return Err(
            "it is encrypted with a passphrase, which cannot be asked for here: encrypt it for an identity \
             (`age -r age1…`)"
                .to_owned(),
        );
    }
    let mut plain = Vec::new();
    decryptor
        .decrypt(identities.iter().map(|identity| &**identity))
        .map_err(explain)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut plain)
        .map_err(|_| "it was cut off or altered".to_owned())?;
    Ok(plain)
}

/// The text at a path of keys in a mapping. Numbers and booleans are taken as they are written.
fn pick(plain: &[u8], key: &str) -> Result<Vec<u8>, String> {
    let no_mapping = || "what is in it is no mapping in YAML or JSON".to_owned();
    let text = std::str::from_utf8(plain).map_err(|_| no_mapping())?;
    // What the parser says of an error may show a part of the text.
    let all: Value = serde_saphyr::from_str(text).map_err(|_| no_mapping())?;
    let mut at = &all;
    let mut path = String::new();
    for name in key.split('.') {
        let fields = at.as_object().ok_or_else(|| {
            if path.is_empty() {
                no_mapping()
            } else {
                format!("`{path}` is no mapping in it")
            }
        })?;
        path = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        // The names of secrets are no secrets.
        at = fields.get(name).ok_or_else(|| {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("there is no `{path}` in it; there is {}", names.join(", "))
        })?;
    }
    match at {
        Value::String(text) => Ok(text.clone().into_bytes()),
        Value::Number(_) | Value::Bool(_) => Ok(at.to_string().into_bytes()),
        Value::Null => Err(format!("`{path}` is empty")),
        Value::Array(_) | Value::Object(_) => Err(format!("`{path}` is no text, but a list or a mapping")),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20));
    }
    Ok(bytes)
}

/// A path that begins with `~/` begins in the user's home.
pub(crate) fn from_home(path: &Path) -> Result<PathBuf, String> {
    match path.strip_prefix("~") {
        Ok(rest) => match std::env::var_os("HOME") {
            Some(home) => Ok(Path::new(&home).join(rest)),
            None => Err(format!("{} cannot be found: HOME is not set", path.display())),
        },
        Err(_) => Ok(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::Age;
    use serde_json::json;
    use std::io::Write as _;
    use std::path::Path;

    const PLAIN: &str =
        "db: {password: hunter2!, port: 5432, users: [a]}\ntoken: |\n  line one\n  line two\n";

    fn seal(key: &age::x25519::Identity, text: &str, armor: bool) -> Vec<u8> {
        let recipient = key.to_public();
        let encryptor =
            age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).expect("one");
        let mut sealed = Vec::new();
        let format = if armor {
            age::armor::Format::AsciiArmor
        } else {
            age::armor::Format::Binary
        };
        let armored = age::armor::ArmoredWriter::wrap_output(&mut sealed, format).expect("memory");
        let mut writer = encryptor.wrap_output(armored).expect("memory");
        writer.write_all(text.as_bytes()).expect("memory");
        writer
            .finish()
            .and_then(age::armor::ArmoredWriter::finish)
            .expect("memory");
        sealed
    }

    fn key_file(path: &Path, key: &age::x25519::Identity) {
        use age::secrecy::ExposeSecret as _;
        let text = format!("# created: today\n{}\n", key.to_string().expose_secret());
        std::fs::write(path, text).expect("written");
    }

    #[test]
    fn secrets_are_picked_out_of_encrypted_files() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| dir.path().join(name);
        let key = age::x25519::Identity::generate();
        key_file(&at("key.txt"), &key);
        key_file(&at("other.txt"), &age::x25519::Identity::generate());
        std::fs::write(at("binary.age"), seal(&key, PLAIN, false)).expect("written");
        std::fs::write(at("armored.age"), seal(&key, PLAIN, true)).expect("written");
        let cut = seal(&key, &PLAIN.repeat(9000), false);
        std::fs::write(at("cut.age"), &cut[..cut.len() - 7]).expect("written");
        std::fs::write(at("list.age"), seal(&key, "[a, b]", false)).expect("written");
        std::fs::write(at("wrong.txt"), "AGE-SECRET-KEY-1WRONG").expect("written");
        std::fs::write(at("sealed.txt"), seal(&key, "x", true)).expect("written");
        std::fs::write(at("ssh"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").expect("written");

        let check = |source: serde_json::Value, expected: Result<&str, &str>| {
            let mut all = json!({ "file": "armored.age", "identity": "key.txt" });
            for (name, value) in source.as_object().into_iter().flatten() {
                all[name] = value.clone();
            }
            let age: Age = serde_json::from_value(all).expect("a source");
            match (age.fetch(dir.path()), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(String::from_utf8_lossy(&found), expected, "{source}");
                }
                (Err(why), Err(expected)) => {
                    assert!(why.contains(expected), "{source}: {why}");
                    assert!(!why.contains("hunter2") && !why.contains("1WRONG"), "{why}");
                }
                (found, _) => panic!("{source}: {found:?}"),
            }
        };
        check(json!({ "key": "db.password" }), Ok("hunter2!"));
        check(
            json!({ "key": "db.password", "file": "binary.age" }),
            Ok("hunter2!"),
        );
        check(json!({ "key": "db.port" }), Ok("5432"));
        check(json!({ "key": "token" }), Ok("line one\nline two\n"));
        check(json!({}), Ok(PLAIN));
        check(
            json!({ "key": "db.pasword" }),
            Err("there is no `db.pasword` in it; there is password, port, users"),
        );
        check(
            json!({ "key": "db.password.x" }),
            Err("`db.password` is no mapping"),
        );
        check(json!({ "key": "db" }), Err("`db` is no text"));
        check(
            json!({ "key": "a", "file": "list.age" }),
            Err("no mapping in YAML or JSON"),
        );
        check(json!({ "file": "missing.age" }), Err("No such file"));
        check(json!({ "file": "key.txt" }), Err("it is not encrypted with age"));
        check(json!({ "file": "cut.age" }), Err("it was cut off or altered"));
        check(
            json!({ "identity": "missing.txt" }),
            Err("missing.txt: No such file"),
        );
        check(
            json!({ "identity": "other.txt" }),
            Err("it is not encrypted for the identity in"),
        );
        check(
            json!({ "identity": "wrong.txt" }),
            Err("holds no identity of age"),
        );
        check(
            json!({ "identity": "sealed.txt" }),
            Err("encrypted with a passphrase"),
        );
        check(json!({ "identity": "ssh" }), Err("is an SSH key"));
        check(
            json!({ "identity": { "env": "CAXPLAN_TEST_IS_NOT_SET" } }),
            Err("is not set"),
        );
    }
}
