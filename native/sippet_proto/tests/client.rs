//! The non-INVITE client transaction on a virtual clock (§17.1.2).

mod engine;

use engine::Bench;
use engine::text::*;
use sippet_proto::transaction::Handle;

fn options() -> String {
    request("OPTIONS", "z9hG4bKnashds7")
}

fn trying(bench: &mut Bench) -> Handle {
    let handle = bench.send(&options()).unwrap().unwrap();
    assert_eq!(bench.state(handle), Some("trying"));
    handle
}

#[test]
fn timer_e_doubles_up_to_t2_until_timer_f_ends_it_17_1_2_2() {
    let mut bench = Bench::new();
    trying(&mut bench);
    bench.at(100_000);
    let mut expected: Vec<String> = [
        0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ]
    .iter()
    .map(|at| format!("{at} send OPTIONS"))
    .collect();
    expected.push("32000 core timeout".into());
    assert_eq!(bench.log(), expected);
    bench.assert_empty();
}

#[test]
fn over_a_reliable_transport_there_is_timer_f_and_no_timer_e_17_1_2_2() {
    let mut bench = Bench::reliable();
    trying(&mut bench);
    bench.at(100_000);
    assert_eq!(bench.log(), ["0 send OPTIONS", "32000 core timeout"]);
    bench.assert_empty();
}

#[test]
fn after_a_provisional_response_timer_e_is_t2_from_its_next_firing_17_1_2_2() {
    let mut bench = Bench::new();
    let handle = trying(&mut bench);
    bench.at(600);
    bench.receive(&response(&options(), 100, ""));
    assert_eq!(bench.state(handle), Some("proceeding"));
    bench.at(100_000);
    assert_eq!(
        bench.log(),
        [
            "0 send OPTIONS",
            "500 send OPTIONS",
            "600 core 100",
            "1500 send OPTIONS",
            "5500 send OPTIONS",
            "9500 send OPTIONS",
            "13500 send OPTIONS",
            "17500 send OPTIONS",
            "21500 send OPTIONS",
            "25500 send OPTIONS",
            "29500 send OPTIONS",
            "32000 core timeout",
        ]
    );
    bench.assert_empty();
}

#[test]
fn a_final_response_goes_up_once_and_repetitions_are_absorbed_for_timer_k_17_1_2_2() {
    for status_code in [200, 302, 404, 503, 603] {
        let mut bench = Bench::new();
        let handle = trying(&mut bench);
        bench.at(100);
        bench.receive(&response(&options(), status_code, "a"));
        assert_eq!(bench.state(handle), Some("completed"));
        bench.at(600);
        bench.receive(&response(&options(), status_code, "a"));
        bench.receive(&response(&options(), 100, ""));
        bench.at(5_099);
        assert_eq!(bench.state(handle), Some("completed"));
        bench.at(5_100);
        assert_eq!(
            bench.log(),
            [
                "0 send OPTIONS".to_string(),
                format!("100 core {status_code}")
            ]
        );
        bench.assert_empty();
    }
}

#[test]
fn over_a_reliable_transport_timer_k_is_zero_17_1_2_2() {
    let mut bench = Bench::reliable();
    trying(&mut bench);
    bench.receive(&response(&options(), 200, "a"));
    assert_eq!(bench.log(), ["0 send OPTIONS", "0 core 200"]);
    bench.assert_empty();
}

#[test]
fn a_final_response_in_proceeding_ends_as_one_in_trying_17_1_2_2() {
    let mut bench = Bench::new();
    let handle = trying(&mut bench);
    bench.receive(&response(&options(), 100, ""));
    bench.receive(&response(&options(), 200, "a"));
    assert_eq!(bench.state(handle), Some("completed"));
    bench.at(100_000);
    assert_eq!(bench.log(), ["0 send OPTIONS", "0 core 100", "0 core 200"]);
    bench.assert_empty();
}

#[test]
fn a_transport_error_ends_trying_and_proceeding_and_the_core_is_told_17_1_2_2() {
    for provisional in [false, true] {
        let mut bench = Bench::new();
        let handle = trying(&mut bench);
        if provisional {
            bench.receive(&response(&options(), 100, ""));
        }
        bench.quiet();
        bench.fail_transport(handle);
        assert_eq!(bench.log(), ["0 core transport econnrefused"]);
        bench.assert_empty();
    }
}

#[test]
fn a_transport_error_after_the_final_response_changes_nothing() {
    let mut bench = Bench::new();
    let handle = trying(&mut bench);
    bench.receive(&response(&options(), 200, "a"));
    bench.quiet();
    bench.fail_transport(handle);
    assert_eq!(bench.state(handle), Some("completed"));
    assert!(bench.log().is_empty());
}

#[test]
fn a_response_belongs_to_the_branch_and_the_method_of_its_cseq_17_1_3() {
    let mut bench = Bench::new();
    trying(&mut bench);
    bench.quiet();
    let elsewhere = with_branch(&options(), "z9hG4bKnashds8");
    let other_method = with_method(&options(), "INFO");
    bench.receive(&response(&elsewhere, 200, "a"));
    bench.receive(&response(&other_method, 200, "a"));
    assert!(bench.log().is_empty());
    let spelled = with_branch(&options(), "z9hg4bKNASHDS7");
    bench.receive(&response(&spelled, 200, "a"));
    assert_eq!(bench.log(), ["0 core 200"]);
}
