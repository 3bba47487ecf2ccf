//! One scenario for each thing that can go wrong.

use super::ending::{End, Ending};
use super::fault::Fault;
use super::findings::{Findings, Row};
use super::knowledge::id_of;
use super::model::Model;
use super::script::Script;
use super::story::{Opening, Story};
use caxplan_model::{NodeKind, Record, StepId, Undo};
use std::collections::{BTreeSet, VecDeque};

/// The most scenarios that are tried if nothing else is said.
pub const SCENARIOS_MAX: u64 = 20_000;
/// The most records that all scenarios together have if nothing else is said, so that a large plan ends in minutes.
pub const RECORDS_MAX: u64 = 40_000_000;

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Also two things that go wrong in one run.
    pub pairs: bool,
    /// Also a crash of the engine after each record of the good path, and of the rollback of all of it.
    pub crashes: bool,
    /// The most scenarios.
    pub scenarios_max: u64,
    /// The most records that all scenarios together may have.
    pub records_max: u64,
}

/// Tries everything, one after the other.
pub fn explore(model: &Model, options: &Options) -> Findings {
    let mut survey = Survey {
        model,
        work: 0,
        limit: options.scenarios_max.max(1),
        records_max: options.records_max,
        findings: Findings::of(model.graph()),
        undos_tried: BTreeSet::new(),
    };
    let good = survey.try_out(&Script::default());
    let regretted = survey.try_out(&Script::regretted());
    survey.note_good_path(&good);
    let singles = faults(&good, 0, None).map(|fault| Script::default().and(fault));
    let undos = faults(&regretted, good.chances.len(), Some(Opening::Undo))
        .map(|fault| Script::regretted().and(fault));
    let mut queue: VecDeque<Script> = singles.chain(undos).collect();
    if options.crashes {
        queue.extend(crashes(&Script::default(), &good));
        // Up to its rollback it is the good path.
        let first = good.records.len() as u64;
        let after = |script: &Script| script.crash.is_some_and(|(record, _)| record >= first);
        queue.extend(crashes(&Script::regretted(), &regretted).filter(after));
    }
    let mut pairs = Vec::new();
    while let Some(script) = survey.next(&mut queue) {
        let story = survey.try_out(&script);
        if script.crash.is_some() || script.faults.len() != 1 {
            continue;
        }
        let from = story.struck.get(&0).map_or(usize::MAX, |at| at + 1);
        let first = script.faults.first().cloned();
        // The undo of each step fails once at least, even of one that the good path does not reach.
        let undos: Vec<Fault> = faults(&story, from, Some(Opening::Undo)).collect();
        for undo in undos {
            let new = survey.undos_tried.insert(undo.step.clone());
            if new && !options.pairs {
                queue.push_back(script.and(undo));
            }
        }
        if options.pairs {
            pairs.extend(
                faults(&story, from, None)
                    .filter(|fault| Some(fault) != first.as_ref())
                    .map(|fault| script.and(fault)),
            );
        }
    }
    survey.findings.left_out += queue.len() as u64;
    let mut queue = VecDeque::from(pairs);
    while let Some(script) = survey.next(&mut queue) {
        survey.try_out(&script);
    }
    survey.findings.left_out += queue.len() as u64;
    survey.findings.settle();
    survey.findings
}

/// Runs one scenario. `Err` if one of its faults does not come to pass.
pub fn tell(model: &Model, script: &Script) -> Result<(Story, Ending), Unheard> {
    let story = model.run(script);
    let deaf = (0..script.faults.len()).find(|at| !story.struck.contains_key(at));
    if let Some(at) = deaf {
        return Err(Unheard {
            fault: script.faults[at].clone(),
        });
    }
    let ending = Ending::of(&story, script);
    Ok((story, ending))
}

/// A fault of a scenario that does not come to pass.
#[derive(Clone, Debug)]
pub struct Unheard {
    /// The fault.
    pub fault: Fault,
}

struct Survey<'m> {
    model: &'m Model,
    work: u64,
    limit: u64,
    records_max: u64,
    findings: Findings,
    undos_tried: BTreeSet<StepId>,
}

impl Survey<'_> {
    /// The next scenario, if the limits allow for one more.
    fn next(&self, queue: &mut VecDeque<Script>) -> Option<Script> {
        if self.findings.rows.len() as u64 >= self.limit || self.work >= self.records_max {
            return None;
        }
        queue.pop_front()
    }

    fn try_out(&mut self, script: &Script) -> Story {
        let (story, resumed, rolled_back) = self.model.run_on(script);
        self.work += (story.records.len() + resumed.records.len() + rolled_back.records.len()) as u64;
        let ending = Ending::of(&story, script);
        let resumed = Ending::of(&resumed, script);
        let rolled_back = Ending::of(&rolled_back, script);
        self.findings
            .assumptions
            .extend(story.assumptions.iter().cloned());
        self.findings
            .without_limit
            .extend(story.without_limit.iter().cloned());
        let taken_up = !matches!(ending.end, End::Succeeded | End::RolledBack);
        self.findings.rows.push(Row {
            id: script.to_string(),
            resumed: taken_up.then_some(resumed.end),
            left_by_rollback: rolled_back.not_undone,
            ending,
        });
        story
    }

    /// The first step that changes something for good.
    fn note_good_path(&mut self, story: &Story) {
        let graph = story.state.graph();
        self.findings.good_path = story.duration();
        self.findings.point_of_no_return = story.records.iter().find_map(|record| match record {
            Record::StepStarted { node, .. } => match &graph.node(*node).kind {
                NodeKind::Action(action) if !action.read_only && action.undo == Undo::Impossible => {
                    Some(graph.node(*node).id.clone())
                }
                _ => None,
            },
            _ => None,
        });
    }
}

/// What can go wrong in a story from a chance on, at all openings or at one kind of them.
fn faults(story: &Story, from: usize, only: Option<Opening>) -> impl Iterator<Item = Fault> + '_ {
    story
        .chances
        .iter()
        .skip(from)
        .filter(move |chance| only.is_none_or(|only| chance.opening == only))
        .flat_map(|chance| {
            let step = id_of(&story.state, chance.node);
            story.faults_at(chance).into_iter().map(|kind| Fault {
                step: step.clone(),
                kind,
            })
        })
        .collect::<EachOnce>()
        .0
        .into_iter()
}

/// Each fault once, in the order in which it came.
struct EachOnce(Vec<Fault>);

impl FromIterator<Fault> for EachOnce {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        let mut seen = BTreeSet::new();
        Self(
            faults
                .into_iter()
                .filter(|fault| seen.insert(fault.clone()))
                .collect(),
        )
    }
}

/// A crash after each record; where something was going on then, it had done its work or not.
fn crashes<'s>(script: &'s Script, story: &'s Story) -> impl Iterator<Item = Script> + 's {
    let mut going_on = 0_u32;
    story.records.iter().zip(1_u64..).flat_map(move |(record, at)| {
        // What this record starts has not begun when the engine dies.
        let acts = going_on > 0;
        match record {
            Record::StepStarted { .. } | Record::UndoStarted { .. } => going_on += 1,
            Record::StepEnded { .. } | Record::UndoEnded { .. } => going_on = going_on.saturating_sub(1),
            _ => {}
        }
        let crash = move |acted: bool| Script {
            crash: Some((at, acted)),
            ..script.clone()
        };
        std::iter::once(crash(false)).chain(acts.then(|| crash(true)))
    })
}
