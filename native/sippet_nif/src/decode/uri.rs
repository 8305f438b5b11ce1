//! `%Sippet.URI{}`, or the text of one.

use sippet_proto::message::Arena;
use sippet_proto::uri::{Uri, default_port};

use super::{Decoded, Decoder};
use crate::error::Refusal;
use crate::term::{Raw, Vm};

/// A URI alone.
pub fn uri<'e: 'a, 'a>(vm: Vm<'e>, arena: &'a Arena, term: Raw<'e>) -> Decoded<Uri<'a>> {
    Decoder::new(vm, arena).uri(term)
}

impl<'e: 'a, 'a> Decoder<'e, 'a> {
    /// `%Sippet.URI{}`, or a string that is parsed.
    pub fn uri(&self, term: Raw<'e>) -> Decoded<Uri<'a>> {
        if let Some(text) = self.vm.bytes(term) {
            return sippet_proto::parse_uri(text).map_err(|_| Refusal::Uri);
        }
        let atoms = self.atoms;
        self.is_struct(term, atoms.uri_struct)?;
        let text = |key| self.optional(self.field(term, key)?);
        let scheme = text(atoms.scheme)?.ok_or(Refusal::Uri)?;
        let authority = text(atoms.authority)?;
        let userinfo = text(atoms.userinfo)?;
        let host = text(atoms.host)?;
        let port = self.field(term, atoms.port)?;
        let port = if port == atoms.nil.into() {
            None
        } else {
            Some(self.integer::<u16>(port)?)
        };
        let (authority, port) = match host {
            None => (Some(authority.ok_or(Refusal::Uri)?), None),
            Some(host) => settle(scheme, authority, host, port),
        };
        Ok(Uri {
            scheme,
            authority,
            userinfo,
            host,
            port,
            parameters: text(atoms.parameters)?,
            headers: text(atoms.headers_key)?,
        })
    }
}

/// The authority and the port to write. User, host and port are what a program changes; the authority is believed as
/// long as it agrees with host and port, and tells whether a default port was written.
fn settle<'a>(
    scheme: &[u8],
    authority: Option<&'a [u8]>,
    host: &[u8],
    port: Option<u16>,
) -> (Option<&'a [u8]>, Option<u16>) {
    let default = default_port(scheme);
    let shown = authority.and_then(|authority| shown_port(authority, host));
    match shown {
        Some(None) if port.is_none() || port == default => (authority, None),
        Some(Some(shown)) if Some(shown) == port => (authority, port),
        _ => (None, port.filter(|port| Some(*port) != default)),
    }
}

/// IPv6, written without brackets.
fn needs_brackets(host: &[u8]) -> bool {
    host.contains(&b':') && !host.starts_with(b"[")
}

/// The port that an authority shows, if any, where the authority is of this host; else `None`.
fn shown_port(authority: &[u8], host: &[u8]) -> Option<Option<u16>> {
    let rest = authority.rsplit(|byte| *byte == b'@').next()?;
    let rest = if needs_brackets(host) {
        rest.strip_prefix(b"[")?
            .strip_prefix(host)?
            .strip_prefix(b"]")?
    } else {
        rest.strip_prefix(host)?
    };
    if rest.is_empty() {
        return Some(None);
    }
    let digits = std::str::from_utf8(rest.strip_prefix(b":")?).ok()?;
    Some(Some(digits.parse().ok()?))
}
