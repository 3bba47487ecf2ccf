//! Users and groups of this machine.

use caxplan_model::{Cause, FailureKind};

/// The number of a user: as it is, or that of a local account.
pub(super) fn user_id(name: &str) -> Result<u32, Cause> {
    id("user", "/etc/passwd", name)
}

/// The number of a group.
pub(super) fn group_id(name: &str) -> Result<u32, Cause> {
    id("group", "/etc/group", name)
}

/// The user and group that the engine itself makes files with.
pub(super) fn own_ids() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

fn id(what: &str, table: &str, name: &str) -> Result<u32, Cause> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let lines = std::fs::read_to_string(table)
        .map_err(|error| Cause::new(FailureKind::Other, format!("cannot read {table}: {error}")))?;
    let found = lines.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| {
        Cause::new(FailureKind::NotFound, format!("{table} knows no {what} `{name}`"))
            .with_hint("one that is known elsewhere can be given by its number")
    })
}
