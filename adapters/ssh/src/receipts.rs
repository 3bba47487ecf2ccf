//! Receipts: what a command leaves on its host, by which it can be told later what became of it.

use crate::command::{Command, quote};
use crate::host::{Broken, Host};
use caxplan_adapter::{Call, Context};
use caxplan_model::Cause;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many runs' receipts lie on a host before the old ones are looked for.
const RUNS_KEPT: usize = 20;

/// How long receipts are kept, in days.
const DAYS_KEPT: usize = 7;

/// The wrapper's outputs, and under which numbers it holds their other ends.
const HELD: [(u8, u8); 2] = [(1, 8), (2, 9)];

/// Reads the id of this boot into `$b`; `-` where there is none.
pub(crate) fn boot_id(text: &mut String) {
    text.push_str("b=-;read -r b 2>/dev/null </proc/sys/kernel/random/boot_id;");
}

/// Sets `$d`, the folder of the run's receipts, and `$f`, the receipt. The folder is made if there is none.
pub(crate) fn place(text: &mut String, receipt: &str) -> Result<(), Cause> {
    let (run, file) = receipt.split_once('/').unwrap_or(("none", receipt));
    write!(
        text,
        "d=${{XDG_STATE_HOME:-${{HOME:-/nonexistent}}/.local/state}}/caxplan/receipts;f=$d/{}/{};",
        quote(run)?,
        quote(file)?
    )
    .unwrap_or_default();
    Ok(())
}

/// Makes the receipt, and refuses to go on if there is one of this name: somebody has fenced it off, or it has run before.
/// Afterwards, `$r` says whether it is kept.
pub(crate) fn begin(text: &mut String, token: &str) {
    boot_id(text);
    // From here on, a connection that breaks must not end the wrapper when it prints: what it started would have no end.
    text.push_str("trap : PIPE;");
    // Nor what it started: while the wrapper holds the read ends of its own output, what writes there meets no broken pipe.
    // What is written once nobody reads any more stays in the pipe, until a caller comes back and empties it.
    for (stream, held) in HELD {
        write!(
            text,
            "[ -p /proc/$$/fd/{stream} ]&&[ -r /proc/$$/fd/{stream} ]&&command exec {held}</proc/$$/fd/{stream};"
        )
        .unwrap_or_default();
    }
    write!(
        text,
        "t=;read -r t 2>/dev/null </proc/$$/stat;set -- ${{t##*) }};t=${{20:--}};\
         [ -d \"${{f%/*}}\" ]||{{ mkdir -p -m 700 \"${{f%/*}}\" 2>/dev/null;\
         set -- \"$d\"/*;[ $# -le {RUNS_KEPT} ]||find \"$d\" -mindepth 1 -maxdepth 1 -mtime +{DAYS_KEPT} -exec rm -rf {{}} + >/dev/null 2>&1 </dev/null & }};\
         r=none;set -C;\
         if printf 'start %s %s %s\\n' \"$$\" \"$b\" \"$t\" 2>/dev/null >\"$f\";then r=kept;\
         elif [ -e \"$f\" ];then r=;read -r r t 2>/dev/null <\"$f\";printf '{token} refused %s\\n' \"${{r:-start}}\";exit 125;fi;\
         set +C;"
    )
    .unwrap_or_default();
}

/// Runs something and adds how it ended to the receipt. A signal for the whole group ends what runs, not the wrapper.
pub(crate) fn around(text: &mut String, run: &str) {
    let close = HELD.map(|(_, held)| format!("{held}<&-")).join(" ");
    write!(
        text,
        "trap : HUP INT TERM;{run} {close};s=$?;[ $r = none ]||printf 'end %s\\n' \"$s\" >>\"$f\";exit \"$s\""
    )
    .unwrap_or_default();
}

/// What became of a command, by its receipt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fate {
    /// It ended with this exit code; one over 128 may mean the signal of the number that is over.
    Ended(i32),
    /// It is still running.
    Running,
    /// It has not been started, and never will be.
    NeverStarted,
    /// It was started, and nobody knows how it ended.
    Unknown(String),
}

/// What a host says of a receipt.
#[derive(Debug, Default)]
struct Answer {
    receipt: String,
    end: Option<i32>,
    lives: bool,
    same_boot: bool,
    boot: Option<String>,
    up: Option<f64>,
}

/// Asks about the receipt `$f`: makes it as `fenced` if there is none, else waits for its end while its process lives. What
/// the process writes has nobody else to read it any more, and would fill the pipes that its wrapper holds.
const ASK: &str = r#"t=;b=-;u=;w=;p=;sb=;st=;l=no;c=
read -r b 2>/dev/null </proc/sys/kernel/random/boot_id||b=-
read -r u t 2>/dev/null </proc/uptime||u=
[ -d "${f%/*}" ]||mkdir -p -m 700 "${f%/*}" 2>/dev/null||:
lives(){
  [ "$sb" = "$b" ]||return 1
  t=;read -r t 2>/dev/null </proc/$p/stat||t=
  case $t in
  '') [ "$st" = - ]&&kill -s 0 "$p" 2>/dev/null;;
  *) set -- ${t##*) };[ "$1" != Z ]&&[ "${20:--}" = "$st" ];;
  esac
}
set -C
if printf 'fenced\n' 2>/dev/null >"$f";then w=fenced
elif [ -e "$f" ];then
  i=0
  while :;do
    read -r w p sb st <"$f"||:
    [ "$w" = start ]&&{ l=no;lives&&l=yes;}
    [ $l = yes ]&&[ -z "$c" ]&&for h in HELD;do
      [ -p "/proc/$p/fd/$h" ]&&{ cat "/proc/$p/fd/$h" >/dev/null 2>&1 </dev/null & c="$c $!";}
    done
    e=;while read -r k v;do case $k in end) e=$v;;esac;done <"$f"
    [ "$w" = fenced ]&&break
    [ -n "$e" ]&&break
    { [ -n "$w" ]&&[ $l = no ];}&&break
    i=$((i+1));[ $i -le WAIT ]||break
    sleep 1
  done
  [ -z "$c" ]||kill $c 2>/dev/null
  printf 'end %s\n' "$e"
fi
printf 'receipt %s\nlives %s\nboot %s\nthen %s\nup %s\n' "$w" "$l" "$b" "$sb" "$u"
"#;

/// How long one question waits on the host for the command's end, in seconds.
const WAIT_S: u32 = 20;

/// How much longer than the run a host must have been up to be sure that it has not been started in between, in seconds:
/// the run's first record and the host's clock of its own uptime are not read at the same moment.
const BOOT_MARGIN_S: f64 = 5.0;

/// How long the name of a receipt may be, in bytes; file systems allow 255.
const NAME_MAX: usize = 160;

/// The name of the receipt of a call's attempt.
pub(crate) fn name(call: &Call) -> String {
    let plain = |text: &str| -> String {
        let plain: String = text
            .chars()
            .map(|char| {
                if char.is_ascii_alphanumeric() || "-_".contains(char) {
                    char
                } else {
                    '.'
                }
            })
            .take(NAME_MAX)
            .collect();
        // Two steps may look the same once what no file name should hold is taken away.
        if plain == text {
            plain
        } else {
            let hash = hex::encode(Sha256::digest(text.as_bytes()));
            format!("{plain}.{}", &hash[..12])
        }
    };
    format!(
        "{}/{}.{}",
        plain(call.run.as_str()),
        plain(call.step.as_str()),
        call.attempt.0
    )
}

/// Asks a host what became of a command, and sees to it that it never starts if it has not. Waits for its end for some time
/// if it is running.
///
/// `boot` is the host's boot before the attempt began, if that is known.
pub(crate) async fn fate(
    host: &Host,
    receipt: &str,
    call: &Call,
    boot: Option<&str>,
    context: &Context,
) -> Result<Fate, Broken> {
    let mut script = String::new();
    place(&mut script, receipt).map_err(Broken::NeverStarted)?;
    script.push('\n');
    let held = HELD.map(|(_, held)| held.to_string()).join(" ");
    script.push_str(&ASK.replace("WAIT", &WAIT_S.to_string()).replace("HELD", &held));
    let command = Command::script_for(vec!["sh".to_owned()], script);
    let finished = host.run(&command, context).await?;
    let answer = Answer::read(&finished.stdout.text());
    Ok(judge(&answer, host.name(), age_s(call), boot))
}

impl Answer {
    fn read(text: &str) -> Self {
        let mut answer = Self::default();
        let mut then = None;
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            match key {
                "end" => answer.end = value.parse().ok(),
                "receipt" => value.clone_into(&mut answer.receipt),
                "lives" => answer.lives = value == "yes",
                "boot" => answer.boot = Some(value.to_owned()).filter(|boot| boot != "-"),
                "then" => then = Some(value.to_owned()),
                "up" => answer.up = value.parse().ok(),
                _ => {}
            }
        }
        answer.same_boot = answer.boot.is_some() && answer.boot == then;
        answer
    }
}

fn judge(answer: &Answer, host: &str, age_s: Option<f64>, boot: Option<&str>) -> Fate {
    match (answer.receipt.as_str(), answer.end) {
        (_, Some(code)) => Fate::Ended(code),
        ("start", None) if answer.lives => Fate::Running,
        ("start", None) if answer.same_boot => Fate::Unknown(format!(
            "its receipt on {host} says that it was started, not that it ended, and its process is gone: it was killed with the shell around it"
        )),
        ("start", None) => Fate::Unknown(format!(
            "its receipt on {host} says that it was started, not that it ended, and {host} has been started anew since"
        )),
        ("fenced", None) => {
            let same = boot.is_some() && boot == answer.boot.as_deref();
            let long_up = matches!((answer.up, age_s), (Some(up), Some(age)) if up > age + BOOT_MARGIN_S);
            if same || long_up {
                Fate::NeverStarted
            } else {
                Fate::Unknown(format!(
                    "there is no receipt of it on {host}, but {host} may have been started anew since the run began, and lost it"
                ))
            }
        }
        _ => Fate::Unknown(format!(
            "there is no receipt of it on {host}, where none can be kept: the user's home folder cannot be written to"
        )),
    }
}

/// How long ago the call's run began, in seconds: its id, a ULID, says when.
fn age_s(call: &Call) -> Option<f64> {
    const DIGITS: &str = "0123456789abcdefghjkmnpqrstvwxyz";
    const TIME_LENGTH: usize = 10;
    let id = call.run.as_str().to_ascii_lowercase();
    if id.len() != 26 {
        return None;
    }
    let mut millis: u64 = 0;
    for char in id.chars().take(TIME_LENGTH) {
        millis = millis * 32 + u64::try_from(DIGITS.find(char)?).ok()?;
    }
    let began = UNIX_EPOCH.checked_add(Duration::from_millis(millis))?;
    SystemTime::now()
        .duration_since(began)
        .ok()
        .map(|age| age.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::{Answer, Fate, judge, name};
    use caxplan_adapter::conformance::call;
    use caxplan_model::{StepId, Value};

    fn fate(text: &str, age_s: Option<f64>, boot: Option<&str>) -> Fate {
        judge(&Answer::read(text), "h", age_s, boot)
    }

    #[test]
    fn what_a_host_says_decides() {
        let told = |text| fate(text, Some(100.0), None);
        assert_eq!(
            told("end 3\nreceipt start\nlives no\nboot a\nthen a\nup 500.1\n"),
            Fate::Ended(3)
        );
        assert_eq!(
            told("end \nreceipt start\nlives yes\nboot a\nthen a\nup 500\n"),
            Fate::Running
        );
        for gone in [
            "end \nreceipt start\nlives no\nboot a\nthen a\n",
            "receipt start\nlives no\nboot b\nthen a\n",
        ] {
            assert!(matches!(told(gone), Fate::Unknown(_)), "{gone}");
        }
        let fenced = "receipt fenced\nlives no\nboot a\nthen \nup 110.0\n";
        assert_eq!(told(fenced), Fate::NeverStarted);
        assert!(
            matches!(fate(fenced, Some(106.0), None), Fate::Unknown(_)),
            "it may have been started anew"
        );
        assert_eq!(fate(fenced, None, Some("a")), Fate::NeverStarted);
        assert!(matches!(fate(fenced, None, Some("b")), Fate::Unknown(_)));
        assert!(matches!(
            told("receipt \nlives no\nboot a\nthen \nup 500\n"),
            Fate::Unknown(_)
        ));
        assert!(matches!(told(""), Fate::Unknown(_)));
    }

    #[test]
    fn names_are_plain_and_differ() {
        let mut one = call("ssh.run", &Value::Null);
        one.step = StepId::from("all/web-1/äöü $(x)");
        let mut two = one.clone();
        two.step = StepId::from("all/web-1/aou $(x)");
        assert_ne!(name(&one), name(&two));
        let plain = |char: char| char.is_ascii_alphanumeric() || "-_./".contains(char);
        assert!(name(&one).chars().all(plain), "{}", name(&one));
        two.step = StepId::from("x".repeat(1000).as_str());
        assert!(name(&two).len() < 250);
    }
}
