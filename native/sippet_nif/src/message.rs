//! The functions of the message layer. Each has a twin for a dirty scheduler; `Sippet.Native` chooses by size.

use rustler::{Atom, Env, NifResult, Term};
use sippet_proto::uri::Comparison;
use sippet_proto::{Framing, Limits, Mode, Options};

use crate::atoms;
use crate::decode::{self, Decoder};
use crate::encode::{self, Encoder};
use crate::error;
use crate::scratch;
use crate::term::{Datagram, Raw, Vm};
use crate::words::Words;

/// `nif_parse(data, framing, mode, limits, words)`: `{:ok, message}` or `{:error, {reason, field, offset, status_code}}`.
#[rustler::nif]
fn nif_parse<'a>(
    env: Env<'a>,
    data: Term<'a>,
    framing: Atom,
    mode: Atom,
    limits: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    parse_message(env, data, framing, mode, limits, words)
}

/// `nif_parse` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_parse_dirty<'a>(
    env: Env<'a>,
    data: Term<'a>,
    framing: Atom,
    mode: Atom,
    limits: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    parse_message(env, data, framing, mode, limits, words)
}

fn parse_message<'a>(
    env: Env<'a>,
    data: Term<'a>,
    framing: Atom,
    mode: Atom,
    limits: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let datagram = Datagram::new(vm, data.into()).ok_or(rustler::Error::BadArg)?;
    let options = options(vm, framing, mode, limits.into()).ok_or(rustler::Error::BadArg)?;
    let words = Words::new(vm, words.into()).ok_or(rustler::Error::BadArg)?;
    Ok(vm.term(scratch::with(|arena, _| {
        match sippet_proto::parse(datagram.bytes(), &options, arena) {
            Ok(message) => vm.tuple([
                atoms.ok.into(),
                Encoder::new(vm, Some(datagram), words, arena).message(&message, atoms.nil.into()),
            ]),
            Err(error) => vm.tuple([atoms.error.into(), error::parse_error(vm, &error)]),
        }
    })))
}

/// nil or the seven bounds in the order of [`Limits`].
fn options<'a>(vm: Vm<'a>, framing: Atom, mode: Atom, limits: Raw<'a>) -> Option<Options> {
    let atoms = atoms::get();
    Some(Options {
        framing: if framing == atoms.whole {
            Framing::Whole
        } else if framing == atoms.datagram {
            Framing::Datagram
        } else {
            return None;
        },
        mode: if mode == atoms.lenient {
            Mode::Lenient
        } else if mode == atoms.strict {
            Mode::Strict
        } else {
            return None;
        },
        limits: if limits == atoms.nil.into() {
            Limits::DEFAULT
        } else {
            self::limits(vm, limits)?
        },
    })
}

/// The bounds of a message alone, in the order of [`Limits`].
fn limits<'a>(vm: Vm<'a>, tuple: Raw<'a>) -> Option<Limits> {
    message_limits(vm, vm.tuple_of::<7>(tuple)?)
}

/// All bounds in the order of [`Limits`].
pub fn stack_limits<'a>(vm: Vm<'a>, tuple: Raw<'a>) -> Option<Limits> {
    let bounds = vm.tuple_of::<9>(tuple)?;
    let [.., bytes, milliseconds] = bounds;
    Some(Limits {
        max_stream_message_bytes: usize::try_from(vm.number(*bytes)?).ok()?,
        max_stream_message_ms: u64::try_from(vm.number(*milliseconds)?).ok()?,
        ..message_limits(vm, bounds)?
    })
}

fn message_limits<'a>(vm: Vm<'a>, bounds: &[Raw<'a>]) -> Option<Limits> {
    let bound = |index: usize| usize::try_from(vm.number(*bounds.get(index)?)?).ok();
    Some(Limits {
        max_message_bytes: bound(0)?,
        max_fields: bound(1)?,
        max_line_bytes: bound(2)?,
        max_values: bound(3)?,
        max_hops: bound(4)?,
        max_parameters: bound(5)?,
        max_folds: bound(6)?,
        ..Limits::DEFAULT
    })
}

/// `nif_write(message)`: `{:ok, binary}` or `{:error, {field, reason}}`.
#[rustler::nif]
fn nif_write<'a>(env: Env<'a>, message: Term<'a>) -> Term<'a> {
    write_message(env, message)
}

/// `nif_write` for a long message.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_write_dirty<'a>(env: Env<'a>, message: Term<'a>) -> Term<'a> {
    write_message(env, message)
}

fn write_message<'a>(env: Env<'a>, message: Term<'a>) -> Term<'a> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    vm.term(scratch::with(|arena, bytes| {
        let error = match Decoder::new(vm, arena).message(message.into()) {
            Ok(message) => match message.write(bytes) {
                Ok(()) => return vm.tuple([atoms.ok.into(), vm.copy(bytes)]),
                Err(error) => error::write_error(vm, &error),
            },
            Err(refused) => vm.tuple([refused.field, atoms.refusal(refused.refusal).into()]),
        };
        vm.tuple([atoms.error.into(), error])
    }))
}

/// `nif_parse_uri(text, words)`: `{:ok, uri}` or `{:error, :invalid}`.
#[rustler::nif]
fn nif_parse_uri<'a>(env: Env<'a>, text: Term<'a>, words: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let datagram = Datagram::new(vm, text.into()).ok_or(rustler::Error::BadArg)?;
    let words = Words::new(vm, words.into()).ok_or(rustler::Error::BadArg)?;
    Ok(vm.term(scratch::with(|arena, _| {
        let (tag, value) = match sippet_proto::parse_uri(datagram.bytes()) {
            Ok(uri) => (
                atoms.ok,
                encode::uri(vm, Some(datagram), words, arena, &uri),
            ),
            Err(_) => (atoms.error, atoms.invalid.into()),
        };
        vm.tuple([tag.into(), value])
    })))
}

/// `nif_write_uri(uri)`: `{:ok, binary}` or `{:error, reason}`.
#[rustler::nif]
fn nif_write_uri<'a>(env: Env<'a>, uri: Term<'a>) -> Term<'a> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    vm.term(scratch::with(|arena, bytes| {
        let reason = match decode::uri(vm, arena, uri.into()) {
            Ok(uri) => match uri.write(bytes) {
                Ok(()) => return vm.tuple([atoms.ok.into(), vm.copy(bytes)]),
                Err(reason) => atoms.write_reason(reason),
            },
            Err(refusal) => atoms.refusal(refusal),
        };
        vm.tuple([atoms.error.into(), reason.into()])
    }))
}

/// `nif_equivalent_uris(a, b, lazy)`: true, false, or `error` where one of the two, a URI or its text, is none.
#[rustler::nif]
fn nif_equivalent_uris<'a>(a: Term<'a>, b: Term<'a>, lazy: bool) -> Atom {
    equivalent_uris(a, b, lazy)
}

/// `nif_equivalent_uris` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_equivalent_uris_dirty<'a>(a: Term<'a>, b: Term<'a>, lazy: bool) -> Atom {
    equivalent_uris(a, b, lazy)
}

fn equivalent_uris<'a>(a: Term<'a>, b: Term<'a>, lazy: bool) -> Atom {
    let vm = Vm::new(a.get_env());
    let atoms = atoms::get();
    let comparison = match lazy {
        true => Comparison::Lazy,
        false => Comparison::Strict,
    };
    scratch::with(|arena, _| {
        let a = decode::uri(vm, arena, a.into());
        match (a, decode::uri(vm, arena, b.into())) {
            (Ok(a), Ok(b)) if a.is_equivalent(&b, comparison) => atoms.true_,
            (Ok(_), Ok(_)) => atoms.false_,
            _ => atoms.error,
        }
    })
}

/// The atoms that `parse` can give as a reason.
#[rustler::nif]
fn parse_reasons() -> Vec<Atom> {
    atoms::get().all_reasons()
}

/// The atoms that `write` can give as a reason.
#[rustler::nif]
fn write_reasons() -> Vec<Atom> {
    atoms::get().all_write_reasons()
}
