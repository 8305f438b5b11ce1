//! The 2xx that an INVITE server transaction has sent, by To tag, each repeated until its own ACK where its core wants that
//! (§13.3.1.4). A user agent has one; what forks behind this element, or joins calls, may have several.

use bytes::Bytes;

use super::context::{Context, Timer};
use super::effect::{Failure, Target};
use super::input::OutgoingResponse;
use super::key::Key;

/// How many forks of one INVITE are told apart.
const LIMIT: usize = 16;

/// All of one INVITE.
#[derive(Default)]
pub(super) struct Forks(Vec<Fork>);

/// One To tag.
struct Fork {
    /// What its ACK shares with it.
    key: Key,
    wait: Wait,
}

enum Wait {
    /// The core repeats its 2xx by itself, or has been told that no ACK came.
    None,
    /// It is repeated until its ACK comes.
    Open(Repetition),
    /// The core has its ACK.
    Over,
}

struct Repetition {
    bytes: Bytes,
    target: Target,
    interval_ms: u64,
    due_ms: u64,
    /// 64·T1 after the core sent it.
    end_ms: u64,
}

impl Forks {
    /// A 2xx of this fork can be repeated.
    pub fn has_place(&self, key: Key) -> bool {
        self.0.len() < LIMIT || self.0.iter().any(|fork| fork.key == key)
    }

    /// A 2xx of the core's has left: the first of its fork, or one again.
    pub fn sent(&mut self, response: &OutgoingResponse, cx: &mut Context<'_>) {
        let key = response.acknowledged;
        if !self.0.iter().any(|fork| fork.key == key) && self.0.len() < LIMIT {
            cx.alias(key);
            // Nearly always the only one.
            self.0.reserve_exact(1);
            self.0.push(Fork {
                key,
                wait: Wait::None,
            });
        }
        let Some(fork) = self.0.iter_mut().find(|fork| fork.key == key) else {
            return;
        };
        if !response.until_ack || matches!(fork.wait, Wait::Over) {
            return;
        }
        fork.wait = Wait::Open(Repetition {
            bytes: response.bytes.clone(),
            target: cx.common.target.clone(),
            interval_ms: cx.config.t1_ms,
            due_ms: cx.now.saturating_add(cx.config.t1_ms),
            end_ms: cx.now.saturating_add(cx.config.timeout_ms()),
        });
        self.arm(cx);
        // The transaction outlives the wait.
        cx.arm(Timer::L, cx.config.timeout_ms());
    }

    /// An ACK came; true if the core is to see it. Where the 2xx is repeated here that is once, else each may have to be
    /// forwarded.
    pub fn acknowledged(&mut self, key: Key, cx: &mut Context<'_>) -> bool {
        let Some(fork) = self.0.iter_mut().find(|fork| fork.key == key) else {
            return true;
        };
        match fork.wait {
            Wait::None => true,
            Wait::Over => false,
            Wait::Open(_) => {
                fork.wait = Wait::Over;
                self.arm(cx);
                true
            }
        }
    }

    /// What is due is repeated; a wait of 64·T1 is over.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        for fork in &mut self.0 {
            let Wait::Open(repetition) = &mut fork.wait else {
                continue;
            };
            if repetition.end_ms <= cx.now {
                fork.wait = Wait::None;
                cx.fail(Failure::NoAck);
            } else if repetition.due_ms <= cx.now {
                cx.retransmitted();
                cx.transmit_to(&repetition.bytes, repetition.target.clone());
                repetition.interval_ms = cx.config.backoff_ms(repetition.interval_ms);
                repetition.due_ms = cx.now.saturating_add(repetition.interval_ms);
            }
        }
        self.arm(cx);
    }

    /// The transaction ends.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        for fork in core::mem::take(&mut self.0) {
            if matches!(fork.wait, Wait::Open(_)) {
                cx.fail(Failure::NoAck);
            }
        }
    }

    /// One is repeated until its ACK.
    pub fn wait(&self) -> bool {
        self.open().next().is_some()
    }

    fn open(&self) -> impl Iterator<Item = &Repetition> {
        self.0.iter().filter_map(|fork| match &fork.wait {
            Wait::Open(repetition) => Some(repetition),
            Wait::None | Wait::Over => None,
        })
    }

    /// One timer for all: the earliest.
    fn arm(&self, cx: &mut Context<'_>) {
        let next = self.open().map(|one| one.due_ms.min(one.end_ms)).min();
        match next {
            Some(at) => cx.arm(Timer::Accepted, at.saturating_sub(cx.now)),
            None => cx.disarm(Timer::Accepted),
        }
    }

    pub fn bytes(&self) -> usize {
        self.open().map(|repetition| repetition.bytes.len()).sum()
    }
}
