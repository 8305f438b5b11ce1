//! What the table of guides/conformance.md asks for beyond the tests of each machine: messages of two transactions that
//! meet, and peers of RFC 2543.

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::{Handle, SendError, Verdict};

fn began(verdict: Verdict) -> Handle {
    match verdict {
        Verdict::Began(handle) => handle,
        other => panic!("{other:?}"),
    }
}

/// A later INVITE in the dialog that the first one made (§14).
fn re_invite() -> String {
    let again = with_branch(&invite(), "z9hG4bKagain");
    let again = with_field(&again, "CSeq", "314160 INVITE");
    with_field(&again, "To", "Bob <sip:bob@biloxi.example>;tag=a")
}

/// An INVITE of an element that knows no branch (RFC 2543).
fn old_invite() -> String {
    with_field(&invite(), "Via", "SIP/2.0/UDP old.example")
}

#[test]
fn a_response_to_an_ack_matches_nothing_17() {
    let mut bench = Bench::new();
    bench.send(&invite()).unwrap();
    bench.receive(&response(&invite(), 200, "a"));
    let ack = ack(&invite(), "a", "z9hG4bKack");
    bench.send(&ack).unwrap();
    bench.quiet();
    assert_eq!(bench.receive(&response(&ack, 200, "a")), Verdict::Dropped);
    // Nor under the branch of the INVITE.
    let old = with_method(&invite(), "ACK");
    assert_eq!(bench.receive(&response(&old, 200, "a")), Verdict::Dropped);
    assert!(bench.log().is_empty());
}

#[test]
fn a_response_matches_by_branch_and_method_alone_17_1_3() {
    // What a middlebox made of sent-by on the way, or of the fields behind it, tells nothing.
    let options = request("OPTIONS", "z9hG4bK1");
    let mut bench = Bench::new();
    bench.send(&options).unwrap();
    bench.quiet();
    let via = "SIP/2.0/UDP 198.51.100.7:6000;branch=z9hG4bK1;received=198.51.100.7";
    let answer = with_field(&response(&options, 200, "a"), "Via", via);
    assert_eq!(bench.receive(&answer), Verdict::Matched);
    assert_eq!(bench.log(), ["0 core 200"]);
}

#[test]
fn of_several_servers_behind_a_multicast_request_the_first_answers_17_1_3() {
    let register = request("REGISTER", "z9hG4bK1");
    let mut bench = Bench::new();
    bench.send(&register).unwrap();
    bench.quiet();
    for (tag, status_code) in [("one", 200), ("two", 200), ("three", 403)] {
        bench.receive(&response(&register, status_code, tag));
    }
    assert_eq!(bench.log(), ["0 core 200"]);
    assert!(bench.seen[0].contains(";tag=one"));
    assert_eq!(bench.engine.gauges().absorbed_messages, 2);
}

#[test]
fn a_success_after_timer_m_is_dropped_rfc_6026_7_2() {
    let mut bench = Bench::new();
    bench.send(&invite()).unwrap();
    bench.receive(&response(&invite(), 200, "a"));
    bench.at(32_000);
    bench.assert_empty();
    bench.quiet();
    let late = response(&invite(), 200, "b");
    assert_eq!(bench.receive(&late), Verdict::Dropped);
    assert!(bench.log().is_empty());
}

#[test]
fn an_invite_repeated_after_a_transport_error_is_no_new_request_rfc_6026_7_1() {
    for status_code in [180, 200, 486] {
        let mut bench = Bench::new();
        let handle = began(bench.receive(&invite()));
        bench
            .respond(&response(&invite(), status_code, "a"))
            .unwrap();
        bench.fail_transport(handle);
        bench.quiet();
        bench.at(500);
        assert_eq!(bench.receive(&invite()), Verdict::Matched);
        let offered = bench.log().iter().any(|line| line.contains("core"));
        assert!(!offered, "after {status_code}");
    }
}

#[test]
fn an_ack_of_rfc_2543_to_a_success_is_delivered_rfc_6026_6() {
    for (until_ack, deliveries) in [(false, 2), (true, 1)] {
        let mut bench = Bench::new();
        bench.receive(&old_invite());
        let success = response(&old_invite(), 200, "a");
        bench.respond_with(&success, None, until_ack).unwrap();
        bench.quiet();
        let to = "Bob <sip:bob@biloxi.example>;tag=a";
        let ack = with_field(&with_method(&old_invite(), "ACK"), "To", to);
        assert_eq!(bench.receive(&ack), Verdict::Delivered);
        bench.receive(&ack);
        bench.at(10_000);
        let expected = vec!["0 core ACK without key"; deliveries];
        assert_eq!(bench.log(), expected, "until ACK: {until_ack}");
        bench.at(32_000);
        bench.assert_empty();
    }
}

#[test]
fn an_ack_of_rfc_2543_to_a_refusal_is_absorbed_17_2_3() {
    let mut bench = Bench::new();
    let handle = began(bench.receive(&old_invite()));
    bench.respond(&response(&old_invite(), 486, "a")).unwrap();
    bench.quiet();
    let to = "Bob <sip:bob@biloxi.example>;tag=a";
    let ack = with_field(&with_method(&old_invite(), "ACK"), "To", to);
    for _ in 0..2 {
        assert_eq!(bench.receive(&ack), Verdict::Matched);
        assert_eq!(bench.state(handle), Some("confirmed"));
    }
    assert!(bench.log().is_empty());
}

#[test]
fn requests_of_rfc_2543_that_differ_in_request_uri_or_to_tag_are_one_17_2_3() {
    let old = with_field(&request("OPTIONS", "1"), "Via", "SIP/2.0/UDP old.example");
    let mut bench = Bench::new();
    began(bench.receive(&old));
    let elsewhere = old.replace("sip:bob@biloxi.example SIP", "sip:carol@biloxi.example SIP");
    assert_ne!(elsewhere, old);
    assert_eq!(bench.receive(&elsewhere), Verdict::Matched);
    let tagged = with_field(&old, "To", "Bob <sip:bob@biloxi.example>;tag=a");
    assert_eq!(bench.receive(&tagged), Verdict::Matched);
}

#[test]
fn a_cancel_of_rfc_2543_matches_its_invite_9_2() {
    let mut bench = Bench::new();
    bench.receive(&old_invite());
    bench.quiet();
    began(bench.receive(&cancel(&old_invite())));
    assert_eq!(bench.log(), ["0 core CANCEL"]);
    assert_eq!(bench.names, ["INVITE"]);
    bench
        .respond(&response(&cancel(&old_invite()), 200, "a"))
        .unwrap();
    bench.respond(&response(&old_invite(), 487, "a")).unwrap();
    assert_eq!(bench.log(), ["0 send 200", "0 send 487"]);
}

#[test]
fn a_cancel_after_the_final_response_is_answered_and_changes_nothing_9_2() {
    for (status_code, state) in [(200, "accepted"), (486, "completed")] {
        let mut bench = Bench::new();
        let handle = began(bench.receive(&invite()));
        bench
            .respond_until_ack(&response(&invite(), status_code, "a"))
            .unwrap();
        bench.quiet();
        began(bench.receive(&cancel(&invite())));
        assert_eq!(bench.log(), ["0 core CANCEL"]);
        assert_eq!(bench.state(handle), Some(state));
        bench
            .respond(&response(&cancel(&invite()), 200, "a"))
            .unwrap();
        assert_eq!(
            bench.respond(&response(&invite(), 487, "a")),
            Err(SendError::AlreadyAnswered)
        );
        // The final response goes on as if nothing had come.
        bench.at(500);
        assert_eq!(
            bench.log(),
            ["0 send 200".to_owned(), format!("500 send {status_code}")]
        );
    }
}

#[test]
fn a_success_that_crosses_the_cancel_is_a_call_like_any_other_9_1() {
    // The order in which the two answers come is the network's.
    for cancel_first in [false, true] {
        let mut bench = Bench::new();
        bench.send(&invite()).unwrap();
        bench.receive(&response(&invite(), 180, "a"));
        bench.send(&cancel(&invite())).unwrap();
        bench.at(200);
        bench.quiet();
        let success = response(&invite(), 200, "a");
        let too_late = response(&cancel(&invite()), 481, "a");
        let mut answers = [&success, &too_late];
        if cancel_first {
            answers.reverse();
        }
        for answer in answers {
            assert_eq!(bench.receive(answer), Verdict::Matched);
        }
        let mut log = bench.log();
        log.sort();
        assert_eq!(log, ["200 core 200", "200 core 481"]);
        bench.send(&ack(&invite(), "a", "z9hG4bKack")).unwrap();
        bench.at(700);
        bench.receive(&success);
        assert_eq!(bench.log(), ["200 send ACK", "700 send ACK"]);
        // Timer M: the 64·T1 of the CANCEL are no more.
        bench.at(32_200);
        bench.assert_empty();
        assert!(bench.log().is_empty());
    }
}

#[test]
fn the_success_of_a_re_invite_has_an_ack_of_its_own_13_2_2_4() {
    let mut bench = Bench::new();
    bench.send(&invite()).unwrap();
    bench.receive(&response(&invite(), 200, "a"));
    bench.send(&ack(&invite(), "a", "z9hG4bKack1")).unwrap();
    bench.send(&re_invite()).unwrap();
    bench.receive(&response(&re_invite(), 200, "a"));
    let second = ack(&re_invite(), "", "z9hG4bKack2");
    bench.send(&second).unwrap();
    bench.quiet();
    // Both are repeated, the first by a network that held it back.
    bench.receive(&response(&re_invite(), 200, "a"));
    bench.receive(&response(&invite(), 200, "a"));
    assert_eq!(bench.log(), ["0 send ACK", "0 send ACK"]);
    assert_eq!(bench.sent[0].text, second);
    assert_eq!(bench.sent[1].text, ack(&invite(), "a", "z9hG4bKack1"));
}

#[test]
fn the_refusal_of_a_re_invite_is_acknowledged_hop_by_hop_and_ends_no_call_17_1_1_3() {
    let mut bench = Bench::new();
    let re_invite =
        re_invite().replace("Max-Forwards", "Route: <sip:p1.example;lr>\r\nMax-Forwards");
    bench.send(&re_invite).unwrap();
    bench.quiet();
    bench.receive(&response(&re_invite, 491, "a"));
    assert_eq!(bench.log(), ["0 send ACK", "0 core 491"]);
    let ack = bench.only_sent().text;
    assert_eq!(fields(&ack, "Via"), fields(&re_invite, "Via"));
    assert_eq!(fields(&ack, "Route"), ["<sip:p1.example;lr>"]);
    assert_eq!(field(&ack, "CSeq"), "314160 ACK");
    assert!(field(&ack, "To").ends_with("<sip:bob@biloxi.example>;tag=a"));
}

#[test]
fn behind_a_strict_router_the_ack_to_a_refusal_has_the_request_uri_that_was_sent_17_1_1_3() {
    // §12.2.1.1: the router's URI is the Request-URI, the peer's the last Route.
    let mut bench = Bench::new();
    let strict = re_invite()
        .replace("sip:bob@biloxi.example SIP", "sip:strict.example SIP")
        .replace("Max-Forwards", "Route: <sip:bob@192.0.2.4>\r\nMax-Forwards");
    bench.send_to(&strict, "192.0.2.50:5060").unwrap();
    bench.quiet();
    bench.receive(&response(&strict, 488, "a"));
    let ack = bench.only_sent();
    assert!(ack.text.starts_with("ACK sip:strict.example SIP/2.0\r\n"));
    assert_eq!(fields(&ack.text, "Route"), ["<sip:bob@192.0.2.4>"]);
    assert_eq!(ack.target, engine::target("192.0.2.50:5060"));
}

#[test]
fn the_ack_to_a_re_invite_is_not_that_of_the_first_13_3_1_4() {
    let mut bench = Bench::new();
    bench.receive(&invite());
    bench
        .respond_until_ack(&response(&invite(), 200, "a"))
        .unwrap();
    bench.receive(&re_invite());
    bench
        .respond_until_ack(&response(&re_invite(), 200, "a"))
        .unwrap();
    bench.quiet();
    bench.receive(&ack(&re_invite(), "", "z9hG4bKack2"));
    bench.at(500);
    assert_eq!(bench.log(), ["0 core ACK without key", "500 send 200"]);
    assert_eq!(field(&bench.sent[0].text, "CSeq"), "314159 INVITE");
    bench.receive(&ack(&invite(), "a", "z9hG4bKack1"));
    bench.quiet();
    bench.at(100_000);
    assert!(bench.log().is_empty());
}

#[test]
fn the_ack_to_a_success_may_come_by_other_hops_than_its_invite_13_3_1_4() {
    let mut bench = Bench::new();
    bench.receive(&invite());
    bench
        .respond_until_ack(&response(&invite(), 200, "a"))
        .unwrap();
    bench.quiet();
    let ack = with_field(
        &ack(&invite(), "a", "z9hG4bKack"),
        "Via",
        "SIP/2.0/TCP client.example;branch=z9hG4bKelsewhere",
    );
    assert_eq!(bench.receive(&ack), Verdict::Delivered);
    bench.at(1_000);
    assert_eq!(bench.log(), ["0 core ACK without key"]);
}

#[test]
fn a_lost_ack_is_made_good_by_the_next_repetition_13_3_1_4() {
    // Two engines and a link: the first ACK and one 2xx are lost.
    let (mut caller, mut callee) = (Bench::new(), Bench::new());
    caller.send(&invite()).unwrap();
    callee.receive(&invite());
    let success = response(&invite(), 200, "a");
    callee.respond_until_ack(&success).unwrap();
    caller.receive(&success);
    let ack = ack(&invite(), "a", "z9hG4bKack");
    caller.send(&ack).unwrap();
    callee.at(500);
    callee.at(1_500);
    callee.quiet();
    caller.at(1_500);
    caller.quiet();
    caller.receive(&success);
    assert_eq!(caller.log(), ["1500 send ACK"]);
    let again = caller.only_sent().text;
    assert_eq!(again, ack);
    assert_eq!(callee.receive(&again), Verdict::Delivered);
    callee.at(40_000);
    caller.at(40_000);
    assert_eq!(callee.log(), ["1500 core ACK without key"]);
    caller.assert_empty();
    callee.assert_empty();
}

#[test]
fn an_invite_that_came_again_is_one_call_in_every_state_rfc_6026_3() {
    let own = ack(&invite(), "a", "z9hG4bK776asdhds");
    for (status_code, acknowledged) in [
        (0, false),
        (180, false),
        (200, false),
        (200, true),
        (486, false),
        (486, true),
    ] {
        let mut bench = Bench::new();
        bench.receive(&invite());
        if status_code > 0 {
            bench
                .respond(&response(&invite(), status_code, "a"))
                .unwrap();
        }
        if acknowledged {
            bench.receive(&own);
        }
        bench.quiet();
        assert_eq!(bench.receive(&invite()), Verdict::Matched);
        let log = bench.log();
        assert!(!log.iter().any(|line| line.contains("core")), "{log:?}");
        assert_eq!(bench.engine.len(), 1);
    }
}
