//! Numbers: RAck and RSeq (RFC 3262 §7), Session-Expires and Min-SE (RFC 4028 §4, §5), Flow-Timer (RFC 5626 §10) ...

use super::{NumberParams, RAck};
use crate::error::{Reason, WriteReason};
use crate::grammar::{Parsed, Scope, Stop, at_end, number, skip_space};
use crate::header::CSeq;
use crate::header::params::params;
use crate::header::token::cseq;
use crate::header::write::params::{Owner, params as write_params};
use crate::header::write::{Written, number as write_number, values};

/// `1*DIGIT`
pub(super) fn at_least(input: &[u8], least: u32) -> Parsed<'_, u32> {
    let (rest, value) = number(input, u32::MAX)?;
    if value < least {
        return Err(Stop::at(input, Reason::Number));
    }
    Ok((rest, value))
}

/// The same alone.
pub(super) fn only_at_least(input: &[u8], least: u32) -> Parsed<'_, u32> {
    let (rest, value) = at_least(input, least)?;
    at_end(rest, Reason::Number)?;
    Ok((rest, value))
}

pub(super) fn write_at_least(out: &mut Vec<u8>, value: u32, least: u32) -> Written {
    if value < least {
        return Err(WriteReason::Number);
    }
    write_number(out, u64::from(value));
    Ok(())
}

/// `1*DIGIT *(SEMI generic-param)`
pub(super) fn number_params<'a>(
    input: &'a [u8],
    scope: &mut Scope<'a>,
) -> Parsed<'a, NumberParams<'a>> {
    let (rest, number) = number(input, u32::MAX)?;
    let (rest, params) = params(rest, scope)?;
    Ok((rest, NumberParams { number, params }))
}

pub(super) fn write_number_params(out: &mut Vec<u8>, value: &NumberParams<'_>) -> Written {
    write_number(out, u64::from(value.number));
    write_params(out, value.params, Owner::Number)
}

/// `response-num LWS CSeq-num LWS Method`
pub(super) fn rack<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, RAck<'a>> {
    let (rest, response_number) = at_least(input, 1)?;
    let start = skip_space(rest);
    if start.len() == rest.len() {
        return Err(Stop::at(rest, Reason::Number));
    }
    let (rest, CSeq { number, method }) = cseq(start, scope)?;
    Ok((
        rest,
        RAck {
            response_number,
            cseq_number: number,
            method,
        },
    ))
}

pub(super) fn write_rack(out: &mut Vec<u8>, value: &RAck<'_>) -> Written {
    write_at_least(out, value.response_number, 1)?;
    out.push(b' ');
    values::cseq(
        out,
        &CSeq {
            number: value.cseq_number,
            method: value.method,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::header::token::only;
    use crate::message::{Arena, Method};

    #[test]
    fn rack_is_two_numbers_and_a_method_3262_7_2() {
        let arena = Arena::new();
        let rack =
            |input: &'static str| read(&arena, |scope| only(input.as_bytes(), scope, rack)).0;
        let value = RAck {
            response_number: 776_656,
            cseq_number: 1,
            method: Method::Invite,
        };
        assert_eq!(rack("776656 1 INVITE"), Ok(value));
        assert_eq!(rack("776656 \t 1  INVITE"), Ok(value));
        assert_eq!(rack("4294967295 0 X").unwrap().response_number, u32::MAX);
        let mut out = Vec::new();
        write_rack(&mut out, &value).unwrap();
        assert_eq!(out, b"776656 1 INVITE");
        for input in [
            "",
            "1",
            "1 INVITE",
            "1 1",
            "0 1 INVITE",
            "1 2147483648 INVITE",
            "4294967296 1 INVITE",
            "1 1 INVITE x",
            "1 1INVITE",
            "-1 1 INVITE",
            "1 1 INV(TE",
        ] {
            assert!(rack(input).is_err(), "{input}");
        }
        let zero = RAck {
            response_number: 0,
            ..value
        };
        assert_eq!(write_rack(&mut out, &zero), Err(WriteReason::Number));
        let large = RAck {
            cseq_number: 1 << 31,
            ..value
        };
        assert_eq!(write_rack(&mut out, &large), Err(WriteReason::Number));
    }

    #[test]
    fn the_least_response_number_is_one_3262_7_1() {
        assert_eq!(at_least(b"988789", 1), Ok((&b""[..], 988_789)));
        assert!(at_least(b"0", 1).is_err());
        assert_eq!(at_least(b"0", 0), Ok((&b""[..], 0)));
        assert_eq!(
            write_at_least(&mut Vec::new(), 0, 1),
            Err(WriteReason::Number)
        );
    }
}
