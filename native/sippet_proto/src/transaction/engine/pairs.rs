//! Every state meets every timer, also those that it never arms: what is late, or another state's, changes nothing.

use bytes::Bytes;

use super::{Config, Effect, Engine, Handle, KeyMaker, Machine, Step, Timer};
use super::{client, client_step, invite_client, invite_server, server, server_step};
use crate::message::Arena;
use crate::message::parse::{Options, parse};
use crate::transaction::effect::{Destination, Flow, Target};
use crate::transaction::input::{
    IncomingRequest, IncomingResponse, OutgoingRequest, OutgoingResponse,
};

const ENDED: &str = "terminated";

/// Machine, the responses that lead from the beginning to a state, an ACK after them, and where its own timers lead.
type Row = (
    &'static str,
    bool,
    &'static [u16],
    bool,
    &'static str,
    &'static [(Timer, &'static str)],
);

const ROWS: [Row; 15] = [
    ("INVITE", true, &[], false, "calling", &[(Timer::B, ENDED)]),
    (
        "INVITE",
        true,
        &[180],
        false,
        "proceeding",
        &[(Timer::Proceeding, ENDED)],
    ),
    (
        "INVITE",
        true,
        &[486],
        false,
        "completed",
        &[(Timer::D, ENDED)],
    ),
    (
        "INVITE",
        true,
        &[200],
        false,
        "accepted",
        &[(Timer::M, ENDED)],
    ),
    ("OPTIONS", true, &[], false, "trying", &[(Timer::F, ENDED)]),
    (
        "OPTIONS",
        true,
        &[100],
        false,
        "proceeding",
        &[(Timer::F, ENDED)],
    ),
    (
        "OPTIONS",
        true,
        &[200],
        false,
        "completed",
        &[(Timer::K, ENDED)],
    ),
    (
        "INVITE",
        false,
        &[],
        false,
        "proceeding",
        &[(Timer::Watchdog, "completed")],
    ),
    (
        "INVITE",
        false,
        &[180],
        false,
        "proceeding",
        &[(Timer::Watchdog, "completed")],
    ),
    (
        "INVITE",
        false,
        &[486],
        false,
        "completed",
        &[(Timer::H, ENDED)],
    ),
    (
        "INVITE",
        false,
        &[486],
        true,
        "confirmed",
        &[(Timer::I, ENDED)],
    ),
    (
        "INVITE",
        false,
        &[200],
        false,
        "accepted",
        &[(Timer::L, ENDED)],
    ),
    (
        "INVITE",
        false,
        &[200],
        true,
        "accepted",
        &[(Timer::L, ENDED)],
    ),
    (
        "OPTIONS",
        false,
        &[],
        false,
        "trying",
        &[(Timer::Trying, "proceeding"), (Timer::Unanswered, ENDED)],
    ),
    (
        "OPTIONS",
        false,
        &[200],
        false,
        "completed",
        &[(Timer::J, ENDED)],
    ),
];

const TIMERS: [Timer; 21] = [
    Timer::A,
    Timer::B,
    Timer::D,
    Timer::E,
    Timer::F,
    Timer::G,
    Timer::H,
    Timer::I,
    Timer::J,
    Timer::K,
    Timer::L,
    Timer::M,
    Timer::Proceeding,
    Timer::Cancel,
    Timer::Trying,
    Timer::Watchdog,
    Timer::Unanswered,
    Timer::Accepted,
    Timer::Between,
    Timer::Runner,
    Timer::Gate,
];

fn text(start_line: &str, method: &str) -> String {
    format!(
        "{start_line}\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:a@a.example>;tag=a\r\nTo: <sip:b@b.example>;tag=b\r\nCall-ID: c\r\n\
         CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn way() -> Target {
    Target {
        flow: Flow {
            transport: 1,
            connection: 0,
        },
        destination: Destination::Host(Bytes::from_static(b"b.example"), 5060),
    }
}

struct Bench {
    engine: Engine,
    keys: KeyMaker,
}

impl Bench {
    /// The transaction in the state of this row.
    fn reach((method, client, responses, acknowledged, ..): &Row) -> (Bench, Handle) {
        let keys = KeyMaker::new([7; 16]);
        let mut bench = Bench {
            engine: Engine::new(Config::default(), keys, 0),
            keys,
        };
        let request = text(&format!("{method} sip:b@b.example SIP/2.0"), method);
        if *client {
            bench.send(&request);
        } else {
            bench.receive(&request);
        }
        let (handle, _) = bench.engine.entries.at(0).unwrap();
        for status_code in *responses {
            let response = text(&format!("SIP/2.0 {status_code} Whatever"), method);
            if *client {
                bench.receive(&response);
            } else {
                bench.send(&response);
            }
        }
        if *acknowledged {
            bench.receive(&text("ACK sip:b@b.example SIP/2.0", "ACK"));
        }
        (bench, handle)
    }

    fn receive(&mut self, text: &str) {
        let arena = Arena::new();
        let message = parse(text.as_bytes(), &Options::default(), &arena).unwrap();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let effects = &mut Vec::new();
        if message.request_line().is_some() {
            let request =
                IncomingRequest::new(&message, &self.keys, bytes, way(), way(), false).unwrap();
            self.engine.handle_request(0, request, effects);
        } else {
            let response = IncomingResponse::new(&message, &self.keys, bytes, way()).unwrap();
            self.engine.handle_response(0, response, effects);
        }
    }

    fn send(&mut self, text: &str) {
        let arena = Arena::new();
        let message = parse(text.as_bytes(), &Options::default(), &arena).unwrap();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let effects = &mut Vec::new();
        if message.request_line().is_some() {
            let request = OutgoingRequest::new(&message, &self.keys, bytes, way(), false).unwrap();
            self.engine.send_request(0, request, effects).unwrap();
        } else {
            let response = OutgoingResponse::new(&message, &self.keys, bytes, None, true).unwrap();
            self.engine.send_response(0, response, effects).unwrap();
        }
    }

    /// A timer fires that may not be armed.
    fn fire(&mut self, handle: Handle, timer: Timer) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.engine
            .step(handle, &mut effects, |machine, cx| match machine {
                Machine::InviteClient(m) => {
                    client_step(m.handle(invite_client::Event::Timer(timer), cx))
                }
                Machine::Client(m) => m.handle(client::Event::Timer(timer), cx),
                Machine::InviteServer(m) => {
                    server_step(m.handle(invite_server::Event::Timer(timer), cx))
                }
                Machine::Server(m) => match m.handle(server::Event::Timer(timer), cx) {
                    server::Outcome::Step(step) => step,
                    server::Outcome::Refused(_) => Step::Alive,
                },
                Machine::Between(_) | Machine::Stray { .. } | Machine::Ended { .. } => Step::Alive,
            });
        effects
    }

    fn state(&self, handle: Handle) -> &'static str {
        self.engine.info(handle).map_or(ENDED, |info| info.state)
    }
}

/// The timers that a state answers by sending, and stays.
fn repeats(row: &Row, timer: Timer) -> bool {
    match (row.0, row.1, row.4) {
        ("INVITE", true, "calling") => timer == Timer::A,
        ("OPTIONS", true, "trying" | "proceeding") => timer == Timer::E,
        ("INVITE", false, "completed") => timer == Timer::G,
        // Only while nothing was sent.
        ("INVITE", false, "proceeding") => timer == Timer::Trying && row.2.is_empty(),
        _ => false,
    }
}

#[test]
fn each_state_obeys_its_own_timers_and_no_other() {
    for row in &ROWS {
        for timer in TIMERS {
            let (mut bench, handle) = Bench::reach(row);
            assert_eq!(bench.state(handle), row.4, "{row:?}");
            let effects = bench.fire(handle, timer);
            let lead = row.5.iter().find(|(named, _)| *named == timer);
            assert_eq!(
                bench.state(handle),
                lead.map_or(row.4, |(_, state)| state),
                "{row:?} meets {timer:?}"
            );
            let sends = effects
                .iter()
                .any(|effect| matches!(effect, Effect::Transmit { .. }));
            // What leads on may send too: the 100, the 408.
            let expected = repeats(row, timer) || lead.is_some_and(|(_, state)| *state != ENDED);
            assert_eq!(sends, expected, "{row:?} meets {timer:?}");
        }
    }
}
