//! What the core is owed, and the runners that bring it: one at a time, in order, nothing lost.

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::{Class, Handle, Process, SendError, Verdict};

fn options(branch: &str) -> String {
    request("OPTIONS", branch)
}

fn began(verdict: Verdict) -> Handle {
    match verdict {
        Verdict::Began(handle) => handle,
        other => panic!("no transaction began, but {other:?}"),
    }
}

/// A request of the call, inside the dialog, by its CSeq number.
fn in_dialog(method: &str, number: u32) -> String {
    let text = request(method, &format!("z9hG4bKnext{number}"));
    let text = with_field(&text, "To", "Bob <sip:bob@biloxi.example>;tag=314159");
    with_field(&text, "CSeq", &format!("{number} {method}"))
}

fn ack_to_success(branch: &str) -> String {
    ack(&invite(), "314159", branch)
}

#[test]
fn a_transaction_has_one_runner_at_a_time_and_keeps_the_order() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&invite()).unwrap().unwrap();
    bench.receive(&response(&invite(), 100, ""));
    bench.receive(&response(&invite(), 180, "a"));
    assert_eq!(bench.log(), ["0 send INVITE", "0 run"]);
    assert_eq!(bench.begin(handle).as_deref(), Some("100"));
    bench.receive(&response(&invite(), 183, "a"));
    bench.receive(&response(&invite(), 200, "a"));
    assert!(bench.log().is_empty(), "a runner is at work");
    assert_eq!(bench.take(handle).as_deref(), Some("180"));
    assert_eq!(bench.take(handle).as_deref(), Some("183"));
    assert_eq!(bench.take(handle).as_deref(), Some("200"));
    assert_eq!(bench.take(handle), None);
    bench.receive(&response(&invite(), 200, "b"));
    assert_eq!(bench.log(), ["0 run"], "the next needs a new runner");
}

#[test]
fn transactions_do_not_wait_for_each_other() {
    let mut bench = Bench::by_hand();
    let first = began(bench.receive(&options("z9hG4bKone")));
    let second = began(bench.receive(&options("z9hG4bKtwo")));
    assert_eq!(bench.log(), ["0 run", "0 run"]);
    assert_eq!(bench.called, [first, second]);
    assert!(bench.begin(first).is_some());
    assert!(bench.begin(second).is_some());
}

#[test]
fn a_second_runner_gets_nothing_while_one_is_at_work_or_none_is_asked_for() {
    let mut bench = Bench::by_hand();
    let handle = began(bench.receive(&options("z9hG4bKone")));
    assert!(bench.begin(handle).is_some());
    assert_eq!(bench.begin(handle), None);
    assert_eq!(bench.take(handle), None);
    assert_eq!(bench.begin(handle), None);
}

#[test]
fn a_runner_that_nobody_takes_up_is_asked_for_again_each_second() {
    let mut bench = Bench::by_hand();
    let handle = began(bench.receive(&options("z9hG4bKone")));
    bench.at(999);
    assert_eq!(bench.log(), ["0 run"]);
    bench.at(2_000);
    assert_eq!(bench.log(), ["1000 run", "2000 run"]);
    assert!(bench.begin(handle).is_some(), "the first comes late");
    assert_eq!(bench.begin(handle), None, "the second finds it at work");
    bench.at(3_000);
    assert!(bench.log().is_empty());
}

#[test]
fn provisional_responses_make_room_when_sixteen_wait_and_final_ones_never() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&invite()).unwrap().unwrap();
    for number in 0..100 {
        bench.receive(&response(&invite(), 101 + number % 80, "a"));
    }
    for fork in 0..16 {
        bench.receive(&response(&invite(), 200, &format!("fork{fork}")));
    }
    assert_eq!(bench.engine.info(handle).unwrap().queued, 16);
    assert_eq!(bench.engine.gauges().dropped_deliveries, 100);
    assert_eq!(bench.begin(handle).as_deref(), Some("200"));
    for _ in 1..16 {
        assert_eq!(bench.take(handle).as_deref(), Some("200"));
    }
    assert_eq!(bench.take(handle), None);
}

#[test]
fn the_oldest_provisional_response_makes_room_first() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&invite()).unwrap().unwrap();
    for number in 0..18 {
        bench.receive(&response(&invite(), 101 + number, "a"));
    }
    assert_eq!(bench.begin(handle).as_deref(), Some("103"));
}

#[test]
fn provisional_responses_are_told_by_their_status_however_they_are_framed() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&invite()).unwrap().unwrap();
    for _ in 0..1_000 {
        // §7.5: line ends before the start line are ignored.
        bench.receive(&format!("\r\n\r\n{}", response(&invite(), 180, "a")));
    }
    assert_eq!(bench.engine.info(handle).unwrap().queued, 16);
}

#[test]
fn a_failure_is_delivered_behind_what_waits() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&options("z9hG4bKone")).unwrap().unwrap();
    bench.receive(&response(&options("z9hG4bKone"), 100, ""));
    bench.at(32_000);
    assert_eq!(bench.state(handle), Some("terminated"));
    assert_eq!(bench.begin(handle).as_deref(), Some("100"));
    assert_eq!(bench.take(handle).as_deref(), Some("timeout"));
    assert_eq!(bench.take(handle), None);
    bench.assert_empty();
}

#[test]
fn a_runner_that_dies_leaves_the_rest_to_the_next() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&invite()).unwrap().unwrap();
    bench.receive(&response(&invite(), 180, "a"));
    bench.receive(&response(&invite(), 200, "a"));
    bench.begin(handle);
    bench.quiet();
    bench.fail_runner(handle);
    assert_eq!(bench.log(), ["0 run"]);
    assert_eq!(bench.begin(handle).as_deref(), Some("200"));
    assert_eq!(bench.take(handle), None);
}

#[test]
fn a_runner_that_dies_at_the_end_of_its_transaction_leaves_nothing() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&options("z9hG4bKone")).unwrap().unwrap();
    bench.at(32_000);
    bench.begin(handle);
    bench.fail_runner(handle);
    bench.assert_empty();
}

#[test]
fn the_death_of_no_runner_changes_nothing() {
    let mut bench = Bench::by_hand();
    let handle = began(bench.receive(&options("z9hG4bKone")));
    bench.quiet();
    bench.fail_runner(handle);
    assert!(bench.log().is_empty());
    assert!(bench.begin(handle).is_some());
    bench.take(handle);
    bench.fail_runner(handle);
    assert!(bench.log().is_empty(), "its callback had ended well");
}

#[test]
fn a_cancel_is_delivered_when_the_callback_of_its_invite_has_begun_9_2() {
    let mut bench = Bench::by_hand();
    let invited = began(bench.receive(&invite()));
    let cancelled = began(bench.receive(&cancel(&invite())));
    assert_eq!(bench.log(), ["0 run"]);
    assert_eq!(bench.begin(cancelled), None);
    bench.at(150);
    assert_eq!(bench.begin(invited).as_deref(), Some("INVITE"));
    assert_eq!(bench.log(), ["150 run"]);
    assert_eq!(bench.begin(cancelled).as_deref(), Some("CANCEL"));
}

#[test]
fn a_cancel_of_an_invite_that_its_core_has_seen_is_delivered_at_once_9_2() {
    let mut bench = Bench::by_hand();
    let invited = began(bench.receive(&invite()));
    bench.begin(invited);
    bench.quiet();
    let cancelled = began(bench.receive(&cancel(&invite())));
    assert_eq!(bench.log(), ["0 run"]);
    assert_eq!(bench.begin(cancelled).as_deref(), Some("CANCEL"));
}

#[test]
fn a_cancel_does_not_wait_for_what_else_its_invite_has_for_the_core_9_2() {
    let mut bench = Bench::by_hand();
    let invited = began(bench.receive(&invite()));
    bench.begin(invited);
    bench.respond(&response(&invite(), 180, "a")).unwrap();
    bench.fail_transport(invited);
    bench.quiet();
    bench.receive(&cancel(&invite()));
    assert_eq!(bench.log(), ["0 run"]);
}

/// The process behind whose INVITE a CANCEL is delivered.
fn behind(bench: &mut Bench, cancelled: Handle) -> Option<u64> {
    let taken = bench.engine.begin(bench.now, cancelled, &mut Vec::new());
    taken.unwrap().behind.map(Process::get)
}

#[test]
fn a_cancel_is_delivered_with_the_process_that_has_its_invite_9_2() {
    for cancel_first in [true, false] {
        let mut bench = Bench::by_hand();
        let invited = began(bench.receive(&invite()));
        let mut cancelled = cancel_first.then(|| began(bench.receive(&cancel(&invite()))));
        bench.engine.run_by(invited, Process::new(7).unwrap());
        assert_eq!(bench.begin(invited).as_deref(), Some("INVITE"));
        // One that comes late changes nothing.
        bench.engine.run_by(invited, Process::new(8).unwrap());
        assert_eq!(bench.begin(invited), None);
        let cancelled = *cancelled.get_or_insert_with(|| began(bench.receive(&cancel(&invite()))));
        assert_eq!(behind(&mut bench, cancelled), Some(7), "{cancel_first}");
    }
}

#[test]
fn a_cancel_whose_invite_the_core_is_done_with_waits_for_no_process_9_2() {
    let mut bench = Bench::by_hand();
    let invited = began(bench.receive(&invite()));
    bench.engine.run_by(invited, Process::new(7).unwrap());
    bench.begin(invited);
    assert_eq!(bench.take(invited), None);
    let cancelled = began(bench.receive(&cancel(&invite())));
    assert_eq!(behind(&mut bench, cancelled), None);
}

#[test]
fn a_transaction_is_open_as_long_as_its_callback_runs() {
    let mut bench = Bench::by_hand();
    bench.reliable = true;
    let handle = began(bench.receive(&options("z9hG4bKone")));
    bench.begin(handle);
    bench
        .respond(&response(&options("z9hG4bKone"), 200, "a"))
        .unwrap();
    assert_eq!(bench.state(handle), Some("terminated"));
    assert_eq!(bench.engine.len(), 1);
    assert_eq!(bench.take(handle), None);
    bench.assert_empty();
}

#[test]
fn a_cancel_is_delivered_when_its_invite_is_terminated_unseen() {
    let mut bench = Bench::by_hand();
    let invited = began(bench.receive(&invite()));
    let cancelled = began(bench.receive(&cancel(&invite())));
    bench.quiet();
    assert!(bench.terminate(invited));
    assert_eq!(bench.log(), ["0 run"]);
    assert_eq!(bench.begin(cancelled).as_deref(), Some("CANCEL"));
}

#[test]
fn a_request_waits_for_the_acks_of_its_call() {
    let mut bench = Bench::by_hand();
    assert_eq!(
        bench.receive(&ack_to_success("z9hG4bKack1")),
        Verdict::Delivered
    );
    assert_eq!(
        bench.receive(&ack_to_success("z9hG4bKack2")),
        Verdict::Delivered
    );
    let acks = bench.called.clone();
    bench.quiet();
    let bye = began(bench.receive(&in_dialog("BYE", 314_160)));
    assert!(bench.log().is_empty());
    assert_eq!(bench.begin(bye), None);
    assert_eq!(bench.begin(acks[0]).as_deref(), Some("ACK without key"));
    assert_eq!(bench.take(acks[0]), None);
    assert!(bench.log().is_empty(), "one more ACK is there");
    bench.begin(acks[1]);
    assert_eq!(bench.take(acks[1]), None);
    assert_eq!(bench.log(), ["0 run"]);
    assert_eq!(bench.begin(bye).as_deref(), Some("BYE"));
}

#[test]
fn a_request_waits_for_an_ack_one_second_and_no_longer() {
    let mut bench = Bench::by_hand();
    bench.receive(&ack_to_success("z9hG4bKack"));
    let ack = bench.called[0];
    assert!(bench.begin(ack).is_some(), "and its callback never ends");
    bench.quiet();
    let bye = began(bench.receive(&in_dialog("BYE", 314_160)));
    bench.at(999);
    assert!(bench.log().is_empty());
    bench.at(1_000);
    assert_eq!(bench.log(), ["1000 run"]);
    assert_eq!(bench.begin(bye).as_deref(), Some("BYE"));
    bench.take(ack);
    assert!(bench.log().is_empty(), "the gate opens for nobody");
}

#[test]
fn a_request_of_another_call_waits_for_no_ack() {
    let mut bench = Bench::by_hand();
    bench.receive(&ack_to_success("z9hG4bKack"));
    bench.quiet();
    bench.receive(&with_field(&options("z9hG4bKone"), "Call-ID", "another"));
    assert_eq!(bench.log(), ["0 run"]);
}

#[test]
fn the_gate_opens_when_the_runner_of_the_ack_dies() {
    let mut bench = Bench::by_hand();
    bench.receive(&ack_to_success("z9hG4bKack"));
    let ack = bench.called[0];
    bench.begin(ack);
    bench.receive(&in_dialog("BYE", 314_160));
    bench.quiet();
    bench.fail_runner(ack);
    assert_eq!(bench.log(), ["0 run"]);
}

#[test]
fn more_than_sixty_four_requests_do_not_wait_at_one_gate() {
    let mut bench = Bench::by_hand();
    bench.receive(&ack_to_success("z9hG4bKack"));
    bench.quiet();
    for number in 0..70 {
        bench.receive(&in_dialog("INFO", 400_000 + number));
    }
    assert_eq!(bench.log().len(), 6);
}

#[test]
fn terminate_drops_what_waits_and_tells_nobody() {
    let mut bench = Bench::by_hand();
    let handle = bench.send(&invite()).unwrap().unwrap();
    bench.receive(&response(&invite(), 180, "a"));
    bench.quiet();
    assert!(bench.terminate(handle));
    assert_eq!(bench.begin(handle), None);
    assert!(bench.log().is_empty());
    bench.assert_empty();
}

#[test]
fn terminate_lets_the_callback_under_way_finish() {
    let mut bench = Bench::by_hand();
    let handle = began(bench.receive(&options("z9hG4bKone")));
    bench.begin(handle);
    bench.quiet();
    assert!(bench.terminate(handle));
    assert_eq!(
        bench.respond(&response(&options("z9hG4bKone"), 200, "a")),
        Err(SendError::NoTransaction)
    );
    assert_eq!(bench.take(handle), None);
    assert!(bench.log().is_empty());
    bench.assert_empty();
}

#[test]
fn a_callback_that_fails_after_terminate_leaves_nothing() {
    let mut bench = Bench::by_hand();
    let handle = began(bench.receive(&options("z9hG4bKone")));
    bench.begin(handle);
    bench.quiet();
    bench.terminate(handle);
    bench.fail_runner(handle);
    assert!(bench.log().is_empty());
    bench.assert_empty();
}

#[test]
fn after_terminate_the_branch_is_free() {
    let mut bench = Bench::new();
    let handle = bench.send(&invite()).unwrap().unwrap();
    bench.terminate(handle);
    assert!(bench.send(&invite()).is_ok());
}

#[test]
fn the_handle_of_a_dead_transaction_finds_nothing() {
    let mut bench = Bench::by_hand();
    let dead = began(bench.receive(&options("z9hG4bKone")));
    bench.terminate(dead);
    let alive = began(bench.receive(&options("z9hG4bKtwo")));
    bench.quiet();
    assert_ne!(dead, alive);
    assert_eq!(bench.engine.info(dead), None);
    assert_eq!(bench.begin(dead), None);
    assert_eq!(bench.take(dead), None);
    assert!(!bench.terminate(dead));
    bench.fail_runner(dead);
    bench.fail_transport(dead);
    assert!(bench.log().is_empty());
    assert_eq!(bench.state(alive), Some("trying"));
    assert!(bench.begin(alive).is_some());
}

#[test]
fn a_call_leaves_nothing_behind() {
    let mut bench = Bench::new();
    bench.receive(&invite());
    bench
        .respond_until_ack(&response(&invite(), 200, "314159"))
        .unwrap();
    bench.receive(&ack_to_success("z9hG4bKack"));
    bench.receive(&in_dialog("BYE", 314_160));
    bench
        .respond(&response(&in_dialog("BYE", 314_160), 200, ""))
        .unwrap();
    bench.at(32_000);
    bench.assert_empty();
    assert_eq!(
        bench.log(),
        [
            "0 core INVITE",
            "0 send 200",
            "0 core ACK without key",
            "0 core BYE",
            "0 send 200"
        ]
    );
}

#[test]
fn clear_forgets_everything_in_bounded_steps() {
    let mut bench = Bench::by_hand();
    for number in 0..100 {
        bench.receive(&options(&format!("z9hG4bK{number}")));
    }
    let mut steps = 1;
    while !bench.engine.clear(30, &mut Vec::new()) {
        steps += 1;
    }
    assert_eq!(steps, 4);
    bench.assert_empty();
    bench.at(100_000);
    let handle = began(bench.receive(&options("z9hG4bK1")));
    assert!(bench.begin(handle).is_some());
}

#[test]
fn list_shows_every_open_transaction_once_in_pages() {
    let mut bench = Bench::by_hand();
    for number in 0..2_500 {
        bench.receive(&options(&format!("z9hG4bK{number}")));
    }
    let (mut names, mut from) = (Vec::new(), Some(0));
    while let Some(slot) = from {
        let (page, next) = bench.engine.list(slot, 100);
        assert!(page.len() <= 100);
        names.extend(page.iter().map(|info| info.name.branch().to_vec()));
        from = next;
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 2_500);
}

#[test]
fn only_what_belongs_to_no_transaction_may_be_refused() {
    let mut bench = Bench::new();
    let invite = invite();
    assert_eq!(bench.class_of(&invite), Some(Class::Outside));
    let options = request("OPTIONS", "z9hG4bKo");
    assert_eq!(bench.class_of(&options), Some(Class::Outside));
    let bye = in_dialog("BYE", 2);
    assert_eq!(bench.class_of(&bye), Some(Class::Inside));
    assert_eq!(bench.class_of(&cancel(&invite)), None);
    // An ACK that matches nothing goes to the core, and may be one of a flood.
    let success = ack(&invite, "here", "z9hG4bKack");
    assert_eq!(bench.class_of(&success), Some(Class::Inside));

    // Repetitions are not refused, nor is the ACK that a 2xx waits for.
    for text in [&invite, &options, &bye] {
        bench.receive(text);
        assert_eq!(bench.class_of(text), None, "{text}");
    }
    bench
        .respond_until_ack(&response(&invite, 200, "here"))
        .unwrap();
    assert_eq!(bench.class_of(&success), None);
    let other = ack(&invite, "there", "z9hG4bKother");
    assert_eq!(bench.class_of(&other), Some(Class::Inside));
}
