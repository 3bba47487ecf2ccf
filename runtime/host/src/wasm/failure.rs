//! How handling a message fails.

use std::fmt;

/// Why an agent did not handle a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It said so itself, with this code.
    Refused(i32),
    /// The code trapped.
    Trap {
        /// What happened.
        trap: String,
        /// Whether it had asked for more memory than it may have.
        out_of_memory: bool,
    },
    /// It called a host function, or answered the host, in a way that the ABI does not allow.
    Fault(Fault),
    /// The message is larger than agents are given.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The most.
        bytes_max: usize,
    },
    /// There was no room, or no way, for a new instance.
    Start(String),
}

/// A breach of the ABI, or a limit that ends the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// A pointer with a length that does not lie within the memory.
    #[error("`{function}`: {len} bytes at {ptr} lie outside of the agent's memory")]
    Pointer {
        /// Which function was given it, or gave it.
        function: &'static str,
        /// The pointer.
        ptr: u32,
        /// The length.
        len: u32,
    },
    /// More random bytes than a call may ask for.
    #[error("`random`: {len} bytes were asked for, and {max} are allowed")]
    Random {
        /// How many.
        len: u32,
        /// The most.
        max: u32,
    },
    /// Handling took too long.
    #[error("the time limit of {limit_ms} ms was reached")]
    Time {
        /// The limit.
        limit_ms: u64,
    },
}

impl Failure {
    /// Whether it counts against the agent: a refusal is its good right, and the message's size not its fault.
    pub(crate) fn is_crash(&self) -> bool {
        match self {
            Self::Refused(_) | Self::TooLarge { .. } => false,
            Self::Trap { .. } | Self::Fault(_) | Self::Start(_) => true,
        }
    }

    /// What a failed call says.
    pub(super) fn from_call(error: &wasmtime::Error, out_of_memory: bool) -> Self {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return Self::Fault(fault.clone());
        }
        let trap = match error.downcast_ref::<wasmtime::Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        Self::Trap { trap, out_of_memory }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "the agent answered with code {code}"),
            Self::Trap { trap, out_of_memory } => {
                write!(f, "the agent's code failed: {trap}")?;
                if *out_of_memory {
                    write!(f, " (it had reached its memory limit)")?;
                }
                Ok(())
            }
            Self::Fault(fault) => write!(f, "the agent broke a rule: {fault}"),
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "the message has {bytes} bytes, and {bytes_max} are allowed")
            }
            Self::Start(why) => write!(f, "the agent could not be started: {why}"),
        }
    }
}
