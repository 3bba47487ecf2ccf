//! What a run does if a lock that it needs is held.

use crate::Duration;
use serde::{Deserialize, Serialize};

/// What a run does if a lock that it needs is held by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockPolicy {
    /// Whether it waits.
    pub if_held: IfHeld,
    /// How long a queued run waits at most; for ever if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_max: Option<Duration>,
    /// How many runs may hold it at once, from 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub holders: u32,
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(number: &u32) -> bool {
    *number == 1
}

impl Default for LockPolicy {
    fn default() -> Self {
        Self {
            if_held: IfHeld::default(),
            wait_max: None,
            holders: 1,
        }
    }
}

impl LockPolicy {
    /// Whether it is the one of a plan that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What happens to a run that finds a lock held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfHeld {
    /// It is an error: there is no run.
    #[default]
    Refuse,
    /// It waits its turn.
    Queue,
    /// It is left out, and that is well.
    Skip,
}
