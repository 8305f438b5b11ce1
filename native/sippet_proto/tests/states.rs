//! Every state meets every event: where it leads is the tables of §17 with RFC 6026, and from everywhere time alone
//! leads to the end.

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::Handle;

/// Longer than any deadline, the ten minutes of an INVITE in Proceeding included.
const FOR_EVER_MS: u64 = 2_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    /// The request, or the response with this status, comes from the network.
    Request,
    Response(u16),
    AckToRefusal,
    AckToSuccess,
    Cancel,
    /// The core sends it.
    Respond(u16),
    RespondUntilAck,
    SendAck,
    SendCancel,
    /// The next timer fires.
    Timer,
    TransportError,
    CoreFails,
}

use Event::*;

const EVENTS: [Event; 21] = [
    Request,
    Response(100),
    Response(180),
    Response(200),
    Response(302),
    Response(486),
    Response(603),
    AckToRefusal,
    AckToSuccess,
    Cancel,
    Respond(100),
    Respond(180),
    Respond(200),
    Respond(302),
    Respond(486),
    RespondUntilAck,
    SendAck,
    SendCancel,
    Timer,
    TransportError,
    CoreFails,
];

/// A state by the events that lead to it, and where the events that are told lead; all others leave it as it is.
struct Row {
    state: &'static str,
    path: &'static [Event],
    leads: &'static [(Event, &'static str)],
}

const ENDED: &str = "terminated";

const INVITE_CLIENT: [Row; 4] = [
    Row {
        state: "calling",
        path: &[],
        leads: &[
            (Response(100), "proceeding"),
            (Response(180), "proceeding"),
            (Response(200), "accepted"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (TransportError, ENDED),
        ],
    },
    Row {
        state: "proceeding",
        path: &[Response(180)],
        leads: &[
            (Response(200), "accepted"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (Timer, ENDED),
        ],
    },
    Row {
        state: "completed",
        path: &[Response(486)],
        leads: &[(Timer, ENDED), (TransportError, ENDED)],
    },
    Row {
        state: "accepted",
        path: &[Response(200)],
        leads: &[(Timer, ENDED)],
    },
];

const CLIENT: [Row; 3] = [
    Row {
        state: "trying",
        path: &[],
        leads: &[
            (Response(100), "proceeding"),
            (Response(180), "proceeding"),
            (Response(200), "completed"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (TransportError, ENDED),
        ],
    },
    Row {
        state: "proceeding",
        path: &[Response(100)],
        leads: &[
            (Response(200), "completed"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (TransportError, ENDED),
        ],
    },
    Row {
        state: "completed",
        path: &[Response(200)],
        leads: &[(Timer, ENDED)],
    },
];

const INVITE_SERVER: [Row; 6] = [
    Row {
        state: "proceeding",
        path: &[],
        leads: &[
            (Respond(200), "accepted"),
            (RespondUntilAck, "accepted"),
            (Respond(302), "completed"),
            (Respond(486), "completed"),
            (CoreFails, "completed"),
        ],
    },
    Row {
        // Its next timer is the watchdog.
        state: "proceeding",
        path: &[Respond(180)],
        leads: &[
            (Respond(200), "accepted"),
            (RespondUntilAck, "accepted"),
            (Respond(302), "completed"),
            (Respond(486), "completed"),
            (Timer, "completed"),
            (CoreFails, "completed"),
        ],
    },
    Row {
        state: "completed",
        path: &[Respond(486)],
        leads: &[(AckToRefusal, "confirmed")],
    },
    Row {
        state: "confirmed",
        path: &[Respond(486), AckToRefusal],
        leads: &[(Timer, ENDED)],
    },
    Row {
        state: "accepted",
        path: &[Respond(200)],
        leads: &[(Timer, ENDED)],
    },
    Row {
        state: "accepted",
        path: &[RespondUntilAck],
        leads: &[],
    },
];

const SERVER: [Row; 3] = [
    Row {
        state: "trying",
        path: &[],
        leads: &[
            (Respond(200), "completed"),
            (RespondUntilAck, "completed"),
            (Respond(302), "completed"),
            (Respond(486), "completed"),
            (Timer, "proceeding"),
            (CoreFails, "completed"),
        ],
    },
    Row {
        state: "proceeding",
        path: &[Timer],
        leads: &[
            (Respond(200), "completed"),
            (RespondUntilAck, "completed"),
            (Respond(302), "completed"),
            (Respond(486), "completed"),
            (Timer, ENDED),
            (CoreFails, "completed"),
        ],
    },
    Row {
        state: "completed",
        path: &[Respond(200)],
        leads: &[(Timer, ENDED)],
    },
];

struct Walk {
    bench: Bench,
    request: String,
    handle: Handle,
}

impl Walk {
    fn new(method: &str, client: bool, reliable: bool) -> Walk {
        let mut bench = Bench::by_hand();
        bench.reliable = reliable;
        let request = request(method, "z9hG4bK776asdhds");
        let handle = if client {
            bench.send(&request).unwrap().unwrap()
        } else {
            bench.receive(&request);
            let handle = bench.called[0];
            bench.begin(handle);
            handle
        };
        Walk {
            bench,
            request,
            handle,
        }
    }

    fn meet(&mut self, event: Event) {
        let Walk {
            bench,
            request,
            handle,
        } = self;
        let ack_to_success = ack(request, "314159", "z9hG4bKack");
        match event {
            Request => drop(bench.receive(request)),
            Response(code) => drop(bench.receive(&response(request, code, "314159"))),
            AckToRefusal => {
                bench.receive(&ack(request, "314159", "z9hG4bK776asdhds"));
            }
            AckToSuccess => drop(bench.receive(&ack_to_success)),
            Cancel => drop(bench.receive(&cancel(request))),
            Respond(code) => drop(bench.respond(&response(request, code, "314159"))),
            RespondUntilAck => {
                let _ = bench.respond_until_ack(&response(request, 200, "314159"));
            }
            SendAck => drop(bench.send(&ack_to_success)),
            SendCancel => drop(bench.send(&cancel(request))),
            Timer => self.fire(),
            TransportError => bench.fail_transport(*handle),
            CoreFails => bench.fail_runner(*handle),
        }
    }

    /// Lets time pass to the first moment at which something happens.
    fn fire(&mut self) {
        let bench = &mut self.bench;
        bench.quiet();
        let before = bench.state(self.handle);
        if before.is_none_or(|state| state == ENDED) {
            return;
        }
        for _ in 0..100 {
            // A runner that nobody takes up has a timer too, and it is not meant.
            for handle in std::mem::take(&mut bench.called) {
                if bench.begin(handle).is_some() {
                    while bench.take(handle).is_some() {}
                }
            }
            let Some(deadline) = bench.engine.next_deadline() else {
                return;
            };
            bench.now = bench.now.max(deadline);
            bench.timeout();
            if bench.state(self.handle) != before || !bench.sent.is_empty() {
                return;
            }
        }
        panic!("no timer fires");
    }

    fn state(&self) -> &'static str {
        self.bench.state(self.handle).unwrap_or(ENDED)
    }

    /// Runners come and finish, and time runs on.
    fn end(mut self) {
        while self.bench.take(self.handle).is_some() {}
        self.bench.runs = true;
        self.bench.at(self.bench.now + FOR_EVER_MS);
        self.bench.assert_empty();
    }
}

fn walk(method: &str, client: bool, rows: &[Row]) {
    for row in rows {
        for event in EVENTS {
            let mut walk = Walk::new(method, client, false);
            for event in row.path {
                walk.meet(*event);
            }
            assert_eq!(walk.state(), row.state, "{method} after {:?}", row.path);
            let expected = row.leads.iter().find(|(named, _)| *named == event);
            let expected = expected.map_or(row.state, |(_, state)| state);
            walk.meet(event);
            assert_eq!(
                walk.state(),
                expected,
                "{method}, client: {client}, {} after {:?}, meets {event:?}",
                row.state,
                row.path
            );
            walk.end();
        }
        // Over a reliable transport some of these states are passed at once: what counts is that all ends.
        for event in EVENTS {
            let mut walk = Walk::new(method, client, true);
            row.path.iter().for_each(|event| walk.meet(*event));
            walk.meet(event);
            walk.end();
        }
    }
}

#[test]
fn every_pair_of_the_invite_client_17_1_1_and_rfc_6026() {
    walk("INVITE", true, &INVITE_CLIENT);
}

#[test]
fn every_pair_of_the_client_17_1_2() {
    walk("OPTIONS", true, &CLIENT);
}

#[test]
fn every_pair_of_the_invite_server_17_2_1_and_rfc_6026() {
    walk("INVITE", false, &INVITE_SERVER);
}

#[test]
fn every_pair_of_the_server_17_2_2_and_rfc_4320() {
    walk("OPTIONS", false, &SERVER);
}

#[test]
fn three_events_in_any_order_leave_nothing_for_ever() {
    for (method, client) in [
        ("INVITE", true),
        ("INVITE", false),
        ("OPTIONS", true),
        ("OPTIONS", false),
    ] {
        for reliable in [false, true] {
            for first in EVENTS {
                for second in EVENTS {
                    for third in EVENTS {
                        let mut walk = Walk::new(method, client, reliable);
                        for event in [first, second, third] {
                            if walk.bench.engine.next_deadline().is_some() || event != Timer {
                                walk.meet(event);
                            }
                        }
                        walk.end();
                    }
                }
            }
        }
    }
}
