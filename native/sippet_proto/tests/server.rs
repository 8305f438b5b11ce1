//! The non-INVITE server transaction on a virtual clock (§17.2.2, RFC 4320).

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::{Handle, SendError, Verdict};

fn options() -> String {
    request("OPTIONS", "z9hG4bKnashds7")
}

fn answer(status_code: u16) -> String {
    response(&options(), status_code, "314159")
}

fn asked(bench: &mut Bench) -> Handle {
    let Verdict::Began(handle) = bench.receive(&options()) else {
        panic!("no transaction began");
    };
    assert_eq!(bench.state(handle), Some("trying"));
    assert_eq!(bench.log(), ["0 core OPTIONS"]);
    handle
}

#[test]
fn a_repeated_request_is_absorbed_while_nothing_was_sent_17_2_2() {
    let mut bench = Bench::new();
    asked(&mut bench);
    bench.at(500);
    assert_eq!(bench.receive(&options()), Verdict::Matched);
    assert!(bench.log().is_empty());
    assert_eq!(bench.engine.gauges().absorbed_messages, 1);
}

#[test]
fn a_100_is_sent_when_timer_e_of_the_client_has_reached_t2_rfc_4320_4_1() {
    for mut bench in [Bench::new(), Bench::reliable()] {
        let handle = asked(&mut bench);
        bench.at(3_499);
        assert!(bench.log().is_empty());
        bench.at(3_500);
        assert_eq!(bench.log(), ["3500 send 100"]);
        assert_eq!(bench.state(handle), Some("proceeding"));
        assert_eq!(field(&bench.sent[0].text, "To"), field(&options(), "To"));
        bench.at(7_500);
        bench.receive(&options());
        assert_eq!(bench.log(), ["7500 send 100"]);
    }
}

#[test]
fn a_100_of_the_core_is_not_sent_before_its_time_rfc_4320_4_1() {
    let mut bench = Bench::new();
    let handle = asked(&mut bench);
    assert_eq!(bench.respond(&answer(100)), Ok(handle));
    bench.at(3_499);
    assert!(bench.log().is_empty());
    bench.at(3_500);
    assert_eq!(bench.log(), ["3500 send 100"]);
}

#[test]
fn any_other_provisional_response_is_refused_rfc_4320_4_1() {
    for at in [0, 5_000] {
        for status_code in [101, 180, 183, 199] {
            let mut bench = Bench::new();
            asked(&mut bench);
            bench.at(at);
            bench.quiet();
            assert_eq!(
                bench.respond(&answer(status_code)),
                Err(SendError::ProvisionalForbidden)
            );
            assert!(bench.log().is_empty());
        }
    }
}

#[test]
fn a_408_of_the_core_is_refused_and_another_answer_still_taken_rfc_4320_4_2() {
    for at in [0, 5_000] {
        for mut bench in [Bench::new(), Bench::reliable()] {
            let handle = asked(&mut bench);
            bench.at(at);
            bench.quiet();
            let state = bench.state(handle);
            assert_eq!(
                bench.respond(&answer(408)),
                Err(SendError::TimeoutForbidden)
            );
            assert_eq!(bench.state(handle), state);
            assert!(bench.log().is_empty());
            bench.respond(&answer(504)).unwrap();
            assert_eq!(bench.log(), [format!("{at} send 504")]);
            bench.at(40_000);
            bench.assert_empty();
        }
    }
}

#[test]
fn a_408_that_was_refused_leaves_the_silence_of_a_request_forgotten_rfc_4320_4_2() {
    let mut bench = Bench::new();
    asked(&mut bench);
    bench.at(31_000);
    assert!(bench.respond(&answer(408)).is_err());
    bench.at(100_000);
    assert_eq!(bench.log(), ["3500 send 100"]);
    bench.assert_empty();
}

#[test]
fn a_request_that_its_core_forgets_ends_in_silence_rfc_4320_4_2() {
    let mut bench = Bench::new();
    asked(&mut bench);
    bench.at(31_999);
    assert_eq!(bench.engine.len(), 1);
    bench.at(32_000);
    assert_eq!(bench.log(), ["3500 send 100"]);
    bench.assert_empty();
    assert_eq!(bench.respond(&answer(200)), Err(SendError::NoTransaction));
}

#[test]
fn the_final_response_is_repeated_on_request_for_timer_j_17_2_2() {
    for status_code in [200, 404, 503] {
        let mut bench = Bench::new();
        let handle = asked(&mut bench);
        bench.at(100);
        assert_eq!(bench.respond(&answer(status_code)), Ok(handle));
        assert_eq!(bench.state(handle), Some("completed"));
        bench.at(500);
        bench.receive(&options());
        bench.at(32_099);
        bench.receive(&options());
        bench.at(32_100);
        bench.assert_empty();
        assert_eq!(
            bench.log(),
            [
                format!("100 send {status_code}"),
                format!("500 send {status_code}"),
                format!("32099 send {status_code}")
            ]
        );
        assert!(bench.sent.iter().all(|s| s.text == answer(status_code)));
        assert_eq!(bench.engine.gauges().retransmissions, 2);
    }
}

#[test]
fn the_final_response_follows_a_100_17_2_2() {
    let mut bench = Bench::new();
    let handle = asked(&mut bench);
    bench.at(4_000);
    bench.respond(&answer(200)).unwrap();
    bench.at(5_000);
    bench.receive(&options());
    assert_eq!(
        bench.log(),
        ["3500 send 100", "4000 send 200", "5000 send 200"]
    );
    assert_eq!(bench.state(handle), Some("completed"));
    bench.at(36_000);
    bench.assert_empty();
}

#[test]
fn over_a_reliable_transport_timer_j_is_zero_17_2_2() {
    let mut bench = Bench::reliable();
    asked(&mut bench);
    bench.respond(&answer(200)).unwrap();
    assert_eq!(bench.log(), ["0 send 200"]);
    bench.assert_empty();
}

#[test]
fn a_second_final_response_is_refused_17_2_2() {
    let mut bench = Bench::new();
    asked(&mut bench);
    bench.respond(&answer(200)).unwrap();
    bench.quiet();
    for status_code in [100, 200, 500] {
        assert_eq!(
            bench.respond(&answer(status_code)),
            Err(SendError::AlreadyAnswered)
        );
    }
    bench.receive(&options());
    assert_eq!(bench.log(), ["0 send 200"]);
}

#[test]
fn a_core_that_fails_leaves_500_once() {
    for at in [0, 4_000] {
        let mut bench = Bench::by_hand();
        bench.receive(&options());
        let handle = bench.called[0];
        assert_eq!(bench.begin(handle).as_deref(), Some("OPTIONS"));
        bench.at(at);
        bench.quiet();
        bench.fail_runner(handle);
        bench.fail_runner(handle);
        assert_eq!(bench.log(), [format!("{at} send 500")]);
        assert_eq!(bench.state(handle), Some("completed"));
        bench.at(at + 32_000);
        bench.assert_empty();
    }
}

#[test]
fn a_core_that_fails_after_its_answer_changes_nothing() {
    for reliable in [false, true] {
        let mut bench = Bench::by_hand();
        bench.reliable = reliable;
        bench.receive(&options());
        let handle = bench.called[0];
        bench.begin(handle);
        bench.respond(&answer(200)).unwrap();
        bench.quiet();
        bench.fail_runner(handle);
        assert!(bench.log().is_empty());
        bench.at(32_000);
        bench.assert_empty();
    }
}

#[test]
fn a_transport_error_is_told_once_and_the_state_stays_rfc_6026_8_8() {
    let mut bench = Bench::new();
    let handle = asked(&mut bench);
    bench.respond(&answer(200)).unwrap();
    bench.quiet();
    bench.fail_transport(handle);
    bench.fail_transport(handle);
    assert_eq!(bench.log(), ["0 core transport econnrefused"]);
    assert_eq!(bench.state(handle), Some("completed"));
    bench.at(32_000);
    bench.assert_empty();
}
