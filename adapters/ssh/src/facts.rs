//! `ssh.facts`: what a host is like.

use crate::{Command, Connections};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Arguments of `ssh.facts`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshFacts {
    /// The host, as `host`, `host:port` or `user@host:port`; that of the step's target if absent.
    #[serde(default)]
    pub host: Option<String>,
}

/// Says one fact a line. What a host does not have stays empty.
const FACTS: &str = r#"LC_ALL=C;export LC_ALL
echo "hostname $(uname -n)"
echo "kernel $(uname -sr)"
echo "arch $(uname -m)"
n=$(. /etc/os-release 2>/dev/null&&printf %s "$PRETTY_NAME"||:)
echo "os $n"
echo "cpus $(getconf _NPROCESSORS_ONLN 2>/dev/null||nproc 2>/dev/null||:)"
while read -r k v _;do [ "$k" != MemTotal: ]||echo "memory $v";done </proc/meminfo 2>/dev/null||:
read -r u _ 2>/dev/null </proc/uptime||u=
echo "uptime $u"
read -r b 2>/dev/null </proc/sys/kernel/random/boot_id||b=
echo "boot_id $b"
df -P -k 2>/dev/null||:
"#;

#[async_trait]
impl ActionThrough<Connections> for SshFacts {
    fn spec() -> ActionSpec {
        let text = |description: &str| json!({ "type": "string", "description": description });
        let number = |description: &str| json!({ "type": ["number", "null"], "description": description });
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "hostname": text("Its own name."),
                    "os": text("Its distribution, such as `Debian GNU/Linux 12 (bookworm)`; the kernel's name if it does not say."),
                    "kernel": text("Its kernel, such as `Linux 6.1.0`."),
                    "arch": text("Its architecture, such as `x86_64`."),
                    "cpus": number("How many processors are online."),
                    "memory": number("Its memory, in bytes."),
                    "uptime": number("How long it has been up, in seconds."),
                    "boot_id": text("The id of this boot: another one means that it was started anew."),
                    "disks": {
                        "type": "array",
                        "description": "Its mounted disks.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "mount": text("Where it is mounted."),
                                "size": number("Its size, in bytes."),
                                "free": number("What is free for ordinary users, in bytes."),
                            },
                            "required": ["mount", "size", "free"],
                        },
                    },
                },
                "required": ["hostname", "os", "kernel", "arch", "cpus", "memory", "uptime", "boot_id", "disks"],
            }),
            examples: vec![json!({ "host": "deploy@web-1.example.com" })],
            ..reads::<Self>(
                "ssh.facts",
                "Reads what another machine is like: system, memory, disks",
            )
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        let host = through.host(call, self.host.as_deref(), context)?;
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("would read the facts of {}", host.name()),
            before: Value::Null,
        })
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let read = async {
            let host = through.host(call, self.host.as_deref(), context)?;
            let command = Command::script_for(vec!["sh".to_owned()], FACTS.to_owned());
            let finished = host
                .run(&command, context)
                .await
                .map_err(crate::Broken::into_cause)?;
            parse(&finished.stdout.text()).ok_or_else(|| {
                Cause::new(
                    FailureKind::Other,
                    format!("{} does not tell its facts", host.name()),
                )
                .with_detail(json!({ "stdout": finished.stdout.tail(), "stderr": finished.stderr.tail() }))
            })
        };
        match read.await {
            Ok(output) => Outcome::Unchanged { output },
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            },
        }
    }
}

fn parse(text: &str) -> Option<Value> {
    let fact = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    let number = |key: &str| fact(key).and_then(|value| value.parse::<f64>().ok());
    let whole = |key: &str| fact(key).and_then(|value| value.parse::<u64>().ok());
    let kernel = fact("kernel")?;
    let disks: Vec<Value> = text
        .lines()
        .skip_while(|line| !line.starts_with("Filesystem "))
        .skip(1)
        .filter_map(disk)
        .collect();
    Some(json!({
        "hostname": fact("hostname")?,
        "os": fact("os").unwrap_or(kernel),
        "kernel": kernel,
        "arch": fact("arch").unwrap_or_default(),
        "cpus": whole("cpus"),
        "memory": whole("memory").map(|kib| kib.saturating_mul(1024)),
        "uptime": number("uptime"),
        "boot_id": fact("boot_id").unwrap_or_default(),
        "disks": disks,
    }))
}

/// A line of `df -P -k`: name, size, used, free, how full, where. Only real disks and what is kept on other machines: not
/// what the kernel makes up (`tmpfs`, `proc`).
fn disk(line: &str) -> Option<Value> {
    let mut words = line.split_whitespace();
    let source = words.next()?;
    let mut kib = || words.next()?.parse::<u64>().ok()?.checked_mul(1024);
    let (size, _used, free) = (kib()?, kib()?, kib()?);
    let _how_full = words.next()?;
    let mount = words.collect::<Vec<_>>().join(" ");
    let real = source.contains('/') || source.contains(':') || mount == "/";
    (real && size > 0).then(|| json!({ "mount": mount, "size": size, "free": free }))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_a_host_says_is_read() {
        let text = "hostname web 1\nkernel Linux 6.1\narch x86_64\nos \ncpus 4\nmemory 2048\nuptime 12.50\nboot_id a-b\n\
                    Filesystem     1024-blocks      Used Available Capacity Mounted on\n\
                    overlay 100 40 60 40% /\ntmpfs 5 0 5 0% /run\n/dev/sdb1 10 1 9 10% /srv/my data\n";
        let facts = parse(text).expect("it is read");
        assert_eq!(facts["os"], "Linux 6.1");
        assert_eq!(facts["memory"], 2048 * 1024);
        assert_eq!(facts["disks"].as_array().map(Vec::len), Some(2));
        assert_eq!(facts["disks"][1]["mount"], "/srv/my data");
        assert_eq!(facts["disks"][1]["free"], 9 * 1024);
        assert!(parse("motd\n").is_none());
    }
}
