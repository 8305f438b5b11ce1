//! What is changed in the topmost Via of a message, done on the raw bytes: a server notes where a request came from
//! (§18.2.1, RFC 3581 §4), a client sends it once more by another way (§18.1.1, RFC 3263 §4.3).

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::lines::Lines;
use super::raw::{RawParam, RawParams, trimmed};
use crate::grammar;

/// The topmost Via as the peer wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopVia<'a> {
    /// `UDP` of `SIP/2.0/UDP`.
    pub protocol: &'a [u8],
    /// The host of `sent-by`; an IPv6 address without its brackets.
    pub host: &'a [u8],
    /// The port of `sent-by`, where one was written.
    pub port: Option<u16>,
    /// The `branch` parameter, as it stands.
    pub branch: Option<&'a [u8]>,
    /// The `maddr` parameter, as it stands.
    pub maddr: Option<&'a [u8]>,
    /// Whether there is an `rport` parameter (RFC 3581 §3).
    pub rport: bool,
}

/// Appends the request with `received` and `rport` of its topmost Via set to what is true.
///
/// `received` is added if `sent-by` is not the address of `source`, a host name included, or if `rport` is there; a
/// `received` or `rport` value of the peer's is replaced, or removed. With `force_rport`, all is as if `rport` were
/// there. Everything else stays as it is, to the byte. `None` where there is no Via, or none that can be understood:
/// then nothing is changed.
pub fn stamp_received<'a>(
    out: &mut Vec<u8>,
    data: &'a [u8],
    source: SocketAddr,
    force_rport: bool,
) -> Option<TopVia<'a>> {
    let Some(top) = first_via(data) else {
        out.extend_from_slice(data);
        return None;
    };
    let (text, offset) = top;
    let Some(via) = top_via(text) else {
        out.extend_from_slice(data);
        return None;
    };
    let address = source.ip().to_canonical();
    let wants_rport = via.rport || force_rport;
    let wants_received = wants_rport || ip(via.host) != Some(address);

    out.reserve(data.len() + 64);
    let mut copied = 0;
    let mut skip_to = |out: &mut Vec<u8>, range: Range<usize>| {
        out.extend_from_slice(data.get(copied..offset + range.start).unwrap_or_default());
        copied = offset + range.end;
    };
    let (mut has_received, mut has_rport) = (!wants_received, !wants_rport);
    let mut params = RawParams::new(text);
    let mut end = trimmed(text, 0..params.position()).end;
    for param in params.by_ref() {
        end = param.end.max(param.start + 1);
        if is_named(text, &param, b"received") {
            skip_to(out, param.start..end);
            if !has_received {
                received(out, address);
            }
            has_received = true;
        } else if is_named(text, &param, b"rport") {
            skip_to(out, param.start..end);
            if !has_rport {
                rport(out, source.port());
            }
            has_rport = true;
        }
    }
    skip_to(out, end..end);
    if !has_received {
        received(out, address);
    }
    if !has_rport {
        rport(out, source.port());
    }
    out.extend_from_slice(data.get(copied..).unwrap_or_default());
    Some(via)
}

/// The message with this branch, and this protocol and port of `sent-by` if they are given, in its topmost Via. Everything
/// else stays as it is, to the byte. `None` where there is no Via that can be understood, or none with a branch.
pub fn with_branch(
    data: &[u8],
    branch: &[u8],
    protocol: Option<&[u8]>,
    port: Option<u16>,
) -> Option<Vec<u8>> {
    let (text, offset) = first_via(data)?;
    let via = top_via(text)?;
    let place = |part: &[u8]| {
        let start = (part.as_ptr() as usize).checked_sub(data.as_ptr() as usize)?;
        Some(start..start + part.len())
    };
    let mut params = RawParams::new(text);
    let sent_by = offset + trimmed(text, 0..params.position()).end;
    let found = params.find(|param| is_named(text, param, b"branch"))?;
    let value = found.value?;
    let value = offset + value.start..offset + value.end;
    let sent = place(via.protocol)?;
    let protocol = protocol.unwrap_or(via.protocol);
    let host = place(via.host)?.end;
    // That of an IPv6 address has a bracket behind it.
    let host = host + usize::from(data.get(host) == Some(&b']'));
    let written = data.get(host..sent_by)?;
    let port = port.map(|port| format!(":{port}"));
    Some(
        [
            data.get(..sent.start)?,
            protocol,
            data.get(sent.end..host)?,
            port.as_ref().map_or(written, |port| port.as_bytes()),
            data.get(sent_by..value.start)?,
            branch,
            data.get(value.end..)?,
        ]
        .concat(),
    )
}

/// The topmost Via of a message, where there is one that can be understood.
pub fn topmost_via(data: &[u8]) -> Option<TopVia<'_>> {
    top_via(first_via(data)?.0)
}

/// The value of the first Via line, and where it stands.
fn first_via(data: &[u8]) -> Option<(&[u8], usize)> {
    let is_via = |name: &[u8]| name.eq_ignore_ascii_case(b"Via") || name.eq_ignore_ascii_case(b"v");
    Lines::new(data)?
        .find(|field| field.name.is_some_and(is_via))
        .map(|field| (field.value, field.value_offset))
}

fn is_named(text: &[u8], param: &RawParam, name: &[u8]) -> bool {
    text.get(param.name.clone())
        .is_some_and(|found| found.eq_ignore_ascii_case(name))
}

/// `SIP/2.0/UDP host:port;params`, with white space and folds wherever the grammar has them (§20.42).
fn top_via(text: &[u8]) -> Option<TopVia<'_>> {
    let mut params = RawParams::new(text);
    let head = text.get(..params.position())?;
    let mut parts = head.splitn(3, |byte| *byte == b'/');
    let name = parts.next()?;
    parts.next()?;
    let rest = parts.next()?;
    if !name.trim_ascii().eq_ignore_ascii_case(b"SIP") {
        return None;
    }
    let rest = rest.trim_ascii();
    let gap = rest.iter().position(u8::is_ascii_whitespace)?;
    let (protocol, sent_by) = rest.split_at(gap);
    let (host, port) = split_sent_by(sent_by.trim_ascii())?;
    let mut via = TopVia {
        protocol,
        host,
        port,
        branch: None,
        maddr: None,
        rport: false,
    };
    for param in params.by_ref() {
        let value = param.value.clone().and_then(|value| text.get(value));
        if is_named(text, &param, b"branch") {
            via.branch = value;
        } else if is_named(text, &param, b"maddr") {
            via.maddr = value;
        } else if is_named(text, &param, b"rport") {
            via.rport = true;
        }
    }
    params.is_whole().then_some(via)
}

/// `host [COLON port]`
fn split_sent_by(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (rest, host) = grammar::host(text).ok()?;
    let port = match rest.trim_ascii() {
        [] => None,
        [b':', digits @ ..] => {
            let (behind, port) = grammar::port(digits.trim_ascii_start()).ok()?;
            if !behind.is_empty() {
                return None;
            }
            Some(port)
        }
        _ => return None,
    };
    Some((host, port))
}

/// The address that a host is, if it is one; an IPv4 address mapped into IPv6 is the former.
fn ip(host: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(host).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// IPv6 goes without brackets here (§25.1, `via-received`).
fn received(out: &mut Vec<u8>, address: IpAddr) {
    // A vector takes all that is written to it.
    let _ = write!(out, ";received={address}");
}

fn rport(out: &mut Vec<u8>, port: u16) {
    let _ = write!(out, ";rport={port}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(via: &str, source: &str, force_rport: bool) -> String {
        let request =
            format!("OPTIONS sip:b SIP/2.0\r\n{via}\r\nVia: SIP/2.0/UDP c;rport\r\n\r\nv: x;rport");
        let mut out = b"before".to_vec();
        stamp_received(
            &mut out,
            request.as_bytes(),
            source.parse().unwrap(),
            force_rport,
        );
        let text = String::from_utf8(out).unwrap();
        let text = text
            .strip_prefix("beforeOPTIONS sip:b SIP/2.0\r\n")
            .unwrap();
        let end = "\r\nVia: SIP/2.0/UDP c;rport\r\n\r\nv: x;rport";
        text.strip_suffix(end).unwrap().to_string()
    }

    #[test]
    fn received_is_added_where_sent_by_is_another_18_2_1() {
        for (via, source, expected) in [
            (
                "Via: SIP/2.0/UDP bobspc.biloxi.com:5060",
                "192.0.2.4:5060",
                "Via: SIP/2.0/UDP bobspc.biloxi.com:5060;received=192.0.2.4",
            ),
            (
                "v:SIP/2.0/UDP 192.0.2.4;branch=x",
                "192.0.2.4:5060",
                "v:SIP/2.0/UDP 192.0.2.4;branch=x",
            ),
            (
                "VIA : SIP / 2.0 / UDP [2001:DB8:0::1] : 5070 ;branch=x \r\n\t, SIP/2.0/UDP d",
                "[2001:db8::1]:5070",
                "VIA : SIP / 2.0 / UDP [2001:DB8:0::1] : 5070 ;branch=x \r\n\t, SIP/2.0/UDP d",
            ),
            (
                "Via: SIP/2.0/TCP [2001:db8::1];branch=x, SIP/2.0/UDP d",
                "[2001:db8::2]:5070",
                "Via: SIP/2.0/TCP [2001:db8::1];branch=x;received=2001:db8::2, SIP/2.0/UDP d",
            ),
            (
                "Via: SIP/2.0/UDP 192.0.2.4",
                "[::ffff:192.0.2.4]:5060",
                "Via: SIP/2.0/UDP 192.0.2.4",
            ),
        ] {
            assert_eq!(stamped(via, source, false), expected);
        }
    }

    #[test]
    fn what_the_peer_says_of_its_address_is_replaced() {
        for (via, expected) in [
            (
                "Via: SIP/2.0/UDP a;received=10.0.0.1;branch=x",
                "Via: SIP/2.0/UDP a;received=192.0.2.4;branch=x",
            ),
            (
                "Via: SIP/2.0/UDP 192.0.2.4;Received=10.0.0.1 ;branch=x",
                "Via: SIP/2.0/UDP 192.0.2.4 ;branch=x",
            ),
            (
                "Via: SIP/2.0/UDP a;received=1.1.1.1;received=2.2.2.2",
                "Via: SIP/2.0/UDP a;received=192.0.2.4",
            ),
        ] {
            assert_eq!(stamped(via, "192.0.2.4:9988", false), expected);
        }
    }

    #[test]
    fn rport_is_answered_with_the_port_and_received_rfc_3581_4() {
        // The request and the forwarded form of RFC 3581 §6.
        assert_eq!(
            stamped(
                "Via: SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff",
                "192.0.2.1:9988",
                false
            ),
            "Via: SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9hG4bKkjshdyff;received=192.0.2.1"
        );
        for (via, expected) in [
            (
                "Via: SIP/2.0/UDP 192.0.2.1:9988 ; RPORT ;branch=x",
                "Via: SIP/2.0/UDP 192.0.2.1:9988 ;rport=9988 ;branch=x;received=192.0.2.1",
            ),
            (
                "Via: SIP/2.0/UDP 192.0.2.1;rport=abc;rport",
                "Via: SIP/2.0/UDP 192.0.2.1;rport=9988;received=192.0.2.1",
            ),
        ] {
            assert_eq!(stamped(via, "192.0.2.1:9988", false), expected);
        }
    }

    #[test]
    fn rport_is_added_unasked_when_forced() {
        assert_eq!(
            stamped(
                "Via: SIP/2.0/UDP 192.0.2.1;branch=x",
                "192.0.2.1:9988",
                true
            ),
            "Via: SIP/2.0/UDP 192.0.2.1;branch=x;received=192.0.2.1;rport=9988"
        );
    }

    #[test]
    fn quotes_folds_and_lists_do_not_confuse() {
        assert_eq!(
            stamped(
                "Via:\r\n SIP/2.0/UDP\r\n\ta;x=\"\\\";rport, y\"\r\n ;rport\r\n , SIP/2.0/UDP d;rport",
                "192.0.2.1:9988",
                false
            ),
            "Via:\r\n SIP/2.0/UDP\r\n\ta;x=\"\\\";rport, y\"\r\n ;rport=9988;received=192.0.2.1\r\n , SIP/2.0/UDP d;rport"
        );
    }

    #[test]
    fn what_is_no_via_stays_as_it_is() {
        for data in [
            &b""[..],
            b"\r\n\r\n",
            b"OPTIONS sip:b SIP/2.0\r\n\r\n",
            b"OPTIONS sip:b SIP/2.0\r\nVia:\r\n\r\n",
            b"OPTIONS sip:b SIP/2.0\r\nVia: ,,;rport\r\n\r\n",
            b"OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/UDP ;rport\r\n\r\n",
            b"OPTIONS sip:b SIP/2.0\r\nVia: HTTP/1.1/TCP a;rport\r\n\r\n",
        ] {
            let mut out = Vec::new();
            let source = "192.0.2.1:9988".parse().unwrap();
            assert_eq!(stamp_received(&mut out, data, source, true), None);
            assert_eq!(out, data);
        }
    }

    #[test]
    fn the_branch_the_protocol_and_the_port_are_replaced_and_nothing_else() {
        for (via, protocol, port, expected) in [
            (
                "Via: SIP/2.0/UDP a;branch=z9hG4bK1;rport, SIP/2.0/TLS b;branch=z9hG4bK2",
                None,
                None,
                "Via: SIP/2.0/UDP a;branch=z9hG4bKnew;rport, SIP/2.0/TLS b;branch=z9hG4bK2",
            ),
            (
                "v : sip / 2.0 / udp [::1] : 5070 ;x=\"branch=y\" ; BRANCH = z9hG4bK1 ;rport",
                Some(&b"TCP"[..]),
                None,
                "v : sip / 2.0 / TCP [::1] : 5070 ;x=\"branch=y\" ; BRANCH = z9hG4bKnew ;rport",
            ),
            (
                "v : sip / 2.0 / udp [::1] : 5070 ;x=\"branch=y\" ; BRANCH = z9hG4bK1 ;rport",
                Some(&b"TCP"[..]),
                Some(6050),
                "v : sip / 2.0 / TCP [::1]:6050 ;x=\"branch=y\" ; BRANCH = z9hG4bKnew ;rport",
            ),
            (
                "Via: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TLS b:5;branch=z9hG4bK2",
                None,
                Some(65_535),
                "Via: SIP/2.0/UDP a:65535;branch=z9hG4bKnew, SIP/2.0/TLS b:5;branch=z9hG4bK2",
            ),
            (
                "Via: SIP/2.0/UDP [::1];branch=z9hG4bK1",
                None,
                Some(5060),
                "Via: SIP/2.0/UDP [::1]:5060;branch=z9hG4bKnew",
            ),
            (
                "Via: SIP/2.0/UDP 192.0.2.1:1\r\n ;branch=z9hG4bK1",
                None,
                Some(22),
                "Via: SIP/2.0/UDP 192.0.2.1:22\r\n ;branch=z9hG4bKnew",
            ),
        ] {
            let message = format!("OPTIONS sip:b SIP/2.0\r\n{via}\r\nVia: x;branch=y\r\n\r\nv: b");
            let expected = message.replace(via, expected);
            let changed = with_branch(message.as_bytes(), b"z9hG4bKnew", protocol, port).unwrap();
            assert_eq!(String::from_utf8(changed).unwrap(), expected);
        }
        for data in [
            &b""[..],
            b"OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n",
            b"OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch\r\n\r\n",
            b"OPTIONS sip:b SIP/2.0\r\nVia: ;branch=x\r\n\r\n",
        ] {
            assert_eq!(with_branch(data, b"z9hG4bKnew", None, Some(1)), None);
        }
    }

    #[test]
    fn the_topmost_via_is_told_in_its_parts() {
        let data = b"OPTIONS sip:b SIP/2.0\r\nv: SIP/2.0/TLS [2001:db8::9:1]:5061;maddr=a;rport;branch=z9hG4bK1\r\n";
        assert_eq!(
            topmost_via(data),
            Some(TopVia {
                protocol: b"TLS",
                host: b"2001:db8::9:1",
                port: Some(5061),
                branch: Some(b"z9hG4bK1"),
                maddr: Some(b"a"),
                rport: true,
            })
        );
    }
}
