//! Requests that go from one target to the next (RFC 3263 §4.3), on a virtual clock.

mod engine;

use engine::text::*;
use engine::{Bench, PEER};
use proptest::prelude::*;
use sippet_proto::transaction::{Config, Handle, SendError};

const SECOND: &str = "192.0.2.2:5060";
const THIRD: &str = "192.0.2.3:5060";

fn invite() -> String {
    request("INVITE", "z9hG4bKfirst")
}

fn options() -> String {
    request("OPTIONS", "z9hG4bKfirst")
}

/// What the target has under this branch.
fn under(request: &str, branch: &str) -> String {
    request.replace("z9hG4bKfirst", branch)
}

fn routed(bench: &mut Bench, text: &str) -> Handle {
    let handle = bench.route(text, "a,b").unwrap().unwrap();
    bench.quiet();
    handle
}

/// Lost to silence, and on its way to the second target.
fn second(bench: &mut Bench, text: &str) -> Handle {
    let handle = routed(bench, text);
    bench.at(32_000);
    assert_eq!(bench.log().last().unwrap(), "32000 lost a,b: timeout");
    bench
        .proceed(handle, "z9hG4bKsecond", SECOND, Some("b"))
        .unwrap();
    handle
}

#[test]
fn each_target_has_a_branch_and_timers_of_its_own_rfc_3263_4_3() {
    let mut bench = Bench::new();
    let handle = second(&mut bench, &options());
    assert_eq!(
        bench.sent.last().unwrap().text,
        under(&options(), "z9hG4bKsecond")
    );
    bench.at(63_999);
    let log = bench.log();
    assert_eq!(
        log[..2],
        [
            "32000 send OPTIONS to 192.0.2.2:5060",
            "32500 send OPTIONS to 192.0.2.2:5060"
        ]
    );
    assert!(log.iter().all(|line| line.contains("send OPTIONS")));
    bench.at(64_000);
    assert_eq!(bench.log(), ["64000 lost b: timeout"]);
    bench.give_up(handle);
    assert_eq!(bench.log(), ["64000 core timeout"]);
    bench.assert_empty();
}

#[test]
fn the_core_sees_its_own_branch_alone() {
    let mut bench = Bench::new();
    second(&mut bench, &invite());
    bench.quiet();
    let sent = under(&invite(), "z9hG4bKsecond");
    bench.receive(&response(&sent, 180, "b"));
    bench.receive(&response(&sent, 200, "b"));
    assert_eq!(
        bench.seen,
        [response(&invite(), 180, "b"), response(&invite(), 200, "b")]
    );
    bench.at(200_000);
    bench.assert_empty();
}

#[test]
fn a_503_is_acknowledged_as_often_as_it_comes_and_not_shown_21_5_4() {
    let mut bench = Bench::new();
    let handle = routed(&mut bench, &invite());
    let refusal = response(&invite(), 503, "b");
    bench.receive(&refusal);
    assert_eq!(bench.log(), ["0 send ACK", "0 lost a,b: 503"]);
    bench.receive(&refusal);
    assert_eq!(bench.log(), ["0 send ACK"]);
    bench
        .proceed(handle, "z9hG4bKsecond", SECOND, None)
        .unwrap();
    bench.quiet();
    bench.at(400);
    bench.receive(&refusal);
    assert_eq!(bench.log(), ["400 send ACK"]);
    bench.receive(&response(&under(&invite(), "z9hG4bKsecond"), 486, "c"));
    assert_eq!(
        bench.log(),
        ["400 send ACK to 192.0.2.2:5060", "400 core 486"]
    );
    assert_eq!(bench.seen.last().unwrap(), &response(&invite(), 486, "c"));
    bench.at(31_999);
    bench.receive(&refusal);
    assert_eq!(bench.log(), ["31999 send ACK"]);
    bench.at(100_000);
    bench.assert_empty();
}

#[test]
fn who_acknowledges_the_first_outlives_the_transaction() {
    let mut bench = Bench::new();
    let handle = routed(&mut bench, &invite());
    let refusal = response(&invite(), 503, "b");
    bench.receive(&refusal);
    bench.give_up(handle);
    assert_eq!(bench.log(), ["0 send ACK", "0 lost a,b: 503", "0 core 503"]);
    assert_eq!(bench.state(handle), None);
    bench.at(20_000);
    bench.receive(&refusal);
    assert_eq!(bench.log(), ["20000 send ACK"]);
    // The branch is taken as long as it is known (§8.1.1.7).
    assert_eq!(bench.send(&invite()), Err(SendError::AlreadyStarted));
    bench.at(32_001);
    bench.assert_empty();
}

#[test]
fn a_503_over_a_reliable_transport_leaves_nobody_behind() {
    let mut bench = Bench::reliable();
    let handle = routed(&mut bench, &invite());
    bench.receive(&response(&invite(), 503, "b"));
    assert_eq!(bench.engine.len(), 1);
    bench.give_up(handle);
    assert_eq!(bench.log(), ["0 send ACK", "0 lost a,b: 503", "0 core 503"]);
    bench.assert_empty();
}

#[test]
fn a_503_to_another_request_leads_on_too() {
    let mut bench = Bench::new();
    let handle = routed(&mut bench, &options());
    bench.receive(&response(&options(), 503, "b"));
    bench
        .proceed(handle, "z9hG4bKsecond", SECOND, Some("b"))
        .unwrap();
    bench.receive(&response(&options(), 503, "b"));
    bench.receive(&response(&under(&options(), "z9hG4bKsecond"), 503, "c"));
    bench.proceed(handle, "z9hG4bKthird", THIRD, None).unwrap();
    bench.receive(&response(&under(&options(), "z9hG4bKthird"), 503, "d"));
    assert_eq!(
        bench.log(),
        [
            "0 lost a,b: 503",
            "0 send OPTIONS to 192.0.2.2:5060",
            "0 lost b: 503",
            "0 send OPTIONS to 192.0.2.3:5060",
            "0 core 503"
        ]
    );
    assert_eq!(bench.seen, [response(&options(), 503, "d")]);
    bench.at(100_000);
    bench.assert_empty();
}

#[test]
fn an_error_of_the_transport_leads_on() {
    for text in [invite(), options()] {
        let mut bench = Bench::new();
        let handle = routed(&mut bench, &text);
        bench.fail_transport(handle);
        bench.fail_transport(handle);
        assert_eq!(bench.log(), ["0 lost a,b: econnrefused"]);
        bench.give_up(handle);
        assert_eq!(bench.log(), ["0 core transport econnrefused"]);
        bench.assert_empty();
    }
}

#[test]
fn an_error_of_a_target_that_was_left_is_no_error_of_the_next() {
    for text in [invite(), options()] {
        let mut bench = Bench::new();
        let handle = bench.route(&text, "a,b").unwrap().unwrap();
        let first = bench.sent[0].handle.unwrap();
        bench.receive(&response(&text, 503, "b"));
        bench
            .proceed(handle, "z9hG4bKsecond", SECOND, Some("b"))
            .unwrap();
        let second = bench.sent.last().unwrap().handle.unwrap();
        bench.quiet();
        bench.fail_transport(first);
        assert!(bench.log().is_empty());
        assert!(!bench.engine.is_open(first));
        assert!(bench.engine.is_open(second));
        bench.fail_transport(second);
        assert_eq!(bench.log(), ["0 lost b: econnrefused"]);
    }
}

#[test]
fn whoever_has_sent_a_provisional_response_is_there() {
    let mut bench = Bench::new();
    routed(&mut bench, &invite());
    bench.receive(&response(&invite(), 100, ""));
    bench.at(600_000);
    assert_eq!(bench.log().last().unwrap(), "600000 core timeout");
    bench.assert_empty();

    let mut bench = Bench::new();
    routed(&mut bench, &options());
    bench.receive(&response(&options(), 100, ""));
    bench.at(32_000);
    assert_eq!(bench.log().last().unwrap(), "32000 core timeout");
    bench.assert_empty();
}

#[test]
fn a_503_after_a_provisional_response_still_leads_on() {
    let mut bench = Bench::new();
    let handle = routed(&mut bench, &invite());
    bench.receive(&response(&invite(), 183, "b"));
    bench.receive(&response(&invite(), 503, "b"));
    assert_eq!(bench.log(), ["0 core 183", "0 send ACK", "0 lost a,b: 503"]);
    bench
        .proceed(handle, "z9hG4bKsecond", SECOND, None)
        .unwrap();
    assert_eq!(bench.state(handle), Some("calling"));
}

#[test]
fn other_refusals_are_the_answer() {
    for status in [302, 408, 486, 500, 504, 600] {
        let mut bench = Bench::new();
        routed(&mut bench, &options());
        bench.receive(&response(&options(), status, "b"));
        assert_eq!(bench.log(), [format!("0 core {status}")]);
    }
}

#[test]
fn where_nobody_finds_another_target_it_fails_after_64_t1() {
    let mut bench = Bench::new();
    let handle = routed(&mut bench, &options());
    bench.fail_transport(handle);
    bench.at(31_999);
    assert_eq!(bench.log(), ["0 lost a,b: econnrefused"]);
    bench.at(32_000);
    assert_eq!(bench.log(), ["32000 core transport econnrefused"]);
    let late = bench.proceed(handle, "z9hG4bKsecond", SECOND, None);
    assert_eq!(late, Err(SendError::NoTransaction));
    bench.give_up(handle);
    bench.assert_empty();
}

#[test]
fn a_cancel_follows_the_request_to_its_target_9_1() {
    let mut bench = Bench::new();
    let handle = second(&mut bench, &invite());
    bench.quiet();
    let sent = under(&invite(), "z9hG4bKsecond");
    bench.receive(&response(&sent, 180, "b"));
    // As a core knows it: with the branch that it chose.
    bench.send(&cancel(&invite())).unwrap();
    let left = bench.only_sent();
    assert_eq!(left.text, cancel(&sent));
    assert_eq!(left.target, engine::target(SECOND));
    assert_eq!(
        bench.send(&cancel(&invite())),
        Err(SendError::AlreadyStarted)
    );
    bench.receive(&response(&cancel(&sent), 200, "b"));
    bench.receive(&response(&sent, 487, "b"));
    assert_eq!(
        bench.seen,
        [
            response(&invite(), 180, "b"),
            response(&cancel(&invite()), 200, "b"),
            response(&invite(), 487, "b")
        ]
    );
    assert_eq!(bench.cancel(handle), Err(SendError::AlreadyAnswered));
    bench.at(200_000);
    bench.assert_empty();
}

#[test]
fn the_port_of_the_next_transport_stands_in_the_request_its_cancel_and_its_ack_18_1_1() {
    let mut bench = Bench::new();
    bench.port = Some(6050);
    second(&mut bench, &invite());
    let sent = under(&invite(), "z9hG4bKsecond").replacen("example:5060", "example:6050", 1);
    assert_eq!(bench.sent.last().unwrap().text, sent);
    bench.quiet();
    bench.receive(&response(&sent, 180, "b"));
    bench.send(&cancel(&invite())).unwrap();
    assert_eq!(bench.only_sent().text, cancel(&sent));
    bench.receive(&response(&sent, 487, "b"));
    let via = |text: &str| text.lines().nth(1).unwrap().to_owned();
    assert_eq!(via(&bench.only_sent().text), via(&sent));
}

#[test]
fn a_cancel_that_waits_for_the_second_target_leaves_when_that_answers_9_1() {
    let mut bench = Bench::new();
    let handle = second(&mut bench, &invite());
    bench.cancel(handle).unwrap();
    bench.quiet();
    let sent = under(&invite(), "z9hG4bKsecond");
    bench.receive(&response(&sent, 100, ""));
    let left = bench.only_sent();
    assert!(left.text.starts_with("CANCEL "));
    assert!(left.text.contains(";branch=z9hG4bKsecond"));
}

#[test]
fn a_cancelled_request_goes_nowhere_else() {
    // While the first target is silent.
    let mut bench = Bench::new();
    routed(&mut bench, &invite());
    bench.send(&cancel(&invite())).unwrap();
    bench.at(32_000);
    assert_eq!(bench.log().last().unwrap(), "32000 core timeout");
    bench.assert_empty();
    // And after a CANCEL has left.
    let mut bench = Bench::new();
    routed(&mut bench, &invite());
    bench.receive(&response(&invite(), 180, "b"));
    bench.send(&cancel(&invite())).unwrap();
    bench.receive(&response(&invite(), 503, "b"));
    assert_eq!(
        bench.log(),
        ["0 core 180", "0 send CANCEL", "0 send ACK", "0 core 503"]
    );
}

#[test]
fn a_cancel_between_two_targets_ends_it_with_487() {
    for by_key in [true, false] {
        let mut bench = Bench::new();
        let handle = routed(&mut bench, &invite());
        bench.fail_transport(handle);
        bench.quiet();
        if by_key {
            bench.cancel(handle).unwrap();
        } else {
            bench.send(&cancel(&invite())).unwrap();
        }
        assert_eq!(bench.log(), ["0 core 487"]);
        assert!(bench.seen[0].contains(";branch=z9hG4bKfirst\r\n"));
        assert_eq!(
            bench.proceed(handle, "z9hG4bKsecond", SECOND, None),
            Err(SendError::NoTransaction)
        );
        bench.assert_empty();
    }
}

#[test]
fn a_process_that_waits_gets_one_outcome() {
    let mut bench = Bench::new();
    let handle = bench.try_ask_with(&invite(), Some("a,b")).unwrap();
    bench.fail_transport(handle);
    assert_eq!(bench.collect(handle), "nothing");
    bench
        .proceed(handle, "z9hG4bKsecond", SECOND, None)
        .unwrap();
    let sent = under(&invite(), "z9hG4bKsecond");
    bench.receive(&response(&sent, 200, "b"));
    assert_eq!(bench.collect(handle), "200");
    assert_eq!(bench.seen, [response(&invite(), 200, "b")]);
    assert_eq!(bench.collect(handle), "gone");
    // One that dies between two targets takes its INVITE with it, and no other request.
    for (text, left) in [(invite(), 0), (options(), 1)] {
        let mut bench = Bench::new();
        let handle = bench.try_ask_with(&text, Some("a,b")).unwrap();
        bench.fail_transport(handle);
        bench.abandon(handle);
        assert_eq!(bench.engine.len(), left);
    }
}

#[test]
fn what_is_terminated_goes_nowhere() {
    let mut bench = Bench::new();
    let handle = routed(&mut bench, &options());
    bench.fail_transport(handle);
    bench.quiet();
    assert!(bench.terminate(handle));
    assert!(
        bench
            .proceed(handle, "z9hG4bKsecond", SECOND, None)
            .is_err()
    );
    assert!(bench.log().is_empty());
    bench.assert_empty();
}

#[test]
fn a_late_response_of_a_target_that_was_left_changes_nothing() {
    let mut bench = Bench::new();
    second(&mut bench, &invite());
    bench.quiet();
    for status in [180, 200, 486] {
        bench.receive(&response(&invite(), status, "late"));
    }
    assert!(bench.log().is_empty());
    assert!(bench.seen.is_empty());
}

#[test]
fn a_2xx_of_the_second_target_gets_its_ack_again_13_2_2_4() {
    let mut bench = Bench::new();
    second(&mut bench, &invite());
    let sent = under(&invite(), "z9hG4bKsecond");
    bench.receive(&response(&sent, 200, "b"));
    bench
        .send_to(&ack(&invite(), "b", "z9hG4bKack"), THIRD)
        .unwrap();
    bench.quiet();
    bench.receive(&response(&sent, 200, "b"));
    assert_eq!(bench.log(), ["32000 send ACK to 192.0.2.3:5060"]);
}

#[test]
fn what_is_too_long_for_a_transport_is_said_and_left_18_1_1() {
    let config = Config {
        max_unreliable_bytes: 400,
        ..Config::default()
    };
    let subject = format!("Subject: {}\r\nContent-Length", "x".repeat(400));
    let long = options().replace("Content-Length", &subject);
    let mut bench = Bench::with(config);
    assert_eq!(bench.send(&long), Err(SendError::TooLong));
    bench.assert_empty();
    bench.reliable = true;
    let handle = bench.route(&long, "a,b").unwrap().unwrap();
    bench.fail_transport(handle);
    bench.reliable = false;
    let next = bench.proceed(handle, "z9hG4bKsecond", SECOND, None);
    assert_eq!(next, Err(SendError::TooLong));
    bench.reliable = true;
    bench
        .proceed(handle, "z9hG4bKsecond", SECOND, None)
        .unwrap();
    assert!(
        bench
            .sent
            .last()
            .unwrap()
            .text
            .contains("Via: SIP/2.0/TCP ")
    );
}

/// What may happen to one request, in any order.
#[derive(Debug, Clone)]
enum Happening {
    Wait(u64),
    /// A response to what was sent under one of the branches, the last being 0.
    Response(usize, u16),
    /// Of what was sent last, or before.
    TransportError(usize),
    Proceed(bool),
    GiveUp,
    Cancel,
    CoreCancels,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let codes = proptest::sample::select(vec![100u16, 180, 183, 200, 302, 486, 487, 503, 503, 503]);
    prop_oneof![
        3 => prop_oneof![0..600u64, 30_000..33_000u64].prop_map(Wait),
        4 => (0..3usize, codes).prop_map(|(n, c)| Response(n, c)),
        2 => (0..4usize).prop_map(TransportError),
        4 => any::<bool>().prop_map(Proceed),
        1 => Just(GiveUp),
        1 => Just(Cancel),
        1 => Just(CoreCancels),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_core_is_told_one_outcome_under_its_own_branch(
        happenings in proptest::collection::vec(happening(), 1..24),
        calls in any::<bool>(),
        reliable in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        bench.reliable = reliable;
        let text = if calls { invite() } else { options() };
        let handle = bench.route(&text, "more").unwrap().unwrap();
        let mut branches = vec!["z9hG4bKfirst".to_string()];
        for happening in &happenings {
            match happening {
                Happening::Wait(ms) => bench.at(bench.now + ms),
                Happening::Response(n, status) => {
                    let branch = &branches[branches.len() - 1 - n % branches.len()];
                    // Each target answers with a tag of its own, the same for the same branch.
                    bench.receive(&response(&under(&text, branch), *status, branch));
                }
                Happening::TransportError(n) => {
                    let sent: Vec<Handle> = bench.sent.iter().filter_map(|sent| sent.handle).collect();
                    if let Some(handle) = sent.get(sent.len().saturating_sub(1 + n)) {
                        bench.fail_transport(*handle);
                    }
                }
                Happening::Proceed(more) => {
                    let branch = format!("z9hG4bKnext{}", branches.len());
                    let plan = more.then_some("more");
                    if bench.proceed(handle, &branch, PEER, plan).is_ok() {
                        branches.push(branch);
                    }
                }
                Happening::GiveUp => bench.give_up(handle),
                Happening::Cancel => { let _ = bench.cancel(handle); }
                Happening::CoreCancels => {
                    // A core cancels what it has not seen the end of.
                    if calls && bench.state(handle).is_some() {
                        let _ = bench.send(&cancel(&text));
                    }
                }
            }
        }
        // Who looks for another target finds none from now on, and nobody answers.
        for _ in 0..3 {
            bench.at(bench.now + 700_000);
        }
        bench.assert_empty();
        let log = bench.log();
        for seen in &bench.seen {
            prop_assert!(seen.contains(";branch=z9hG4bKfirst"), "{}", seen);
        }
        let method = if calls { "CSeq: 314159 INVITE" } else { "CSeq: 314159 OPTIONS" };
        let finals = bench.seen.iter().filter(|seen| {
            let status: u16 = seen[8..11].parse().unwrap();
            seen.contains(method) && status >= 200
        });
        // A 2xx that its core has not acknowledged is shown again (RFC 6026 §7.2): told apart by the tag.
        let tags: std::collections::HashSet<&str> = finals
            .map(|seen| seen.split(";tag=").last().unwrap().split("\r\n").next().unwrap())
            .collect();
        let failures = log.iter().filter(|line| line.ends_with("core timeout") || line.contains("core transport"));
        // A CANCEL is a transaction too, and may fail; so may the ACK to a refusal.
        let failures = failures.count().min(1 + usize::from(calls));
        prop_assert!(tags.len() <= 1, "{:?}", bench.seen);
        prop_assert!(tags.len() + failures >= 1);
        if !calls {
            prop_assert_eq!(tags.len() + failures, 1);
        }
    }
}
