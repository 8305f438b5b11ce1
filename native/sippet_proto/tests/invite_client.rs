//! The INVITE client transaction on a virtual clock (§17.1.1, RFC 6026 §7.2).

mod engine;

use engine::text::*;
use engine::{Bench, PEER};
use sippet_proto::header::CSeq;
use sippet_proto::message::Method;
use sippet_proto::transaction::{Handle, SendError};
use sippet_proto::{Arena, Options, parse};

fn calling(bench: &mut Bench) -> Handle {
    let handle = bench.send(&invite()).unwrap().unwrap();
    assert_eq!(bench.state(handle), Some("calling"));
    handle
}

fn answered(bench: &mut Bench, status_code: u16) -> Handle {
    let handle = calling(bench);
    bench.receive(&response(&invite(), status_code, "314159"));
    bench.quiet();
    handle
}

#[test]
fn timer_a_doubles_without_end_until_timer_b_ends_it_17_1_1_2() {
    let mut bench = Bench::new();
    calling(&mut bench);
    bench.at(100_000);
    assert_eq!(
        bench.log(),
        [
            "0 send INVITE",
            "500 send INVITE",
            "1500 send INVITE",
            "3500 send INVITE",
            "7500 send INVITE",
            "15500 send INVITE",
            "31500 send INVITE",
            "32000 core timeout",
        ]
    );
    assert!(bench.sent.iter().all(|sent| sent.text == invite()));
    assert_eq!(bench.engine.gauges().retransmissions, 6);
    bench.assert_empty();
}

#[test]
fn over_a_reliable_transport_there_is_timer_b_and_no_timer_a_17_1_1_2() {
    let mut bench = Bench::reliable();
    calling(&mut bench);
    bench.at(100_000);
    assert_eq!(bench.log(), ["0 send INVITE", "32000 core timeout"]);
    bench.assert_empty();
}

#[test]
fn a_provisional_response_stops_the_repetitions_and_goes_up_17_1_1_2() {
    let mut bench = Bench::new();
    let handle = calling(&mut bench);
    bench.at(700);
    bench.receive(&response(&invite(), 100, ""));
    assert_eq!(bench.state(handle), Some("proceeding"));
    bench.at(40_000);
    bench.receive(&response(&invite(), 180, "a"));
    bench.at(60_000);
    assert_eq!(
        bench.log(),
        [
            "0 send INVITE",
            "500 send INVITE",
            "700 core 100",
            "40000 core 180"
        ]
    );
}

#[test]
fn each_provisional_response_gives_the_invite_ten_more_minutes() {
    let mut bench = Bench::new();
    calling(&mut bench);
    bench.receive(&response(&invite(), 180, "a"));
    bench.at(500_000);
    bench.receive(&response(&invite(), 180, "a"));
    bench.quiet();
    bench.at(2_000_000);
    assert_eq!(bench.log(), ["1100000 core timeout"]);
    bench.assert_empty();
}

#[test]
fn the_ack_to_a_refusal_is_made_of_the_request_and_the_to_of_the_response_17_1_1_3() {
    for status_code in [300, 404, 486, 503, 603, 699] {
        let mut bench = Bench::new();
        let invite = invite().replace(
            "Max-Forwards: 70\r\n",
            "Via: SIP/2.0/UDP further.example:5060;branch=z9hG4bKbelow\r\n\
             Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\n\
             Route: <sip:p3.example;lr;x=y>\r\nMax-Forwards: 12\r\n",
        );
        bench.send(&invite).unwrap();
        bench.quiet();
        bench.receive(&response(&invite, status_code, "8321234356"));
        assert_eq!(
            bench.log(),
            ["0 send ACK".to_string(), format!("0 core {status_code}")]
        );

        let sent = bench.only_sent();
        let arena = Arena::new();
        let ack = parse(sent.text.as_bytes(), &Options::default(), &arena).unwrap();
        let invite = parse(invite.as_bytes(), &Options::default(), &arena).unwrap();
        let (line, asked) = (ack.request_line().unwrap(), invite.request_line().unwrap());
        assert_eq!(line.method, Method::Ack);
        assert_eq!(line.request_uri, asked.request_uri);
        let via = ack.headers.via.as_ref().unwrap();
        assert_eq!(via.len(), 1);
        assert_eq!(via[0], invite.headers.via.as_ref().unwrap()[0]);
        assert_eq!(ack.headers.route, invite.headers.route);
        assert_eq!(ack.headers.from, invite.headers.from);
        assert_eq!(ack.headers.call_id, invite.headers.call_id);
        assert_eq!(
            ack.headers.to.as_ref().unwrap().tag(),
            Some(&b"8321234356"[..])
        );
        let cseq = CSeq {
            number: 314_159,
            method: Method::Ack,
        };
        assert_eq!(ack.headers.cseq, Some(cseq));
        // 70 by §8.1.1.6: the ACK starts anew, at this element.
        assert_eq!(ack.headers.max_forwards, Some(70));
        assert_eq!(ack.headers.content_length, Some(0));
        assert!(ack.defects.is_empty());
    }
}

#[test]
fn the_ack_to_a_refusal_goes_the_way_of_the_invite_17_1_1_2() {
    let mut bench = Bench::new();
    bench.send_to(&invite(), "192.0.2.77:5070").unwrap();
    bench.receive(&response(&invite(), 486, "a"));
    assert_eq!(
        bench.log(),
        [
            "0 send INVITE to 192.0.2.77:5070",
            "0 send ACK to 192.0.2.77:5070",
            "0 core 486"
        ]
    );
}

#[test]
fn each_repetition_of_a_refusal_is_acknowledged_and_none_delivered_17_1_1_2() {
    let mut bench = Bench::new();
    let handle = answered(&mut bench, 486);
    for at in [500, 1_500, 31_999] {
        bench.at(at);
        bench.receive(&response(&invite(), 486, "314159"));
    }
    assert_eq!(
        bench.log(),
        ["500 send ACK", "1500 send ACK", "31999 send ACK"]
    );
    assert_eq!(bench.engine.gauges().absorbed_messages, 3);
    assert_eq!(bench.sent[0].text, bench.sent[2].text);
    bench.quiet();
    bench.receive(&response(&invite(), 180, "314159"));
    bench.receive(&response(&invite(), 200, "314159"));
    assert_eq!(bench.state(handle), Some("completed"));
    bench.at(100_000);
    assert!(bench.log().is_empty());
}

#[test]
fn completed_lasts_for_timer_d_17_1_1_2() {
    let mut bench = Bench::new();
    let handle = answered(&mut bench, 486);
    bench.at(31_999);
    assert_eq!(bench.state(handle), Some("completed"));
    bench.at(32_000);
    bench.assert_empty();
}

#[test]
fn over_a_reliable_transport_timer_d_is_zero_17_1_1_2() {
    let mut bench = Bench::reliable();
    calling(&mut bench);
    bench.receive(&response(&invite(), 486, "a"));
    assert_eq!(bench.log(), ["0 send INVITE", "0 send ACK", "0 core 486"]);
    bench.assert_empty();
}

#[test]
fn a_success_goes_up_without_an_ack_and_keeps_the_transaction_for_timer_m_rfc_6026_7_2() {
    for mut bench in [Bench::new(), Bench::reliable()] {
        let handle = calling(&mut bench);
        bench.at(100);
        bench.receive(&response(&invite(), 200, "a"));
        assert_eq!(bench.log(), ["0 send INVITE", "100 core 200"]);
        assert_eq!(bench.state(handle), Some("accepted"));
        bench.at(32_099);
        assert_eq!(bench.state(handle), Some("accepted"));
        bench.at(32_100);
        assert!(bench.log().is_empty());
        bench.assert_empty();
    }
}

#[test]
fn every_fork_that_accepts_is_delivered_with_the_key_13_2_2_4() {
    let mut bench = Bench::new();
    answered(&mut bench, 200);
    bench.receive(&response(&invite(), 200, "second"));
    bench.at(20_000);
    bench.receive(&response(&invite(), 202, "third"));
    assert_eq!(bench.log(), ["0 core 200", "20000 core 202"]);
    assert_eq!(
        field(&bench.seen[0], "To"),
        "Bob <sip:bob@biloxi.example>;tag=second"
    );
    // Timer M counts from the first.
    bench.at(32_000);
    bench.assert_empty();
}

#[test]
fn refusals_and_provisional_responses_after_a_success_are_dropped_rfc_6026_7_2() {
    let mut bench = Bench::new();
    answered(&mut bench, 200);
    bench.receive(&response(&invite(), 180, "b"));
    bench.receive(&response(&invite(), 486, "b"));
    assert!(bench.log().is_empty());
}

#[test]
fn a_repeated_success_gets_the_ack_that_the_core_sent_to_this_fork_13_2_2_4() {
    let mut bench = Bench::new();
    answered(&mut bench, 200);
    bench.receive(&response(&invite(), 200, "second"));
    let first = ack(&invite(), "314159", "z9hG4bKack1");
    let second = ack(&invite(), "second", "z9hG4bKack2");
    bench.send_to(&first, "192.0.2.8:5060").unwrap();
    bench.send_to(&second, "192.0.2.9:5060").unwrap();
    bench.quiet();
    bench.at(500);
    bench.receive(&response(&invite(), 200, "second"));
    bench.receive(&response(&invite(), 200, "314159"));
    assert_eq!(
        bench.log(),
        [
            "500 send ACK to 192.0.2.9:5060",
            "500 send ACK to 192.0.2.8:5060"
        ]
    );
    assert_eq!(bench.sent[0].text, second);
    assert_eq!(bench.sent[1].text, first);
}

#[test]
fn the_branches_of_a_forking_proxy_each_keep_the_ack_of_their_own_success_16_7() {
    let mut bench = Bench::new();
    let other = request("INVITE", "z9hG4bKother");
    bench.send(&invite()).unwrap();
    bench.send(&other).unwrap();
    bench.receive(&response(&invite(), 200, "a"));
    bench.receive(&response(&other, 200, "b"));
    bench.send(&ack(&invite(), "a", "z9hG4bKacka")).unwrap();
    bench.send(&ack(&invite(), "b", "z9hG4bKackb")).unwrap();
    bench.quiet();
    bench.receive(&response(&other, 200, "b"));
    assert_eq!(bench.log(), ["0 send ACK"]);
    assert_eq!(bench.only_sent().text, ack(&invite(), "b", "z9hG4bKackb"));
}

#[test]
fn a_repeated_success_waits_for_the_ack_of_a_core_that_is_still_at_the_first() {
    let mut bench = Bench::by_hand();
    let handle = calling(&mut bench);
    bench.receive(&response(&invite(), 200, "a"));
    assert_eq!(bench.begin(handle).as_deref(), Some("200"));
    bench.quiet();
    bench.receive(&response(&invite(), 200, "a"));
    assert_eq!(bench.take(handle), None);
    assert!(bench.log().is_empty());
}

#[test]
fn a_repeated_success_that_the_core_left_without_an_ack_goes_up_again_rfc_6026_7_2() {
    let mut bench = Bench::new();
    answered(&mut bench, 200);
    bench.at(500);
    bench.receive(&response(&invite(), 200, "314159"));
    assert_eq!(bench.log(), ["500 core 200"]);
    bench.send(&ack(&invite(), "314159", "z9hG4bKack")).unwrap();
    bench.at(1_500);
    bench.receive(&response(&invite(), 200, "314159"));
    assert_eq!(bench.log(), ["500 send ACK", "1500 send ACK"]);
}

#[test]
fn no_more_than_sixteen_forks_are_told_apart() {
    let mut bench = Bench::new();
    calling(&mut bench);
    bench.quiet();
    for fork in 0..40 {
        bench.receive(&response(&invite(), 200, &format!("fork{fork}")));
    }
    assert_eq!(bench.log().len(), 16);
    assert_eq!(bench.engine.gauges().dropped_deliveries, 24);
    bench.at(32_000);
    bench.assert_empty();
}

#[test]
fn a_cancel_waits_for_a_provisional_response_and_goes_the_way_of_the_invite_9_1() {
    let mut bench = Bench::new();
    bench.send_to(&invite(), "192.0.2.77:5070").unwrap();
    assert_eq!(bench.send(&cancel(&invite())), Ok(None));
    bench.at(300);
    assert_eq!(bench.log(), ["0 send INVITE to 192.0.2.77:5070"]);
    bench.receive(&response(&invite(), 180, "a"));
    assert_eq!(
        bench.log(),
        ["300 core 180", "300 send CANCEL to 192.0.2.77:5070"]
    );
    bench.at(800);
    assert_eq!(bench.log(), ["800 send CANCEL to 192.0.2.77:5070"]);
    assert_eq!(
        bench.send(&cancel(&invite())),
        Err(SendError::AlreadyStarted)
    );
}

#[test]
fn a_cancel_leaves_at_once_when_a_provisional_response_has_come_9_1() {
    let mut bench = Bench::new();
    calling(&mut bench);
    bench.receive(&response(&invite(), 100, ""));
    bench.quiet();
    let handle = bench.send_to(&cancel(&invite()), "192.0.2.66:9").unwrap();
    assert_eq!(bench.log(), ["0 send CANCEL"]);
    assert_eq!(bench.state(handle.unwrap()), Some("trying"));
}

#[test]
fn a_cancel_is_dropped_when_a_final_response_comes_first_9_1() {
    for status_code in [200, 486] {
        let mut bench = Bench::new();
        calling(&mut bench);
        assert_eq!(bench.send(&cancel(&invite())), Ok(None));
        bench.receive(&response(&invite(), status_code, "a"));
        assert_eq!(bench.send(&cancel(&invite())), Ok(None));
        bench.at(100_000);
        assert!(
            bench
                .sent
                .iter()
                .all(|sent| !sent.text.starts_with("CANCEL"))
        );
        bench.assert_empty();
    }
}

#[test]
fn a_held_cancel_ends_with_an_invite_that_nobody_answers() {
    let mut bench = Bench::new();
    calling(&mut bench);
    bench.send(&cancel(&invite())).unwrap();
    bench.at(32_000);
    assert_eq!(bench.log().last().unwrap(), "32000 core timeout");
    bench.assert_empty();
}

#[test]
fn after_a_cancel_the_invite_has_64_t1_whatever_provisional_responses_come_9_1() {
    let mut bench = Bench::new();
    let handle = calling(&mut bench);
    bench.receive(&response(&invite(), 180, "a"));
    bench.at(10_000);
    bench.send(&cancel(&invite())).unwrap();
    bench.receive(&response(&cancel(&invite()), 200, "a"));
    bench.at(20_000);
    bench.quiet();
    bench.receive(&response(&invite(), 180, "a"));
    bench.at(41_999);
    assert_eq!(bench.state(handle), Some("proceeding"));
    bench.at(100_000);
    assert_eq!(bench.log(), ["20000 core 180", "42000 core timeout"]);
    bench.assert_empty();
}

#[test]
fn after_a_held_cancel_too_the_invite_has_64_t1_9_1() {
    let mut bench = Bench::new();
    calling(&mut bench);
    bench.send(&cancel(&invite())).unwrap();
    bench.at(5_000);
    bench.receive(&response(&invite(), 100, ""));
    bench.receive(&response(&cancel(&invite()), 200, "a"));
    bench.quiet();
    bench.at(100_000);
    assert_eq!(bench.log(), ["37000 core timeout"]);
    bench.assert_empty();
}

#[test]
fn a_cancelled_invite_is_acknowledged_as_any_other_9_1() {
    let mut bench = Bench::new();
    calling(&mut bench);
    bench.receive(&response(&invite(), 180, "a"));
    bench.send(&cancel(&invite())).unwrap();
    bench.quiet();
    bench.receive(&response(&cancel(&invite()), 200, "a"));
    bench.receive(&response(&invite(), 487, "a"));
    assert_eq!(bench.log(), ["0 core 200", "0 send ACK", "0 core 487"]);
    bench.at(32_000);
    bench.assert_empty();
}

#[test]
fn a_transport_error_ends_calling_and_completed_and_the_core_is_told_17_1_1_2() {
    let mut bench = Bench::new();
    let handle = calling(&mut bench);
    bench.quiet();
    bench.fail_transport(handle);
    assert_eq!(bench.log(), ["0 core transport econnrefused"]);
    bench.assert_empty();

    let mut bench = Bench::new();
    let handle = answered(&mut bench, 404);
    bench.fail_transport(handle);
    assert_eq!(bench.log(), ["0 core transport econnrefused"]);
    bench.assert_empty();
}

#[test]
fn a_transport_error_after_the_invite_was_answered_changes_nothing() {
    for status_code in [180, 200] {
        let mut bench = Bench::new();
        let handle = answered(&mut bench, status_code);
        let state = bench.state(handle);
        bench.fail_transport(handle);
        assert_eq!(bench.state(handle), state);
        assert!(bench.log().is_empty());
    }
}

#[test]
fn an_ack_of_the_core_is_sent_once_without_a_transaction_17() {
    let mut bench = Bench::new();
    assert_eq!(bench.send(&ack(&invite(), "a", "z9hG4bKack")), Ok(None));
    let sent = bench.only_sent();
    assert_eq!((sent.at, sent.handle), (0, None));
    assert_eq!(sent.target, engine::target(PEER));
    bench.assert_empty();
}

#[test]
fn a_branch_in_use_is_refused_8_1_1_7() {
    let mut bench = Bench::new();
    calling(&mut bench);
    assert_eq!(bench.send(&invite()), Err(SendError::AlreadyStarted));
    assert_eq!(bench.engine.len(), 1);
}

#[test]
fn with_another_t1_all_follows_17_1_1_1() {
    let mut config = sippet_proto::transaction::Config::default();
    config.timers.t1_ms = 50;
    let mut bench = Bench::with(config);
    calling(&mut bench);
    bench.at(10_000);
    assert_eq!(
        bench.log(),
        [
            "0 send INVITE",
            "50 send INVITE",
            "150 send INVITE",
            "350 send INVITE",
            "750 send INVITE",
            "1550 send INVITE",
            "3150 send INVITE",
            "3200 core timeout",
        ]
    );
}

#[test]
fn after_a_pause_the_invite_is_sent_once_and_not_for_each_timer_missed() {
    let mut bench = Bench::new();
    calling(&mut bench);
    bench.quiet();
    bench.now = 20_000;
    bench.timeout();
    assert_eq!(bench.log(), ["20000 send INVITE"]);
}
