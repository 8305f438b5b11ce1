//! `%Sippet.URI{}`, or the text of one.

use sippet_proto::message::Arena;
use sippet_proto::uri::{Uri, default_port};

use super::{Decoded, Decoder};
use crate::error::Refusal;
use crate::term::{Raw, Vm};

/// A URI alone.
pub fn uri<'e: 'a, 'a>(vm: Vm<'e>, arena: &'a Arena, term: Raw<'e>) -> Result<Uri<'a>, Refusal> {
    let decoder = Decoder::new(vm, arena);
    decoder.uri(term).ok_or_else(|| decoder.refusal())
}

impl<'e: 'a, 'a> Decoder<'e, 'a> {
    /// `%Sippet.URI{}`, or a string that is parsed.
    #[inline(always)]
    pub fn uri(&self, term: Raw<'e>) -> Decoded<Uri<'a>> {
        let atoms = self.atoms;
        let Some(of) = self.vm.get(term, atoms.struct_key) else {
            return self.uri_text(term);
        };
        if of != atoms.uri_struct.into() {
            return None;
        }
        let text = |key| self.optional(self.field(term, key)?);
        let scheme = self.scheme(self.field(term, atoms.scheme)?)?;
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
            None if authority.is_none() => return self.refuse(Refusal::Uri),
            None => (authority, None),
            Some(host) => settle(scheme, authority, host, port),
        };
        Some(Uri {
            scheme,
            authority,
            userinfo,
            host,
            port,
            parameters: text(atoms.parameters)?,
            headers: text(atoms.headers_key)?,
        })
    }

    /// Most URIs of a message have the same scheme, and that is the same term.
    fn scheme(&self, term: Raw<'e>) -> Decoded<&'a [u8]> {
        if let Some((last, scheme)) = self.scheme.get()
            && last == term
        {
            return Some(scheme);
        }
        let Some(scheme) = self.optional(term)? else {
            return self.refuse(Refusal::Uri);
        };
        self.scheme.set(Some((term, scheme)));
        Some(scheme)
    }

    #[cold]
    fn uri_text(&self, term: Raw<'e>) -> Decoded<Uri<'a>> {
        match sippet_proto::parse_uri(self.vm.bytes(term)?) {
            Ok(uri) => Some(uri),
            Err(_) => self.refuse(Refusal::Uri),
        }
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

/// The port that an authority shows, if any, where the authority is of this host; else `None`.
fn shown_port(authority: &[u8], host: &[u8]) -> Option<Option<u16>> {
    let at = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    let rest = authority.get(at..)?;
    let is_bare_ipv6 = host.contains(&b':') && !host.starts_with(b"[");
    let rest = if is_bare_ipv6 {
        rest.strip_prefix(b"[")?
            .strip_prefix(host)?
            .strip_prefix(b"]")?
    } else {
        rest.strip_prefix(host)?
    };
    match rest {
        [] => Some(None),
        [b':', digits @ ..] => Some(Some(std::str::from_utf8(digits).ok()?.parse().ok()?)),
        _ => None,
    }
}
