//! Whole networks of engines on virtual time, each made from a seed: what must hold whatever the network does.
//!
//! `SEEDS=n` runs more of them, `SEED=n` one; the first that fails prints the ladder of its call.

mod engine;
#[path = "simulation/mod.rs"]
mod simulation;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use simulation::random::Random;
use simulation::tally::Tally;
use simulation::world::World;

/// A million transactions and some more.
const SEEDS: u64 = 12_000;

/// The tally of a seed that holds, or why it does not.
fn judge(seed: u64) -> Result<Tally, String> {
    let (tally, wrong) = attempt(seed, false);
    if wrong.is_none() {
        return Ok(tally);
    }
    // Once more, to be read.
    match attempt(seed, true).1 {
        Some(told) => Err(told),
        None => Err(format!("SEED={seed} fails once and not again")),
    }
}

fn attempt(seed: u64, kept: bool) -> (Tally, Option<String>) {
    let mut world = World::new(Random::new(seed), kept);
    let panicked = catch_unwind(AssertUnwindSafe(|| world.run())).is_err();
    let told = match world.told() {
        Some(told) => Some(format!("\nSEED={seed}, {told}")),
        None if panicked => Some(format!(
            "\nSEED={seed}\n\n{}\n{:>9}  panic\n",
            world.ladder.print(None),
            world.now
        )),
        None => None,
    };
    (world.ledger.tally, told)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_the_network_does_each_transaction_ends_once_and_nothing_is_left() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let start = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Tally::default());
    let failure = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failure.lock().unwrap().is_some() {
                        return;
                    }
                    match judge(seed) {
                        Ok(tally) => total.lock().unwrap().add(&tally),
                        Err(told) => *failure.lock().unwrap() = Some(told),
                    }
                }
            });
        }
    });
    if let Some(told) = failure.into_inner().unwrap() {
        panic!("{told}");
    }
    let total = total.into_inner().unwrap();
    println!(
        "{total:#?}\n{} seeds in {:?}",
        seeds.end - seeds.start,
        start.elapsed()
    );
    if seeds.end - seeds.start >= SEEDS {
        assert!(total.clients >= 1_000_000, "{} transactions", total.clients);
        for (name, count) in total.counts() {
            assert!(count > 0, "no run has seen any {name}");
        }
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..20 {
        let digest = || {
            let mut world = World::new(Random::new(seed), false);
            world.run();
            (world.ladder.digest, world.ledger.tally)
        };
        assert_eq!(digest(), digest(), "SEED={seed}");
    }
}
