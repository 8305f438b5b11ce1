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

/// `icid-value *(SEMI charge-params)`, `icid-value` also behind others: it is put before them.
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
    let place = list.iter().position(is_icid);
    let Some(head) = place.and_then(|place| list.get_mut(..=place)) else {
        return Err(Stop::at(rest, Reason::MissingParameter));
    };
    head.rotate_right(1);
    Ok((rest, list.into_bump_slice()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::message::Arena;

    fn values(input: &'static str) -> (Result<Vec<String>, Reason>, Option<Reason>) {
        let arena = Arena::new();
        let mut into = List::new_in(&arena);
        let (result, forgiven) = read(&arena, |scope| {
            match privacy(input.as_bytes(), scope, &mut into) {
                Ok(()) => Ok(()),
                Err(nom::Err::Error(stop)) => Err(stop.reason),
                Err(other) => panic!("{other:?}"),
            }
        });
        let text = |token: &&[u8]| String::from_utf8_lossy(token).into_owned();
        (result.map(|()| into.iter().map(text).collect()), forgiven)
    }

    fn all(values: &[&str]) -> Result<Vec<String>, Reason> {
        Ok(values.iter().map(|value| value.to_string()).collect())
    }

    #[test]
    fn semicolons_separate_the_values_of_privacy() {
        assert_eq!(values("id"), (all(&["id"]), None));
        assert_eq!(
            values("header;user ; critical"),
            (all(&["header", "user", "critical"]), None)
        );
        assert_eq!(values("id, critical").0, all(&["id", "critical"]));
        assert_eq!(values("id, critical").1, Some(Reason::Syntax));
        assert_eq!(values(";id;;user;").0, all(&["id", "user"]));
        assert_eq!(values(";id").1, Some(Reason::EmptyElement));
        assert_eq!(values("id user").0, Err(Reason::Syntax));
        assert_eq!(values("<id>").0, Err(Reason::Token));
        let many: &'static str = Box::leak("a;".repeat(257).into_boxed_str());
        assert_eq!(values(many).0, Err(Reason::TooManyValues));
    }

    #[test]
    fn the_charging_identifier_comes_first_and_has_to_be_there() {
        let arena = Arena::new();
        let vector =
            |input: &'static str| read(&arena, |scope| charging_vector(input.as_bytes(), scope)).0;
        let (_, params) = vector("orig-ioi=home1.net; icid-value=\"1 2\"").unwrap();
        let mut out = Vec::new();
        write_charging_vector(&mut out, params).unwrap();
        assert_eq!(out, b"icid-value=\"1 2\";orig-ioi=home1.net");
        for input in [
            "orig-ioi=a",
            "icid-value",
            "icid-value=\"\"",
            "",
            ";icid-value=1",
        ] {
            assert!(vector(input).is_err(), "{input}");
        }
        assert_eq!(
            write_charging_vector(&mut out, &[]),
            Err(WriteReason::MissingParameter)
        );
    }
}
