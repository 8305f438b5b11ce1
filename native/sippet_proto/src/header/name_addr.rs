//! `name-addr` and `addr-spec` with parameters (§20.10, §25.1): From, To, Contact, Route and others.

use memchr::memchr;

use super::NameAddr;
use super::params::params;
use crate::error::Reason;
use crate::grammar::{Parsed, Scope, Stop, at_end, is_token_byte, quoted_string, skip_space};
use crate::uri::{self, Uri};

/// A whole value that is one address: From, To, Reply-To.
#[inline(always)]
pub(crate) fn only_name_addr<'a>(
    value: &'a [u8],
    scope: &mut Scope<'a>,
) -> Result<NameAddr<'a>, nom::Err<Stop<'a>>> {
    if value.is_empty() {
        return Err(Stop::at(value, Reason::EmptyValue));
    }
    let (rest, address) = name_addr(value, scope)?;
    at_end(rest, Reason::Syntax)?;
    Ok(address)
}

/// One address of a list.
///
/// Forgives display names that should have been quoted, and white space inside the angle brackets.
#[inline(always)]
pub(crate) fn name_addr<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, NameAddr<'a>> {
    let (bracket, display_name) = display_name(input, scope)?;
    let (rest, uri) = match bracket {
        Some(bracket) => bracketed_uri(bracket, scope)?,
        None => addr_spec(input)?,
    };
    let (rest, params) = params(rest, scope)?;
    Ok((
        rest,
        NameAddr {
            display_name,
            uri,
            params,
        },
    ))
}

/// The rest from `<` on, if there is one, and the display name.
type Start<'a> = (Option<&'a [u8]>, &'a [u8]);

/// Finds the `<` and what stands before it; no `<` means the `addr-spec` form.
#[inline(always)]
fn display_name<'a>(
    input: &'a [u8],
    scope: &mut Scope<'a>,
) -> Result<Start<'a>, nom::Err<Stop<'a>>> {
    match input {
        [b'<', ..] => return Ok((Some(input), b"")),
        [b'"', ..] => {
            let (rest, name) = quoted_string(input, scope)?;
            return match skip_space(rest) {
                bracket @ [b'<', ..] => Ok((Some(bracket), name)),
                _ => loose_name(input, scope),
            };
        }
        _ => {}
    }
    let end = input
        .iter()
        .position(|byte| !is_token_byte(*byte) && !matches!(byte, b' ' | b'\t'))
        .unwrap_or(input.len());
    let (name, rest) = input.split_at(end);
    match rest {
        [b'<', ..] => Ok((Some(rest), trim_end(name))),
        // What stands before the colon of a URI is a scheme, not a name.
        _ => match rest
            .iter()
            .find(|byte| matches!(byte, b'<' | b',' | b';' | b'"'))
        {
            Some(b'<') => loose_name(input, scope),
            _ => Ok((None, b"")),
        },
    }
}

/// A name that is neither a quoted string nor tokens: kept as it stands (`""unknown"" <sip:...>`).
fn loose_name<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Result<Start<'a>, nom::Err<Stop<'a>>> {
    let mut rest = input;
    loop {
        rest = match rest {
            [b'"', ..] => quoted_string(rest, scope)?.0,
            [b'<', ..] => break,
            [] | [b',' | b';', ..] => return Err(Stop::at(rest, Reason::AngleBrackets)),
            [byte, ..] if byte.is_ascii_control() && *byte != b'\t' => {
                return Err(Stop::at(rest, Reason::DisplayName));
            }
            [_, rest @ ..] => rest,
        };
    }
    scope.forgive(input, Reason::DisplayName);
    let name = input.get(..input.len() - rest.len()).unwrap_or_default();
    Ok((Some(rest), trim_end(name)))
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// `LAQUOT addr-spec RAQUOT`
#[inline(always)]
pub(crate) fn bracketed_uri<'a>(bracket: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Uri<'a>> {
    let [b'<', start @ ..] = bracket else {
        return Err(Stop::at(bracket, Reason::AngleBrackets));
    };
    let end = memchr(b'>', start).ok_or(Stop::at(bracket, Reason::AngleBrackets))?;
    let (inside, rest) = start.split_at(end);
    let rest = rest.get(1..).unwrap_or_default();
    let leading = inside.len() - skip_space(inside).len();
    let text = trim_end(skip_space(inside));
    if text.len() != inside.len() {
        scope.forgive(start, Reason::AngleBrackets);
    }
    let uri = uri::split(text, false)
        .map_err(|(reason, at)| Stop::at(start.get(leading + at..).unwrap_or_default(), reason))?;
    Ok((rest, uri))
}

/// Without brackets, `;` starts the header field's parameters, and a URI with `,` or `?` cannot stand (§20).
#[inline]
fn addr_spec(input: &[u8]) -> Parsed<'_, Uri<'_>> {
    let end = input
        .iter()
        .position(|byte| matches!(byte, b';' | b',' | b'?' | b' ' | b'\t' | b'<' | b'>' | b'"'))
        .unwrap_or(input.len());
    let (text, rest) = input.split_at(end);
    if let [b'?' | b'<' | b'>' | b'"', ..] = rest {
        return Err(Stop::at(rest, Reason::AngleBrackets));
    }
    match uri::split(text, false) {
        Ok(uri) => Ok((rest, uri)),
        Err((reason, at)) => Err(Stop::at(input.get(at..).unwrap_or_default(), reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::message::Arena;

    fn check(input: &'static str, name: &str, host: &str, tag: Option<&str>) -> Option<Reason> {
        let arena = Arena::new();
        let (result, forgiven) = read(&arena, |scope| {
            only_name_addr(input.as_bytes(), scope).map(|address| {
                assert_eq!(address.display_name, name.as_bytes(), "{input}");
                assert_eq!(address.uri.host, Some(host.as_bytes()), "{input}");
                assert_eq!(address.tag(), tag.map(str::as_bytes), "{input}");
            })
        });
        assert!(result.is_ok(), "{input}: {result:?}");
        forgiven
    }

    fn refuse(input: &'static str) -> Reason {
        let arena = Arena::new();
        let (result, _) = read(&arena, |scope| {
            match only_name_addr(input.as_bytes(), scope) {
                Err(nom::Err::Error(stop)) => stop.reason,
                other => panic!("{input}: {other:?}"),
            }
        });
        result
    }

    #[test]
    fn the_forms_of_the_grammar_are_read_20_10() {
        for (input, name, host, tag) in [
            ("<sip:a@b>", "", "b", None),
            (
                "\"A. G. Bell\" <sip:a@b> ;tag=a48s",
                "A. G. Bell",
                "b",
                Some("a48s"),
            ),
            (
                "Anonymous <sip:c8@b>;tag=hyh8",
                "Anonymous",
                "b",
                Some("hyh8"),
            ),
            ("sip:+12125551212@b;tag=887s", "", "b", Some("887s")),
            ("caller<sip:a@b>", "caller", "b", None),
            ("\"\" <sip:a@b>", "", "b", None),
            ("O'Brien <sip:a@b>", "O'Brien", "b", None),
            (
                "token1~` token2'+_ <sip:a@b>",
                "token1~` token2'+_",
                "b",
                None,
            ),
            (
                "\"a, <sip:x@y>;tag=0\" <sip:a,c@b>;tag=1",
                "a, <sip:x@y>;tag=0",
                "b",
                Some("1"),
            ),
            (
                "<tel:+1-201-555-0123>;tag=1",
                "",
                "+1-201-555-0123",
                Some("1"),
            ),
        ] {
            assert_eq!(check(input, name, host, tag), None, "{input}");
        }
    }

    #[test]
    fn parameters_of_an_addr_spec_belong_to_the_field_20() {
        let arena = Arena::new();
        let (result, _) = read(&arena, |scope| {
            let address = only_name_addr(b"sip:a@b;transport=tcp", scope).unwrap();
            assert_eq!(address.uri.parameters, None);
            assert_eq!(address.params.len(), 1);
        });
        result
    }

    #[test]
    fn names_that_should_be_quoted_are_forgiven() {
        assert_eq!(
            check("\"\"unknown\"\" <sip:a@b>", "\"\"unknown\"\"", "b", None),
            Some(Reason::DisplayName)
        );
        assert_eq!(
            check("J\u{f6}rg (work) <sip:a@b>", "J\u{f6}rg (work)", "b", None),
            Some(Reason::DisplayName)
        );
        assert_eq!(
            check("Bob@home <sip:a@b>", "Bob@home", "b", None),
            Some(Reason::DisplayName)
        );
        assert_eq!(
            check("< sip:a@b >", "", "b", None),
            Some(Reason::AngleBrackets)
        );
    }

    #[test]
    fn malformed_addresses_are_refused() {
        assert_eq!(refuse(""), Reason::EmptyValue);
        assert_eq!(refuse("\"Mr. J. User <sip:a@b>"), Reason::QuotedString);
        assert_eq!(refuse("<sip:a@b"), Reason::AngleBrackets);
        assert_eq!(refuse("sip:a@b>"), Reason::AngleBrackets);
        assert_eq!(refuse("<>"), Reason::Uri);
        assert_eq!(refuse("<<sip:a@b>>"), Reason::Uri);
        assert_eq!(refuse("<sip:a@b> junk"), Reason::Syntax);
        assert_eq!(refuse("<sip:a@b><sip:c@d>"), Reason::Syntax);
        assert_eq!(refuse("<sip:a@b>, <sip:c@d>"), Reason::Syntax);
        assert_eq!(refuse("Bell, Alexander <sip:a@b>"), Reason::Uri);
        assert_eq!(refuse("sip:a@b?Route=%3Csip:c%3E"), Reason::AngleBrackets);
        assert_eq!(refuse("Al\"ice <sip:a@b>"), Reason::AngleBrackets);
    }
}
