//! Identity (RFC 8224 §4): a signed token, where its certificate is, and how it was signed.

use bumpalo::collections::Vec as ArenaVec;

use super::Identity;
use crate::error::{Reason, WriteReason};
use crate::grammar::{Parsed, Scope, Stop, skip_space, token};
use crate::header::name_addr::bracketed_uri;
use crate::header::params::{param, push};
use crate::header::write::params::{Owner, params as write_params};
use crate::header::write::values::bracketed;
use crate::header::write::{Written, refuse};
use crate::uri::Uri;

/// `1*(base64-char / ".")`; the tokens of RFC 8225 have the alphabet for URLs, and padding may follow.
fn is_digest_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'.' | b'-' | b'_' | b'=')
}

/// `signed-identity-digest SEMI ident-info *(SEMI ident-info-params)`, `ident-info` also behind others.
pub(super) fn identity<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Identity<'a>> {
    let end = input
        .iter()
        .position(|byte| !is_digest_byte(*byte))
        .unwrap_or(input.len());
    let (digest, behind) = input.split_at(end);
    if digest.is_empty() {
        return Err(Stop::at(input, Reason::Syntax));
    }
    let mut info: Option<Uri<'a>> = None;
    let mut params = ArenaVec::with_capacity_in(4, scope.arena);
    let mut rest = skip_space(behind);
    while let [b';', behind @ ..] = rest {
        let start = skip_space(behind);
        if let [] | [b';' | b',', ..] = start {
            scope.forgive(start, Reason::Parameter);
            rest = start;
            continue;
        }
        let (behind, param) = match info_start(start) {
            Some(_) if info.is_some() => {
                return Err(Stop::at(start, Reason::DuplicateParameter));
            }
            Some(bracket) => {
                let (behind, uri) = bracketed_uri(bracket, scope)?;
                info = Some(uri);
                rest = skip_space(behind);
                continue;
            }
            None => param(start, scope)?,
        };
        push(&mut params, param, start, scope)?;
        rest = skip_space(behind);
    }
    let Some(info) = info else {
        return Err(Stop::at(rest, Reason::MissingParameter));
    };
    let params = params.into_bump_slice();
    Ok((
        rest,
        Identity {
            digest,
            info,
            params,
        },
    ))
}

/// What follows `info=`, if that is the parameter; it has to be a URI in angle brackets.
fn info_start(start: &[u8]) -> Option<&[u8]> {
    let (rest, name) = token(start).ok()?;
    if !name.eq_ignore_ascii_case(b"info") {
        return None;
    }
    match skip_space(rest) {
        [b'=', rest @ ..] => Some(skip_space(rest)),
        rest => Some(rest),
    }
}

pub(super) fn write(out: &mut Vec<u8>, identity: &Identity<'_>) -> Written {
    let digest = identity.digest;
    if digest.is_empty() || !digest.iter().copied().all(is_digest_byte) {
        return refuse(digest, WriteReason::Syntax);
    }
    if identity.params.iter().any(|param| param.name == b"info") {
        return Err(WriteReason::Syntax);
    }
    out.extend_from_slice(digest);
    out.extend_from_slice(b";info=");
    bracketed(out, &identity.info)?;
    write_params(out, identity.params, Owner::Generic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::message::Arena;

    #[test]
    fn the_uri_of_info_may_hold_what_ends_a_parameter_8224() {
        let arena = Arena::new();
        let identity =
            |input: &'static str| read(&arena, |scope| identity(input.as_bytes(), scope));
        let (result, forgiven) =
            identity("eyJ-_/+.x==;alg=ES256 ; info = <https://a.example/x;y,z.cer>;ppt=\"shaken\"");
        let (rest, value) = result.unwrap();
        assert_eq!((rest, forgiven), (&b""[..], None));
        assert_eq!(value.digest, b"eyJ-_/+.x==");
        assert_eq!(value.info.scheme, b"https");
        let mut out = Vec::new();
        write(&mut out, &value).unwrap();
        assert_eq!(
            out,
            b"eyJ-_/+.x==;info=<https://a.example/x;y,z.cer>;alg=ES256;ppt=shaken"
        );
    }

    #[test]
    fn malformed_identities_are_refused() {
        let arena = Arena::new();
        for (input, reason) in [
            ("", Reason::Syntax),
            ("\"abc\";info=<https://a.example>", Reason::Syntax),
            ("abc;alg=ES256", Reason::MissingParameter),
            ("abc", Reason::MissingParameter),
            ("abc;info=https://a.example", Reason::AngleBrackets),
            ("abc;info", Reason::AngleBrackets),
            ("abc;info=<https://a.example", Reason::AngleBrackets),
            ("abc;info=<a>", Reason::Uri),
            (
                "abc;info=<https://a.example>;info=<https://b.example>",
                Reason::DuplicateParameter,
            ),
        ] {
            match read(&arena, |scope| identity(input.as_bytes(), scope)).0 {
                Err(nom::Err::Error(stop)) => assert_eq!(stop.reason, reason, "{input}"),
                other => panic!("{input}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_second_info_and_foreign_bytes_are_not_written() {
        let params = [crate::header::Param {
            name: b"info",
            value: None,
        }];
        let info = crate::uri::parse_uri(b"https://a.example").unwrap();
        let value = |digest, params| Identity {
            digest,
            info,
            params,
        };
        let refused = |value: Identity<'_>| write(&mut Vec::new(), &value).unwrap_err();
        assert_eq!(refused(value(b"abc", &params)), WriteReason::Syntax);
        assert_eq!(refused(value(b"a;b", &[])), WriteReason::Syntax);
        assert_eq!(refused(value(b"", &[])), WriteReason::Empty);
        assert_eq!(
            refused(value(b"a\r\nb", &[])),
            WriteReason::ControlCharacter
        );
    }
}
