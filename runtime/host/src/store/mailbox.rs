//! Mailboxes of clients of the management API: answers wait here until the client has confirmed them.

use super::number::Number;
use super::writer::Group;
use super::{Store, StoreError, now_ms};
use caxton_model::{AgentName, Envelope, MessageOutcome};
use rusqlite::params;
use tokio::sync::watch;

/// How many answers may wait for one client; more are refused as [`MessageOutcome::Full`].
pub const CLIENT_MAILBOX_MAX: u64 = 200_000;

/// An answer, and its place in the mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// Grows from message to message. Acknowledge it, and all before it, with [`Store::ack`].
    pub cursor: u64,
    /// The message.
    pub envelope: Envelope,
}

impl Store {
    /// Puts messages into the mailboxes of the clients that they name as `receiver`. A message is a duplicate if the
    /// mailbox has seen its id, or an answer to the same `in_reply_to`, within the last hour.
    ///
    /// # Errors
    /// If the database fails: then none was kept.
    pub async fn deposit(&self, envelopes: Vec<Envelope>) -> Result<Vec<MessageOutcome>, StoreError> {
        let write =
            move |group: &Group<'_>| envelopes.iter().map(|envelope| insert(group, envelope)).collect();
        self.shared.writer.write(write).await
    }

    /// The oldest messages after `cursor` (0: from the start) that are not acknowledged, at most `max`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn fetch(
        &self,
        client: &AgentName,
        cursor: u64,
        max: usize,
    ) -> Result<Vec<Fetched>, StoreError> {
        let client = client.clone();
        self.read(move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT cursor, envelope FROM client_mailbox
                 WHERE client = ?1 AND cursor > ?2 AND envelope IS NOT NULL ORDER BY cursor LIMIT ?3",
            )?;
            let mut rows = select.query(params![client.as_str(), Number(cursor), Number::of(max)])?;
            let mut fetched = Vec::new();
            while let Some(row) = rows.next()? {
                fetched.push(Fetched {
                    cursor: row.get::<_, Number>(0)?.0,
                    envelope: serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
                });
            }
            Ok(fetched)
        })
        .await
    }

    /// Confirms all messages up to and including `cursor`: they are not fetched again.
    ///
    /// # Errors
    /// If the database fails: then none is confirmed.
    pub async fn ack(&self, client: &AgentName, cursor: u64) -> Result<(), StoreError> {
        let client = client.clone();
        let write = move |group: &Group<'_>| {
            // The row stays for a while without its content, so that a late copy is recognised.
            group
                .connection
                .prepare_cached(
                    "UPDATE client_mailbox SET envelope = NULL
                     WHERE client = ?1 AND cursor <= ?2 AND envelope IS NOT NULL",
                )?
                .execute(params![client.as_str(), Number(cursor)])?;
            Ok(())
        };
        self.shared.writer.write(write).await
    }

    /// Changes whenever something was put into a client's mailbox.
    pub fn subscribe_deposits(&self) -> watch::Receiver<u64> {
        self.shared.writer.signals().deposited.subscribe()
    }
}

/// Puts a message into its client's mailbox.
pub(super) fn insert(group: &Group<'_>, envelope: &Envelope) -> Result<MessageOutcome, StoreError> {
    let Number(waiting) = group
        .connection
        .prepare_cached("SELECT coalesce(max(waiting), 0) FROM clients WHERE client = ?1")?
        .query_row([envelope.receiver.as_str()], |row| row.get(0))?;
    if waiting >= CLIENT_MAILBOX_MAX {
        return Ok(MessageOutcome::Full);
    }
    let inserted = group
        .connection
        .prepare_cached(
            "INSERT INTO client_mailbox (client, id, in_reply_to, envelope, at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            envelope.receiver.as_str(),
            envelope.id.as_str(),
            envelope.in_reply_to,
            serde_json::to_string(envelope)?,
            Number(now_ms())
        ])?;
    if inserted == 0 {
        return Ok(MessageOutcome::Duplicate);
    }
    group.deposited.set(true);
    Ok(MessageOutcome::Handled)
}
