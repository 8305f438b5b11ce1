//! What happens to a transaction otherwise: errors, ends, time.

use rustler::schedule::consume_timeslice;
use rustler::{Atom, Env, NifResult, Term};
use sippet_proto::Bytes;

use super::{effects_term, ok, plain_step, stopped};
use crate::decode::Decoder;
use crate::stack::{Address, Outlook, StackArc};
use crate::term::{Raw, Vm};
use crate::{atoms, scratch};

/// `engine_transport_error(stack, address, reason)`: a transmission failed; `reason` is in the external term format.
#[rustler::nif]
fn engine_transport_error<'a>(
    env: Env<'a>,
    stack: StackArc,
    address: u64,
    reason: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let reason = vm.bytes(reason.into()).ok_or(rustler::Error::BadArg)?;
    let reason = Bytes::copy_from_slice(reason);
    let Address { shard, handle } = Address::from_bits(address);
    Ok(
        vm.term(plain_step(env, &stack, shard, |engine, now, effects| {
            engine.handle_transport_error(now, handle, reason, effects);
        })),
    )
}

/// `engine_terminate(stack, key)`: `key` is `{branch, method}` or `{branch, method, host, port}`.
#[rustler::nif]
fn engine_terminate<'a>(env: Env<'a>, stack: StackArc, key: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let address = find(vm, &stack, key.into()).ok_or(rustler::Error::BadArg)?;
    Ok(vm.term(match address {
        Some(Address { shard, handle }) => {
            plain_step(env, &stack, shard, |engine, now, effects| {
                engine.terminate(now, handle, effects);
            })
        }
        None => ok(vm, &[]),
    }))
}

/// `engine_forget(stack, request)`: ends the server transaction of a request that came in. One of RFC 2543 has no branch
/// that its public key could name it by.
#[rustler::nif]
fn engine_forget<'a>(env: Env<'a>, stack: StackArc, request: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let found = scratch::with(|arena, _| {
        let message = Decoder::new(vm, arena).message(request.into()).ok()?;
        let via = message.headers.via.as_ref()?.first()?;
        let method = message.request_line()?.method;
        let key = stack.keys.server(&message, via, method.as_bytes());
        let shard = stack.shard_of(stack.keys.call(message.headers.call_id?));
        let handle = stack.look(shard, |engine| engine.find(key))??;
        Some(Address { shard, handle })
    });
    Ok(vm.term(match found {
        Some(Address { shard, handle }) => {
            plain_step(env, &stack, shard, |engine, now, effects| {
                engine.terminate(now, handle, effects);
            })
        }
        None => ok(vm, &[]),
    }))
}

/// `engine_find(stack, key)`: the address of a transaction, or nil.
#[rustler::nif]
fn engine_find<'a>(env: Env<'a>, stack: StackArc, key: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let address = find(vm, &stack, key.into()).ok_or(rustler::Error::BadArg)?;
    Ok(vm.term(address.map_or(atoms::get().nil.into(), |address| {
        vm.wide(address.to_bits())
    })))
}

/// The transaction of a public key, sought in every shard: a key does not tell its Call-ID.
pub fn find<'a>(vm: Vm<'a>, stack: &StackArc, key: Raw<'a>) -> Option<Option<Address>> {
    let parts = vm.elements(key)?;
    let method = vm.bytes(*parts.get(1)?)?;
    let branch = vm.bytes(*parts.first()?)?;
    let key = match parts {
        [_, _] => stack.keys.client(branch, method),
        [_, _, host, port] => stack.keys.server_of(
            branch,
            vm.bytes(*host)?,
            u16::try_from(vm.number(*port)?).ok()?,
            method,
        ),
        _ => return None,
    };
    Some((0..stack.shards()).find_map(|shard| {
        let handle = stack.look(shard, |engine| engine.find(key))??;
        Some(Address { shard, handle })
    }))
}

/// `engine_panic(stack, shard)`: what a fault of this library would do, under the lock of a shard; for the test of what
/// comes after it.
#[rustler::nif]
fn engine_panic(env: Env<'_>, stack: StackArc, shard: usize) -> Term<'_> {
    let vm = Vm::new(env);
    vm.term(plain_step(env, &stack, shard, |_, _, _| {
        // Without the hook, which would print.
        std::panic::resume_unwind(Box::new("asked for"))
    }))
}

/// `engine_tick(stack, from)`: a round of the Clock: `{effects, milliseconds to sleep | :infinity, from}`.
#[rustler::nif]
fn engine_tick(env: Env<'_>, stack: StackArc, from: usize) -> Term<'_> {
    let vm = Vm::new(env);
    if stack.is_closed() {
        return vm.term(stopped(vm));
    }
    // A tenth of a slice, which is about what a full round takes.
    consume_timeslice(env, 10);
    let (placed, sleep, from) = stack.tick(env.pid(), from);
    let sleep = match sleep {
        Some(sleep) => vm.wide(sleep),
        None => atoms::get().infinity.into(),
    };
    vm.term(vm.tuple([effects_term(vm, &placed), sleep, vm.wide(from as u64)]))
}

/// `engine_set_time(stack, now_ms)`: the stack's time stands still from now on, and moves by this alone: for `Sippet.Sim`.
#[rustler::nif]
fn engine_set_time(stack: StackArc, now_ms: u64) -> Atom {
    stack.set_time(now_ms);
    atoms::get().ok
}

/// `engine_outlook(stack)`: when `engine_tick` is next wanted of a stack whose time is set: milliseconds, `:wake` for now,
/// `:infinity` for never. `:nothing`: a process has died, and what comes of that is not known yet.
#[rustler::nif]
fn engine_outlook(env: Env<'_>, stack: StackArc) -> Term<'_> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    if stack.is_closed() {
        return vm.term(atoms.infinity.into());
    }
    vm.term(match stack.outlook(env) {
        Outlook::Untold => atoms.nothing.into(),
        Outlook::Outbox => atoms.wake.into(),
        Outlook::Due(deadline) => vm.wide(deadline),
        Outlook::Nothing => atoms.infinity.into(),
    })
}
