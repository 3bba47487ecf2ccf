//! The scheduler against everything that can happen: random plans, outcomes, interrupts, answers, and crashes between
//! any two commands. Invariants are judged apart from the scheduler, from the records and from a model of the world.
//!
//! `SIMULATE_SEEDS=100000` runs more seeds; `SIMULATE_SEED=n` runs one.

// Tests may read the environment and use both cores; the engine itself may not.
#![allow(clippy::disallowed_methods)]

mod judge;
mod plan;
mod rng;
mod world;

use caxplan_model::RunEnd;
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
