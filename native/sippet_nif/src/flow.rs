//! Flows and addresses as terms: `%Sippet.Flow{}`, `{ip, port}` and `{host, port}`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sippet_proto::Bytes;
use sippet_proto::message::stamp::TopVia;
use sippet_proto::transaction::{Destination, Flow, Target};

use crate::atoms;
use crate::term::{Raw, Vm};

/// `{ip, port}` or `{host, port}`.
pub fn destination<'a>(vm: Vm<'a>, term: Raw<'a>) -> Option<Destination> {
    let [host, port] = *vm.tuple_of::<2>(term)?;
    let port = u16::try_from(vm.number(port)?).ok()?;
    match vm.bytes(host) {
        Some(name) => Some(Destination::Host(Bytes::copy_from_slice(name), port)),
        None => Some(Destination::Address(SocketAddr::new(ip(vm, host)?, port))),
    }
}

/// An address as `t:inet.ip_address/0`.
fn ip<'a>(vm: Vm<'a>, term: Raw<'a>) -> Option<IpAddr> {
    let elements = vm.elements(term)?;
    let part = |index: usize| vm.number(*elements.get(index)?);
    match elements.len() {
        4 => {
            let mut octets = [0u8; 4];
            for (index, octet) in octets.iter_mut().enumerate() {
                *octet = u8::try_from(part(index)?).ok()?;
            }
            Some(IpAddr::V4(Ipv4Addr::from(octets)))
        }
        8 => {
            let mut segments = [0u16; 8];
            for (index, segment) in segments.iter_mut().enumerate() {
                *segment = u16::try_from(part(index)?).ok()?;
            }
            Some(IpAddr::V6(Ipv6Addr::from(segments)))
        }
        _ => None,
    }
}

/// `{ip, port}` or `{host, port}`.
pub fn destination_term<'e>(vm: Vm<'e>, destination: &Destination) -> Raw<'e> {
    match destination {
        Destination::Address(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) => vm.tuple(ip.octets().map(|octet| vm.integer(octet.into()))),
                IpAddr::V6(ip) => vm.tuple(ip.segments().map(|segment| vm.integer(segment.into()))),
            };
            vm.tuple([ip, vm.integer(address.port().into())])
        }
        Destination::Host(host, port) => vm.tuple([vm.copy(host), vm.integer((*port).into())]),
    }
}

/// `%Sippet.Flow{}`
pub fn flow_term<'e>(vm: Vm<'e>, target: &Target) -> Raw<'e> {
    let atoms = atoms::get();
    vm.map(
        &[
            atoms.struct_key.into(),
            atoms.connection.into(),
            atoms.remote.into(),
            atoms.transport.into(),
        ],
        &[
            atoms.flow_struct.into(),
            vm.wide(target.flow.connection),
            destination_term(vm, &target.destination),
            vm.integer(target.flow.transport),
        ],
    )
}

/// Where the responses to a request go (§18.2.2, RFC 3581 §4).
///
/// A connection takes them back itself; the address is that of a new one, should it have been closed: the source
/// address at the port of sent-by. Without connections: `maddr`, if it is an address; else the source address, at the source
/// port when `rport` asks for it (or `force_rport` does), at the port of sent-by when not.
pub fn response_target(
    via: &TopVia<'_>,
    flow: Flow,
    source: SocketAddr,
    force_rport: bool,
) -> Target {
    let default = if via.protocol.eq_ignore_ascii_case(b"TLS") {
        5061
    } else {
        5060
    };
    let port = via.port.unwrap_or(default);
    let address = if flow.connection != 0 {
        SocketAddr::new(source.ip(), port)
    } else if let Some(ip) = via.maddr.and_then(literal) {
        SocketAddr::new(ip, port)
    } else if force_rport || via.rport {
        source
    } else {
        SocketAddr::new(source.ip(), port)
    };
    Target {
        flow,
        destination: Destination::Address(address),
    }
}

fn literal(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    text.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}
