//! What kind of run a seed is: the engines' settings, the links, and how badly all behave.

use sippet_proto::transaction::{Config, Timers};

use super::random::Random;

/// How long a message may be under way at most, all delays together: less than T4, as §17 takes it.
const LONGEST_MS: u64 = 4_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Silent,
    /// The transport tells each sender.
    Refused,
}

/// The way between two nodes.
#[derive(Clone)]
struct Way {
    reliable: bool,
    cuts: Vec<(u64, u64, Cut)>,
    /// When the last message arrives: a reliable way keeps order.
    busy_until: [u64; 2],
}

/// What becomes of one message.
pub enum Fate {
    /// It arrives at these times.
    Arrives(Vec<u64>),
    Lost,
    Refused,
}

pub struct Profile {
    pub config: Config,
    pub nodes: usize,
    /// The last node is a stateful proxy.
    pub proxy: bool,
    pub calls: u32,
    pub span_ms: u64,
    /// Callbacks that raise, or are killed.
    pub crash_percent: u64,
    pub slow_percent: u64,
    /// Effect lists that are lost from some point on.
    pub lost_effects: u64,
    pub tick_lag: u64,
    pub hostile: u32,
    loss: u64,
    duplicate: u64,
    straggle: u64,
    delay: u64,
    jitter: u64,
    ways: Vec<Way>,
}

impl Profile {
    pub fn of(random: &mut Random) -> Profile {
        let proxy = random.percent(35);
        let nodes = 2 + usize::from(random.percent(30)) + usize::from(proxy);
        let timers = Timers {
            t1_ms: random.pick(&[500, 500, 500, 100, 1_000]),
            t2_ms: random.pick(&[4_000, 4_000, 2_000]),
            proceeding_ms: random.pick(&[600_000, 60_000]),
            invite_watchdog_ms: random.pick(&[240_000, 20_000]),
            ..Timers::default()
        };
        let config = Config {
            timers,
            max_transactions: random.pick(&[1_000_000, 1_000_000, 1_000_000, 40]),
            reject_merged: random.percent(20),
            deliver_stray_responses: random.percent(20),
            ..Config::default()
        };
        let calm = random.percent(20);
        let span_ms = random.pick(&[2_000, 30_000, 120_000]);
        let ways = (0..nodes * nodes)
            .map(|_| Way {
                reliable: random.percent(15),
                cuts: (0..random.pick(&[0, 0, 1, 3]))
                    .map(|_| {
                        let start = random.below(span_ms + 30_000);
                        let end = start + random.pick(&[500, 5_000, 40_000]);
                        (start, end, random.pick(&[Cut::Silent, Cut::Refused]))
                    })
                    .collect(),
                busy_until: [0; 2],
            })
            .collect();
        Profile {
            config,
            nodes,
            proxy,
            calls: 60,
            span_ms,
            crash_percent: random.pick(&[0, 2, 10]),
            slow_percent: random.pick(&[0, 5, 20]),
            lost_effects: if calm { 0 } else { random.pick(&[0, 5, 50]) },
            tick_lag: random.pick(&[0, 0, 1, 100]),
            hostile: random.pick(&[0, 20, 40]),
            loss: if calm {
                0
            } else {
                random.pick(&[0, 50, 200, 500])
            },
            duplicate: random.pick(&[0, 50, 300]),
            straggle: random.pick(&[0, 20, 100]),
            delay: random.pick(&[0, 1, 20, 150]),
            jitter: random.pick(&[0, 5, 100, 1_000]),
            ways,
        }
    }

    fn way(&self, one: usize, other: usize) -> usize {
        one.min(other) * self.nodes + one.max(other)
    }

    pub fn reliable(&self, one: usize, other: usize) -> bool {
        self.ways[self.way(one, other)].reliable
    }

    /// A message leaves at this time.
    pub fn travel(&mut self, random: &mut Random, from: usize, to: usize, at: u64) -> Fate {
        let index = self.way(from, to);
        let longest = LONGEST_MS.min(self.delay + self.jitter + 3_000);
        let way = &mut self.ways[index];
        let mut cuts = way.cuts.iter();
        match cuts.find(|(start, end, _)| (*start..*end).contains(&at)) {
            Some((.., Cut::Silent)) => return Fate::Lost,
            Some((.., Cut::Refused)) => return Fate::Refused,
            None => {}
        }
        if way.reliable {
            let busy = &mut way.busy_until[usize::from(from < to)];
            let arrives = (at + self.delay + random.below(self.jitter + 1)).max(*busy);
            *busy = arrives;
            return Fate::Arrives(vec![arrives]);
        }
        if random.per_mille(self.loss) {
            return Fate::Lost;
        }
        let copies = 1 + usize::from(random.per_mille(self.duplicate));
        let arrivals = (0..copies).map(|_| {
            let straggles = random.per_mille(self.straggle);
            let extra = if straggles { random.below(3_000) } else { 0 };
            at + (self.delay + random.below(self.jitter + 1) + extra).min(longest)
        });
        Fate::Arrives(arrivals.collect())
    }
}
