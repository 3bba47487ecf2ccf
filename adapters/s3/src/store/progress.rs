//! What is said while a large object is under way.

use crate::client::Client;
use crate::units::shown;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The least time between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// Counts bytes of one object, and says now and then how many there are.
pub(crate) struct Progress<'a> {
    client: &'a Client,
    verb: &'static str,
    total: u64,
    began: Instant,
    state: Mutex<(u64, Instant)>,
}

impl<'a> Progress<'a> {
    /// Begins to count; `verb` is `uploaded` or the like.
    pub(crate) fn new(client: &'a Client, verb: &'static str, total: u64) -> Self {
        let now = Instant::now();
        Self {
            client,
            verb,
            total,
            began: now,
            state: Mutex::new((0, now)),
        }
    }

    /// So many more are done.
    pub(crate) fn add(&self, bytes: u64) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 += bytes;
        let (done, said) = *state;
        if said.elapsed() < EVERY || done >= self.total {
            return;
        }
        state.1 = Instant::now();
        drop(state);
        let (verb, total) = (self.verb, self.total);
        let percent = done.saturating_mul(100) / total.max(1);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let rate = (done as f64 / self.began.elapsed().as_secs_f64()) as u64;
        self.client.note(&format!(
            "{verb} {} of {} ({percent} %, {}/s)",
            shown(done),
            shown(total),
            shown(rate)
        ));
    }
}
