//! Medians of the timer wheel's costs: `cargo bench --bench wheel`.

use sippet_proto::timer::Wheel;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 11;

fn main() {
    for standing in [0usize, 1_000, 1_000_000] {
        let figure = median(|| arm_and_cancel(standing));
        println!("arm + cancel, {standing:>9} standing: {figure:8.1} ns");
    }
    println!(
        "arm, a million over 32 s:           {:8.1} ns each",
        median(|| million().0)
    );
    println!(
        "fire, a million over 32 s:          {:8.1} ns each",
        median(|| million().1)
    );
    println!(
        "longest poll of them:               {:8.1} us",
        median(|| million().2)
    );
}

fn median(mut figure: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<f64> = (0..ROUNDS).map(|_| figure()).collect();
    figures.sort_by(f64::total_cmp);
    figures[ROUNDS / 2]
}

/// As a transaction does: a deadline 64·T1 away that is cancelled.
fn arm_and_cancel(standing: usize) -> f64 {
    const OPERATIONS: u32 = 1_000_000;
    let mut wheel = Wheel::new(0);
    for number in 0..standing {
        wheel.arm(1 + spread(number as u64), number as u32);
    }
    let start = Instant::now();
    for number in 0..OPERATIONS {
        let id = wheel.arm(spread(u64::from(number)), number);
        black_box(wheel.cancel(black_box(id)));
    }
    start.elapsed().as_nanos() as f64 / f64::from(OPERATIONS)
}

/// Nanoseconds to arm one, to fire one, and the longest single poll in microseconds.
fn million() -> (f64, f64, f64) {
    const TIMERS: u32 = 1_000_000;
    let mut wheel = Wheel::new(0);
    let start = Instant::now();
    for number in 0..TIMERS {
        wheel.arm(spread(u64::from(number)), number);
    }
    let armed = start.elapsed().as_nanos() as f64 / f64::from(TIMERS);
    let (mut fired, mut longest) = (0u32, 0u128);
    let start = Instant::now();
    for now in 0..=32_001 {
        let before = Instant::now();
        let mut first = true;
        while black_box(wheel.poll(now)).is_some() {
            fired += 1;
            if first {
                longest = longest.max(before.elapsed().as_nanos());
                first = false;
            }
        }
    }
    assert_eq!(fired, TIMERS);
    let each = start.elapsed().as_nanos() as f64 / f64::from(TIMERS);
    (armed, each, longest as f64 / 1_000.0)
}

fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 32_000
}
