//! Deliveries: what a runner takes, as arguments of the core's callback.

use rustler::{Atom, Env, LocalPid, NifResult, Term};
use sippet_proto::message::{Arena, Method};
use sippet_proto::transaction::{Delivery, Failure, Name, Process, Taken, Target};
use sippet_proto::{Bytes, Framing, Options, parse};

use super::{effects_term, plain_step};
use crate::encode::Encoder;
use crate::stack::{Address, Placed, StackArc};
use crate::term::{Datagram, Raw, Vm};
use crate::words::Words;
use crate::{atoms, flow, scratch};

/// `engine_begin(stack, address)`: what a runner that was just started does first; it is watched from here on.
#[rustler::nif]
fn nif_engine_begin<'a>(
    env: Env<'a>,
    stack: StackArc,
    address: u64,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    next_delivery(env, &stack, Address::from_bits(address), None, words)
}

/// `engine_take(stack, address, reductions)`: the delivery before is done, with so many reductions, 0 if that is not known;
/// the next one, or nothing.
#[rustler::nif]
fn nif_engine_take<'a>(
    env: Env<'a>,
    stack: StackArc,
    address: u64,
    reductions: u64,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    next_delivery(
        env,
        &stack,
        Address::from_bits(address),
        Some(reductions),
        words,
    )
}

/// `{:call, module, function, arguments, effects, microseconds that it waited}` or `{:done, effects}`. The effects are the
/// runner's, before it calls; `{:await, pid}` among them: not before that process has called.
fn next_delivery<'a>(
    env: Env<'a>,
    stack: &StackArc,
    address: Address,
    done: Option<u64>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let words = Words::new(vm, words.into()).ok_or(rustler::Error::BadArg)?;
    let pid = env.pid();
    let Address { shard, handle } = address;
    let mut effects = Vec::new();
    let begin = done.is_none();
    let mut request_done = None;
    let mut taken = stack.step(env, shard, &mut effects, |engine, now, effects| {
        if begin {
            if let Some(process) = Process::new(vm.number_of(&pid)) {
                engine.run_by(handle, process);
            }
            engine.begin(now, handle, effects)
        } else {
            request_done = engine.is_at_request(handle);
            engine.take(now, handle, effects)
        }
    });
    if let (Some(reductions), Some(class)) = (done, request_done) {
        stack.door.ended(class, stack.now_us(), reductions);
    }
    let core = stack.core();
    if core.is_none() {
        // What comes back of a request that was sent before there is a core is owed to nobody.
        while let Some(Some(_)) = taken {
            taken = stack.step(env, shard, &mut effects, |engine, now, effects| {
                engine.take(now, handle, effects)
            });
        }
    }
    let taken = taken.flatten().filter(|_| !stack.is_closed());
    let called = taken.zip(core).and_then(|(taken, core)| {
        let now_us = stack.now_us();
        let start_delay_us = now_us.saturating_sub(taken.stamp_us);
        if begin {
            watch(env, stack, &pid, address);
            if let Some(class) = taken.class {
                stack.door.began(class, now_us, start_delay_us);
            }
        }
        let made = scratch::with(|arena, _| arguments(vm, &taken, stack, words, arena));
        if made.is_none() {
            // It was parsed when it came.
            stack.step(env, shard, &mut effects, |engine, now, effects| {
                engine.handle_runner_failure(now, handle, effects);
            });
        }
        made.map(|(function, arguments)| (core, function, arguments, taken.behind, start_delay_us))
    });
    let placed: Vec<Placed> = effects.into_iter().map(|effect| (shard, effect)).collect();
    let effects = effects_term(vm, &placed);
    let Some((core, function, arguments, behind, start_delay_us)) = called else {
        unwatch(env, stack, &pid);
        return Ok(vm.term(vm.tuple([atoms::get().done.into(), effects])));
    };
    let effects = match behind {
        Some(process) => {
            let pid = vm.process(process.get());
            vm.cons(vm.tuple([atoms::get().await_.into(), pid]), effects)
        }
        None => effects,
    };
    Ok(vm.term(vm.tuple([
        atoms::get().call.into(),
        core.into(),
        function.into(),
        arguments,
        effects,
        vm.wide(start_delay_us),
    ])))
}

fn watch(env: Env<'_>, stack: &StackArc, pid: &LocalPid, address: Address) {
    // It is alive: it calls this.
    if let Some(monitor) = env.monitor(stack, pid) {
        stack.add_runner(env, pid, address, monitor);
    }
}

fn unwatch(env: Env<'_>, stack: &StackArc, pid: &LocalPid) {
    if let Some(monitor) = stack.remove_runner(env, pid) {
        env.demonitor(stack, &monitor);
    }
}

/// `engine_fail(stack, address)`: the core's callback raised; the runner is no longer watched.
#[rustler::nif]
fn engine_fail(env: Env<'_>, stack: StackArc, address: u64) -> Term<'_> {
    let vm = Vm::new(env);
    unwatch(env, &stack, &env.pid());
    stack.counters.core_failures.add(1);
    let Address { shard, handle } = Address::from_bits(address);
    vm.term(plain_step(env, &stack, shard, |engine, now, effects| {
        engine.handle_runner_failure(now, handle, effects);
    }))
}

/// The callback and its arguments, in a list.
fn arguments<'a>(
    vm: Vm<'a>,
    taken: &Taken,
    stack: &StackArc,
    words: Words<'a>,
    arena: &Arena,
) -> Option<(Atom, Raw<'a>)> {
    let atoms = atoms::get();
    let key = |keyed: bool| {
        if keyed {
            key_term(vm, &taken.name, taken.client)
        } else {
            atoms.nil.into()
        }
    };
    let (function, first, key) = match &taken.delivery {
        Delivery::Request {
            bytes,
            source,
            keyed,
        } => (
            atoms.receive_request,
            message_term(vm, bytes, source, stack, words, arena)?,
            key(*keyed),
        ),
        Delivery::Response {
            bytes,
            source,
            keyed,
        } => (
            atoms.receive_response,
            message_term(vm, bytes, source, stack, words, arena)?,
            key(*keyed),
        ),
        Delivery::Failed(failure) => (atoms.receive_error, failure_term(vm, failure), key(true)),
    };
    Some((function, vm.cons(first, vm.cons(key, vm.empty_list()))))
}

pub fn failure_term<'a>(vm: Vm<'a>, failure: &Failure) -> Raw<'a> {
    let atoms = atoms::get();
    match failure {
        Failure::Timeout => atoms.timeout.into(),
        Failure::NoAck => atoms.no_ack.into(),
        Failure::Transport(reason) => vm.tuple([atoms.transport.into(), vm.copy(reason)]),
    }
}

/// The message as the core sees it, from a binary of its own.
pub fn message_term<'a>(
    vm: Vm<'a>,
    bytes: &Bytes,
    source: &Target,
    stack: &StackArc,
    words: Words<'a>,
    arena: &Arena,
) -> Option<Raw<'a>> {
    let datagram = Datagram::new(vm, vm.copy(bytes))?;
    // Stamping has added some bytes to what was within the limits.
    let mut limits = stack.limits;
    let bytes = limits
        .max_message_bytes
        .max(limits.max_stream_message_bytes);
    limits.max_message_bytes = bytes.saturating_add(256);
    limits.max_line_bytes = limits.max_line_bytes.saturating_add(256);
    limits.max_parameters = limits.max_parameters.saturating_add(2);
    let options = Options {
        framing: Framing::Datagram,
        limits,
        ..Options::default()
    };
    let message = parse(datagram.bytes(), &options, arena).ok()?;
    let encoder = Encoder::new(vm, Some(datagram), words, arena);
    Some(encoder.message(&message, flow::flow_term(vm, source)))
}

/// A known method is an atom, another one a string.
pub fn method_term<'a>(vm: Vm<'a>, method: &[u8]) -> Raw<'a> {
    match atoms::get().method(&Method::from_bytes(method)) {
        Some(atom) => atom.into(),
        None => vm.copy(method),
    }
}

/// `%Sippet.Transactions.Client.Key{}` or `%Sippet.Transactions.Server.Key{}`
pub fn key_term<'a>(vm: Vm<'a>, name: &Name, client: bool) -> Raw<'a> {
    let atoms = atoms::get();
    let method = method_term(vm, name.method());
    let branch = vm.copy(name.branch());
    if client {
        return vm.map(
            &[
                atoms.struct_key.into(),
                atoms.branch.into(),
                atoms.method.into(),
            ],
            &[atoms.client_key_struct.into(), branch, method],
        );
    }
    let sentby = vm.tuple([vm.copy(name.host()), vm.integer(name.port.into())]);
    vm.map(
        &[
            atoms.struct_key.into(),
            atoms.branch.into(),
            atoms.method.into(),
            atoms.sentby.into(),
        ],
        &[atoms.server_key_struct.into(), branch, method, sentby],
    )
}
