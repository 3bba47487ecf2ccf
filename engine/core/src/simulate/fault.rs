//! What can go wrong, and how it is named.

use caxplan_model::StepId;
use serde::Serialize;
use std::fmt;

/// One thing that goes wrong at one step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The step.
    pub step: StepId,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Every attempt fails and certainly changes nothing.
    Fails,
    /// Every attempt breaks off and may have changed something; a probe cannot tell.
    FailsMidway,
    /// Every attempt reaches its time limit; whether it acted is unknown, and a probe cannot tell.
    TimesOut,
    /// The engine dies in the middle of the first attempt and the run is resumed. What the attempt did, and what a probe
    /// says of it.
    InDoubt(Truth),
    /// A person interrupts the run during the step: it ends, and nothing more starts.
    Interrupted,
    /// Every observation of a watch breaches its checks.
    Breaches,
    /// A person says no.
    Rejected,
    /// Every attempt at undoing the step fails.
    UndoFails,
    /// A condition of which only the run knows the value is false; without this it is taken as true.
    NotTaken,
}

/// What an attempt that was cut off did, and what a probe finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truth {
    /// Its work.
    Done,
    /// Nothing.
    NotDone,
    /// Something, perhaps: no probe can tell.
    Unknown,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Fails,
        Self::FailsMidway,
        Self::TimesOut,
        Self::InDoubt(Truth::Done),
        Self::InDoubt(Truth::NotDone),
        Self::InDoubt(Truth::Unknown),
        Self::Interrupted,
        Self::Breaches,
        Self::Rejected,
        Self::UndoFails,
        Self::NotTaken,
    ];

    /// Its name in the id of a scenario.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::FailsMidway => "fails-midway",
            Self::TimesOut => "times-out",
            Self::InDoubt(Truth::Done) => "in-doubt-done",
            Self::InDoubt(Truth::NotDone) => "in-doubt-not-done",
            Self::InDoubt(Truth::Unknown) => "in-doubt-unknown",
            Self::Interrupted => "interrupted",
            Self::Breaches => "breaches",
            Self::Rejected => "rejected",
            Self::UndoFails => "undo-fails",
            Self::NotTaken => "not-taken",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.step, self.kind.name())
    }
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = || FaultKind::ALL.map(FaultKind::name).join(", ");
        let (step, kind) = text.rsplit_once(':').ok_or_else(|| {
            format!(
                "`{text}` is no scenario; write STEP:FAULT, with one of {}",
                kinds()
            )
        })?;
        let kind = FaultKind::ALL
            .into_iter()
            .find(|of| of.name() == kind)
            .ok_or_else(|| format!("`{kind}` is no fault; there are {}", kinds()))?;
        Ok(Self {
            step: StepId::new(step),
            kind,
        })
    }
}
