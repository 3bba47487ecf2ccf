//! The host functions that agents may call: all that reaches the host from within. `docs/agents.md` describes them.

use super::failure::Fault;
use super::guest::{Current, Guest};
use caxton_model::{AgentName, ConversationId, Delivery, Envelope, Performative};
use rand::RngCore as _;
use serde::Deserialize;
use std::ops::Range;
use wasmtime::{Caller, Extern, Linker, Result};

/// The module name of all imports.
pub(super) const IMPORT_MODULE: &str = "caxton";

/// The names of all imports.
pub(super) const IMPORTS: [&str; 8] = [
    "send",
    "reply",
    "log",
    "now_ms",
    "random",
    "state_get",
    "state_set",
    "state_delete",
];

/// The most messages that an agent sends while it handles one.
const OUTGOING_MAX: usize = 64;

/// The most bytes of all messages that an agent sends while it handles one.
const OUTGOING_BYTES_MAX: usize = 1 << 20;

/// The most bytes of state that an agent writes while it handles one message.
const STATE_BYTES_MAX: usize = 1 << 20;

/// The longest key.
const KEY_BYTES_MAX: u32 = 256;

/// The most random bytes of one call.
const RANDOM_BYTES_MAX: u32 = 64 << 10;

/// A longer line of the log is cut.
const LOG_LINE_BYTES_MAX: usize = 4 << 10;

/// The most lines of the log while an agent handles one message; more are left out.
const LOG_LINES_MAX: u32 = 100;

/// What host functions answer.
mod code {
    /// Done.
    pub(super) const OK: i32 = 0;
    /// There is no such key.
    pub(super) const ABSENT: i32 = -1;
    /// The bytes are not what the function expects.
    pub(super) const INVALID: i32 = -2;
    /// A limit is reached; nothing was done.
    pub(super) const LIMIT: i32 = -3;
    /// Only while a message is being handled.
    pub(super) const NOT_NOW: i32 = -4;
}

/// What an agent hands to `send`. Absent fields are those of the message at hand where that makes sense.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outgoing {
    receiver: AgentName,
    performative: Performative,
    #[serde(default)]
    content: serde_json::Value,
    conversation_id: Option<ConversationId>,
    reply_with: Option<String>,
    in_reply_to: Option<String>,
    delivery: Option<Delivery>,
}

/// A linker with all host functions and nothing else.
pub(super) fn linker(engine: &wasmtime::Engine) -> Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap(IMPORT_MODULE, "send", send)?
        .func_wrap(IMPORT_MODULE, "reply", reply)?
        .func_wrap(IMPORT_MODULE, "log", log)?
        .func_wrap(IMPORT_MODULE, "now_ms", now_ms)?
        .func_wrap(IMPORT_MODULE, "random", random)?
        .func_wrap(IMPORT_MODULE, "state_get", state_get)?
        .func_wrap(IMPORT_MODULE, "state_set", state_set)?
        .func_wrap(IMPORT_MODULE, "state_delete", state_delete)?;
    Ok(linker)
}

fn send(mut caller: Caller<'_, Guest>, ptr: u32, len: u32) -> Result<i32> {
    let (memory, guest) = parts(&mut caller);
    let bytes = slice(memory, "send", ptr, len)?;
    let Some(current) = guest.current.as_mut() else {
        return Ok(code::NOT_NOW);
    };
    let Ok(outgoing) = serde_json::from_slice::<Outgoing>(bytes) else {
        return Ok(code::INVALID);
    };
    Ok(push(current, &guest.identity.agent, outgoing, bytes.len()))
}

fn reply(mut caller: Caller<'_, Guest>, ptr: u32, len: u32) -> Result<i32> {
    let (memory, guest) = parts(&mut caller);
    let bytes = slice(memory, "reply", ptr, len)?;
    let Some(current) = guest.current.as_mut() else {
        return Ok(code::NOT_NOW);
    };
    let Ok(content) = serde_json::from_slice(bytes) else {
        return Ok(code::INVALID);
    };
    let outgoing = Outgoing {
        receiver: current.envelope.sender.clone(),
        performative: Performative::Inform,
        content,
        conversation_id: None,
        reply_with: None,
        in_reply_to: current.envelope.reply_with.clone(),
        delivery: None,
    };
    Ok(push(current, &guest.identity.agent, outgoing, bytes.len()))
}

fn push(current: &mut Current, sender: &AgentName, outgoing: Outgoing, bytes: usize) -> i32 {
    if current.outgoing.len() >= OUTGOING_MAX || current.outgoing_bytes + bytes > OUTGOING_BYTES_MAX {
        return code::LIMIT;
    }
    let cause = &current.envelope;
    let index = current.outgoing.len() as u32;
    let envelope = Envelope {
        id: cause.id.derived(sender, index),
        performative: outgoing.performative,
        sender: sender.clone(),
        receiver: outgoing.receiver,
        content: outgoing.content,
        conversation_id: outgoing.conversation_id.or_else(|| cause.conversation_id.clone()),
        reply_with: outgoing.reply_with,
        in_reply_to: outgoing.in_reply_to,
        home: cause.home.clone(),
        timestamp_ms: crate::store::now_ms(),
        delivery: outgoing.delivery.unwrap_or(cause.delivery),
        traceparent: cause.traceparent.clone(),
    };
    current.outgoing_bytes += bytes;
    current.outgoing.push(envelope);
    code::OK
}

fn log(mut caller: Caller<'_, Guest>, level: i32, ptr: u32, len: u32) -> Result<()> {
    let (memory, guest) = parts(&mut caller);
    let bytes = slice(memory, "log", ptr, len)?;
    if let Some(current) = guest.current.as_mut() {
        if current.log_lines >= LOG_LINES_MAX {
            return Ok(());
        }
        current.log_lines += 1;
    }
    let agent = guest.identity.agent.as_str();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LOG_LINE_BYTES_MAX)]);
    // Whatever an agent writes stays within its line.
    let line = text.replace(char::is_control, " ");
    match level {
        ..=0 => tracing::error!(target: "agent", agent, "{line}"),
        1 => tracing::warn!(target: "agent", agent, "{line}"),
        2 => tracing::info!(target: "agent", agent, "{line}"),
        3 => tracing::debug!(target: "agent", agent, "{line}"),
        4.. => tracing::trace!(target: "agent", agent, "{line}"),
    }
    Ok(())
}

fn now_ms(_: Caller<'_, Guest>) -> i64 {
    i64::try_from(crate::store::now_ms()).unwrap_or(i64::MAX)
}

fn random(mut caller: Caller<'_, Guest>, ptr: u32, len: u32) -> Result<()> {
    if len > RANDOM_BYTES_MAX {
        return Err(Fault::Random {
            len,
            max: RANDOM_BYTES_MAX,
        }
        .into());
    }
    let (memory, _) = parts(&mut caller);
    let range = range(memory, "random", ptr, len)?;
    rand::rng().fill_bytes(&mut memory[range]);
    Ok(())
}

fn state_get(
    mut caller: Caller<'_, Guest>,
    key_ptr: u32,
    key_len: u32,
    value_ptr: u32,
    value_capacity: u32,
) -> Result<i32> {
    let (memory, guest) = parts(&mut caller);
    let room = range(memory, "state_get", value_ptr, value_capacity)?;
    let Some(value) = guest.state.get(slice(memory, "state_get", key_ptr, key_len)?) else {
        return Ok(code::ABSENT);
    };
    let copied = value.len().min(room.len());
    memory[room][..copied].copy_from_slice(&value[..copied]);
    Ok(i32::try_from(value.len()).unwrap_or(i32::MAX))
}

fn state_set(
    mut caller: Caller<'_, Guest>,
    key_ptr: u32,
    key_len: u32,
    value_ptr: u32,
    value_len: u32,
) -> Result<i32> {
    let (memory, guest) = parts(&mut caller);
    let key = slice(memory, "state_set", key_ptr, key_len)?;
    let value = slice(memory, "state_set", value_ptr, value_len)?;
    change(guest, key_len, value.len(), |guest| {
        if guest.state.set(key, value) {
            code::OK
        } else {
            code::LIMIT
        }
    })
}

fn state_delete(mut caller: Caller<'_, Guest>, key_ptr: u32, key_len: u32) -> Result<i32> {
    let (memory, guest) = parts(&mut caller);
    let key = slice(memory, "state_delete", key_ptr, key_len)?;
    change(guest, key_len, 0, |guest| {
        if guest.state.delete(key) {
            code::OK
        } else {
            code::ABSENT
        }
    })
}

/// Makes a change of the state if the rules allow one.
fn change(
    guest: &mut Guest,
    key_len: u32,
    value_len: usize,
    change: impl FnOnce(&mut Guest) -> i32,
) -> Result<i32> {
    let Some(current) = guest.current.as_mut() else {
        return Ok(code::NOT_NOW);
    };
    if key_len == 0 || key_len > KEY_BYTES_MAX {
        return Ok(code::INVALID);
    }
    let bytes = current.state_bytes + key_len as usize + value_len;
    if bytes > STATE_BYTES_MAX {
        return Ok(code::LIMIT);
    }
    current.state_bytes = bytes;
    Ok(change(guest))
}

/// The caller's memory, and what the host knows about it.
fn parts<'a>(caller: &'a mut Caller<'_, Guest>) -> (&'a mut [u8], &'a mut Guest) {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => memory.data_and_store_mut(caller),
        // Validation demands the export; while a `start` function runs, it may not be there yet: then no pointer is good.
        _ => (&mut [], caller.data_mut()),
    }
}

fn slice<'a>(memory: &'a [u8], function: &'static str, ptr: u32, len: u32) -> Result<&'a [u8], Fault> {
    Ok(&memory[range(memory, function, ptr, len)?])
}

/// The place of these bytes, if it lies within the memory.
pub(super) fn range(
    memory: &[u8],
    function: &'static str,
    ptr: u32,
    len: u32,
) -> Result<Range<usize>, Fault> {
    let start = ptr as usize;
    let end = start.saturating_add(len as usize);
    if end > memory.len() {
        return Err(Fault::Pointer { function, ptr, len });
    }
    Ok(start..end)
}
