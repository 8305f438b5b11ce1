//! `host` and `port` of §25.1: names, IPv4 addresses and IPv6 references.

use std::net::Ipv6Addr;

use super::{Parsed, Stop, number};
use crate::error::Reason;

/// `host` (§25.1); an IPv6 address without its brackets.
#[inline]
pub(crate) fn host(input: &[u8]) -> Parsed<'_, &[u8]> {
    if let [b'[', start @ ..] = input {
        return ipv6_reference(start);
    }
    let (host, rest, is_plain) = name_or_ipv4(input);
    if is_plain || is_host_name(host) {
        Ok((rest, host))
    } else {
        Err(Stop::at(input, Reason::Host))
    }
}

const DOT: u8 = 1;
const LETTER: u8 = 2;
const OTHER: u8 = 4;
const ANY: u8 = 8;

/// What stands in a host name. The underscore is not in the grammar, but in the field.
static HOST: [u8; 256] = {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        classes[index] = match index as u8 {
            b'.' => ANY | DOT,
            b'a'..=b'z' | b'A'..=b'Z' => ANY | LETTER,
            b'0'..=b'9' | b'-' | b'_' => ANY | OTHER,
            _ => 0,
        };
        index += 1;
    }
    classes
};

/// Splits off what may be a host name or an address of four numbers. `true` where it surely is a name, as most are: no
/// empty label, and a letter at the end.
#[inline]
fn name_or_ipv4(input: &[u8]) -> (&[u8], &[u8], bool) {
    let mut previous = DOT;
    let mut twice = 0;
    let mut end = 0;
    for byte in input {
        let class = HOST[*byte as usize];
        if class == 0 {
            break;
        }
        twice |= class & previous;
        previous = class;
        end += 1;
    }
    let (host, rest) = input.split_at(end);
    (host, rest, previous & LETTER != 0 && twice & DOT == 0)
}

/// The same of a whole text.
#[inline]
pub(crate) fn is_plain_name(name: &[u8]) -> bool {
    let (mut previous, mut twice, mut all) = (DOT, 0, ANY);
    for byte in name {
        let class = HOST[*byte as usize];
        all &= class;
        twice |= class & previous;
        previous = class;
    }
    all != 0 && previous & LETTER != 0 && twice & DOT == 0
}

fn ipv6_reference(start: &[u8]) -> Parsed<'_, &[u8]> {
    let end = memchr::memchr(b']', start).ok_or(Stop::at(start, Reason::Host))?;
    let (address, rest) = start.split_at(end);
    let text = std::str::from_utf8(address).ok();
    if text
        .and_then(|text| text.parse::<Ipv6Addr>().ok())
        .is_none()
    {
        return Err(Stop::at(start, Reason::Host));
    }
    Ok((rest.get(1..).unwrap_or_default(), address))
}

/// `hostname` or `IPv4address` (§25.1). The last label needs a letter somewhere, not at its start: containers are
/// named so. Numbers alone are an address of four.
#[inline]
fn is_host_name(text: &[u8]) -> bool {
    let mut has_letter = false;
    let mut previous = b'.';
    for (index, byte) in text.iter().enumerate() {
        if *byte == b'.' {
            let is_last = index + 1 == text.len();
            if previous == b'.' || (is_last && !has_letter) {
                return false;
            }
            has_letter &= is_last;
        } else {
            has_letter |= byte.is_ascii_alphabetic();
        }
        previous = *byte;
    }
    has_letter || is_ipv4(text)
}

/// `IPv4address = 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT`
fn is_ipv4(text: &[u8]) -> bool {
    let mut labels = 0;
    for label in text.split(|byte| *byte == b'.') {
        labels += 1;
        if labels > 4 || label.len() > 3 || !label.iter().all(u8::is_ascii_digit) {
            return false;
        }
    }
    labels == 4
}

/// `port`, digits up to 65535.
#[inline]
pub(crate) fn port(input: &[u8]) -> Parsed<'_, u16> {
    match number(input, u32::from(u16::MAX)) {
        Ok((rest, port)) => Ok((rest, port as u16)),
        Err(_) => Err(Stop::at(input, Reason::Port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_host(text: &[u8]) -> bool {
        matches!(host(text), Ok((b"", _)))
    }

    #[test]
    fn hosts_of_the_grammar_are_taken() {
        for text in [
            "example.com",
            "example.com.",
            "a",
            "HOST-5.x",
            "192.0.2.1",
            "[2001:db8::1]",
            "[::ffff:192.0.2.1]",
            "my_host.lan",
            "3f2a1c",
        ] {
            assert!(is_host(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "a..b",
            ".a",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.4.",
            "12345",
            "1.2.3.1234",
            "[::1",
            "::1",
            "[]",
            "[fe80::1%eth0]",
            "[1::2::3]",
            "[192.0.2.1]",
            "[2001:db8:::1]",
            "a%41.com",
            "h\u{e9}.example",
        ] {
            assert!(!is_host(text.as_bytes()), "{text}");
        }
    }
}
