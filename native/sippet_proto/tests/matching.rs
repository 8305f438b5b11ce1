//! Which transaction a message belongs to (§17.1.3, §17.2.3, §9.2, §8.2.2.2), and what becomes of those of none.

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::{Config, KeyMaker, SendError, Verdict};
use sippet_proto::{Arena, Options, parse};

fn via(value: &str) -> String {
    with_field(&request("OPTIONS", "z9hG4bKx"), "Via", value)
}

/// Whether the second request is taken for a repetition of the first.
fn same(first: &str, second: &str) -> bool {
    let mut bench = Bench::new();
    assert!(matches!(bench.receive(&via(first)), Verdict::Began(_)));
    match bench.receive(&via(second)) {
        Verdict::Matched => true,
        Verdict::Began(_) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn branch_and_sent_by_are_compared_as_they_mean_17_2_3() {
    for (first, second) in [
        // §7.3.1: case.
        (
            "SIP/2.0/UDP Host.Example;branch=z9hG4bKaB1",
            "SIP/2.0/UDP hOST.eXAMPLE;branch=Z9hG4BkAb1",
        ),
        // A name with the dot of the root is the same name.
        (
            "SIP/2.0/UDP host.example;branch=z9hG4bK1",
            "SIP/2.0/UDP host.example.;branch=z9hG4bK1",
        ),
        // §18.2.2: the default port.
        (
            "SIP/2.0/UDP host.example;branch=z9hG4bK1",
            "SIP/2.0/UDP host.example:5060;branch=z9hG4bK1",
        ),
        (
            "SIP/2.0/TLS host.example;branch=z9hG4bK1",
            "SIP/2.0/TLS host.example:5061;branch=z9hG4bK1",
        ),
        // RFC 5118 §4.5: one address, many spellings.
        (
            "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1",
            "SIP/2.0/UDP [2001:0DB8:0:0::1];branch=z9hG4bK1",
        ),
        // Other parameters tell nothing.
        (
            "SIP/2.0/UDP host.example;branch=z9hG4bK1",
            "SIP/2.0/UDP host.example;rport=7;branch=z9hG4bK1;received=192.0.2.7",
        ),
    ] {
        assert!(same(first, second), "{first} and {second}");
        assert!(same(second, first), "{second} and {first}");
    }
}

#[test]
fn another_branch_host_or_port_is_another_transaction_17_2_3() {
    let first = "SIP/2.0/UDP host.example;branch=z9hG4bK1";
    for second in [
        "SIP/2.0/UDP host.example;branch=z9hG4bK2",
        "SIP/2.0/UDP tsoh.example;branch=z9hG4bK1",
        "SIP/2.0/UDP host.example:5061;branch=z9hG4bK1",
        "SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1",
    ] {
        assert!(!same(first, second), "{second}");
    }
    assert!(!same(
        "SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1",
        "SIP/2.0/UDP [2001:db8::2];branch=z9hG4bK1"
    ));
}

#[test]
fn another_method_is_another_transaction_17_2_3() {
    let mut bench = Bench::new();
    let options = request("OPTIONS", "z9hG4bK1");
    bench.receive(&options);
    let info = bench.receive(&with_method(&options, "INFO"));
    assert!(matches!(info, Verdict::Began(_)));
    let lower = bench.receive(&with_method(&options, "options"));
    assert!(matches!(lower, Verdict::Began(_)), "§7.1: case counts");
}

#[test]
fn a_cookie_alone_decides_what_is_compared_17_2_3() {
    // With it the Call-ID tells nothing, without it the Via's branch is not enough.
    let mut bench = Bench::new();
    let modern = request("OPTIONS", "z9hG4bK1");
    bench.receive(&modern);
    let other_call = with_field(&modern, "Call-ID", "other");
    assert_eq!(bench.receive(&other_call), Verdict::Matched);

    let mut bench = Bench::new();
    let old = request("OPTIONS", "1");
    bench.receive(&old);
    assert_eq!(bench.receive(&old), Verdict::Matched);
    for (field, value) in [
        ("Call-ID", "other"),
        ("CSeq", "314160 OPTIONS"),
        ("From", "Alice <sip:alice@atlanta.example>;tag=other"),
        ("Via", "SIP/2.0/UDP elsewhere.example;branch=1"),
        ("Via", "SIP/2.0/UDP pc33.atlanta.example:5060;branch=2"),
    ] {
        let verdict = bench.receive(&with_field(&old, field, value));
        assert!(matches!(verdict, Verdict::Began(_)), "{field}: {value}");
    }
}

#[test]
fn without_any_branch_an_old_call_works_17_2_3() {
    let mut bench = Bench::new();
    let invite = with_field(&invite(), "Via", "SIP/2.0/UDP old.example");
    assert!(matches!(bench.receive(&invite), Verdict::Began(_)));
    bench.respond(&response(&invite, 486, "a")).unwrap();
    // The To tag of the response is in the ACK and was not in the INVITE.
    let ack = with_method(&response_to_ack(&invite, "a"), "ACK");
    assert_eq!(bench.receive(&ack), Verdict::Matched);
    bench.at(5_000);
    bench.assert_empty();
}

fn response_to_ack(invite: &str, tag: &str) -> String {
    let to = format!("{};tag={tag}", field(invite, "To"));
    with_field(invite, "To", &to)
}

#[test]
fn the_ack_to_a_refusal_matches_its_invite_by_the_branch_17_2_3() {
    let mut bench = Bench::new();
    bench.receive(&invite());
    bench.respond(&response(&invite(), 404, "a")).unwrap();
    let elsewhere = ack(&invite(), "a", "z9hG4bKother");
    assert_eq!(bench.receive(&elsewhere), Verdict::Delivered);
    let own = ack(&invite(), "a", "Z9HG4BK776ASDHDS");
    assert_eq!(bench.receive(&own), Verdict::Matched);
    bench.at(5_000);
    bench.assert_empty();
}

#[test]
fn a_cancel_matches_the_invite_that_it_means_9_2() {
    let mut bench = Bench::new();
    bench.receive(&invite());
    bench.quiet();
    assert!(matches!(
        bench.receive(&cancel(&invite())),
        Verdict::Began(_)
    ));
    assert_eq!(bench.log(), ["0 core CANCEL"]);
    // The core has it by the key of the INVITE; its own is another one.
    assert_eq!(bench.names, ["INVITE"]);
    let (infos, _) = bench.engine.list(0, 10);
    let methods: Vec<_> = infos.iter().map(|info| info.name.method()).collect();
    assert_eq!(methods, [&b"INVITE"[..], b"CANCEL"]);
    assert_eq!(bench.receive(&cancel(&invite())), Verdict::Matched);
    bench
        .respond(&response(&cancel(&invite()), 200, "a"))
        .unwrap();
    bench.receive(&cancel(&invite()));
    assert_eq!(bench.log(), ["0 send 200", "0 send 200"]);
}

#[test]
fn the_answer_to_a_cancel_that_cannot_be_sent_fails_by_the_key_of_the_cancel_9_2() {
    let mut bench = Bench::new();
    let Verdict::Began(invited) = bench.receive(&invite()) else {
        panic!("no transaction began");
    };
    let Verdict::Began(cancelled) = bench.receive(&cancel(&invite())) else {
        panic!("no transaction began");
    };
    let to_cancel = response(&cancel(&invite()), 200, "a");
    assert_eq!(bench.respond(&to_cancel), Ok(cancelled));
    assert_eq!(bench.respond(&response(&invite(), 487, "a")), Ok(invited));
    bench.quiet();
    bench.fail_transport(cancelled);
    bench.fail_transport(invited);
    assert_eq!(
        bench.log(),
        [
            "0 core transport econnrefused",
            "0 core transport econnrefused"
        ]
    );
    assert_eq!(bench.names, ["CANCEL", "INVITE"]);
}

#[test]
fn a_cancel_of_nothing_earns_481_without_state_9_2() {
    let mut bench = Bench::new();
    assert_eq!(bench.receive(&cancel(&invite())), Verdict::Reply(481));
    bench.receive(&request("OPTIONS", "z9hG4bK1"));
    let of_options = with_method(&request("OPTIONS", "z9hG4bK1"), "CANCEL");
    assert_eq!(bench.receive(&of_options), Verdict::Reply(481));
    assert_eq!(bench.engine.len(), 1);
}

#[test]
fn a_merged_request_is_refused_only_where_asked_8_2_2_2() {
    let merged = with_branch(&invite(), "z9hG4bKother");
    let mut bench = Bench::new();
    bench.receive(&invite());
    assert!(matches!(bench.receive(&merged), Verdict::Began(_)));

    let mut bench = Bench::with(Config {
        reject_merged: true,
        ..Config::default()
    });
    bench.receive(&invite());
    assert_eq!(bench.receive(&merged), Verdict::Reply(482));
    assert_eq!(bench.receive(&invite()), Verdict::Matched);
    let in_dialog = with_field(&merged, "To", "Bob <sip:bob@biloxi.example>;tag=a");
    assert!(matches!(bench.receive(&in_dialog), Verdict::Began(_)));
    let next = with_field(&merged, "CSeq", "314160 INVITE");
    let next = with_branch(&next, "z9hG4bKnext");
    assert!(matches!(bench.receive(&next), Verdict::Began(_)));
    // When the first is over, so is the merging.
    bench.respond(&response(&invite(), 200, "a")).unwrap();
    bench.at(32_000);
    assert!(matches!(
        bench.receive(&with_branch(&invite(), "z9hG4bKlater")),
        Verdict::Began(_)
    ));
}

/// The To tag that this INVITE is given where it is answered without state.
fn stateless_tag(invite: &str) -> String {
    let keys = KeyMaker::new(*b"a seed for tests");
    let arena = Arena::new();
    let message = parse(invite.as_bytes(), &Options::default(), &arena).unwrap();
    let headers = &message.headers;
    let tag = keys
        .stateless_tag(
            headers.from.as_ref().unwrap().tag().unwrap(),
            headers.call_id.unwrap(),
            headers.cseq.unwrap().number,
            headers.via.as_ref().unwrap()[0].branch().unwrap(),
        )
        .to_tag();
    String::from_utf8(tag.to_vec()).unwrap()
}

#[test]
fn the_ack_to_an_answer_without_state_is_dropped_8_2_7() {
    let invite = invite();
    let tag = stateless_tag(&invite);
    let mut bench = Bench::new();
    let own = ack(&invite, &tag, "z9hG4bK776asdhds");
    assert_eq!(bench.receive(&own), Verdict::Dropped);
    bench.assert_empty();
    let other = ack(&invite, "another", "z9hG4bK776asdhds");
    assert_eq!(bench.receive(&other), Verdict::Delivered);
}

#[test]
fn a_client_once_refused_without_state_acknowledges_its_second_answer_17_1_1_3() {
    // A repetition of the INVITE found room. Its sender has its final response already, and acknowledges by that.
    let own = ack(&invite(), &stateless_tag(&invite()), "z9hG4bK776asdhds");
    let mut bench = Bench::new();
    bench.receive(&invite());
    bench.respond(&response(&invite(), 486, "a")).unwrap();
    assert_eq!(bench.receive(&own), Verdict::Dropped);
    bench.quiet();
    bench.at(40_000);
    assert!(bench.log().is_empty(), "timers G and H have stopped");
    bench.assert_empty();

    // A 2xx is another matter: its ACK has its tag.
    let mut bench = Bench::new();
    bench.receive(&invite());
    bench
        .respond_until_ack(&response(&invite(), 200, "a"))
        .unwrap();
    bench.quiet();
    assert_eq!(bench.receive(&own), Verdict::Dropped);
    bench.at(500);
    assert_eq!(bench.log(), ["500 send 200"]);
}

#[test]
fn a_stray_response_is_dropped_unless_the_core_wants_it_rfc_6026_7_3() {
    let stray = response(&invite(), 200, "a");
    let mut bench = Bench::new();
    assert_eq!(bench.receive(&stray), Verdict::Dropped);
    assert!(bench.log().is_empty());
    bench.assert_empty();

    let mut bench = Bench::with(Config {
        deliver_stray_responses: true,
        ..Config::default()
    });
    assert_eq!(bench.receive(&stray), Verdict::Delivered);
    assert_eq!(bench.log(), ["0 core 200 without key"]);
    bench.assert_empty();
}

#[test]
fn a_tenth_of_the_room_is_kept_for_what_is_under_way() {
    let mut bench = Bench::with(Config {
        max_transactions: 20,
        ..Config::default()
    });
    let other_call = |text: &str, number: u32| with_field(text, "Call-ID", &number.to_string());
    bench.receive(&invite());
    for number in 1..18 {
        let text = request("OPTIONS", &format!("z9hG4bK{number}"));
        assert!(matches!(
            bench.receive(&other_call(&text, number)),
            Verdict::Began(_)
        ));
    }
    let fresh = request("OPTIONS", "z9hG4bKfresh");
    assert_eq!(bench.receive(&fresh), Verdict::Reply(503));
    assert_eq!(bench.receive(&invite()), Verdict::Matched);
    assert!(matches!(
        bench.receive(&cancel(&invite())),
        Verdict::Began(_)
    ));
    let bye = with_field(
        &request("BYE", "z9hG4bKbye"),
        "To",
        "Bob <sip:bob@biloxi.example>;tag=a",
    );
    assert!(matches!(bench.receive(&bye), Verdict::Began(_)));
    assert_eq!(bench.engine.len(), 20);
    assert_eq!(
        bench.receive(&with_branch(&bye, "z9hG4bKbye2")),
        Verdict::Reply(503)
    );
    assert_eq!(
        bench.send(&request("OPTIONS", "z9hG4bKours")),
        Err(SendError::TooManyTransactions)
    );
    assert_eq!(bench.engine.gauges().refused_requests, 2);
    bench.at(400_000);
    bench.assert_empty();
}

#[test]
fn an_ack_without_room_is_refused_so_that_its_repetition_counts() {
    let mut bench = Bench::with(Config {
        max_transactions: 10,
        ..Config::default()
    });
    bench.receive(&invite());
    bench
        .respond_until_ack(&response(&invite(), 200, "a"))
        .unwrap();
    let mut fill = Vec::new();
    for number in 0..9 {
        let options = request("OPTIONS", &format!("z9hG4bKours{number}"));
        fill.push(bench.send(&options).unwrap().unwrap());
    }
    let ack = ack(&invite(), "a", "z9hG4bKack");
    assert_eq!(bench.receive(&ack), Verdict::Refused);
    bench.quiet();
    bench.at(499);
    bench.terminate(fill[0]);
    bench.at(500);
    assert!(bench.log().contains(&"500 send 200".to_string()));
    assert_eq!(bench.receive(&ack), Verdict::Delivered);
    assert_eq!(bench.log(), ["500 core ACK without key"]);
}

#[test]
fn the_ack_to_a_refusal_needs_no_room() {
    let mut bench = Bench::with(Config {
        max_transactions: 2,
        ..Config::default()
    });
    bench.receive(&invite());
    bench.respond(&response(&invite(), 486, "a")).unwrap();
    bench.send(&request("OPTIONS", "z9hG4bKours")).unwrap();
    let own = ack(&invite(), "a", "z9hG4bK776asdhds");
    assert_eq!(bench.receive(&own), Verdict::Matched);
}

#[test]
fn two_stacks_do_not_share_keys() {
    let arena = Arena::new();
    let text = invite();
    let message = parse(text.as_bytes(), &Options::default(), &arena).unwrap();
    let via = message.headers.via.as_ref().unwrap()[0];
    let (one, two) = (KeyMaker::new([1; 16]), KeyMaker::new([2; 16]));
    assert_ne!(
        one.server(&message, &via, b"INVITE"),
        two.server(&message, &via, b"INVITE")
    );
    assert_eq!(
        one.server(&message, &via, b"INVITE"),
        one.server_of(b"z9hG4bK776asdhds", b"PC33.atlanta.example", 0, b"INVITE")
    );
    assert_eq!(
        one.server(&message, &via, b"ACK"),
        one.server(&message, &via, b"INVITE")
    );
}
