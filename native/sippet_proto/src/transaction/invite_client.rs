//! The INVITE client transaction (§17.1.1, RFC 6026 §7.2).
//!
//! ```text
//! Calling ── 1xx ──▶ Proceeding          2xx: Accepted for timer M, every fork passes to the core
//!    │                   │               300–699: ACK, Completed for timer D, repetitions are acknowledged
//!    └──── final ────────┴──▶ Accepted | Completed ──▶ Terminated
//! ```

use bytes::Bytes;

use super::ack::build_ack;
use super::context::{Context, Step, Timer};
use super::effect::{Failure, Setback, Target};
use super::input::{IncomingResponse, OutgoingRequest};
use super::key::Key;

/// How many forks of one INVITE are told apart.
const FORK_LIMIT: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
    Terminated,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Calling => "calling",
            State::Proceeding => "proceeding",
            State::Completed => "completed",
            State::Accepted => "accepted",
            State::Terminated => "terminated",
        }
    }
}

/// One answering fork, and the ACK that the core has sent it.
struct Fork {
    key: Key,
    ack: Option<(Bytes, Target)>,
}

pub(super) struct InviteClient {
    pub state: State,
    request: Bytes,
    interval_ms: u64,
    /// The ACK to a 300–699.
    ack: Option<Bytes>,
    forks: Vec<Fork>,
    /// Waits for the first provisional response (§9.1), or for room.
    held_cancel: Option<Box<OutgoingRequest>>,
    /// A CANCEL has left: nothing gives the INVITE more time now.
    cancelled: bool,
}

/// What can happen to it.
pub(super) enum Event<'e> {
    Response(&'e IncomingResponse),
    Timer(Timer),
    TransportError(Bytes),
    /// The core sends the ACK to the 2xx of this fork.
    AckSent {
        fork: Key,
        bytes: Bytes,
        target: Target,
    },
    /// The core wants it cancelled.
    Cancel(Box<OutgoingRequest>),
}

/// What is left to the engine.
pub(super) enum Outcome {
    Step(Step),
    /// A CANCEL that may leave now, as a transaction of its own.
    Cancel(Box<OutgoingRequest>),
}

impl InviteClient {
    /// Sends the request.
    pub fn start(request: Bytes, cx: &mut Context<'_>) -> InviteClient {
        let t1 = cx.config.t1_ms;
        cx.transmit(&request);
        if !cx.common.reliable {
            cx.arm(Timer::A, t1);
        }
        cx.arm(Timer::B, cx.config.timeout_ms());
        InviteClient {
            state: State::Calling,
            request,
            interval_ms: t1,
            ack: None,
            forks: Vec::new(),
            held_cancel: None,
            cancelled: false,
        }
    }

    /// The request, as long as it has no final response.
    pub fn pending(&self) -> Option<&Bytes> {
        match self.state {
            State::Calling | State::Proceeding => Some(&self.request),
            State::Completed | State::Accepted | State::Terminated => None,
        }
    }

    pub fn handle(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Outcome {
        match (self.state, event) {
            (State::Calling | State::Proceeding, Event::Response(response)) => {
                match response.status_code {
                    ..200 => return self.provisional(response, cx),
                    200..300 => self.accept(response, cx),
                    503 if cx.may_go_on() => return Outcome::Step(self.set_back(response, cx)),
                    300.. => return Outcome::Step(self.complete(response, cx)),
                }
                Outcome::Step(Step::Alive)
            }
            (State::Completed, Event::Response(response)) => {
                cx.gauges.absorbed_messages += 1;
                if response.status_code >= 300 {
                    self.acknowledge(cx);
                }
                Outcome::Step(Step::Alive)
            }
            (State::Accepted, Event::Response(response)) => {
                match response.status_code {
                    200..300 => self.accept(response, cx),
                    _ => cx.gauges.absorbed_messages += 1,
                }
                Outcome::Step(Step::Alive)
            }

            (State::Calling, Event::Timer(Timer::A)) => {
                cx.transmit(&self.request);
                cx.retransmitted();
                self.interval_ms = self.interval_ms.saturating_mul(2);
                cx.arm(Timer::A, self.interval_ms);
                Outcome::Step(Step::Alive)
            }
            // In Proceeding the target is there, whatever it does.
            (State::Calling, Event::Timer(Timer::B)) if cx.may_go_on() => {
                Outcome::Step(cx.set_back(&mut self.request, Setback::Timeout))
            }
            (State::Calling, Event::TransportError(reason)) if cx.may_go_on() => {
                Outcome::Step(cx.set_back(&mut self.request, Setback::Transport(reason)))
            }
            (State::Calling, Event::Timer(Timer::B))
            | (State::Proceeding, Event::Timer(Timer::Proceeding)) => {
                cx.fail(Failure::Timeout);
                Outcome::Step(self.end())
            }
            (State::Completed, Event::Timer(Timer::D))
            | (State::Accepted, Event::Timer(Timer::M)) => Outcome::Step(self.end()),

            // An error that comes when the request has been answered is that of a repetition: it did arrive.
            (State::Calling, Event::TransportError(reason))
            | (State::Completed, Event::TransportError(reason)) => {
                cx.fail(Failure::Transport(reason));
                Outcome::Step(self.end())
            }
            (
                State::Accepted,
                Event::AckSent {
                    fork: key,
                    bytes,
                    target,
                },
            ) => {
                if let Some(fork) = self.forks.iter_mut().find(|fork| fork.key == key) {
                    fork.ack = Some((bytes, target));
                }
                Outcome::Step(Step::Alive)
            }

            (State::Calling, Event::Cancel(cancel)) => {
                self.held_cancel = Some(cancel);
                Outcome::Step(Step::Alive)
            }
            (State::Proceeding, Event::Cancel(cancel)) => Outcome::Cancel(cancel),
            (State::Proceeding, Event::Timer(Timer::Cancel)) => self.release(),

            // A final response has come first: there is nothing to cancel (§9.1).
            (State::Completed | State::Accepted, Event::Cancel(_))
            | (State::Proceeding | State::Accepted, Event::TransportError(_))
            | (State::Calling | State::Proceeding | State::Completed, Event::AckSent { .. })
            | (
                State::Calling | State::Proceeding | State::Completed | State::Accepted,
                Event::Timer(_),
            ) => Outcome::Step(Step::Alive),
            (State::Terminated, _) => Outcome::Step(Step::Ended),
        }
    }

    fn provisional(&mut self, response: &IncomingResponse, cx: &mut Context<'_>) -> Outcome {
        if self.state == State::Calling {
            self.state = State::Proceeding;
            cx.disarm_machine();
        }
        if !self.cancelled {
            cx.arm(Timer::Proceeding, cx.config.proceeding_ms);
        }
        cx.deliver_response(response);
        self.release()
    }

    fn release(&mut self) -> Outcome {
        match self.held_cancel.take() {
            Some(cancel) => Outcome::Cancel(cancel),
            None => Outcome::Step(Step::Alive),
        }
    }

    /// After a CANCEL the INVITE has 64·T1 left for its final response (§9.1).
    pub fn cancel_sent(&mut self, cx: &mut Context<'_>) {
        self.held_cancel = None;
        if self.state == State::Proceeding && !self.cancelled {
            self.cancelled = true;
            cx.disarm(Timer::Cancel);
            cx.arm(Timer::Proceeding, cx.config.timeout_ms());
        }
    }

    /// There was no room for the CANCEL.
    pub fn try_cancel_later(&mut self, cancel: Box<OutgoingRequest>, cx: &mut Context<'_>) {
        if self.state == State::Proceeding {
            self.held_cancel = Some(cancel);
            cx.arm(Timer::Cancel, cx.config.t1_ms);
        }
    }

    /// A 2xx: the first of its fork goes to the core, a repetition gets the fork's ACK again (§13.2.2.4).
    ///
    /// A core that has let it go without an ACK gets the repetition too (RFC 6026 §7.2): a proxy has to forward it, since
    /// what the first one became may be lost.
    fn accept(&mut self, response: &IncomingResponse, cx: &mut Context<'_>) {
        if self.state != State::Accepted {
            self.state = State::Accepted;
            cx.concluded(response.status_code);
            self.held_cancel = None;
            self.request = Bytes::new();
            cx.disarm_machine();
            cx.arm(Timer::M, cx.config.timeout_ms());
        }
        match self.forks.iter().position(|fork| fork.key == response.fork) {
            Some(index) => match self.forks.get(index).and_then(|fork| fork.ack.as_ref()) {
                Some((ack, target)) => {
                    cx.gauges.absorbed_messages += 1;
                    cx.retransmitted();
                    cx.transmit_to(ack, target.clone());
                }
                // The first fork is the one that the process which waited has in its hands.
                None if cx.is_quiet() && !(index == 0 && cx.common.answered) => {
                    cx.deliver_response(response);
                }
                None => cx.gauges.absorbed_messages += 1,
            },
            None if self.forks.len() < FORK_LIMIT => {
                self.forks.push(Fork {
                    key: response.fork,
                    ack: None,
                });
                cx.alias(response.fork);
                cx.deliver_response(response);
            }
            None => cx.gauges.dropped_deliveries += 1,
        }
    }

    fn complete(&mut self, response: &IncomingResponse, cx: &mut Context<'_>) -> Step {
        cx.concluded(response.status_code);
        self.ack = build_ack(&self.request, &response.bytes);
        self.request = Bytes::new();
        self.held_cancel = None;
        cx.disarm_machine();
        self.acknowledge(cx);
        cx.deliver_response(response);
        if cx.common.reliable {
            return self.end();
        }
        self.state = State::Completed;
        cx.arm(Timer::D, cx.config.timer_d_ms.max(cx.config.timeout_ms()));
        Step::Alive
    }

    /// A 503 that the core does not see: acknowledged as any other, and as often as it comes.
    fn set_back(&mut self, response: &IncomingResponse, cx: &mut Context<'_>) -> Step {
        self.ack = build_ack(&self.request, &response.bytes);
        self.acknowledge(cx);
        self.state = State::Completed;
        cx.set_back(
            &mut self.request,
            Setback::Unavailable(Box::new(response.clone())),
        )
    }

    fn acknowledge(&self, cx: &mut Context<'_>) {
        if let Some(ack) = &self.ack {
            cx.transmit(ack);
        }
    }

    fn end(&mut self) -> Step {
        self.state = State::Terminated;
        Step::Ended
    }

    pub fn bytes(&self) -> usize {
        let forks = self.forks.iter().filter_map(|fork| fork.ack.as_ref());
        let cancel = self.held_cancel.as_ref();
        self.request.len()
            + self.ack.as_ref().map_or(0, Bytes::len)
            + forks.map(|(ack, _)| ack.len()).sum::<usize>()
            + cancel.map_or(0, |cancel| cancel.bytes.len())
    }
}
