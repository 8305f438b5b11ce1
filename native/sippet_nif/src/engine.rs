//! The functions of the transaction engine. Each takes one lock for one step; terms are made when it is free again.
//!
//! Answers are `{:ok, effects}` or `{:error, reason}`; the effects, in their order, are for the calling process:
//!
//!   * `{:transmit, address | nil, transport, connection, destination, binary}`
//!   * `{:run, address}`
//!   * `{:wake, caller}`
//!   * `{:failover, address, key, plan, :timeout | {:transport, reason} | {:response, binary}}`
//!   * `{:report, what, details}`, where somebody listens: see `report`

mod callers;
mod control;
mod inspect;
mod lifecycle;
mod receive;
mod report;
mod routes;
mod runner;
mod send;

use rustler::Env;
use sippet_proto::transaction::Effect;

use crate::stack::{Address, Placed, StackArc};
use crate::term::{Raw, Vm};
use crate::{atoms, flow};

fn plain_step<'a>(
    env: Env<'a>,
    stack: &StackArc,
    shard: usize,
    run: impl FnOnce(&mut sippet_proto::transaction::Engine, u64, &mut Vec<Effect>),
) -> Raw<'a> {
    let vm = Vm::new(env);
    if stack.is_closed() {
        return stopped(vm);
    }
    let mut effects = Vec::new();
    stack.step(env, shard, &mut effects, run);
    let placed: Vec<Placed> = effects.into_iter().map(|effect| (shard, effect)).collect();
    ok(vm, &placed)
}

fn ok<'a>(vm: Vm<'a>, placed: &[Placed]) -> Raw<'a> {
    vm.tuple([atoms::get().ok.into(), effects_term(vm, placed)])
}

fn stopped(vm: Vm<'_>) -> Raw<'_> {
    let atoms = atoms::get();
    vm.tuple([atoms.error.into(), atoms.stopped.into()])
}

fn effects_term<'a>(vm: Vm<'a>, placed: &[Placed]) -> Raw<'a> {
    let atoms = atoms::get();
    let address = |shard: usize, handle| vm.wide(Address { shard, handle }.to_bits());
    let mut list = vm.empty_list();
    for (shard, effect) in placed.iter().rev() {
        let term = match effect {
            Effect::Transmit {
                target,
                bytes,
                handle,
            } => vm.tuple([
                atoms.transmit.into(),
                handle.map_or(atoms.nil.into(), |handle| address(*shard, handle)),
                vm.integer(target.flow.transport),
                vm.wide(target.flow.connection),
                flow::destination_term(vm, &target.destination),
                vm.copy(bytes),
            ]),
            Effect::StartRunner(handle) => vm.tuple([atoms.run.into(), address(*shard, *handle)]),
            Effect::Wake(caller) => vm.tuple([atoms.wake.into(), vm.copy(caller)]),
            Effect::Reroute(reroute) => routes::term(vm, address(*shard, reroute.handle), reroute),
            Effect::Report(report) => report::term(vm, report),
        };
        list = vm.cons(term, list);
    }
    list
}
