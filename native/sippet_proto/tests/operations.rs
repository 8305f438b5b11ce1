//! Random operations on an engine: no panic, no two runners of one transaction, bounded queues, and nothing left when
//! everything has stopped and time runs on.

mod engine;
#[path = "operations/mod.rs"]
mod operations;

use operations::{Operation, World, live};
use proptest::prelude::*;
use sippet_proto::transaction::Config;

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let pool = 0..12usize;
    let tag = 0..3usize;
    let codes = proptest::sample::select(vec![100u16, 180, 183, 200, 202, 302, 486, 487, 503, 603]);
    prop_oneof![
        4 => pool.clone().prop_map(Receive),
        2 => (pool.clone(), tag.clone(), any::<bool>()).prop_map(|(n, t, b)| ReceiveAck(n, t, b)),
        1 => pool.clone().prop_map(ReceiveCancel),
        4 => (pool.clone(), codes.clone(), tag.clone()).prop_map(|(n, c, t)| ReceiveResponse(n, c, t)),
        1 => (pool.clone(), codes.clone()).prop_map(|(n, c)| ReceiveCancelResponse(n, c)),
        3 => pool.clone().prop_map(Send),
        1 => (pool.clone(), tag.clone()).prop_map(|(n, t)| SendAck(n, t)),
        1 => pool.clone().prop_map(SendCancel),
        4 => (pool.clone(), codes.clone(), tag.clone(), any::<bool>()).prop_map(|(n, c, t, u)| Respond(n, c, t, u)),
        1 => pool.clone().prop_map(RespondToCancel),
        2 => pool.clone().prop_map(Ask),
        4 => any::<usize>().prop_map(Collect),
        1 => any::<usize>().prop_map(Abandon),
        1 => any::<usize>().prop_map(Cancel),
        2 => (pool, any::<bool>()).prop_map(|(n, w)| Route(n, w)),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(n, m)| Proceed(n, m)),
        1 => any::<usize>().prop_map(GiveUp),
        3 => (0..6usize, codes, tag).prop_map(|(n, c, t)| ReceiveLate(n, c, t)),
        5 => any::<usize>().prop_map(Begin),
        5 => any::<usize>().prop_map(Take),
        1 => any::<usize>().prop_map(Die),
        1 => any::<usize>().prop_map(TransportError),
        1 => any::<usize>().prop_map(Terminate),
        3 => prop_oneof![0..50u64, 0..1_100u64, 0..40_000u64].prop_map(Wait),
        1 => (0..100_000u64).prop_map(Late),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn nothing_is_left_when_time_runs_on(
        operations in proptest::collection::vec(operation(), 1..120),
        reliable in any::<bool>(),
    ) {
        live(&operations, Config::default(), reliable);
    }

    #[test]
    fn nor_with_little_room_and_every_option(
        operations in proptest::collection::vec(operation(), 1..120),
        max_transactions in 1..12usize,
    ) {
        let config = Config {
            max_transactions,
            reject_merged: true,
            deliver_stray_responses: true,
            ..Config::default()
        };
        live(&operations, config, false);
    }

    #[test]
    fn the_same_operations_have_the_same_effects(
        operations in proptest::collection::vec(operation(), 1..80),
    ) {
        let logs: Vec<Vec<String>> = (0..2)
            .map(|_| {
                let mut world = World::new(Config::default(), false);
                operations.iter().for_each(|operation| world.carry_out(operation));
                world.bench.log()
            })
            .collect();
        prop_assert_eq!(&logs[0], &logs[1]);
    }
}
