//! The user's crontab: one line for each folder, between two lines by which it is found again.

use super::install::Names;
use crate::failure::{Answer, Failure};
use crate::ui;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Puts a line for each folder into the crontab, in place of the one that is there.
pub(super) fn install(folders: &[String], names: &Names, dry_run: bool) -> Answer<()> {
    let mut text = if dry_run { String::new() } else { read()? };
    for folder in folders {
        let block = block(folder, names);
        text = without(&text, folder);
        text.push_str(&block);
        ui::print(&block);
    }
    match dry_run {
        true => Ok(()),
        false => write(&text),
    }
}

/// Removes the line of each folder.
pub(super) fn uninstall(folders: &[String], dry_run: bool) -> Answer<()> {
    let text = read()?;
    let mut left = text.clone();
    for folder in folders {
        let before = left.clone();
        left = without(&before, folder);
        match before == left {
            true => ui::say(&format!("the crontab has no line for {folder}\n")),
            false => ui::say(&format!("removed the line for {folder}\n")),
        }
    }
    match dry_run || left == text {
        true => Ok(()),
        false => write(&left),
    }
}

fn block(folder: &str, names: &Names) -> String {
    let mut words = vec![
        quoted(&names.program.to_string_lossy()),
        "schedule".to_owned(),
        "run-due".to_owned(),
        quoted(folder),
    ];
    words.extend(names.with.iter().map(|word| quoted(word)));
    let state = quoted(&names.state.to_string_lossy());
    // For cron, `%` ends the command.
    let command = format!("CAXPLAN_STATE_DIR={state} {}", words.join(" ")).replace('%', "\\%");
    format!("{}\n* * * * * {command}\n{}\n", begin(folder), end(folder))
}

fn begin(folder: &str) -> String {
    format!("# caxplan begin {folder}")
}

fn end(folder: &str) -> String {
    format!("# caxplan end {folder}")
}

/// `text` without the block of a folder. A block whose end was deleted by hand ends where it begins: what follows is
/// somebody else's.
fn without(text: &str, folder: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if *line != begin(folder) {
            kept.push(*line);
            continue;
        }
        let rest = lines.get(at..).unwrap_or_default();
        at += rest
            .iter()
            .position(|line| *line == end(folder))
            .map_or(0, |end| end + 1);
    }
    kept.iter().map(|line| format!("{line}\n")).collect()
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-#".contains(c);
    match !word.is_empty() && !word.starts_with('#') && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn read() -> Answer<String> {
    let output = Command::new("crontab")
        .arg("-l")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| no_crontab(&error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => String::from_utf8(output.stdout)
            .map_err(|_| Failure::new("the crontab is not UTF-8 text; it was left as it is")),
        false if said.contains("no crontab") => Ok(String::new()),
        false => Err(Failure::new(format!("`crontab -l` failed: {}", said.trim()))),
    }
}

fn write(text: &str) -> Answer<()> {
    let mut child = Command::new("crontab")
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| no_crontab(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Failure::new(format!("`crontab -` failed: {}", said.trim())))
        }
    }
}

fn no_crontab(error: &std::io::Error) -> Failure {
    Failure::new(format!("the program `crontab` cannot be started: {error}"))
        .hint("install cron, or use `--systemd`, or run `caxplan schedule daemon`")
}

#[cfg(test)]
mod tests {
    use super::{block, without};
    use crate::command::schedule::install::Names;

    fn names() -> Names {
        Names {
            program: "/opt/my tools/caxplan".into(),
            state: "/var/lib/caxplan".into(),
            with: vec!["--use".to_owned(), "/plans/100%.yaml".to_owned()],
        }
    }

    #[test]
    fn a_block_is_one_line_for_cron_and_for_the_shell() {
        assert_eq!(
            block("/plans/it's", &names()),
            "# caxplan begin /plans/it's\n\
             * * * * * CAXPLAN_STATE_DIR=/var/lib/caxplan '/opt/my tools/caxplan' schedule run-due '/plans/it'\\''s' --use '/plans/100\\%.yaml'\n\
             # caxplan end /plans/it's\n"
        );
    }

    #[test]
    fn what_is_not_ours_stays() {
        let ours = block("/plans", &names());
        let other = block("/plans/b", &names());
        let text = format!("MAILTO=root\n{ours}0 1 * * * backup\n{other}");
        assert_eq!(
            without(&text, "/plans"),
            format!("MAILTO=root\n0 1 * * * backup\n{other}")
        );
        let torn = "# caxplan begin /plans\n0 1 * * * backup\n";
        assert_eq!(without(torn, "/plans"), "0 1 * * * backup\n");
        assert_eq!(without("", "/plans"), "");
    }
}
