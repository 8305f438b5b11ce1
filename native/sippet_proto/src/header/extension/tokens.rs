//! Tokens and texts: Privacy (RFC 3323 §4.2), P-Visited-Network-ID and P-Charging-Vector (RFC 7315 §5.3, §5.6),
//! User-to-User (RFC 7433 §4.1).

use crate::error::{Reason, WriteReason};
use crate::grammar::{Parsed, Scope, Stop, quoted_string, skip_space, token};
use crate::header::params::{param, params, push};
use crate::header::write::params::{Owner, params as write_params};
use crate::header::write::{TOKEN, Written, all, quoted, token as write_token};
use crate::header::{Param, Params, TokenParams};
use crate::message::List;

/// `priv-value *(";" priv-value)`. Commas for semicolons and nothing between two of them are forgiven.
pub(super) fn privacy<'a>(
    value: &'a [u8],
    scope: &mut Scope<'a>,
    into: &mut List<'a, &'a [u8]>,
) -> Result<(), nom::Err<Stop<'a>>> {
    let mut rest = value;
    while !rest.is_empty() {
        if into.len() >= scope.limits.max_values {
            return Err(Stop::at(rest, Reason::TooManyValues));
        }
        match rest {
            [b';' | b',', ..] => scope.forgive(rest, Reason::EmptyElement),
            _ => {
                let (behind, value) = token(rest)?;
                into.push(value);
                rest = skip_space(behind);
            }
        }
        rest = match rest {
            [b';', behind @ ..] => skip_space(behind),
            [b',', behind @ ..] => {
                scope.forgive(rest, Reason::Syntax);
                skip_space(behind)
            }
            [] => rest,
            _ => return Err(Stop::at(rest, Reason::Syntax)),
        };
    }
    Ok(())
}

pub(super) fn write_privacy(out: &mut Vec<u8>, values: &[&[u8]]) -> Written {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b';');
        }
        write_token(out, value)?;
    }
    Ok(())
}

/// `(token / quoted-string) *(SEMI generic-param)`
pub(super) fn text_params<'a>(
    input: &'a [u8],
    scope: &mut Scope<'a>,
) -> Parsed<'a, TokenParams<'a>> {
    let (rest, token) = match input {
        [b'"', ..] => quoted_string(input, scope)?,
        _ => token(input)?,
    };
    let (rest, params) = params(rest, scope)?;
    Ok((rest, TokenParams { token, params }))
}

pub(super) fn write_text_params(out: &mut Vec<u8>, value: &TokenParams<'_>) -> Written {
    if !value.token.is_empty() && all(value.token, TOKEN) {
        out.extend_from_slice(value.token);
    } else {
        quoted(out, value.token)?;
    }
    write_params(out, value.params, Owner::Generic)
}

/// `* *(SEMI feature-param)`, written with the quotes of RFC 3840 §9.
pub(super) fn write_features(out: &mut Vec<u8>, value: &TokenParams<'_>) -> Written {
    write_token(out, value.token)?;
    write_params(out, value.params, Owner::Contact)
}

const ICID_VALUE: &[u8] = b"icid-value";

/// `icid-value *(SEMI charge-params)`, `icid-value` also behind others.
pub(super) fn charging_vector<'a>(
    input: &'a [u8],
    scope: &mut Scope<'a>,
) -> Parsed<'a, Params<'a>> {
    let (rest, first) = param(input, scope)?;
    let (rest, others) = params(rest, scope)?;
    let mut list = List::with_capacity_in(1 + others.len(), scope.arena);
    list.push(first);
    for other in others {
        push(&mut list, *other, rest, scope)?;
    }
    let vector = list.into_bump_slice();
    if !vector.iter().any(is_icid) {
        return Err(Stop::at(rest, Reason::MissingParameter));
    }
    Ok((rest, vector))
}

fn is_icid(param: &Param<'_>) -> bool {
    param.name == ICID_VALUE && param.value.is_some_and(|value| !value.is_empty())
}

pub(super) fn write_charging_vector(out: &mut Vec<u8>, vector: Params<'_>) -> Written {
    let Some(icid) = vector.iter().find(|param| is_icid(param)) else {
        return Err(WriteReason::MissingParameter);
    };
    let start = out.len();
    write_params(out, std::slice::from_ref(icid), Owner::Generic)?;
    // The first one has no semicolon.
    out.remove(start);
    vector
        .iter()
        .filter(|param| param.name != ICID_VALUE)
        .try_for_each(|param| write_params(out, std::slice::from_ref(param), Owner::Generic))
}
