//! What the terminal and the system ask of a run.

use caxplan_core::schedule::Interrupt;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Interrupts (Ctrl-C), and the signals that mean the same. The first one drains the run; a second interrupt aborts it.
/// A terminal that is closed (`SIGHUP`) and a service manager that stops the engine (`SIGTERM`) drain it, however often.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    interrupted: bool,
}

impl Signals {
    /// Takes over the signals. Needs a runtime.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupted: false,
        })
    }

    /// The next one. Cancel safe.
    pub(super) async fn next(&mut self) -> Interrupt {
        tokio::select! {
            Some(()) = self.interrupt.recv() => {
                let again = std::mem::replace(&mut self.interrupted, true);
                if again { Interrupt::Abort } else { Interrupt::Drain }
            }
            Some(()) = self.terminate.recv() => Interrupt::Drain,
            Some(()) = self.hangup.recv() => Interrupt::Drain,
            else => std::future::pending().await,
        }
    }
}
