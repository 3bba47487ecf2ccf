//! Receipts: what a command leaves on its host, by which it can be told later what became of it.

use crate::command::quote;
use caxplan_model::Cause;
use std::fmt::Write as _;

/// How many runs' receipts lie on a host before the old ones are looked for.
const RUNS_KEPT: usize = 20;

/// How long receipts are kept, in days.
const DAYS_KEPT: usize = 7;

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
    write!(
        text,
        "trap : HUP INT TERM;{run};s=$?;[ $r = none ]||printf 'end %s\\n' \"$s\" >>\"$f\";exit \"$s\""
    )
    .unwrap_or_default();
}
