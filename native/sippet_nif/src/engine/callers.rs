//! The functions for processes that wait for the response to their own request.

use rustler::{Env, NifResult, Term};
use sippet_proto::Bytes;
use sippet_proto::transaction::{
    Collected, Delivery, Flow, Listener, OutgoingRequest, SendError, Target,
};

use super::control::find;
use super::runner::{failure_term, message_term};
use super::send::{send, send_error};
use super::{effects_term, ok, stopped};
use crate::atoms;
use crate::flow;
use crate::scratch;
use crate::stack::{Address, Placed, StackArc};
use crate::term::Vm;
use crate::words::Words;

/// `nif_engine_request(stack, message, transport, connection, destination, reliable, caller)`: as `engine_send_request`,
/// for the calling process to wait for: `{:ok, address, effects}` or `{:error, reason}`. `caller` comes back in the effects
/// that wake it.
#[rustler::nif]
#[allow(
    clippy::too_many_arguments,
    reason = "they are the arguments of the function in Elixir"
)]
fn nif_engine_request<'a>(
    env: Env<'a>,
    stack: StackArc,
    message: Term<'a>,
    transport: u32,
    connection: u64,
    destination: Term<'a>,
    reliable: bool,
    caller: Term<'a>,
) -> NifResult<Term<'a>> {
    let flow = Flow {
        transport,
        connection,
    };
    request(env, &stack, message, flow, destination, reliable, caller)
}

/// `nif_engine_request` for a long body.
#[rustler::nif(schedule = "DirtyCpu")]
#[allow(
    clippy::too_many_arguments,
    reason = "they are the arguments of the function in Elixir"
)]
fn nif_engine_request_dirty<'a>(
    env: Env<'a>,
    stack: StackArc,
    message: Term<'a>,
    transport: u32,
    connection: u64,
    destination: Term<'a>,
    reliable: bool,
    caller: Term<'a>,
) -> NifResult<Term<'a>> {
    let flow = Flow {
        transport,
        connection,
    };
    request(env, &stack, message, flow, destination, reliable, caller)
}

fn request<'a>(
    env: Env<'a>,
    stack: &StackArc,
    message: Term<'a>,
    flow: Flow,
    destination: Term<'a>,
    reliable: bool,
    caller: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let destination = flow::destination(vm, destination.into()).ok_or(rustler::Error::BadArg)?;
    let caller = vm.bytes(caller.into()).ok_or(rustler::Error::BadArg)?;
    let target = Target { flow, destination };
    let mut begun = None;
    let mut effects = Vec::new();
    let answer = send(env, stack, message, |message, bytes, _| {
        let request = OutgoingRequest::new(message, &stack.keys, bytes, target, reliable).ok()?;
        let request = OutgoingRequest {
            listener: Listener::Caller(Bytes::copy_from_slice(caller)),
            ..request
        };
        let shard = stack.shard_of(request.call);
        let result = stack.step(env, shard, &mut effects, |engine, now, effects| {
            engine.send_request(now, request, effects)
        })?;
        if let Ok(Some(handle)) = result {
            begun = Some(Address { shard, handle });
        }
        Some((shard, result.map(|_| ())))
    });
    let Some(address) = begun else {
        return Ok(vm.term(answer));
    };
    watch(env, stack, address);
    let placed = place(address, effects);
    Ok(vm.term(vm.tuple([
        atoms::get().ok.into(),
        vm.wide(address.to_bits()),
        effects_term(vm, &placed),
    ])))
}

/// `nif_engine_collect(stack, address, words)`: what there is for the calling process, which waits:
///
///   * `{:response, message, cancelled, effects}` - the last one if it is final
///   * `{:failed, reason, cancelled, effects}` - the last one
///   * `{:nothing, effects}`
///   * `{:terminated, effects}` - others have ended the transaction
///   * `{:error, :stopped}`
#[rustler::nif]
fn nif_engine_collect<'a>(
    env: Env<'a>,
    stack: StackArc,
    address: u64,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let words = Words::new(vm, words.into()).ok_or(rustler::Error::BadArg)?;
    let address = Address::from_bits(address);
    if stack.is_closed() {
        forget(env, &stack, address);
        return Ok(vm.term(stopped(vm)));
    }
    let mut effects = Vec::new();
    let collected = stack.step(env, address.shard, &mut effects, |engine, now, effects| {
        engine.collect(now, address.handle, effects)
    });
    let placed = place(address, effects);
    let effects = effects_term(vm, &placed);
    let taken = match collected {
        Some(Collected::Taken(taken)) => taken,
        Some(Collected::Nothing) => return Ok(vm.term(vm.tuple([atoms.nothing.into(), effects]))),
        Some(Collected::Gone) | None => {
            forget(env, &stack, address);
            return Ok(vm.term(vm.tuple([atoms.terminated.into(), effects])));
        }
    };
    if taken.status_code.is_none_or(|code| code >= 200) {
        forget(env, &stack, address);
    }
    let cancelled = if taken.cancelled {
        atoms.true_
    } else {
        atoms.false_
    };
    let (what, first) = match &taken.delivery {
        Delivery::Request { bytes, source, .. } | Delivery::Response { bytes, source, .. } => {
            let message =
                scratch::with(|arena, _| message_term(vm, bytes, source, &stack, words, arena));
            // It was parsed when it came.
            (atoms.response, message.ok_or(rustler::Error::BadArg)?)
        }
        Delivery::Failed(failure) => (atoms.failed, failure_term(vm, failure)),
    };
    Ok(vm.term(vm.tuple([what.into(), first, cancelled.into(), effects])))
}

/// `engine_abandon(stack, address)`: the calling process waits no more; its INVITE is cancelled.
#[rustler::nif]
fn engine_abandon(env: Env<'_>, stack: StackArc, address: u64) -> Term<'_> {
    let vm = Vm::new(env);
    let address = Address::from_bits(address);
    forget(env, &stack, address);
    vm.term(super::plain_step(
        env,
        &stack,
        address.shard,
        |engine, now, effects| engine.abandon(now, address.handle, effects),
    ))
}

/// `engine_cancel(stack, key)`: cancels the INVITE of a client key, `{branch, method}`.
#[rustler::nif]
fn engine_cancel<'a>(env: Env<'a>, stack: StackArc, key: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    if stack.is_closed() {
        return Ok(vm.term(stopped(vm)));
    }
    let address = find(vm, &stack, key.into()).ok_or(rustler::Error::BadArg)?;
    let mut effects = Vec::new();
    let cancelled = address.and_then(|Address { shard, handle }| {
        stack.step(env, shard, &mut effects, |engine, now, effects| {
            engine.cancel(now, handle, effects)
        })
    });
    Ok(vm.term(match (address, cancelled) {
        // A CANCEL of the core's own is as good.
        (Some(address), Some(Ok(()) | Err(SendError::AlreadyStarted))) => {
            ok(vm, &place(address, effects))
        }
        (_, Some(Err(error))) => vm.tuple([atoms.error.into(), send_error(error).into()]),
        _ => vm.tuple([atoms.error.into(), atoms.no_transaction.into()]),
    }))
}

/// The calling process waits for this transaction from here on.
pub fn watch(env: Env<'_>, stack: &StackArc, address: Address) {
    let pid = env.pid();
    // It is alive: it calls this.
    if let Some(monitor) = env.monitor(stack, &pid) {
        stack.add_caller(env, &pid, address, monitor);
    }
}

fn forget(env: Env<'_>, stack: &StackArc, address: Address) {
    if let Some(monitor) = stack.remove_caller(env, &env.pid(), address) {
        env.demonitor(stack, &monitor);
    }
}

pub fn place(address: Address, effects: Vec<sippet_proto::transaction::Effect>) -> Vec<Placed> {
    let shard = address.shard;
    effects.into_iter().map(|effect| (shard, effect)).collect()
}
