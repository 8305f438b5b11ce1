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
use super::effect::{Delivery, Failure, Target};
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

/// One answering fork: its To tag, and the ACK that the core has sent it.
struct Fork {
    tag: Key,
    ack: Option<(Bytes, Target)>,
}

pub(super) struct InviteClient {
    pub state: State,
    request: Bytes,
    interval_ms: u64,
    /// The ACK to a 300–699.
    ack: Option<Bytes>,
    forks: Vec<Fork>,
    /// What an ACK of the core's shares with the request (§13.2.2.4).
    accepted: Key,
    /// Waits for the first provisional response (§9.1).
    held_cancel: Option<Box<OutgoingRequest>>,
}

/// What can happen to it.
pub(super) enum Event<'e> {
    Response(&'e IncomingResponse),
    Timer(Timer),
    TransportError(Bytes),
    /// The core sends the ACK to the 2xx of this fork.
    AckSent {
        tag: Key,
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
    pub fn start(request: Bytes, accepted: Key, cx: &mut Context<'_>) -> InviteClient {
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
            accepted,
            held_cancel: None,
        }
    }

    pub fn handle(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Outcome {
        match (self.state, event) {
            (State::Calling | State::Proceeding, Event::Response(response)) => {
                match response.status_code {
                    ..200 => return self.provisional(response, cx),
                    200..300 => self.accept(response, cx),
                    300.. => return Outcome::Step(self.complete(response, cx)),
                }
                Outcome::Step(Step::Alive)
            }
            (State::Completed, Event::Response(response)) => {
                if response.status_code >= 300 {
                    self.acknowledge(cx);
                }
                Outcome::Step(Step::Alive)
            }
            (State::Accepted, Event::Response(response)) => {
                if (200..300).contains(&response.status_code) {
                    self.accept(response, cx);
                }
                Outcome::Step(Step::Alive)
            }

            (State::Calling, Event::Timer(Timer::A)) => {
                cx.transmit(&self.request);
                cx.gauges.retransmissions += 1;
                self.interval_ms = self.interval_ms.saturating_mul(2);
                cx.arm(Timer::A, self.interval_ms);
                Outcome::Step(Step::Alive)
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
            (State::Accepted, Event::AckSent { tag, bytes, target }) => {
                if let Some(fork) = self.forks.iter_mut().find(|fork| fork.tag == tag) {
                    fork.ack = Some((bytes, target));
                }
                Outcome::Step(Step::Alive)
            }

            (State::Calling, Event::Cancel(cancel)) => {
                self.held_cancel = Some(cancel);
                Outcome::Step(Step::Alive)
            }
            (State::Proceeding, Event::Cancel(cancel)) => self.release(cancel, cx),

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
        let cancelled = self.state == State::Proceeding && self.held_cancel.is_some();
        if self.state == State::Calling {
            self.state = State::Proceeding;
            cx.disarm_machine();
        }
        if !cancelled {
            cx.arm(Timer::Proceeding, cx.config.proceeding_ms);
        }
        cx.deliver(to_core(response));
        match self.held_cancel.take() {
            Some(cancel) => self.release(cancel, cx),
            None => Outcome::Step(Step::Alive),
        }
    }

    /// After a CANCEL the INVITE has 64·T1 left for its final response (§9.1).
    fn release(&mut self, cancel: Box<OutgoingRequest>, cx: &mut Context<'_>) -> Outcome {
        cx.arm(Timer::Proceeding, cx.config.timeout_ms());
        Outcome::Cancel(cancel)
    }

    /// A 2xx: the first of its fork goes to the core, a repetition gets the fork's ACK again.
    fn accept(&mut self, response: &IncomingResponse, cx: &mut Context<'_>) {
        if self.state != State::Accepted {
            self.state = State::Accepted;
            self.held_cancel = None;
            self.request = Bytes::new();
            cx.disarm_machine();
            cx.arm(Timer::M, cx.config.timeout_ms());
            cx.alias(self.accepted);
        }
        match self.forks.iter().find(|fork| fork.tag == response.tag) {
            Some(Fork {
                ack: Some((ack, target)),
                ..
            }) => {
                cx.gauges.retransmissions += 1;
                cx.transmit_to(ack, target.clone());
            }
            Some(Fork { ack: None, .. }) => {}
            None if self.forks.len() < FORK_LIMIT => {
                self.forks.push(Fork {
                    tag: response.tag,
                    ack: None,
                });
                cx.deliver(to_core(response));
            }
            None => cx.gauges.dropped_deliveries += 1,
        }
    }

    fn complete(&mut self, response: &IncomingResponse, cx: &mut Context<'_>) -> Step {
        self.ack = build_ack(&self.request, &response.bytes);
        self.request = Bytes::new();
        self.held_cancel = None;
        cx.disarm_machine();
        self.acknowledge(cx);
        cx.deliver(to_core(response));
        if cx.common.reliable {
            return self.end();
        }
        self.state = State::Completed;
        cx.arm(Timer::D, cx.config.timer_d_ms.max(cx.config.timeout_ms()));
        Step::Alive
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
        self.request.len() + self.ack.as_ref().map_or(0, Bytes::len)
    }
}

fn to_core(response: &IncomingResponse) -> Delivery {
    Delivery::Response {
        bytes: response.bytes.clone(),
        source: response.source.clone(),
        keyed: true,
    }
}
