//! A dialog in a header field: Replaces (RFC 3891 §6.1), Join (RFC 3911 §7.1), Target-Dialog (RFC 4538 §7).

use super::Dialog;
use crate::error::{Reason, WriteReason};
use crate::grammar::{Parsed, Scope, Stop, visible};
use crate::header::params::params;
use crate::header::token::check_call_id;
use crate::header::write::params::{Owner, params as write_params};
use crate::header::write::{VISIBLE, Written, of_class, refuse};
use crate::header::{Params, param};

/// `callid *(SEMI dialog-param)`; each of the tags exactly once, and neither of them empty.
pub(super) fn dialog<'a>(
    input: &'a [u8],
    tags: [&'static [u8]; 2],
    scope: &mut Scope<'a>,
) -> Parsed<'a, Dialog<'a>> {
    let (_, text) = visible(input)?;
    let end = memchr::memchr(b';', text).unwrap_or(text.len());
    let (call_id, start) = input.split_at(end);
    if call_id.is_empty() {
        return Err(Stop::at(input, Reason::EmptyValue));
    }
    check_call_id(call_id, input, scope);
    let before = scope.forgiven.take();
    let (rest, params) = params(start, scope)?;
    // Which of two tags is meant nobody knows.
    if let Some((Reason::DuplicateParameter, left)) = scope.forgiven {
        let place = input.get(input.len() - left..).unwrap_or_default();
        return Err(Stop::at(place, Reason::DuplicateParameter));
    }
    scope.forgiven = before.or(scope.forgiven);
    if !has_tags(params, tags) {
        return Err(Stop::at(rest, Reason::MissingParameter));
    }
    Ok((rest, Dialog { call_id, params }))
}

fn has_tags(params: Params<'_>, tags: [&'static [u8]; 2]) -> bool {
    tags.iter()
        .all(|tag| matches!(param(params, tag), Some(Some(value)) if !value.is_empty()))
}

pub(super) fn write(out: &mut Vec<u8>, dialog: &Dialog<'_>, tags: [&'static [u8]; 2]) -> Written {
    if dialog.call_id.contains(&b';') {
        return refuse(dialog.call_id, WriteReason::Syntax);
    }
    of_class(out, dialog.call_id, VISIBLE, WriteReason::Syntax)?;
    if !has_tags(dialog.params, tags) {
        return Err(WriteReason::MissingParameter);
    }
    write_params(out, dialog.params, Owner::Generic)
}
