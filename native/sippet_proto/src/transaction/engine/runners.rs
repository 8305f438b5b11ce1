//! Who may call the core when: the runners, and what one transaction's first delivery waits for in another's.

use std::collections::VecDeque;

use super::{Engine, Entry, Machine, server_step};
use crate::transaction::context::{Queued, Step, Timer};
use crate::transaction::delivery::{Process, Runner};
use crate::transaction::effect::{Delivery, Effect};
use crate::transaction::invite_server;
use crate::transaction::key::Key;
use crate::transaction::outcome::{Class, Taken};
use crate::transaction::server;
use crate::transaction::slab::Handle;

/// How many requests wait for the ACKs of one Call-ID; more go on at once.
const GATE_LIMIT: usize = 64;

/// The ACKs of one Call-ID that the core has not seen yet, and the requests behind them.
pub(super) struct Gate {
    acks: u32,
    waiting: Vec<Handle>,
}

impl Engine {
    /// Tells which process is about to [begin](Engine::begin); for [`Taken::behind`] of a CANCEL.
    pub fn run_by(&mut self, handle: Handle, process: Process) {
        if let Some(entry) = self.entries.get_mut(handle)
            && entry.common.runner == Runner::Called
        {
            entry.common.process = Some(process);
        }
    }

    /// A runner that was just started takes its first delivery. None ends it: another one is at work, or nothing is
    /// left to do.
    pub fn begin(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) -> Option<Taken> {
        let called = self
            .entries
            .get(handle)
            .is_some_and(|entry| entry.common.runner == Runner::Called);
        if called && !self.has_caller(handle) {
            self.take(now, handle, effects)
        } else {
            None
        }
    }

    /// What the core is at work on, in this transaction, if that is a request that could have been refused.
    pub fn is_at_request(&self, handle: Handle) -> Option<Class> {
        let common = &self.entries.get(handle)?.common;
        common.class.filter(|_| common.at_request)
    }

    /// A runner takes the next delivery, and says by this that the one before is done. None ends the runner.
    pub fn take(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) -> Option<Taken> {
        self.advance(now);
        let mut taken = None;
        let mut followers = Vec::new();
        let mut process = None;
        self.with(handle, effects, |machine, cx| {
            cx.disarm(Timer::Runner);
            cx.common.owes_final = false;
            cx.common.at_request = false;
            match cx.common.queue.pop_front() {
                Some(Queued {
                    delivery,
                    status_code,
                    stamp_us,
                }) => {
                    cx.common.runner = Runner::Running;
                    cx.common.started = true;
                    let offered = matches!(delivery, Delivery::Request { keyed: true, .. });
                    cx.common.owes_final = offered;
                    let request = matches!(delivery, Delivery::Request { .. });
                    cx.common.at_request = request && cx.common.class.is_some();
                    let name = &cx.common.name;
                    followers = core::mem::take(&mut cx.common.followers);
                    process = cx.common.process;
                    let client = machine.is_client();
                    taken = Some(Taken {
                        delivery,
                        name: if offered {
                            name.offered()
                        } else {
                            name.clone()
                        },
                        client,
                        status_code,
                        cancelled: cx.common.cancelled,
                        behind: cx.common.behind.take(),
                        class: cx.common.class.filter(|_| request),
                        stamp_us,
                    });
                }
                None => {
                    cx.common.runner = Runner::Idle;
                    // A transaction waits long after its last delivery, and an empty queue has room for four.
                    cx.common.queue = VecDeque::new();
                }
            }
        });
        for follower in followers {
            if let Some(entry) = self.entries.get_mut(follower) {
                entry.common.behind = process;
            }
            self.open(follower, effects);
        }
        if taken.is_none() {
            self.sweep(handle, effects);
        }
        taken
    }

    /// A runner ended inside the core's callback: a request that is owed a final answer gets 500, once, and what is
    /// left waits for the next runner.
    pub fn handle_runner_failure(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) {
        self.advance(now);
        let mut running = false;
        self.with(handle, effects, |_, cx| {
            running = cx.common.runner == Runner::Running;
        });
        if !running {
            return;
        }
        self.step(handle, effects, |machine, cx| {
            cx.common.runner = Runner::Idle;
            let owed = core::mem::take(&mut cx.common.owes_final);
            let step = match machine {
                Machine::InviteServer(m) if owed => {
                    server_step(m.handle(invite_server::Event::CoreFailed, cx))
                }
                Machine::Server(m) if owed => match m.handle(server::Event::CoreFailed, cx) {
                    server::Outcome::Step(step) => step,
                    _ => Step::Alive,
                },
                _ => Step::Alive,
            };
            cx.call_runner();
            step
        });
    }

    /// §9.2: the core sees a CANCEL only once its callback for the INVITE has begun.
    pub(super) fn follow(&mut self, invite: Handle, cancel: Handle) -> bool {
        let Some(Entry { common, .. }) = self.entries.get_mut(invite) else {
            return false;
        };
        if !common.started && !common.queue.is_empty() {
            common.followers.push(cancel);
            return true;
        }
        let running = common.runner == Runner::Running;
        let behind = common.process.filter(|_| running);
        if let Some(entry) = self.entries.get_mut(cancel) {
            entry.common.behind = behind;
        }
        false
    }

    /// A request behind ACKs of its Call-ID that the core has not seen.
    pub(super) fn wait_at_gate(&mut self, call: Key, handle: Handle) -> bool {
        match self.gates.get_mut(call) {
            Some(gate) if gate.waiting.len() < GATE_LIMIT => {
                gate.waiting.push(handle);
                true
            }
            _ => false,
        }
    }

    /// Requests of this Call-ID wait from now on for one ACK more.
    pub(super) fn shut_gate(&mut self, call: Key) {
        match self.gates.get_mut(call) {
            Some(gate) => gate.acks += 1,
            None => self.gates.insert(
                call,
                Gate {
                    acks: 1,
                    waiting: Vec::new(),
                },
            ),
        }
    }

    pub(super) fn acknowledgement_seen(&mut self, call: Key, effects: &mut Vec<Effect>) {
        let Some(gate) = self.gates.get_mut(call) else {
            return;
        };
        gate.acks = gate.acks.saturating_sub(1);
        if gate.acks == 0 {
            let waiting = self
                .gates
                .remove(call)
                .map(|gate| gate.waiting)
                .unwrap_or_default();
            for handle in waiting {
                self.open(handle, effects);
            }
        }
    }

    /// Lets the first delivery of a transaction run that waited for another's.
    pub(super) fn open(&mut self, handle: Handle, effects: &mut Vec<Effect>) {
        self.with(handle, effects, |_, cx| {
            cx.common.gated = false;
            // It could not have been taken before.
            for queued in &mut cx.common.queue {
                queued.stamp_us = cx.surroundings.stamp_us;
            }
            cx.disarm(Timer::Gate);
            cx.call_runner();
        });
    }
}
