//! What OpenSSH's configuration files say about one destination.
//!
//! Only what decides how to reach a host is taken. A keyword that would change that and that we cannot do, such as
//! `ProxyCommand`, is an error: to ignore it would mean to connect elsewhere, or otherwise, than `ssh` does.

use caxplan_model::{Cause, FailureKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How deep `Include` may nest, as in OpenSSH.
const INCLUDE_DEPTH_MAX: usize = 16;

/// What the files say, by keyword in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<String, Vec<Value>>,
}

#[derive(Clone, Debug)]
struct Value {
    text: String,
    place: String,
}

/// Keywords whose every line counts; of all others, the first.
const SEVERAL: [&str; 2] = ["identityfile", "certificatefile"];

/// Keywords that change which host is reached, or how it proves itself, in a way that is not implemented, with the value
/// that switches them off.
const REFUSED: [(&str, &str, &str); 8] = [
    ("proxycommand", "none", "use ProxyJump, or `ssh_jump`"),
    ("canonicalizehostname", "no", "write the full name"),
    (
        "knownhostscommand",
        "none",
        "write the keys to a file that `ssh_known_hosts` names",
    ),
    (
        "revokedhostkeys",
        "none",
        "mark revoked keys by `@revoked` in the known hosts file",
    ),
    (
        "pkcs11provider",
        "none",
        "add the token to ssh-agent (`ssh-add -s`)",
    ),
    ("bindaddress", "", "set a route for it"),
    ("bindinterface", "", "set a route for it"),
    ("hostbasedauthentication", "no", "use a key or a certificate"),
];

impl Settings {
    /// What the files say about `host`, as it was written, for `user` if one is given already. The first file has the
    /// first say. A file that does not exist says nothing, unless `must_exist`.
    pub(crate) fn read(
        files: &[PathBuf],
        must_exist: bool,
        host: &str,
        user: Option<&str>,
        home: &Path,
    ) -> Result<Self, Cause> {
        let mut reader = Reader {
            settings: Self::default(),
            host,
            user,
            home,
        };
        for file in files {
            if must_exist || file.exists() {
                reader.file(file, true, 0)?;
            }
        }
        let settings = reader.settings;
        for (keyword, off, instead) in REFUSED {
            if let Some(value) = settings.first(keyword)
                && !value.text.eq_ignore_ascii_case(off)
            {
                return Err(Cause::new(
                    FailureKind::Invalid,
                    format!("{}: {keyword} cannot be honoured for {host}", value.place),
                )
                .with_hint(format!(
                    "{instead}; or give the target its own settings with `ssh_config: none`"
                )));
            }
        }
        Ok(settings)
    }

    fn first(&self, keyword: &str) -> Option<&Value> {
        self.values.get(keyword).and_then(|values| values.first())
    }

    /// The value of a keyword.
    pub(crate) fn get(&self, keyword: &str) -> Option<&str> {
        self.first(keyword).map(|value| value.text.as_str())
    }

    /// Where the value of a keyword stands, for a message.
    pub(crate) fn place(&self, keyword: &str) -> &str {
        self.first(keyword).map_or("", |value| value.place.as_str())
    }

    /// All values of a keyword that may stand several times.
    pub(crate) fn all(&self, keyword: &str) -> impl Iterator<Item = &str> {
        self.values
            .get(keyword)
            .into_iter()
            .flatten()
            .map(|value| value.text.as_str())
    }
}

struct Reader<'a> {
    settings: Settings,
    host: &'a str,
    user: Option<&'a str>,
    home: &'a Path,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, outer: bool, depth: usize) -> Result<(), Cause> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Cause::new(
                FailureKind::Invalid,
                format!("cannot read the SSH configuration {shown}: {error}"),
            )
        })?;
        let mut active = outer;
        for (number, line) in text.lines().enumerate() {
            let place = format!("{shown}:{}", number + 1);
            let words = words(line)
                .ok_or_else(|| Cause::new(FailureKind::Invalid, format!("{place}: a quote is not closed")))?;
            let Some((keyword, arguments)) = words.split_first() else {
                continue;
            };
            let keyword = keyword.to_ascii_lowercase();
            match keyword.as_str() {
                "host" => active = outer && matches_any(arguments, self.host),
                "match" => active = outer && self.matches(arguments, &place)?,
                "include" if active => {
                    if depth >= INCLUDE_DEPTH_MAX {
                        return Err(Cause::new(
                            FailureKind::Invalid,
                            format!("{place}: more than {INCLUDE_DEPTH_MAX} files include each other"),
                        ));
                    }
                    for pattern in arguments {
                        for file in self.included(pattern, path) {
                            self.file(&file, true, depth + 1)?;
                        }
                    }
                }
                _ if active => self.set(keyword, arguments, place),
                _ => {}
            }
        }
        Ok(())
    }

    fn set(&mut self, keyword: String, arguments: &[String], place: String) {
        let several = SEVERAL.contains(&keyword.as_str());
        let values = self.settings.values.entry(keyword).or_default();
        if values.is_empty() || several {
            let text = arguments.join(" ");
            values.push(Value { text, place });
        }
    }

    /// The files that a pattern of `Include` names, sorted. A relative one lies in `~/.ssh`, or beside a file of `/etc/ssh`.
    fn included(&self, pattern: &str, from: &Path) -> Vec<PathBuf> {
        let pattern = match pattern.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None if from.starts_with("/etc/ssh") => Path::new("/etc/ssh").join(pattern),
            None => self.home.join(".ssh").join(pattern),
        };
        let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name()) else {
            return Vec::new();
        };
        let name = name.to_string_lossy();
        if !name.contains(['*', '?']) {
            return if pattern.is_file() {
                vec![pattern]
            } else {
                Vec::new()
            };
        }
        let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| glob(&name, &entry.file_name().to_string_lossy()))
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .collect();
        found.sort();
        found
    }

    fn matches(&self, criteria: &[String], place: &str) -> Result<bool, Cause> {
        let mut undecidable = None;
        let mut words = criteria.iter();
        let mut all = true;
        while let Some(word) = words.next() {
            let (negated, criterion) = match word.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, word.as_str()),
            };
            let (criterion, inline) = match criterion.split_once('=') {
                Some((criterion, value)) => (criterion, Some(value.to_owned())),
                None => (criterion, None),
            };
            let criterion = criterion.to_ascii_lowercase();
            let mut argument = || {
                inline
                    .clone()
                    .or_else(|| words.next().cloned())
                    .unwrap_or_default()
            };
            let local_user = std::env::var("USER").unwrap_or_default();
            let fits = match criterion.as_str() {
                "all" => true,
                "canonical" => false,
                "originalhost" => matches_list(&argument(), self.host),
                "host" => {
                    let name = self.settings.get("hostname");
                    matches_list(&argument(), name.unwrap_or(self.host))
                }
                "localuser" => matches_list(&argument(), &local_user),
                "user" => {
                    let user = self.user.or_else(|| self.settings.get("user"));
                    matches_list(&argument(), user.unwrap_or(&local_user))
                }
                _ => {
                    if criterion != "final" {
                        argument();
                    }
                    undecidable.get_or_insert(criterion);
                    continue;
                }
            };
            all &= fits != negated;
        }
        match undecidable {
            Some(criterion) if all => Err(Cause::new(
                FailureKind::Invalid,
                format!(
                    "{place}: `Match {criterion}` cannot be honoured, and the block may concern {}",
                    self.host
                ),
            )
            .with_hint("use `Host`, or give the target its own settings with `ssh_config: none`")),
            _ => Ok(all),
        }
    }
}

/// The words of a line: `keyword value…` or `keyword=value`; quotes hold spaces together, a `#` begins a comment.
/// `None` if a quote is not closed.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = line.trim().chars().peekable();
    while let Some(&next) = chars.peek() {
        if next.is_whitespace() || (next == '=' && words.len() == 1) {
            chars.next();
            continue;
        }
        if next == '#' {
            break;
        }
        let mut word = String::new();
        let mut quoted = false;
        while let Some(&char) = chars.peek() {
            match char {
                '"' => quoted = !quoted,
                '\\' if quoted => {
                    chars.next();
                    match chars.peek() {
                        Some(&escaped @ ('"' | '\\')) => word.push(escaped),
                        Some(&other) => word.extend(['\\', other]),
                        None => return None,
                    }
                }
                _ if char.is_whitespace() && !quoted => break,
                '=' if words.is_empty() && !quoted => break,
                _ => word.push(char),
            }
            chars.next();
        }
        if quoted {
            return None;
        }
        words.push(word);
    }
    Some(words)
}

fn matches_list(list: &str, name: &str) -> bool {
    let patterns: Vec<String> = list.split(',').map(str::to_owned).collect();
    matches_any(&patterns, name)
}

/// Whether a pattern fits and no negated one does, as everywhere in OpenSSH.
pub(crate) fn matches_any(patterns: &[String], name: &str) -> bool {
    let mut fits = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if glob(&pattern.to_lowercase(), &name.to_lowercase()) => return false,
            Some(_) => {}
            None => fits |= glob(&pattern.to_lowercase(), &name.to_lowercase()),
        }
    }
    fits
}

/// Whether `name` fits a pattern in which `*` stands for any text and `?` for any character.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on if what follows the last star does not fit: one character later.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&char) if char == '?' || char == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|char| *char == '*')
}

#[cfg(test)]
mod tests {
    use super::{Settings, glob, words};
    use std::path::Path;

    fn read(text: &str, host: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("config");
        std::fs::write(&file, text).expect("it can be written");
        Settings::read(&[file], true, host, None, folder.path()).map_err(|cause| cause.message)
    }

    #[test]
    fn the_first_value_counts_and_identities_add_up() {
        let text = "User first\nHost db* !db9\n  Port=2222\n  HostName \"10.0.0.1\" # there\n  IdentityFile a\n  IdentityFile b\n\
                    Host *\n  Port 22\n  User second\n  IdentityFile c\n";
        let settings = read(text, "db1").expect("it is read");
        assert_eq!(settings.get("port"), Some("2222"));
        assert_eq!(settings.get("user"), Some("first"));
        assert_eq!(settings.get("hostname"), Some("10.0.0.1"));
        assert_eq!(settings.all("identityfile").collect::<Vec<_>>(), ["a", "b", "c"]);
        let settings = read(text, "db9").expect("it is read");
        assert_eq!(settings.get("port"), Some("22"));
    }

    #[test]
    fn match_blocks_are_decided_or_refused() {
        let text = "Match originalhost web*,db1\n Port 1\nMatch all\n User u\nMatch host db2 exec \"true\"\n Port 2\n";
        assert_eq!(read(text, "db1").expect("decided").get("port"), Some("1"));
        assert_eq!(read(text, "db3").expect("decided").get("port"), None);
        assert!(read(text, "db2").expect_err("refused").contains("`Match exec`"));
    }

    #[test]
    fn what_would_change_the_way_is_refused() {
        assert!(
            read("ProxyCommand nc %h %p\n", "x")
                .expect_err("refused")
                .contains("proxycommand")
        );
        assert!(read("ProxyCommand none\n", "x").is_ok());
        assert!(read("Host other\n ProxyCommand nc\n", "x").is_ok());
        assert!(read("User \"open\n", "x").is_err());
    }

    #[test]
    fn included_files_are_read_where_they_are_named() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = home.path().join(".ssh");
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(
            folder.join("config"),
            "Host a\n Include part*\nHost *\n Port 22\n",
        )
        .expect("written");
        std::fs::write(folder.join("part1"), "Port 7\nHost b\n User never\n").expect("written");
        let read =
            |host| Settings::read(&[folder.join("config")], true, host, None, home.path()).expect("read");
        assert_eq!(read("a").get("port"), Some("7"));
        assert_eq!(read("b").get("port"), Some("22"));
        assert_eq!(read("b").get("user"), None);
        assert!(Settings::read(&[home.path().join("none")], true, "a", None, Path::new("/")).is_err());
    }

    #[test]
    fn patterns_fit() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*.x.?", "a.b.x.1", true),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
        assert_eq!(words("A \"b c\"d#e # f"), Some(vec!["A".into(), "b cd#e".into()]));
    }
}
