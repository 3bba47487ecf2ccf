//! How long a plan and its steps took in earlier runs: what a preview can expect.

use super::Preview;
use caxplan_model::{Duration, NodeIndex, Record, RunEnd, StepId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How long something took in earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// How many times it was measured.
    pub runs: u32,
    /// Half of them took no longer.
    pub median: Duration,
    /// Nine of ten took no longer.
    pub p90: Duration,
}

impl Usual {
    /// From measurements; `None` if there are none.
    fn of(measured: &[Duration]) -> Option<Self> {
        let mut sorted = measured.to_vec();
        sorted.sort_unstable();
        // The nearest rank: a value that was really measured.
        let at = |percent: usize| {
            sorted
                .get((sorted.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
        };
        Some(Self {
            runs: u32::try_from(sorted.len()).unwrap_or(u32::MAX),
            median: at(50)?,
            p90: at(90)?,
        })
    }
}

impl fmt::Display for Usual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.runs == 1 { "run" } else { "runs" };
        write!(
            f,
            "{} (median of {} earlier {times}; 90% within {})",
            rounded(self.median),
            self.runs,
            rounded(self.p90)
        )
    }
}

/// A duration without what nobody needs of it: milliseconds of minutes.
fn rounded(duration: Duration) -> Duration {
    let millis = duration.as_millis();
    let step = match millis {
        0..10_000 => 1,
        10_000..600_000 => 1_000,
        _ => 60_000,
    };
    Duration::from_millis((millis + step / 2) / step * step)
}

/// What earlier runs of a plan took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    whole: Vec<Duration>,
    steps: BTreeMap<StepId, Vec<Duration>>,
}

/// One run that is being looked through, record by record: only what is going on in it is kept.
#[derive(Debug)]
pub struct Past<'h> {
    history: &'h mut History,
    ids: Vec<StepId>,
    began: BTreeMap<NodeIndex, Timestamp>,
    broken: BTreeSet<NodeIndex>,
    created: Option<Timestamp>,
    engines: u32,
}

impl History {
    /// Looks through one more run; `ids` are those of the nodes of the graph that it began with.
    pub fn past(&mut self, ids: Vec<StepId>) -> Past<'_> {
        Past {
            history: self,
            ids,
            began: BTreeMap::new(),
            broken: BTreeSet::new(),
            created: None,
            engines: 0,
        }
    }
}

impl Past<'_> {
    /// Notes the next record. What an engine was taken from in its middle is left out: nobody knows how long it would
    /// have taken.
    pub fn note(&mut self, record: &Record) {
        match record {
            Record::RunCreated { at, .. } => self.created = Some(*at),
            Record::Resumed { .. } => {
                self.engines += 1;
                self.broken.extend(self.began.keys());
            }
            Record::StepStarted { at, node, .. } => {
                self.began.entry(*node).or_insert(*at);
            }
            Record::StepEnded {
                at, node, outcome, ..
            } if outcome.is_success() => {
                let whole = !self.broken.contains(node);
                if let (Some(began), Some(id), true) =
                    (self.began.remove(node), self.ids.get(node.index()), whole)
                {
                    let measured = self.history.steps.entry(id.clone()).or_default();
                    measured.push(at.since(began));
                }
            }
            Record::RunEnded {
                at,
                end: RunEnd::Succeeded,
            } if self.engines == 1 => {
                let took = self.created.map(|created| at.since(created));
                self.history.whole.extend(took);
            }
            _ => {}
        }
    }
}

impl Preview {
    /// Adds what earlier runs of the plan took. Steps that none of them ran are left without.
    pub fn remember(&mut self, history: &History) {
        self.expected = Usual::of(&history.whole);
        for entry in &mut self.entries {
            entry.usual = history
                .steps
                .get(&entry.id)
                .and_then(|measured| Usual::of(measured))
                .map(Box::new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Usual};

    #[test]
    fn what_is_usual_was_measured() {
        let check = |millis: &[u64], expected: Option<(u64, u64)>| {
            let measured: Vec<Duration> = millis.iter().copied().map(Duration::from_millis).collect();
            let usual = Usual::of(&measured).map(|usual| (usual.median.as_millis(), usual.p90.as_millis()));
            assert_eq!(usual, expected, "{millis:?}");
        };
        check(&[], None);
        check(&[7], Some((7, 7)));
        check(&[3, 1, 2], Some((2, 3)));
        check(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], Some((5, 9)));
    }
}
