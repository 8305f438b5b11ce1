//! The timer wheel does what its oracle does, order included.

use proptest::prelude::*;
use sippet_proto::timer::{Wheel, naive::Naive};

#[derive(Debug, Clone)]
enum Step {
    Arm(u64),
    ArmAt(u64),
    Cancel(usize),
    Poll(u64),
    Drain(u64),
    Sleep,
}

/// Distances of every magnitude, with the edges of slots, words and rings made likely.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..100u64,
        0..40_000u64,
        (0..64u32, -2..=2i64).prop_map(|(bit, by)| (1u64 << bit).saturating_add_signed(by)),
        (1..2_000u64, 0..4u32).prop_map(|(count, level)| count << (6 * level)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => distance().prop_map(Step::Arm),
        2 => (0..3_000u64).prop_map(Step::ArmAt),
        3 => any::<prop::sample::Index>().prop_map(|index| Step::Cancel(index.index(1 << 20))),
        3 => (0..200u64).prop_map(Step::Poll),
        1 => distance().prop_map(Step::Poll),
        2 => (0..5_000u64).prop_map(Step::Drain),
        1 => Just(Step::Sleep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equals_its_oracle(start in prop_oneof![0..5_000u64, any::<u64>()], steps in prop::collection::vec(step(), 1..300)) {
        let mut wheel = Wheel::new(start);
        let mut naive = Naive::new(start);
        let mut ids = Vec::new();
        let mut now = start;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Arm(distance) => {
                    let deadline = now.saturating_add(distance);
                    ids.push((wheel.arm(deadline, number), naive.arm(deadline, number)));
                }
                Step::ArmAt(deadline) => {
                    ids.push((wheel.arm(deadline, number), naive.arm(deadline, number)));
                }
                Step::Cancel(choice) if !ids.is_empty() => {
                    let (wheel_id, naive_id) = ids[choice % ids.len()];
                    prop_assert_eq!(wheel.cancel(wheel_id), naive.cancel(naive_id));
                }
                Step::Cancel(_) => {}
                Step::Poll(by) => {
                    now = now.saturating_add(by);
                    prop_assert_eq!(wheel.poll(now), naive.poll(now));
                }
                Step::Drain(by) => {
                    now = now.saturating_add(by);
                    loop {
                        let fired = naive.poll(now);
                        prop_assert_eq!(wheel.poll(now), fired);
                        if fired.is_none() { break }
                    }
                }
                Step::Sleep => {
                    // As the clock does: sleep until the wheel says so, again and again, until something fires.
                    let mut naps = 0;
                    while let Some(next) = wheel.next_deadline() {
                        now = now.max(next);
                        let fired = wheel.poll(now);
                        prop_assert_eq!(fired, naive.poll(now));
                        if fired.is_some() { break }
                        naps += 1;
                        prop_assert!(naps <= 10, "wakes up for nothing");
                    }
                }
            }
            prop_assert_eq!(wheel.len(), naive.len());
            prop_assert_eq!(wheel.is_empty(), naive.is_empty());
            match (wheel.next_deadline(), naive.next_deadline()) {
                (None, None) => {}
                (Some(early), Some(exact)) => prop_assert!(early <= exact),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        loop {
            let fired = naive.poll(u64::MAX);
            prop_assert_eq!(wheel.poll(u64::MAX), fired);
            if fired.is_none() { break }
        }
    }
}

/// Deadlines of a million timers: most within the longest timer of a transaction, some far out; and whether it is cancelled.
fn million() -> impl Iterator<Item = (u64, bool)> {
    let mut state = 0x5EED_u64;
    std::iter::repeat_with(move || {
        // A linear congruential generator (Knuth's MMIX).
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bits = state >> 24;
        let span = if bits.is_multiple_of(16) {
            700_000
        } else {
            32_000
        };
        (1 + (bits >> 8) % span, (bits >> 4).is_multiple_of(8))
    })
    .take(1_000_000)
}

#[test]
fn a_million_timers_fire_each_in_its_tick() {
    let mut wheel = Wheel::new(0);
    let mut due = vec![0u32; 700_001];
    for (deadline, cancelled) in million() {
        let id = wheel.arm(deadline, deadline);
        if cancelled {
            assert_eq!(wheel.cancel(id), Some(deadline));
        } else {
            due[deadline as usize] += 1;
        }
    }
    for (now, due) in due.iter().enumerate() {
        for _ in 0..*due {
            assert_eq!(wheel.poll(now as u64), Some((now as u64, now as u64)));
        }
        assert_eq!(wheel.poll(now as u64), None);
    }
    assert!(wheel.is_empty());
}

#[test]
fn a_million_timers_fire_in_order_where_the_clock_jumps() {
    let mut wheel = Wheel::new(0);
    let mut left = 0;
    for (deadline, cancelled) in million() {
        let id = wheel.arm(deadline, deadline);
        if cancelled {
            wheel.cancel(id);
        } else {
            left += 1;
        }
    }
    let (mut before, mut now) = (0, 0);
    for (step, _) in million() {
        let mut last = 0;
        while let Some((at, deadline)) = wheel.poll(now) {
            assert!(at == deadline && deadline > before && deadline <= now && deadline >= last);
            last = deadline;
            left -= 1;
        }
        if left == 0 {
            break;
        }
        (before, now) = (now, now + step % 97);
    }
    assert_eq!(left, 0);
}
