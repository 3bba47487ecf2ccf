//! Agents' durable side: their key–value state, the messages that they have handled, and under which epoch they run.

use super::number::Number;
use super::writer::Group;
use super::{Store, StoreError, mailbox, now_ms, outbox};
use caxton_model::{AgentName, Envelope, Epoch, MessageId};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// How many remembered message ids an agent takes along when it moves: the latest.
const BUNDLE_HANDLED_MAX: usize = 100_000;

/// An agent's key–value state.
pub(crate) type StateMap = BTreeMap<Vec<u8>, Vec<u8>>;

/// All that an agent takes along when it moves to another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentBundle {
    /// Which agent.
    pub agent: AgentName,
    /// The epoch under which it ran last.
    pub epoch: Epoch,
    /// Counts what it has committed; of two bundles of one epoch, the one with more is newer.
    pub revision: u64,
    /// Its state, by key.
    pub state: Vec<(Vec<u8>, Vec<u8>)>,
    /// Ids of messages that it has handled lately, oldest first.
    pub handled: Vec<MessageId>,
}

/// How far an agent's durable side has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPosition {
    /// Which agent.
    pub agent: AgentName,
    /// The epoch under which it ran last.
    pub epoch: Epoch,
    /// Counts what it has committed.
    pub revision: u64,
}

/// What handling some messages leaves behind, as one unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handling {
    /// Ids to remember.
    pub(crate) handled: Vec<MessageId>,
    /// Changed keys; `None` deletes.
    pub(crate) state: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// At-least-once messages to clients whose mailboxes are on this node.
    pub(crate) deposits: Vec<Envelope>,
    /// All other at-least-once messages.
    pub(crate) outbox: Vec<Envelope>,
}

impl Handling {
    /// Whether there is nothing to keep.
    pub(crate) fn is_empty(&self) -> bool {
        self.handled.is_empty() && self.state.is_empty() && self.deposits.is_empty() && self.outbox.is_empty()
    }
}

/// What became of a [`Handling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// It is durable.
    Durable,
    /// The agent runs elsewhere by now; nothing was kept.
    Fenced,
}

impl Store {
    /// Copies all that the agent would take along; `None` if there is nothing of it here.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn snapshot(&self, agent: &AgentName) -> Result<Option<AgentBundle>, StoreError> {
        let agent = agent.clone();
        self.read(move |connection| {
            // One transaction, so that state and ids are of the same moment.
            let transaction = connection.unchecked_transaction()?;
            snapshot(&transaction, agent)
        })
        .await
    }

    /// Takes over what another node's [`Store::snapshot`] copied, in place of what was here. Says whether it did: a bundle
    /// that is older than what is here (by epoch, then by revision) changes nothing. Not for an agent that runs here.
    ///
    /// # Errors
    /// If the database fails: then all is as before.
    pub async fn restore(&self, bundle: AgentBundle) -> Result<bool, StoreError> {
        self.shared
            .writer
            .write(move |group| restore(group.connection, &bundle))
            .await
    }

    /// Forgets all about an agent, but not the messages that wait for it.
    ///
    /// # Errors
    /// If the database fails: then all is as before.
    pub async fn remove(&self, agent: &AgentName) -> Result<(), StoreError> {
        let agent = agent.clone();
        self.shared
            .writer
            .write(move |group| clear(group.connection, &agent))
            .await
    }

    /// The agents that have something here, by name, whether they run here or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn agents(&self) -> Result<Vec<AgentPosition>, StoreError> {
        self.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT agent, epoch, revision FROM agents ORDER BY agent")?;
            let positions = select.query_map([], |row| {
                Ok(AgentPosition {
                    agent: AgentName(row.get(0)?),
                    epoch: Epoch(row.get::<_, Number>(1)?.0),
                    revision: row.get::<_, Number>(2)?.0,
                })
            })?;
            Ok(positions.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Lets the agent run under `epoch` from here on, and reads its state. Commits of older epochs are fenced off.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if it has run under a newer epoch here.
    pub(crate) async fn begin_epoch(&self, agent: &AgentName, epoch: Epoch) -> Result<StateMap, StoreError> {
        let agent = agent.clone();
        let write = move |group: &Group<'_>| {
            if let Some((current, _)) = position(group.connection, &agent)?
                && current > epoch
            {
                return Err(StoreError::StaleEpoch {
                    agent,
                    asked: epoch,
                    current,
                });
            }
            group
                .connection
                .prepare_cached(
                    "INSERT INTO agents (agent, epoch, revision) VALUES (?1, ?2, 0)
                     ON CONFLICT (agent) DO UPDATE SET epoch = excluded.epoch",
                )?
                .execute(params![agent.as_str(), Number(epoch.0)])?;
            state(group.connection, &agent)
        };
        self.shared.writer.write(write).await
    }

    /// Which of these messages the agent has handled before.
    pub(crate) async fn known(
        &self,
        agent: &AgentName,
        ids: Vec<MessageId>,
    ) -> Result<HashSet<MessageId>, StoreError> {
        let agent = agent.clone();
        self.read(move |connection| {
            let mut select =
                connection.prepare_cached("SELECT 1 FROM handled WHERE agent = ?1 AND id = ?2")?;
            let mut known = HashSet::new();
            for id in ids {
                if select.exists([agent.as_str(), id.as_str()])? {
                    known.insert(id);
                }
            }
            Ok(known)
        })
        .await
    }

    /// Keeps all of `handling`, if the agent still runs under `epoch`.
    ///
    /// # Errors
    /// If the database fails or the outbox is full: then nothing of it is kept.
    pub(crate) async fn commit(
        &self,
        agent: &AgentName,
        epoch: Epoch,
        handling: Handling,
    ) -> Result<Committed, StoreError> {
        let agent = agent.clone();
        self.shared
            .writer
            .write(move |group| commit(group, &agent, epoch, &handling))
            .await
    }
}

fn commit(
    group: &Group<'_>,
    agent: &AgentName,
    epoch: Epoch,
    handling: &Handling,
) -> Result<Committed, StoreError> {
    let runs = group
        .connection
        .prepare_cached("UPDATE agents SET revision = revision + 1 WHERE agent = ?1 AND epoch = ?2")?
        .execute(params![agent.as_str(), Number(epoch.0)])?;
    if runs == 0 {
        return Ok(Committed::Fenced);
    }
    remember(group.connection, agent, &handling.handled)?;
    for (key, value) in &handling.state {
        match value {
            Some(value) => put(group.connection, agent, key, value)?,
            None => {
                group
                    .connection
                    .prepare_cached("DELETE FROM agent_state WHERE agent = ?1 AND key = ?2")?
                    .execute(params![agent.as_str(), key])?;
            }
        }
    }
    for envelope in &handling.deposits {
        // A client that does not fetch its answers must not stop the agent: the rest waits in the outbox.
        if mailbox::insert(group, envelope)? == caxton_model::MessageOutcome::Full {
            outbox::insert(group, envelope)?;
        }
    }
    for envelope in &handling.outbox {
        outbox::insert(group, envelope)?;
    }
    Ok(Committed::Durable)
}

fn snapshot(connection: &Connection, agent: AgentName) -> Result<Option<AgentBundle>, StoreError> {
    let Some((epoch, revision)) = position(connection, &agent)? else {
        return Ok(None);
    };
    let mut select =
        connection.prepare_cached("SELECT id FROM handled WHERE agent = ?1 ORDER BY seq DESC LIMIT ?2")?;
    let ids = select.query_map(params![agent.as_str(), Number::of(BUNDLE_HANDLED_MAX)], |row| {
        row.get(0).map(MessageId)
    })?;
    let mut handled: Vec<MessageId> = ids.collect::<Result<_, _>>()?;
    handled.reverse();
    Ok(Some(AgentBundle {
        state: state(connection, &agent)?.into_iter().collect(),
        agent,
        epoch,
        revision,
        handled,
    }))
}

fn restore(connection: &Connection, bundle: &AgentBundle) -> Result<bool, StoreError> {
    if position(connection, &bundle.agent)?.is_some_and(|here| here > (bundle.epoch, bundle.revision)) {
        return Ok(false);
    }
    clear(connection, &bundle.agent)?;
    connection
        .prepare_cached("INSERT INTO agents (agent, epoch, revision) VALUES (?1, ?2, ?3)")?
        .execute(params![
            bundle.agent.as_str(),
            Number(bundle.epoch.0),
            Number(bundle.revision)
        ])?;
    for (key, value) in &bundle.state {
        put(connection, &bundle.agent, key, value)?;
    }
    remember(connection, &bundle.agent, &bundle.handled)?;
    Ok(true)
}

fn position(connection: &Connection, agent: &AgentName) -> Result<Option<(Epoch, u64)>, StoreError> {
    let position = connection
        .prepare_cached("SELECT epoch, revision FROM agents WHERE agent = ?1")?
        .query_row([agent.as_str()], |row| {
            Ok((Epoch(row.get::<_, Number>(0)?.0), row.get::<_, Number>(1)?.0))
        })
        .optional()?;
    Ok(position)
}

fn state(connection: &Connection, agent: &AgentName) -> Result<StateMap, StoreError> {
    let mut select = connection.prepare_cached("SELECT key, value FROM agent_state WHERE agent = ?1")?;
    let pairs = select.query_map([agent.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(pairs.collect::<Result<_, _>>()?)
}

fn put(connection: &Connection, agent: &AgentName, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO agent_state (agent, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET value = excluded.value",
        )?
        .execute(params![agent.as_str(), key, value])?;
    Ok(())
}

fn remember(connection: &Connection, agent: &AgentName, ids: &[MessageId]) -> Result<(), StoreError> {
    let mut insert = connection
        .prepare_cached("INSERT INTO handled (agent, id, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
    for id in ids {
        insert.execute(params![agent.as_str(), id.as_str(), Number(now_ms())])?;
    }
    Ok(())
}

fn clear(connection: &Connection, agent: &AgentName) -> Result<(), StoreError> {
    for table in ["agents", "agent_state", "handled"] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE agent = ?1"))?
            .execute([agent.as_str()])?;
    }
    Ok(())
}
