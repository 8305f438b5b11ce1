//! The INVITE server transaction (§17.2.1, RFC 6026 §7.1), with the 2xx of its core repeated on demand (§13.3.1.4).
//!
//! ```text
//! Proceeding ── 2xx ──▶ Accepted for timer L ──▶ Terminated
//!     └── 300–699 ──▶ Completed ── ACK ──▶ Confirmed for timer I ──▶ Terminated
//! ```

use bytes::Bytes;

use super::context::{Context, Step, Timer};
use super::effect::Failure;
use super::forks::Forks;
use super::input::OutgoingResponse;
use super::key::Key;
use super::outcome::SendError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
    Terminated,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Proceeding => "proceeding",
            State::Completed => "completed",
            State::Confirmed => "confirmed",
            State::Accepted => "accepted",
            State::Terminated => "terminated",
        }
    }
}

pub(super) struct InviteServer {
    pub state: State,
    /// Until a final response is sent: what the engine's own answers are made from.
    request: Bytes,
    /// The last response sent other than a 2xx, as long as it may be repeated.
    last: Option<Bytes>,
    interval_ms: u64,
    /// The core told of a failure to send; once is enough.
    told_error: bool,
    forks: Forks,
}

/// What can happen to it.
pub(super) enum Event<'e> {
    /// The request came again.
    Request,
    /// An ACK of its branch came.
    Ack,
    /// The ACK to its 2xx came.
    Acknowledged(Key),
    /// The core answers.
    Response(&'e OutgoingResponse),
    Timer(Timer),
    TransportError(Bytes),
    /// The core's callback ended by an exception or a kill.
    CoreFailed,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Step(Step),
    /// The response was not sent.
    Refused(SendError),
    /// The core is to see this ACK.
    Deliver,
    /// The core has seen it.
    Absorb,
}

const ALIVE: Outcome = Outcome::Step(Step::Alive);

impl InviteServer {
    pub fn start(request: Bytes, cx: &mut Context<'_>) -> InviteServer {
        cx.arm(Timer::Trying, cx.config.trying_ms);
        cx.arm(Timer::Watchdog, cx.config.invite_watchdog_ms);
        InviteServer {
            state: State::Proceeding,
            request,
            last: None,
            interval_ms: 0,
            told_error: false,
            forks: Forks::default(),
        }
    }

    pub fn handle(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Outcome {
        match (self.state, event) {
            (State::Proceeding | State::Completed, Event::Request) => {
                self.repeat(cx);
                ALIVE
            }

            (State::Proceeding, Event::Response(response)) => match response.status_code {
                ..200 => self.provisional(response, cx),
                200..300 => self.accept(response, cx),
                300.. => {
                    self.redirect(response, cx);
                    self.complete(response.status_code, response.bytes.clone(), cx)
                }
            },
            (State::Accepted, Event::Response(response))
                if (200..300).contains(&response.status_code) =>
            {
                self.accept(response, cx)
            }
            (State::Accepted | State::Completed | State::Confirmed, Event::Response(_)) => {
                Outcome::Refused(SendError::AlreadyAnswered)
            }

            (State::Completed, Event::Ack) => {
                cx.disarm_machine();
                self.last = None;
                if cx.common.reliable {
                    return self.end();
                }
                self.state = State::Confirmed;
                cx.arm(Timer::I, cx.config.t4_ms);
                ALIVE
            }
            // An ACK to a 2xx has a branch of its own, unless its sender knows no better.
            (State::Accepted, Event::Ack) => Outcome::Deliver,
            (State::Accepted, Event::Acknowledged(key)) => {
                if self.forks.acknowledged(key, cx) {
                    Outcome::Deliver
                } else {
                    Outcome::Absorb
                }
            }

            (State::Proceeding, Event::Timer(Timer::Trying)) => {
                if self.last.is_none() {
                    self.last = cx.reply(&self.request, 100, "Trying");
                    self.send_last(cx);
                }
                ALIVE
            }
            (State::Proceeding, Event::Timer(Timer::Watchdog)) => {
                self.answer(408, "Request Timeout", cx)
            }
            (State::Completed, Event::Timer(Timer::G)) => {
                self.interval_ms = cx.config.backoff_ms(self.interval_ms);
                self.repeat(cx);
                cx.arm(Timer::G, self.interval_ms);
                ALIVE
            }
            (State::Completed, Event::Timer(Timer::H)) => {
                cx.fail(Failure::Timeout);
                self.end()
            }
            (State::Accepted, Event::Timer(Timer::Accepted)) => {
                self.forks.handle_timeout(cx);
                ALIVE
            }
            (State::Accepted, Event::Timer(Timer::L)) => {
                self.forks.end(cx);
                self.end()
            }
            (State::Confirmed, Event::Timer(Timer::I)) => self.end(),

            // RFC 6026 §8.8: the core is told, the state stays.
            (
                State::Proceeding | State::Completed | State::Accepted,
                Event::TransportError(reason),
            ) => {
                if !self.told_error {
                    self.told_error = true;
                    cx.fail(Failure::Transport(reason));
                }
                ALIVE
            }

            (State::Proceeding, Event::CoreFailed) => self.answer(500, "Server Internal Error", cx),

            // RFC 6026 §7.1: repetitions of the INVITE are absorbed.
            (State::Accepted | State::Confirmed, Event::Request)
            | (State::Proceeding | State::Confirmed, Event::Ack)
            | (State::Proceeding | State::Completed | State::Confirmed, Event::Acknowledged(_))
            | (State::Confirmed, Event::TransportError(_))
            | (State::Completed | State::Confirmed | State::Accepted, Event::CoreFailed)
            | (
                State::Proceeding | State::Completed | State::Confirmed | State::Accepted,
                Event::Timer(_),
            ) => ALIVE,
            (State::Terminated, _) => Outcome::Step(Step::Ended),
        }
    }

    fn provisional(&mut self, response: &OutgoingResponse, cx: &mut Context<'_>) -> Outcome {
        cx.disarm(Timer::Trying);
        cx.arm(Timer::Watchdog, cx.config.invite_watchdog_ms);
        self.redirect(response, cx);
        self.last = Some(response.bytes.clone());
        self.send_last(cx);
        ALIVE
    }

    /// A 2xx: the first, one of another fork, or the core's own repetition.
    fn accept(&mut self, response: &OutgoingResponse, cx: &mut Context<'_>) -> Outcome {
        if response.until_ack && !self.forks.has_place(response.acknowledged) {
            return Outcome::Refused(SendError::TooManyForks);
        }
        self.redirect(response, cx);
        cx.transmit(&response.bytes);
        if self.state != State::Accepted {
            self.state = State::Accepted;
            cx.concluded(response.status_code);
            self.request = Bytes::new();
            self.last = None;
            cx.disarm_machine();
            cx.arm(Timer::L, cx.config.timeout_ms());
        }
        self.forks.sent(response, cx);
        ALIVE
    }

    fn complete(&mut self, status_code: u16, bytes: Bytes, cx: &mut Context<'_>) -> Outcome {
        cx.concluded(status_code);
        self.state = State::Completed;
        self.request = Bytes::new();
        self.last = Some(bytes);
        self.interval_ms = cx.config.t1_ms;
        cx.disarm_machine();
        if !cx.common.reliable {
            cx.arm(Timer::G, self.interval_ms);
        }
        cx.arm(Timer::H, cx.config.timeout_ms());
        self.send_last(cx);
        ALIVE
    }

    /// The engine's own final answer, with the To tag of what was sent before (§8.2.6.2).
    fn answer(
        &mut self,
        status_code: u16,
        reason_phrase: &'static str,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let source = self.last.as_ref().unwrap_or(&self.request);
        match cx.reply(source, status_code, reason_phrase) {
            Some(bytes) => self.complete(status_code, bytes, cx),
            None => self.end(),
        }
    }

    fn redirect(&self, response: &OutgoingResponse, cx: &mut Context<'_>) {
        if let Some(target) = &response.target {
            cx.common.target = target.clone();
        }
    }

    fn repeat(&self, cx: &mut Context<'_>) {
        if self.last.is_some() {
            cx.retransmitted();
            self.send_last(cx);
        }
    }

    fn send_last(&self, cx: &mut Context<'_>) {
        if let Some(last) = &self.last {
            cx.transmit(last);
        }
    }

    fn end(&mut self) -> Outcome {
        self.state = State::Terminated;
        Outcome::Step(Step::Ended)
    }

    /// It waits for its core or for an ACK.
    pub fn is_pending(&self) -> bool {
        match self.state {
            State::Proceeding | State::Completed => true,
            State::Accepted => self.forks.wait(),
            State::Confirmed | State::Terminated => false,
        }
    }

    pub fn bytes(&self) -> usize {
        self.request.len() + self.last.as_ref().map_or(0, Bytes::len) + self.forks.bytes()
    }
}
