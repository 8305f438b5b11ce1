//! The functions of session descriptions. Each has a twin for a dirty scheduler; `Sippet.Native.SDP` chooses by size.

use rustler::{Atom, Env, NifResult, Term};
use sippet_proto::sdp::{Limits, Mode, Options, Place, parse};

use crate::atoms::{self, sdp};
use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::error::offset;
use crate::scratch;
use crate::term::{Datagram, Raw, Vm};
use crate::words::Words;

/// `nif_sdp_parse(data, mode, limits, words)`: `{:ok, sdp}` or `{:error, {reason, line, offset}}`.
#[rustler::nif]
fn nif_sdp_parse<'a>(
    env: Env<'a>,
    data: Term<'a>,
    mode: Atom,
    limits: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    parse_session(env, data, mode, limits, words)
}

/// `nif_sdp_parse` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_sdp_parse_dirty<'a>(
    env: Env<'a>,
    data: Term<'a>,
    mode: Atom,
    limits: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    parse_session(env, data, mode, limits, words)
}

fn parse_session<'a>(
    env: Env<'a>,
    data: Term<'a>,
    mode: Atom,
    limits: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let datagram = Datagram::new(vm, data.into()).ok_or(rustler::Error::BadArg)?;
    let options = options(vm, mode, limits.into()).ok_or(rustler::Error::BadArg)?;
    let words = Words::new(vm, words.into()).ok_or(rustler::Error::BadArg)?;
    Ok(vm.term(scratch::with(|arena, _| {
        match parse(datagram.bytes(), &options, arena) {
            Ok(session) => vm.tuple([
                atoms.ok.into(),
                Encoder::new(vm, Some(datagram), words, arena).sdp(&session),
            ]),
            Err(error) => {
                let place = vm.tuple([
                    sdp::get().reason(error.reason).into(),
                    offset(vm, error.line),
                    offset(vm, error.offset),
                ]);
                vm.tuple([atoms.error.into(), place])
            }
        }
    })))
}

/// The five bounds in the order of [`Limits`].
fn options<'a>(vm: Vm<'a>, mode: Atom, limits: Raw<'a>) -> Option<Options> {
    let atoms = atoms::get();
    let bounds = vm.tuple_of::<5>(limits)?;
    let bound = |index: usize| usize::try_from(vm.number(*bounds.get(index)?)?).ok();
    Some(Options {
        mode: if mode == atoms.lenient {
            Mode::Lenient
        } else if mode == atoms.strict {
            Mode::Strict
        } else {
            return None;
        },
        limits: Limits {
            max_bytes: bound(0)?,
            max_lines: bound(1)?,
            max_line_bytes: bound(2)?,
            max_media: bound(3)?,
            max_attributes: bound(4)?,
        },
    })
}

/// `nif_sdp_write(sdp)`: `{:ok, binary}` or `{:error, {path, reason}}`, as in `[:media, 0, :attributes, 2]`.
#[rustler::nif]
fn nif_sdp_write<'a>(env: Env<'a>, session: Term<'a>) -> Term<'a> {
    write_session(env, session)
}

/// `nif_sdp_write` for a long description.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_sdp_write_dirty<'a>(env: Env<'a>, session: Term<'a>) -> Term<'a> {
    write_session(env, session)
}

fn write_session<'a>(env: Env<'a>, session: Term<'a>) -> Term<'a> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let own = sdp::get();
    vm.term(scratch::with(|arena, bytes| {
        let (place, reason) = match Decoder::new(vm, arena).sdp(session.into()) {
            Ok(session) => match session.write(bytes) {
                Ok(()) => return vm.tuple([atoms.ok.into(), vm.copy(bytes)]),
                Err(error) => (error.place, own.write_reason(error.reason)),
            },
            Err(place) => (place, own.invalid_term),
        };
        let error = vm.tuple([path(vm, place), reason.into()]);
        vm.tuple([atoms.error.into(), error])
    }))
}

fn path(vm: Vm<'_>, place: Place) -> Raw<'_> {
    let own = sdp::get();
    let mut path = vm.empty_list();
    if let Some(index) = place.index {
        path = vm.cons(offset(vm, index), path);
    }
    let is_whole = place.media.is_some() && place.field == "media";
    if !is_whole {
        path = vm.cons(own.field(place.field).into(), path);
    }
    if let Some(media) = place.media {
        path = vm.cons(own.media.into(), vm.cons(offset(vm, media), path));
    }
    path
}

/// The atoms that `nif_sdp_parse` can give as a reason.
#[rustler::nif]
fn sdp_parse_reasons() -> Vec<Atom> {
    sdp::get().all_reasons()
}

/// The atoms that `nif_sdp_write` can give as a reason.
#[rustler::nif]
fn sdp_write_reasons() -> Vec<Atom> {
    sdp::get().all_write_reasons()
}
