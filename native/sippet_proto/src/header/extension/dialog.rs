//! A dialog in a header field: Replaces (RFC 3891 §6.1), Join (RFC 3911 §7.1), Target-Dialog (RFC 4538 §7).

use super::Dialog;
use crate::error::{Reason, WriteReason};
use crate::grammar::{Parsed, Scope, Stop, at_end, visible};
use crate::header::params::params;
use crate::header::token::check_call_id;
use crate::header::write::params::{Owner, params as write_params};
use crate::header::write::{VISIBLE, Written, of_class, refuse};
use crate::header::{Params, param};

/// `callid *(SEMI dialog-param)`; each of the tags exactly once, and neither of them empty. Nothing may follow.
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
    at_end(rest, Reason::Syntax)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::header::Param;
    use crate::header::token::only;
    use crate::message::Arena;

    const TAGS: [&[u8]; 2] = [b"to-tag", b"from-tag"];

    fn refuse(input: &'static str) -> Reason {
        let arena = Arena::new();
        let whole = |scope: &mut Scope<'_>| match only(input.as_bytes(), scope, |input, scope| {
            dialog(input, TAGS, scope)
        }) {
            Err(nom::Err::Error(stop)) => stop.reason,
            other => panic!("{input}: {other:?}"),
        };
        read(&arena, whole).0
    }

    #[test]
    fn the_examples_of_rfc_3891_are_read_and_written() {
        let arena = Arena::new();
        for (input, call_id) in [
            (
                "98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff",
                "98732@sip.example.com",
            ),
            (
                "12adf2f34456gs5;to-tag=12345;from-tag=54321",
                "12adf2f34456gs5",
            ),
            (
                "87134@171.161.34.23;to-tag=24796;from-tag=0",
                "87134@171.161.34.23",
            ),
            (
                "a(<:>)@[::1];to-tag=a/b;from-tag=x@y;early-only",
                "a(<:>)@[::1]",
            ),
        ] {
            let (result, _) = read(&arena, |scope| dialog(input.as_bytes(), TAGS, scope));
            let (rest, value) = result.unwrap();
            assert_eq!((rest, value.call_id), (&b""[..], call_id.as_bytes()));
            let mut out = Vec::new();
            write(&mut out, &value, TAGS).unwrap();
            assert_eq!(out, input.as_bytes());
        }
    }

    #[test]
    fn each_tag_stands_exactly_once_3891_6_1() {
        for (input, reason) in [
            ("a", Reason::MissingParameter),
            ("a;to-tag=1", Reason::MissingParameter),
            ("a;to-tag=1;from-tag", Reason::MissingParameter),
            ("a;to-tag=1;from-tag=2;To-Tag=3", Reason::DuplicateParameter),
            (";to-tag=1;from-tag=2", Reason::EmptyValue),
            ("a b;to-tag=1;from-tag=2", Reason::Syntax),
            (
                "a;to-tag=1;from-tag=2,b;to-tag=1;from-tag=2",
                Reason::Syntax,
            ),
            ("", Reason::EmptyValue),
        ] {
            assert_eq!(refuse(input), reason, "{input}");
        }
    }

    #[test]
    fn what_is_no_dialog_is_not_written() {
        let params = TAGS.map(|name| Param {
            name,
            value: Some(b"1"),
        });
        let refused = |call_id, params| {
            let value = Dialog { call_id, params };
            write(&mut Vec::new(), &value, TAGS).unwrap_err()
        };
        assert_eq!(refused(b"a;b", &params), WriteReason::Syntax);
        assert_eq!(refused(b"a b", &params), WriteReason::Syntax);
        assert_eq!(refused(b"a\n", &params), WriteReason::ControlCharacter);
        assert_eq!(refused(b"", &params), WriteReason::Empty);
        assert_eq!(refused(b"a", &params[..1]), WriteReason::MissingParameter);
    }
}
