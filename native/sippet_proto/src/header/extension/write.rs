//! Typed values to values.

use super::{Shape, Typed, dialog, full_name, identity, numbers, tokens};
use crate::error::{Field, WriteError, WriteReason};
use crate::header::write::lines::JOINED_BYTES;
use crate::header::write::{Written, text, token, values};

/// Appends the values, each ended by CRLF: what goes behind the name on each line. Appends nothing where it fails.
///
/// `name` is for the error. Addresses and other long values have a line each. A list without values has no line, but for
/// the fields that mean something without one. Fails where a value holds a CR, LF or NUL, could not be read back as it is,
/// or is not of the shape.
pub fn write<'a>(
    name: &'a [u8],
    shape: Shape,
    value: &Typed<'_>,
    out: &mut Vec<u8>,
) -> Result<(), WriteError<'a>> {
    let start = out.len();
    typed(out, shape, value).map_err(|reason| {
        out.truncate(start);
        WriteError {
            field: Field::Header(full_name(name)),
            reason,
        }
    })
}

/// The same for a field without a shape, whose values are the lines.
pub fn write_text<'a>(
    name: &'a [u8],
    values: &[&[u8]],
    out: &mut Vec<u8>,
) -> Result<(), WriteError<'a>> {
    let start = out.len();
    let written = values
        .iter()
        .try_for_each(|value| line(out, |out| text(out, value)));
    written.map_err(|reason| {
        out.truncate(start);
        WriteError {
            field: Field::Header(full_name(name)),
            reason,
        }
    })
}

fn typed(out: &mut Vec<u8>, shape: Shape, value: &Typed<'_>) -> Written {
    match (shape, value) {
        (Shape::Token, Typed::Token(value)) => line(out, |out| token(out, value)),
        (Shape::Tokens { empty }, Typed::Tokens(list)) => joined(out, list, empty),
        (Shape::Privacy, Typed::Tokens(list)) if list.is_empty() => Ok(()),
        (Shape::Privacy, Typed::Tokens(list)) => line(out, |out| tokens::write_privacy(out, list)),
        (Shape::TokenParams, Typed::TokenParams(value)) => {
            line(out, |out| values::token_params(out, value))
        }
        (Shape::TokenParamsList { empty }, Typed::TokenParamsList(list)) => {
            each(out, list, empty, values::token_params)
        }
        (Shape::Features, Typed::TokenParamsList(list)) => {
            each(out, list, false, tokens::write_features)
        }
        (Shape::TextParamsList, Typed::TokenParamsList(list)) => {
            each(out, list, false, tokens::write_text_params)
        }
        (Shape::Number(least), Typed::Number(value)) => {
            line(out, |out| numbers::write_at_least(out, *value, least))
        }
        (Shape::NumberParams, Typed::NumberParams(value)) => {
            line(out, |out| numbers::write_number_params(out, value))
        }
        (Shape::RAck, Typed::RAck(value)) => line(out, |out| numbers::write_rack(out, value)),
        (Shape::Dialog(tags), Typed::Dialog(value)) => {
            line(out, |out| dialog::write(out, value, tags))
        }
        (Shape::Address, Typed::Address(value)) => line(out, |out| values::name_addr(out, value)),
        (Shape::Addresses { empty }, Typed::Addresses(list)) => {
            each(out, list, empty, values::name_addr)
        }
        (Shape::Infos, Typed::Infos(list)) => each(out, list, false, values::info),
        (Shape::ChargingVector, Typed::Params(params)) => {
            line(out, |out| tokens::write_charging_vector(out, params))
        }
        (Shape::Identities, Typed::Identities(list)) => each(out, list, false, identity::write),
        _ => Err(WriteReason::Syntax),
    }
}

fn line(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Written) -> Written {
    write(out)?;
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// A line for each value.
fn each<T>(
    out: &mut Vec<u8>,
    list: &[T],
    empty: bool,
    write: impl Fn(&mut Vec<u8>, &T) -> Written,
) -> Written {
    if list.is_empty() && empty {
        out.extend_from_slice(b"\r\n");
    }
    list.iter()
        .try_for_each(|value| line(out, |out| write(out, value)))
}

/// Tokens with commas between, in as few lines of moderate length as it takes.
fn joined(out: &mut Vec<u8>, list: &[&[u8]], empty: bool) -> Written {
    let mut start = out.len();
    for (index, value) in list.iter().enumerate() {
        if index > 0 && out.len() - start + value.len() > JOINED_BYTES {
            out.extend_from_slice(b"\r\n");
            start = out.len();
        } else if index > 0 {
            out.extend_from_slice(b", ");
        }
        token(out, value)?;
    }
    if empty || !list.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    Ok(())
}
