//! The schedule of every timer, from the first transmission to the end, on unreliable and reliable transports and with other
//! values of T1, T2 and T4 than the defaults. The times are worked out by hand from §17, RFC 6026 and RFC 4320.

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::{Config, Handle, Timers, Verdict};

/// When everything is over.
const THE_END_MS: u64 = 3_000_000;

/// T1, T2 and T4.
type Times = (u64, u64, u64);

/// Of a closed network, and of a slow one (§17.1.1.2); and a T2 that T1 does not double into.
const FAST: Times = (100, 400, 1_000);
const SLOW: Times = (2_000, 4_000, 10_000);
const ODD: Times = (1_000, 3_000, 7_000);
const DEFAULT: Times = (500, 4_000, 5_000);

const ALL: [Times; 4] = [DEFAULT, FAST, SLOW, ODD];

fn bench((t1_ms, t2_ms, t4_ms): Times, reliable: bool) -> Bench {
    let mut bench = Bench::with(Config {
        timers: Timers {
            t1_ms,
            t2_ms,
            t4_ms,
            ..Timers::default()
        },
        ..Config::default()
    });
    bench.reliable = reliable;
    bench
}

fn options() -> String {
    request("OPTIONS", "z9hG4bK776asdhds")
}

/// What is sent at these times, and then what the core is told.
fn sends(what: &str, times: impl IntoIterator<Item = u64>, last: &str) -> Vec<String> {
    let sends = times.into_iter().map(|at| format!("{at} send {what}"));
    let last = (!last.is_empty()).then(|| last.to_owned());
    sends.chain(last).collect()
}

/// `first`, then by `step` up to `last`.
fn every(first: u64, step: usize, last: u64) -> impl Iterator<Item = u64> {
    (first..=last).step_by(step)
}

fn to_the_end(bench: &mut Bench) -> Vec<String> {
    bench.at(THE_END_MS);
    bench.assert_empty();
    bench.log()
}

/// An INVITE that came and that the core has seen.
fn invited(bench: &mut Bench) -> Handle {
    began(bench, &invite())
}

fn began(bench: &mut Bench, request: &str) -> Handle {
    let Verdict::Began(handle) = bench.receive(request) else {
        panic!("no transaction began");
    };
    bench.quiet();
    handle
}

fn answer(status_code: u16) -> String {
    response(&invite(), status_code, "a")
}

/// The transaction is open until this moment, and then it is not.
fn ends_at(bench: &mut Bench, handle: Handle, state: &str, at: u64) {
    bench.at(at - 1);
    assert_eq!(bench.state(handle), Some(state), "at {}", at - 1);
    bench.at(at);
    assert_eq!(bench.state(handle), None, "at {at}");
    bench.assert_empty();
}

/// What is repeated from T1 on, doubling up to T2, for 64·T1.
fn repeated() -> [(Times, Vec<u64>, u64); 4] {
    [
        (
            DEFAULT,
            vec![
                0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
            ],
            32_000,
        ),
        (
            FAST,
            vec![
                0, 100, 300, 700, 1_100, 1_500, 1_900, 2_300, 2_700, 3_100, 3_500, 3_900, 4_300,
                4_700, 5_100, 5_500, 5_900, 6_300,
            ],
            6_400,
        ),
        (
            SLOW,
            [0].into_iter()
                .chain(every(2_000, 4_000, 126_000))
                .collect(),
            128_000,
        ),
        (
            ODD,
            [0, 1_000]
                .into_iter()
                .chain(every(3_000, 3_000, 63_000))
                .collect(),
            64_000,
        ),
    ]
}

#[test]
fn timers_a_and_b_17_1_1_2() {
    let expected = [
        (
            DEFAULT,
            vec![0, 500, 1_500, 3_500, 7_500, 15_500, 31_500],
            32_000,
        ),
        (FAST, vec![0, 100, 300, 700, 1_500, 3_100, 6_300], 6_400),
        (
            SLOW,
            vec![0, 2_000, 6_000, 14_000, 30_000, 62_000, 126_000],
            128_000,
        ),
        (
            ODD,
            vec![0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000],
            64_000,
        ),
    ];
    for (times, sent, end) in expected {
        let told = format!("{end} core timeout");
        let mut unreliable = bench(times, false);
        unreliable.send(&invite()).unwrap();
        assert_eq!(to_the_end(&mut unreliable), sends("INVITE", sent, &told));
        let mut reliable = bench(times, true);
        reliable.send(&invite()).unwrap();
        assert_eq!(to_the_end(&mut reliable), sends("INVITE", [0], &told));
    }
}

#[test]
fn timer_d_17_1_1_2() {
    for (times, end) in [
        (DEFAULT, 32_000),
        // Never less than 32 s, whatever T1 is here.
        (FAST, 32_000),
        (SLOW, 128_000),
        (ODD, 64_000),
    ] {
        let mut unreliable = bench(times, false);
        let handle = unreliable.send(&invite()).unwrap().unwrap();
        unreliable.receive(&answer(486));
        ends_at(&mut unreliable, handle, "completed", end);
        let mut reliable = bench(times, true);
        reliable.send(&invite()).unwrap();
        reliable.receive(&answer(486));
        reliable.assert_empty();
    }
}

#[test]
fn timer_d_may_be_set_but_is_never_less_than_64_t1_17_1_1_2() {
    for (timer_d_ms, t1_ms, end) in [
        (1_000, 10, 1_000),
        (1_000, 100, 6_400),
        (40_000, 500, 40_000),
    ] {
        let mut bench = Bench::with(Config {
            timers: Timers {
                t1_ms,
                timer_d_ms,
                ..Timers::default()
            },
            ..Config::default()
        });
        let handle = bench.send(&invite()).unwrap().unwrap();
        bench.receive(&answer(486));
        ends_at(&mut bench, handle, "completed", end);
    }
}

#[test]
fn timer_m_rfc_6026_7_2() {
    for (times, end) in [
        (DEFAULT, 32_000),
        (FAST, 6_400),
        (SLOW, 128_000),
        (ODD, 64_000),
    ] {
        for reliable in [false, true] {
            let mut bench = bench(times, reliable);
            let handle = bench.send(&invite()).unwrap().unwrap();
            bench.receive(&answer(180));
            bench.at(700);
            bench.receive(&answer(200));
            ends_at(&mut bench, handle, "accepted", 700 + end);
        }
    }
}

#[test]
fn timers_e_and_f_17_1_2_2() {
    for (times, sent, end) in repeated() {
        let told = format!("{end} core timeout");
        let mut unreliable = bench(times, false);
        unreliable.send(&options()).unwrap();
        assert_eq!(to_the_end(&mut unreliable), sends("OPTIONS", sent, &told));
        let mut reliable = bench(times, true);
        reliable.send(&options()).unwrap();
        assert_eq!(to_the_end(&mut reliable), sends("OPTIONS", [0], &told));
    }
}

#[test]
fn timer_e_in_proceeding_is_t2_from_its_next_firing_17_1_2_2() {
    // The 100 comes before E has fired once; E is not touched by it.
    let expected: [(_, u64, Vec<u64>, u64); 3] = [
        (
            DEFAULT,
            500,
            vec![4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500],
            32_000,
        ),
        (FAST, 100, every(500, 400, 6_100).collect(), 6_400),
        (SLOW, 2_000, every(6_000, 4_000, 126_000).collect(), 128_000),
    ];
    for (times, first, then, end) in expected {
        let mut unreliable = bench(times, false);
        unreliable.send(&options()).unwrap();
        unreliable.at(50);
        unreliable.receive(&response(&options(), 100, ""));
        unreliable.quiet();
        let sent = [first].into_iter().chain(then);
        assert_eq!(
            to_the_end(&mut unreliable),
            sends("OPTIONS", sent, &format!("{end} core timeout"))
        );
        // The provisional response gives timer F no more time.
        let mut reliable = bench(times, true);
        reliable.send(&options()).unwrap();
        reliable.receive(&response(&options(), 100, ""));
        reliable.quiet();
        assert_eq!(to_the_end(&mut reliable), [format!("{end} core timeout")]);
    }
}

#[test]
fn timer_k_17_1_2_2() {
    for times in ALL {
        let mut unreliable = bench(times, false);
        let handle = unreliable.send(&options()).unwrap().unwrap();
        unreliable.at(70);
        unreliable.receive(&response(&options(), 200, "a"));
        ends_at(&mut unreliable, handle, "completed", 70 + times.2);
        let mut reliable = bench(times, true);
        reliable.send(&options()).unwrap();
        reliable.receive(&response(&options(), 200, "a"));
        reliable.assert_empty();
    }
}

#[test]
fn timers_g_and_h_17_2_1() {
    for (times, sent, end) in repeated() {
        let told = format!("{end} core timeout");
        let mut unreliable = bench(times, false);
        invited(&mut unreliable);
        unreliable.respond(&answer(486)).unwrap();
        assert_eq!(to_the_end(&mut unreliable), sends("486", sent, &told));
        let mut reliable = bench(times, true);
        invited(&mut reliable);
        reliable.respond(&answer(486)).unwrap();
        assert_eq!(to_the_end(&mut reliable), sends("486", [0], &told));
    }
}

#[test]
fn a_success_until_its_ack_13_3_1_4() {
    for (times, sent, end) in repeated() {
        let told = format!("{end} core no ack");
        for reliable in [false, true] {
            let mut bench = bench(times, reliable);
            invited(&mut bench);
            bench.respond_until_ack(&answer(200)).unwrap();
            assert_eq!(
                to_the_end(&mut bench),
                sends("200", sent.clone(), &told),
                "reliable: {reliable}"
            );
        }
    }
}

#[test]
fn timer_i_17_2_1() {
    for times in ALL {
        let mut unreliable = bench(times, false);
        let handle = invited(&mut unreliable);
        unreliable.respond(&answer(486)).unwrap();
        unreliable.at(90);
        let own = ack(&invite(), "a", "z9hG4bK776asdhds");
        unreliable.receive(&own);
        ends_at(&mut unreliable, handle, "confirmed", 90 + times.2);
        let mut reliable = bench(times, true);
        invited(&mut reliable);
        reliable.respond(&answer(486)).unwrap();
        reliable.receive(&own);
        reliable.assert_empty();
    }
}

#[test]
fn timer_l_rfc_6026_7_1() {
    for (times, end) in [
        (DEFAULT, 32_000),
        (FAST, 6_400),
        (SLOW, 128_000),
        (ODD, 64_000),
    ] {
        for reliable in [false, true] {
            let mut bench = bench(times, reliable);
            let handle = invited(&mut bench);
            bench.at(40);
            bench.respond(&answer(200)).unwrap();
            // Neither an ACK nor the core's own repetition moves it.
            bench.at(1_000);
            bench.respond(&answer(200)).unwrap();
            bench.receive(&ack(&invite(), "a", "z9hG4bKack"));
            ends_at(&mut bench, handle, "accepted", 40 + end);
        }
    }
}

#[test]
fn timer_j_17_2_2() {
    for (times, end) in [
        (DEFAULT, 32_000),
        (FAST, 6_400),
        (SLOW, 128_000),
        (ODD, 64_000),
    ] {
        let mut unreliable = bench(times, false);
        let handle = began(&mut unreliable, &options());
        unreliable.at(60);
        let answer = response(&options(), 200, "a");
        unreliable.respond(&answer).unwrap();
        // A repetition of the request does not move it.
        unreliable.at(1_000);
        unreliable.receive(&options());
        ends_at(&mut unreliable, handle, "completed", 60 + end);
        let mut reliable = bench(times, true);
        began(&mut reliable, &options());
        reliable.respond(&answer).unwrap();
        reliable.assert_empty();
    }
}

#[test]
fn a_100_to_an_invite_after_200_ms_and_a_408_after_240_s_17_2_1() {
    // Whatever T1 is. What is repeated from then on is the 408.
    for (times, mut repeated, end) in repeated() {
        repeated.remove(0);
        let again = repeated.into_iter().map(|at| 240_000 + at);
        let told = format!("{} core timeout", 240_000 + end);
        let mut unreliable = bench(times, false);
        invited(&mut unreliable);
        let mut expected = vec!["200 send 100".to_owned(), "240000 send 408".to_owned()];
        expected.extend(sends("408", again, &told));
        assert_eq!(to_the_end(&mut unreliable), expected);
        let mut reliable = bench(times, true);
        invited(&mut reliable);
        assert_eq!(
            to_the_end(&mut reliable),
            ["200 send 100", "240000 send 408", &told]
        );
    }
}

#[test]
fn the_delays_of_100_and_408_are_settings() {
    let mut bench = Bench::with(Config {
        timers: Timers {
            trying_ms: 50,
            invite_watchdog_ms: 3_000,
            ..Timers::default()
        },
        ..Config::default()
    });
    let handle = invited(&mut bench);
    bench.at(3_100);
    assert_eq!(bench.log(), ["50 send 100", "3000 send 408"]);
    assert_eq!(bench.state(handle), Some("completed"));
}

#[test]
fn a_100_to_another_request_when_timer_e_is_reset_to_t2_and_then_silence_rfc_4320_4_1() {
    for (times, at, end) in [
        (DEFAULT, 3_500, 32_000),
        (FAST, 300, 6_400),
        (SLOW, 2_000, 128_000),
        (ODD, 3_000, 64_000),
        // Where T1 is T2, or more, that is when it fires for the first time.
        ((4_000, 4_000, 5_000), 4_000, 256_000),
        ((5_000, 4_000, 5_000), 5_000, 320_000),
    ] {
        for reliable in [false, true] {
            let mut bench = bench(times, reliable);
            let handle = began(&mut bench, &options());
            ends_at(&mut bench, handle, "proceeding", end);
            assert_eq!(bench.log(), [format!("{at} send 100")]);
        }
    }
}

#[test]
fn ten_minutes_in_proceeding_from_each_provisional_response() {
    for times in ALL {
        for reliable in [false, true] {
            let mut bench = bench(times, reliable);
            bench.send(&invite()).unwrap();
            bench.at(80);
            bench.receive(&answer(100));
            bench.at(400_000);
            bench.receive(&answer(180));
            assert_eq!(
                to_the_end(&mut bench),
                [
                    "0 send INVITE",
                    "80 core 100",
                    "400000 core 180",
                    "1000000 core timeout"
                ]
            );
        }
    }
}

#[test]
fn after_a_cancel_64_t1_are_left_9_1() {
    for (times, end) in [
        (DEFAULT, 32_000),
        (FAST, 6_400),
        (SLOW, 128_000),
        (ODD, 64_000),
    ] {
        let mut bench = bench(times, true);
        bench.send(&invite()).unwrap();
        bench.receive(&answer(180));
        bench.at(1_000);
        bench.send(&cancel(&invite())).unwrap();
        bench.receive(&response(&cancel(&invite()), 200, "a"));
        bench.quiet();
        assert_eq!(
            to_the_end(&mut bench),
            [format!("{} core timeout", 1_000 + end)]
        );
    }
}

#[test]
fn a_cancel_has_the_schedule_of_any_other_request_9_1() {
    for (times, sent, end) in repeated() {
        let mut bench = bench(times, false);
        let handle = bench.send(&invite()).unwrap().unwrap();
        bench.receive(&answer(180));
        bench.quiet();
        bench.send(&cancel(&invite())).unwrap();
        bench.at(end - 1);
        assert_eq!(bench.log(), sends("CANCEL", sent, ""));
        // Both have 64·T1 from here.
        bench.at(end);
        let told = format!("{end} core timeout");
        assert_eq!(bench.log(), [told.clone(), told]);
        assert_eq!(bench.state(handle), None);
        bench.assert_empty();
    }
}

#[test]
fn each_timer_has_a_test_here_of_its_own() {
    // §17's letters, RFC 6026's, and none besides: C is a proxy's (§16.6).
    let source = include_str!("schedules.rs");
    for letter in "abdefghijklm".chars() {
        let named = |line: &str| {
            line.starts_with("fn timer")
                && line
                    .split('_')
                    .take_while(|word| *word != "17")
                    .any(|word| word == letter.to_string())
        };
        assert!(source.lines().any(named), "timer {letter}");
    }
}
