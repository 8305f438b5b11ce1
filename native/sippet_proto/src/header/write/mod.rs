//! Writing header field values: what each shape looks like on the wire, and what cannot be put there (§25.1).
//!
//! Every function appends to `out` or tells why it cannot; what it had appended by then is the caller's to drop.

pub(crate) mod auth;
pub(crate) mod lines;
pub(crate) mod params;
pub(crate) mod uri;
pub(crate) mod values;

use crate::error::WriteReason;
use crate::grammar;

pub(crate) type Written = Result<(), WriteReason>;

/// `token` (§25.1).
pub(crate) const TOKEN: u8 = 1;
/// What stands in the user part of a URI without a second look: `unreserved / user-unreserved` (§25.1).
pub(crate) const USER: u8 = 1 << 1;
/// Visible ASCII.
pub(crate) const VISIBLE: u8 = 1 << 2;
/// Stands in a quoted string as it is: `qdtext` with HTAB (§25.1).
pub(crate) const QUOTED: u8 = 1 << 3;
/// `token68` but for its final `=` (RFC 7235 §2.1).
pub(crate) const TOKEN68: u8 = 1 << 4;
/// Text of a field: neither CR nor LF nor NUL.
pub(crate) const TEXT: u8 = 1 << 5;
/// Stands in a comment as it is: `ctext` with HTAB and bytes above ASCII (§25.1).
pub(crate) const COMMENT: u8 = 1 << 6;
/// What peers put into tags and branches without quoting it, unlike the grammar: it is given back as it came.
pub(crate) const OPAQUE: u8 = 1 << 7;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let mut class = 0;
        let alphanumeric = b.is_ascii_alphanumeric();
        if alphanumeric || in_set(b, b"-.!%*_+`'~") {
            class |= TOKEN;
        }
        if alphanumeric || in_set(b, b"-_.!~*'()&=+$,;?/") {
            class |= USER;
        }
        if b.is_ascii_graphic() {
            class |= VISIBLE;
        }
        if alphanumeric || in_set(b, b"-._~+/") {
            class |= TOKEN68;
        }
        if !in_set(b, b"\r\n\0") {
            class |= TEXT;
        }
        if b == b'\t' || !b.is_ascii_control() {
            if !in_set(b, b"\"\\") {
                class |= QUOTED;
            }
            if !in_set(b, b"()\\") {
                class |= COMMENT;
            }
        }
        if class & TOKEN != 0 || in_set(b, b"@/:=[]") {
            class |= OPAQUE;
        }
        table[byte] = class;
        byte += 1;
    }
    table
}

const fn in_set(byte: u8, set: &[u8]) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether all bytes of `text` are of `class`.
#[inline]
pub(crate) fn all(text: &[u8], class: u8) -> bool {
    text.iter()
        .fold(class, |common, byte| common & CLASSES[usize::from(*byte)])
        != 0
}

/// Text that is not what it should be: a control character that could add a field is the graver reason.
#[cold]
pub(crate) fn refuse(text: &[u8], reason: WriteReason) -> Written {
    plain_text(text)?;
    Err(if text.is_empty() {
        WriteReason::Empty
    } else {
        reason
    })
}

/// Text of one class, of a byte at least.
#[inline]
pub(crate) fn of_class(out: &mut Vec<u8>, text: &[u8], class: u8, reason: WriteReason) -> Written {
    if text.is_empty() || !all(text, class) {
        return refuse(text, reason);
    }
    out.extend_from_slice(text);
    Ok(())
}

#[inline]
pub(crate) fn token(out: &mut Vec<u8>, text: &[u8]) -> Written {
    of_class(out, text, TOKEN, WriteReason::Token)
}

/// Text without anything that could add a field.
#[inline]
pub(crate) fn plain_text(text: &[u8]) -> Written {
    match memchr::memchr3(b'\r', b'\n', 0, text) {
        Some(_) => Err(WriteReason::ControlCharacter),
        None => Ok(()),
    }
}

/// Free text, which is read back without white space around it.
#[inline]
pub(crate) fn text(out: &mut Vec<u8>, text: &[u8]) -> Written {
    plain_text(text)?;
    if let ([b' ' | b'\t', ..], _) | (_, [.., b' ' | b'\t']) = (text, text) {
        return Err(WriteReason::WhiteSpace);
    }
    out.extend_from_slice(text);
    Ok(())
}

/// A quoted string; control characters become quoted pairs as well (§25.1).
#[inline]
pub(crate) fn quoted(out: &mut Vec<u8>, text: &[u8]) -> Written {
    out.push(b'"');
    if all(text, QUOTED) {
        out.extend_from_slice(text);
    } else {
        escaped(out, text, QUOTED)?;
    }
    out.push(b'"');
    Ok(())
}

pub(crate) fn escaped(out: &mut Vec<u8>, text: &[u8], plain: u8) -> Written {
    for byte in text {
        let class = CLASSES[usize::from(*byte)];
        if class & TEXT == 0 {
            return Err(WriteReason::ControlCharacter);
        }
        if class & plain == 0 {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    Ok(())
}

/// A host name, or an address; of IPv6 without its brackets, which are added.
#[inline]
pub(crate) fn host(out: &mut Vec<u8>, name: &[u8]) -> Written {
    check_host(name)?;
    put_host(out, name);
    Ok(())
}

#[inline]
pub(crate) fn put_host(out: &mut Vec<u8>, name: &[u8]) {
    if name.contains(&b':') {
        out.push(b'[');
        out.extend_from_slice(name);
        out.push(b']');
    } else {
        out.extend_from_slice(name);
    }
}

#[inline]
pub(crate) fn check_host(name: &[u8]) -> Written {
    if grammar::is_plain_name(name) {
        return Ok(());
    }
    let is_host = if name.contains(&b':') {
        is_ipv6(name)
    } else {
        matches!(grammar::host(name), Ok((b"", _)))
    };
    if is_host {
        Ok(())
    } else {
        refuse(name, WriteReason::Host)
    }
}

pub(crate) fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// `:port`, where there is one.
#[inline]
pub(crate) fn port(out: &mut Vec<u8>, value: Option<u16>) {
    if let Some(value) = value {
        out.push(b':');
        number(out, u64::from(value));
    }
}

/// A decimal number.
pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = value;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// A decimal number of `width` digits, for numbers that have no more.
pub(crate) fn padded(out: &mut Vec<u8>, value: u16, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (u32::from(value) / 10u32.pow(place) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>) -> Written) -> Result<Vec<u8>, WriteReason> {
        let mut out = Vec::new();
        write(&mut out).map(|()| out)
    }

    #[test]
    fn a_token_has_the_bytes_of_25_1() {
        let all = b"AZaz09-.!%*_+`'~";
        assert_eq!(written(|out| token(out, all)), Ok(all.to_vec()));
        for byte in b"()<>@,;:\\\"/[]?={} \t\x7f\x80" {
            assert_eq!(
                written(|out| token(out, &[b'a', *byte])),
                Err(WriteReason::Token)
            );
        }
        assert_eq!(written(|out| token(out, b"")), Err(WriteReason::Empty));
    }

    #[test]
    fn what_could_add_a_field_is_refused_everywhere() {
        for byte in b"\r\n\0" {
            let value = [b'a', *byte, b'b'];
            for refused in [
                written(|out| token(out, &value)),
                written(|out| text(out, &value)),
                written(|out| quoted(out, &value)),
                written(|out| escaped(out, &value, COMMENT)),
                written(|out| host(out, &value)),
                written(|out| of_class(out, &value, VISIBLE, WriteReason::Syntax)),
            ] {
                assert_eq!(refused, Err(WriteReason::ControlCharacter));
            }
        }
    }

    #[test]
    fn quotes_backslashes_and_control_characters_become_quoted_pairs() {
        assert_eq!(
            written(|out| quoted(out, b"a\"b\\c\x07\td\xc3\xa9")),
            Ok(b"\"a\\\"b\\\\c\\\x07\td\xc3\xa9\"".to_vec())
        );
    }

    #[test]
    fn text_that_reading_would_trim_is_refused() {
        assert_eq!(
            written(|out| text(out, b" a")),
            Err(WriteReason::WhiteSpace)
        );
        assert_eq!(
            written(|out| text(out, b"a\t")),
            Err(WriteReason::WhiteSpace)
        );
        assert_eq!(written(|out| text(out, b"a  b")), Ok(b"a  b".to_vec()));
        assert_eq!(written(|out| text(out, b"")), Ok(Vec::new()));
    }

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 7, 10, 5060, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
        let mut out = Vec::new();
        padded(&mut out, 7, 2);
        padded(&mut out, 987, 4);
        assert_eq!(out, b"070987");
    }
}
