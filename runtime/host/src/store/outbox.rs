//! The outbox: messages that this node has accepted and owes to their receivers.

use super::number::Number;
use super::writer::Group;
use super::{Store, StoreError, now_ms};
use caxton_model::{AgentName, Envelope, MessageId};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// How many messages may wait for delivery on one node; more are refused.
pub const OUTBOX_MAX: u64 = 1_000_000;

/// A message that waits for delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEntry {
    /// The message.
    pub envelope: Envelope,
    /// When it was put here, in milliseconds since 1970.
    pub accepted_ms: u64,
    /// How often delivery was tried without success.
    pub attempts: u32,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The message.
    pub envelope: Envelope,
    /// How often delivery was tried.
    pub attempts: u32,
    /// Why it was given up.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub buried_ms: u64,
}

impl Store {
    /// Takes messages for delivery, in their order. A message whose id waits already is not taken a second time; the result
    /// says for each whether it was new.
    ///
    /// # Errors
    /// [`StoreError::OutboxFull`], [`StoreError::DiskFull`] or another failure: then none was taken.
    pub async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<bool>, StoreError> {
        let write =
            move |group: &Group<'_>| envelopes.iter().map(|envelope| insert(group, envelope)).collect();
        self.shared.writer.write(write).await
    }

    /// The oldest messages that are due at `now_ms`, at most `per_receiver` for each receiver and `max` in all, leaving
    /// out the receivers in `busy` (those for which a delivery is under way). Messages to one receiver come in the order
    /// in which they were accepted.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due(
        &self,
        now_ms: u64,
        per_receiver: usize,
        max: usize,
        busy: BTreeSet<AgentName>,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        self.read(move |connection| due(connection, now_ms, per_receiver, max, &busy))
            .await
    }

    /// Forgets messages that were delivered. Unknown ids are no error.
    ///
    /// # Errors
    /// If the database fails: then none is forgotten.
    pub async fn done(&self, ids: Vec<MessageId>) -> Result<(), StoreError> {
        let write = move |group: &Group<'_>| {
            for id in &ids {
                remove(group, id)?;
            }
            Ok(())
        };
        self.shared.writer.write(write).await
    }

    /// Counts a failed attempt for each of these, and makes them due again at `not_before_ms`.
    ///
    /// # Errors
    /// If the database fails: then nothing is changed.
    pub async fn retry(&self, ids: Vec<MessageId>, not_before_ms: u64) -> Result<(), StoreError> {
        let write = move |group: &Group<'_>| {
            let mut update = group
                .connection
                .prepare_cached("UPDATE outbox SET attempts = attempts + 1, not_before = ?2 WHERE id = ?1")?;
            for id in &ids {
                update.execute(params![id.as_str(), Number(not_before_ms)])?;
            }
            Ok(())
        };
        self.shared.writer.write(write).await
    }

    /// Gives messages up: moves them from the outbox to the dead letters.
    ///
    /// # Errors
    /// If the database fails: then none is moved.
    pub async fn bury(&self, ids: Vec<MessageId>, reason: String) -> Result<(), StoreError> {
        let write = move |group: &Group<'_>| {
            for id in &ids {
                group
                    .connection
                    .prepare_cached(
                        "INSERT INTO dead_letters (id, receiver, envelope, attempts, reason, buried_at)
                         SELECT id, receiver, envelope, attempts, ?2, ?3 FROM outbox WHERE id = ?1",
                    )?
                    .execute(params![id.as_str(), reason, Number(now_ms())])?;
                remove(group, id)?;
            }
            Ok(())
        };
        self.shared.writer.write(write).await
    }

    /// The latest dead letters, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn dead_letters(&self, max: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT envelope, attempts, reason, buried_at FROM dead_letters ORDER BY seq DESC LIMIT ?1",
            )?;
            let mut rows = select.query([Number::of(max)])?;
            let mut letters = Vec::new();
            while let Some(row) = rows.next()? {
                letters.push(DeadLetter {
                    envelope: serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?,
                    attempts: row.get(1)?,
                    reason: row.get(2)?,
                    buried_ms: row.get::<_, Number>(3)?.0,
                });
            }
            Ok(letters)
        })
        .await
    }

    /// How many messages wait for delivery.
    pub fn outbox_len(&self) -> u64 {
        self.shared.writer.signals().outbox.load(Ordering::Relaxed)
    }

    /// Changes whenever something was put into the outbox, so that a deliverer need not poll.
    pub fn subscribe_outbox(&self) -> watch::Receiver<u64> {
        self.shared.writer.signals().accepted.subscribe()
    }
}

/// Puts a message into the outbox; says whether it was new.
pub(super) fn insert(group: &Group<'_>, envelope: &Envelope) -> Result<bool, StoreError> {
    if group.outbox.get() >= OUTBOX_MAX {
        return Err(StoreError::OutboxFull { limit: OUTBOX_MAX });
    }
    let inserted = group
        .connection
        .prepare_cached(
            "INSERT INTO outbox (id, receiver, envelope, accepted_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            envelope.id.as_str(),
            envelope.receiver.as_str(),
            serde_json::to_string(envelope)?,
            Number(now_ms())
        ])?;
    group.outbox.set(group.outbox.get() + inserted as u64);
    group.accepted.set(group.accepted.get() || inserted > 0);
    Ok(inserted > 0)
}

fn remove(group: &Group<'_>, id: &MessageId) -> Result<(), StoreError> {
    let removed = group
        .connection
        .prepare_cached("DELETE FROM outbox WHERE id = ?1")?
        .execute([id.as_str()])?;
    group
        .outbox
        .set(group.outbox.get().saturating_sub(removed as u64));
    Ok(())
}

fn due(
    connection: &Connection,
    now_ms: u64,
    per_receiver: usize,
    max: usize,
    busy: &BTreeSet<AgentName>,
) -> Result<Vec<OutboxEntry>, StoreError> {
    // From receiver to receiver along the index, so that one receiver's backlog does not hide the others.
    let mut next_receiver = connection
        .prepare_cached("SELECT receiver FROM outbox WHERE receiver > ?1 ORDER BY receiver LIMIT 1")?;
    let mut select = connection.prepare_cached(
        "SELECT envelope, accepted_at, attempts FROM outbox
         WHERE receiver = ?1 AND not_before <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut entries = Vec::new();
    let mut receiver = String::new();
    while entries.len() < max
        && let Some(next) = next_receiver
            .query_row([&receiver], |row| row.get::<_, String>(0))
            .optional()?
    {
        receiver = next;
        if busy.contains(&AgentName(receiver.clone())) {
            continue;
        }
        let mut rows = select.query(params![
            receiver,
            Number(now_ms),
            Number::of(per_receiver.min(max - entries.len()))
        ])?;
        while let Some(row) = rows.next()? {
            entries.push(OutboxEntry {
                envelope: serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?,
                accepted_ms: row.get::<_, Number>(1)?.0,
                attempts: row.get(2)?,
            });
        }
    }
    Ok(entries)
}
