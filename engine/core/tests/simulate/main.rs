//! The scheduler against everything that can happen: random plans, outcomes, interrupts, answers, and crashes between
//! any two commands. Invariants are judged apart from the scheduler, from the records and from a model of the world.
//!
//! `SIMULATE_SEEDS=100000` runs more seeds; `SIMULATE_SEED=n` runs one.

// Tests may read the environment and use both cores; the engine itself may not.
#![allow(clippy::disallowed_methods)]

mod down;
mod judge;
mod plan;
mod rng;
mod world;

use caxplan_core::simulate::{End, Model, Options, explore, tell};
use caxplan_model::{Items, Node, NodeKind, RunEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use world::Sabotage;

const SEEDS: u64 = 20_000;
const THREADS: u64 = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_run_keeps_the_invariants() {
    if let Some(seed) = number("SIMULATE_SEED") {
        match world::run(seed, None, true) {
            Ok(end) => println!("seed {seed} ends {end:?}"),
            Err(fault) => panic!("seed {seed}: {fault}"),
        }
        return;
    }
    let seeds = number("SIMULATE_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let ends: Vec<AtomicU64> = (0..256).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    match world::run(seed, None, false) {
                        Ok(end) => ends[end.exit_code() as usize].fetch_add(1, Ordering::Relaxed),
                        Err(fault) => {
                            next.store(seeds, Ordering::Relaxed);
                            panic!(
                                "seed {seed}: {fault}\nreproduce: SIMULATE_SEED={seed} cargo test -p caxplan-core --test simulate"
                            );
                        }
                    };
                }
            });
        }
    });
    let count = |end: RunEnd| ends[end.exit_code() as usize].load(Ordering::Relaxed);
    println!(
        "{seeds} seeds: {} succeeded, {} rolled back",
        count(RunEnd::Succeeded),
        count(RunEnd::RolledBack)
    );
}

/// An invariant that catches nothing proves nothing.
#[test]
fn faults_are_caught() {
    for sabotage in [
        Sabotage::LoseEnds,
        Sabotage::LoseStarts,
        Sabotage::SkipUndo,
        Sabotage::DenyLoss,
    ] {
        let caught = (0..2_000).find_map(|seed| world::run(seed, Some(sabotage), false).err());
        assert!(caught.is_some(), "{sabotage:?} went unseen");
        println!("{sabotage:?}: {}", caught.expect("just checked"));
    }
}

/// The simulation that users run on their plans never meets a fault of the engine, and nothing that is not idempotent acts
/// twice in it: over random plans, with pairs of faults and crashes after each record.
#[test]
fn surveys_of_random_plans_find_no_fault_of_the_engine() {
    let seeds = match number("SIMULATE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATE_SEEDS").unwrap_or(SEEDS) / 500,
    };
    let mut scenarios = 0;
    for seed in seeds {
        let mut graph = plan::plan(&mut rng::Rng::new(seed));
        let nodes = graph.nodes.iter_mut();
        nodes.for_each(ask_what_only_a_run_knows);
        let model = Model::new(graph, BTreeSet::new(), BTreeMap::new(), 2);
        let options = Options {
            pairs: true,
            crashes: true,
            scenarios_max: 150,
            records_max: caxplan_core::simulate::RECORDS_MAX,
        };
        for row in explore(&model, &options).rows {
            scenarios += 1;
            let fault = row.ending.fault.as_deref().unwrap_or_default();
            assert!(row.ending.end != End::Faulty, "seed {seed}, {}: {fault}", row.id);
            let timeline = || {
                let script = row.id.parse().expect("an id of a scenario");
                let (story, ending) = tell(&model, &script).expect("it was told before");
                story.to_text(&ending)
            };
            assert!(
                row.ending.doubled.is_empty(),
                "seed {seed}, {}: acted twice\n{}",
                row.id,
                timeline()
            );
        }
    }
    println!("{scenarios} scenarios");
}

/// The texts of random plans mean nothing; those that a user writes may read what only a run knows.
fn ask_what_only_a_run_knows(node: &mut Node) {
    let unknown = |text: &mut String| {
        if text.starts_with("{{") {
            "{{ env.duration }}".clone_into(text);
        }
    };
    if node.when.is_some() {
        node.when = Some("env.flag".into());
    }
    match &mut node.kind {
        NodeKind::Foreach(foreach) => {
            if let Items::Template(text) = &mut foreach.items {
                "{{ env.items }}".clone_into(text);
            }
            if foreach.when.is_some() {
                foreach.when = Some("env.flag".to_owned());
            }
            foreach.delay.iter_mut().for_each(unknown);
            foreach.body.iter_mut().for_each(ask_what_only_a_run_knows);
        }
        NodeKind::Rolling(rolling) => rolling.delay.iter_mut().for_each(unknown),
        NodeKind::Wait { duration } => unknown(duration),
        NodeKind::Watch(watch) => {
            unknown(&mut watch.duration);
            unknown(&mut watch.every);
        }
        _ => {}
    }
}
