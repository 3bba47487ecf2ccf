//! The agent's side of the interface: what the host calls, and what it offers.
#![allow(unsafe_code, reason = "the interface speaks in pointers and lengths")]

use std::sync::Mutex;

/// Where the host puts the message. There is one at a time, so its room is used again.
static MESSAGE: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The key of the count: a number of 8 bytes, little-endian.
const COUNT: &[u8] = b"count";

/// What `caxton_handle` answers.
const HANDLED: i32 = 0;
const NOT_UNDERSTOOD: i32 = 1;
const NOT_KEPT: i32 = 2;

#[link(wasm_import_module = "caxton")]
unsafe extern "C" {
    fn reply(content: *const u8, len: usize) -> i32;
    fn state_get(key: *const u8, key_len: usize, value: *mut u8, capacity: usize) -> i32;
    fn state_set(key: *const u8, key_len: usize, value: *const u8, len: usize) -> i32;
}

/// Makes room for a message of `len` bytes.
#[unsafe(no_mangle)]
extern "C" fn caxton_alloc(len: usize) -> *mut u8 {
    let mut message = MESSAGE
        .lock()
        .expect("the only thread does not panic while it holds the lock");
    message.clear();
    message.resize(len, 0);
    message.as_mut_ptr()
}

/// Handles the message that the host has put where `caxton_alloc` said.
#[unsafe(no_mangle)]
extern "C" fn caxton_handle(_: *const u8, _: usize) -> i32 {
    let message = MESSAGE
        .lock()
        .expect("the only thread does not panic while it holds the lock");
    let count = count() + 1;
    let Some(answer) = crate::answer(&message, count) else {
        return NOT_UNDERSTOOD;
    };
    let value = count.to_le_bytes();
    // SAFETY: the host reads that many bytes from each pointer, and each is a live slice's.
    let (kept, replied) = unsafe {
        (
            state_set(COUNT.as_ptr(), COUNT.len(), value.as_ptr(), value.len()),
            reply(answer.as_ptr(), answer.len()),
        )
    };
    if kept == 0 && replied == 0 {
        HANDLED
    } else {
        NOT_KEPT
    }
}

/// How many messages were answered so far.
fn count() -> u64 {
    let mut value = [0; 8];
    // SAFETY: the host reads the key and writes at most `capacity` bytes to the value; both are live for that long.
    let len = unsafe { state_get(COUNT.as_ptr(), COUNT.len(), value.as_mut_ptr(), value.len()) };
    if len == 8 { u64::from_le_bytes(value) } else { 0 }
}
