//! Units of systemd: for each scheduled plan a timer that fires every minute, and a service that runs what is due.
//!
//! Not `OnCalendar=` with the plan's own times: systemd has another rule for the hours that the clocks leap over or
//! show twice, and knows neither jitter, misfires nor the run before.

use super::install::Names;
use super::next::ui_name;
use super::sources::Scheduled;
use crate::failure::{Answer, Failure};
use crate::ui;
use caxplan_model::{Digest, Overlap};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes the units of all plans, removes those of plans that are no longer scheduled, and starts the timers.
pub(super) fn install(
    folders: &[String],
    scheduled: &[Scheduled],
    names: &Names,
    user: bool,
    dry_run: bool,
) -> Answer<()> {
    let place = place(user)?;
    let mut units = Vec::new();
    for one in scheduled {
        let name = name(one);
        let text = format!("{}{}", mark(&folder_of(folders, one)), service(one, names, user));
        units.push((place.join(format!("{name}.service")), text));
        let text = format!("{}{}", mark(&folder_of(folders, one)), timer(one, &name));
        units.push((place.join(format!("{name}.timer")), text));
    }
    for (path, text) in &units {
        ui::print(&format!("# {}\n{text}\n", path.display()));
    }
    if dry_run {
        return Ok(());
    }
    std::fs::create_dir_all(&place)?;
    for path in ours(&place, folders)? {
        if !units.iter().any(|(written, _)| *written == path) {
            remove(&path, user)?;
        }
    }
    for (path, text) in &units {
        std::fs::write(path, text)?;
    }
    systemctl(user, &["daemon-reload"])?;
    let timers = units
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|ending| ending == "timer"));
    for (path, _) in timers {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        systemctl(user, &["enable", "--now", "--quiet", &name])?;
    }
    Ok(())
}

/// Stops and removes the units of the folders.
pub(super) fn uninstall(folders: &[String], user: bool, dry_run: bool) -> Answer<()> {
    let units = ours(&place(user)?, folders)?;
    for path in &units {
        ui::say(&format!("removed {}\n", path.display()));
        if !dry_run {
            remove(path, user)?;
        }
    }
    if units.is_empty() {
        ui::say("there are no units of these folders\n");
    } else if !dry_run {
        systemctl(user, &["daemon-reload"])?;
    }
    Ok(())
}

fn service(one: &Scheduled, names: &Names, user: bool) -> String {
    let mut words = Vec::new();
    let state = format!("CAXPLAN_STATE_DIR={}", names.state.display());
    if one.schedule.overlap == Overlap::Allow {
        // A service runs once at a time; each of these gets one of its own.
        words.extend(["systemd-run", "--quiet", "--collect", "--no-block"].map(str::to_owned));
        if user {
            words.push("--user".to_owned());
        }
        words.push(format!("--setenv={state}"));
        words.push("--".to_owned());
    }
    words.push(names.program.to_string_lossy().into_owned());
    words.extend([
        "schedule".to_owned(),
        "run-due".to_owned(),
        one.path().to_string(),
    ]);
    words.extend(names.with.iter().cloned());
    let command: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!(
        "[Unit]
Description={}

[Service]
Type=oneshot
Environment={}
ExecStart={}
# Every minute it says that it began and ended; that is not worth a line. What the runs say is.
LogLevelMax=notice
SyslogLevel=notice
",
        description(one),
        quoted(&state),
        command.join(" "),
    )
}

fn timer(one: &Scheduled, name: &str) -> String {
    format!(
        "[Unit]
Description={}

[Timer]
OnCalendar=*-*-* *:*:00
AccuracySec=1s
Unit={name}.service

[Install]
WantedBy=timers.target
",
        description(one)
    )
}

fn description(one: &Scheduled) -> String {
    let zone = one.schedule.timezone.as_deref().unwrap_or("UTC");
    let text = format!("caxplan: {}, {} {zone}", ui_name(one), one.schedule.cron);
    text.replace('%', "%%").replace('\n', " ")
}

/// A name for a person to find, that no other plan has.
fn name(one: &Scheduled) -> String {
    const READABLE_CHARS_MAX: usize = 40;
    let stem = one.key.plan.file_stem().unwrap_or_default().to_string_lossy();
    let readable: String = stem
        .chars()
        .chain(
            one.key
                .entry
                .iter()
                .flat_map(|entry| "-".chars().chain(entry.chars())),
        )
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(READABLE_CHARS_MAX)
        .collect();
    let digest = Digest::of(one.path().to_string().as_bytes());
    format!("caxplan-{readable}-{}", digest.short())
}

/// The first line of a unit, by which it is found again.
fn mark(folder: &str) -> String {
    format!("# caxplan schedule install --systemd {folder}\n")
}

/// Which of the folders named the plan.
fn folder_of(folders: &[String], one: &Scheduled) -> String {
    let named = folders.iter().find(|folder| {
        one.key.plan.parent() == Some(Path::new(folder))
            || one.path().to_string() == **folder
            || one.key.plan == Path::new(folder)
    });
    named.cloned().unwrap_or_default()
}

/// The units that were written for the folders.
fn ours(place: &Path, folders: &[String]) -> Answer<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let is_ours = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        folders.iter().any(|folder| text.starts_with(&mark(folder)))
    };
    let mut units: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_ours)
        .collect();
    units.sort();
    Ok(units)
}

fn remove(path: &Path, user: bool) -> Answer<()> {
    if path.extension().is_some_and(|ending| ending == "timer") {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        systemctl(user, &["disable", "--now", "--quiet", &name])?;
    }
    Ok(std::fs::remove_file(path)?)
}

fn place(user: bool) -> Answer<PathBuf> {
    if !user {
        return Ok(PathBuf::from("/etc/systemd/system"));
    }
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    config
        .map(|config| config.join("systemd/user"))
        .ok_or_else(|| Failure::new("no folder for units: neither XDG_CONFIG_HOME nor HOME is set"))
}

fn systemctl(user: bool, arguments: &[&str]) -> Answer<()> {
    let mut command = Command::new("systemctl");
    if user {
        command.arg("--user");
    }
    let output = command
        .args(arguments)
        .output()
        .map_err(|error| Failure::new(format!("the program `systemctl` cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let words = arguments.join(" ");
    Err(
        Failure::new(format!("`systemctl {words}` failed: {}", said.trim()))
            .hint("the units are written; put this right and do it again, or remove them with `uninstall`"),
    )
}

/// A word of a command line or an assignment in a unit.
fn quoted(word: &str) -> String {
    let word = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    format!("\"{word}\"")
}
