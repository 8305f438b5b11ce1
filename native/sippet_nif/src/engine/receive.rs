//! Messages from the network.

use rustler::{Atom, Env, NifResult, Term};
use sippet_proto::error::Field;
use sippet_proto::message::reply::{Reply, Salvage, write_reply};
use sippet_proto::message::stamp::stamp_received;
use sippet_proto::message::{Arena, Message, Method, StartLine};
use sippet_proto::transaction::admission::Admit;
use sippet_proto::transaction::{
    Class, Destination, Effect, Flow, IncomingRequest, IncomingResponse, Key, Kind, Target, Verdict,
};
use sippet_proto::{Bytes, Framing, Options, ParseError, Reason, parse};
use std::borrow::Cow;
use std::net::SocketAddr;

use super::report::{Told, told_term};
use super::{effects_term, stopped};
use crate::decode::Decoder;
use crate::stack::{Placed, StackArc};
use crate::telemetry::{self, RECEIVED, REFUSED, REJECTED};
use crate::term::{Raw, Vm};
use crate::{atoms, flow, scratch};

/// Retry-After is from so many seconds on, and up to so many more.
const RETRY_AFTER_S: usize = 3;
const RETRY_AFTER_SPREAD_S: usize = 10;

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
    let mut outcome = Outcome::default();
    scratch::with(|arena, _| accept(env, stack, data, &origin, arena, &mut outcome));
    Ok(vm.term(outcome.term(vm)))
}

/// `engine_reject(stack, head, transport, connection, source, status_code)`: what a stream has brought of a message that will
/// never be whole. If it is enough of a request, that is answered.
#[rustler::nif]
fn engine_reject<'a>(
    env: Env<'a>,
    stack: StackArc,
    head: Term<'a>,
    transport: u32,
    connection: u64,
    source: Term<'a>,
    status_code: u16,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let head = vm.bytes(head.into()).ok_or(rustler::Error::BadArg)?;
    let Some(Destination::Address(source)) = flow::destination(vm, source.into()) else {
        return Err(rustler::Error::BadArg);
    };
    if stack.is_closed() {
        return Ok(vm.term(stopped(vm)));
    }
    let origin = Origin {
        flow: Flow {
            transport,
            connection,
        },
        source,
        reliable: true,
        force_rport: false,
    };
    let mut outcome = Outcome::default();
    outcome.reject(&stack, atoms::get().broken, status_code);
    let answer = Answer::new(status_code, "where the message ends cannot be told");
    reply_without_state(&stack, head, &origin, None, &answer, &mut outcome);
    Ok(vm.term(outcome.term(vm)))
}

/// What comes of a message.
#[derive(Default)]
struct Outcome {
    told: Vec<Told>,
    placed: Vec<Placed>,
}

impl Outcome {
    fn reject(&mut self, stack: &StackArc, reason: Atom, status_code: u16) {
        stack.counters.rejected_messages.add(1);
        if telemetry::listens(REJECTED) {
            self.told.push(Told::Rejected(reason, status_code));
        }
    }

    fn refuse(&mut self, stack: &StackArc, reason: Atom) {
        stack.counters.refused_requests.add(1);
        if telemetry::listens(REFUSED) {
            self.told.push(Told::Refused(reason));
        }
    }

    /// `{:ok, effects}`, what is told first.
    fn term<'a>(&self, vm: Vm<'a>) -> Raw<'a> {
        let mut list = effects_term(vm, &self.placed);
        for told in self.told.iter().rev() {
            list = vm.cons(told_term(vm, told), list);
        }
        vm.tuple([atoms::get().ok.into(), list])
    }
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
    outcome: &mut Outcome,
) {
    let counters = &stack.counters;
    let atoms = atoms::get();
    if data.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        counters.keep_alives.add(1);
        return;
    }
    let mut limits = stack.limits;
    if origin.reliable {
        limits.max_message_bytes = limits.max_stream_message_bytes;
    }
    let options = Options {
        framing: Framing::Datagram,
        limits,
        ..Options::default()
    };
    let message = match parse(data, &options, arena) {
        Ok(message) => message,
        Err(error) => {
            outcome.reject(stack, atoms.reason(error.reason), error.status_code());
            let answer = Answer::to_malformed(&error);
            return reply_without_state(stack, data, origin, None, &answer, outcome);
        }
    };
    // An escaped NUL may stand in a quoted string, but nothing is written that holds one: no core could answer.
    if memchr::memchr(0, head(data, &message)).is_some() {
        outcome.reject(stack, atoms.reason(Reason::Nul), 400);
        let answer = Answer::new(400, "there is a NUL");
        return reply_without_state(stack, data, origin, Some(&message), &answer, outcome);
    }
    match &message.start_line {
        StartLine::Request(line) => {
            let ack = line.method == Method::Ack;
            counters.received_requests.add(1);
            if telemetry::listens(RECEIVED) {
                let method = line.method.as_bytes().into();
                outcome.told.push(Told::Request(method));
            }
            if message
                .headers
                .cseq
                .is_none_or(|cseq| cseq.method != line.method)
            {
                outcome.reject(stack, atoms.method_mismatch, 400);
                if !ack {
                    let answer = Answer::new(400, "the method of CSeq is another one");
                    reply_without_state(stack, data, origin, Some(&message), &answer, outcome);
                }
                return;
            }
            if stack.core().is_none() {
                let refusal = Refusal {
                    reason: atoms.no_core,
                    text: "nobody is here to serve requests",
                    stay_away: false,
                };
                // An ACK to an answer of the stack's own is for nobody else; no other is answered.
                if !ack {
                    refuse(stack, data, origin, &message, &refusal, outcome);
                } else if !is_own_ack(stack, &message) {
                    outcome.refuse(stack, refusal.reason);
                }
                return;
            }
            accept_request(env, stack, data, origin, &message, outcome);
        }
        StartLine::Status(line) => {
            counters.received_responses.add(1);
            if telemetry::listens(RECEIVED) {
                outcome.told.push(Told::Response(line.status_code));
            }
            accept_response(env, stack, data, origin, &message, outcome);
        }
    }
}

/// What stands before the body.
fn head<'a>(data: &'a [u8], message: &Message<'_>) -> &'a [u8] {
    let body = message.body.map_or(data.len(), |body| {
        (body.as_ptr() as usize).saturating_sub(data.as_ptr() as usize)
    });
    data.get(..body).unwrap_or(data)
}

fn accept_request(
    env: Env<'_>,
    stack: &StackArc,
    data: &[u8],
    origin: &Origin,
    message: &Message<'_>,
    outcome: &mut Outcome,
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
    let door = &stack.door;
    let mut refusal = None;
    let verdict = stack.step(env, shard, &mut effects, |engine, now, effects| {
        let may_refuse = door.is_draining() || door.is_watched();
        if may_refuse && let Some(class) = engine.class_of(&request) {
            let source = stack.keys.source(origin.source.ip());
            refusal = at_the_door(stack, class, source);
            if refusal.is_some() {
                // An ACK is never answered.
                return match request.kind {
                    Kind::Ack => Verdict::Refused,
                    _ => Verdict::Reply(503),
                };
            }
        }
        engine.handle_request(now, request, effects)
    });
    outcome
        .placed
        .extend(effects.into_iter().map(|effect| (shard, effect)));
    match verdict {
        Some(Verdict::Reply(503) | Verdict::Refused) => {
            let refusal = refusal.unwrap_or(Refusal {
                reason: atoms::get().max_transactions,
                text: "as many requests are under way as may be",
                stay_away: true,
            });
            if verdict == Some(Verdict::Refused) {
                outcome.refuse(stack, refusal.reason);
            } else {
                refuse(stack, data, origin, message, &refusal, outcome);
            }
        }
        Some(Verdict::Reply(status_code)) => {
            let answer = Answer::new(status_code, unmatched(status_code));
            reply_without_state(stack, data, origin, Some(message), &answer, outcome);
        }
        _ => {}
    }
}

/// Why a request is refused.
struct Refusal {
    reason: Atom,
    /// For people.
    text: &'static str,
    /// It is no use to try again soon, whatever the request.
    stay_away: bool,
}

/// A request that could be refused, and whether it is.
fn at_the_door(stack: &StackArc, class: Class, source: u64) -> Option<Refusal> {
    let atoms = atoms::get();
    if stack.door.is_draining() && class == Class::Outside {
        return Some(Refusal {
            reason: atoms.draining,
            text: "the server is to stop, and takes on nothing more",
            stay_away: true,
        });
    }
    if stack.door.is_crowded(class) {
        return Some(Refusal {
            reason: atoms.max_processes,
            text: "the server has as many processes as it may",
            stay_away: true,
        });
    }
    let stay_away = match stack.door.arrives(class, stack.now_us(), source) {
        Admit::Yes => return None,
        Admit::No => false,
        Admit::Hopeless => true,
    };
    Some(Refusal {
        reason: atoms.overload,
        text: "the server has too much to do",
        stay_away,
    })
}

/// Answers 503. Whoever is told when to try again sends nothing until then (§21.5.4), so that is said only where the stack as a whole
/// can take nothing, and to each request another time.
fn refuse(
    stack: &StackArc,
    data: &[u8],
    origin: &Origin,
    message: &Message<'_>,
    refusal: &Refusal,
    outcome: &mut Outcome,
) {
    outcome.refuse(stack, refusal.reason);
    let key = stateless_key(stack, message).filter(|_| refusal.stay_away);
    let mut answer = Answer::new(503, refusal.text);
    answer.retry_after =
        key.map(|key| (RETRY_AFTER_S + key.shard(RETRY_AFTER_SPREAD_S)).to_string());
    reply_without_state(stack, data, origin, Some(message), &answer, outcome);
}

fn accept_response(
    env: Env<'_>,
    stack: &StackArc,
    data: &[u8],
    origin: &Origin,
    message: &Message<'_>,
    outcome: &mut Outcome,
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
    outcome
        .placed
        .extend(effects.into_iter().map(|effect| (shard, effect)));
    if matches!(verdict, Some(Verdict::Dropped | Verdict::Delivered)) {
        stack.counters.stray_responses.add(1);
    }
}

/// What is answered to a request that the core does not see, and why, for people (§20.43).
struct Answer {
    status_code: u16,
    text: Cow<'static, str>,
    retry_after: Option<String>,
}

impl Answer {
    fn new(status_code: u16, text: impl Into<Cow<'static, str>>) -> Answer {
        Answer {
            status_code,
            text: text.into(),
            retry_after: None,
        }
    }

    /// Which field is to blame stands in it, if it is one that anybody knows.
    fn to_malformed(error: &ParseError<'_>) -> Answer {
        let text = match error.field {
            Field::Header(name) if is_plain(name) => {
                format!("{}: {}", String::from_utf8_lossy(name), error.reason)
            }
            _ => error.reason.to_string(),
        };
        Answer::new(error.status_code(), text)
    }
}

/// Letters and hyphens, not many: nothing that would have to be escaped.
fn is_plain(name: &[u8]) -> bool {
    name.len() <= 32
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Answers a request without keeping anything (§8.2.7), if enough of it can be read.
fn reply_without_state(
    stack: &StackArc,
    data: &[u8],
    origin: &Origin,
    message: Option<&Message<'_>>,
    answer: &Answer,
    outcome: &mut Outcome,
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
    let warning = format!("399 server \"{}\"", answer.text);
    let warning = (&b"Warning"[..], warning.as_bytes());
    let seconds = answer.retry_after.as_deref().unwrap_or_default();
    let extra = [(&b"Retry-After"[..], seconds.as_bytes()), warning];
    let reply = Reply {
        status_code: answer.status_code,
        reason_phrase: reason_phrase(answer.status_code).as_bytes(),
        to_tag: Some(&tag),
        extra: extra
            .get(usize::from(seconds.is_empty())..)
            .unwrap_or_default(),
    };
    let mut out = Vec::with_capacity(stamped.len().min(2048));
    if write_reply(&mut out, &salvage, &reply).is_err() {
        return;
    }
    stack.counters.stateless_replies.add(1);
    outcome.placed.push((
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
    stateless_key(stack, message).map(Key::to_tag)
}

fn is_own_ack(stack: &StackArc, message: &Message<'_>) -> bool {
    let to = message.headers.to.as_ref().and_then(|to| to.tag());
    to.is_some_and(|tag| stateless_tag(stack, message).is_some_and(|own| own == tag))
}

fn stateless_key(stack: &StackArc, message: &Message<'_>) -> Option<Key> {
    let headers = &message.headers;
    let from = headers.from.as_ref()?.tag().unwrap_or_default();
    let branch = headers.via.as_ref()?.first()?.branch().unwrap_or_default();
    let keys = &stack.keys;
    Some(keys.stateless_tag(from, headers.call_id?, headers.cseq?.number, branch))
}

/// What a request is answered that finds no transaction, or another one's.
fn unmatched(status_code: u16) -> &'static str {
    match status_code {
        481 => "no request is under way that this one cancels",
        482 => "the request has come by another way too",
        _ => "the request fits none that is under way",
    }
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
