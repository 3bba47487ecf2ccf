//! Where alerts stand, from one check to the next: a small SQLite file beside the journal, every write synced to the disk.

use crate::{StateDir, clock};
use caxplan_core::monitor::Standing;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::Path;

/// The version of the table, kept in SQLite's `user_version`.
const VERSION: i64 = 1;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS alerts (
    file     TEXT NOT NULL,                   -- the file of the rule, absolute
    rule     TEXT NOT NULL,
    standing TEXT NOT NULL,                   -- as JSON
    seen     TEXT NOT NULL,                   -- what raised it, for a person
    changed  INTEGER NOT NULL,                -- milliseconds since 1970
    PRIMARY KEY (file, rule)
) STRICT, WITHOUT ROWID;
";

/// How long a write waits for another process that is writing.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Where all alerts stand.
pub struct Alerts {
    connection: Connection,
}

/// What is kept of one alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredAlert {
    /// Where it stands.
    pub standing: Standing,
    /// What raised it.
    pub seen: String,
}

impl Alerts {
    /// Opens the file of a state folder, and makes it if it is not there.
    ///
    /// # Errors
    /// For a person. Nothing was changed.
    pub fn open(dir: &StateDir) -> Result<Self, String> {
        let path = dir.alerts();
        let open = || -> rusqlite::Result<(Connection, i64)> {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "synchronous", "full")?;
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if version == 0 {
                connection.pragma_update(None, "journal_mode", "wal")?;
                connection.execute_batch(TABLE)?;
                connection.pragma_update(None, "user_version", VERSION)?;
                return Ok((connection, VERSION));
            }
            Ok((connection, version))
        };
        match open() {
            Ok((connection, VERSION)) => Ok(Self { connection }),
            Ok((_, version)) => Err(format!(
                "{} is of the version {version}, and this program reads {VERSION}",
                path.display()
            )),
            Err(error) => Err(format!("{} cannot be used: {error}", path.display())),
        }
    }

    /// Where an alert stands; quiet if nothing was ever kept of it.
    ///
    /// # Errors
    /// For a person.
    pub fn load(&self, file: &Path, rule: &str) -> Result<StoredAlert, String> {
        let read = || -> rusqlite::Result<Option<(String, String)>> {
            self.connection
                .prepare_cached("SELECT standing, seen FROM alerts WHERE file = ?1 AND rule = ?2")?
                .query_row(params![file.to_string_lossy(), rule], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()
        };
        match read() {
            Ok(None) => Ok(StoredAlert::default()),
            Ok(Some((standing, seen))) => match serde_json::from_str(&standing) {
                Ok(standing) => Ok(StoredAlert { standing, seen }),
                Err(error) => Err(format!(
                    "what is kept of the alert `{rule}` cannot be read: {error}"
                )),
            },
            Err(error) => Err(format!(
                "what is kept of the alert `{rule}` cannot be read: {error}"
            )),
        }
    }

    /// Keeps where an alert stands. Durable when this returns.
    ///
    /// # Errors
    /// For a person. What was kept before is kept still.
    pub fn save(&self, file: &Path, rule: &str, alert: &StoredAlert) -> Result<(), String> {
        let standing = serde_json::to_string(&alert.standing).expect("a standing is plain data");
        let changed = i64::try_from(clock::now().0).unwrap_or(i64::MAX);
        let write = || -> rusqlite::Result<usize> {
            self.connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO alerts (file, rule, standing, seen, changed) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![file.to_string_lossy(), rule, standing, alert.seen, changed])
        };
        write()
            .map(|_| ())
            .map_err(|error| format!("where the alert `{rule}` stands cannot be kept: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Alerts, StoredAlert};
    use crate::StateDir;
    use caxplan_core::monitor::Standing;
    use caxplan_model::{RunId, Timestamp};
    use std::path::Path;

    #[test]
    fn what_is_kept_is_found_by_another_process() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let (file, other) = (Path::new("/etc/alerts.yaml"), Path::new("/etc/other.yaml"));
        let alert = StoredAlert {
            standing: Standing::Firing {
                since: Timestamp(1),
                fired: Timestamp(2),
                run: RunId::from("01a"),
                acted: false,
            },
            seen: "node_unreachable was 75 (s), expected > 60s".to_owned(),
        };
        let first = Alerts::open(&dir).expect("opened");
        assert_eq!(first.load(file, "node_down"), Ok(StoredAlert::default()));
        first.save(file, "node_down", &alert).expect("kept");
        let second = Alerts::open(&dir).expect("opened");
        assert_eq!(second.load(file, "node_down"), Ok(alert));
        assert_eq!(second.load(file, "node"), Ok(StoredAlert::default()));
        assert_eq!(second.load(other, "node_down"), Ok(StoredAlert::default()));
    }
}
