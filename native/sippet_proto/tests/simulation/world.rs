//! The engines, their clock and their network: events in order of time, each carried out and entered in the ledger.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use sippet_proto::transaction::{
    Destination, Effect, Engine, Flow, Handle, IncomingRequest, IncomingResponse, KeyMaker, Taken,
    Target, Verdict,
};
use sippet_proto::{Arena, Bytes, Message, Options, parse};

use super::core::{Action, Core};
use super::ladder::Ladder;
use super::ledger::{Cause, Ledger};
use super::profile::{Fate, Profile};
use super::random::Random;
use super::text::{Glance, Id, Method};
use crate::engine::text;

/// More events than any honest run has.
const EVENT_LIMIT: u64 = 2_000_000;

pub enum Event {
    Arrive {
        from: usize,
        to: usize,
        bytes: Bytes,
    },
    /// A runner that an effect asked for has been started.
    Begin(usize, Handle),
    /// A callback has come back.
    Return(usize, Handle),
    /// A callback has raised, or its process was killed.
    Die(usize, Handle),
    Refuse(usize, Handle, Bytes),
    /// The clock looks; stale if it has been planned anew since.
    Tick(usize),
    Act(Action),
    /// The owner of a server transaction drops it.
    EndServer(usize, Id),
    Hostile,
}

struct Planned(u64, u64, Event);

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        self.1 == other.1
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

pub struct Node {
    pub engine: Engine,
    pub keys: KeyMaker,
    tick: Option<u64>,
    /// Runners at work, and the request that each has in hand.
    running: BTreeMap<u64, Option<Id>>,
    /// The requests that were offered, by transaction: a CANCEL's has the name of its INVITE.
    pub offered: BTreeMap<u64, Id>,
}

pub struct World {
    pub now: u64,
    pub random: Random,
    pub profile: Profile,
    pub nodes: Vec<Node>,
    pub ledger: Ledger,
    pub ladder: Ladder,
    pub core: Core,
    /// Messages of late, for whoever wants to abuse them.
    pub heard: Vec<(u64, usize, usize, Bytes)>,
    events: BinaryHeap<Reverse<Planned>>,
    serial: u64,
}

impl World {
    pub fn new(mut random: Random, kept: bool) -> World {
        let profile = Profile::of(&mut random);
        let nodes = (0..profile.nodes).map(|node| {
            let keys = KeyMaker::new([node as u8; 16]);
            Node {
                engine: Engine::new(profile.config, keys, 0),
                keys,
                tick: None,
                running: BTreeMap::new(),
                offered: BTreeMap::new(),
            }
        });
        World {
            now: 0,
            nodes: nodes.collect(),
            ledger: Ledger::new(profile.config, profile.tick_lag, profile.nodes),
            ladder: Ladder::new(kept),
            core: Core::default(),
            heard: Vec::new(),
            events: BinaryHeap::new(),
            serial: 0,
            random,
            profile,
        }
    }

    /// Runs until nothing is left to happen, or something is wrong.
    pub fn run(&mut self) {
        for call in 0..self.profile.calls {
            let at = self.random.below(self.profile.span_ms);
            self.plan(at, Event::Act(Action::Call(call)));
        }
        for _ in 0..self.profile.hostile {
            let at = self.random.below(self.profile.span_ms * 2);
            self.plan(at, Event::Hostile);
        }
        for _ in 0..EVENT_LIMIT {
            let Some(Reverse(Planned(at, _, event))) = self.events.pop() else {
                return self.close();
            };
            self.now = at;
            self.ledger.now = at;
            self.happen(event);
            if self.ledger.wrong.is_some() {
                return;
            }
        }
        self.ledger
            .wrong(None, || "it does not come to an end".into());
    }

    /// What went wrong, if anything did, behind the ladder of its call.
    pub fn told(&self) -> Option<String> {
        let wrong = self.ledger.wrong.as_ref()?;
        let (call, at, what) = (wrong.call, wrong.at, &wrong.what);
        let ladder = self.ladder.print(call);
        Some(format!("call {call:?}\n\n{ladder}\n{at:>9}  {what}\n"))
    }

    pub fn plan(&mut self, at: u64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse(Planned(at, self.serial, event)));
    }

    fn close(&mut self) {
        let dropped = self.nodes.iter();
        let dropped: Vec<_> = dropped
            .map(|node| node.engine.gauges().dropped_deliveries)
            .collect();
        self.ledger.close(&dropped);
        for (number, node) in self.nodes.iter().enumerate() {
            let (len, held) = (node.engine.len(), node.engine.held());
            let deadline = node.engine.next_deadline();
            if !node.engine.is_empty() || held > 0 || deadline.is_some() {
                self.ledger.wrong(None, || {
                    format!("node {number} ends with {len} transactions, {held} keys, gates and timers, deadline {deadline:?}")
                });
            }
        }
        let timers = self.profile.config.timers;
        let longest = self.profile.span_ms * 2
            + 3 * (timers.invite_watchdog_ms + timers.proceeding_ms)
            + 1_000_000;
        if self.now > longest {
            let now = self.now;
            self.ledger
                .wrong(None, || format!("it ends only after {now} ms"));
        }
    }

    fn happen(&mut self, event: Event) {
        let node = match event {
            Event::Arrive { from, to, bytes } => {
                self.arrive(from, to, bytes);
                to
            }
            Event::Begin(node, handle) => {
                let mut effects = Vec::new();
                let engine = &mut self.nodes[node].engine;
                let taken = engine.begin(self.now, handle, &mut effects);
                self.carry(node, Cause::Core, effects);
                if let Some(taken) = taken {
                    if self.nodes[node].running.contains_key(&handle.to_bits()) {
                        self.ledger
                            .wrong(None, || "two runners of one transaction at once".into());
                    }
                    self.run_callback(node, handle, taken);
                }
                node
            }
            Event::Return(node, handle) => {
                self.nodes[node].running.remove(&handle.to_bits());
                let mut effects = Vec::new();
                let engine = &mut self.nodes[node].engine;
                let taken = engine.take(self.now, handle, &mut effects);
                self.carry(node, Cause::Core, effects);
                if let Some(taken) = taken {
                    self.run_callback(node, handle, taken);
                }
                node
            }
            Event::Die(node, handle) => {
                self.die(node, handle);
                node
            }
            Event::Refuse(node, handle, bytes) => {
                if let Some(glance) = Glance::of(&bytes) {
                    let call = Some(glance.call);
                    self.ladder
                        .note(self.now, call, || format!("{node} !! {}", glance.title()));
                    self.ledger.refused(node, &glance);
                }
                let mut effects = Vec::new();
                let reason = Bytes::from_static(b"econnrefused");
                let engine = &mut self.nodes[node].engine;
                engine.handle_transport_error(self.now, handle, reason, &mut effects);
                self.carry(node, Cause::Failure, effects);
                node
            }
            Event::Tick(node) => {
                if self.nodes[node].tick == Some(self.now) {
                    self.nodes[node].tick = None;
                    self.tick(node);
                }
                node
            }
            Event::Act(action) => self.act(action),
            Event::EndServer(node, id) => {
                self.end_server(node, id);
                node
            }
            Event::Hostile => return self.attack(),
        };
        let engine = &self.nodes[node].engine;
        if engine.is_empty() && (engine.held() > 0 || engine.next_deadline().is_some()) {
            let held = engine.held();
            self.ledger.wrong(None, || {
                format!("node {node} has no transaction, and holds {held} keys, gates and timers")
            });
        }
        self.plan_tick(node);
    }

    /// Sees that the clock of a node looks in time, or a little late.
    fn plan_tick(&mut self, node: usize) {
        let Some(deadline) = self.nodes[node].engine.next_deadline() else {
            return;
        };
        let planned = self.nodes[node].tick;
        let late = self.profile.tick_lag;
        if planned.is_none_or(|tick| tick > deadline + late) {
            let at = deadline.max(self.now) + self.random.below(late + 1);
            self.nodes[node].tick = Some(at);
            self.plan(at, Event::Tick(node));
        }
    }

    fn tick(&mut self, node: usize) {
        let budget = self.random.pick(&[1, 3, 64]);
        loop {
            let mut effects = Vec::new();
            let engine = &mut self.nodes[node].engine;
            let more = engine.handle_timeout(self.now, budget, &mut effects);
            self.carry(node, Cause::Timer, effects);
            if !more {
                return;
            }
        }
    }

    fn arrive(&mut self, from: usize, to: usize, bytes: Bytes) {
        let arena = Arena::new();
        let Ok(message) = parse(&bytes, &Options::default(), &arena) else {
            return;
        };
        let Some(glance) = Glance::of(&bytes) else {
            return;
        };
        let call = Some(glance.call);
        self.ladder.note(self.now, call, || {
            format!("{to} <- {from} {}", glance.title())
        });
        if glance.status.is_some() {
            self.response(from, to, &message, &glance, &bytes);
        } else {
            self.request(from, to, &message, &glance, &bytes);
        }
    }

    fn response(
        &mut self,
        from: usize,
        to: usize,
        message: &Message<'_>,
        glance: &Glance<'_>,
        bytes: &Bytes,
    ) {
        let node = &mut self.nodes[to];
        let source = target(from);
        let Ok(response) = IncomingResponse::new(message, &node.keys, bytes.clone(), source) else {
            return;
        };
        let found = node.engine.find(response.key);
        let state = found.and_then(|found| node.engine.info(found));
        let state = state.map(|info| info.state);
        let acks = self.ledger.response_comes(to, glance, bytes, state);
        let mut effects = Vec::new();
        let verdict = node
            .engine
            .handle_response(self.now, response, &mut effects);
        if verdict == Verdict::Delivered {
            self.ledger.stray_comes(to, glance, bytes);
        }
        let sent = effects.iter().filter(|effect| is_ack(effect)).count() as u32;
        if sent != acks {
            self.ledger.wrong(Some(glance.call), || {
                format!("{sent} ACKs instead of {acks} for {}", glance.title())
            });
        }
        self.carry(to, Cause::Response, effects);
    }

    fn request(
        &mut self,
        from: usize,
        to: usize,
        message: &Message<'_>,
        glance: &Glance<'_>,
        bytes: &Bytes,
    ) {
        let reliable = self.profile.reliable(from, to);
        let node = &mut self.nodes[to];
        let (bytes, back) = (bytes.clone(), target(from));
        let Ok(request) = IncomingRequest::new(
            message,
            &node.keys,
            bytes.clone(),
            back.clone(),
            back,
            reliable,
        ) else {
            return;
        };
        let ack = glance.id.method == Method::Ack;
        let acknowledged = if ack {
            self.ledger.acknowledgeable(to, glance)
        } else {
            None
        };
        let state = acknowledged.and_then(|id| self.server_state(to, id));
        let node = &mut self.nodes[to];
        let mut effects = Vec::new();
        let verdict = node.engine.handle_request(self.now, request, &mut effects);
        match verdict {
            Verdict::Began(handle) => self.ledger.request_begins(to, handle, glance, reliable),
            Verdict::Delivered => self.ledger.stray_comes(to, glance, &bytes),
            Verdict::Reply(status) => self.reply(from, to, message, &bytes, status),
            Verdict::Matched | Verdict::Dropped | Verdict::Refused => {}
        }
        if let Some(id) = acknowledged {
            let delivered = verdict == Verdict::Delivered;
            self.ledger.ack_came(to, id, glance, state, delivered);
        }
        if ack
            && effects
                .iter()
                .any(|effect| matches!(effect, Effect::Transmit { .. }))
        {
            self.ledger
                .wrong(Some(glance.call), || "an ACK is answered".into());
        }
        if let (Verdict::Reply(_), Method::Ack) = (verdict, glance.id.method) {
            self.ledger
                .wrong(Some(glance.call), || "an ACK is replied to".into());
        }
        self.carry(to, Cause::Request(glance.id), effects);
    }

    /// The state of a server transaction, by its public key.
    pub fn server_handle(&self, node: usize, id: Id) -> Option<Handle> {
        let host = format!("10.0.0.{}", self.core.maker(id.branch)?);
        let branch = format!("z9hG4bK{:x}", id.branch);
        let method = id.method.word();
        let node = &self.nodes[node];
        let key = node
            .keys
            .server_of(branch.as_bytes(), host.as_bytes(), 0, method.as_bytes());
        node.engine.find(key)
    }

    fn server_state(&self, node: usize, id: Id) -> Option<&'static str> {
        let handle = self.server_handle(node, id)?;
        Some(self.nodes[node].engine.info(handle)?.state)
    }

    /// The client transaction of this name.
    pub fn client_handle(&self, node: usize, id: Id) -> Option<Handle> {
        let branch = format!("z9hG4bK{:x}", id.branch);
        let node = &self.nodes[node];
        let key = node
            .keys
            .client(branch.as_bytes(), id.method.word().as_bytes());
        node.engine.find(key)
    }

    /// The transport answers without state.
    fn reply(&mut self, to: usize, node: usize, message: &Message<'_>, bytes: &Bytes, status: u16) {
        let headers = &message.headers;
        let from = headers.from.as_ref().and_then(|from| from.tag());
        let via = headers.via.as_ref().and_then(|via| via.first());
        let tag = self.nodes[node].keys.stateless_tag(
            from.unwrap_or_default(),
            headers.call_id.unwrap_or_default(),
            headers.cseq.map_or(0, |cseq| cseq.number),
            via.and_then(|via| via.branch()).unwrap_or_default(),
        );
        let (Ok(request), tag) = (str::from_utf8(bytes), tag.to_tag()) else {
            return;
        };
        let tag = str::from_utf8(&tag).unwrap_or_default();
        let reply = Bytes::from(text::response(request, status, tag));
        self.travel(node, to, reply, self.now, None);
    }

    fn run_callback(&mut self, node: usize, handle: Handle, taken: Taken) {
        let (request, dies) = self.offer(node, handle, &taken);
        let at = &mut self.nodes[node];
        at.running.insert(handle.to_bits(), request);
        if let Some(id) = request {
            at.offered.insert(handle.to_bits(), id);
        }
        let slow = self.random.percent(self.profile.slow_percent);
        let lasts = if slow { self.random.below(5_000) } else { 0 };
        let event = if dies {
            Event::Die(node, handle)
        } else {
            Event::Return(node, handle)
        };
        self.plan(self.now + lasts, event);
    }

    fn die(&mut self, node: usize, handle: Handle) {
        let request = self.nodes[node].running.remove(&handle.to_bits());
        let open = self.nodes[node].engine.info(handle);
        let open = open.is_some_and(|info| matches!(info.state, "trying" | "proceeding"));
        let request = request.flatten();
        let owed = request.filter(|id| open && self.ledger.unanswered(node, *id));
        let mut effects = Vec::new();
        let engine = &mut self.nodes[node].engine;
        engine.handle_runner_failure(self.now, handle, &mut effects);
        self.carry(node, Cause::Failure, effects);
        self.ledger.tally.core_failures += 1;
        if let Some(id) = owed
            && self.ledger.unanswered(node, id)
        {
            self.ledger
                .wrong(None, || format!("a core failed, and {id:x?} got no 500"));
        }
    }

    /// Carries out what an engine wants, unless the process that should is killed on the way.
    pub fn carry(&mut self, node: usize, cause: Cause, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let lost = self.random.per_mille(self.profile.lost_effects);
        let carried = if lost {
            self.random.below(effects.len() as u64) as usize
        } else {
            effects.len()
        };
        let late = if self.random.percent(10) {
            self.random.below(60)
        } else {
            0
        };
        for (index, effect) in effects.into_iter().enumerate() {
            let lost = index >= carried;
            match effect {
                Effect::Transmit {
                    target,
                    bytes,
                    handle,
                } => {
                    let to = node_of(&target);
                    let Some(glance) = Glance::of(&bytes) else {
                        self.ledger
                            .wrong(None, || format!("it cannot be read: {bytes:?}"));
                        return;
                    };
                    let (now, call) = (self.now, Some(glance.call));
                    self.ladder.mix(now ^ u64::from(glance.id.branch) << 24);
                    self.ladder.note(now, call, || {
                        let lost = if lost { " (killed before)" } else { "" };
                        format!("{node} -> {to} {}{lost}", glance.title())
                    });
                    self.ledger.sends(node, cause, &glance);
                    if !lost {
                        self.travel(node, to, bytes, now + late, handle);
                    }
                }
                Effect::Wake(caller) => panic!("nobody waits for {caller:?}"),
                Effect::Report(report) => panic!("nobody listens: {report:?}"),
                Effect::Reroute(reroute) => panic!("there is no other target: {reroute:?}"),
                Effect::StartRunner(handle) => {
                    if self.nodes[node].running.contains_key(&handle.to_bits()) {
                        self.ledger
                            .wrong(None, || "a runner is asked for where one runs".into());
                    }
                    if !lost {
                        let wait = self.random.pick(&[0, 0, 0, 0, 1, 20]);
                        self.plan(self.now + late + wait, Event::Begin(node, handle));
                    }
                }
            }
        }
    }

    pub fn travel(
        &mut self,
        from: usize,
        to: usize,
        bytes: Bytes,
        at: u64,
        handle: Option<Handle>,
    ) {
        match self.profile.travel(&mut self.random, from, to, at) {
            Fate::Arrives(times) => {
                if self.heard.len() < 16 {
                    self.heard.push((at, from, to, bytes.clone()));
                } else {
                    let slot = self.random.below(16) as usize;
                    self.heard[slot] = (at, from, to, bytes.clone());
                }
                for at in times {
                    let bytes = bytes.clone();
                    self.plan(at, Event::Arrive { from, to, bytes });
                }
            }
            Fate::Refused => {
                if let Some(handle) = handle {
                    let wait = self.random.below(20);
                    self.plan(at + wait, Event::Refuse(from, handle, bytes));
                }
            }
            Fate::Lost => {}
        }
    }
}

pub fn target(node: usize) -> Target {
    Target {
        flow: Flow {
            transport: 1,
            connection: 0,
        },
        destination: Destination::Address(([10, 0, 0, node as u8], 5060).into()),
    }
}

fn node_of(target: &Target) -> usize {
    match &target.destination {
        Destination::Address(address) => match address.ip() {
            std::net::IpAddr::V4(address) => usize::from(address.octets()[3]),
            std::net::IpAddr::V6(_) => 0,
        },
        Destination::Host(..) => 0,
    }
}

fn is_ack(effect: &Effect) -> bool {
    matches!(effect, Effect::Transmit { bytes, .. } if bytes.starts_with(b"ACK "))
}
