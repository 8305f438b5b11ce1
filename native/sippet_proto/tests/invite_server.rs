//! The INVITE server transaction on a virtual clock (§17.2.1, RFC 6026 §7.1, §13.3.1.4).

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::{Handle, SendError, Verdict};

fn invited(bench: &mut Bench) -> Handle {
    let Verdict::Began(handle) = bench.receive(&invite()) else {
        panic!("no transaction began");
    };
    assert_eq!(bench.state(handle), Some("proceeding"));
    assert_eq!(bench.log(), [format!("{} core INVITE", bench.now)]);
    handle
}

fn answer(status_code: u16) -> String {
    response(&invite(), status_code, "314159")
}

/// The ACK to a 2xx: a request of its own (§13.2.2.4).
fn ack_to_success() -> String {
    ack(&invite(), "314159", "z9hG4bKownbranch")
}

/// The ACK to a refusal, under the branch of the INVITE (§17.1.1.3).
fn ack_to_refusal() -> String {
    ack(&invite(), "314159", "z9hG4bK776asdhds")
}

#[test]
fn a_100_is_sent_when_the_core_is_silent_for_200_ms_17_2_1() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.at(150);
    bench.receive(&invite());
    bench.at(1_000);
    bench.receive(&invite());
    assert_eq!(bench.log(), ["200 send 100", "1000 send 100"]);
    let trying = &bench.sent[0].text;
    assert_eq!(field(trying, "Via"), field(&invite(), "Via"));
    assert_eq!(field(trying, "From"), field(&invite(), "From"));
    assert_eq!(field(trying, "Call-ID"), field(&invite(), "Call-ID"));
    assert_eq!(field(trying, "CSeq"), "314159 INVITE");
    // §8.2.6.2: no tag in a 100.
    assert_eq!(field(trying, "To"), "Bob <sip:bob@biloxi.example>");
}

/// The same request with a Timestamp.
fn stamped(request: &str, timestamp: &str) -> String {
    let line = format!("Timestamp: {timestamp}\r\nContent-Length");
    request.replacen("Content-Length", &line, 1)
}

#[test]
fn a_100_has_the_timestamp_of_the_request_and_the_delay_8_2_6_1() {
    for (timestamp, expected) in [
        ("54", "54 0.200"),
        ("54.2", "54.2 0.200"),
        ("54.", "54. 0.200"),
        // One that says more than the time, or nothing that anybody reads, is copied as it is.
        ("54.2 0.3", "54.2 0.3"),
        ("noon", "noon"),
        ("1.2.3", "1.2.3"),
    ] {
        let mut bench = Bench::new();
        bench.receive(&stamped(&invite(), timestamp));
        bench.at(200);
        assert_eq!(fields(&bench.sent[0].text, "Timestamp"), [expected]);
    }
    let mut bench = Bench::new();
    bench.at(1_000);
    bench.receive(&stamped(&request("OPTIONS", "z9hG4bK1"), "7"));
    bench.at(4_500);
    assert_eq!(fields(&bench.sent[0].text, "Timestamp"), ["7 3.500"]);
}

#[test]
fn a_final_response_of_the_engine_has_no_timestamp_8_2_6_1() {
    let mut bench = Bench::by_hand();
    bench.receive(&stamped(&invite(), "54.2"));
    let handle = bench.called[0];
    bench.begin(handle);
    bench.fail_runner(handle);
    assert!(fields(&bench.only_sent().text, "Timestamp").is_empty());
}

#[test]
fn no_100_follows_a_provisional_response_of_the_core_17_2_1() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.at(100);
    bench.respond(&answer(180)).unwrap();
    bench.at(10_000);
    assert_eq!(bench.log(), ["100 send 180"]);
}

#[test]
fn a_retransmitted_invite_gets_the_last_provisional_response_17_2_1() {
    let mut bench = Bench::new();
    let handle = invited(&mut bench);
    bench.respond(&answer(180)).unwrap();
    bench.respond(&answer(183)).unwrap();
    bench.at(500);
    assert_eq!(bench.receive(&invite()), Verdict::Matched);
    assert_eq!(bench.log(), ["0 send 180", "0 send 183", "500 send 183"]);
    assert!(bench.sent.iter().all(|sent| sent.handle == Some(handle)));
}

#[test]
fn a_refusal_is_repeated_by_timer_g_until_timer_h_gives_up_17_2_1() {
    let mut bench = Bench::new();
    let handle = invited(&mut bench);
    bench.respond(&answer(486)).unwrap();
    assert_eq!(bench.state(handle), Some("completed"));
    bench.at(100_000);
    let mut expected: Vec<String> = [
        0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ]
    .iter()
    .map(|at| format!("{at} send 486"))
    .collect();
    expected.push("32000 core timeout".into());
    assert_eq!(bench.log(), expected);
    assert!(bench.sent.iter().all(|sent| sent.text == answer(486)));
    bench.assert_empty();
}

#[test]
fn over_a_reliable_transport_a_refusal_is_sent_once_and_waits_for_timer_h_17_2_1() {
    let mut bench = Bench::reliable();
    invited(&mut bench);
    bench.respond(&answer(486)).unwrap();
    bench.at(100_000);
    assert_eq!(bench.log(), ["0 send 486", "32000 core timeout"]);
    bench.assert_empty();
}

#[test]
fn a_retransmitted_invite_gets_the_refusal_again_17_2_1() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.respond(&answer(180)).unwrap();
    bench.respond(&answer(486)).unwrap();
    bench.quiet();
    bench.at(300);
    bench.receive(&invite());
    assert_eq!(bench.log(), ["300 send 486"]);
}

#[test]
fn the_ack_to_a_refusal_stops_it_and_is_absorbed_for_timer_i_17_2_1() {
    let mut bench = Bench::new();
    let handle = invited(&mut bench);
    bench.respond(&answer(486)).unwrap();
    bench.at(600);
    assert_eq!(bench.receive(&ack_to_refusal()), Verdict::Matched);
    assert_eq!(bench.state(handle), Some("confirmed"));
    bench.at(1_000);
    assert_eq!(bench.receive(&ack_to_refusal()), Verdict::Matched);
    assert_eq!(bench.receive(&invite()), Verdict::Matched);
    bench.at(5_599);
    assert_eq!(bench.state(handle), Some("confirmed"));
    bench.at(5_600);
    bench.assert_empty();
    assert_eq!(bench.log(), ["0 send 486", "500 send 486"]);
}

#[test]
fn over_a_reliable_transport_timer_i_is_zero_17_2_1() {
    let mut bench = Bench::reliable();
    invited(&mut bench);
    bench.respond(&answer(486)).unwrap();
    bench.receive(&ack_to_refusal());
    assert_eq!(bench.log(), ["0 send 486"]);
    bench.assert_empty();
}

#[test]
fn a_success_is_sent_once_and_absorbs_the_invite_for_timer_l_rfc_6026_7_1() {
    for mut bench in [Bench::new(), Bench::reliable()] {
        let handle = invited(&mut bench);
        bench.respond(&answer(180)).unwrap();
        bench.at(1_000);
        bench.respond(&answer(200)).unwrap();
        assert_eq!(bench.state(handle), Some("accepted"));
        bench.at(1_500);
        assert_eq!(bench.receive(&invite()), Verdict::Matched);
        bench.at(32_999);
        assert_eq!(bench.state(handle), Some("accepted"));
        bench.at(33_000);
        bench.assert_empty();
        assert_eq!(bench.log(), ["0 send 180", "1000 send 200"]);
    }
}

#[test]
fn every_success_of_the_core_goes_out_as_a_proxy_needs_it_rfc_6026_7_1() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.respond(&answer(200)).unwrap();
    bench.at(500);
    bench.respond(&answer(200)).unwrap();
    bench.respond(&response(&invite(), 200, "fork")).unwrap();
    assert_eq!(bench.log(), ["0 send 200", "500 send 200", "500 send 200"]);
    bench.at(32_000);
    bench.assert_empty();
}

#[test]
fn each_ack_to_a_success_is_delivered_without_a_key_where_the_core_repeats_it() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.respond(&answer(200)).unwrap();
    bench.quiet();
    assert_eq!(bench.receive(&ack_to_success()), Verdict::Delivered);
    bench.at(500);
    assert_eq!(bench.receive(&ack_to_success()), Verdict::Delivered);
    assert_eq!(
        bench.log(),
        ["0 core ACK without key", "500 core ACK without key"]
    );
}

#[test]
fn until_its_ack_a_success_is_repeated_on_every_transport_13_3_1_4() {
    for mut bench in [Bench::new(), Bench::reliable()] {
        invited(&mut bench);
        bench.respond_until_ack(&answer(200)).unwrap();
        bench.at(100_000);
        let mut expected: Vec<String> = [
            0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
        ]
        .iter()
        .map(|at| format!("{at} send 200"))
        .collect();
        expected.push("32000 core no ack".into());
        assert_eq!(bench.log(), expected);
        assert!(bench.sent.iter().all(|sent| sent.text == answer(200)));
        bench.assert_empty();
    }
}

#[test]
fn the_ack_ends_the_repetitions_and_is_delivered_once_13_3_1_4() {
    for mut bench in [Bench::new(), Bench::reliable()] {
        let handle = invited(&mut bench);
        bench.respond_until_ack(&answer(200)).unwrap();
        bench.at(2_000);
        assert_eq!(bench.receive(&ack_to_success()), Verdict::Delivered);
        assert_eq!(bench.receive(&ack_to_success()), Verdict::Matched);
        bench.at(20_000);
        assert_eq!(bench.receive(&ack_to_success()), Verdict::Matched);
        assert_eq!(bench.state(handle), Some("accepted"));
        bench.at(32_000);
        bench.assert_empty();
        assert_eq!(
            bench.log(),
            [
                "0 send 200",
                "500 send 200",
                "1500 send 200",
                "2000 core ACK without key"
            ]
        );
    }
}

#[test]
fn an_ack_under_the_branch_of_the_invite_is_still_that_of_the_success() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.respond_until_ack(&answer(200)).unwrap();
    bench.receive(&ack_to_refusal());
    bench.receive(&ack_to_refusal());
    bench.at(31_999);
    assert_eq!(bench.log(), ["0 send 200", "0 core ACK without key"]);
}

#[test]
fn the_ack_of_another_dialog_ends_nothing_13_3_1_4() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.respond_until_ack(&answer(200)).unwrap();
    bench.receive(&ack(&invite(), "somebody", "z9hG4bKelse"));
    bench.at(500);
    assert_eq!(
        bench.log(),
        ["0 send 200", "0 core ACK without key", "500 send 200"]
    );
}

#[test]
fn a_success_sent_again_after_its_ack_is_not_repeated_anew() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.respond_until_ack(&answer(200)).unwrap();
    bench.receive(&ack_to_success());
    bench.respond_until_ack(&answer(200)).unwrap();
    bench.quiet();
    bench.at(100_000);
    assert!(bench.log().is_empty());
}

/// The 2xx of one of several forks behind this element.
fn forked(to_tag: &str) -> String {
    response(&invite(), 200, to_tag)
}

#[test]
fn each_fork_is_repeated_until_its_own_ack_13_3_1_4() {
    for mut bench in [Bench::new(), Bench::reliable()] {
        let handle = invited(&mut bench);
        bench.respond_until_ack(&forked("one")).unwrap();
        bench.at(700);
        bench.respond_until_ack(&forked("two")).unwrap();
        bench.at(1_600);
        let ack_to_two = ack(&invite(), "two", "z9hG4bKtwo");
        assert_eq!(bench.receive(&ack_to_two), Verdict::Delivered);
        bench.at(5_000);
        assert_eq!(bench.receive(&ack_to_two), Verdict::Matched);
        let ack_to_one = ack(&invite(), "one", "z9hG4bKone");
        assert_eq!(bench.receive(&ack_to_one), Verdict::Delivered);
        assert_eq!(bench.receive(&ack_to_one), Verdict::Matched);
        bench.at(32_699);
        assert_eq!(bench.state(handle), Some("accepted"));
        bench.at(32_700);
        bench.assert_empty();
        let tags: Vec<_> = bench
            .sent
            .iter()
            .map(|sent| (sent.at, field(&sent.text, "To")))
            .collect();
        let (one, two) = (
            "Bob <sip:bob@biloxi.example>;tag=one",
            "Bob <sip:bob@biloxi.example>;tag=two",
        );
        assert_eq!(
            tags,
            [
                (0, one),
                (500, one),
                (700, two),
                (1_200, two),
                (1_500, one),
                (3_500, one)
            ]
        );
        assert_eq!(bench.seen, [invite(), ack_to_two, ack_to_one]);
    }
}

#[test]
fn each_fork_that_no_ack_came_for_is_told_64_t1_after_its_success_13_3_1_4() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.respond_until_ack(&forked("one")).unwrap();
    bench.respond_until_ack(&forked("two")).unwrap();
    bench.at(10_000);
    bench.respond_until_ack(&forked("three")).unwrap();
    bench.receive(&ack(&invite(), "two", "z9hG4bKtwo"));
    bench.at(100_000);
    let told: Vec<_> = bench
        .log()
        .into_iter()
        .filter(|line| line.contains("core"))
        .collect();
    assert_eq!(
        told,
        [
            "10000 core ACK without key",
            "32000 core no ack",
            "42000 core no ack"
        ]
    );
    // One more than the others is that of the fork that was answered at 10 s.
    let times = |tag: &str| -> Vec<u64> {
        let of_tag = |sent: &&engine::Sent| field(&sent.text, "To").ends_with(tag);
        bench.sent.iter().filter(of_tag).map(|s| s.at).collect()
    };
    let schedule = [
        0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    assert_eq!(times("one"), schedule);
    assert_eq!(times("two"), schedule[..5]);
    assert_eq!(times("three"), schedule.map(|at| at + 10_000));
    bench.assert_empty();
}

#[test]
fn a_late_ack_after_no_ack_was_told_is_delivered_while_another_fork_waits() {
    let mut bench = Bench::new();
    invited(&mut bench);
    bench.respond_until_ack(&forked("one")).unwrap();
    bench.at(10_000);
    bench.respond_until_ack(&forked("two")).unwrap();
    bench.at(33_000);
    bench.quiet();
    assert_eq!(
        bench.receive(&ack(&invite(), "one", "z9hG4bKone")),
        Verdict::Delivered
    );
    assert_eq!(bench.log(), ["33000 core ACK without key"]);
}

#[test]
fn a_fork_goes_on_the_way_that_its_own_success_was_sent() {
    let mut bench = Bench::new();
    invited(&mut bench);
    for (tag, port) in [("one", 5_071), ("two", 5_072)] {
        let way = engine::target(&format!("192.0.2.99:{port}"));
        bench.respond_with(&forked(tag), Some(way), true).unwrap();
    }
    bench.quiet();
    bench.at(500);
    assert_eq!(
        bench.log(),
        [
            "500 send 200 to 192.0.2.99:5071",
            "500 send 200 to 192.0.2.99:5072"
        ]
    );
}

#[test]
fn sixteen_forks_are_repeated_and_one_more_is_refused() {
    let mut bench = Bench::new();
    invited(&mut bench);
    for fork in 0..16 {
        bench.respond_until_ack(&forked(&fork.to_string())).unwrap();
    }
    bench.quiet();
    assert_eq!(
        bench.respond_until_ack(&forked("16")),
        Err(SendError::TooManyForks)
    );
    assert!(bench.log().is_empty(), "it was not sent");
    // Those that are known go on, and one that nobody has to repeat is sent (RFC 6026 §7.1).
    bench.respond_until_ack(&forked("15")).unwrap();
    bench.respond(&forked("17")).unwrap();
    assert_eq!(bench.log(), ["0 send 200", "0 send 200"]);
    bench.at(500);
    assert_eq!(bench.log().len(), 16);
    bench.at(100_000);
    bench.assert_empty();
}

#[test]
fn a_second_final_response_is_refused_17_2_1() {
    for (first, second) in [(486, 486), (486, 200), (200, 486), (200, 180), (486, 180)] {
        let mut bench = Bench::new();
        let handle = invited(&mut bench);
        bench.respond(&answer(first)).unwrap();
        bench.quiet();
        let state = bench.state(handle);
        assert_eq!(
            bench.respond(&answer(second)),
            Err(SendError::AlreadyAnswered)
        );
        assert_eq!(bench.state(handle), state);
        assert!(bench.log().is_empty());
    }
}

#[test]
fn a_response_to_no_invite_is_refused() {
    let mut bench = Bench::new();
    assert_eq!(bench.respond(&answer(200)), Err(SendError::NoTransaction));
}

#[test]
fn an_invite_that_its_core_forgets_gets_408_after_four_minutes() {
    let mut bench = Bench::new();
    let handle = invited(&mut bench);
    bench.at(239_999);
    assert_eq!(bench.state(handle), Some("proceeding"));
    bench.at(240_000);
    assert_eq!(bench.log(), ["200 send 100", "240000 send 408"]);
    assert_eq!(bench.state(handle), Some("completed"));
    assert_ne!(
        field(&bench.sent[1].text, "To"),
        field(&invite(), "To"),
        "a final response has a To tag (§8.2.6.2)"
    );
    bench.receive(&ack_to_refusal());
    bench.at(300_000);
    bench.assert_empty();
}

#[test]
fn each_provisional_response_of_the_core_gives_it_four_more_minutes() {
    let mut bench = Bench::new();
    let handle = invited(&mut bench);
    for at in [100_000, 300_000, 500_000] {
        bench.at(at);
        bench.respond(&answer(180)).unwrap();
    }
    bench.quiet();
    bench.at(739_999);
    assert_eq!(bench.state(handle), Some("proceeding"));
    bench.at(740_000);
    assert_eq!(bench.log(), ["740000 send 408"]);
    // §8.2.6.2: the dialog of the 180.
    assert_eq!(
        field(&bench.sent[0].text, "To"),
        "Bob <sip:bob@biloxi.example>;tag=314159"
    );
}

#[test]
fn a_core_that_fails_leaves_500_once_with_the_tag_of_what_it_sent_before() {
    let mut bench = Bench::by_hand();
    bench.receive(&invite());
    let handle = bench.called[0];
    assert_eq!(bench.begin(handle).as_deref(), Some("INVITE"));
    bench.respond(&answer(180)).unwrap();
    bench.quiet();
    bench.fail_runner(handle);
    bench.fail_runner(handle);
    assert_eq!(bench.log(), ["0 send 500"]);
    let text = bench.only_sent().text;
    assert!(text.starts_with("SIP/2.0 500 "));
    assert_eq!(
        field(&text, "To"),
        "Bob <sip:bob@biloxi.example>;tag=314159"
    );
    assert_eq!(field(&text, "CSeq"), "314159 INVITE");
    assert_eq!(field(&text, "Via"), field(&invite(), "Via"));
    assert_eq!(bench.state(handle), Some("completed"));
    bench.receive(&ack_to_refusal());
    bench.at(5_000);
    bench.assert_empty();
}

#[test]
fn a_core_that_fails_before_it_said_anything_leaves_500_with_a_tag() {
    let mut bench = Bench::by_hand();
    bench.receive(&invite());
    let handle = bench.called[0];
    bench.begin(handle);
    bench.at(200);
    bench.quiet();
    bench.fail_runner(handle);
    let text = bench.only_sent().text;
    assert!(text.starts_with("SIP/2.0 500 "));
    assert!(field(&text, "To").starts_with("Bob <sip:bob@biloxi.example>;tag="));
}

#[test]
fn a_core_that_fails_after_its_final_response_changes_nothing() {
    for status_code in [200, 486] {
        let mut bench = Bench::by_hand();
        bench.receive(&invite());
        let handle = bench.called[0];
        bench.begin(handle);
        bench.respond(&answer(status_code)).unwrap();
        bench.quiet();
        bench.fail_runner(handle);
        assert!(bench.log().is_empty());
    }
}

#[test]
fn a_transport_error_is_told_once_and_the_state_stays_rfc_6026_8_8() {
    for (status_code, state) in [(180, "proceeding"), (486, "completed"), (200, "accepted")] {
        let mut bench = Bench::new();
        let handle = invited(&mut bench);
        bench.respond(&answer(status_code)).unwrap();
        bench.quiet();
        bench.fail_transport(handle);
        bench.fail_transport(handle);
        assert_eq!(bench.log(), ["0 core transport econnrefused"]);
        assert_eq!(bench.state(handle), Some(state));
    }
}

#[test]
fn a_transport_error_in_confirmed_is_nobodys_business() {
    let mut bench = Bench::new();
    let handle = invited(&mut bench);
    bench.respond(&answer(486)).unwrap();
    bench.receive(&ack_to_refusal());
    bench.quiet();
    bench.fail_transport(handle);
    assert_eq!(bench.state(handle), Some("confirmed"));
    assert!(bench.log().is_empty());
}

#[test]
fn an_ack_before_the_final_response_changes_nothing() {
    let mut bench = Bench::new();
    let handle = invited(&mut bench);
    assert_eq!(bench.receive(&ack_to_refusal()), Verdict::Matched);
    assert_eq!(bench.state(handle), Some("proceeding"));
    assert!(bench.log().is_empty());
}

#[test]
fn a_response_goes_where_the_core_says_and_so_do_its_repetitions() {
    for status_code in [180, 200, 486] {
        let mut bench = Bench::new();
        invited(&mut bench);
        let elsewhere = engine::target("192.0.2.99:5062");
        bench
            .respond_with(&answer(status_code), Some(elsewhere), true)
            .unwrap();
        bench.at(500);
        if status_code == 180 {
            bench.receive(&invite());
        }
        assert_eq!(
            bench.log(),
            [
                format!("0 send {status_code} to 192.0.2.99:5062"),
                format!("500 send {status_code} to 192.0.2.99:5062")
            ]
        );
    }
}
