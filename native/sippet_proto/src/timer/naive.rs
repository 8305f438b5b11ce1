//! The timer wheel's oracle: the same promises from a sorted list, too plain to be wrong. For tests only; every
//! operation costs by the number of timers.

use super::TimerId;
use std::collections::VecDeque;

/// Timers in a list sorted by deadline, then by order of arming. See [`Wheel`](super::Wheel) for the methods.
#[derive(Debug)]
pub struct Naive<T> {
    timers: VecDeque<(u64, u64, T)>,
    armed: u64,
    reached: u64,
    now: u64,
}

impl<T: Copy> Naive<T> {
    /// An empty list whose time is `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Naive {
            timers: VecDeque::new(),
            armed: 0,
            reached: now_ms,
            now: now_ms,
        }
    }

    /// Adds a timer.
    pub fn arm(&mut self, deadline_ms: u64, value: T) -> TimerId {
        let deadline = deadline_ms.max(self.reached);
        let place = self.timers.partition_point(|timer| timer.0 <= deadline);
        self.timers.insert(place, (deadline, self.armed, value));
        let id = TimerId {
            index: self.armed as u32,
            generation: (self.armed >> 32) as u32,
        };
        self.armed += 1;
        id
    }

    /// Takes a timer out before it fires.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let number = u64::from(id.generation) << 32 | u64::from(id.index);
        let place = self.timers.iter().position(|timer| timer.1 == number)?;
        self.timers.remove(place).map(|timer| timer.2)
    }

    /// The earliest deadline, exactly.
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.front().map(|timer| timer.0)
    }

    /// Fires one timer that is due.
    pub fn poll(&mut self, now_ms: u64) -> Option<(u64, T)> {
        self.now = self.now.max(now_ms);
        match self.timers.front() {
            Some(&(deadline, _, value)) if deadline <= self.now => {
                self.reached = deadline;
                self.timers.pop_front();
                Some((deadline, value))
            }
            _ => {
                self.reached = self.now;
                None
            }
        }
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }
}
