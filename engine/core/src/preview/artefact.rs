//! A preview as a file that can be reviewed, kept, and run: what was shown, of what, and what it was made from.
//!
//! The digest tells damage and careless edits, not forgery: who can write the file can compute it anew. What runs is
//! always the plan as it is loaded again, and only if it and its inputs are what the file says.

use super::{Change, Preview};
use crate::diff::{compare, shown};
use caxplan_model::{Digest, FORMAT, Graph, Map, Node, NodeIndex, NodeKind, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the file.
const VERSION: u32 = 1;

/// A saved preview.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artefact {
    /// The version of this format.
    pub caxplan_preview: u32,
    /// The SHA-256 of the file's text, with zeros in its own place.
    pub digest: Digest,
    /// The program that made it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// Whether nothing was contacted: then nothing is said of the targets' state.
    pub offline: bool,
    /// What the plan was loaded with.
    pub inputs: Inputs,
    /// What was shown.
    pub preview: Preview,
    /// What would run.
    pub graph: Graph,
}

/// What a plan was loaded with. No secrets: neither their values nor digests of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The plan's file, absolute.
    pub plan: String,
    /// Which plan of the file, if it holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The action libraries of the command line, absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<String>,
    /// The inventory of the command line, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// Which targets it was limited to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limit: Vec<String>,
    /// The parameters that were given, without the secret ones.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map,
    /// The names of the secret parameters, which a run needs again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_params: Vec<String>,
    /// What the digests in `env` are keyed with.
    #[serde(default)]
    pub salt: String,
    /// A keyed digest of the value of each environment variable that the plan lists; `null` if it is not set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<Digest>>,
}

impl Inputs {
    /// The keyed digest of an environment variable's value.
    pub fn env_digest(salt: &str, name: &str, value: &str) -> Digest {
        let mut digest = Digest::of(salt.as_bytes());
        for part in [name, value] {
            digest = digest.chain(part.as_bytes());
        }
        digest
    }
}

impl Artefact {
    /// An artefact of the present version.
    pub fn new(
        made_by: &str,
        made_at: Timestamp,
        offline: bool,
        inputs: Inputs,
        preview: Preview,
        graph: Graph,
    ) -> Self {
        Self {
            caxplan_preview: VERSION,
            digest: Digest::ZERO,
            made_by: made_by.to_owned(),
            made_at,
            offline,
            inputs,
            preview,
            graph,
        }
    }

    /// The file's text: JSON.
    pub fn to_text(&self) -> String {
        let unsigned = Self {
            digest: Digest::ZERO,
            ..self.clone()
        };
        let text = serde_json::to_string_pretty(&unsigned).expect("an artefact is plain data with text keys");
        let digest = Digest::of(text.as_bytes());
        // The digest is the second field: what stands first in the text is its place.
        let mut text = text.replacen(&Digest::ZERO.to_string(), &digest.to_string(), 1);
        text.push('\n');
        text
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// A message for a person, if it is no preview, one of another version, or not as it was written.
    pub fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            caxplan_preview: u32,
        }
        let no_preview = |error: serde_json::Error| format!("it is no saved preview: {error}");
        let head: Head = serde_json::from_str(text).map_err(no_preview)?;
        if head.caxplan_preview != VERSION {
            return Err(format!(
                "it has version {} of the format, and this caxplan reads version {VERSION}: make the preview anew",
                head.caxplan_preview
            ));
        }
        let artefact: Self = serde_json::from_str(text).map_err(no_preview)?;
        let place = artefact.digest.to_string();
        let zeroed = text.trim_end().replacen(&place, &Digest::ZERO.to_string(), 1);
        if Digest::of(zeroed.as_bytes()) != artefact.digest {
            return Err("it was altered after it was made: its digest does not fit".to_owned());
        }
        if artefact.graph.format != FORMAT {
            return Err(format!("its plan has format {}", artefact.graph.format));
        }
        check_arena(&artefact.graph.nodes).map_err(|what| format!("its plan is broken: {what}"))?;
        Ok(artefact)
    }

    /// What has moved since, in words: the plan, its inputs, and the state of its targets. Empty if a run would do what
    /// was shown.
    pub fn moved(&self, now: &Self) -> Vec<String> {
        let mut moved: Vec<String> = compare(&self.graph, &now.graph).lines();
        let names: BTreeSet<&String> = self.inputs.env.keys().chain(now.inputs.env.keys()).collect();
        for name in names {
            let state = |inputs: &Inputs| inputs.env.get(name).copied().flatten();
            match (state(&self.inputs), state(&now.inputs)) {
                (Some(old), Some(new)) if old == new => {}
                (None, None) => {}
                (None, Some(_)) => {
                    moved.push(format!("the environment variable {name} was not set, and is now"));
                }
                (Some(_), None) => moved.push(format!("the environment variable {name} is no longer set")),
                (Some(_), Some(_)) => {
                    moved.push(format!("the environment variable {name} has another value"));
                }
            }
        }
        let before: BTreeMap<&str, &super::Entry> = self
            .preview
            .entries
            .iter()
            .map(|entry| (entry.id.as_str(), entry))
            .collect();
        for entry in &now.preview.entries {
            let Some(was) = before.get(entry.id.as_str()) else {
                continue;
            };
            let id = &entry.id;
            if was.change != entry.change || was.summary != entry.summary {
                moved.push(format!(
                    "{id}: it was \"{}\", and is \"{}\"",
                    state(was),
                    state(entry)
                ));
            }
            if was.target != entry.target {
                moved.push(format!(
                    "{id}: its target was {:?}, and is {:?}",
                    was.target, entry.target
                ));
            }
            for (name, value) in entry.arguments.iter() {
                let old = was.arguments.get(name).unwrap_or(&caxplan_model::Value::Null);
                let line = format!("{id}: with.{name}: {} → {}", shown(old), shown(value));
                if old != value && !moved.contains(&line) {
                    moved.push(line);
                }
            }
        }
        moved
    }
}

/// What a preview says of a step, in words.
fn state(entry: &super::Entry) -> String {
    let verdict = match entry.change {
        Some(Change::Would) => "would change",
        Some(Change::WouldNot) => "would not change",
        Some(Change::Unknown) => "unknown until run",
        Some(Change::Never) => "only reads",
        Some(Change::Skipped) => "skipped",
        None => "",
    };
    let parts = [verdict, entry.summary.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

/// Whether nodes make a tree whose parents stand before their children: nothing else can be walked safely.
fn check_arena(nodes: &[Node]) -> Result<(), String> {
    if nodes.is_empty() {
        return Err("it has no nodes".to_owned());
    }
    let mut parents: Vec<Option<NodeIndex>> = vec![None; nodes.len()];
    for (at, node) in (0..).map(NodeIndex).zip(nodes) {
        for child in node.kind.children() {
            match parents.get_mut(child.index()) {
                Some(parent) if child > at && parent.is_none() => *parent = Some(at),
                _ => return Err(format!("node {} has a wrong child", at.0)),
            }
        }
        if node.needs.iter().any(|need| need.index() >= nodes.len()) {
            return Err(format!("node {} needs what is not there", at.0));
        }
        if let NodeKind::Foreach(foreach) = &node.kind {
            check_arena(&foreach.body)?;
        }
    }
    let fits = |(at, node): (usize, &Node)| node.parent == parents[at] && (at == 0) == node.parent.is_none();
    match nodes.iter().enumerate().all(fits) {
        true => Ok(()),
        false => Err("its nodes make no tree".to_owned()),
    }
}
