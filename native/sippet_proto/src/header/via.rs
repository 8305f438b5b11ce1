//! Via (§20.42).

use nom::bytes::complete::tag_no_case;

use super::params::params;
use super::{Param, Via};
use crate::error::Reason;
use crate::grammar::{Parsed, Scope, Stop, host, number, port, skip_space, token};
use crate::message::{Protocol, Version};

/// `sent-protocol LWS sent-by *(SEMI via-params)`
#[inline(always)]
pub(crate) fn via<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Via<'a>> {
    let (rest, version) = protocol_version(input)?;
    let (rest, protocol) = token(slash(rest)?)?;
    let sent_by = skip_space(rest);
    if sent_by.len() == rest.len() {
        return Err(Stop::at(rest, Reason::Syntax));
    }
    let (mut rest, host) = host(sent_by)?;
    let mut sent_port = None;
    if let [b':', digits @ ..] = skip_space(rest) {
        let (behind, number) = port(skip_space(digits))?;
        sent_port = Some(number);
        rest = behind;
    }
    let (rest, params) = params(rest, scope)?;
    Ok((
        rest,
        Via {
            version,
            protocol: Protocol::from_bytes(protocol),
            host,
            port: sent_port,
            params: without_brackets(params, scope),
        },
    ))
}

/// `"SIP" SLASH 1*DIGIT "." 1*DIGIT`; there is no other protocol name.
#[inline]
fn protocol_version(input: &[u8]) -> Parsed<'_, Version> {
    if let [b'S', b'I', b'P', b'/', b'2', b'.', b'0', rest @ ..] = input
        && !matches!(rest, [b'0'..=b'9', ..])
    {
        return Ok((rest, Version::SIP_2_0));
    }
    let (rest, _) = tag_no_case(&b"SIP"[..])(input)?;
    version_number(slash(rest)?)
}

/// `1*DIGIT "." 1*DIGIT`, each without leading zeros: 2.00 is not 2.0.
pub(crate) fn version_number(input: &[u8]) -> Parsed<'_, Version> {
    let (rest, major) = version_part(input)?;
    let [b'.', rest @ ..] = rest else {
        return Err(Stop::at(input, Reason::Version));
    };
    let (rest, minor) = version_part(rest)?;
    let version = Version {
        major: major as u16,
        minor: minor as u16,
    };
    Ok((rest, version))
}

fn version_part(input: &[u8]) -> Parsed<'_, u32> {
    match input {
        [b'0', b'0'..=b'9', ..] => Err(Stop::at(input, Reason::Version)),
        _ => number(input, u32::from(u16::MAX)).map_err(|_| Stop::at(input, Reason::Version)),
    }
}

/// `SLASH = SWS "/" SWS`
#[inline]
fn slash(input: &[u8]) -> Result<&[u8], nom::Err<Stop<'_>>> {
    match skip_space(input) {
        [b'/', rest @ ..] => Ok(skip_space(rest)),
        rest => Err(Stop::at(rest, Reason::Syntax)),
    }
}

/// `received` has IPv6 addresses with and without brackets; they mean the same (RFC 5118 §4.5).
fn without_brackets<'a>(params: &'a [Param<'a>], scope: &Scope<'a>) -> &'a [Param<'a>] {
    let bracketed = |param: &Param<'a>| {
        param.name == b"received" && matches!(param.value, Some([b'[', .., b']']))
    };
    if !params.iter().any(bracketed) {
        return params;
    }
    let params = scope.arena.alloc_slice_copy(params);
    for param in params.iter_mut().filter(|param| bracketed(param)) {
        if let Some([b'[', inside @ .., b']']) = param.value {
            param.value = Some(inside);
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::header::param;
    use crate::message::Arena;

    #[test]
    fn the_examples_of_20_42_are_read() {
        let arena = Arena::new();
        let input = b"SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1";
        let (result, forgiven) = read(&arena, |scope| via(input, scope));
        let (rest, via) = result.unwrap();
        assert_eq!(rest, b"");
        assert_eq!(forgiven, None);
        assert_eq!(via.version, Version::SIP_2_0);
        assert_eq!(via.protocol, Protocol::Udp);
        assert_eq!(
            (via.host, via.port),
            (&b"first.example.com"[..], Some(4000))
        );
        assert_eq!(param(via.params, b"ttl"), Some(Some(&b"16"[..])));
        assert_eq!(via.branch(), Some(&b"z9hG4bKa7c6a8dlze.1"[..]));
    }

    #[test]
    fn ipv6_is_read_with_and_without_brackets() {
        let arena = Arena::new();
        for input in [
            "sip/2.0/udp [2001:db8::9:1]:6050;received=[2001:db8::9:255]",
            "SIP/2.0/UDP [2001:db8::9:1] : 6050 ;received=2001:db8::9:255",
        ] {
            let (result, forgiven) = read(&arena, |scope| via(input.as_bytes(), scope));
            let via = result.unwrap().1;
            assert_eq!((via.host, via.port), (&b"2001:db8::9:1"[..], Some(6050)));
            assert_eq!(
                param(via.params, b"received"),
                Some(Some(&b"2001:db8::9:255"[..]))
            );
            assert_eq!(forgiven, None);
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        let arena = Arena::new();
        for input in [
            "",
            "SIP",
            "SIP/2.0",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 UDP a",
            "HTTP/1.1/TCP a",
            "SIP/2.0/UDP a:x",
            "SIP/2.0/UDP a:65536",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP ;branch=x",
            "SIP/2/UDP a",
            "SIP/2.00/UDP a",
            "SIP/99999.0/UDP a",
        ] {
            let (result, _) = read(&arena, |scope| via(input.as_bytes(), scope));
            assert!(result.is_err(), "{input}");
        }
    }
}
