//! The non-INVITE client transaction (§17.1.2).
//!
//! ```text
//! Trying ── 1xx ──▶ Proceeding ── final ──▶ Completed for timer K ──▶ Terminated
//! ```

use bytes::Bytes;

use super::context::{Context, Step, Timer};
use super::effect::{Failure, Setback};
use super::input::IncomingResponse;

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

pub(super) struct Client {
    pub state: State,
    request: Bytes,
    interval_ms: u64,
}

/// What can happen to it.
pub(super) enum Event<'e> {
    Response(&'e IncomingResponse),
    Timer(Timer),
    TransportError(Bytes),
}

impl Client {
    /// Sends the request.
    pub fn start(request: Bytes, cx: &mut Context<'_>) -> Client {
        let t1 = cx.config.t1_ms;
        cx.transmit(&request);
        if !cx.common.reliable {
            cx.arm(Timer::E, t1);
        }
        cx.arm(Timer::F, cx.config.timeout_ms());
        Client {
            state: State::Trying,
            request,
            interval_ms: t1,
        }
    }

    pub fn handle(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Step {
        match (self.state, event) {
            (State::Trying | State::Proceeding, Event::Response(response)) => {
                self.response(response, cx)
            }

            (State::Trying | State::Proceeding, Event::Timer(Timer::E)) => {
                cx.transmit(&self.request);
                cx.retransmitted();
                self.interval_ms = match self.state {
                    State::Proceeding => cx.config.t2_ms,
                    _ => cx.config.backoff_ms(self.interval_ms),
                };
                cx.arm(Timer::E, self.interval_ms);
                Step::Alive
            }
            // Whoever has sent a provisional response is there: only silence is a reason to go elsewhere (RFC 3263 §4.3).
            (State::Trying, Event::Timer(Timer::F)) if cx.may_go_on() => {
                cx.set_back(&mut self.request, Setback::Timeout)
            }
            (State::Trying | State::Proceeding, Event::TransportError(reason))
                if cx.may_go_on() =>
            {
                cx.set_back(&mut self.request, Setback::Transport(reason))
            }

            (State::Trying | State::Proceeding, Event::Timer(Timer::F)) => {
                cx.fail(Failure::Timeout);
                self.end()
            }
            (State::Completed, Event::Timer(Timer::K)) => self.end(),

            (State::Trying | State::Proceeding, Event::TransportError(reason)) => {
                cx.fail(Failure::Transport(reason));
                self.end()
            }

            (State::Completed, Event::Response(_)) => {
                cx.gauges.absorbed_messages += 1;
                Step::Alive
            }
            (State::Completed, Event::TransportError(_))
            | (State::Trying | State::Proceeding | State::Completed, Event::Timer(_)) => {
                Step::Alive
            }
            (State::Terminated, _) => Step::Ended,
        }
    }

    fn response(&mut self, response: &IncomingResponse, cx: &mut Context<'_>) -> Step {
        if response.status_code == 503 && cx.may_go_on() {
            let setback = Setback::Unavailable(Box::new(response.clone()));
            return cx.set_back(&mut self.request, setback);
        }
        cx.deliver_response(response);
        if response.status_code < 200 {
            // Timers E and F run on; E is at T2 from its next firing (§17.1.2.2).
            self.state = State::Proceeding;
            return Step::Alive;
        }
        cx.concluded(response.status_code);
        self.request = Bytes::new();
        cx.disarm_machine();
        if cx.common.reliable {
            return self.end();
        }
        self.state = State::Completed;
        cx.arm(Timer::K, cx.config.t4_ms);
        Step::Alive
    }

    fn end(&mut self) -> Step {
        self.state = State::Terminated;
        Step::Ended
    }

    /// The final response has not come.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    pub fn bytes(&self) -> usize {
        self.request.len()
    }
}
