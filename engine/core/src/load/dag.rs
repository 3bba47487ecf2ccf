//! The order of steps that say what they need.

use super::report::Report;
use super::step::Step;
use super::suggest::did_you_mean;
use std::collections::BTreeSet;

/// What each step needs, by position.
pub(super) struct DagOrder {
    /// Directly.
    pub(super) needs: Vec<Vec<usize>>,
    /// Directly or through others.
    pub(super) closures: Vec<BTreeSet<usize>>,
}

/// Resolves `needs`; reports names that are not there, and circles as a path.
pub(super) fn order(steps: &[Step], report: &mut Report) -> DagOrder {
    let find = |name: &str| steps.iter().position(|step| step.name() == Some(name));
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(steps.len());
    for step in steps {
        let mut own = Vec::new();
        for need in &step.options.needs {
            match find(&need.value) {
                Some(at) => own.push(at),
                None => {
                    let message = format!("this phase has no step `{}`", need.value);
                    let names = steps.iter().filter_map(Step::name);
                    report.error("unknown-step", need.span, message).help = did_you_mean(&need.value, names);
                }
            }
        }
        own.sort_unstable();
        own.dedup();
        needs.push(own);
    }
    let mut closures: Vec<Option<BTreeSet<usize>>> = vec![None; steps.len()];
    // Each round settles every step whose needs are settled; what is left at the end lies in or behind a circle.
    loop {
        let mut settled = false;
        for (at, own) in needs.iter().enumerate() {
            if closures[at].is_some() || own.iter().any(|need| closures[*need].is_none()) {
                continue;
            }
            let mut all: BTreeSet<usize> = own.iter().copied().collect();
            for need in own {
                all.extend(closures[*need].iter().flatten());
            }
            closures[at] = Some(all);
            settled = true;
        }
        if !settled {
            break;
        }
    }
    if let Some(start) = closures.iter().position(Option::is_none) {
        report_cycle(steps, &needs, &closures, start, report);
        needs.iter_mut().for_each(Vec::clear);
    }
    DagOrder {
        needs,
        closures: closures.into_iter().map(Option::unwrap_or_default).collect(),
    }
}

fn report_cycle(
    steps: &[Step],
    needs: &[Vec<usize>],
    closures: &[Option<BTreeSet<usize>>],
    start: usize,
    report: &mut Report,
) {
    // An unsettled step needs an unsettled step, so that walking on comes back somewhere.
    let mut path = vec![start];
    let circle = loop {
        let last = path[path.len() - 1];
        let Some(next) = needs[last].iter().copied().find(|need| closures[*need].is_none()) else {
            return;
        };
        if let Some(from) = path.iter().position(|at| *at == next) {
            break &path[from..];
        }
        path.push(next);
    };
    let names: Vec<&str> = circle
        .iter()
        .chain(&circle[..1])
        .map(|at| steps[*at].name().unwrap_or("?"))
        .collect();
    let message = format!("these steps need each other: {}", names.join(" → "));
    let span = steps[circle[0]]
        .options
        .needs
        .first()
        .map_or(steps[circle[0]].span, |need| need.span);
    report.error("cycle", span, message).help = Some("take one of these `needs` away".to_owned());
}
