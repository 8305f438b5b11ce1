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
        rest = match info_start(start) {
            Some(_) if info.is_some() => {
                return Err(Stop::at(start, Reason::DuplicateParameter));
            }
            Some(bracket) => {
                let (behind, uri) = bracketed_uri(bracket, scope)?;
                info = Some(uri);
                skip_space(behind)
            }
            None => {
                let (behind, param) = param(start, scope)?;
                push(&mut params, param, start, scope)?;
                skip_space(behind)
            }
        };
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

/// Where the angle bracket of `info=<...>` is.
fn info_start(start: &[u8]) -> Option<&[u8]> {
    let (rest, name) = token(start).ok()?;
    let [b'=', rest @ ..] = skip_space(rest) else {
        return None;
    };
    let rest = skip_space(rest);
    (name.eq_ignore_ascii_case(b"info") && rest.first() == Some(&b'<')).then_some(rest)
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
