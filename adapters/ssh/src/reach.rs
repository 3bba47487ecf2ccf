//! How to reach a host: what the step, its target and OpenSSH's configuration say, made into one answer.

use crate::address::Written;
use crate::algorithms::Algorithms;
use crate::config::Settings;
use crate::variables::Variables;
use caxplan_adapter::{Call, Context};
use caxplan_model::{Cause, FailureKind, Map};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long connecting may take, logging in included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be silent before the host is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How many commands run on a connection at a time. sshd allows ten channels (`MaxSessions`); the other two are for file
/// transfer and for ending what was cancelled.
const SESSIONS_MAX: usize = 8;

/// The most jump hosts in a row.
const JUMPS_MAX: usize = 8;

/// What is done about a host whose key is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostKeyPolicy {
    /// It is refused.
    Strict,
    /// It is believed and written down; a key that differs from a known one is refused all the same.
    AcceptNew,
}

/// How to reach a host. Two equal ones can share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reach {
    /// The address to connect to.
    pub(crate) host: String,
    /// The name under which its key is known, if not the address.
    pub(crate) alias: Option<String>,
    pub(crate) port: u16,
    pub(crate) user: String,
    /// Key files, in the order of trying.
    pub(crate) identities: Vec<PathBuf>,
    /// Whether they were named by somebody; a default one may be missing.
    pub(crate) identities_named: bool,
    /// Whether an agent's other keys are left alone.
    pub(crate) identities_only: bool,
    pub(crate) certificates: Vec<PathBuf>,
    /// The socket of the agent.
    pub(crate) agent: Option<PathBuf>,
    /// The files of known hosts; new ones go to the first.
    pub(crate) known_hosts: Vec<PathBuf>,
    pub(crate) host_key: HostKeyPolicy,
    pub(crate) connect_timeout: Duration,
    pub(crate) algorithms: Algorithms,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) keepalive_max: usize,
    pub(crate) sessions_max: usize,
    /// The host through which this one is reached.
    pub(crate) via: Option<Box<Reach>>,
}

impl Reach {
    /// `user@host:port`, for messages.
    pub(crate) fn shown(&self) -> String {
        let port = match self.port {
            22 => String::new(),
            port => format!(":{port}"),
        };
        match &self.via {
            Some(via) => format!("{}@{}{port} through {}", self.user, self.host, via.shown()),
            None => format!("{}@{}{port}", self.user, self.host),
        }
    }

    /// The name that known hosts files have for it: `host`, or `[host]:port`.
    pub(crate) fn known_name(&self) -> String {
        match (&self.alias, self.port) {
            (Some(alias), _) => alias.clone(),
            (None, 22) => self.host.to_lowercase(),
            (None, port) => format!("[{}]:{port}", self.host.to_lowercase()),
        }
    }

    /// How the host of a call is reached: that of its argument `host`, else its target's. The name is for messages.
    pub(crate) fn of(call: &Call, host: Option<&str>, context: &Context) -> Result<(String, Self), Cause> {
        let empty = Map::new();
        let vars = call.target.as_ref().map_or(&empty, |target| &target.vars);
        let vars = Variables::new(vars, &context.plan_dir);
        let address = match (host, &call.target) {
            (Some(host), _) => host.to_owned(),
            (None, Some(target)) => vars.text("address")?.unwrap_or_else(|| target.name.clone()),
            (None, None) => {
                return Err(
                    Cause::new(FailureKind::Invalid, format!("{} is told no host", call.action))
                        .with_hint("give the step a `target`, or the action a `host: user@host:port`"),
                );
            }
        };
        let name = match (host, &call.target) {
            (None, Some(target)) => target.name.clone(),
            _ => address.clone(),
        };
        let written = Written::parse(&address)?;
        if host.is_none() && written.host == "local" {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!(
                    "{name} is this machine (`address: local`), and {} works over SSH",
                    call.action
                ),
            )
            .with_hint("use shell.run here, or give the address of an SSH server"));
        }
        Ok((name, Self::resolve(&written, &vars, None, 0)?))
    }

    fn resolve(
        written: &Written,
        vars: &Variables<'_>,
        through: Option<&[String]>,
        depth: usize,
    ) -> Result<Self, Cause> {
        if depth > JUMPS_MAX {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("more than {JUMPS_MAX} jump hosts stand before {}", written.host),
            )
            .with_hint("does a `ProxyJump` lead back to its own host?"));
        }
        let target = depth == 0;
        let home = home()?;
        let given_user = match &written.user {
            Some(user) => Some(user.clone()),
            None if target => vars.text("ssh_user")?,
            None => None,
        };
        let (files, must_exist) = match vars.text("ssh_config")? {
            Some(none) if none == "none" => (Vec::new(), true),
            Some(file) => (vec![vars.path(&file, &home)], true),
            None => (
                vec![home.join(".ssh/config"), PathBuf::from("/etc/ssh/ssh_config")],
                false,
            ),
        };
        let settings = Settings::read(&files, must_exist, &written.host, given_user.as_deref(), &home)?;

        let user = given_user
            .or_else(|| settings.get("user").map(str::to_owned))
            .map_or_else(local_user, Ok)?;
        let port = match written.port {
            Some(port) => port,
            None => match vars.port("ssh_port")?.filter(|_| target) {
                Some(port) => port,
                None => number(&settings, "port")?.unwrap_or(22),
            },
        };
        let mut tokens = Tokens {
            host: written.host.clone(),
            original: &written.host,
            port,
            user: &user,
            home: &home,
        };
        let host = match settings.get("hostname") {
            Some(name) => tokens.expand(name, settings.place("hostname"))?,
            None => written.host.clone(),
        };
        tokens.host.clone_from(&host);
        let file = |text: &str, keyword: &str| -> Result<PathBuf, Cause> {
            let text = tokens.expand(text, settings.place(keyword))?;
            Ok(match text.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => PathBuf::from(text),
            })
        };

        let own = vars.paths("ssh_identity", &home)?;
        let configured: Vec<&str> = settings.all("identityfile").collect();
        let (identities, identities_named) = if own.is_empty() && configured.is_empty() {
            let defaults = ["id_ed25519", "id_ecdsa", "id_rsa"];
            (defaults.map(|id| home.join(".ssh").join(id)).to_vec(), false)
        } else {
            let mut files = own;
            for text in configured {
                if !text.eq_ignore_ascii_case("none") {
                    files.push(file(text, "identityfile")?);
                }
            }
            (files, true)
        };
        let mut certificates = vars.paths("ssh_certificate", &home)?;
        for text in settings.all("certificatefile") {
            certificates.push(file(text, "certificatefile")?);
        }
        let known_hosts = match vars.paths("ssh_known_hosts", &home)? {
            files if !files.is_empty() => files,
            _ => match settings.get("userknownhostsfile") {
                Some(files) => files
                    .split_whitespace()
                    .filter(|file| !file.eq_ignore_ascii_case("none"))
                    .map(|text| file(text, "userknownhostsfile"))
                    .chain([Ok(PathBuf::from("/etc/ssh/ssh_known_hosts"))])
                    .collect::<Result<_, _>>()?,
                None => vec![
                    home.join(".ssh/known_hosts"),
                    home.join(".ssh/known_hosts2"),
                    PathBuf::from("/etc/ssh/ssh_known_hosts"),
                ],
            },
        };
        let agent = match settings.get("identityagent") {
            Some(text) if text.eq_ignore_ascii_case("none") => None,
            Some("SSH_AUTH_SOCK") | None => std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            Some(text) => Some(match text.strip_prefix('$') {
                Some(name) => {
                    PathBuf::from(std::env::var_os(name.trim_matches(['{', '}'])).unwrap_or_default())
                }
                None => file(text, "identityagent")?,
            }),
        }
        .filter(|path| !path.as_os_str().is_empty());

        let jump = vars.text("ssh_jump")?.filter(|_| target);
        let jumps: Vec<String> = match (through, jump.as_deref().or_else(|| settings.get("proxyjump"))) {
            // What leads to a jump host that stands in a list are the ones before it.
            (Some(before), _) if !before.is_empty() => before.to_vec(),
            (_, None) => Vec::new(),
            (_, Some(text)) if text.eq_ignore_ascii_case("none") || text.is_empty() => Vec::new(),
            (_, Some(text)) => text.split(',').map(|jump| jump.trim().to_owned()).collect(),
        };
        let via = match jumps.split_last() {
            Some((last, before)) => Some(Box::new(Self::resolve(
                &Written::parse(last)?,
                vars,
                Some(before),
                depth + 1,
            )?)),
            None => None,
        };

        let sessions_max = match vars.number("ssh_sessions_max")? {
            Some(number) => usize::try_from(number)
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| {
                    Cause::new(
                        FailureKind::Invalid,
                        "the variable `ssh_sessions_max` must be at least 1",
                    )
                })?,
            None => SESSIONS_MAX,
        };
        Ok(Self {
            host,
            alias: settings.get("hostkeyalias").map(str::to_lowercase),
            port,
            identities,
            identities_named,
            identities_only: settings
                .get("identitiesonly")
                .is_some_and(|text| text.eq_ignore_ascii_case("yes")),
            certificates,
            agent,
            known_hosts,
            host_key: host_key_policy(vars, &settings)?,
            algorithms: Algorithms::read(&settings)?,
            connect_timeout: match vars.duration("ssh_connect_timeout")? {
                Some(duration) => duration,
                None => seconds(&settings, "connecttimeout")?.unwrap_or(CONNECT_TIMEOUT),
            },
            keepalive: match vars.duration("ssh_keepalive")? {
                Some(duration) => Some(duration),
                None => Some(seconds(&settings, "serveraliveinterval")?.unwrap_or(KEEPALIVE)),
            }
            .filter(|duration| !duration.is_zero()),
            keepalive_max: number(&settings, "serveralivecountmax")?.unwrap_or(3),
            sessions_max,
            user,
            via,
        })
    }
}

fn host_key_policy(vars: &Variables<'_>, settings: &Settings) -> Result<HostKeyPolicy, Cause> {
    match vars.text("ssh_host_key")?.as_deref() {
        Some("strict") => return Ok(HostKeyPolicy::Strict),
        Some("accept-new") => return Ok(HostKeyPolicy::AcceptNew),
        Some(other) => {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("the variable `ssh_host_key` is `{other}`"),
            )
            .with_hint("it can be `strict` or `accept-new`"));
        }
        None => {}
    }
    match settings
        .get("stricthostkeychecking")
        .map(str::to_lowercase)
        .as_deref()
    {
        None | Some("yes" | "ask" | "true") => Ok(HostKeyPolicy::Strict),
        Some("accept-new") => Ok(HostKeyPolicy::AcceptNew),
        Some(other) => Err(Cause::new(
            FailureKind::Invalid,
            format!(
                "{}: `StrictHostKeyChecking {other}` is not honoured: any machine could pose as the host",
                settings.place("stricthostkeychecking")
            ),
        )
        .with_hint("give the target the variable `ssh_host_key: accept-new`, or `strict`")),
    }
}

/// What `%h` and the like stand for.
struct Tokens<'a> {
    host: String,
    original: &'a str,
    port: u16,
    user: &'a str,
    home: &'a Path,
}

impl Tokens<'_> {
    fn expand(&self, text: &str, place: &str) -> Result<String, Cause> {
        let mut expanded = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                expanded.push(char);
                continue;
            }
            match chars.next() {
                Some('%') => expanded.push('%'),
                Some('h') => expanded.push_str(&self.host),
                Some('n' | 'k') => expanded.push_str(self.original),
                Some('p') => expanded.push_str(&self.port.to_string()),
                Some('r') => expanded.push_str(self.user),
                Some('u') => expanded.push_str(&local_user()?),
                Some('d') => expanded.push_str(&self.home.to_string_lossy()),
                Some('i') => expanded.push_str(&rustix::process::getuid().as_raw().to_string()),
                other => {
                    let token = other.map(String::from).unwrap_or_default();
                    return Err(Cause::new(
                        FailureKind::Invalid,
                        format!("{place}: `%{token}` is not supported"),
                    ));
                }
            }
        }
        Ok(expanded)
    }
}

fn number<T: std::str::FromStr>(settings: &Settings, keyword: &str) -> Result<Option<T>, Cause> {
    let Some(text) = settings.get(keyword) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        Cause::new(
            FailureKind::Invalid,
            format!("{}: `{text}` is no number for {keyword}", settings.place(keyword)),
        )
    })
}

/// A time of OpenSSH: seconds, or a sum such as `1m30s`.
fn seconds(settings: &Settings, keyword: &str) -> Result<Option<Duration>, Cause> {
    let Some(text) = settings.get(keyword).filter(|text| *text != "none") else {
        return Ok(None);
    };
    if let Ok(seconds) = text.parse() {
        return Ok(Some(Duration::from_secs(seconds)));
    }
    match text.to_lowercase().parse::<caxplan_model::Duration>() {
        Ok(duration) => Ok(Some(Duration::from_millis(duration.as_millis()))),
        Err(_) => Err(Cause::new(
            FailureKind::Invalid,
            format!("{}: `{text}` is no time for {keyword}", settings.place(keyword)),
        )),
    }
}

fn home() -> Result<PathBuf, Cause> {
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .ok_or_else(|| Cause::new(FailureKind::Invalid, "this user has no home folder").with_hint("set HOME"))
}

fn local_user() -> Result<String, Cause> {
    for name in ["USER", "LOGNAME"] {
        if let Ok(user) = std::env::var(name)
            && !user.is_empty()
        {
            return Ok(user);
        }
    }
    // A service may have no such variable; the system knows all the same.
    let id = rustix::process::getuid().as_raw().to_string();
    std::fs::read_to_string("/etc/passwd")
        .unwrap_or_default()
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&id.as_str()))
        .map(|fields| fields[0].to_owned())
        .ok_or_else(|| {
            Cause::new(FailureKind::Invalid, "it is not known as whom to log in")
                .with_hint("write `user@host`, or give the target the variable `ssh_user`")
        })
}
