//! Numbers: RAck and RSeq (RFC 3262 §7), Session-Expires and Min-SE (RFC 4028 §4, §5), Flow-Timer (RFC 5626 §10) ...

use super::{NumberParams, RAck};
use crate::error::{Reason, WriteReason};
use crate::grammar::{Parsed, Scope, Stop, number, skip_space};
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
    write_params(out, value.params, Owner::Generic)
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
