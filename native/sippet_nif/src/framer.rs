//! Streams: each connection has a framer, and one process that calls it.

use std::sync::{Mutex, PoisonError};

use rustler::{Encoder, Env, NifResult, Resource, ResourceArc, Term};
use sippet_proto::{Frame, Framer, Limits};

use crate::atoms;
use crate::message::stack_limits;
use crate::term::{Datagram, Raw, Vm, string};

/// The lock is for the borrow checker: a connection is one process.
pub struct Stream(Mutex<Framer>);

#[rustler::resource_impl]
impl Resource for Stream {}

/// `framer_new(limits)`: nil has the defaults of a stack.
#[rustler::nif]
fn framer_new<'a>(env: Env<'a>, limits: Term<'a>) -> NifResult<ResourceArc<Stream>> {
    let limits = match Raw::from(limits) == atoms::get().nil.into() {
        true => Limits::DEFAULT,
        false => stack_limits(Vm::new(env), limits.into()).ok_or(rustler::Error::BadArg)?,
    };
    Ok(ResourceArc::new(Stream(Mutex::new(Framer::new(limits)))))
}

/// `nif_framer_push(framer, data, now)`: `{frames, deadline | nil}`, times in milliseconds of the VM's monotonic clock. Frames are
///
///   * `{:message, binary}`, a part of `data` where it is there as a whole
///   * `{:ping, count}`, as many as came one after the other
///   * `:pong`
///   * `{:broken, status_code, reason, head}`
#[rustler::nif]
fn nif_framer_push<'a>(
    env: Env<'a>,
    framer: ResourceArc<Stream>,
    data: Term<'a>,
    now: i64,
) -> NifResult<Term<'a>> {
    push(env, &framer, data, now)
}

/// `nif_framer_push` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_framer_push_dirty<'a>(
    env: Env<'a>,
    framer: ResourceArc<Stream>,
    data: Term<'a>,
    now: i64,
) -> NifResult<Term<'a>> {
    push(env, &framer, data, now)
}

fn push<'a>(env: Env<'a>, stream: &Stream, data: Term<'a>, now: i64) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let chunk = Datagram::new(vm, data.into()).ok_or(rustler::Error::BadArg)?;
    let mut framer = stream.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut input = chunk.bytes();
    let mut terms = Vec::new();
    let mut pings = 0;
    let ping = |count| vm.tuple([atoms.ping.into(), vm.integer(count)]);
    while let Some(frame) = framer.next(from_vm(now), &mut input) {
        if frame == Frame::Ping {
            pings += 1;
            continue;
        }
        if pings > 0 {
            terms.push(ping(pings));
            pings = 0;
        }
        terms.push(match frame {
            Frame::Message(message) => {
                vm.tuple([atoms.message.into(), string(vm, Some(chunk), &message)])
            }
            Frame::Ping | Frame::Pong => atoms.pong.into(),
            Frame::Broken(broken) => vm.tuple([
                atoms.broken.into(),
                vm.integer(broken.error.status_code().into()),
                atoms.reason(broken.error.reason).into(),
                string(vm, Some(chunk), &broken.head),
            ]),
        });
    }
    if pings > 0 {
        terms.push(ping(pings));
    }
    let frames = terms
        .into_iter()
        .rev()
        .fold(vm.empty_list(), |tail, frame| vm.cons(frame, tail));
    let deadline = match framer.deadline() {
        Some(deadline) => to_vm(deadline).encode(env).into(),
        None => atoms.nil.into(),
    };
    Ok(vm.term(vm.tuple([frames, deadline])))
}

/// `framer_expect_pong(framer)`: the next CRLF between messages answers a ping of ours.
#[rustler::nif]
fn framer_expect_pong(framer: ResourceArc<Stream>) -> rustler::Atom {
    let mut framer = framer.0.lock().unwrap_or_else(PoisonError::into_inner);
    framer.expect_pong();
    atoms::get().ok
}

/// The VM's clock begins far below zero; in the same order, from zero on.
pub fn from_vm(milliseconds: i64) -> u64 {
    milliseconds.cast_unsigned() ^ (1 << 63)
}

/// The other way round.
pub fn to_vm(milliseconds: u64) -> i64 {
    (milliseconds ^ (1 << 63)).cast_signed()
}
