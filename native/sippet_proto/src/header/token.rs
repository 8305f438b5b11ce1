//! Tokens with parameters, media types, call identifiers and `<URI>` with parameters.

use super::name_addr::bracketed_uri;
use super::params::params;
use super::{CSeq, Info, MediaType, TokenParams};
use crate::error::Reason;
use crate::grammar::{
    Parsed, Scope, Stop, at_end, is_odd_id, lower_token, number, skip_space, token, visible,
};
use crate::message::Method;

/// A value that ends where a header field's value has to end.
pub(crate) fn only<'a, T>(
    value: &'a [u8],
    scope: &mut Scope<'a>,
    one: impl Fn(&'a [u8], &mut Scope<'a>) -> Parsed<'a, T>,
) -> Result<T, nom::Err<Stop<'a>>> {
    if value.is_empty() {
        return Err(Stop::at(value, Reason::EmptyValue));
    }
    let (rest, result) = one(value, scope)?;
    at_end(rest, Reason::Syntax)?;
    Ok(result)
}

/// A token, in a list or alone: Allow, Supported, Priority ...
#[inline]
pub(crate) fn plain_token<'a>(input: &'a [u8], _: &mut Scope<'a>) -> Parsed<'a, &'a [u8]> {
    token(input)
}

/// `token *(SEMI generic-param)`: Accept-Encoding, Accept-Language, Content-Disposition, Reason (RFC 3326).
pub(crate) fn token_params<'a>(
    input: &'a [u8],
    scope: &mut Scope<'a>,
) -> Parsed<'a, TokenParams<'a>> {
    let (rest, token) = token(input)?;
    let (rest, params) = params(rest, scope)?;
    Ok((rest, TokenParams { token, params }))
}

/// `m-type SLASH m-subtype *(SEMI m-parameter)` (§20.1, §20.15).
pub(crate) fn media_type<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, MediaType<'a>> {
    let (rest, kind) = lower_token(input, scope.arena)?;
    let [b'/', rest @ ..] = skip_space(rest) else {
        return Err(Stop::at(rest, Reason::Syntax));
    };
    let (rest, subtype) = lower_token(skip_space(rest), scope.arena)?;
    let (rest, params) = params(rest, scope)?;
    Ok((
        rest,
        MediaType {
            kind,
            subtype,
            params,
        },
    ))
}

/// `LAQUOT absoluteURI RAQUOT *(SEMI generic-param)` (§20.4, §20.9, §20.18).
pub(crate) fn info<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Info<'a>> {
    let (rest, uri) = bracketed_uri(input, scope)?;
    let (rest, params) = params(rest, scope)?;
    Ok((rest, Info { uri, params }))
}

/// `callid = word ["@" word]` (§20.8). Visible bytes that a word has not, and more than one `@`, are forgiven.
pub(crate) fn call_id<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, &'a [u8]> {
    let (rest, text) = visible(input)?;
    check_call_id(text, input, scope);
    Ok((rest, text))
}

/// The same in a list (§20.21), where a comma ends it.
pub(crate) fn call_id_in_list<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, &'a [u8]> {
    let (_, text) = visible(input)?;
    let end = memchr::memchr(b',', text).unwrap_or(text.len());
    let (text, rest) = input.split_at(end);
    check_call_id(text, input, scope);
    Ok((rest, text))
}

#[inline]
pub(crate) fn check_call_id<'a>(text: &'a [u8], input: &'a [u8], scope: &mut Scope<'a>) {
    let ats = text.iter().filter(|byte| **byte == b'@').count();
    let is_edge = text.first() == Some(&b'@') || text.last() == Some(&b'@');
    if ats > 1 || is_edge || is_odd_id(text) {
        scope.forgive(input, Reason::Token);
    }
}

/// `1*DIGIT LWS Method` (§20.16), the number below 2^31 (§8.1.1.5).
pub(crate) fn cseq<'a>(input: &'a [u8], _: &mut Scope<'a>) -> Parsed<'a, CSeq<'a>> {
    let (rest, number) = number(input, i32::MAX as u32)?;
    let method = skip_space(rest);
    if method.len() == rest.len() {
        return Err(Stop::at(rest, Reason::Number));
    }
    let (rest, method) = token(method).map_err(|_| Stop::at(method, Reason::Method))?;
    Ok((
        rest,
        CSeq {
            number,
            method: Method::from_bytes(method),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::message::Arena;

    #[test]
    fn media_types_are_in_lower_case_20_15() {
        let arena = Arena::new();
        let (result, _) = read(&arena, |scope| {
            only(b"Text/HTML ; charset=ISO-8859-4", scope, media_type)
        });
        let value = result.unwrap();
        assert_eq!((value.kind, value.subtype), (&b"text"[..], &b"html"[..]));
        assert_eq!(value.params[0].name, b"charset");
        assert_eq!(value.params[0].value, Some(&b"ISO-8859-4"[..]));
        for input in ["", "text", "text/", "/html", "text/html x"] {
            let (result, _) = read(&arena, |scope| only(input.as_bytes(), scope, media_type));
            assert!(result.is_err(), "{input}");
        }
    }

    #[test]
    fn cseq_is_a_number_and_a_method_20_16() {
        let arena = Arena::new();
        let cseq =
            |input: &'static str| read(&arena, |scope| only(input.as_bytes(), scope, cseq)).0;
        let invite = CSeq {
            number: 4711,
            method: Method::Invite,
        };
        assert_eq!(cseq("4711 INVITE"), Ok(invite));
        assert_eq!(cseq("0004711\t INVITE"), Ok(invite));
        assert_eq!(cseq("1 invite").unwrap().method, Method::Other(b"invite"));
        assert_eq!(cseq("2147483647 BYE").unwrap().number, 2_147_483_647);
        for input in [
            "",
            "1",
            "INVITE",
            "INVITE 1",
            "1INVITE",
            "1 INVITE x",
            "-1 BYE",
            "2147483648 BYE",
            "1 B(E",
        ] {
            assert!(cseq(input).is_err(), "{input}");
        }
    }

    #[test]
    fn call_ids_are_words_20_8() {
        let arena = Arena::new();
        let call_id =
            |input: &'static str| read(&arena, |scope| only(input.as_bytes(), scope, call_id));
        let odd = "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{";
        assert_eq!(call_id(odd), (Ok(odd.as_bytes()), None));
        assert_eq!(call_id("a@b@c"), (Ok(&b"a@b@c"[..]), Some(Reason::Token)));
        assert_eq!(call_id("a;b"), (Ok(&b"a;b"[..]), Some(Reason::Token)));
        for input in ["", "a b", "a\0", "\u{e9}"] {
            assert!(call_id(input).0.is_err(), "{input}");
        }
    }

    #[test]
    fn info_needs_its_brackets_20_9() {
        let arena = Arena::new();
        let (result, _) = read(&arena, |scope| {
            only(
                b"<http://wwww.example.com/alice/photo.jpg> ;purpose=icon",
                scope,
                info,
            )
        });
        let info_value = result.unwrap();
        assert_eq!(info_value.uri.scheme, b"http");
        assert_eq!(info_value.params[0].value, Some(&b"icon"[..]));
        let (result, _) = read(&arena, |scope| only(b"http://a.example/", scope, info));
        assert!(result.is_err());
    }
}
