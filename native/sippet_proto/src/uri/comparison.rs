//! When two URIs are the same address (§19.1.4, RFC 3966 §4).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use memchr::memchr;

use super::Uri;

/// What an omitted port or transport means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Comparison {
    /// Something else than any that is written, the default too (§19.1.4).
    #[default]
    Strict,
    /// Its default: port 5060 and `udp` for `sip`, 5061 and `tls` for `sips`.
    Lazy,
}

/// One that is in a single URI makes the two differ; of the others §19.1.4 says that they are ignored then.
const NEVER_IGNORED: [&[u8]; 5] = [b"transport", b"user", b"ttl", b"method", b"maddr"];

impl Uri<'_> {
    /// Whether both are equivalent: `sip` and `sips` by §19.1.4, `tel` by RFC 3966 §4, any other scheme byte for byte.
    ///
    /// The order of the two does not matter. Equivalence is not transitive. Costs n log n by the number of parameters and headers.
    pub fn is_equivalent(&self, other: &Uri<'_>, comparison: Comparison) -> bool {
        if !self.scheme.eq_ignore_ascii_case(other.scheme) {
            return false;
        }
        match default_port(self.scheme) {
            Some(port) => sip(self, other, comparison, port),
            None if self.scheme.eq_ignore_ascii_case(b"tel") => tel(self, other),
            None => {
                self.authority.or(self.host) == other.authority.or(other.host)
                    && self.userinfo == other.userinfo
                    && self.port == other.port
                    && self.parameters == other.parameters
                    && self.headers == other.headers
            }
        }
    }
}

/// The port that a URI of this scheme has unless it says another (§19.1.2).
pub fn default_port(scheme: &[u8]) -> Option<u16> {
    if scheme.eq_ignore_ascii_case(b"sip") {
        Some(5060)
    } else if scheme.eq_ignore_ascii_case(b"sips") {
        Some(5061)
    } else {
        None
    }
}

fn sip(a: &Uri<'_>, b: &Uri<'_>, comparison: Comparison, default_port: u16) -> bool {
    let port = |uri: &Uri<'_>| match comparison {
        Comparison::Strict => uri.port,
        Comparison::Lazy => uri.port.or(Some(default_port)),
    };
    let parameters = |uri| {
        let mut parameters = sip_parameters(uri);
        if comparison == Comparison::Lazy {
            default_transport(&mut parameters, default_port);
        }
        parameters
    };
    a.userinfo.map(normal) == b.userinfo.map(normal)
        && is_same_host(a.host, b.host)
        && port(a) == port(b)
        && headers(a) == headers(b)
        && are_same_parameters(&parameters(a), &parameters(b))
}

/// RFC 5954 §4.2: IPv6 addresses are compared as numbers.
fn is_same_host(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => match (ipv6(a), ipv6(b)) {
            (None, None) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        },
        (a, b) => a == b,
    }
}

fn ipv6(host: &[u8]) -> Option<Ipv6Addr> {
    memchr(b':', host)?;
    std::str::from_utf8(host).ok()?.parse().ok()
}

type Pair<'a> = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>);

fn sip_parameters<'a>(uri: &Uri<'a>) -> Vec<Pair<'a>> {
    let pairs = pairs(uri.parameters, b';');
    by_name(pairs.map(|(name, value)| (lower(normal(name)), value.map(normal).map(lower))))
}

/// Parameters in the order of their names; of a repeated one the last stays.
fn by_name<'a>(pairs: impl Iterator<Item = Pair<'a>>) -> Vec<Pair<'a>> {
    let mut sorted: Vec<Pair<'a>> = pairs.collect();
    sorted.reverse();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.dedup_by(|later, kept| later.0 == kept.0);
    sorted
}

fn default_transport(parameters: &mut Vec<Pair<'_>>, default_port: u16) {
    let place = parameters.binary_search_by(|(name, _)| (**name).cmp(b"transport"));
    if let Err(place) = place {
        let value: &[u8] = if default_port == 5061 { b"tls" } else { b"udp" };
        let name: &[u8] = b"transport";
        parameters.insert(place, (name.into(), Some(value.into())));
    }
}

/// Both are in the order of their names.
fn are_same_parameters(a: &[Pair<'_>], b: &[Pair<'_>]) -> bool {
    let is_ignored = |pair: &Pair<'_>| !NEVER_IGNORED.contains(&&*pair.0);
    let (mut a, mut b) = (a, b);
    loop {
        match (a, b) {
            ([first, rest @ ..], [second, others @ ..]) if first.0 == second.0 => {
                if first.1 != second.1 {
                    return false;
                }
                (a, b) = (rest, others);
            }
            ([first, rest @ ..], [second, ..]) if first.0 < second.0 => {
                if !is_ignored(first) {
                    return false;
                }
                a = rest;
            }
            (_, [second, others @ ..]) => {
                if !is_ignored(second) {
                    return false;
                }
                b = others;
            }
            (rest, []) => return rest.iter().all(is_ignored),
        }
    }
}

/// Headers are never ignored; their order is.
fn headers<'a>(uri: &Uri<'a>) -> Vec<Pair<'a>> {
    let pairs = pairs(uri.headers, b'&');
    let mut headers: Vec<Pair<'a>> = pairs
        .map(|(name, value)| (lower(normal(name)), value.map(normal)))
        .collect();
    headers.sort();
    headers
}

fn tel(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let is_same_number = match (a.host.or(a.authority), b.host.or(b.authority)) {
        (Some(a), Some(b)) => number(normal(a)) == number(normal(b)),
        (a, b) => a == b,
    };
    is_same_number && tel_parameters(a) == tel_parameters(b)
}

fn tel_parameters<'a>(uri: &Uri<'a>) -> Vec<Pair<'a>> {
    by_name(pairs(uri.parameters, b';').map(|(name, value)| {
        let name = lower(normal(name));
        let value = value.map(normal).map(|value| match (&*name, &*value) {
            (b"ext", _) | (b"phone-context", [b'+', ..]) => number(value),
            _ => lower(value),
        });
        (name, value)
    }))
}

/// RFC 3966 §5.1.1: the visual separators mean nothing.
fn number(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let is_separator = |byte: &u8| matches!(byte, b'-' | b'.' | b'(' | b')');
    if !text.iter().any(is_separator) {
        return lower(text);
    }
    let digits: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !is_separator(byte))
        .collect();
    lower(Cow::Owned(digits))
}

/// Names and values as they stand, behind the mark that the text begins with.
fn pairs(text: Option<&[u8]>, separator: u8) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    text.and_then(|text| text.get(1..))
        .unwrap_or_default()
        .split(move |byte| *byte == separator)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match memchr(b'=', pair) {
            Some(equals) => (
                pair.get(..equals).unwrap_or_default(),
                pair.get(equals + 1..),
            ),
            None => (pair, None),
        })
}

fn lower(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    text
}

/// Each escape is the character that it stands for. That of a reserved one is not the same as the character, and `%` itself has no
/// other form (§19.1.4): these stay, in capitals.
fn normal(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut normal = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if let (b'%', [high, low, behind @ ..]) = (first, behind)
            && let (Some(four), Some(other_four)) = (hex(*high), hex(*low))
        {
            rest = behind;
            let byte = four * 16 + other_four;
            if is_reserved(byte) {
                normal.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
            } else {
                normal.push(byte);
            }
        } else {
            normal.push(*first);
        }
    }
    Cow::Owned(normal)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `reserved` (§25.1), and `%`.
fn is_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',' | b'%'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::parse_uri;

    fn check(a: &str, b: &str, comparison: Comparison, expected: bool) {
        let is_equivalent = |a: &str, b: &str| {
            let uri = parse_uri(a.as_bytes()).unwrap();
            uri.is_equivalent(&parse_uri(b.as_bytes()).unwrap(), comparison)
        };
        for (a, b, expected) in [
            (a, b, expected),
            (b, a, expected),
            (a, a, true),
            (b, b, true),
        ] {
            assert_eq!(is_equivalent(a, b), expected, "{a} {b} {comparison:?}");
        }
    }

    #[test]
    fn equivalent_uris_are_so_in_both_orders_19_1_4() {
        for (a, b) in [
            ("SIP:ana@quince.example", "sip:ana@QUINCE.example"),
            (
                "sip:ana@quince.example;transport=TCP;x=Y",
                "sip:ana@quince.example;X=y;Transport=tcp",
            ),
            ("sip:%61na@quince.example", "sip:ana@quince.example"),
            ("sip:an%2Fa@quince.example", "sip:an%2fa@quince.example"),
            (
                "sip:ana@quince.example;p=%61",
                "sip:ana@quince.example;%70=A",
            ),
            ("sip:ana@quince.example;x=1", "sip:ana@quince.example;y=2"),
            (
                "sip:ana@quince.example;a;x=1;z",
                "sip:ana@quince.example;lr;x=1",
            ),
            (
                "sip:ana@quince.example?a=1&b=2",
                "sip:ana@quince.example?B=2&A=1",
            ),
            ("sip:ana@[2001:DB8:0:0::1]", "sip:ana@[2001:db8::1]"),
            ("tel:+1-201-555-0123;EXT=4-2", "TEL:+12015550123;ext=42"),
            (
                "tel:7042;phone-context=Quince.Example;x",
                "tel:70-42;x;phone-context=quince.example",
            ),
            (
                "tel:7042;phone-context=+1-201",
                "tel:7042;phone-context=+1201",
            ),
            ("urn:service:sos", "URN:service:sos"),
        ] {
            check(a, b, Comparison::Strict, true);
            check(a, b, Comparison::Lazy, true);
        }
    }

    #[test]
    fn different_uris_are_so_in_both_orders_19_1_4() {
        for (a, b) in [
            ("sip:ana@quince.example", "sips:ana@quince.example"),
            ("sip:ana@quince.example", "sip:Ana@quince.example"),
            ("sip:ana:pw@quince.example", "sip:ana:PW@quince.example"),
            ("sip:quince.example", "sip:ana@quince.example"),
            ("sip:an%3Ba@quince.example", "sip:an;a@quince.example"),
            ("sip:an%252Fa@quince.example", "sip:an%2Fa@quince.example"),
            ("sip:ana@quince.example:5070", "sip:ana@quince.example"),
            ("sip:ana@quince.example;x=1", "sip:ana@quince.example;x=2"),
            ("sip:ana@quince.example;x=1", "sip:ana@quince.example;x"),
            (
                "sip:ana@quince.example;maddr=a;z",
                "sip:ana@quince.example;z",
            ),
            (
                "sip:ana@quince.example;user=phone",
                "sip:ana@quince.example;a",
            ),
            ("sip:ana@quince.example?a=1", "sip:ana@quince.example"),
            ("sip:ana@quince.example?a=b", "sip:ana@quince.example?a=B"),
            ("sip:ana@[::ffff:192.0.2.1]", "sip:ana@192.0.2.1"),
            ("tel:+12015550123", "tel:12015550123;phone-context=+1"),
            ("tel:+12015550123;ext=42", "tel:+12015550123"),
            ("urn:service:sos", "urn:service:SOS"),
        ] {
            check(a, b, Comparison::Strict, false);
            check(a, b, Comparison::Lazy, false);
        }
    }

    #[test]
    fn a_default_counts_as_omitted_by_the_lazy_form_only() {
        for (a, b) in [
            ("sip:quince.example", "sip:quince.example:5060"),
            ("sip:quince.example", "sip:quince.example;transport=UDP"),
            (
                "sips:quince.example;z",
                "sips:quince.example:5061;transport=tls;a",
            ),
        ] {
            check(a, b, Comparison::Strict, false);
            check(a, b, Comparison::Lazy, true);
        }
    }

    #[test]
    fn of_a_parameter_that_is_there_twice_the_last_counts() {
        let twice = "sip:quince.example;ttl=1;a;TTL=2";
        check(twice, "sip:quince.example;ttl=2", Comparison::Strict, true);
        check(twice, "sip:quince.example;ttl=1", Comparison::Strict, false);
    }
}
