//! The non-INVITE server transaction (§17.2.2), quiet as RFC 4320 wants it.
//!
//! ```text
//! Trying ── 100 ──▶ Proceeding ── final ──▶ Completed for timer J ──▶ Terminated
//! ```

use bytes::Bytes;

use super::context::{Context, Step, Timer};
use super::effect::Failure;
use super::input::OutgoingResponse;
use super::outcome::SendError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Trying => "trying",
            State::Proceeding => "proceeding",
            State::Completed => "completed",
            State::Terminated => "terminated",
        }
    }
}

pub(super) struct Server {
    pub state: State,
    /// Until a final response is sent: what the engine's own answers are made from.
    request: Bytes,
    /// The last response sent.
    last: Option<Bytes>,
    /// The core told of a failure to send; once is enough.
    told_error: bool,
}

/// What can happen to it.
pub(super) enum Event<'e> {
    /// The request came again.
    Request,
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
}

const ALIVE: Outcome = Outcome::Step(Step::Alive);

impl Server {
    pub fn start(request: Bytes, cx: &mut Context<'_>) -> Server {
        cx.arm(Timer::Trying, cx.config.until_t2_ms());
        cx.arm(Timer::Unanswered, cx.config.timeout_ms());
        Server {
            state: State::Trying,
            request,
            last: None,
            told_error: false,
        }
    }

    pub fn handle(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Outcome {
        match (self.state, event) {
            (State::Proceeding | State::Completed, Event::Request) => {
                cx.retransmitted();
                self.send_last(cx);
                ALIVE
            }

            (State::Trying | State::Proceeding, Event::Response(response)) => {
                match response.status_code {
                    // Before its time a 100 is not sent; when it comes, the engine sends one (RFC 4320 §4.1).
                    100 => ALIVE,
                    ..200 => Outcome::Refused(SendError::ProvisionalForbidden),
                    // It would come too late to tell the client anything (RFC 4320 §4.2).
                    408 => Outcome::Refused(SendError::TimeoutForbidden),
                    200.. => self.complete(response.bytes.clone(), response, cx),
                }
            }
            (State::Completed, Event::Response(_)) => Outcome::Refused(SendError::AlreadyAnswered),

            (State::Trying, Event::Timer(Timer::Trying)) => {
                self.state = State::Proceeding;
                self.last = cx.reply(&self.request, 100, "Trying");
                self.send_last(cx);
                ALIVE
            }
            // The client has given up: a 408 would only be a stray (RFC 4320 §4.2).
            (State::Trying | State::Proceeding, Event::Timer(Timer::Unanswered))
            | (State::Completed, Event::Timer(Timer::J)) => self.end(),

            // RFC 6026 §8.8: the core is told, the state stays.
            (State::Proceeding | State::Completed, Event::TransportError(reason)) => {
                if !self.told_error {
                    self.told_error = true;
                    cx.fail(Failure::Transport(reason));
                }
                ALIVE
            }

            (State::Trying | State::Proceeding, Event::CoreFailed) => {
                match cx.reply(&self.request, 500, "Server Internal Error") {
                    Some(bytes) => self.finish(500, bytes, cx),
                    None => self.end(),
                }
            }

            // Nothing was sent yet.
            (State::Trying, Event::Request | Event::TransportError(_))
            | (State::Completed, Event::CoreFailed)
            | (State::Trying | State::Proceeding | State::Completed, Event::Timer(_)) => ALIVE,
            (State::Terminated, _) => Outcome::Step(Step::Ended),
        }
    }

    fn complete(
        &mut self,
        bytes: Bytes,
        response: &OutgoingResponse,
        cx: &mut Context<'_>,
    ) -> Outcome {
        if let Some(target) = &response.target {
            cx.common.target = target.clone();
        }
        self.finish(response.status_code, bytes, cx)
    }

    fn finish(&mut self, status_code: u16, bytes: Bytes, cx: &mut Context<'_>) -> Outcome {
        cx.concluded(status_code);
        self.request = Bytes::new();
        self.last = Some(bytes);
        cx.disarm_machine();
        self.send_last(cx);
        if cx.common.reliable {
            return self.end();
        }
        self.state = State::Completed;
        cx.arm(Timer::J, cx.config.timeout_ms());
        ALIVE
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

    /// No final response was sent.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    pub fn bytes(&self) -> usize {
        self.request.len() + self.last.as_ref().map_or(0, Bytes::len)
    }
}
