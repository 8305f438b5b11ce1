//! Messages of the core's.

use rustler::{Atom, Env, NifResult, Term};
use sippet_proto::Bytes;
use sippet_proto::message::Message;
use sippet_proto::transaction::{
    Effect, Flow, OutgoingRequest, OutgoingResponse, SendError, Target,
};

use super::{ok, stopped};
use crate::decode::Decoder;
use crate::stack::{Placed, StackArc};
use crate::term::{Raw, Vm};
use crate::{atoms, error, flow, scratch};

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

pub type Sent = Option<(usize, Result<(), SendError>)>;

pub fn send<'a>(
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

pub fn send_error(error: SendError) -> Atom {
    let atoms = atoms::get();
    match error {
        SendError::AlreadyStarted => atoms.already_started,
        SendError::NoTransaction => atoms.no_transaction,
        SendError::AlreadyAnswered => atoms.already_answered,
        SendError::ProvisionalForbidden => atoms.provisional_forbidden,
        SendError::TimeoutForbidden => atoms.timeout_forbidden,
        SendError::TooManyForks => atoms.too_many_forks,
        SendError::TooLong => atoms.too_long,
        _ => atoms.too_many_transactions,
    }
}
