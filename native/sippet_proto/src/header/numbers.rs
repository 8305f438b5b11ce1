//! Header fields made of numbers: MIME-Version, Retry-After, Timestamp and Warning.

use super::params::params;
use super::{MimeVersion, RetryAfter, Timestamp, Warning};
use crate::error::Reason;
use crate::grammar::{Parsed, Scope, Stop, number, quoted_string, skip_space, unescape, visible};

/// `1*DIGIT "." 1*DIGIT` (§20.24). RFC 2045 §4 allows comments around it: forgiven.
pub(crate) fn mime_version<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, MimeVersion> {
    let rest = skip_comment(input, scope)?;
    let (rest, major) = number(rest, u32::MAX)?;
    let [b'.', rest @ ..] = skip_comment(rest, scope)? else {
        return Err(Stop::at(rest, Reason::Number));
    };
    let (rest, minor) = number(skip_comment(rest, scope)?, u32::MAX)?;
    Ok((skip_comment(rest, scope)?, MimeVersion { major, minor }))
}

fn skip_comment<'a>(
    input: &'a [u8],
    scope: &mut Scope<'a>,
) -> Result<&'a [u8], nom::Err<Stop<'a>>> {
    match skip_space(input) {
        start @ [b'(', ..] => {
            scope.forgive(start, Reason::Comment);
            Ok(skip_space(comment(start, scope)?.0))
        }
        rest => Ok(rest),
    }
}

/// `delta-seconds [comment] *(SEMI retry-param)` (§20.33).
pub(crate) fn retry_after<'a>(
    input: &'a [u8],
    scope: &mut Scope<'a>,
) -> Parsed<'a, RetryAfter<'a>> {
    let (rest, seconds) = number(input, u32::MAX)?;
    let (rest, comment) = match skip_space(rest) {
        start @ [b'(', ..] => comment(start, scope)?,
        rest => (rest, &b""[..]),
    };
    let (rest, params) = params(rest, scope)?;
    Ok((
        rest,
        RetryAfter {
            seconds,
            comment,
            params,
        },
    ))
}

/// `comment = LPAREN *(ctext / quoted-pair / comment) RPAREN`: what stands between the outer parentheses, unescaped.
fn comment<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, &'a [u8]> {
    let [b'(', start @ ..] = input else {
        return Err(Stop::at(input, Reason::Comment));
    };
    let mut depth = 1;
    let mut escaped = false;
    let mut rest = start;
    while depth > 0 {
        rest = match rest {
            [b'\\', _, rest @ ..] => {
                escaped = true;
                rest
            }
            [b'\\'] | [] => return Err(Stop::at(input, Reason::Comment)),
            [0, ..] => return Err(Stop::at(rest, Reason::Nul)),
            [b'(', rest @ ..] => {
                depth += 1;
                rest
            }
            [b')', rest @ ..] => {
                depth -= 1;
                rest
            }
            [_, rest @ ..] => rest,
        };
    }
    let raw = start
        .get(..start.len() - rest.len() - 1)
        .unwrap_or_default();
    let text = if escaped {
        unescape(raw, scope.arena)
    } else {
        raw
    };
    Ok((rest, text))
}

/// `1*DIGIT ["." *DIGIT] [LWS delay]` (§20.38): no sign, no exponent, nothing but digits.
pub(crate) fn timestamp<'a>(input: &'a [u8], _: &mut Scope<'a>) -> Parsed<'a, Timestamp> {
    let (rest, timestamp) = seconds(input)?;
    let (rest, delay) = match skip_space(rest) {
        [] => (rest, 0.0),
        delay if delay.len() < rest.len() => seconds(delay)?,
        rest => return Err(Stop::at(rest, Reason::Number)),
    };
    Ok((rest, Timestamp { timestamp, delay }))
}

fn seconds(input: &[u8]) -> Parsed<'_, f64> {
    let end = input
        .iter()
        .position(|byte| !byte.is_ascii_digit() && *byte != b'.')
        .unwrap_or(input.len());
    let (text, rest) = input.split_at(end);
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|seconds| seconds.is_finite())
        .map(|seconds| (rest, seconds))
        .ok_or(Stop::at(input, Reason::Number))
}

/// `warn-code SP warn-agent SP warn-text` (§20.43).
pub(crate) fn warning<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Warning<'a>> {
    let (rest, code) = number(input, 999)?;
    let agent = skip_space(rest);
    if code < 100 || input.len() - rest.len() != 3 || agent.len() == rest.len() {
        return Err(Stop::at(input, Reason::Number));
    }
    let (rest, agent) = visible(agent)?;
    let (rest, text) = quoted_string(skip_space(rest), scope)?;
    Ok((
        rest,
        Warning {
            code: code as u16,
            agent,
            text,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::header::token::only;
    use crate::message::Arena;

    #[test]
    fn the_examples_of_20_33_are_read() {
        let arena = Arena::new();
        let retry = |input: &'static str| {
            read(&arena, |scope| only(input.as_bytes(), scope, retry_after)).0
        };
        let value = retry("18000;duration=3600").unwrap();
        assert_eq!((value.seconds, value.comment), (18000, &b""[..]));
        assert_eq!(value.params[0].value, Some(&b"3600"[..]));
        assert_eq!(
            retry("120 (I'm in a meeting)").unwrap().comment,
            b"I'm in a meeting"
        );
        assert_eq!(retry("5 (a (b) \\) c);x").unwrap().comment, b"a (b) ) c");
        for input in [
            "",
            "x",
            "-1",
            "4294967296",
            "5 (a",
            "5 (a\\",
            "5 a",
            "5 (a) b",
        ] {
            assert!(retry(input).is_err(), "{input}");
        }
    }

    #[test]
    fn timestamps_are_decimal_20_38() {
        let arena = Arena::new();
        let timestamp = |input: &'static str| {
            let (result, _) = read(&arena, |scope| only(input.as_bytes(), scope, timestamp));
            result.ok().map(|value| (value.timestamp, value.delay))
        };
        assert_eq!(timestamp("54"), Some((54.0, 0.0)));
        assert_eq!(timestamp("54.21 0.5"), Some((54.21, 0.5)));
        assert_eq!(timestamp("54. .5"), Some((54.0, 0.5)));
        for input in [
            "", ".", "nan", "inf", "-1", "+1", "1e3", "0x1", "1.2.3", "1 2 3", "1;x",
        ] {
            assert_eq!(timestamp(input), None, "{input}");
        }
    }

    #[test]
    fn the_examples_of_20_43_are_read() {
        let arena = Arena::new();
        let warning =
            |input: &'static str| read(&arena, |scope| only(input.as_bytes(), scope, warning)).0;
        let value = warning("307 isi.edu \"Session parameter 'foo' not understood\"").unwrap();
        assert_eq!((value.code, value.agent), (307, &b"isi.edu"[..]));
        assert_eq!(value.text, b"Session parameter 'foo' not understood");
        assert_eq!(
            warning("301 [::1]:5060 \"a \\\"b\\\"\"").unwrap().text,
            b"a \"b\""
        );
        for input in [
            "",
            "30 a \"b\"",
            "3000 a \"b\"",
            "030 a \"b\"",
            "301 \"b\"",
            "301 a",
            "301 a b",
            "301a \"b\"",
        ] {
            assert!(warning(input).is_err(), "{input}");
        }
    }

    #[test]
    fn mime_versions_may_hold_comments_20_24() {
        let arena = Arena::new();
        let version =
            |input: &'static str| read(&arena, |scope| only(input.as_bytes(), scope, mime_version));
        let one = MimeVersion { major: 1, minor: 0 };
        assert_eq!(version("1.0"), (Ok(one), None));
        assert_eq!(
            version("1.(produced by X)0 (y)"),
            (Ok(one), Some(Reason::Comment))
        );
        for input in ["", "1", "1.", ".1", "a.b", "1.0x"] {
            assert!(version(input).0.is_err(), "{input}");
        }
    }
}
