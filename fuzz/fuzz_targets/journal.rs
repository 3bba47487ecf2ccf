//! Whatever a journal's file holds, what reads it says so.
//!
//! The input is either the bytes of a database, or a JSON object of rows that are written into a sound one, under the
//! digests that they need to be believed: `{"graph": …, "records": [text, …], "row": {column: value}}`.

#![no_main]

use caxplan_core::account::{Account, TextStyle};
use caxplan_model::{Digest, Graph, RunId, Timestamp};
use caxplan_run::{Journal, LogCursor, NewRun, RunName, StateDir, fold};
use libfuzzer_sys::fuzz_target;
use rusqlite::types::{ToSqlOutput, Value as Cell};
use rusqlite::{Connection, params};
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;

/// A sound journal with one run, to be spoilt.
static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = StateDir::at(folder.path()).expect("a state folder");
    let mut journal = Journal::open(&dir).expect("a new journal");
    let graph = Graph::empty("plan");
    journal
        .create(&NewRun {
            id: &RunId::new("01hzzz"),
            plan: Path::new("/plan.yaml"),
            graph: &graph,
            secret_params: &[],
            seed: 1,
            by: "a@b",
        })
        .expect("a new run");
    drop(journal);
    let connection = Connection::open(dir.journal()).expect("the journal");
    connection
        .pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))
        .expect("pragmas work");
    drop(connection);
    std::fs::read(dir.journal()).expect("the journal")
});

/// A folder in memory: this runs thousands of times.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.expect("a folder")
});

fuzz_target!(|bytes: &[u8]| {
    let dir = StateDir::at(FOLDER.path()).expect("a state folder");
    for ending in ["", "-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(FOLDER.path().join(format!("caxplan.db{ending}")));
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(rows) => {
            std::fs::write(dir.journal(), &*SOUND).expect("room in memory");
            // What the tables' own checks refuse cannot be in a journal.
            let _ = spoil(&dir.journal(), &rows);
        }
        Err(_) => std::fs::write(dir.journal(), bytes).expect("room in memory"),
    }
    read(&dir);
});

fn spoil(path: &Path, rows: &Value) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    let mut digest = Digest::of(
        connection
            .query_row("SELECT graph FROM runs", [], |row| row.get::<_, String>(0))?
            .as_bytes(),
    );
    if let Some(graph) = rows.get("graph") {
        let text = graph.to_string();
        digest = Digest::of(text.as_bytes());
        connection.execute(
            "UPDATE runs SET graph = ?1, digest = ?2",
            params![text, digest.0.as_slice()],
        )?;
    }
    let mut bodies = vec![
        serde_json::json!({"record": "run_created", "at": 1, "graph": digest, "seed": 1, "by": "a"})
            .to_string(),
    ];
    let records = rows.get("records").and_then(Value::as_array);
    bodies.extend(records.into_iter().flatten().map(|record| match record {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }));
    connection.execute("DELETE FROM records", [])?;
    let mut hash = Digest::ZERO;
    for (seq, body) in (1_i64..).zip(&bodies) {
        hash = hash.chain(body.as_bytes());
        let sql = "INSERT INTO records (run, seq, at, body, hash) VALUES (1, ?1, 1, ?2, ?3)";
        connection.execute(sql, params![seq, body, hash.0.as_slice()])?;
    }
    connection.execute(
        "INSERT INTO logs (run, step, attempt, stream, at, bytes) VALUES (1, 'a', 1, 'stdout', 1, x'ff00')",
        [],
    )?;
    for (table, columns) in rows.get("row").and_then(Value::as_object).into_iter().flatten() {
        for (column, value) in columns.as_object().into_iter().flatten() {
            let known = ["runs", "records", "logs", "requests"].contains(&table.as_str());
            if known && column.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !column.is_empty() {
                let sql = format!("UPDATE {table} SET \"{column}\" = ?1");
                let _ = connection.execute(&sql, [cell(value)]);
            }
        }
    }
    Ok(())
}

fn cell(value: &Value) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(match value {
        Value::Null => Cell::Null,
        Value::Number(number) => number.as_i64().map_or(Cell::Real(0.5), Cell::Integer),
        Value::String(text) => Cell::Text(text.clone()),
        other => Cell::Blob(other.to_string().into_bytes()),
    })
}

fn read(dir: &StateDir) {
    let journal = match Journal::open(dir) {
        Ok(journal) => journal,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let _ = journal.find(&RunName::Last);
    for run in journal.runs(3).unwrap_or_default() {
        let _ = journal.logs(&run.id, None, LogCursor::default());
        let Ok(stored) = journal.load(&run.id) else {
            continue;
        };
        let _ = journal.requests(&stored.tail);
        if let Ok(state) = fold(&run.id, stored.graph, &stored.records) {
            let account = Account::of(&state, &stored.records);
            let time = |at: Timestamp| at.0.to_string();
            account.to_text(TextStyle {
                color: false,
                all: true,
                time: &time,
                clock: &time,
            });
        }
    }
}
