//! The engine: the table of transactions, and the steps that messages, timers and the core make in it.

use bytes::Bytes;

use super::client::{self, Client};
use super::config::Config;
use super::context::{Alarm, Common, Context, Step, Timer};
use super::delivery::Runner;
use super::effect::{Delivery, Effect};
use super::input::{
    IncomingRequest, IncomingResponse, Kind, Name, OutgoingRequest, OutgoingResponse,
};
use super::invite_client::{self, InviteClient};
use super::invite_server::{self, InviteServer};
use super::key::{Key, KeyMaker};
use super::outcome::{Gauges, Info, SendError, Taken, Verdict};
use super::server::{self, Server};
use super::slab::{Handle, Slab, Table};
use crate::timer::wheel::Wheel;

/// How many requests wait for the ACKs of one Call-ID; more go on at once.
const GATE_LIMIT: usize = 64;

/// How many slots one page of [`Engine::list`] looks at.
const PAGE_SLOTS: u32 = 1024;

enum Machine {
    InviteClient(InviteClient),
    Client(Client),
    InviteServer(InviteServer),
    Server(Server),
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
            Machine::InviteClient(_) | Machine::Client(_) | Machine::Ended { client: true }
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

/// The ACKs of one Call-ID that the core has not seen yet, and the requests behind them.
struct Gate {
    acks: u32,
    waiting: Vec<Handle>,
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
    /// How many transactions the other shards have, by which the limit is kept.
    elsewhere: usize,
    gauges: Gauges,
}

impl Engine {
    /// An empty engine. All engines of a stack share one [`KeyMaker`].
    pub fn new(config: Config, keys: KeyMaker, now_ms: u64) -> Engine {
        Engine {
            config,
            keys,
            entries: Slab::new(),
            table: Table::new(),
            gates: Table::new(),
            wheel: Wheel::new(now_ms),
            now: now_ms,
            elsewhere: 0,
            gauges: Gauges::default(),
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

    /// Tells how many transactions are open in the other engines of a stack, which share the limit with this one.
    pub fn set_elsewhere(&mut self, count: usize) {
        self.elsewhere = count;
    }

    /// The counts so far.
    pub fn gauges(&self) -> Gauges {
        self.gauges
    }

    /// When [`Engine::handle_timeout`] has something to do; never too late.
    pub fn next_deadline(&self) -> Option<u64> {
        self.wheel.next_deadline()
    }

    /// A request came in.
    pub fn handle_request(
        &mut self,
        now: u64,
        request: IncomingRequest,
        effects: &mut Vec<Effect>,
    ) -> Verdict {
        self.advance(now);
        match request.kind {
            Kind::Ack => self.handle_ack(request, effects),
            Kind::Invite | Kind::Cancel | Kind::NonInvite => {
                // A CANCEL's transaction is found by its own key, also when the INVITE's is gone.
                match self.table.get(request.key).copied() {
                    Some(handle) => {
                        self.gauges.absorbed_messages += 1;
                        self.step(handle, effects, |machine, cx| match machine {
                            Machine::InviteServer(m) => {
                                server_step(m.handle(invite_server::Event::Request, cx))
                            }
                            Machine::Server(m) => match m.handle(server::Event::Request, cx) {
                                server::Outcome::Step(step) => step,
                                _ => Step::Alive,
                            },
                            _ => Step::Alive,
                        });
                        Verdict::Matched
                    }
                    None => self.begin_server(request, effects),
                }
            }
        }
    }

    fn begin_server(&mut self, request: IncomingRequest, effects: &mut Vec<Effect>) -> Verdict {
        let invite = match request.kind {
            Kind::Cancel => match self.table.get(request.invite) {
                Some(invite) => Some(*invite),
                None => return Verdict::Reply(481),
            },
            _ => None,
        };
        if !self.has_room(request.in_dialog || request.kind == Kind::Cancel) {
            self.gauges.refused_requests += 1;
            return Verdict::Reply(503);
        }
        let merged =
            self.config.reject_merged && !request.in_dialog && request.kind != Kind::Cancel;
        if merged && self.table.get(request.merged).is_some() {
            return Verdict::Reply(482);
        }
        let common = Common::new(
            request.name,
            request.key,
            request.call,
            request.target,
            request.reliable,
            self.now,
        );
        // The machine is made with its context, and the context needs a place: it starts as one that has ended.
        let Some(handle) = self.entries.insert(Entry {
            common,
            machine: Machine::Ended { client: false },
        }) else {
            return Verdict::Reply(503);
        };
        self.table.insert(request.key, handle);
        let gated = match invite {
            Some(invite) => self.follow(invite, handle),
            None => self.wait_at_gate(request.call, handle),
        };
        let delivery = Delivery::Request {
            bytes: request.bytes.clone(),
            source: request.source,
            keyed: true,
        };
        self.with(handle, effects, |machine, cx| {
            *machine = match request.kind {
                Kind::Invite => Machine::InviteServer(InviteServer::start(request.bytes, cx)),
                _ => Machine::Server(Server::start(request.bytes, cx)),
            };
            if merged {
                cx.alias(request.merged);
            }
            if gated {
                cx.common.gated = true;
                if invite.is_none() {
                    cx.arm(Timer::Gate, cx.config.gate_ms);
                }
            }
            cx.deliver(delivery);
        });
        Verdict::Began(handle)
    }

    /// §9.2: the core sees a CANCEL only once its callback for the INVITE has begun.
    fn follow(&mut self, invite: Handle, cancel: Handle) -> bool {
        match self.entries.get_mut(invite) {
            Some(entry) if !entry.common.started && !entry.common.queue.is_empty() => {
                entry.common.followers.push(cancel);
                true
            }
            _ => false,
        }
    }

    /// A request behind ACKs of its Call-ID that the core has not seen.
    fn wait_at_gate(&mut self, call: Key, handle: Handle) -> bool {
        match self.gates.get_mut(call) {
            Some(gate) if gate.waiting.len() < GATE_LIMIT => {
                gate.waiting.push(handle);
                true
            }
            _ => false,
        }
    }

    fn handle_ack(&mut self, ack: IncomingRequest, effects: &mut Vec<Effect>) -> Verdict {
        if ack.stateless_ack {
            self.gauges.absorbed_messages += 1;
            return Verdict::Dropped;
        }
        let by_branch = self.table.get(ack.key).copied();
        let matched = by_branch.or_else(|| self.table.get(ack.acknowledged).copied());
        if let Some(handle) = matched {
            let mut deliver = false;
            self.step(handle, effects, |machine, cx| {
                let Machine::InviteServer(m) = machine else {
                    return Step::Alive;
                };
                let mut outcome = match by_branch {
                    Some(_) => m.handle(invite_server::Event::Ack, cx),
                    None => m.handle(invite_server::Event::Acknowledged(ack.acknowledged), cx),
                };
                // An ACK to a 2xx under the INVITE's own branch is still that 2xx's.
                if by_branch.is_some() && outcome == invite_server::Outcome::Deliver {
                    outcome = m.handle(invite_server::Event::Acknowledged(ack.acknowledged), cx);
                }
                deliver = outcome == invite_server::Outcome::Deliver;
                server_step(outcome)
            });
            if !deliver {
                self.gauges.absorbed_messages += 1;
                return Verdict::Matched;
            }
        }
        if !self.has_room(true) {
            self.gauges.refused_requests += 1;
            return Verdict::Dropped;
        }
        let delivery = Delivery::Request {
            bytes: ack.bytes,
            source: ack.source,
            keyed: false,
        };
        let common = Common::new(
            ack.name,
            ack.key,
            ack.call,
            ack.target,
            ack.reliable,
            self.now,
        );
        if !self.deliver_stray(common, true, delivery, effects) {
            return Verdict::Dropped;
        }
        match self.gates.get_mut(ack.call) {
            Some(gate) => gate.acks += 1,
            None => self.gates.insert(
                ack.call,
                Gate {
                    acks: 1,
                    waiting: Vec::new(),
                },
            ),
        }
        Verdict::Delivered
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
        match self.entries.insert(entry) {
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
        self.step(handle, effects, |machine, cx| match machine {
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
        });
        if let Some(cancel) = released {
            // The core was told that its CANCEL is on its way; that another one is, is as good.
            let _ = self.begin_client(*cancel, effects);
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

    /// The core sends a request. An ACK is sent and, if it answers a 2xx that is known here, kept for its repetitions.
    pub fn send_request(
        &mut self,
        now: u64,
        request: OutgoingRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Handle>, SendError> {
        self.advance(now);
        match request.kind {
            Kind::Ack => {
                self.send_ack(request, effects);
                Ok(None)
            }
            Kind::Cancel => self.send_cancel(request, effects),
            Kind::Invite | Kind::NonInvite => self.begin_client(request, effects).map(Some),
        }
    }

    fn send_ack(&mut self, ack: OutgoingRequest, effects: &mut Vec<Effect>) {
        if let Some(handle) = self.table.get(ack.accepted).copied() {
            let (tag, bytes, target) = (ack.tag, ack.bytes.clone(), ack.target.clone());
            self.step(handle, effects, |machine, cx| match machine {
                Machine::InviteClient(m) => {
                    client_step(m.handle(invite_client::Event::AckSent { tag, bytes, target }, cx))
                }
                _ => Step::Alive,
            });
        }
        effects.push(Effect::Transmit {
            target: ack.target,
            bytes: ack.bytes,
            handle: None,
        });
    }

    fn send_cancel(
        &mut self,
        mut cancel: OutgoingRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Handle>, SendError> {
        if self.table.get(cancel.key).is_some() {
            return Err(SendError::AlreadyStarted);
        }
        let Some(invite) = self.table.get(cancel.invite).copied() else {
            // No INVITE of ours: it is relayed for somebody else (§16.10).
            return self.begin_client(cancel, effects).map(Some);
        };
        if let Some(entry) = self.entries.get(invite) {
            // The way of the INVITE (§9.1).
            cancel.target = entry.common.target.clone();
            cancel.reliable = entry.common.reliable;
        }
        let mut released = None;
        self.step(invite, effects, |machine, cx| match machine {
            Machine::InviteClient(m) => {
                match m.handle(invite_client::Event::Cancel(Box::new(cancel)), cx) {
                    invite_client::Outcome::Step(step) => step,
                    invite_client::Outcome::Cancel(cancel) => {
                        released = Some(cancel);
                        Step::Alive
                    }
                }
            }
            _ => Step::Alive,
        });
        match released {
            Some(cancel) => self.begin_client(*cancel, effects).map(Some),
            None => Ok(None),
        }
    }

    fn begin_client(
        &mut self,
        request: OutgoingRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<Handle, SendError> {
        if self.table.get(request.key).is_some() {
            return Err(SendError::AlreadyStarted);
        }
        if !self.has_room(true) {
            return Err(SendError::TooManyTransactions);
        }
        let common = Common::new(
            request.name,
            request.key,
            request.call,
            request.target,
            request.reliable,
            self.now,
        );
        let Some(handle) = self.entries.insert(Entry {
            common,
            machine: Machine::Ended { client: true },
        }) else {
            return Err(SendError::TooManyTransactions);
        };
        self.table.insert(request.key, handle);
        self.with(handle, effects, |machine, cx| {
            *machine = match request.kind {
                Kind::Invite => {
                    Machine::InviteClient(InviteClient::start(request.bytes, request.accepted, cx))
                }
                _ => Machine::Client(Client::start(request.bytes, cx)),
            };
        });
        Ok(handle)
    }

    /// The core answers a request.
    pub fn send_response(
        &mut self,
        now: u64,
        response: OutgoingResponse,
        effects: &mut Vec<Effect>,
    ) -> Result<Handle, SendError> {
        self.advance(now);
        let handle = self
            .table
            .get(response.key)
            .copied()
            .ok_or(SendError::NoTransaction)?;
        let mut result = Ok(handle);
        self.step(handle, effects, |machine, cx| match machine {
            Machine::InviteServer(m) => {
                let outcome = m.handle(invite_server::Event::Response(&response), cx);
                if outcome == invite_server::Outcome::Refused {
                    result = Err(SendError::AlreadyAnswered);
                }
                server_step(outcome)
            }
            Machine::Server(m) => match m.handle(server::Event::Response(&response), cx) {
                server::Outcome::Step(step) => step,
                server::Outcome::TooLate => {
                    result = Err(SendError::AlreadyAnswered);
                    Step::Alive
                }
                server::Outcome::Forbidden => {
                    result = Err(SendError::ProvisionalForbidden);
                    Step::Alive
                }
            },
            _ => {
                result = Err(SendError::NoTransaction);
                Step::Alive
            }
        });
        result
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
            Machine::Stray { .. } | Machine::Ended { .. } => Step::Alive,
        });
    }

    /// The transaction of a key.
    pub fn find(&self, key: Key) -> Option<Handle> {
        self.table.get(key).copied()
    }

    /// Ends a transaction at once. The core is told nothing, also not what waits for it.
    pub fn terminate(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) -> bool {
        self.advance(now);
        let Some(entry) = self.entries.get_mut(handle) else {
            return false;
        };
        entry.common.queue.clear();
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
                    Machine::Stray { .. } | Machine::Ended { .. } => Step::Alive,
                }),
            }
        }
        true
    }

    /// A runner that was just started takes its first delivery. None ends it: another one is at work, or nothing is
    /// left to do.
    pub fn begin(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) -> Option<Taken> {
        let called = self
            .entries
            .get(handle)
            .is_some_and(|entry| entry.common.runner == Runner::Called);
        if called {
            self.take(now, handle, effects)
        } else {
            None
        }
    }

    /// A runner takes the next delivery, and says by this that the one before is done. None ends the runner.
    pub fn take(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) -> Option<Taken> {
        self.advance(now);
        let mut taken = None;
        let mut followers = Vec::new();
        self.with(handle, effects, |machine, cx| {
            cx.disarm(Timer::Runner);
            cx.common.owes_final = false;
            match cx.common.queue.pop_front() {
                Some(delivery) => {
                    cx.common.runner = Runner::Running;
                    cx.common.started = true;
                    cx.common.owes_final =
                        matches!(delivery, Delivery::Request { keyed: true, .. });
                    followers = core::mem::take(&mut cx.common.followers);
                    let client = machine.is_client();
                    taken = Some(Taken {
                        delivery,
                        name: cx.common.name.clone(),
                        client,
                    });
                }
                None => cx.common.runner = Runner::Idle,
            }
        });
        for follower in followers {
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

    /// Forgets at most `budget` transactions, without a word to anyone; true when none is left.
    pub fn clear(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(entry) = self.entries.pop() else {
                // Keys and timers without a transaction find nothing.
                *self = Engine::new(self.config, self.keys, self.now);
                return true;
            };
            self.table.remove(entry.common.key);
        }
        false
    }

    /// What is open, from slot `from` on: at most `limit`, and where to go on.
    pub fn list(&self, from: u32, limit: usize) -> (Vec<Info>, Option<u32>) {
        let mut found = Vec::new();
        let mut slot = from;
        while slot < self.entries.slots() {
            // A page ends by what it looked at too: emptied slots must not cost a call its time.
            if found.len() >= limit || slot - from >= PAGE_SLOTS {
                return (found, Some(slot));
            }
            found.extend(self.entries.at(slot).and_then(|(_, entry)| entry.info()));
            slot += 1;
        }
        (found, None)
    }

    /// What can be told of one transaction.
    pub fn info(&self, handle: Handle) -> Option<Info> {
        self.entries.get(handle).and_then(Entry::info)
    }

    fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    fn has_room(&self, privileged: bool) -> bool {
        let limit = self.config.max_transactions;
        self.entries.len().saturating_add(self.elsewhere)
            < if privileged {
                limit
            } else {
                limit - limit / 10
            }
    }

    /// Lets the first delivery of a transaction run that waited for another's.
    fn open(&mut self, handle: Handle, effects: &mut Vec<Effect>) {
        self.with(handle, effects, |_, cx| {
            cx.common.gated = false;
            cx.disarm(Timer::Gate);
            cx.call_runner();
        });
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
        };
        run(machine, &mut context);
    }

    /// Runs a machine for one step and clears away what has ended.
    fn step(
        &mut self,
        handle: Handle,
        effects: &mut Vec<Effect>,
        run: impl FnOnce(&mut Machine, &mut Context<'_>) -> Step,
    ) {
        self.with(handle, effects, |machine, cx| {
            if run(machine, cx) == Step::Ended && !machine.is_over() {
                let client = machine.is_client();
                *machine = Machine::Ended { client };
                cx.disarm_machine();
                // Whoever asks for the key now begins anew.
                cx.table.remove(cx.common.key);
                for alias in core::mem::take(&mut cx.common.aliases) {
                    cx.table.remove(alias);
                }
            }
        });
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
        for follower in entry.common.followers {
            self.open(follower, effects);
        }
        if matches!(entry.machine, Machine::Stray { acknowledges: true }) {
            self.acknowledgement_seen(entry.common.call, effects);
        }
    }

    fn acknowledgement_seen(&mut self, call: Key, effects: &mut Vec<Effect>) {
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
}

impl Entry {
    fn info(&self) -> Option<Info> {
        let (state, bytes) = match &self.machine {
            Machine::InviteClient(m) => (m.state.name(), m.bytes()),
            Machine::Client(m) => (m.state.name(), m.bytes()),
            Machine::InviteServer(m) => (m.state.name(), m.bytes()),
            Machine::Server(m) => (m.state.name(), m.bytes()),
            Machine::Ended { .. } => ("terminated", 0),
            Machine::Stray { .. } => return None,
        };
        Some(Info {
            name: self.common.name.clone(),
            client: self.machine.is_client(),
            state,
            created_ms: self.common.created_ms,
            queued: self.common.queue.len(),
            bytes: bytes + self.common.name.bytes(),
        })
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
