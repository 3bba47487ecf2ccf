//! What a node of the graph does, and what happens when it fails.

use crate::{ActionCall, Duration, FailureKind, ShortText};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// One action and all that is said about running it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionStep {
    /// The action; its arguments may hold templates.
    pub call: ActionCall,
    /// The name of the target it acts on, if any: a text or a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ShortText>,
    /// When and how often to try again, if it says so: see [`ActionStep::retry`].
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "retry_if_any"
    )]
    pub retry: Option<Box<Retry>>,
    /// The time limit of one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Conditions on the output; a success that does not meet them is a failure of kind `expectation`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Check>,
    /// How to tell whether an interrupted attempt did its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Box<Probe>>,
    /// How to undo it.
    pub undo: Undo,
    /// Copied from the action's specification, so that the journal stands alone.
    pub idempotent: bool,
    /// Copied: whether it only reads.
    pub read_only: bool,
    /// Copied: whether the adapter can probe.
    pub probes: bool,
    /// Copied: whether `before` is captured first.
    pub records_before: bool,
    /// The change in the number of available targets: the action's own, or what the step says of itself.
    pub availability: i8,
}

/// Older journals say it of every step.
fn retry_if_any<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Retry>>, D::Error> {
    let said = Option::<Box<Retry>>::deserialize(deserializer)?;
    Ok(said.filter(|retry| **retry != Retry::default()))
}

impl ActionStep {
    /// When and how often it is tried again.
    pub fn retry(&self) -> &Retry {
        static ONCE: LazyLock<Retry> = LazyLock::new(Retry::default);
        self.retry.as_deref().unwrap_or(&ONCE)
    }
}

/// A condition in the small grammar (`cpu_usage < 80%`), as written.
pub type Check = String;

/// How to tell whether an interrupted attempt did its work: a read-only action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The action.
    pub call: ActionCall,
    /// The condition on `output` that means *done*; without it, the output's field `done` decides.
    pub done_when: Option<Check>,
}

/// How a step is undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Nothing to undo.
    NotNeeded,
    /// The adapter does it, from `before`.
    Native,
    /// The plan's `rollback`: these actions in order.
    Calls(Vec<ActionCall>),
    /// There is no way; a rollback leaves it and says so.
    Impossible,
}

/// When and how often a failed step is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// The most attempts in all, from 1.
    pub attempts: u32,
    /// The pause before the second attempt.
    pub initial: Duration,
    /// The factor from one pause to the next, in percent: 200 doubles, 100 is constant.
    pub factor_percent: u32,
    /// The longest pause.
    pub max: Duration,
    /// Whether each pause is drawn from 50–100 % of its length, by the run's seed.
    pub jitter: bool,
    /// The classes of failures that are tried again; empty is all but `denied`, `invalid`, `cancelled`, `rejected`,
    /// `invariant` and `template`.
    pub on: Vec<FailureKind>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 1,
            initial: Duration::from_secs(1),
            factor_percent: 200,
            max: Duration::from_secs(60),
            jitter: true,
            on: Vec::new(),
        }
    }
}

/// Repeated checks for some time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// How long: a duration or a template.
    pub duration: String,
    /// The pause between two observations: a duration or a template.
    pub every: String,
    /// The read-only action whose output the checks see.
    pub observe: ActionCall,
    /// The target, as in [`ActionStep`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Conditions over the fields of the observation.
    pub checks: Vec<Check>,
    /// How many observations may breach a check, or fail, before the watch has failed.
    pub max_breaches: u32,
    /// Of a check that an invariant makes: how many plans around the one that it stands in it belongs to.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outside: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Lines that a person confirms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checklist {
    /// The lines.
    pub items: Vec<Wording>,
}

/// A text for a person. Journals have a known one as a string.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wording {
    /// As it stands, whatever it looks like.
    Known(String),
    /// With what the run knows by then.
    Late {
        /// The template.
        template: String,
    },
}

impl Wording {
    /// The text, or its template.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(text) | Self::Late { template: text } => text,
        }
    }
}

/// What happens when a node has failed for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run stops, and can be resumed.
    #[default]
    Stop,
    /// All that was done is undone, in reverse order.
    Rollback,
    /// The failure is noted and the run goes on.
    Continue,
    /// The run pauses for a person.
    Pause,
}
