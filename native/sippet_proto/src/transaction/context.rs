//! What a machine may do in one step, and what every transaction has beside its machine.

use std::collections::VecDeque;

use bytes::Bytes;

use super::config::Timers;
use super::delivery::{Listener, Process, QUEUE_LIMIT, Runner};
use super::effect::{Delivery, Effect, End, Failure, Report, Setback, Target};
use super::input::{IncomingResponse, Name};
use super::key::{Key, KeyMaker};
use super::outcome::{Class, Surroundings};
use super::route::Route;
use super::slab::{Handle, Table};
use crate::message::Method;
use crate::message::reply::{Reply, Salvage, write_reply};
use crate::message::stamp::with_branch;
use crate::timer::wheel::{TimerId, Wheel};

/// The timers of a transaction: those of §17 and RFC 6026 by their letters, and the engine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// INVITE client: repeat the request (§17.1.1.2).
    A,
    /// INVITE client: no response came (§17.1.1.2).
    B,
    /// INVITE client: responses may still be repeated (§17.1.1.2).
    D,
    /// Client: repeat the request (§17.1.2.2).
    E,
    /// Client: no final response came (§17.1.2.2).
    F,
    /// INVITE server: repeat the final response (§17.2.1).
    G,
    /// INVITE server: no ACK came (§17.2.1).
    H,
    /// INVITE server: ACKs may still be repeated (§17.2.1).
    I,
    /// Server: requests may still be repeated (§17.2.2).
    J,
    /// Client: responses may still be repeated (§17.1.2.2).
    K,
    /// INVITE server: the INVITE may still be repeated after a 2xx (RFC 6026 §8.7).
    L,
    /// INVITE client: 2xx may still come (RFC 6026 §8.4).
    M,
    /// INVITE client in Proceeding: neither a final nor another provisional response came.
    Proceeding,
    /// INVITE client in Proceeding: its CANCEL found no room, and may now.
    Cancel,
    /// Server: nothing was answered yet, a 100 is due (§17.2.1, RFC 4320 §4.2).
    Trying,
    /// INVITE server: the core has forgotten the call.
    Watchdog,
    /// Server: the core has not answered while the client still listened (RFC 4320 §4.2).
    Unanswered,
    /// INVITE server: repeat the 2xx (§13.3.1.4).
    Accepted,
    /// Client: nobody has found it another target.
    Between,
    /// Nobody took up the runner.
    Runner,
    /// The ACK that this request waits for was not taken in time.
    Gate,
}

impl Timer {
    /// A transaction repeats one thing and waits for one end at a time.
    fn slot(self) -> usize {
        match self {
            Timer::A | Timer::E | Timer::G | Timer::Trying | Timer::Accepted | Timer::Cancel => 0,
            Timer::B
            | Timer::D
            | Timer::F
            | Timer::H
            | Timer::I
            | Timer::J
            | Timer::K
            | Timer::L
            | Timer::M => 1,
            Timer::Proceeding | Timer::Watchdog | Timer::Unanswered | Timer::Between => 1,
            Timer::Runner => 2,
            Timer::Gate => 3,
        }
    }
}

/// What the wheel holds.
pub(super) type Alarm = (Handle, Timer);

/// A delivery that waits, and the status code of a response of the transaction.
pub(super) struct Queued {
    pub delivery: Delivery,
    pub status_code: Option<u16>,
    /// When it could have been taken, by the clock of [`Surroundings`].
    pub stamp_us: u64,
}

impl Queued {
    fn is_provisional(&self) -> bool {
        self.status_code.is_some_and(|code| code < 200)
    }

    pub fn bytes(&self) -> usize {
        match &self.delivery {
            Delivery::Request { bytes, .. } | Delivery::Response { bytes, .. } => bytes.len(),
            Delivery::Failed(Failure::Transport(reason)) => reason.len(),
            Delivery::Failed(_) => 0,
        }
    }

    fn is_success(&self) -> bool {
        matches!(self.status_code, Some(200..300))
    }
}

/// The part of a transaction that is the same for all machines.
pub(super) struct Common {
    pub name: Name,
    pub key: Key,
    pub call: Key,
    /// Further keys that find it.
    pub aliases: Vec<Key>,
    /// Where its messages go.
    pub target: Target,
    pub reliable: bool,
    pub created_ms: u64,
    pub queue: VecDeque<Queued>,
    pub runner: Runner,
    /// The one that runs, or ran last.
    pub process: Option<Process>,
    /// The one that has the INVITE which this CANCEL was delivered behind.
    pub behind: Option<Process>,
    pub listener: Listener,
    /// The process that waited has its final response.
    pub answered: bool,
    /// The core or the process that waits wants the request cancelled.
    pub cancelled: bool,
    /// The delivery under way is a request that the core owes an answer.
    pub owes_final: bool,
    /// The first delivery was taken.
    pub started: bool,
    /// Transactions whose first delivery waits for this one's.
    pub followers: Vec<Handle>,
    /// Its own first delivery waits for another transaction's.
    pub gated: bool,
    /// What it counts as where there is too much to do: its request could have been refused.
    pub class: Option<Class>,
    /// The core is at work on that request.
    pub at_request: bool,
    /// Its messages that were sent again.
    pub retransmissions: u32,
    /// The status code of its first final response, and when that was sent or came.
    pub concluded: Option<(u16, u64)>,
    /// It failed, or was ended.
    pub end: End,
    /// It may go to other targets, or has a branch that its core does not know.
    pub route: Option<Box<Route>>,
    /// It only sees to what a target repeats that was left: not one that others know of.
    pub aside: bool,
    timers: [Option<TimerId>; 4],
}

impl Common {
    pub(super) fn new(
        name: Name,
        key: Key,
        call: Key,
        target: Target,
        reliable: bool,
        now: u64,
    ) -> Common {
        Common {
            name,
            key,
            call,
            aliases: Vec::new(),
            target,
            reliable,
            created_ms: now,
            queue: VecDeque::new(),
            runner: Runner::Idle,
            process: None,
            behind: None,
            listener: Listener::Core,
            answered: false,
            cancelled: false,
            owes_final: false,
            started: false,
            followers: Vec::new(),
            gated: false,
            class: None,
            at_request: false,
            retransmissions: 0,
            concluded: None,
            end: End::Normal,
            route: None,
            aside: false,
            timers: [None; 4],
        }
    }

    /// How many targets its request has had before this one.
    pub fn attempt(&self) -> u8 {
        self.route.as_ref().map_or(0, |route| route.attempt)
    }

    /// A 2xx to an INVITE: somebody has taken the call.
    fn is_call(&self, queued: &Queued) -> bool {
        queued.is_success() && self.name.method() == Method::Invite.as_bytes()
    }
}

/// How far a step got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The transaction lives on.
    Alive,
    /// The machine has terminated.
    Ended,
    /// The target has failed, as the route says.
    SetBack,
}

/// The engine around one transaction, for the length of a step.
pub(super) struct Context<'e> {
    pub handle: Handle,
    pub now: u64,
    pub common: &'e mut Common,
    pub config: &'e Timers,
    pub keys: &'e KeyMaker,
    pub wheel: &'e mut Wheel<Alarm>,
    pub table: &'e mut Table<Handle>,
    pub effects: &'e mut Vec<Effect>,
    pub gauges: &'e mut super::outcome::Gauges,
    pub surroundings: Surroundings,
}

impl Context<'_> {
    /// Starts a timer in place of the one that has its slot.
    pub fn arm(&mut self, timer: Timer, delay_ms: u64) {
        self.disarm(timer);
        let id = self
            .wheel
            .arm(self.now.saturating_add(delay_ms), (self.handle, timer));
        if let Some(slot) = self.common.timers.get_mut(timer.slot()) {
            *slot = Some(id);
        }
    }

    /// Stops whatever runs in the slot of this timer.
    pub fn disarm(&mut self, timer: Timer) {
        if let Some(id) = self
            .common
            .timers
            .get_mut(timer.slot())
            .and_then(Option::take)
        {
            self.wheel.cancel(id);
        }
    }

    /// Stops all timers of the machine; those of the delivery go on.
    pub fn disarm_machine(&mut self) {
        self.disarm(Timer::A);
        self.disarm(Timer::B);
    }

    /// Sends along the transaction's own way.
    pub fn transmit(&mut self, bytes: &Bytes) {
        let target = self.common.target.clone();
        self.transmit_to(bytes, target);
    }

    /// Sends another way.
    pub fn transmit_to(&mut self, bytes: &Bytes, target: Target) {
        self.effects.push(Effect::Transmit {
            target,
            bytes: bytes.clone(),
            handle: Some(self.handle.with_attempt(self.common.attempt())),
        });
    }

    /// Lets another key find this transaction, unless it finds one already.
    pub fn alias(&mut self, key: Key) {
        if self.table.get(key).is_none() {
            self.table.insert(key, self.handle);
            self.common.aliases.push(key);
        }
    }

    /// A message was sent again.
    pub fn retransmitted(&mut self) {
        self.gauges.retransmissions += 1;
        self.common.retransmissions = self.common.retransmissions.saturating_add(1);
    }

    /// A final response was sent or has come.
    pub fn concluded(&mut self, status_code: u16) {
        self.common.concluded.get_or_insert((status_code, self.now));
    }

    /// Says that the transaction begins, if somebody listens.
    pub fn report_start(&mut self, client: bool) {
        if self.surroundings.listening.starts {
            self.effects.push(Effect::Report(Box::new(Report::Started {
                name: self.common.name.clone(),
                client,
            })));
        }
    }

    /// Says that it has ended, if somebody listens.
    pub fn report_stop(&mut self, client: bool) {
        if self.surroundings.listening.stops && !self.common.aside {
            let since = |at: u64| at.saturating_sub(self.common.created_ms);
            self.effects.push(Effect::Report(Box::new(Report::Stopped {
                name: self.common.name.clone(),
                client,
                duration_ms: since(self.now),
                concluded: self.common.concluded.map(|(code, at)| (code, since(at))),
                retransmissions: self.common.retransmissions,
                end: self.common.end,
            })));
        }
    }

    /// Puts a failure into the core's queue.
    pub fn fail(&mut self, failure: Failure) {
        self.common.end = match failure {
            Failure::Timeout => End::Timeout,
            Failure::NoAck => End::NoAck,
            Failure::Transport(_) => End::TransportError,
        };
        self.deliver(Delivery::Failed(failure));
    }

    /// Another target may be tried where this one fails (RFC 3263 §4.3). What is cancelled is not sent again.
    pub fn may_go_on(&self) -> bool {
        !self.common.cancelled
            && self
                .common
                .route
                .as_ref()
                .is_some_and(|route| route.plan.is_some())
    }

    /// The target has failed, and the request waits for another one.
    pub fn set_back(&mut self, request: &mut Bytes, setback: Setback) -> Step {
        if let Some(route) = &mut self.common.route {
            route.setback = Some((core::mem::take(request), setback));
        }
        Step::SetBack
    }

    /// A response to this transaction, with the branch that its core knows.
    pub fn restore(&self, bytes: &Bytes) -> Bytes {
        match with_branch(bytes, self.common.name.branch(), None, None) {
            Some(restored) => Bytes::from(restored),
            None => bytes.clone(),
        }
    }

    /// Puts a response of this transaction into the core's queue.
    pub fn deliver_response(&mut self, response: &IncomingResponse) {
        let delivery = Delivery::Response {
            bytes: if response.key == self.common.key {
                response.bytes.clone()
            } else {
                self.restore(&response.bytes)
            },
            source: response.source.clone(),
            keyed: true,
        };
        self.enqueue(Queued {
            delivery,
            status_code: Some(response.status_code),
            stamp_us: self.surroundings.stamp_us,
        });
    }

    /// Puts a response of the engine's own into the core's queue.
    pub fn deliver_own(&mut self, delivery: Delivery, status_code: u16) {
        self.enqueue(Queued {
            delivery,
            status_code: Some(status_code),
            stamp_us: self.surroundings.stamp_us,
        });
    }

    /// Puts something into the core's queue and sees that a runner comes for it.
    pub fn deliver(&mut self, delivery: Delivery) {
        self.enqueue(Queued {
            delivery,
            status_code: None,
            stamp_us: self.surroundings.stamp_us,
        });
    }

    /// A full queue makes room by its oldest provisional response; what is left is bounded by the machines.
    fn enqueue(&mut self, queued: Queued) {
        if self.common.listener == Listener::Nobody && !self.common.is_call(&queued) {
            return;
        }
        let queue = &mut self.common.queue;
        if queue.len() >= QUEUE_LIMIT {
            match queue.iter().position(Queued::is_provisional) {
                Some(oldest) => {
                    queue.remove(oldest);
                    self.gauges.dropped_deliveries += 1;
                }
                None if queued.is_provisional() => {
                    self.gauges.dropped_deliveries += 1;
                    return;
                }
                None => {}
            }
        }
        self.common.queue.push_back(queued);
        self.call_runner();
    }

    /// Nobody waits any more: what is left of use goes to the core.
    pub fn dismiss(&mut self) {
        self.common.listener = Listener::Nobody;
        self.common.runner = Runner::Idle;
        self.disarm(Timer::Runner);
        let mut queue = core::mem::take(&mut self.common.queue);
        queue.retain(|queued| self.common.is_call(queued));
        self.common.queue = queue;
        self.call_runner();
    }

    /// The core has nothing of this transaction in its hands or before it.
    pub fn is_quiet(&self) -> bool {
        self.common.queue.is_empty() && self.common.runner == Runner::Idle
    }

    /// Asks for a runner if there is something to run and none runs or is asked for.
    pub fn call_runner(&mut self) {
        if self.common.runner == Runner::Idle && !self.common.gated && !self.common.queue.is_empty()
        {
            self.common.runner = Runner::Called;
            self.effects.push(match &self.common.listener {
                Listener::Caller(caller) => Effect::Wake(caller.clone()),
                Listener::Core | Listener::Nobody => Effect::StartRunner(self.handle),
            });
            self.arm(Timer::Runner, self.config.runner_ms);
        }
    }

    /// An answer of the engine's own to the request, or to the request behind one of our responses.
    pub fn reply(
        &self,
        source: &Bytes,
        status_code: u16,
        reason_phrase: &'static str,
    ) -> Option<Bytes> {
        let mut salvage = Salvage::scan(source).or_else(|| Salvage::scan_response(source))?;
        let tag = self.keys.response_tag(self.common.key).to_tag();
        // §8.2.6.1: what is late by our doing says by how much.
        let stamped = salvage
            .timestamp
            .filter(|timestamp| status_code == 100 && is_time(timestamp))
            .map(|timestamp| self.with_delay(timestamp));
        let mut extra = None;
        if let Some(stamped) = &stamped {
            salvage.timestamp = None;
            extra = Some((&b"Timestamp"[..], &stamped[..]));
        }
        let reply = Reply {
            status_code,
            reason_phrase: reason_phrase.as_bytes(),
            to_tag: (status_code > 100).then_some(&tag[..]),
            extra: extra.as_slice(),
        };
        let mut out = Vec::with_capacity(source.len().min(1024));
        write_reply(&mut out, &salvage, &reply).ok()?;
        Some(Bytes::from(out))
    }

    /// A Timestamp with the seconds that its request has been here (§20.38).
    fn with_delay(&self, timestamp: &[u8]) -> Vec<u8> {
        let ms = self.now.saturating_sub(self.common.created_ms);
        let delay = format!(" {}.{:03}", ms / 1_000, ms % 1_000);
        [timestamp, delay.as_bytes()].concat()
    }
}

/// A Timestamp without a delay: digits, and a point in them.
fn is_time(timestamp: &[u8]) -> bool {
    let mut digits = timestamp.split(|byte| *byte == b'.');
    let whole = digits.next().unwrap_or_default();
    let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    !whole.is_empty()
        && is_number(whole)
        && digits.next().is_none_or(is_number)
        && digits.next().is_none()
}
