//! URIs as header fields hold them: split, not decoded (§19.1).

mod comparison;

use memchr::memchr;

use crate::error::Reason;
use crate::grammar;

pub use comparison::{Comparison, default_port};

/// A URI in its pieces, nothing unescaped.
///
/// `sip` and `sips` have all pieces. Of a `tel` URI the number is the `host`. Any other scheme has all that follows the
/// colon, up to `;` or `?`, in `authority`, and no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// As received, without the colon.
    pub scheme: &'a [u8],
    /// Between scheme and parameters: `alice:secret@atlanta.com:5060`.
    pub authority: Option<&'a [u8]>,
    /// Before the `@`, a password included.
    pub userinfo: Option<&'a [u8]>,
    /// An IPv6 address stands here without its brackets.
    pub host: Option<&'a [u8]>,
    /// The port, where one was written.
    pub port: Option<u16>,
    /// With the leading `;`.
    pub parameters: Option<&'a [u8]>,
    /// With the leading `?`.
    pub headers: Option<&'a [u8]>,
}

/// Splits a URI by §25.1 (`sip`, `sips`), RFC 3966 (`tel`) or RFC 2396 (any other scheme).
///
/// Escapes stay as they are, but each has to be one. Refused are spaces, control characters, bytes that are not ASCII,
/// `<`, `>` and `"` anywhere; hosts that are none; IPv6 addresses with a zone; local `tel` numbers without a context.
pub fn parse_uri(text: &[u8]) -> Result<Uri<'_>, Reason> {
    split(text, true).map_err(|(reason, _)| reason)
}

/// The same for the URIs inside a message, where a local number may come without its context. An error has the place.
#[inline]
pub(crate) fn split(text: &[u8], needs_context: bool) -> Result<Uri<'_>, (Reason, usize)> {
    let result = match text {
        [b's', b'i', b'p', b':', rest @ ..] => sip(b"sip", rest),
        _ => of_scheme(text, needs_context),
    };
    result.map_err(|(reason, left)| (reason, text.len() - left))
}

fn of_scheme(text: &[u8], needs_context: bool) -> Part<'_, Uri<'_>> {
    let colon = memchr(b':', text).ok_or((Reason::Uri, text.len()))?;
    let (scheme, rest) = text.split_at(colon);
    let rest = rest.get(1..).unwrap_or_default();
    if scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips") {
        sip(scheme, rest)
    } else if scheme.eq_ignore_ascii_case(b"tel") {
        tel(scheme, rest, needs_context)
    } else if is_scheme(scheme) {
        other(scheme, rest)
    } else {
        Err((Reason::Uri, text.len()))
    }
}

/// A part of a URI, or why not, with the number of bytes that were left there.
type Part<'a, T> = Result<T, (Reason, usize)>;

/// `scheme = ALPHA *(ALPHA / DIGIT / "+" / "-" / ".")`
fn is_scheme(scheme: &[u8]) -> bool {
    matches!(scheme.first(), Some(first) if first.is_ascii_alphabetic())
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[inline(always)]
fn sip<'a>(scheme: &'a [u8], start: &'a [u8]) -> Part<'a, Uri<'a>> {
    // The user part holds ";" and "?" but no "@", and nothing behind the host does: the first one ends it.
    let (userinfo, hostport) = match memchr(b'@', start) {
        Some(at) => {
            let (userinfo, rest) = start.split_at(at);
            check_userinfo(userinfo, start.len())?;
            (Some(userinfo), rest.get(1..).unwrap_or_default())
        }
        None => (None, start),
    };
    let (mut rest, host) = grammar::host(hostport).map_err(|_| (Reason::Host, hostport.len()))?;
    let mut port = None;
    if let [b':', digits @ ..] = rest {
        let (behind, number) = grammar::port(digits).map_err(|_| (Reason::Port, digits.len()))?;
        port = Some(number);
        rest = behind;
    }
    let authority = start.get(..start.len() - rest.len());
    let (parameters, headers) = tail(rest)?;
    if let Some(parameters) = parameters {
        check_parameters(parameters, rest.len())?;
    }
    if let Some(headers) = headers {
        check_headers(headers)?;
    }
    Ok(Uri {
        scheme,
        authority,
        userinfo,
        host: Some(host),
        port,
        parameters,
        headers,
    })
}

/// Parameters and headers.
type Tail<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Splits what follows the authority into `;parameters` and `?headers`.
fn tail(rest: &[u8]) -> Part<'_, Tail<'_>> {
    match rest {
        [] => Ok((None, None)),
        [b'?', ..] => Ok((None, Some(rest))),
        [b';', ..] => match memchr(b'?', rest) {
            Some(mark) => {
                let (parameters, headers) = rest.split_at(mark);
                Ok((Some(parameters), Some(headers)))
            }
            None => Ok((Some(rest), None)),
        },
        _ => Err((Reason::Uri, rest.len())),
    }
}

/// `userinfo = (user / telephone-subscriber) [":" password] "@"`; `left` counts from its start to the URI's end.
fn check_userinfo(userinfo: &[u8], left: usize) -> Part<'_, ()> {
    let mut colons = 0;
    for (index, byte) in userinfo.iter().enumerate() {
        if !grammar::is_user_byte(*byte) {
            colons += 1;
            if *byte != b':' || colons > 1 || index == 0 {
                return Err((Reason::Uri, left - index));
            }
        } else if *byte == b'%' && !is_escape(userinfo, index) {
            return Err((Reason::Uri, left - index));
        }
    }
    match userinfo {
        [] => Err((Reason::Uri, left)),
        _ => Ok(()),
    }
}

fn is_escape(text: &[u8], index: usize) -> bool {
    matches!(
        text.get(index..),
        Some([b'%', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()
    )
}

/// What may stand in the rest of a URI: visible ASCII without the delimiters of RFC 2396 §2.4.3, whole escapes.
#[inline]
fn check_byte(text: &[u8], index: usize, byte: u8, left: usize) -> Part<'_, ()> {
    let refused = !grammar::is_visible_byte(byte)
        || matches!(byte, b'<' | b'>' | b'"')
        || (byte == b'%' && !is_escape(text, index));
    if refused {
        return Err((Reason::Uri, left - index));
    }
    Ok(())
}

/// `*(";" pname ["=" pvalue])`; `left` counts from the first `;` to the URI's end.
fn check_parameters(parameters: &[u8], left: usize) -> Part<'_, ()> {
    let mut previous = b'=';
    for (index, byte) in parameters.iter().enumerate() {
        if previous == b';' && matches!(byte, b';' | b'=') {
            return Err((Reason::Parameter, left - index));
        }
        if !grammar::is_user_byte(*byte) || *byte == b'%' {
            check_byte(parameters, index, *byte, left)?;
        }
        previous = *byte;
    }
    if previous == b';' {
        return Err((Reason::Parameter, left - parameters.len()));
    }
    Ok(())
}

/// `"?" hname "=" hvalue *("&" hname "=" hvalue)`, the end of the URI.
fn check_headers(headers: &[u8]) -> Part<'_, ()> {
    let mut name_length = 0;
    let mut in_name = true;
    for (index, byte) in headers.iter().enumerate().skip(1) {
        let left = headers.len();
        check_byte(headers, index, *byte, left)?;
        match byte {
            b'&' if in_name => return Err((Reason::Uri, left - index)),
            b'=' if in_name && name_length == 0 => return Err((Reason::Uri, left - index)),
            b'=' => in_name = false,
            b'&' => {
                in_name = true;
                name_length = 0;
            }
            _ => name_length += 1,
        }
    }
    if in_name {
        return Err((Reason::Uri, 0));
    }
    Ok(())
}

/// RFC 3966 §3.
fn tel<'a>(scheme: &'a [u8], start: &'a [u8], needs_context: bool) -> Part<'a, Uri<'a>> {
    let end = memchr(b';', start).unwrap_or(start.len());
    let (number, parameters) = start.split_at(end);
    let is_global = number.first() == Some(&b'+');
    let digits = match number {
        [b'+', digits @ ..] => has_digits(digits, |byte| byte.is_ascii_digit()),
        _ => has_digits(number, |byte| {
            byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#')
        }),
    };
    if !digits {
        return Err((Reason::Uri, start.len()));
    }
    let has_context = match parameters {
        [] => false,
        _ => {
            check_parameters(parameters, parameters.len())?;
            check_tel_parameters(parameters)?
        }
    };
    if needs_context && !is_global && !has_context {
        return Err((Reason::Uri, parameters.len()));
    }
    Ok(Uri {
        scheme,
        authority: Some(number),
        userinfo: None,
        host: Some(number),
        port: None,
        parameters: Some(parameters).filter(|parameters| !parameters.is_empty()),
        headers: None,
    })
}

/// At least one digit, and else only digits and `visual-separator`s. `%23` is a `#` that had to be escaped.
fn has_digits(text: &[u8], is_digit: impl Fn(u8) -> bool) -> bool {
    let mut any = false;
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return any,
            [b'%', b'2', b'3', rest @ ..] if is_digit(b'#') => {
                any = true;
                rest
            }
            [b'-' | b'.' | b'(' | b')', rest @ ..] => rest,
            [byte, rest @ ..] if is_digit(*byte) => {
                any = true;
                rest
            }
            _ => return false,
        };
    }
}

/// `ext`, `isub` and `phone-context` stand once at most, with a value; tells whether the last one is there.
fn check_tel_parameters(parameters: &[u8]) -> Part<'_, bool> {
    let (mut extension, mut subaddress, mut context) = (false, false, false);
    let mut left = parameters.len();
    for parameter in parameters.split(|byte| *byte == b';').skip(1) {
        left -= 1;
        let equals = memchr(b'=', parameter);
        let name = parameter
            .get(..equals.unwrap_or(parameter.len()))
            .unwrap_or_default();
        let value = equals.and_then(|at| parameter.get(at + 1..));
        let seen = if name.eq_ignore_ascii_case(b"ext") {
            Some(&mut extension)
        } else if name.eq_ignore_ascii_case(b"isub") {
            Some(&mut subaddress)
        } else if name.eq_ignore_ascii_case(b"phone-context") {
            match value {
                Some([b'+', digits @ ..]) if has_digits(digits, |byte| byte.is_ascii_digit()) => {}
                Some(domain) if matches!(grammar::host(domain), Ok((b"", _))) => {}
                _ => return Err((Reason::Parameter, left)),
            }
            Some(&mut context)
        } else {
            None
        };
        if let Some(seen) = seen {
            if *seen || value.is_none_or(<[u8]>::is_empty) {
                return Err((Reason::DuplicateParameter, left));
            }
            *seen = true;
        }
        left -= parameter.len();
    }
    Ok(context)
}

fn other<'a>(scheme: &'a [u8], start: &'a [u8]) -> Part<'a, Uri<'a>> {
    for (index, byte) in start.iter().enumerate() {
        check_byte(start, index, *byte, start.len())?;
    }
    let end = memchr::memchr2(b';', b'?', start).unwrap_or(start.len());
    if end == 0 {
        return Err((Reason::Uri, start.len()));
    }
    let (authority, rest) = start.split_at(end);
    let (parameters, headers) = tail(rest)?;
    Ok(Uri {
        scheme,
        authority: Some(authority),
        userinfo: None,
        host: None,
        port: None,
        parameters,
        headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Text<'a> = Option<&'a str>;

    fn text(part: Option<&[u8]>) -> Text<'_> {
        part.map(|part| std::str::from_utf8(part).unwrap())
    }

    fn pieces(uri: &str) -> (Text<'_>, Text<'_>, Option<u16>, Text<'_>, Text<'_>) {
        let uri = parse_uri(uri.as_bytes()).unwrap();
        (
            text(uri.userinfo),
            text(uri.host),
            uri.port,
            text(uri.parameters),
            text(uri.headers),
        )
    }

    #[test]
    fn the_examples_of_19_1_3_are_split() {
        assert_eq!(
            pieces("sip:alice:secretword@atlanta.com:5060;transport=tcp"),
            (
                Some("alice:secretword"),
                Some("atlanta.com"),
                Some(5060),
                Some(";transport=tcp"),
                None
            )
        );
        assert_eq!(
            pieces("sips:alice@atlanta.com?subject=project%20x&priority=urgent"),
            (
                Some("alice"),
                Some("atlanta.com"),
                None,
                None,
                Some("?subject=project%20x&priority=urgent")
            )
        );
        assert_eq!(
            pieces("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com"),
            (
                None,
                Some("atlanta.com"),
                None,
                Some(";method=REGISTER"),
                Some("?to=alice%40atlanta.com")
            )
        );
        assert_eq!(
            pieces("sip:alice;day=tuesday@atlanta.com"),
            (
                Some("alice;day=tuesday"),
                Some("atlanta.com"),
                None,
                None,
                None
            )
        );
    }

    #[test]
    fn an_ipv6_host_loses_its_brackets_but_the_authority_keeps_them() {
        let uri = parse_uri(b"sip:a@[2001:db8::10]:5070").unwrap();
        assert_eq!(uri.host, Some(&b"2001:db8::10"[..]));
        assert_eq!(uri.authority, Some(&b"a@[2001:db8::10]:5070"[..]));
        assert_eq!(uri.port, Some(5070));
    }

    #[test]
    fn other_schemes_lose_nothing() {
        let uri = parse_uri(b"urn:service:sos").unwrap();
        assert_eq!(uri.authority, Some(&b"service:sos"[..]));
        assert_eq!(uri.host, None);
        let uri = parse_uri(b"http://a.example/x?y=1;z").unwrap();
        assert_eq!(uri.authority, Some(&b"//a.example/x"[..]));
        assert_eq!(uri.parameters, None);
        assert_eq!(uri.headers, Some(&b"?y=1;z"[..]));
        let uri = parse_uri(b"soap.beep://192.0.2.103:3002").unwrap();
        assert_eq!(uri.scheme, b"soap.beep");
        assert_eq!(parse_uri(b"urn:"), Err(Reason::Uri));
        assert_eq!(parse_uri(b"1x:y"), Err(Reason::Uri));
    }

    #[test]
    fn an_error_tells_its_place() {
        assert_eq!(split(b"sip:a b@c", true), Err((Reason::Uri, 5)));
        assert_eq!(split(b"sip:a@-", true), Err((Reason::Host, 6)));
        assert_eq!(split(b"sip:a@b:x", true), Err((Reason::Port, 8)));
        assert_eq!(split(b"sip:a@b;;c", true), Err((Reason::Parameter, 8)));
        assert_eq!(split(b"sip:a@b?", true), Err((Reason::Uri, 8)));
        assert_eq!(split(b"urn:a\"", true), Err((Reason::Uri, 5)));
        assert_eq!(split(b"", true), Err((Reason::Uri, 0)));
    }

    #[test]
    fn a_local_number_in_a_message_may_lack_its_context() {
        assert!(split(b"tel:911", false).is_ok());
        assert_eq!(split(b"tel:911", true), Err((Reason::Uri, 7)));
    }
}
