//! The engine's settings, with the RFC's defaults.

/// Durations in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// The estimate of a round trip (§17.1.1.1).
    pub t1_ms: u64,
    /// The longest interval between repetitions (§17.1.2.2).
    pub t2_ms: u64,
    /// How long a message stays in the network (§17.1.2.2).
    pub t4_ms: u64,
    /// The least that timer D may be on an unreliable transport (§17.1.1.2).
    pub timer_d_ms: u64,
    /// How long an INVITE stays unanswered before the engine sends 100 (§17.2.1).
    pub trying_ms: u64,
    /// How long an INVITE client waits in Proceeding after each provisional response.
    pub proceeding_ms: u64,
    /// How long an INVITE server waits for its core after each provisional response, before it answers 408.
    pub invite_watchdog_ms: u64,
    /// How long an effect that starts a runner may stay undone before it is given out again.
    pub runner_ms: u64,
    /// How long a request waits for the queued ACKs of its Call-ID.
    pub gate_ms: u64,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            t1_ms: 500,
            t2_ms: 4_000,
            t4_ms: 5_000,
            timer_d_ms: 32_000,
            trying_ms: 200,
            proceeding_ms: 600_000,
            invite_watchdog_ms: 240_000,
            runner_ms: 1_000,
            gate_ms: 1_000,
        }
    }
}

impl Timers {
    /// 64 × T1: timers B, F, H, J, L and M.
    pub fn timeout_ms(&self) -> u64 {
        self.t1_ms.saturating_mul(64)
    }

    /// When the client's timer E is reset to T2: the moment for a 100 to a non-INVITE (RFC 4320 §4.1).
    pub fn until_t2_ms(&self) -> u64 {
        let mut elapsed = self.t1_ms.max(1);
        let mut interval = elapsed.saturating_mul(2);
        while interval < self.t2_ms {
            elapsed = elapsed.saturating_add(interval);
            interval = interval.saturating_mul(2);
        }
        elapsed
    }

    /// The same without an interval of 0, at which a timer would repeat and time stand still.
    pub(super) fn advancing(self) -> Timers {
        Timers {
            t1_ms: self.t1_ms.max(1),
            t2_ms: self.t2_ms.max(1),
            runner_ms: self.runner_ms.max(1),
            ..self
        }
    }

    /// The interval after this one.
    pub fn backoff_ms(&self, interval_ms: u64) -> u64 {
        interval_ms.saturating_mul(2).min(self.t2_ms)
    }
}

/// All settings of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Durations.
    pub timers: Timers,
    /// How many transactions may be open. A tenth is kept for CANCEL, ACK and requests inside dialogs.
    pub max_transactions: usize,
    /// A request that shares From tag, Call-ID and CSeq with another but not the branch is to be answered 482: right
    /// for a user agent, wrong for a proxy (§8.2.2.2).
    pub reject_merged: bool,
    /// Responses that match no transaction go to the core, as a stateless proxy wants it (§16.11).
    pub deliver_stray_responses: bool,
    /// How long a request may be that leaves by a transport that is not reliable (§18.1.1).
    pub max_unreliable_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            timers: Timers::default(),
            max_transactions: 1_000_000,
            reject_merged: false,
            deliver_stray_responses: false,
            max_unreliable_bytes: 1_300,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_e_reaches_t2_after_three_and_a_half_seconds() {
        assert_eq!(Timers::default().until_t2_ms(), 3_500);
        assert_eq!(Timers::default().timeout_ms(), 32_000);
    }
}
