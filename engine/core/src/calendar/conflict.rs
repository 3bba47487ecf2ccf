//! Which scheduled runs would come into each other's way: played through, with how long each takes.

use caxplan_model::{Duration, IfHeld, LockName, LockPolicy, Overlap, Timestamp};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// A plan with the times at which it would start.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The times, in order.
    pub starts: Vec<Timestamp>,
    /// How long a run takes.
    pub takes: Duration,
    /// What happens if the run before is still going on.
    pub overlap: Overlap,
    /// The locks that a run holds.
    pub locks: Vec<LockName>,
    /// What a run does if one of them is held.
    pub policy: LockPolicy,
    /// The targets that a run acts on.
    pub targets: BTreeSet<String>,
}

/// Runs of one plan that find another one going on, with the same outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The plan whose runs would start, by its place in the list.
    pub plan: usize,
    /// The plan that is going on then.
    pub with: usize,
    /// When the first of them would start.
    pub at: Timestamp,
    /// From when until when the other run goes on.
    pub other: (Timestamp, Timestamp),
    /// What both want.
    pub over: Over,
    /// What becomes of the run that would start.
    pub becomes: Becomes,
    /// How many times this happens.
    pub count: u32,
    /// When it happens last.
    pub last: Timestamp,
}

/// What two runs want at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// They are runs of one plan.
    Plan,
    /// These locks.
    Locks(Vec<LockName>),
    /// These targets, and no lock keeps them apart.
    Targets(Vec<String>),
}

/// What becomes of a run that finds another one in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "becomes", rename_all = "snake_case")]
pub enum Becomes {
    /// It is left out.
    LeftOut,
    /// It starts when the other one has ended.
    Waits {
        /// When that is, the first time.
        until: Timestamp,
    },
    /// It waits as long as it may, and is refused then.
    GivesUp {
        /// When that is, the first time.
        at: Timestamp,
    },
    /// It is refused at once.
    Refused,
    /// Both run.
    Beside,
}

/// A run that would start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    at: Timestamp,
    /// When it would have started if nothing had been in its way.
    due: Timestamp,
    plan: usize,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    plan: usize,
    from: Timestamp,
    until: Timestamp,
}

/// Plays all starts through, in their order: who holds a lock, who waits, who is left out. The first of each kind comes
/// first.
pub fn conflicts(plans: &[Planned]) -> Vec<Conflict> {
    let mut play = Play {
        plans,
        waiting: BTreeSet::new(),
        running: Vec::new(),
        found: Vec::new(),
    };
    let starts = plans.iter().enumerate().flat_map(|(plan, planned)| {
        let start = move |at: &Timestamp| Start {
            at: *at,
            due: *at,
            plan,
        };
        planned.starts.iter().map(start)
    });
    let mut queue: BinaryHeap<Reverse<Start>> = starts.map(Reverse).collect();
    while let Some(Reverse(start)) = queue.pop() {
        if let Some(at) = play.start(start) {
            queue.push(Reverse(Start { at, ..start }));
        }
    }
    let mut found = play.found;
    found.sort_by_key(|conflict| (conflict.at, conflict.plan, conflict.with));
    found
}

struct Play<'p> {
    plans: &'p [Planned],
    /// Plans of which a run waits until the one before has ended.
    waiting: BTreeSet<usize>,
    running: Vec<Run>,
    found: Vec<Conflict>,
}

impl Play<'_> {
    /// Starts a run. Answers when it tries again if it has to wait.
    fn start(&mut self, start: Start) -> Option<Timestamp> {
        let planned = &self.plans[start.plan];
        self.running.retain(|run| run.until > start.at);
        let is_new = start.at == start.due;
        if !is_new {
            self.waiting.remove(&start.plan);
        }
        if let Some(before) = self.last(|run| run.plan == start.plan) {
            let becomes = match planned.overlap {
                Overlap::Forbid => Becomes::LeftOut,
                Overlap::Queue if is_new && self.waiting.contains(&start.plan) => Becomes::LeftOut,
                Overlap::Queue => Becomes::Waits { until: before.until },
                Overlap::Allow => Becomes::Beside,
            };
            self.note(start, before, Over::Plan, becomes);
            match becomes {
                Becomes::Waits { until } => {
                    self.waiting.insert(start.plan);
                    return Some(until);
                }
                Becomes::Beside => {}
                Becomes::LeftOut | Becomes::GivesUp { .. } | Becomes::Refused => return None,
            }
        }
        let plans = self.plans;
        let running = self.running.clone();
        let holders = planned.policy.holders as usize;
        let is_full = |lock: &&LockName| {
            let held = running.iter().filter(|run| plans[run.plan].locks.contains(lock));
            held.count() >= holders
        };
        let shared = |plan: usize| -> Vec<LockName> {
            let theirs = &plans[plan].locks;
            let mine = planned.locks.iter();
            mine.filter(|lock| theirs.contains(lock))
                .filter(is_full)
                .cloned()
                .collect()
        };
        let in_the_way = |run: &Run| !shared(run.plan).is_empty();
        let holder = match holders {
            1 => self.last(in_the_way),
            // A place is free as soon as the first of them has ended.
            _ => self.first(in_the_way),
        };
        if let Some(holder) = holder {
            let becomes = match planned.policy.if_held {
                IfHeld::Refuse => Becomes::Refused,
                IfHeld::Skip => Becomes::LeftOut,
                IfHeld::Queue => match planned.policy.wait_max.map(|max| start.due.after(max)) {
                    Some(at) if at < holder.until => Becomes::GivesUp { at },
                    Some(_) | None => Becomes::Waits { until: holder.until },
                },
            };
            self.note(start, holder, Over::Locks(shared(holder.plan)), becomes);
            return match becomes {
                Becomes::Waits { until } => Some(until),
                Becomes::LeftOut | Becomes::GivesUp { .. } | Becomes::Refused | Becomes::Beside => None,
            };
        }
        for other in self.running.clone() {
            let both: Vec<String> = planned
                .targets
                .intersection(&plans[other.plan].targets)
                .cloned()
                .collect();
            if other.plan != start.plan && !both.is_empty() {
                self.note(start, other, Over::Targets(both), Becomes::Beside);
            }
        }
        self.running.push(Run {
            plan: start.plan,
            from: start.at,
            until: start.at.after(planned.takes),
        });
        None
    }

    /// Of the runs that are going on, the one that ends last.
    fn last(&self, wanted: impl Fn(&Run) -> bool) -> Option<Run> {
        let of = self.running.iter().filter(|run| wanted(run));
        of.max_by_key(|run| run.until).copied()
    }

    /// Of the runs that are going on, the one that ends first.
    fn first(&self, wanted: impl Fn(&Run) -> bool) -> Option<Run> {
        let of = self.running.iter().filter(|run| wanted(run));
        of.min_by_key(|run| run.until).copied()
    }

    fn note(&mut self, start: Start, other: Run, over: Over, becomes: Becomes) {
        let same = |known: &&mut Conflict| {
            (known.plan, known.with) == (start.plan, other.plan)
                && known.over == over
                && std::mem::discriminant(&known.becomes) == std::mem::discriminant(&becomes)
        };
        if let Some(known) = self.found.iter_mut().find(same) {
            known.count += 1;
            known.last = start.due;
            return;
        }
        self.found.push(Conflict {
            plan: start.plan,
            with: other.plan,
            at: start.due,
            other: (other.from, other.until),
            over,
            becomes,
            count: 1,
            last: start.due,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Becomes, Over, Planned, conflicts};
    use caxplan_model::{Duration, IfHeld, LockName, LockPolicy, Overlap, Timestamp};
    use std::collections::BTreeSet;

    const MINUTE: u64 = 60_000;

    fn plan(starts: &[u64], takes: u64, lock: Option<(&str, IfHeld)>, targets: &[&str]) -> Planned {
        Planned {
            starts: starts.iter().map(|at| Timestamp(at * MINUTE)).collect(),
            takes: Duration::from_millis(takes * MINUTE),
            overlap: Overlap::Forbid,
            locks: lock.iter().map(|(name, _)| LockName::new(*name)).collect(),
            policy: LockPolicy {
                if_held: lock.map_or(IfHeld::Refuse, |(_, if_held)| if_held),
                ..LockPolicy::default()
            },
            targets: targets
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<_>>(),
        }
    }

    /// Each conflict as `plan with at: what it becomes, until when, how many times`.
    fn check(plans: &[Planned], expected: &[&str]) {
        let lines: Vec<String> = conflicts(plans)
            .iter()
            .map(|of| {
                let over = match &of.over {
                    Over::Plan => "itself".to_owned(),
                    Over::Locks(locks) => format!("{locks:?}"),
                    Over::Targets(targets) => targets.join("+"),
                };
                let becomes = match of.becomes {
                    Becomes::LeftOut => "left out".to_owned(),
                    Becomes::Waits { until } => format!("waits until {}", until.0 / MINUTE),
                    Becomes::GivesUp { at } => format!("gives up at {}", at.0 / MINUTE),
                    Becomes::Refused => "refused".to_owned(),
                    Becomes::Beside => "beside".to_owned(),
                };
                let at = of.at.0 / MINUTE;
                format!("{} {} {at}: {over}, {becomes}, {}", of.plan, of.with, of.count)
            })
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn plans_that_want_nothing_of_each_other_are_in_nobodys_way() {
        check(
            &[
                plan(&[0, 60], 30, Some(("a", IfHeld::Refuse)), &["n1"]),
                plan(&[0, 60], 30, Some(("b", IfHeld::Refuse)), &["n2"]),
            ],
            &[],
        );
        check(
            &[plan(&[0], 30, None, &["n"]), plan(&[30], 30, None, &["n"])],
            &[],
        );
    }

    #[test]
    fn a_lock_that_is_held_is_waited_for_skipped_or_an_error() {
        let lock = |if_held| Some(("db", if_held));
        let long = plan(&[0, 100], 30, lock(IfHeld::Queue), &[]);
        check(
            &[long.clone(), plan(&[10, 110], 5, lock(IfHeld::Refuse), &[])],
            &["1 0 10: [LockName(\"db\")], refused, 2"],
        );
        check(
            &[long.clone(), plan(&[10, 200], 5, lock(IfHeld::Skip), &[])],
            &["1 0 10: [LockName(\"db\")], left out, 1"],
        );
        // Who waited holds it afterwards: the third one finds it held by the second.
        check(
            &[
                plan(&[0], 30, lock(IfHeld::Queue), &[]),
                plan(&[10], 20, lock(IfHeld::Queue), &[]),
                plan(&[40], 20, lock(IfHeld::Refuse), &[]),
            ],
            &[
                "1 0 10: [LockName(\"db\")], waits until 30, 1",
                "2 1 40: [LockName(\"db\")], refused, 1",
            ],
        );
        let mut impatient = plan(&[10], 5, lock(IfHeld::Queue), &[]);
        impatient.policy.wait_max = Some(Duration::from_millis(5 * MINUTE));
        check(
            &[long, impatient],
            &["1 0 10: [LockName(\"db\")], gives up at 15, 1"],
        );
    }

    #[test]
    fn a_lock_with_two_places_is_full_for_the_third() {
        let two = |starts: &[u64], takes: u64| {
            let mut plan = plan(starts, takes, Some(("db", IfHeld::Queue)), &[]);
            plan.policy.holders = 2;
            plan
        };
        check(
            &[two(&[0], 30), two(&[1], 10), two(&[2], 5)],
            &["2 1 2: [LockName(\"db\")], waits until 11, 1"],
        );
    }

    #[test]
    fn the_run_before_and_targets_of_others() {
        let mut every = plan(&[0, 10, 20, 30, 40], 25, None, &["n1"]);
        check(&[every.clone()], &["0 0 10: itself, left out, 3"]);
        every.overlap = Overlap::Queue;
        check(
            &[every.clone()],
            &["0 0 10: itself, waits until 25, 2", "0 0 20: itself, left out, 2"],
        );
        every.overlap = Overlap::Allow;
        check(
            &[every, plan(&[15], 1, None, &["n1", "n2"])],
            &["0 0 10: itself, beside, 4", "1 0 15: n1, beside, 2"],
        );
    }
}
