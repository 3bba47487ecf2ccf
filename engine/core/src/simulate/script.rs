//! What happens in one simulated run beyond all going well.

use super::fault::{Fault, FaultKind};
use caxplan_model::{Answer, Cause, FailureEffect, StepId, Value};
use std::collections::BTreeMap;
use std::fmt;

/// What happens in one simulated run. The empty script is the good path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// The engine dies as soon as this many records are durable; whether what was going on then did its work.
    pub crash: Option<(u64, bool)>,
    /// When the run has succeeded, a person has it rolled back.
    pub regretted: bool,
    /// Outputs of steps; those of the others are unknown.
    pub outputs: BTreeMap<StepId, Value>,
    /// What was there before steps acted.
    pub befores: BTreeMap<StepId, Value>,
    /// Steps that fail in a way of their own.
    pub failing: BTreeMap<StepId, Failing>,
    /// What people answer; a question that is not here is approved.
    pub answers: BTreeMap<StepId, Option<Answer>>,
    /// Steps that find everything as it should be and change nothing.
    pub unchanged: Vec<StepId>,
    /// What an environment variable or a secret is; others are unknown.
    pub known: BTreeMap<&'static str, BTreeMap<String, Value>>,
}

/// How a step fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    /// Why.
    pub cause: Cause,
    /// Whether it may have acted.
    pub effect: FailureEffect,
    /// How many attempts fail; the next one succeeds.
    pub attempts: u32,
}

impl Script {
    /// The good path, with a rollback after it.
    pub(super) fn regretted() -> Self {
        Self {
            regretted: true,
            ..Self::default()
        }
    }

    /// This script, with one more fault.
    pub(super) fn and(&self, fault: Fault) -> Self {
        let mut more = self.clone();
        more.faults.push(fault);
        more
    }

    pub(super) fn has(&self, step: &StepId, kind: FaultKind) -> bool {
        self.faults
            .iter()
            .any(|fault| fault.kind == kind && fault.step == *step)
    }
}

const GOOD_PATH: &str = "good-path";
const REGRETTED: &str = "rollback-after-success";

/// The id of a scenario: `STEP:FAULT`, several joined by commas, `rollback-after-success` first if that is so, and
/// `@N` (or `@N+acted`) at the end for a crash after record N.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        if self.regretted {
            parts.push(REGRETTED.to_owned());
        }
        parts.extend(self.faults.iter().map(Fault::to_string));
        if parts.is_empty() {
            parts.push(GOOD_PATH.to_owned());
        }
        f.write_str(&parts.join(","))?;
        match self.crash {
            Some((record, acted)) => write!(f, "@{record}{}", if acted { "+acted" } else { "" }),
            None => Ok(()),
        }
    }
}

impl std::str::FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (faults, crash) = match text.rsplit_once('@') {
            Some((faults, crash)) => {
                let (record, acted) = match crash.strip_suffix("+acted") {
                    Some(record) => (record, true),
                    None => (crash, false),
                };
                let record = record
                    .parse()
                    .map_err(|_| format!("`{record}` is no number of a record"))?;
                (faults, Some((record, acted)))
            }
            None => (text, None),
        };
        let mut script = Self {
            crash,
            ..Self::default()
        };
        for part in faults.split(',').map(str::trim) {
            match part {
                GOOD_PATH => {}
                REGRETTED => script.regretted = true,
                fault => script.faults.push(fault.parse()?),
            }
        }
        Ok(script)
    }
}
