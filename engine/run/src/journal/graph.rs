//! How a graph lies in the journal: as one text beside its run, or, if it is large, its nodes apart, in compressed parts.
//!
//! Whichever way, it is the same JSON under the same digest, which is taken over the text as if it lay there whole. So
//! nothing holds the text of a large graph whole, neither when it is written nor when it is read.

use caxplan_model::{Digest, Graph, Node, StepId};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rusqlite::{Connection, params};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};

/// A graph of more nodes lies in parts of so many: some 100 KB of text each.
const NODES_PER_PART: usize = 512;

/// The most bytes that one part is decompressed to: far more than any has, and no more than fits into memory.
const PART_BYTES_MAX: u64 = 1 << 30;

/// Beside the journal's own tables, and made when it is first needed: a journal without it is as good.
pub(super) const PARTS: &str = "
CREATE TABLE IF NOT EXISTS graph_parts (
    run   INTEGER NOT NULL REFERENCES runs (key),
    part  INTEGER NOT NULL,                   -- from 0
    nodes BLOB NOT NULL,                      -- a JSON list of nodes, deflated
    PRIMARY KEY (run, part)
) STRICT;";

/// What can be wrong with a graph that is read.
pub(super) enum GraphError {
    /// The journal cannot be read.
    Sql(rusqlite::Error),
    /// The graph is not what was written.
    Damaged(String),
}

impl From<rusqlite::Error> for GraphError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Whether a graph lies in parts.
pub(super) fn in_parts(graph: &Graph) -> bool {
    graph.nodes.len() > NODES_PER_PART
}

/// What lies beside the run of a graph in parts: all of it but its nodes.
pub(super) fn head(graph: &Graph) -> Graph {
    Graph {
        format: graph.format,
        header: graph.header.clone(),
        params: graph.params.clone(),
        vars: graph.vars.clone(),
        targets: graph.targets.clone(),
        nodes: Vec::new(),
    }
}

/// Writes the parts of a graph, and answers the digest of the whole. `head` is the text that lies beside the run.
pub(super) fn write(
    connection: &Connection,
    key: i64,
    head: &str,
    graph: &Graph,
) -> rusqlite::Result<Digest> {
    connection.execute_batch(PARTS)?;
    let mut statement =
        connection.prepare("INSERT INTO graph_parts (run, part, nodes) VALUES (?1, ?2, ?3)")?;
    let mut hasher = Whole::begin(head);
    let mut text = Vec::new();
    for (part, nodes) in (0_i64..).zip(graph.nodes.chunks(NODES_PER_PART)) {
        text.clear();
        serde_json::to_writer(&mut text, nodes).expect("a graph is plain data");
        hasher.part(&text);
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        let deflated = deflated
            .write_all(&text)
            .and_then(|()| deflated.finish())
            .expect("memory can be written");
        statement.execute(params![key, part, deflated])?;
    }
    Ok(hasher.end())
}

/// Reads a graph whose text beside its run is `head`, and checks that it is the one of the digest.
pub(super) fn read(
    connection: &Connection,
    key: i64,
    head: &str,
    digest: &[u8],
) -> Result<Graph, GraphError> {
    let unreadable =
        |error: serde_json::Error| GraphError::Damaged(format!("its graph cannot be read: {error}"));
    let altered = || GraphError::Damaged("its graph was altered".to_owned());
    if Digest::of(head.as_bytes()).0.as_slice() == digest {
        return serde_json::from_str(head).map_err(unreadable);
    }
    let mut hasher = Whole::begin(head);
    let mut nodes: Vec<Node> = Vec::new();
    each_part(connection, key, |text| {
        hasher.part(text);
        nodes.append(&mut serde_json::from_slice(text).map_err(unreadable)?);
        Ok(())
    })
    .map_err(|error| match error {
        GraphError::Damaged(_) => altered(),
        GraphError::Sql(_) => error,
    })?;
    if nodes.is_empty() || hasher.end().0.as_slice() != digest {
        return Err(altered());
    }
    let head: Graph = serde_json::from_str(head).map_err(unreadable)?;
    nodes.shrink_to_fit();
    Ok(Graph { nodes, ..head })
}

/// The ids of a graph's nodes, for who wants no more of it. Not checked against its digest.
pub(super) fn ids(connection: &Connection, key: i64, head: &str) -> Result<Vec<StepId>, GraphError> {
    #[derive(Deserialize)]
    struct Head {
        nodes: Vec<Id>,
    }
    #[derive(Deserialize)]
    struct Id {
        id: StepId,
    }
    let unreadable =
        |error: serde_json::Error| GraphError::Damaged(format!("its graph cannot be read: {error}"));
    let whole: Head = serde_json::from_str(head).map_err(unreadable)?;
    let mut ids: Vec<StepId> = whole.nodes.into_iter().map(|node| node.id).collect();
    if ids.is_empty() {
        each_part(connection, key, |text| {
            let part: Vec<Id> = serde_json::from_slice(text).map_err(unreadable)?;
            ids.extend(part.into_iter().map(|node| node.id));
            Ok(())
        })?;
    }
    Ok(ids)
}

/// Hands over the text of each part in order.
fn each_part(
    connection: &Connection,
    key: i64,
    mut take: impl FnMut(&[u8]) -> Result<(), GraphError>,
) -> Result<(), GraphError> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'graph_parts'";
    if !connection.query_row(sql, [], |row| row.get::<_, bool>(0))? {
        return Ok(());
    }
    let mut statement = connection.prepare("SELECT nodes FROM graph_parts WHERE run = ?1 ORDER BY part")?;
    let mut rows = statement.query([key])?;
    let mut text = Vec::new();
    while let Some(row) = rows.next()? {
        text.clear();
        let deflated = row.get_ref(0)?.as_blob().unwrap_or_default();
        DeflateDecoder::new(deflated)
            .take(PART_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|error| GraphError::Damaged(format!("a part of its graph cannot be read: {error}")))?;
        take(&text)?;
    }
    Ok(())
}

/// The digest of a graph's text, from its parts.
struct Whole {
    hasher: Sha256,
    tail: String,
    first: bool,
}

impl Whole {
    /// `head` is the text of the graph without nodes; they are its last field.
    fn begin(head: &str) -> Self {
        let at = head.rfind("]}").unwrap_or(head.len());
        Self {
            hasher: Sha256::new().chain_update(&head[..at]),
            tail: head[at..].to_owned(),
            first: true,
        }
    }

    /// Takes in a list of nodes.
    fn part(&mut self, list: &[u8]) {
        if !std::mem::take(&mut self.first) {
            self.hasher.update(b",");
        }
        let inner = list.len().saturating_sub(1);
        self.hasher.update(list.get(1..inner).unwrap_or_default());
    }

    fn end(self) -> Digest {
        Digest(self.hasher.chain_update(self.tail).finalize().into())
    }
}
