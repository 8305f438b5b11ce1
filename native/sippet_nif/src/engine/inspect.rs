//! Looks into the engine.

use rustler::{Env, NifResult, Term};
use sippet_proto::transaction::Info;

use super::{control::find, runner::key_term};
use crate::atoms;
use crate::stack::{Address, StackArc};
use crate::term::{Raw, Vm};

/// How many transactions one page of `engine_list` holds at most.
const PAGE: usize = 100;

/// `engine_list(stack, shard, slot)`: `{infos, {shard, slot} | nil}`.
#[rustler::nif]
fn engine_list(env: Env<'_>, stack: StackArc, shard: usize, slot: u32) -> Term<'_> {
    let vm = Vm::new(env);
    let now = stack.now();
    let (infos, next) = stack
        .look(shard, |engine| engine.list(slot, PAGE))
        .unwrap_or_default();
    let next = match next {
        Some(slot) => vm.tuple([vm.wide(shard as u64), vm.integer(slot)]),
        None if shard + 1 < stack.shards() => vm.tuple([vm.wide(shard as u64 + 1), vm.integer(0)]),
        None => atoms::get().nil.into(),
    };
    let mut list = vm.empty_list();
    for info in infos.iter().rev() {
        list = vm.cons(info_term(vm, info, now), list);
    }
    vm.term(vm.tuple([list, next]))
}

/// `engine_info(stack, key)`: a map, or nil.
#[rustler::nif]
fn engine_info<'a>(env: Env<'a>, stack: StackArc, key: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let address = find(vm, &stack, key.into()).ok_or(rustler::Error::BadArg)?;
    let info = address
        .and_then(|Address { shard, handle }| stack.look(shard, |engine| engine.info(handle))?);
    Ok(vm.term(match info {
        Some(info) => info_term(vm, &info, stack.now()),
        None => atoms::get().nil.into(),
    }))
}

fn info_term<'a>(vm: Vm<'a>, info: &Info, now: u64) -> Raw<'a> {
    let atoms = atoms::get();
    let role = if info.client {
        atoms.client
    } else {
        atoms.server
    };
    vm.map(
        &[
            atoms.key.into(),
            atoms.role.into(),
            atoms.state.into(),
            atoms.age_ms.into(),
            atoms.queued.into(),
            atoms.bytes.into(),
        ],
        &[
            key_term(vm, &info.name, info.client),
            role.into(),
            atoms.state(info.state).into(),
            vm.wide(now.saturating_sub(info.created_ms)),
            vm.wide(info.queued as u64),
            vm.wide(info.bytes as u64),
        ],
    )
}

/// `engine_select_open(stack, addresses)`: those whose transactions are still open.
#[rustler::nif]
fn engine_select_open(stack: StackArc, addresses: Vec<u64>) -> Vec<u64> {
    let is_open = |bits: &u64| {
        let Address { shard, handle } = Address::from_bits(*bits);
        stack.look(shard, |engine| engine.is_open(handle)) == Some(true)
    };
    addresses.into_iter().filter(is_open).collect()
}

/// `engine_count(stack)`: how many transactions are open.
#[rustler::nif]
fn engine_count(stack: StackArc) -> usize {
    (0..stack.shards())
        .filter_map(|shard| stack.look(shard, |engine| engine.len()))
        .sum()
}

/// `engine_counters(stack)`: `[{name, value}]`
#[rustler::nif]
fn engine_counters(env: Env<'_>, stack: StackArc) -> Term<'_> {
    let vm = Vm::new(env);
    let mut totals = sippet_proto::transaction::Gauges::default();
    for shard in 0..stack.shards() {
        let gauges = stack
            .look(shard, |engine| engine.gauges())
            .unwrap_or_default();
        totals.retransmissions += gauges.retransmissions;
        totals.dropped_deliveries += gauges.dropped_deliveries;
        totals.refused_requests += gauges.refused_requests;
        totals.absorbed_messages += gauges.absorbed_messages;
    }
    let mut list = vm.empty_list();
    for (name, value) in stack.counters.values(totals) {
        let pair = vm.tuple([atoms::get().counter(name).into(), vm.wide(value)]);
        list = vm.cons(pair, list);
    }
    vm.term(list)
}
