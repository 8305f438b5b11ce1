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
    /// A 2xx of another fork.
    OtherFork,
    AckToRefusal,
    AckToSuccess,
    Cancel,
    /// The core sends it.
    Respond(u16),
    RespondUntilAck,
    /// A 2xx of another fork behind this element.
    RespondFork,
    SendAck,
    SendCancel,
    /// The next timer fires.
    Timer,
    TransportError,
    CoreFails,
    /// Its owner ends it.
    Terminate,
    /// The process that waits has what there is, or dies; the engine makes a CANCEL.
    Collect,
    Abandon,
    MakeCancel,
}

use Event::*;

const EVENTS: [Event; 28] = [
    Request,
    Response(100),
    Response(180),
    Response(200),
    Response(302),
    Response(486),
    Response(603),
    OtherFork,
    AckToRefusal,
    AckToSuccess,
    Cancel,
    Respond(100),
    Respond(180),
    Respond(200),
    Respond(302),
    Respond(408),
    Respond(486),
    RespondUntilAck,
    RespondFork,
    SendAck,
    SendCancel,
    Timer,
    TransportError,
    CoreFails,
    Terminate,
    Collect,
    Abandon,
    MakeCancel,
];

/// A state by the events that lead to it, and where the events that are told lead; all others leave it as it is, but that
/// its owner may end it from everywhere.
struct Row {
    state: &'static str,
    path: &'static [Event],
    leads: &'static [(Event, &'static str)],
    /// Where the next timer leads over a reliable transport, where that is another one.
    reliable_timer: Option<&'static str>,
    /// When time alone has brought everything to its end, in milliseconds from the beginning, over UDP.
    last_deadline: u64,
}

const ENDED: &str = "terminated";

const INVITE_CLIENT: [Row; 6] = [
    Row {
        state: "calling",
        path: &[],
        leads: &[
            (Response(100), "proceeding"),
            (Response(180), "proceeding"),
            (Response(200), "accepted"),
            (OtherFork, "accepted"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (TransportError, ENDED),
        ],
        reliable_timer: Some(ENDED),
        last_deadline: 32_000,
    },
    Row {
        // It holds a CANCEL.
        state: "calling",
        path: &[SendCancel],
        leads: &[
            (Response(100), "proceeding"),
            (Response(180), "proceeding"),
            (Response(200), "accepted"),
            (OtherFork, "accepted"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (TransportError, ENDED),
        ],
        reliable_timer: Some(ENDED),
        last_deadline: 32_000,
    },
    Row {
        state: "proceeding",
        path: &[Response(180)],
        leads: &[
            (Response(200), "accepted"),
            (OtherFork, "accepted"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (Timer, ENDED),
        ],
        reliable_timer: None,
        last_deadline: 600_000,
    },
    Row {
        // Its CANCEL has left: the next timer is that one's E.
        state: "proceeding",
        path: &[Response(180), SendCancel],
        leads: &[
            (Response(200), "accepted"),
            (OtherFork, "accepted"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
        ],
        reliable_timer: Some(ENDED),
        last_deadline: 32_000,
    },
    Row {
        state: "completed",
        path: &[Response(486)],
        leads: &[(Timer, ENDED), (TransportError, ENDED)],
        reliable_timer: None,
        last_deadline: 32_000,
    },
    Row {
        state: "accepted",
        path: &[Response(200)],
        leads: &[(Timer, ENDED)],
        reliable_timer: None,
        last_deadline: 32_000,
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
            (OtherFork, "completed"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (TransportError, ENDED),
        ],
        reliable_timer: Some(ENDED),
        last_deadline: 32_000,
    },
    Row {
        state: "proceeding",
        path: &[Response(100)],
        leads: &[
            (Response(200), "completed"),
            (OtherFork, "completed"),
            (Response(302), "completed"),
            (Response(486), "completed"),
            (Response(603), "completed"),
            (TransportError, ENDED),
        ],
        reliable_timer: Some(ENDED),
        last_deadline: 32_000,
    },
    Row {
        state: "completed",
        path: &[Response(200)],
        leads: &[(Timer, ENDED)],
        reliable_timer: None,
        last_deadline: 5_000,
    },
];

const INVITE_SERVER: [Row; 7] = [
    Row {
        state: "proceeding",
        path: &[],
        leads: &[
            (Respond(200), "accepted"),
            (RespondUntilAck, "accepted"),
            (RespondFork, "accepted"),
            (Respond(302), "completed"),
            (Respond(408), "completed"),
            (Respond(486), "completed"),
            (CoreFails, "completed"),
        ],
        reliable_timer: None,
        // The watchdog, and timer H behind its 408.
        last_deadline: 272_000,
    },
    Row {
        // Its next timer is the watchdog.
        state: "proceeding",
        path: &[Respond(180)],
        leads: &[
            (Respond(200), "accepted"),
            (RespondUntilAck, "accepted"),
            (RespondFork, "accepted"),
            (Respond(302), "completed"),
            (Respond(408), "completed"),
            (Respond(486), "completed"),
            (Timer, "completed"),
            (CoreFails, "completed"),
        ],
        reliable_timer: None,
        last_deadline: 272_000,
    },
    Row {
        state: "completed",
        path: &[Respond(486)],
        leads: &[(AckToRefusal, "confirmed")],
        reliable_timer: Some(ENDED),
        last_deadline: 32_000,
    },
    Row {
        state: "confirmed",
        path: &[Respond(486), AckToRefusal],
        leads: &[(Timer, ENDED)],
        reliable_timer: None,
        last_deadline: 5_000,
    },
    Row {
        state: "accepted",
        path: &[Respond(200)],
        leads: &[(Timer, ENDED)],
        reliable_timer: None,
        last_deadline: 32_000,
    },
    Row {
        // Its next timer repeats the 2xx.
        state: "accepted",
        path: &[RespondUntilAck],
        leads: &[],
        reliable_timer: None,
        last_deadline: 32_000,
    },
    Row {
        state: "accepted",
        path: &[RespondUntilAck, AckToSuccess],
        leads: &[(Timer, ENDED)],
        reliable_timer: None,
        last_deadline: 32_000,
    },
];

const SERVER: [Row; 3] = [
    Row {
        state: "trying",
        path: &[],
        leads: &[
            (Respond(200), "completed"),
            (RespondUntilAck, "completed"),
            (RespondFork, "completed"),
            (Respond(302), "completed"),
            (Respond(486), "completed"),
            (Timer, "proceeding"),
            (CoreFails, "completed"),
        ],
        reliable_timer: None,
        last_deadline: 32_000,
    },
    Row {
        state: "proceeding",
        path: &[Timer],
        leads: &[
            (Respond(200), "completed"),
            (RespondUntilAck, "completed"),
            (RespondFork, "completed"),
            (Respond(302), "completed"),
            (Respond(486), "completed"),
            (Timer, ENDED),
            (CoreFails, "completed"),
        ],
        reliable_timer: None,
        last_deadline: 32_000,
    },
    Row {
        state: "completed",
        path: &[Respond(200)],
        leads: &[(Timer, ENDED)],
        reliable_timer: None,
        last_deadline: 32_000,
    },
];

/// Whose transaction it is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Owner {
    /// The core sent the request.
    Client,
    /// A process sent it and waits.
    Caller,
    /// A process sent it and is dead.
    DeadCaller,
    /// The core received it.
    Server,
}

struct Walk {
    bench: Bench,
    request: String,
    handle: Handle,
}

impl Walk {
    fn new(method: &str, owner: Owner, reliable: bool) -> Walk {
        let mut bench = Bench::by_hand();
        bench.reliable = reliable;
        let request = request(method, "z9hG4bK776asdhds");
        let handle = match owner {
            Owner::Client => bench.send(&request).unwrap().unwrap(),
            Owner::Caller | Owner::DeadCaller => bench.ask(&request),
            Owner::Server => {
                bench.receive(&request);
                let handle = bench.called[0];
                bench.begin(handle);
                handle
            }
        };
        if owner == Owner::DeadCaller && method != "INVITE" {
            // That of an INVITE is cancelled.
            bench.abandon(handle);
        }
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
            OtherFork => drop(bench.receive(&response(request, 200, "other"))),
            AckToRefusal => {
                bench.receive(&ack(request, "314159", "z9hG4bK776asdhds"));
            }
            AckToSuccess => drop(bench.receive(&ack_to_success)),
            Cancel => drop(bench.receive(&cancel(request))),
            Respond(code) => drop(bench.respond(&response(request, code, "314159"))),
            RespondUntilAck => {
                let _ = bench.respond_until_ack(&response(request, 200, "314159"));
            }
            RespondFork => {
                let _ = bench.respond_until_ack(&response(request, 200, "other"));
            }
            SendAck => drop(bench.send(&ack_to_success)),
            SendCancel => drop(bench.send(&cancel(request))),
            Timer => self.fire(),
            TransportError => bench.fail_transport(*handle),
            CoreFails => bench.fail_runner(*handle),
            Terminate => drop(bench.terminate(*handle)),
            Collect => drop(bench.collect(*handle)),
            Abandon => bench.abandon(*handle),
            MakeCancel => drop(bench.cancel(*handle)),
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
            // Nor is that of a process that has not woken up.
            while !["nothing", "gone"].contains(&bench.collect(self.handle).as_str()) {}
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
        self.bench.abandon(self.handle);
        self.bench.runs = true;
        self.bench.at(self.bench.now + FOR_EVER_MS);
        self.bench.assert_empty();
    }
}

/// The states that a reliable transport has no use for: their timers are zero (§17.1.1.2, §17.1.2.2, §17.2.1, §17.2.2).
fn passed_at_once(method: &str, owner: Owner, state: &str) -> bool {
    match (method, owner) {
        ("INVITE", Owner::Server) => state == "confirmed",
        _ => state == "completed",
    }
}

fn walk(method: &str, owner: Owner, rows: &[Row]) {
    for reliable in [false, true] {
        let settled = |state: &'static str| {
            if reliable && passed_at_once(method, owner, state) {
                ENDED
            } else {
                state
            }
        };
        for row in rows {
            for event in EVENTS {
                let mut walk = Walk::new(method, owner, reliable);
                for event in row.path {
                    walk.meet(*event);
                }
                let from = settled(row.state);
                assert_eq!(walk.state(), from, "{method} after {:?}", row.path);
                let lead = row.leads.iter().find(|(named, _)| *named == event);
                let to = match (event, row.reliable_timer) {
                    (Terminate, _) => ENDED,
                    (Timer, Some(state)) if reliable => state,
                    _ if from == ENDED => ENDED,
                    _ => settled(lead.map_or(row.state, |(_, state)| state)),
                };
                walk.meet(event);
                assert_eq!(
                    walk.state(),
                    to,
                    "{method} of {owner:?}, reliable: {reliable}, {} after {:?}, meets {event:?}",
                    row.state,
                    row.path
                );
                walk.end();
            }
        }
    }
}

#[test]
fn every_pair_of_the_invite_client_17_1_1_and_rfc_6026() {
    walk("INVITE", Owner::Client, &INVITE_CLIENT);
    walk("INVITE", Owner::Caller, &INVITE_CLIENT);
}

#[test]
fn every_pair_of_the_client_17_1_2() {
    walk("OPTIONS", Owner::Client, &CLIENT);
    walk("OPTIONS", Owner::Caller, &CLIENT);
    walk("OPTIONS", Owner::DeadCaller, &CLIENT);
}

#[test]
fn every_pair_of_the_invite_server_17_2_1_and_rfc_6026() {
    walk("INVITE", Owner::Server, &INVITE_SERVER);
}

#[test]
fn every_pair_of_the_server_17_2_2_and_rfc_4320() {
    walk("OPTIONS", Owner::Server, &SERVER);
}

#[test]
fn the_tables_have_every_state_of_17_and_rfc_6026() {
    let states = |rows: &[Row]| {
        let mut states: Vec<_> = rows.iter().map(|row| row.state).collect();
        states.dedup();
        states
    };
    assert_eq!(
        states(&INVITE_CLIENT),
        ["calling", "proceeding", "completed", "accepted"]
    );
    assert_eq!(states(&CLIENT), ["trying", "proceeding", "completed"]);
    assert_eq!(
        states(&INVITE_SERVER),
        ["proceeding", "completed", "confirmed", "accepted"]
    );
    assert_eq!(states(&SERVER), ["trying", "proceeding", "completed"]);
}

#[test]
fn every_state_has_its_last_deadline() {
    for (method, owner, rows) in [
        ("INVITE", Owner::Client, &INVITE_CLIENT[..]),
        ("OPTIONS", Owner::Client, &CLIENT),
        ("INVITE", Owner::Server, &INVITE_SERVER),
        ("OPTIONS", Owner::Server, &SERVER),
    ] {
        for row in rows {
            let mut walk = Walk::new(method, owner, false);
            // The core is done with what it has, and takes at once what comes.
            while walk.bench.take(walk.handle).is_some() {}
            for event in row.path {
                walk.meet(*event);
            }
            walk.bench.runs = true;
            for handle in std::mem::take(&mut walk.bench.called) {
                if walk.bench.begin(handle).is_some() {
                    while walk.bench.take(handle).is_some() {}
                }
            }
            let bench = &mut walk.bench;
            bench.at(row.last_deadline - 1);
            assert!(
                bench.state(walk.handle).is_some(),
                "{method} of {owner:?} after {:?} is gone too early",
                row.path
            );
            bench.at(row.last_deadline);
            assert_eq!(
                bench.state(walk.handle),
                None,
                "{method} of {owner:?} after {:?}",
                row.path
            );
            bench.assert_empty();
        }
    }
}

#[test]
fn three_events_in_any_order_leave_nothing_for_ever() {
    for (method, owner) in [
        ("INVITE", Owner::Client),
        ("INVITE", Owner::Caller),
        ("INVITE", Owner::Server),
        ("OPTIONS", Owner::Client),
        ("OPTIONS", Owner::Caller),
        ("OPTIONS", Owner::Server),
    ] {
        for reliable in [false, true] {
            for first in EVENTS {
                for second in EVENTS {
                    for third in EVENTS {
                        let mut walk = Walk::new(method, owner, reliable);
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
