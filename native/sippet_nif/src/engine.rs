//! The functions of the transaction engine. Each takes one lock for one step; terms are made when it is free again.
//!
//! Answers are `{:ok, effects}` or `{:error, reason}`; the effects, in their order, are for the calling process:
//!
//!   * `{:transmit, address | nil, transport, connection, destination, binary}`
//!   * `{:run, address}`
//!   * `{:wake, caller}`

use std::net::SocketAddr;

use rustler::{Atom, Env, LocalPid, NifResult, ResourceArc, Term};
use sippet_proto::Bytes;
use sippet_proto::message::reply::{Reply, Salvage, write_reply};
use sippet_proto::message::stamp::stamp_received;
use sippet_proto::message::{Arena, Message, Method, StartLine};
use sippet_proto::transaction::{
    Config, Delivery, Destination, Effect, Failure, Flow, IncomingRequest, IncomingResponse, Info,
    Name, OutgoingRequest, OutgoingResponse, SendError, Taken, Target, Timers, Verdict,
};
use sippet_proto::{Framing, Options, parse};

use crate::atoms;
use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::error;
use crate::flow;
use crate::message::limits;
use crate::scratch;
use crate::stack::{Address, Placed, Stack, StackArc};
use crate::term::{Datagram, Raw, Vm};
use crate::words::Words;

mod callers;

/// How many transactions one page of `engine_list` holds at most.
const PAGE: usize = 100;

/// `engine_new(shards, seed, config, limits)`: a stack's engine. `config` is a tuple of integers and booleans.
#[rustler::nif]
fn engine_new<'a>(
    env: Env<'a>,
    shards: usize,
    seed: Term<'a>,
    config: Term<'a>,
    bounds: Term<'a>,
) -> NifResult<StackArc> {
    let vm = Vm::new(env);
    let bad = rustler::Error::BadArg;
    let seed = vm
        .bytes(seed.into())
        .and_then(|seed| seed.try_into().ok())
        .ok_or(bad)?;
    let bad = rustler::Error::BadArg;
    let config = self::config(vm, config.into()).ok_or(bad)?;
    let bad = rustler::Error::BadArg;
    let limits = limits(vm, bounds.into()).ok_or(bad)?;
    Ok(ResourceArc::new(Stack::new(
        shards.min(256),
        seed,
        config,
        limits,
    )))
}

fn config<'a>(vm: Vm<'a>, tuple: Raw<'a>) -> Option<Config> {
    let fields = vm.tuple_of::<12>(tuple)?;
    let number = |index: usize| u64::try_from(vm.number(*fields.get(index)?)?).ok();
    let flag = |index: usize| Some(*fields.get(index)? == atoms::get().true_.into());
    Some(Config {
        timers: Timers {
            t1_ms: number(0)?,
            t2_ms: number(1)?,
            t4_ms: number(2)?,
            timer_d_ms: number(3)?,
            trying_ms: number(4)?,
            proceeding_ms: number(5)?,
            invite_watchdog_ms: number(6)?,
            runner_ms: number(7)?,
            gate_ms: number(8)?,
        },
        max_transactions: usize::try_from(number(9)?).ok()?,
        reject_merged: flag(10)?,
        deliver_stray_responses: flag(11)?,
    })
}

/// `engine_set_core(stack, module)`: from now on deliveries go to this module.
#[rustler::nif]
fn engine_set_core(stack: StackArc, module: Atom) -> Atom {
    stack.set_core(module);
    atoms::get().ok
}

/// `engine_close(stack)`: every later call answers `{:error, :stopped}`.
#[rustler::nif]
fn engine_close(stack: StackArc) -> Atom {
    stack.close();
    atoms::get().ok
}

/// `engine_receive(stack, data, transport, connection, source, reliable, force_rport)`: one datagram, or one message of a
/// stream.
#[rustler::nif]
#[allow(
    clippy::too_many_arguments,
    reason = "they are the arguments of the function in Elixir"
)]
fn nif_engine_receive<'a>(
    env: Env<'a>,
    stack: StackArc,
    data: Term<'a>,
    transport: u32,
    connection: u64,
    source: Term<'a>,
    reliable: bool,
    force_rport: bool,
) -> NifResult<Term<'a>> {
    receive_message(
        env,
        &stack,
        data,
        Flow {
            transport,
            connection,
        },
        source,
        reliable,
        force_rport,
    )
}

/// `engine_receive` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
#[allow(
    clippy::too_many_arguments,
    reason = "they are the arguments of the function in Elixir"
)]
fn nif_engine_receive_dirty<'a>(
    env: Env<'a>,
    stack: StackArc,
    data: Term<'a>,
    transport: u32,
    connection: u64,
    source: Term<'a>,
    reliable: bool,
    force_rport: bool,
) -> NifResult<Term<'a>> {
    receive_message(
        env,
        &stack,
        data,
        Flow {
            transport,
            connection,
        },
        source,
        reliable,
        force_rport,
    )
}

fn receive_message<'a>(
    env: Env<'a>,
    stack: &StackArc,
    data: Term<'a>,
    flow: Flow,
    source: Term<'a>,
    reliable: bool,
    force_rport: bool,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let data = vm.bytes(data.into()).ok_or(rustler::Error::BadArg)?;
    let Some(Destination::Address(source)) = flow::destination(vm, source.into()) else {
        return Err(rustler::Error::BadArg);
    };
    if stack.is_closed() {
        return Ok(vm.term(stopped(vm)));
    }
    let origin = Origin {
        flow,
        source,
        reliable,
        force_rport,
    };
    let mut placed = Vec::new();
    scratch::with(|arena, _| accept(env, stack, data, &origin, arena, &mut placed));
    Ok(vm.term(ok(vm, &placed)))
}

/// Where a message came from, and how.
struct Origin {
    flow: Flow,
    source: SocketAddr,
    reliable: bool,
    force_rport: bool,
}

impl Origin {
    fn target(&self) -> Target {
        Target {
            flow: self.flow,
            destination: Destination::Address(self.source),
        }
    }
}

fn accept(
    env: Env<'_>,
    stack: &StackArc,
    data: &[u8],
    origin: &Origin,
    arena: &Arena,
    placed: &mut Vec<Placed>,
) {
    let counters = &stack.counters;
    if data.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        counters.keep_alives.add(1);
        return;
    }
    let options = Options {
        framing: Framing::Datagram,
        limits: stack.limits,
        ..Options::default()
    };
    let message = match parse(data, &options, arena) {
        Ok(message) => message,
        Err(error) => {
            counters.rejected_messages.add(1);
            return reply_without_state(stack, data, origin, None, error.status_code(), placed);
        }
    };
    match &message.start_line {
        StartLine::Request(line) => {
            let ack = line.method == Method::Ack;
            counters.received_requests.add(1);
            if message
                .headers
                .cseq
                .is_none_or(|cseq| cseq.method != line.method)
            {
                counters.rejected_messages.add(1);
                if !ack {
                    reply_without_state(stack, data, origin, Some(&message), 400, placed);
                }
                return;
            }
            if stack.core().is_none() {
                if !ack {
                    reply_without_state(stack, data, origin, Some(&message), 503, placed);
                }
                return;
            }
            accept_request(env, stack, data, origin, &message, placed);
        }
        StartLine::Status(_) => {
            counters.received_responses.add(1);
            accept_response(env, stack, data, origin, &message, placed);
        }
    }
}

fn accept_request(
    env: Env<'_>,
    stack: &StackArc,
    data: &[u8],
    origin: &Origin,
    message: &Message<'_>,
    placed: &mut Vec<Placed>,
) {
    let force_rport = origin.force_rport && origin.flow.connection == 0;
    let mut stamped = Vec::with_capacity(data.len() + 64);
    // It was parsed, so it has a Via.
    let Some(via) = stamp_received(&mut stamped, data, origin.source, force_rport) else {
        return;
    };
    let target = flow::response_target(&via, origin.flow, origin.source, force_rport);
    let request = IncomingRequest::new(
        message,
        &stack.keys,
        Bytes::from(stamped),
        origin.target(),
        target,
        origin.reliable,
    );
    let Ok(request) = request else { return };
    let shard = stack.shard_of(request.call);
    let mut effects = Vec::new();
    let verdict = stack.step(env, shard, &mut effects, |engine, now, effects| {
        engine.handle_request(now, request, effects)
    });
    placed.extend(effects.into_iter().map(|effect| (shard, effect)));
    if let Some(Verdict::Reply(status_code)) = verdict {
        if status_code == 503 {
            stack.counters.refused_requests.add(1);
        }
        reply_without_state(stack, data, origin, Some(message), status_code, placed);
    }
}

fn accept_response(
    env: Env<'_>,
    stack: &StackArc,
    data: &[u8],
    origin: &Origin,
    message: &Message<'_>,
    placed: &mut Vec<Placed>,
) {
    let bytes = Bytes::copy_from_slice(data);
    let Ok(response) = IncomingResponse::new(message, &stack.keys, bytes, origin.target()) else {
        stack.counters.stray_responses.add(1);
        return;
    };
    let shard = stack.shard_of(response.call);
    let mut effects = Vec::new();
    let verdict = stack.step(env, shard, &mut effects, |engine, now, effects| {
        engine.handle_response(now, response, effects)
    });
    placed.extend(effects.into_iter().map(|effect| (shard, effect)));
    if matches!(verdict, Some(Verdict::Dropped | Verdict::Delivered)) {
        stack.counters.stray_responses.add(1);
    }
}

/// Answers a request without keeping anything (§8.2.7), if enough of it can be read.
fn reply_without_state(
    stack: &StackArc,
    data: &[u8],
    origin: &Origin,
    message: Option<&Message<'_>>,
    status_code: u16,
    placed: &mut Vec<Placed>,
) {
    let mut stamped = Vec::with_capacity(data.len() + 64);
    let via = stamp_received(&mut stamped, data, origin.source, origin.force_rport);
    let Some(salvage) = Salvage::scan(&stamped) else {
        return;
    };
    let target = match &via {
        Some(via) => flow::response_target(via, origin.flow, origin.source, origin.force_rport),
        None => origin.target(),
    };
    let tag = message.and_then(|message| stateless_tag(stack, message));
    let tag = tag.unwrap_or_else(|| stack.keys.stateless_tag(b"", data, 0, b"").to_tag());
    let reply = Reply {
        status_code,
        reason_phrase: reason_phrase(status_code).as_bytes(),
        to_tag: Some(&tag),
        extra: &[],
    };
    let mut out = Vec::with_capacity(stamped.len().min(2048));
    if write_reply(&mut out, &salvage, &reply).is_err() {
        return;
    }
    stack.counters.stateless_replies.add(1);
    placed.push((
        0,
        Effect::Transmit {
            target,
            bytes: Bytes::from(out),
            handle: None,
        },
    ));
}

/// The same for each repetition of a request, and known again in its ACK.
fn stateless_tag(stack: &StackArc, message: &Message<'_>) -> Option<[u8; 16]> {
    let headers = &message.headers;
    let from = headers.from.as_ref()?.tag().unwrap_or_default();
    let branch = headers.via.as_ref()?.first()?.branch().unwrap_or_default();
    let key = stack
        .keys
        .stateless_tag(from, headers.call_id?, headers.cseq?.number, branch);
    Some(key.to_tag())
}

fn reason_phrase(status_code: u16) -> &'static str {
    match status_code {
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        _ => "Bad Request",
    }
}

/// `engine_stateless_tag(stack, request)`: the To tag for an answer to this request without a transaction.
#[rustler::nif]
fn engine_stateless_tag<'a>(env: Env<'a>, stack: StackArc, request: Term<'a>) -> Term<'a> {
    let vm = Vm::new(env);
    vm.term(scratch::with(|arena, _| {
        match Decoder::new(vm, arena).message(request.into()) {
            Ok(message) => match stateless_tag(&stack, &message) {
                Some(tag) => vm.copy(&tag),
                None => atoms::get().nil.into(),
            },
            Err(_) => atoms::get().nil.into(),
        }
    }))
}

/// `nif_engine_send_request(stack, message, transport, connection, destination, reliable)`
#[rustler::nif]
fn nif_engine_send_request<'a>(
    env: Env<'a>,
    stack: StackArc,
    message: Term<'a>,
    transport: u32,
    connection: u64,
    destination: Term<'a>,
    reliable: bool,
) -> NifResult<Term<'a>> {
    send_request(
        env,
        &stack,
        message,
        Flow {
            transport,
            connection,
        },
        destination,
        reliable,
    )
}

/// `nif_engine_send_request` for a long body.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_engine_send_request_dirty<'a>(
    env: Env<'a>,
    stack: StackArc,
    message: Term<'a>,
    transport: u32,
    connection: u64,
    destination: Term<'a>,
    reliable: bool,
) -> NifResult<Term<'a>> {
    send_request(
        env,
        &stack,
        message,
        Flow {
            transport,
            connection,
        },
        destination,
        reliable,
    )
}

fn send_request<'a>(
    env: Env<'a>,
    stack: &StackArc,
    message: Term<'a>,
    flow: Flow,
    destination: Term<'a>,
    reliable: bool,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let destination = flow::destination(vm, destination.into()).ok_or(rustler::Error::BadArg)?;
    let target = Target { flow, destination };
    Ok(
        vm.term(send(env, stack, message, |message, bytes, effects| {
            let request =
                OutgoingRequest::new(message, &stack.keys, bytes, target, reliable).ok()?;
            let shard = stack.shard_of(request.call);
            let result = stack.step(env, shard, effects, |engine, now, effects| {
                engine.send_request(now, request, effects).map(|_| ())
            })?;
            Some((shard, result))
        })),
    )
}

/// `nif_engine_send_response(stack, message, target, until_ack)`: `target` is nil or `{transport, connection, destination}`.
#[rustler::nif]
fn nif_engine_send_response<'a>(
    env: Env<'a>,
    stack: StackArc,
    message: Term<'a>,
    target: Term<'a>,
    until_ack: bool,
) -> NifResult<Term<'a>> {
    send_response(env, &stack, message, target, until_ack)
}

/// `nif_engine_send_response` for a long body.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_engine_send_response_dirty<'a>(
    env: Env<'a>,
    stack: StackArc,
    message: Term<'a>,
    target: Term<'a>,
    until_ack: bool,
) -> NifResult<Term<'a>> {
    send_response(env, &stack, message, target, until_ack)
}

fn send_response<'a>(
    env: Env<'a>,
    stack: &StackArc,
    message: Term<'a>,
    target: Term<'a>,
    until_ack: bool,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let target = match vm.tuple_of::<3>(target.into()) {
        Some(parts) => Some(target_of(vm, parts).ok_or(rustler::Error::BadArg)?),
        None => None,
    };
    Ok(
        vm.term(send(env, stack, message, |message, bytes, effects| {
            let response =
                OutgoingResponse::new(message, &stack.keys, bytes, target, until_ack).ok()?;
            let shard = stack.shard_of(response.call);
            let result = stack.step(env, shard, effects, |engine, now, effects| {
                engine.send_response(now, response, effects).map(|_| ())
            })?;
            Some((shard, result))
        })),
    )
}

fn target_of<'a>(
    vm: Vm<'a>,
    [transport, connection, destination]: &[Raw<'a>; 3],
) -> Option<Target> {
    let transport = u32::try_from(vm.number(*transport)?).ok()?;
    let connection = u64::try_from(vm.number(*connection)?).ok()?;
    let destination = flow::destination(vm, *destination)?;
    Some(Target {
        flow: Flow {
            transport,
            connection,
        },
        destination,
    })
}

type Sent = Option<(usize, Result<(), SendError>)>;

fn send<'a>(
    env: Env<'a>,
    stack: &StackArc,
    message: Term<'a>,
    step: impl FnOnce(&Message<'_>, Bytes, &mut Vec<Effect>) -> Sent,
) -> Raw<'a> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    if stack.is_closed() {
        return stopped(vm);
    }
    let mut effects = Vec::new();
    let sent = scratch::with(|arena, bytes| {
        let message = match Decoder::new(vm, arena).message(message.into()) {
            Ok(message) => message,
            Err(refused) => {
                return Err(vm.tuple([refused.field, atoms.refusal(refused.refusal).into()]));
            }
        };
        match message.write(bytes) {
            Ok(()) => Ok(step(&message, Bytes::copy_from_slice(bytes), &mut effects)),
            Err(error) => Err(error::write_error(vm, &error)),
        }
    });
    let reason = match sent {
        Ok(Some((shard, Ok(())))) => {
            let placed: Vec<Placed> = effects.into_iter().map(|effect| (shard, effect)).collect();
            return ok(vm, &placed);
        }
        Ok(Some((_, Err(error)))) => send_error(error).into(),
        Ok(None) => atoms.unfit.into(),
        Err(unwritable) => vm.tuple([atoms.write.into(), unwritable]),
    };
    vm.tuple([atoms.error.into(), reason])
}

fn send_error(error: SendError) -> Atom {
    let atoms = atoms::get();
    match error {
        SendError::AlreadyStarted => atoms.already_started,
        SendError::NoTransaction => atoms.no_transaction,
        SendError::AlreadyAnswered => atoms.already_answered,
        SendError::ProvisionalForbidden => atoms.provisional_forbidden,
        _ => atoms.too_many_transactions,
    }
}

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

/// `engine_empty(stack)`: forgets some of what is open: `{:more | :done, effects}`, which wake those who wait.
#[rustler::nif]
fn engine_empty(env: Env<'_>, stack: StackArc) -> Term<'_> {
    let vm = Vm::new(env);
    let mut placed = Vec::new();
    let left = if stack.empty(&mut placed) {
        atoms::get().done
    } else {
        atoms::get().more
    };
    vm.term(vm.tuple([left.into(), effects_term(vm, &placed)]))
}

/// The transaction of a public key, sought in every shard: a key does not tell its Call-ID.
fn find<'a>(vm: Vm<'a>, stack: &StackArc, key: Raw<'a>) -> Option<Option<Address>> {
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

/// `engine_begin(stack, address)`: what a runner that was just started does first; it is watched from here on.
#[rustler::nif]
fn nif_engine_begin<'a>(
    env: Env<'a>,
    stack: StackArc,
    address: u64,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    next_delivery(env, &stack, Address::from_bits(address), true, words)
}

/// `engine_take(stack, address)`: the delivery before is done; the next one, or nothing.
#[rustler::nif]
fn nif_engine_take<'a>(
    env: Env<'a>,
    stack: StackArc,
    address: u64,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    next_delivery(env, &stack, Address::from_bits(address), false, words)
}

/// `{:call, module, function, arguments, effects}` or `{:done, effects}`.
fn next_delivery<'a>(
    env: Env<'a>,
    stack: &StackArc,
    address: Address,
    begin: bool,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let words = Words::new(vm, words.into()).ok_or(rustler::Error::BadArg)?;
    let pid = env.pid();
    let Address { shard, handle } = address;
    let mut effects = Vec::new();
    let taken = stack.step(env, shard, &mut effects, |engine, now, effects| {
        if begin {
            engine.begin(now, handle, effects)
        } else {
            engine.take(now, handle, effects)
        }
    });
    let taken = taken.flatten().filter(|_| !stack.is_closed());
    let placed: Vec<Placed> = effects.into_iter().map(|effect| (shard, effect)).collect();
    let effects = effects_term(vm, &placed);
    let called = taken.zip(stack.core()).and_then(|(taken, core)| {
        if begin {
            watch(env, stack, &pid, address);
        }
        let (function, arguments) =
            scratch::with(|arena, _| arguments(vm, &taken, stack, words, arena))?;
        Some(vm.tuple([
            atoms::get().call.into(),
            core.into(),
            function.into(),
            arguments,
            effects,
        ]))
    });
    Ok(vm.term(called.unwrap_or_else(|| {
        unwatch(env, stack, &pid);
        vm.tuple([atoms::get().done.into(), effects])
    })))
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

fn failure_term<'a>(vm: Vm<'a>, failure: &Failure) -> Raw<'a> {
    let atoms = atoms::get();
    match failure {
        Failure::Timeout => atoms.timeout.into(),
        Failure::NoAck => atoms.no_ack.into(),
        Failure::Transport(reason) => vm.tuple([atoms.transport.into(), vm.copy(reason)]),
    }
}

/// The message as the core sees it, from a binary of its own.
fn message_term<'a>(
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
    limits.max_message_bytes = limits.max_message_bytes.saturating_add(256);
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

/// `%Sippet.Transactions.Client.Key{}` or `%Sippet.Transactions.Server.Key{}`
fn key_term<'a>(vm: Vm<'a>, name: &Name, client: bool) -> Raw<'a> {
    let atoms = atoms::get();
    let method = Method::from_bytes(name.method());
    let method = match atoms.method(&method) {
        Some(atom) => atom.into(),
        None => vm.copy(name.method()),
    };
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

/// `engine_tick(stack, from)`: a round of the Clock: `{effects, milliseconds to sleep | :infinity, from}`.
#[rustler::nif]
fn engine_tick(env: Env<'_>, stack: StackArc, from: usize) -> Term<'_> {
    let vm = Vm::new(env);
    if stack.is_closed() {
        return vm.term(stopped(vm));
    }
    let (placed, sleep, from) = stack.tick(env.pid(), from);
    let sleep = match sleep {
        Some(sleep) => vm.wide(sleep),
        None => atoms::get().infinity.into(),
    };
    vm.term(vm.tuple([effects_term(vm, &placed), sleep, vm.wide(from as u64)]))
}

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
        };
        list = vm.cons(term, list);
    }
    list
}
