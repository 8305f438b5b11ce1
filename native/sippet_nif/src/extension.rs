//! Header fields alone: text to typed values and back, on demand.

use rustler::{Env, NifResult, Term};
use sippet_proto::Limits;
use sippet_proto::header::Headers;
use sippet_proto::header::extension::{
    full_name, parse, parse_known, shape, write, write_known, write_text,
};
use sippet_proto::message::Arena;

use crate::atoms;
use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::error;
use crate::scratch;
use crate::term::{Raw, Vm};
use crate::words::Words;

/// `nif_decode_header(field, values, words)`: `{:ok, value}` or `{:error, {reason, field, offset, status_code}}`.
///
/// `field` is a key of the header map, `values` a list of strings, one for each line. Of an atom key the value is a header
/// map with that key alone; of a name without a typed form it is `values`.
#[rustler::nif]
fn nif_decode_header<'a>(
    env: Env<'a>,
    field: Term<'a>,
    values: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    decode_header(env, field, values, words)
}

/// `nif_decode_header` for long input.
#[rustler::nif(schedule = "DirtyCpu")]
fn nif_decode_header_dirty<'a>(
    env: Env<'a>,
    field: Term<'a>,
    values: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    decode_header(env, field, values, words)
}

fn decode_header<'a>(
    env: Env<'a>,
    field: Term<'a>,
    values: Term<'a>,
    words: Term<'a>,
) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let words = Words::new(vm, words.into()).ok_or(rustler::Error::BadArg)?;
    let field = Raw::from(field);
    let known = atoms.header(field.bits());
    let name = match known {
        Some(key) => key.name().as_bytes(),
        None => vm.bytes(field).ok_or(rustler::Error::BadArg)?,
    };
    scratch::with(|arena, _| {
        let texts = Decoder::new(vm, arena)
            .texts(values.into())
            .ok_or(rustler::Error::BadArg)?;
        let encoder = Encoder::new(vm, None, words, arena);
        let limits = &Limits::DEFAULT;
        let result = if known.is_some() {
            parse_known(name, &texts, limits, arena)
                .ok_or(rustler::Error::BadArg)?
                .map(|headers| encoder.headers(&headers))
        } else {
            match shape(name) {
                Some(shape) => {
                    parse(name, shape, &texts, limits, arena).map(|value| encoder.typed(&value))
                }
                None => Ok(values.into()),
            }
        };
        Ok(vm.term(match result {
            Ok(value) => vm.tuple([atoms.ok.into(), value]),
            Err(error) => vm.tuple([atoms.error.into(), error::parse_error(vm, &error)]),
        }))
    })
}

/// `nif_encode_header(field, value)`: `{:ok, values}` or `{:error, {field, reason}}`; `value` as in the header map, or the
/// typed value of an extension.
#[rustler::nif]
fn nif_encode_header<'a>(env: Env<'a>, field: Term<'a>, value: Term<'a>) -> NifResult<Term<'a>> {
    let vm = Vm::new(env);
    let atoms = atoms::get();
    let field = Raw::from(field);
    let is_name = atoms.header(field.bits()).is_some() || vm.bytes(field).is_some();
    if !is_name {
        return Err(rustler::Error::BadArg);
    }
    Ok(vm.term(scratch::with(|arena, bytes| {
        match encode_header(vm, arena, field, value.into(), bytes) {
            Ok(prefix) => vm.tuple([atoms.ok.into(), lines(vm, bytes, prefix)]),
            Err(error) => vm.tuple([atoms.error.into(), error]),
        }
    })))
}

/// Writes the lines, and gives the length of what stands before each value.
fn encode_header<'e>(
    vm: Vm<'e>,
    arena: &Arena,
    field: Raw<'e>,
    value: Raw<'e>,
    out: &mut Vec<u8>,
) -> Result<usize, Raw<'e>> {
    let atoms = atoms::get();
    let decoder = Decoder::new(vm, arena);
    let refused = |field| vm.tuple([field, atoms.refusal(decoder.refusal()).into()]);
    let written = |error| error::write_error(vm, &error);
    if let Some(key) = atoms.header(field.bits()) {
        let mut headers = Headers::new_in(arena);
        decoder
            .header(key, value, &mut headers)
            .ok_or_else(|| refused(field))?;
        write_known(&headers, out).map_err(written)?;
        return Ok(key.name().len() + ": ".len());
    }
    let name = vm.bytes(field).unwrap_or_default();
    let full = || vm.copy(full_name(name));
    match shape(name) {
        Some(shape) => {
            let value = decoder.typed(shape, value).ok_or_else(|| refused(full()))?;
            write(name, shape, &value, out).map_err(written)?;
        }
        None => {
            let values = decoder.texts(value).ok_or_else(|| refused(full()))?;
            write_text(name, &values, out).map_err(written)?;
        }
    }
    Ok(0)
}

/// A string for each line. No value has a line end in it.
fn lines<'e>(vm: Vm<'e>, bytes: &[u8], prefix: usize) -> Raw<'e> {
    let text = bytes.strip_suffix(b"\r\n").unwrap_or_default();
    if bytes.is_empty() {
        return vm.empty_list();
    }
    text.split(|byte| *byte == b'\n')
        .rev()
        .fold(vm.empty_list(), |tail, line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            vm.cons(vm.copy(line.get(prefix..).unwrap_or_default()), tail)
        })
}
