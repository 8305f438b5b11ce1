//! Requests that may go to several targets, one after another.

use rustler::{Atom, Env, NifResult, Term};
use sippet_proto::Bytes;
use sippet_proto::transaction::{
    Continuation, Flow, Listener, OutgoingRequest, Reroute, Setback, Target,
};

use super::callers::{place, watch};
use super::runner::key_term;
use super::send::{send, send_error};
use super::{effects_term, ok, plain_step, stopped};
use crate::atoms;
use crate::flow;
use crate::stack::{Address, StackArc};
use crate::term::{Raw, Vm};

/// `{:failover, address, key, plan, why}`
pub fn term<'a>(vm: Vm<'a>, address: Raw<'a>, reroute: &Reroute) -> Raw<'a> {
    let atoms = atoms::get();
    let why = match &reroute.setback {
        Setback::Timeout => atoms.timeout.into(),
        Setback::Transport(reason) => vm.tuple([atoms.transport.into(), vm.copy(reason)]),
        Setback::Unavailable(response) => {
            vm.tuple([atoms.response.into(), vm.copy(&response.bytes)])
        }
    };
    vm.tuple([
        atoms.failover.into(),
        address,
        key_term(vm, &reroute.name, true),
        vm.copy(&reroute.plan),
        why,
    ])
}

/// Where a request goes, `{transport, connection, destination, reliable, any_length}`.
struct Way {
    target: Target,
    reliable: bool,
    any_length: bool,
}

impl Way {
    fn of<'a>(vm: Vm<'a>, term: Raw<'a>) -> Option<Way> {
        let [transport, connection, destination, reliable, any_length] = *vm.tuple_of::<5>(term)?;
        let flag = |term: Raw<'a>| term == atoms::get().true_.into();
        Some(Way {
            target: Target {
                flow: Flow {
                    transport: u32::try_from(vm.number(transport)?).ok()?,
                    connection: u64::try_from(vm.number(connection)?).ok()?,
                },
                destination: flow::destination(vm, destination)?,
            },
            reliable: flag(reliable),
            any_length: flag(any_length),
        })
    }
}

/// `nif_engine_route(stack, message, way, plan, caller)`: as `engine_send_request`, or with a caller as `engine_request`; the
/// plan comes back when the target fails, nil for none: `{:ok, address | nil, effects}` or `{:error, reason}`.
#[rustler::nif]
fn nif_engine_route<'a>(
    env: Env<'a>,
    stack: StackArc,
    message: Term<'a>,
    way: Term<'a>,
    plan: Term<'a>,
    caller: Term<'a>,
) -> NifResult<Term<'a>> {
    route(env, &stack, message, way, plan, caller)
}

/// `nif_engine_route` for a long body.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_engine_route_dirty<'a>(
    env: Env<'a>,
    stack: StackArc,
    message: Term<'a>,
    way: Term<'a>,
    plan: Term<'a>,
    caller: Term<'a>,
) -> NifResult<Term<'a>> {
    route(env, &stack, message, way, plan, caller)
}

fn route<'a>(
    env: Env<'a>,
    stack: &StackArc,
    message: Term<'a>,
    way: Term<'a>,
    plan: Term<'a>,
    caller: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let way = Way::of(vm, way.into()).ok_or(rustler::Error::BadArg)?;
    let plan = vm.bytes(plan.into()).map(Bytes::copy_from_slice);
    let caller = vm.bytes(caller.into()).map(Bytes::copy_from_slice);
    let waits = caller.is_some();
    let mut begun = None;
    let mut effects = Vec::new();
    let answer = send(env, stack, message, |message, bytes, _| {
        let request =
            OutgoingRequest::new(message, &stack.keys, bytes, way.target, way.reliable).ok()?;
        let request = OutgoingRequest {
            listener: caller.map_or(Listener::Core, Listener::Caller),
            plan,
            any_length: way.any_length,
            ..request
        };
        let shard = stack.shard_of(request.call);
        let result = stack.step(env, shard, &mut effects, |engine, now, effects| {
            engine.send_request(now, request, effects)
        })?;
        if let Ok(handle) = result {
            begun = Some((shard, handle));
        }
        Some((shard, result.map(|_| ())))
    });
    let Some((shard, handle)) = begun else {
        return Ok(vm.term(answer));
    };
    let placed: Vec<_> = effects.into_iter().map(|effect| (shard, effect)).collect();
    let address = match handle {
        Some(handle) => {
            let address = Address { shard, handle };
            if waits {
                watch(env, stack, address);
            }
            vm.wide(address.to_bits())
        }
        None => atoms::get().nil.into(),
    };
    Ok(vm.term(vm.tuple([atoms::get().ok.into(), address, effects_term(vm, &placed)])))
}

/// `engine_proceed(stack, address, branch, protocol, port, way, plan)`: a request that has lost its target goes on to this one. The
/// port is nil where that of sent-by stays.
#[rustler::nif(schedule = "DirtyCpu")]
#[allow(
    clippy::too_many_arguments,
    reason = "they are the arguments of the function in Elixir"
)]
fn engine_proceed<'a>(
    env: Env<'a>,
    stack: StackArc,
    address: u64,
    branch: Term<'a>,
    protocol: Term<'a>,
    port: Option<u16>,
    way: Term<'a>,
    plan: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let bad = || rustler::Error::BadArg;
    let branch = vm.bytes(branch.into()).ok_or_else(bad)?;
    let protocol = vm.bytes(protocol.into()).ok_or_else(bad)?;
    let way = Way::of(vm, way.into()).ok_or_else(bad)?;
    if stack.is_closed() {
        return Ok(vm.term(stopped(vm)));
    }
    let next = Continuation {
        branch,
        protocol,
        port,
        target: way.target,
        reliable: way.reliable,
        plan: vm.bytes(plan.into()).map(Bytes::copy_from_slice),
        any_length: way.any_length,
    };
    let address = Address::from_bits(address);
    let mut effects = Vec::new();
    let result = stack.step(env, address.shard, &mut effects, |engine, now, effects| {
        engine.proceed(now, address.handle, next, effects)
    });
    let atoms = atoms::get();
    Ok(vm.term(match result {
        Some(Ok(())) => ok(vm, &place(address, effects)),
        Some(Err(error)) => vm.tuple([atoms.error.into(), send_error(error).into()]),
        None => vm.tuple([atoms.error.into(), atoms.no_transaction.into()]),
    }))
}

/// `engine_give_up(stack, address)`: a request that has lost its target has no other.
#[rustler::nif]
fn engine_give_up(env: Env<'_>, stack: StackArc, address: u64) -> Term<'_> {
    let vm = Vm::new(env);
    let Address { shard, handle } = Address::from_bits(address);
    vm.term(plain_step(env, &stack, shard, |engine, now, effects| {
        engine.give_up(now, handle, effects);
    }))
}

/// `engine_target(stack, key)`: where a transaction's messages go, `{transport, connection, destination}`; nil if it is not open.
#[rustler::nif]
fn engine_target<'a>(env: Env<'a>, stack: StackArc, key: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let found = super::control::find(vm, &stack, key.into()).ok_or(rustler::Error::BadArg)?;
    let way = found.and_then(|Address { shard, handle }| {
        stack.look(shard, |engine| engine.target(handle).cloned())?
    });
    let nil: Atom = atoms::get().nil;
    Ok(vm.term(match way {
        Some(target) => vm.tuple([
            vm.integer(target.flow.transport),
            vm.wide(target.flow.connection),
            flow::destination_term(vm, &target.destination),
        ]),
        None => nil.into(),
    }))
}
