//! The request line and the status line (§7.1, §7.2).

use nom::bytes::complete::tag_no_case;

use super::{Method, RequestLine, StartLine, StatusLine, Version};
use crate::error::Reason;
use crate::grammar::{Parsed, Scope, Stop, is_token, number, text};
use crate::header::via::version_number;
use crate::uri;

type Line<'a, T> = Result<T, nom::Err<Stop<'a>>>;

/// Reads a start line without its line end.
pub(crate) fn start_line<'a>(line: &'a [u8], scope: &mut Scope<'a>) -> Line<'a, StartLine<'a>> {
    if let [b'S' | b's', b'I' | b'i', b'P' | b'p', b'/', ..] = line {
        return status_line(line, scope).map(StartLine::Status);
    }
    request_line(line, scope).map(StartLine::Request)
}

/// `Method SP Request-URI SP SIP-Version`. More SP between the three or at the end is forgiven (RFC 4475 §3.1.2.9,
/// §3.1.2.10).
fn request_line<'a>(line: &'a [u8], scope: &mut Scope<'a>) -> Line<'a, RequestLine<'a>> {
    let space = memchr::memchr(b' ', line).unwrap_or(line.len());
    let (method, rest) = line.split_at(space);
    if !is_token(method) {
        return Err(Stop::at(line, Reason::Method));
    }
    let trimmed = trim_end(line);
    let last = memchr::memrchr(b' ', trimmed).unwrap_or_default();
    let version_at = line.get(last + 1..).unwrap_or_default();
    let uri_at = skip(rest);
    if last <= space || version_at.len() >= uri_at.len() {
        return Err(Stop::at(rest, Reason::StartLine));
    }
    let (behind, version) = sip_version(version_at)?;
    if !skip(behind).is_empty() {
        return Err(Stop::at(behind, Reason::Version));
    }
    let uri_text = uri_at
        .get(..uri_at.len() - version_at.len())
        .unwrap_or_default();
    let uri = trim_end(uri_text);
    if uri_at.len() + 1 != rest.len() || uri.len() + 1 != uri_text.len() || !behind.is_empty() {
        scope.forgive(rest, Reason::WhiteSpace);
    }
    let request_uri = uri::split(uri, false)
        .map_err(|(reason, at)| Stop::at(uri_at.get(at..).unwrap_or_default(), reason))?;
    Ok(RequestLine {
        method: Method::from_bytes(method),
        request_uri,
        version,
    })
}

/// `SIP-Version SP Status-Code SP Reason-Phrase`. A missing SP before an empty phrase is forgiven, as is more SP before
/// the code.
fn status_line<'a>(line: &'a [u8], scope: &mut Scope<'a>) -> Line<'a, StatusLine<'a>> {
    let (rest, version) = sip_version(line)?;
    let code_at = skip(rest);
    if code_at.len() == rest.len() {
        return Err(Stop::at(rest, Reason::Version));
    }
    let (behind, code) = number(code_at, 699).map_err(|_| Stop::at(code_at, Reason::StatusCode))?;
    if code < 100 || code_at.len() - behind.len() != 3 {
        return Err(Stop::at(code_at, Reason::StatusCode));
    }
    let phrase = match behind {
        [b' ', phrase @ ..] => phrase,
        [] => {
            scope.forgive(behind, Reason::WhiteSpace);
            behind
        }
        _ => return Err(Stop::at(behind, Reason::StatusCode)),
    };
    if code_at.len() + 1 != rest.len() {
        scope.forgive(rest, Reason::WhiteSpace);
    }
    Ok(StatusLine {
        version,
        status_code: code as u16,
        reason_phrase: text(phrase, scope)?,
    })
}

/// `"SIP" "/" 1*DIGIT "." 1*DIGIT`, in any case (§7.1).
fn sip_version(input: &[u8]) -> Parsed<'_, Version> {
    if let [b'S', b'I', b'P', b'/', b'2', b'.', b'0', rest @ ..] = input
        && !matches!(rest, [b'0'..=b'9', ..])
    {
        return Ok((rest, Version::SIP_2_0));
    }
    let (rest, _) = tag_no_case::<_, _, Stop<'_>>(&b"SIP/"[..])(input)
        .map_err(|_| Stop::at(input, Reason::StartLine))?;
    version_number(rest)
}

fn skip(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::message::Arena;

    fn reason(line: &'static [u8]) -> Result<Option<Reason>, Reason> {
        let arena = Arena::new();
        match read(&arena, |scope| start_line(line, scope).map(|_| ())) {
            (Ok(()), forgiven) => Ok(forgiven),
            (Err(nom::Err::Error(stop)), _) => Err(stop.reason),
            (Err(other), _) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_line_is_method_uri_and_version_7_1() {
        let arena = Arena::new();
        let (result, forgiven) = read(&arena, |scope| {
            start_line(b"INVITE sip:bob@biloxi.com sip/2.0", scope)
        });
        let Ok(StartLine::Request(line)) = result else {
            panic!("{result:?}")
        };
        assert_eq!(line.method, Method::Invite);
        assert_eq!(line.request_uri.host, Some(&b"biloxi.com"[..]));
        assert_eq!(line.version, Version::SIP_2_0);
        assert_eq!(forgiven, None);
    }

    #[test]
    fn a_status_line_is_version_code_and_phrase_7_2() {
        let arena = Arena::new();
        let (result, _) = read(&arena, |scope| start_line(b"SIP/2.0 404 Not  Found", scope));
        let Ok(StartLine::Status(line)) = result else {
            panic!("{result:?}")
        };
        assert_eq!(line.status_code, 404);
        assert_eq!(line.reason_phrase, b"Not  Found");
        assert_eq!(reason(b"SIP/2.0 100 "), Ok(None));
    }

    #[test]
    fn white_space_is_forgiven_rfc_4475() {
        for line in [
            &b"OPTIONS  sip:a SIP/2.0"[..],
            b"OPTIONS sip:a  SIP/2.0",
            b"OPTIONS sip:a SIP/2.0  ",
            b"SIP/2.0 200",
            b"SIP/2.0  200 OK",
        ] {
            assert_eq!(reason(line), Ok(Some(Reason::WhiteSpace)));
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for (line, expected) in [
            (&b"INVITE"[..], Reason::StartLine),
            (b"INVITE sip:a", Reason::StartLine),
            (b"INVITE  SIP/2.0", Reason::StartLine),
            (b"INVITE SIP/2.0", Reason::StartLine),
            (b"INVITE sip:a; lr SIP/2.0", Reason::Uri),
            (b"INVITE <sip:a> SIP/2.0", Reason::Uri),
            (b"INVITE sip:a SIP/2.0 x", Reason::StartLine),
            (b"INVITE sip:a HTTP/1.1", Reason::StartLine),
            (b"INVITE sip:a SIP/2", Reason::Version),
            (b"INVITE sip:a SIP/2.00", Reason::Version),
            (b"INVITE sip:a SIP/2.0.0", Reason::Version),
            (b"INVITE sip:a SIP/99999.0", Reason::Version),
            (b"INVITE\tsip:a\tSIP/2.0", Reason::Method),
            (b" INVITE sip:a SIP/2.0", Reason::Method),
            (b"IN\0VITE sip:a SIP/2.0", Reason::Method),
            (b"SIP/2.0 099 x", Reason::StatusCode),
            (b"SIP/2.0 700 x", Reason::StatusCode),
            (b"SIP/2.0 1000 x", Reason::StatusCode),
            (b"SIP/2.0 20 x", Reason::StatusCode),
            (b"SIP/2.0 200x", Reason::StatusCode),
            (b"SIP/2.0 4294967496 x", Reason::StatusCode),
            (b"SIP/2.0", Reason::Version),
            (b"SIP/2.0 200 a\0b", Reason::Nul),
        ] {
            assert_eq!(reason(line), Err(expected), "{}", line.escape_ascii());
        }
    }
}
