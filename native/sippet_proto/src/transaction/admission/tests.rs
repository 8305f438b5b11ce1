//! A machine on a virtual clock that does so many requests in a window and queues the rest, under an [`Admission`].

use std::collections::VecDeque;

use super::{Admission, Admit, WINDOW_US};

const TARGET_US: u64 = 20_000;

/// A server of one queue.
struct Machine {
    admission: Admission,
    now_us: u64,
    /// How long one request keeps it.
    cost_us: u64,
    free_us: u64,
    queue: VecDeque<u64>,
    delays: Vec<u64>,
}

/// What became of what a source has asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    asked: u64,
    admitted: u64,
    hopeless: u64,
}

impl Machine {
    fn new(cost_us: u64) -> Machine {
        Machine {
            admission: Admission::new(TARGET_US),
            now_us: 0,
            cost_us,
            free_us: 0,
            queue: VecDeque::new(),
            delays: Vec::new(),
        }
    }

    fn work(&mut self, until_us: u64) {
        while let Some(came) = self.queue.front().copied() {
            let begins = self.free_us.max(came);
            if begins > until_us {
                return;
            }
            self.queue.pop_front();
            self.free_us = begins + self.cost_us;
            self.delays.push(begins - came);
            self.admission.began(begins, begins - came);
            self.admission.ended(begins, 0);
        }
    }

    /// Sources that ask so often, each by its own rhythm, for a time.
    fn run(&mut self, sources: &[(u64, u64)], duration_us: u64) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); sources.len()];
        let start = self.now_us;
        let mut arrivals: Vec<(u64, usize)> = Vec::new();
        for (index, (_, interval_us)) in sources.iter().enumerate() {
            let mut at = start + interval_us * (index as u64 + 1) / (sources.len() as u64 + 1);
            while at < start + duration_us {
                arrivals.push((at, index));
                at += interval_us;
            }
        }
        arrivals.sort_unstable();
        for (at, index) in arrivals {
            self.work(at);
            self.now_us = at;
            let tally = &mut tallies[index];
            tally.asked += 1;
            match self.admission.arrives(at, hash(sources[index].0)) {
                Admit::Yes => {
                    tally.admitted += 1;
                    self.queue.push_back(at);
                }
                Admit::No => {}
                Admit::Hopeless => tally.hopeless += 1,
            }
        }
        self.now_us = start + duration_us;
        self.work(self.now_us);
        tallies
    }

    fn worst_delay(&mut self) -> u64 {
        let delays = std::mem::take(&mut self.delays);
        delays.into_iter().max().unwrap_or(0)
    }
}

/// Spreads source numbers as a keyed hash would (the finalizer of MurmurHash3).
fn hash(source: u64) -> u64 {
    let mut bits = source.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

const SECOND: u64 = 1_000_000;

#[test]
fn what_can_be_carried_is_never_refused() {
    let mut machine = Machine::new(1_000);
    // 95 % of what the machine can do.
    let tallies = machine.run(&[(1, 1_053)], 20 * SECOND);
    assert_eq!(tallies[0].asked, tallies[0].admitted);
    assert_eq!(machine.admission.standing(machine.now_us).episodes, 0);
}

#[test]
fn a_burst_that_drains_within_a_window_is_no_overload() {
    let mut machine = Machine::new(1_000);
    for _ in 0..20 {
        // Sixty at once, which wait up to 60 ms, and a second of nothing much.
        let burst = machine.run(&[(1, 1)], 60);
        assert_eq!(burst[0].asked, burst[0].admitted);
        machine.run(&[(1, 100_000)], SECOND);
    }
    assert_eq!(machine.admission.standing(machine.now_us).episodes, 0);
}

#[test]
fn at_twice_the_load_the_machine_is_kept_busy_and_the_queue_short() {
    for cost_us in [100, 1_000, 10_000] {
        let mut machine = Machine::new(cost_us);
        machine.run(&[(1, cost_us / 2)], 2 * SECOND);
        machine.worst_delay();
        let tallies = machine.run(&[(1, cost_us / 2)], 20 * SECOND);
        let possible = 20 * SECOND / cost_us;
        let admitted = tallies[0].admitted;
        assert!(
            admitted * 100 >= possible * 97 && admitted <= possible + possible / 50,
            "{admitted} of {possible} at {cost_us} µs"
        );
        let worst = machine.worst_delay();
        assert!(worst <= 3 * TARGET_US, "{worst} µs at {cost_us} µs");
        assert_eq!(tallies[0].hopeless, 0);
    }
}

#[test]
fn at_ten_times_the_load_too() {
    let mut machine = Machine::new(1_000);
    // Ten windows' work comes in each window until that is seen.
    machine.run(&[(1, 100)], 4 * SECOND);
    machine.worst_delay();
    let tallies = machine.run(&[(1, 100)], 20 * SECOND);
    assert!(tallies[0].admitted >= 18_000, "{}", tallies[0].admitted);
    let worst = machine.worst_delay();
    assert!(worst <= 3 * TARGET_US, "{worst} µs");
}

#[test]
fn overload_is_seen_and_its_queue_gone_within_a_second() {
    let mut machine = Machine::new(1_000);
    machine.run(&[(1, 500)], 3 * WINDOW_US);
    assert!(machine.admission.is_overloaded());
    machine.run(&[(1, 500)], 7 * WINDOW_US);
    machine.worst_delay();
    machine.run(&[(1, 500)], SECOND);
    let worst = machine.worst_delay();
    assert!(worst <= 3 * TARGET_US, "{worst} µs");
}

#[test]
fn it_is_over_when_the_load_is() {
    let mut machine = Machine::new(1_000);
    machine.run(&[(1, 500)], 2 * SECOND);
    machine.run(&[(1, 2_000)], 3 * SECOND);
    let standing = machine.admission.standing(machine.now_us);
    assert!(!standing.overloaded);
    assert_eq!((standing.episodes, standing.limit), (1, 0));
    assert!((SECOND..4 * SECOND).contains(&standing.duration_us));

    // Also where nothing more comes at all.
    machine.run(&[(1, 500)], 2 * SECOND);
    assert!(machine.admission.is_overloaded());
    machine.work(u64::MAX / 2);
    let standing = machine.admission.standing(machine.now_us + 10 * SECOND);
    assert!(!standing.overloaded);
}

#[test]
fn a_machine_that_gets_faster_is_used() {
    let mut machine = Machine::new(2_000);
    machine.run(&[(1, 500)], 3 * SECOND);
    machine.cost_us = 1_000;
    machine.run(&[(1, 500)], 2 * SECOND);
    let tallies = machine.run(&[(1, 500)], 5 * SECOND);
    assert!(tallies[0].admitted >= 4_850, "{}", tallies[0].admitted);
}

#[test]
fn a_quiet_source_is_served_whole_beside_a_loud_one() {
    let mut machine = Machine::new(1_000);
    // Five times what the machine can do, and a twentieth of it.
    let sources = [(1, 200), (2, 20_000)];
    machine.run(&sources, 2 * SECOND);
    let tallies = machine.run(&sources, 20 * SECOND);
    assert_eq!(tallies[1].asked, 1_000);
    assert!(tallies[1].admitted >= 980, "{:?}", tallies[1]);
    assert!(tallies[0].admitted >= 18_000, "{:?}", tallies[0]);
}

#[test]
fn loud_sources_get_the_same_however_loud_they_are() {
    let mut machine = Machine::new(1_000);
    let sources = [(1, 200), (2, 500), (3, 1_000)];
    machine.run(&sources, 2 * SECOND);
    let tallies = machine.run(&sources, 20 * SECOND);
    for tally in &tallies {
        assert!((5_800..=7_400).contains(&tally.admitted), "{tallies:?}");
    }
}

#[test]
fn more_sources_than_there_are_places_share_the_machine() {
    let mut machine = Machine::new(1_000);
    let sources: Vec<(u64, u64)> = (0..5_000).map(|number| (number, 2_500_000)).collect();
    machine.run(&sources, 5 * SECOND);
    machine.worst_delay();
    let tallies = machine.run(&sources, 20 * SECOND);
    let admitted: u64 = tallies.iter().map(|tally| tally.admitted).sum();
    assert!((18_000..=20_400).contains(&admitted), "{admitted}");
    let worst = machine.worst_delay();
    assert!(worst <= 4 * TARGET_US, "{worst} µs");
}

#[test]
fn where_refusing_does_not_help_the_stack_as_a_whole_is_overloaded() {
    let mut admission = Admission::new(TARGET_US);
    let mut last = Admit::Yes;
    for window in 0..40 {
        for tick in 0..100 {
            let now = window * WINDOW_US + tick * 1_000;
            // Something else has the processors: whatever begins has waited for long.
            admission.began(now, 10 * TARGET_US);
            last = admission.arrives(now, hash(tick));
            assert!(window >= 11 || last != Admit::Hopeless);
        }
    }
    assert_eq!(last, Admit::Hopeless);
}

#[test]
fn a_callback_that_is_interrupted_waits_in_each_round() {
    let mut admission = Admission::new(TARGET_US);
    let round_us = TARGET_US / 10;
    let mut now = 0;
    let mut run = |admission: &mut Admission, reductions: u64| {
        for _ in 0..200 {
            now += WINDOW_US / 50;
            admission.began(now, round_us);
            admission.ended(now, reductions);
        }
    };
    run(&mut admission, 8 * 4_000);
    assert!(!admission.is_overloaded());
    run(&mut admission, 12 * 4_000);
    assert!(admission.is_overloaded());
    run(&mut admission, 4_000);
    run(&mut admission, 0);
    run(&mut admission, 0);
    run(&mut admission, 0);
    assert!(!admission.is_overloaded());
}

#[test]
fn a_clock_that_goes_back_does_no_harm() {
    let mut admission = Admission::new(TARGET_US);
    admission.began(5 * SECOND, 0);
    admission.began(SECOND, 0);
    assert_eq!(admission.arrives(0, 1), Admit::Yes);
    assert_eq!(admission.arrives(u64::MAX / 2, 1), Admit::Yes);
    assert_eq!(admission.standing(3).wait_us, 0);
}
