//! Processes that wait for the response to their own request, and the CANCEL that the engine makes.

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::{Config, SendError};

fn options() -> String {
    request("OPTIONS", "z9hG4bKone")
}

#[test]
fn a_response_wakes_the_process_that_waits_and_no_runner() {
    let mut bench = Bench::new();
    let handle = bench.ask(&options());
    bench.receive(&response(&options(), 200, "a"));
    assert_eq!(bench.log(), ["0 send OPTIONS", "0 wake alice"]);
    assert_eq!(bench.collect(handle), "200");
    assert_eq!(bench.collect(handle), "gone", "it was the final one");
    bench.at(1_000_000);
    assert!(bench.log().is_empty());
    bench.assert_empty();
}

#[test]
fn provisional_responses_come_in_order_before_the_final_one() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    assert_eq!(bench.collect(handle), "nothing");
    bench.receive(&response(&invite(), 100, ""));
    bench.receive(&response(&invite(), 180, "a"));
    assert_eq!(bench.collect(handle), "100");
    bench.receive(&response(&invite(), 486, "a"));
    assert_eq!(
        bench.log(),
        ["0 send INVITE", "0 wake alice", "0 send ACK"],
        "it is awake"
    );
    assert_eq!(bench.collect(handle), "180");
    assert_eq!(bench.collect(handle), "486");
    bench.at(32_000);
    bench.assert_empty();
}

#[test]
fn a_process_that_had_all_there_is_gets_woken_again() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    assert_eq!(bench.collect(handle), "180");
    assert_eq!(bench.collect(handle), "nothing");
    bench.quiet();
    bench.receive(&response(&invite(), 183, "a"));
    assert_eq!(bench.log(), ["0 wake alice"]);
    assert_eq!(bench.collect(handle), "183");
}

#[test]
fn a_wake_up_that_is_lost_comes_again_each_second() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    bench.quiet();
    bench.at(2_000);
    assert_eq!(bench.log(), ["1000 wake alice", "2000 wake alice"]);
    assert_eq!(bench.collect(handle), "180");
    bench.at(10_000);
    assert!(bench.log().is_empty());
}

#[test]
fn a_runner_finds_nothing_in_a_transaction_that_somebody_waits_for() {
    let mut bench = Bench::by_hand();
    let handle = bench.ask(&invite());
    assert_eq!(bench.begin(handle), None);
    bench.receive(&response(&invite(), 180, "a"));
    assert_eq!(bench.begin(handle), None);
    assert_eq!(bench.collect(handle), "180");
}

#[test]
fn a_transaction_of_the_core_is_nobody_s_to_collect_or_to_abandon() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&invite()).unwrap().unwrap();
    bench.receive(&response(&invite(), 180, "a"));
    bench.quiet();
    assert_eq!(bench.collect(handle), "gone");
    bench.abandon(handle);
    assert!(bench.log().is_empty());
    assert_eq!(bench.begin(handle).as_deref(), Some("180"));
}

#[test]
fn a_timeout_and_a_transport_error_are_the_last_thing() {
    let mut bench = Bench::new();
    let handle = bench.ask(&options());
    bench.at(32_000);
    assert_eq!(bench.collect(handle), "timeout");
    assert_eq!(bench.collect(handle), "gone");
    bench.assert_empty();

    let handle = bench.ask(&options());
    bench.fail_transport(handle);
    assert_eq!(bench.collect(handle), "transport econnrefused");
    bench.assert_empty();
}

#[test]
fn an_ack_that_cannot_be_sent_is_told_nobody_who_has_the_response() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 486, "a"));
    assert_eq!(bench.collect(handle), "486");
    bench.quiet();
    bench.fail_transport(handle);
    assert!(bench.log().is_empty());
    bench.assert_empty();
}

#[test]
fn the_first_2xx_is_the_process_s_and_those_of_other_forks_the_core_s_13_2_2_4() {
    let mut bench = Bench::by_hand();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 200, "a"));
    bench.receive(&response(&invite(), 200, "b"));
    bench.quiet();
    assert_eq!(bench.collect(handle), "200");
    assert_eq!(bench.log(), ["0 run"]);
    assert_eq!(bench.begin(handle).as_deref(), Some("200"));
    assert_eq!(bench.take(handle), None);
    let seen: Vec<_> = bench.seen.iter().map(|text| field(text, "To")).collect();
    assert_eq!(
        seen,
        [
            "Bob <sip:bob@biloxi.example>;tag=a",
            "Bob <sip:bob@biloxi.example>;tag=b"
        ]
    );
    bench.quiet();
    bench.receive(&response(&invite(), 200, "c"));
    assert_eq!(bench.log(), ["0 run"]);
}

#[test]
fn a_repeated_2xx_goes_to_nobody_until_the_process_has_sent_its_ack_and_then_meets_it() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 200, "a"));
    assert_eq!(bench.collect(handle), "200");
    bench.quiet();
    bench.at(500);
    bench.receive(&response(&invite(), 200, "a"));
    assert!(bench.log().is_empty());
    bench.send(&ack(&invite(), "a", "z9hG4bKack")).unwrap();
    bench.receive(&response(&invite(), 200, "a"));
    assert_eq!(bench.log(), ["500 send ACK", "500 send ACK"]);
    bench.receive(&response(&invite(), 200, "b"));
    bench.receive(&response(&invite(), 200, "b"));
    assert_eq!(
        bench.log(),
        ["500 core 200", "500 core 200"],
        "the core has sent no ACK to its fork (RFC 6026 §7.2)"
    );
}

#[test]
fn the_invite_of_a_dead_process_is_cancelled_and_its_487_goes_to_nobody_9_1() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    bench.quiet();
    bench.abandon(handle);
    assert_eq!(bench.log(), ["0 send CANCEL"]);
    bench.receive(&response(&cancel(&invite()), 200, "a"));
    bench.receive(&response(&invite(), 183, "a"));
    bench.receive(&response(&invite(), 487, "a"));
    assert_eq!(bench.log(), ["0 send ACK"]);
    bench.at(32_000);
    assert!(bench.log().is_empty());
    bench.assert_empty();
}

#[test]
fn the_cancel_of_a_dead_process_waits_for_a_provisional_response_9_1() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.abandon(handle);
    assert_eq!(bench.log(), ["0 send INVITE"]);
    bench.receive(&response(&invite(), 100, ""));
    assert_eq!(bench.log(), ["0 send CANCEL"]);
    bench.at(100_000);
    assert!(
        !bench
            .log()
            .iter()
            .any(|line| line.contains("core") || line.contains("wake")),
        "nobody is told that neither was answered"
    );
    bench.assert_empty();
}

#[test]
fn a_2xx_that_a_dead_process_has_not_taken_goes_to_the_core_whenever_it_comes() {
    for died in ["before it", "after it", "while it was called"] {
        let mut bench = Bench::by_hand();
        let handle = bench.ask(&invite());
        bench.receive(&response(&invite(), 180, "a"));
        bench.quiet();
        match died {
            "before it" => {
                bench.abandon(handle);
                assert_eq!(bench.log(), ["0 send CANCEL"]);
                bench.receive(&response(&invite(), 200, "a"));
            }
            "after it" => {
                bench.receive(&response(&invite(), 200, "a"));
                bench.abandon(handle);
            }
            _ => {
                assert_eq!(bench.collect(handle), "180");
                bench.receive(&response(&invite(), 200, "a"));
                bench.abandon(handle);
            }
        }
        assert_eq!(bench.log(), ["0 run"], "{died}");
        assert_eq!(bench.begin(handle).as_deref(), Some("200"), "{died}");
        assert_eq!(bench.take(handle), None, "{died}");
        bench.at(32_000);
        bench.assert_empty();
    }
}

#[test]
fn a_2xx_to_another_request_of_a_dead_process_goes_to_nobody_and_the_request_goes_on() {
    let mut bench = Bench::new();
    let handle = bench.ask(&request("BYE", "z9hG4bKbye"));
    bench.abandon(handle);
    bench.at(500);
    assert_eq!(bench.log(), ["0 send BYE", "500 send BYE"]);
    bench.receive(&response(&request("BYE", "z9hG4bKbye"), 200, "a"));
    bench.at(10_000);
    assert!(bench.log().is_empty());
    bench.assert_empty();
}

#[test]
fn terminate_wakes_the_process_that_waits_which_finds_nothing() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    bench.quiet();
    assert!(bench.terminate(handle));
    assert_eq!(bench.log(), ["0 wake alice"]);
    assert_eq!(bench.collect(handle), "gone");
    bench.assert_empty();

    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    assert_eq!(bench.collect(handle), "180");
    assert!(bench.terminate(handle), "while it is busy");
    assert_eq!(bench.collect(handle), "gone");
    bench.assert_empty();
}

#[test]
fn clear_wakes_those_who_wait() {
    let mut bench = Bench::new();
    bench.ask(&invite());
    bench.send(&options()).unwrap();
    let mut effects = Vec::new();
    assert!(bench.engine.clear(10, &mut effects));
    assert_eq!(effects.len(), 1);
}

#[test]
fn the_cancel_is_made_of_its_invite_9_1() {
    let mut bench = Bench::new();
    let invite = invite()
        .replace("Alice <", "\"Alice\" <")
        .replace("Bob <", "\"Bob\" <")
        .replacen(
            "\r\nMax-Forwards",
            "\r\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKbelow\r\nRoute: <sip:p1.example;lr>\r\n\
             Route: <sip:p2.example;lr>\r\nRequire: 100rel\r\nProxy-Require: sec-agree\r\nMax-Forwards",
            1,
        );
    let handle = bench.send_to(&invite, "192.0.2.9:5060").unwrap().unwrap();
    bench.receive(&response(&invite, 180, "a"));
    bench.sent.clear();
    assert_eq!(bench.cancel(handle), Ok(()));
    let sent = bench.only_sent();
    assert_eq!(sent.target, engine::target("192.0.2.9:5060"));
    let cancel = sent.text;
    assert!(cancel.starts_with("CANCEL sip:bob@biloxi.example SIP/2.0\r\n"));
    assert_eq!(fields(&cancel, "Via"), [fields(&invite, "Via")[0]]);
    for name in ["From", "To", "Call-ID"] {
        assert_eq!(field(&cancel, name), field(&invite, name));
    }
    assert_eq!(field(&cancel, "CSeq"), "314159 CANCEL");
    assert_eq!(
        fields(&cancel, "Route").join(", ").replace(" ", ""),
        "<sip:p1.example;lr>,<sip:p2.example;lr>"
    );
    assert!(fields(&cancel, "Require").is_empty());
    assert!(fields(&cancel, "Proxy-Require").is_empty());
}

#[test]
fn a_cancel_is_held_for_a_provisional_response_and_dropped_by_a_final_one_9_1() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    assert_eq!(bench.cancel(handle), Ok(()));
    assert_eq!(bench.cancel(handle), Ok(()), "again is as good");
    assert_eq!(bench.log(), ["0 send INVITE"]);
    bench.receive(&response(&invite(), 200, "a"));
    assert_eq!(bench.log(), ["0 wake alice"]);
    assert_eq!(bench.collect(handle), "200 after a CANCEL");
    assert_eq!(bench.cancel(handle), Err(SendError::AlreadyAnswered));
}

#[test]
fn whoever_cancels_the_487_tells_that_it_was() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    bench.send(&cancel(&invite())).unwrap();
    assert_eq!(bench.cancel(handle), Ok(()), "the core's own is as good");
    bench.receive(&response(&invite(), 487, "a"));
    assert_eq!(bench.collect(handle), "180 after a CANCEL");
    assert_eq!(bench.collect(handle), "487 after a CANCEL");
}

#[test]
fn a_487_that_nobody_here_asked_for_is_a_response_like_others() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 487, "a"));
    assert_eq!(bench.collect(handle), "487");
}

#[test]
fn a_cancelled_invite_that_is_not_answered_ends_after_64_t1_9_1() {
    let mut bench = Bench::new();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    bench.at(60_000);
    assert_eq!(bench.cancel(handle), Ok(()));
    assert_eq!(bench.collect(handle), "180 after a CANCEL");
    assert_eq!(bench.collect(handle), "nothing");
    bench.quiet();
    bench.at(91_999);
    assert!(!bench.log().iter().any(|line| line.contains("wake")));
    bench.at(92_000);
    assert!(bench.log().contains(&"92000 wake alice".to_owned()));
    assert_eq!(bench.collect(handle), "timeout after a CANCEL");
    bench.assert_empty();
}

#[test]
fn only_an_open_invite_is_cancelled() {
    let mut bench = Bench::new();
    let handle = bench.ask(&options());
    assert_eq!(bench.cancel(handle), Err(SendError::NoTransaction));
    bench.terminate(handle);
    assert_eq!(bench.cancel(handle), Err(SendError::NoTransaction));
}

#[test]
fn a_cancel_that_finds_no_room_may_be_tried_again() {
    let mut bench = Bench::with(Config {
        max_transactions: 2,
        ..Config::default()
    });
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    let other = bench.ask(&options());
    bench.quiet();
    assert_eq!(bench.cancel(handle), Err(SendError::TooManyTransactions));
    bench.terminate(other);
    bench.quiet();
    assert_eq!(bench.cancel(handle), Ok(()));
    assert_eq!(bench.log(), ["0 send CANCEL"]);
}

/// An engine that has room for two, one of them taken by a request that nobody answers.
fn crowded() -> (Bench, sippet_proto::transaction::Handle) {
    let mut bench = Bench::with(Config {
        max_transactions: 2,
        ..Config::default()
    });
    let other = bench.send(&options()).unwrap().unwrap();
    (bench, other)
}

#[test]
fn the_cancel_of_a_dead_process_that_finds_no_room_is_tried_until_there_is_some_9_1() {
    let (mut bench, other) = crowded();
    let handle = bench.ask(&invite());
    bench.receive(&response(&invite(), 180, "a"));
    bench.abandon(handle);
    bench.at(9_900);
    bench.terminate(other);
    bench.quiet();
    bench.at(11_000);
    // Tried each T1; then timer E's repetitions of the CANCEL.
    assert_eq!(bench.log(), ["10000 send CANCEL", "10500 send CANCEL"]);
    bench.receive(&response(&cancel(&invite()), 200, "a"));
    bench.receive(&response(&invite(), 487, "a"));
    assert_eq!(bench.log(), ["11000 send ACK"]);
    bench.at(100_000);
    bench.assert_empty();
}

#[test]
fn a_cancel_that_was_held_and_finds_no_room_is_tried_until_there_is_some_9_1() {
    let (mut bench, other) = crowded();
    bench.send(&invite()).unwrap();
    assert_eq!(bench.send(&cancel(&invite())), Ok(None));
    bench.at(1_000);
    bench.receive(&response(&invite(), 180, "a"));
    bench.at(1_200);
    bench.terminate(other);
    bench.quiet();
    bench.at(1_500);
    assert_eq!(bench.log(), ["1500 send CANCEL"]);
    bench.receive(&response(&cancel(&invite()), 200, "a"));
    bench.quiet();
    // §9.1: 64·T1 from when it left.
    bench.at(33_499);
    assert!(bench.log().is_empty());
    bench.at(33_500);
    assert_eq!(bench.log(), ["33500 core timeout"]);
    bench.assert_empty();
}

#[test]
fn a_cancel_is_tried_no_more_when_a_final_response_has_come_9_1() {
    for status_code in [200, 487] {
        let (mut bench, other) = crowded();
        let handle = bench.ask(&invite());
        bench.receive(&response(&invite(), 180, "a"));
        bench.abandon(handle);
        bench.receive(&response(&invite(), status_code, "a"));
        bench.terminate(other);
        bench.at(100_000);
        let cancels = bench
            .sent
            .iter()
            .filter(|sent| sent.text.starts_with("CANCEL"));
        assert_eq!(cancels.count(), 0);
        bench.assert_empty();
    }
}

#[test]
fn a_cancel_that_was_refused_for_want_of_room_shortens_nothing_9_1() {
    let (mut bench, _other) = crowded();
    bench.send(&invite()).unwrap();
    bench.receive(&response(&invite(), 180, "a"));
    assert_eq!(
        bench.send(&cancel(&invite())),
        Err(SendError::TooManyTransactions)
    );
    bench.quiet();
    bench.at(1_000_000);
    // It was not cancelled: ten minutes, as ever.
    assert!(bench.log().contains(&"600000 core timeout".to_owned()));
    bench.assert_empty();
}
