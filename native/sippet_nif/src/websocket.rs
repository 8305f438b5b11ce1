//! WebSocket: each connection has one of these, and one process that calls it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustler::{Atom, Encoder, Env, NifResult, Resource, ResourceArc, Term};
use sippet_websocket::{Event, Side, WebSocket};

use crate::atoms;
use crate::framer::{from_vm, to_vm};
use crate::message::stack_limits;
use crate::term::{Raw, Vm};

/// The lock is for the borrow checker: a connection is one process.
pub struct Connection(Mutex<WebSocket>);

#[rustler::resource_impl]
impl Resource for Connection {}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, WebSocket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `websocket_new(:client | :server, limits)`
#[rustler::nif]
fn websocket_new<'a>(
    env: Env<'a>,
    side: Atom,
    limits: Term<'a>,
) -> NifResult<ResourceArc<Connection>> {
    let side = match side {
        side if side == atoms::get().client => Side::Client,
        side if side == atoms::get().server => Side::Server,
        _ => return Err(rustler::Error::BadArg),
    };
    let limits = stack_limits(Vm::new(env), limits.into()).ok_or(rustler::Error::BadArg)?;
    Ok(ResourceArc::new(Connection(Mutex::new(WebSocket::new(
        side,
        limits.max_stream_message_bytes,
        limits.max_stream_message_ms,
    )))))
}

/// `nif_websocket_push(websocket, data, now)`: `{events, output, deadline | nil}`, times in milliseconds of the VM's monotonic
/// clock. Events are
///
///   * `{:message, binary}`
///   * `:ping`, `:pong`
///   * `:closed`, `{:failed, status_code}`
#[rustler::nif]
fn nif_websocket_push<'a>(
    env: Env<'a>,
    websocket: ResourceArc<Connection>,
    data: Term<'a>,
    now: i64,
) -> NifResult<Term<'a>> {
    push(env, &websocket, data, now)
}

/// `nif_websocket_push` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_websocket_push_dirty<'a>(
    env: Env<'a>,
    websocket: ResourceArc<Connection>,
    data: Term<'a>,
    now: i64,
) -> NifResult<Term<'a>> {
    push(env, &websocket, data, now)
}

fn push<'a>(
    env: Env<'a>,
    connection: &Connection,
    data: Term<'a>,
    now: i64,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let input = vm.bytes(data.into()).ok_or(rustler::Error::BadArg)?;
    let mut websocket = connection.lock();
    let mut output = Vec::new();
    let mut terms: Vec<Raw<'a>> = Vec::new();
    websocket.push(from_vm(now), input, &mut output, |event| {
        terms.push(match event {
            Event::Message(message) => vm.tuple([atoms.message.into(), vm.copy(&message)]),
            Event::Ping => atoms.ping.into(),
            Event::Pong => atoms.pong.into(),
            Event::Closed => atoms.closed.into(),
            Event::Failed(code) => vm.tuple([atoms.failed.into(), vm.integer(code.into())]),
        });
    });
    let events = terms
        .into_iter()
        .rev()
        .fold(vm.empty_list(), |tail, event| vm.cons(event, tail));
    let deadline = match websocket.deadline() {
        Some(deadline) => to_vm(deadline).encode(env).into(),
        None => atoms.nil.into(),
    };
    Ok(vm.term(vm.tuple([events, vm.copy(&output), deadline])))
}

/// `nif_websocket_message(websocket, message)`: the bytes of a frame, none after a Close.
#[rustler::nif]
fn nif_websocket_message<'a>(
    env: Env<'a>,
    websocket: ResourceArc<Connection>,
    message: Term<'a>,
) -> NifResult<Term<'a>> {
    write_message(env, &websocket, message)
}

/// `nif_websocket_message` for a long message.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_websocket_message_dirty<'a>(
    env: Env<'a>,
    websocket: ResourceArc<Connection>,
    message: Term<'a>,
) -> NifResult<Term<'a>> {
    write_message(env, &websocket, message)
}

fn write_message<'a>(
    env: Env<'a>,
    connection: &Connection,
    message: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let message = vm.bytes(message.into()).ok_or(rustler::Error::BadArg)?;
    let mut output = Vec::with_capacity(message.len() + 14);
    connection.lock().write_message(message, &mut output);
    Ok(vm.term(vm.copy(&output)))
}

/// `websocket_ping(websocket)`: the bytes of a Ping.
#[rustler::nif]
fn websocket_ping<'a>(env: Env<'a>, websocket: ResourceArc<Connection>) -> Term<'a> {
    let vm = Vm::new(env);
    let mut output = Vec::new();
    websocket.lock().write_ping(&mut output);
    vm.term(vm.copy(&output))
}

/// `websocket_close(websocket, status_code)`: the bytes of a Close, none after another one.
#[rustler::nif]
fn websocket_close<'a>(env: Env<'a>, websocket: ResourceArc<Connection>, code: u16) -> Term<'a> {
    let vm = Vm::new(env);
    let mut output = Vec::new();
    websocket.lock().close(code, &mut output);
    vm.term(vm.copy(&output))
}
