//! The engine: the table of transactions, and the steps that messages and timers make in it.

mod callers;
mod census;
mod inspect;
#[cfg(test)]
mod pairs;
mod requests;
mod routes;
mod runners;
mod sends;

use bytes::Bytes;

use self::census::Share;
use self::runners::Gate;
use super::client::{self, Client};
use super::config::Config;
use super::context::{Alarm, Common, Context, Step, Timer};
use super::delivery::{Listener, Runner};
use super::effect::{Delivery, Effect, End};
use super::input::{IncomingResponse, Name};
use super::invite_client::{self, InviteClient};
use super::invite_server::{self, InviteServer};
use super::key::{Key, KeyMaker};
use super::outcome::{Census, Gauges, Surroundings, Verdict};
use super::route::{Between, Owner};
use super::server::{self, Server};
use super::slab::{Handle, Slab, Table};
use crate::timer::wheel::Wheel;

enum Machine {
    InviteClient(InviteClient),
    Client(Client),
    InviteServer(InviteServer),
    Server(Server),
    /// A client's, while its request has no target.
    Between(Between),
    /// No machine: a message that goes to the core outside of any transaction.
    Stray {
        acknowledges: bool,
    },
    /// The machine has ended; what the core is owed is still there.
    Ended {
        client: bool,
    },
}

impl Machine {
    fn is_client(&self) -> bool {
        matches!(
            self,
            Machine::InviteClient(_)
                | Machine::Client(_)
                | Machine::Between(_)
                | Machine::Ended { client: true }
        )
    }

    fn is_over(&self) -> bool {
        matches!(self, Machine::Ended { .. } | Machine::Stray { .. })
    }
}

struct Entry {
    common: Common,
    machine: Machine,
}

/// All transactions of one shard.
pub struct Engine {
    config: Config,
    keys: KeyMaker,
    entries: Slab<Entry>,
    table: Table<Handle>,
    gates: Table<Gate>,
    wheel: Wheel<Alarm>,
    now: u64,
    surroundings: Surroundings,
    gauges: Gauges,
    census: Census,
}

impl Engine {
    /// An empty engine. All engines of a stack share one [`KeyMaker`].
    ///
    /// One that takes the place of another is made later: what held a handle of the old one finds nothing in it.
    pub fn new(config: Config, keys: KeyMaker, now_ms: u64) -> Engine {
        Engine {
            config: Config {
                timers: config.timers.advancing(),
                ..config
            },
            keys,
            entries: Slab::new(now_ms),
            table: Table::new(),
            gates: Table::new(),
            wheel: Wheel::new(now_ms),
            now: now_ms,
            surroundings: Surroundings::default(),
            gauges: Gauges::default(),
            census: Census::default(),
        }
    }

    /// How many transactions are open, those included whose core is still owed something.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No transaction is open.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Tells what is around the engine. It holds until it is told again.
    pub fn set_surroundings(&mut self, surroundings: Surroundings) {
        self.surroundings = surroundings;
    }

    /// The counts so far.
    pub fn gauges(&self) -> Gauges {
        self.gauges
    }

    /// When [`Engine::handle_timeout`] has something to do; never too late.
    pub fn next_deadline(&self) -> Option<u64> {
        self.wheel.next_deadline()
    }

    /// How many keys, gates and timers are held: none where no transaction is open.
    pub fn held(&self) -> usize {
        self.table.len() + self.gates.len() + self.wheel.len()
    }

    fn deliver_stray(
        &mut self,
        common: Common,
        acknowledges: bool,
        delivery: Delivery,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let entry = Entry {
            common,
            machine: Machine::Stray { acknowledges },
        };
        match self.insert(entry) {
            Some(handle) => {
                self.with(handle, effects, |_, cx| cx.deliver(delivery));
                true
            }
            None => false,
        }
    }

    /// A response came in.
    pub fn handle_response(
        &mut self,
        now: u64,
        response: IncomingResponse,
        effects: &mut Vec<Effect>,
    ) -> Verdict {
        self.advance(now);
        let Some(handle) = self.table.get(response.key).copied() else {
            return self.stray_response(response, effects);
        };
        let mut released = None;
        let mut left = None;
        self.step(handle, effects, |machine, cx| {
            if let Some(route) = &cx.common.route
                && let Owner::Left(acknowledger) = route.owner(response.key)
            {
                left = acknowledger;
                cx.gauges.absorbed_messages += u64::from(left.is_none());
                return Step::Alive;
            }
            match machine {
                Machine::InviteClient(m) => {
                    match m.handle(invite_client::Event::Response(&response), cx) {
                        invite_client::Outcome::Step(step) => step,
                        invite_client::Outcome::Cancel(cancel) => {
                            released = Some(cancel);
                            Step::Alive
                        }
                    }
                }
                Machine::Client(m) => m.handle(client::Event::Response(&response), cx),
                _ => Step::Alive,
            }
        });
        if let Some(left) = left {
            self.acknowledge_again(left, &response, effects);
        }
        if let Some(cancel) = released {
            self.release_cancel(handle, cancel, effects);
        }
        Verdict::Matched
    }

    fn stray_response(&mut self, response: IncomingResponse, effects: &mut Vec<Effect>) -> Verdict {
        if !self.config.deliver_stray_responses || !self.has_room(false) {
            return Verdict::Dropped;
        }
        let delivery = Delivery::Response {
            bytes: response.bytes,
            source: response.source.clone(),
            keyed: false,
        };
        let common = Common::new(
            Name::default(),
            response.key,
            response.call,
            response.source,
            true,
            self.now,
        );
        if self.deliver_stray(common, false, delivery, effects) {
            Verdict::Delivered
        } else {
            Verdict::Dropped
        }
    }

    /// A transmission of this transaction failed, in the transport's words.
    pub fn handle_transport_error(
        &mut self,
        now: u64,
        handle: Handle,
        reason: Bytes,
        effects: &mut Vec<Effect>,
    ) {
        self.advance(now);
        self.step(handle, effects, |machine, cx| match machine {
            // The connection to a target that was left, for instance.
            _ if cx.common.attempt() != handle.attempt() => Step::Alive,
            Machine::InviteClient(m) => {
                client_step(m.handle(invite_client::Event::TransportError(reason), cx))
            }
            Machine::Client(m) => m.handle(client::Event::TransportError(reason), cx),
            Machine::InviteServer(m) => {
                server_step(m.handle(invite_server::Event::TransportError(reason), cx))
            }
            Machine::Server(m) => match m.handle(server::Event::TransportError(reason), cx) {
                server::Outcome::Step(step) => step,
                _ => Step::Alive,
            },
            Machine::Between(_) | Machine::Stray { .. } | Machine::Ended { .. } => Step::Alive,
        });
    }

    /// The transaction of a key; of one that has had several branches, the attempt that this was.
    pub fn find(&self, key: Key) -> Option<Handle> {
        let handle = self.table.get(key).copied()?;
        let common = &self.entries.get(handle)?.common;
        Some(match &common.route {
            Some(route) if route.current == key => handle.with_attempt(route.attempt),
            // Any but the present one.
            Some(route) if common.key != key => handle.with_attempt(route.attempt + 7),
            _ => handle,
        })
    }

    /// Ends a transaction at once. The core is told nothing, also not what waits for it.
    pub fn terminate(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) -> bool {
        self.advance(now);
        let Some(entry) = self.entries.get(handle) else {
            return false;
        };
        effects.extend(entry.wake());
        self.with(handle, effects, |_, cx| {
            cx.common.queue.clear();
            cx.common.end = End::Terminated;
        });
        self.step(handle, effects, |_, _| Step::Ended);
        true
    }

    /// Carries out at most `budget` of the timers that are due; true if there may be more.
    pub fn handle_timeout(&mut self, now: u64, budget: usize, effects: &mut Vec<Effect>) -> bool {
        self.advance(now);
        for _ in 0..budget {
            let Some((_, (handle, timer))) = self.wheel.poll(self.now) else {
                return false;
            };
            match timer {
                Timer::Runner => self.with(handle, effects, |_, cx| {
                    if cx.common.runner == Runner::Called {
                        cx.common.runner = Runner::Idle;
                        cx.call_runner();
                    }
                }),
                Timer::Gate => self.open(handle, effects),
                Timer::Cancel => self.retry_cancel(handle, effects),
                _ => self.step(handle, effects, |machine, cx| match machine {
                    Machine::InviteClient(m) => {
                        client_step(m.handle(invite_client::Event::Timer(timer), cx))
                    }
                    Machine::Client(m) => m.handle(client::Event::Timer(timer), cx),
                    Machine::InviteServer(m) => {
                        server_step(m.handle(invite_server::Event::Timer(timer), cx))
                    }
                    Machine::Server(m) => match m.handle(server::Event::Timer(timer), cx) {
                        server::Outcome::Step(step) => step,
                        _ => Step::Alive,
                    },
                    Machine::Between(m) if timer == Timer::Between => m.give_up(cx),
                    Machine::Between(_) | Machine::Stray { .. } | Machine::Ended { .. } => {
                        Step::Alive
                    }
                }),
            }
        }
        true
    }

    /// Forgets at most `budget` transactions, without a word but to processes that wait; true when none is left.
    ///
    /// It is the end of the engine: from the first call on no key finds those that are left.
    pub fn clear(&mut self, budget: usize, effects: &mut Vec<Effect>) -> bool {
        // What is large goes first: to free it behind a million small things costs an allocator, which then puts those
        // together, as much at once.
        if self.held() > 0 {
            self.table = Table::new();
            self.gates = Table::new();
            self.wheel = Wheel::new(self.now);
        }
        for _ in 0..budget {
            let Some(entry) = self.entries.pop() else {
                *self = Engine::new(self.config, self.keys, self.now);
                return true;
            };
            self.census
                .subtract(Share::of(&entry.common, &entry.machine));
            effects.extend(entry.wake());
        }
        false
    }

    fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    fn has_room(&self, privileged: bool) -> bool {
        let limit = self.config.max_transactions;
        self.entries
            .len()
            .saturating_add(self.surroundings.elsewhere)
            < if privileged {
                limit
            } else {
                limit - limit / 10
            }
    }

    /// Runs something on a transaction and its surroundings; nothing if it is gone.
    fn with(
        &mut self,
        handle: Handle,
        effects: &mut Vec<Effect>,
        run: impl FnOnce(&mut Machine, &mut Context<'_>),
    ) {
        let Some(Entry { common, machine }) = self.entries.get_mut(handle) else {
            return;
        };
        let before = Share::of(common, machine);
        let mut context = Context {
            handle,
            now: self.now,
            common,
            config: &self.config.timers,
            keys: &self.keys,
            wheel: &mut self.wheel,
            table: &mut self.table,
            effects,
            gauges: &mut self.gauges,
            surroundings: self.surroundings,
        };
        run(machine, &mut context);
        let after = Share::of(common, machine);
        self.census.replace(before, after);
    }

    fn insert(&mut self, entry: Entry) -> Option<Handle> {
        let share = Share::of(&entry.common, &entry.machine);
        let handle = self.entries.insert(entry)?;
        self.census.add(share);
        Some(handle)
    }

    /// Runs a machine for one step and clears away what has ended.
    fn step(
        &mut self,
        handle: Handle,
        effects: &mut Vec<Effect>,
        run: impl FnOnce(&mut Machine, &mut Context<'_>) -> Step,
    ) {
        let mut outcome = Step::Alive;
        self.with(handle, effects, |machine, cx| {
            outcome = run(machine, cx);
            if outcome == Step::Ended && !machine.is_over() {
                let client = machine.is_client();
                cx.report_stop(client);
                *machine = Machine::Ended { client };
                cx.disarm_machine();
                // Whoever asks for the key now begins anew.
                cx.table.remove(cx.common.key);
                for alias in core::mem::take(&mut cx.common.aliases) {
                    cx.table.remove(alias);
                }
            }
            if outcome == Step::Ended && cx.common.route.is_none() {
                outcome = Step::Alive;
            }
        });
        match outcome {
            Step::Alive => {}
            Step::Ended => self.hand_over_left(handle),
            Step::SetBack => self.set_back(handle, effects),
        }
        self.sweep(handle, effects);
    }

    /// Forgets a transaction that has ended and whose core is owed nothing.
    fn sweep(&mut self, handle: Handle, effects: &mut Vec<Effect>) {
        let over = self.entries.get(handle).is_some_and(|entry| {
            entry.machine.is_over()
                && entry.common.queue.is_empty()
                && entry.common.runner != Runner::Running
        });
        if !over {
            return;
        }
        self.with(handle, effects, |_, cx| {
            cx.disarm(Timer::Runner);
            cx.disarm(Timer::Gate);
        });
        let Some(entry) = self.entries.remove(handle) else {
            return;
        };
        self.census
            .subtract(Share::of(&entry.common, &entry.machine));
        for follower in entry.common.followers {
            self.open(follower, effects);
        }
        if matches!(entry.machine, Machine::Stray { acknowledges: true }) {
            self.acknowledgement_seen(entry.common.call, effects);
        }
    }
}

impl Entry {
    /// What tells the process that waits, if there is one.
    fn wake(&self) -> Option<Effect> {
        match &self.common.listener {
            Listener::Caller(caller) => Some(Effect::Wake(caller.clone())),
            Listener::Core | Listener::Nobody => None,
        }
    }
}

fn client_step(outcome: invite_client::Outcome) -> Step {
    match outcome {
        invite_client::Outcome::Step(step) => step,
        invite_client::Outcome::Cancel(_) => Step::Alive,
    }
}

fn server_step(outcome: invite_server::Outcome) -> Step {
    match outcome {
        invite_server::Outcome::Step(step) => step,
        _ => Step::Alive,
    }
}
