//! Who is let in when there is more to do than can be done.
//!
//! What is watched is how long callbacks wait for a processor. The start delay is the time from the arrival of a request to the
//! first instruction of its callback, and that is the time of one round through everything that wants to run. A callback that
//! computes for long is interrupted, and waits for another round each time: after so many reductions, in the words of the VM.
//! So the wait is the start delay times the rounds that callbacks take on average. It grows with whatever is short, and says
//! nothing of callbacks that only wait for others.
//!
//! Time goes by windows. While no request of one window waited less than the target, the stack is overloaded (a burst is not:
//! its queue drains within a window, as in RFC 8289 §3). From then on each window has a limit: as many requests as callbacks
//! have ended in the one before, fewer by how far the mean wait was above the target; or, where it was below, more than the
//! limit before. What ends is what the machine can do, whatever the requests cost; the correction empties the queue, or fills
//! it up to the target, in a few windows.
//!
//! The limit is shared out by sources: each may have as many as it likes up to a level, and the level is such that all
//! together make up the limit. Whoever asks for less than the level is served whole; of a louder one every n-th request is.
//! Sources are counted in two rows of buckets, by different parts of a keyed hash, and believed to ask for the less of
//! both: memory does not grow with them, and nobody can choose whom to share a bucket with.

/// Length of a window.
pub const WINDOW_US: u64 = 100_000;

/// Sources told apart in a row.
const BUCKETS: usize = 512;

/// Windows in which nobody was refused, and delays were below the target, until it is over.
const CALM_WINDOWS: u32 = 10;

/// Windows in which refusing did not help, until the stack as a whole is said to be overloaded.
const HOPELESS_WINDOWS: u32 = 10;

/// After how many reductions the VM interrupts a process.
const REDUCTIONS_A_ROUND: u64 = 4_000;

/// How many callbacks the mean of their rounds looks back.
const ROUNDS_LOOK_BACK: u64 = 32;

/// One, where levels and shares are reckoned in parts.
const ONE: u64 = 1 << 16;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// It goes on.
    Yes,
    /// It is refused; others of this source, or of other sources, are not.
    No,
    /// It is refused, and nothing that the stack does about it helps: the source may as well stay away for a while.
    Hopeless,
}

/// How it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests are refused.
    pub overloaded: bool,
    /// For how long, or for how long the last time.
    pub duration_us: u64,
    /// Mean wait of the last window in which something began.
    pub wait_us: u64,
    /// Requests that a window takes; 0 while all are.
    pub limit: u64,
    /// How often it was overloaded.
    pub episodes: u64,
}

/// One source, or several that share its place.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Asked for in the last window.
    asked_before: u32,
    /// In this one.
    asked: u32,
    admitted: u32,
    /// What is left over from shares of requests.
    carry: u64,
}

/// The admission of one stack.
#[derive(Debug)]
pub struct Admission {
    target_us: u64,
    window_end_us: u64,
    /// Of this window: what began, and how long it waits.
    begun: u64,
    wait_sum_us: u64,
    wait_min_us: u64,
    /// Of this window: callbacks that have ended.
    ended: u64,
    /// Mean of the rounds that a callback takes, in parts of one.
    rounds: u64,
    /// Of this window: what was asked for, and refused.
    asked: u64,
    refused: u64,
    admitted_before: u64,
    overloaded_since_us: u64,
    limit: u64,
    /// In parts of a request.
    level: u64,
    calm: u32,
    hopeless: u32,
    rows: Box<[[Bucket; BUCKETS]; 2]>,
    standing: Standing,
}

impl Admission {
    /// `target_us` is the wait to keep to.
    pub fn new(target_us: u64) -> Admission {
        Admission {
            target_us: target_us.max(1),
            window_end_us: WINDOW_US,
            begun: 0,
            wait_sum_us: 0,
            wait_min_us: u64::MAX,
            ended: 0,
            rounds: ONE,
            asked: 0,
            refused: 0,
            admitted_before: 0,
            overloaded_since_us: 0,
            limit: 0,
            level: 0,
            calm: 0,
            hopeless: 0,
            rows: Box::new([[Bucket::default(); BUCKETS]; 2]),
            standing: Standing::default(),
        }
    }

    /// Requests are to be [asked for](Admission::arrives); else all go on.
    pub fn is_overloaded(&self) -> bool {
        self.standing.overloaded
    }

    /// The callback of a request that was let in has begun.
    pub fn began(&mut self, now_us: u64, start_delay_us: u64) {
        self.advance(now_us);
        let rounds = u128::from(self.rounds) * u128::from(start_delay_us) / u128::from(ONE);
        let wait_us = u64::try_from(rounds).unwrap_or(u64::MAX);
        self.begun += 1;
        self.wait_sum_us = self.wait_sum_us.saturating_add(wait_us);
        self.wait_min_us = self.wait_min_us.min(wait_us);
    }

    /// It has ended. `reductions` is how much it has computed, 0 if that is not known: it need be only of those that began
    /// late.
    pub fn ended(&mut self, now_us: u64, reductions: u64) {
        self.advance(now_us);
        self.ended += 1;
        if reductions > 0 {
            // What computes for longer than this belongs elsewhere, and is not to close the door for all others.
            let rounds =
                (reductions.saturating_mul(ONE) / REDUCTIONS_A_ROUND).clamp(ONE, 1_000 * ONE);
            self.rounds = (self.rounds * (ROUNDS_LOOK_BACK - 1) + rounds) / ROUNDS_LOOK_BACK;
        }
    }

    /// A request has come that could be refused. `source` is a keyed hash of where it came from.
    pub fn arrives(&mut self, now_us: u64, source: u64) -> Admit {
        self.advance(now_us);
        if !self.standing.overloaded {
            return Admit::Yes;
        }
        self.asked += 1;
        if self.shares(source) {
            Admit::Yes
        } else {
            self.refused += 1;
            if self.hopeless >= HOPELESS_WINDOWS {
                Admit::Hopeless
            } else {
                Admit::No
            }
        }
    }

    /// How it stands at this moment.
    pub fn standing(&mut self, now_us: u64) -> Standing {
        self.advance(now_us);
        let mut standing = self.standing;
        if standing.overloaded {
            standing.duration_us = now_us.saturating_sub(self.overloaded_since_us);
        }
        standing
    }

    /// The next request of a source: whether it is one of its share.
    fn shares(&mut self, source: u64) -> bool {
        let level = self.level;
        let [first, second] = &mut *self.rows;
        let (Some(a), Some(b)) = (
            first.get_mut(source as usize % BUCKETS),
            second.get_mut((source >> 32) as usize % BUCKETS),
        ) else {
            return true;
        };
        a.asked = a.asked.saturating_add(1);
        b.asked = b.asked.saturating_add(1);
        let bucket = if a.asked_before <= b.asked_before {
            a
        } else {
            b
        };
        // One that was not there before asks for this one.
        let asked = u64::from(bucket.asked_before.max(1)) * ONE;
        // Whoever asks for more than in the window before does not get more than the level by that.
        if u64::from(bucket.admitted) >= level.div_ceil(ONE) {
            return false;
        }
        let share = if asked <= level {
            ONE
        } else {
            level * ONE / asked
        };
        bucket.carry += share;
        let admitted = bucket.carry >= ONE;
        if admitted {
            bucket.carry -= ONE;
            bucket.admitted += 1;
        }
        admitted
    }

    /// Closes the windows that are over. Callers' clocks may race: time that goes back is none.
    fn advance(&mut self, now_us: u64) {
        if now_us < self.window_end_us {
            return;
        }
        self.close(self.window_end_us);
        let over = (now_us - self.window_end_us) / WINDOW_US;
        // Nothing came in all of the windows after it.
        for _ in 0..over.min(u64::from(CALM_WINDOWS) + 1) {
            self.close(now_us);
        }
        let passed = (over + 1).saturating_mul(WINDOW_US);
        self.window_end_us = self.window_end_us.saturating_add(passed);
    }

    fn close(&mut self, now_us: u64) {
        let mean = self.wait_sum_us.checked_div(self.begun);
        if let Some(mean) = mean {
            self.standing.wait_us = mean;
        } else if self.asked == 0 {
            self.standing.wait_us = 0;
        }
        if self.standing.overloaded {
            self.correct(mean, now_us);
        } else if self.begun > 0 && self.wait_min_us > self.target_us {
            self.standing.overloaded = true;
            self.standing.episodes += 1;
            self.overloaded_since_us = now_us;
            (self.calm, self.hopeless) = (0, 0);
            self.limit = self.limit_after(self.ended, mean.unwrap_or(self.target_us));
            // Who asks for how much is not known yet.
            self.level = self.limit * ONE;
        }
        self.standing.limit = if self.standing.overloaded {
            self.limit
        } else {
            0
        };
        (self.begun, self.wait_sum_us, self.wait_min_us) = (0, 0, u64::MAX);
        self.ended = 0;
        self.admitted_before = self.asked - self.refused;
        (self.asked, self.refused) = (0, 0);
    }

    /// The limit of the next window, while overloaded; or the end of that.
    fn correct(&mut self, mean: Option<u64>, now_us: u64) {
        let delay = match mean {
            Some(mean) => mean,
            // Nothing was let in, or nothing has begun of what was.
            None if self.admitted_before == 0 => 0,
            None => self.target_us.saturating_mul(4),
        };
        self.limit = if delay <= self.target_us {
            // What has ended is what was let in, and not what could be done.
            let most = self.ended.max(self.asked).saturating_mul(2).max(1);
            self.limit_after(self.ended.max(self.limit), delay)
                .min(most)
        } else if mean.is_none() {
            (self.limit / 2).max(1)
        } else {
            self.limit_after(self.ended, delay)
        };
        self.hopeless = if delay > self.target_us.saturating_mul(2) {
            self.hopeless.saturating_add(1)
        } else {
            0
        };
        self.calm = if self.refused == 0 && delay <= self.target_us {
            self.calm + 1
        } else {
            0
        };
        if self.calm >= CALM_WINDOWS {
            self.standing.overloaded = false;
            self.standing.duration_us = now_us.saturating_sub(self.overloaded_since_us);
            *self.rows = [[Bucket::default(); BUCKETS]; 2];
            return;
        }
        for bucket in self.rows.iter_mut().flatten() {
            (bucket.asked_before, bucket.asked) = (bucket.asked, 0);
            bucket.admitted = 0;
            bucket.carry = bucket.carry.min(ONE);
        }
        self.level = self.level_of(self.limit);
    }

    /// Half of what would bring the delay to the target at once, so that the delay of what is measured does no harm; at most a
    /// quarter more, and not less than a twentieth.
    fn limit_after(&self, ended: u64, delay_us: u64) -> u64 {
        let window = 2 * WINDOW_US;
        let parts = if delay_us <= self.target_us {
            window + (self.target_us - delay_us).min(window / 4)
        } else {
            window - (delay_us - self.target_us).min(window / 20 * 19)
        };
        ended.saturating_mul(parts).div_ceil(window).max(1)
    }

    /// The level up to which all sources together ask for `limit` (max-min fairness).
    fn level_of(&self, limit: u64) -> u64 {
        let Some(row) = self.rows.first() else {
            return limit * ONE;
        };
        let asked = |bucket: &Bucket| u64::from(bucket.asked_before) * ONE;
        let total = |level: u64| -> u64 { row.iter().map(|one| asked(one).min(level)).sum() };
        let limit = limit * ONE;
        // Where less was asked for, whoever comes new may have the rest.
        let spare = limit.saturating_sub(total(u64::MAX));
        if spare > 0 {
            return row
                .iter()
                .map(asked)
                .max()
                .unwrap_or(0)
                .saturating_add(spare);
        }
        let (mut low, mut high) = (0, limit);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if total(middle) <= limit {
                low = middle;
            } else {
                high = middle;
            }
        }
        low.max(1)
    }
}

#[cfg(test)]
mod tests;
