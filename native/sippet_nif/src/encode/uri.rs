//! `%Sippet.URI{}`.

use sippet_proto::uri::{Uri, default_port};

use super::Encoder;
use crate::term::{Datagram, Raw, Vm};
use crate::words::Words;
use sippet_proto::message::Arena;

/// A URI alone.
pub fn uri<'e>(
    vm: Vm<'e>,
    datagram: Option<Datagram<'e>>,
    words: Words<'e>,
    arena: &Arena,
    uri: &Uri<'_>,
) -> Raw<'e> {
    Encoder::new(vm, datagram, words, arena).uri(uri)
}

impl<'e> Encoder<'e, '_> {
    /// `%Sippet.URI{}`: the scheme in lower case, the port explicit or the default.
    pub fn uri(&self, uri: &Uri<'_>) -> Raw<'e> {
        let atoms = self.atoms;
        let port = uri.port.or_else(|| default_port(uri.scheme));
        let authority = self.optional(uri.authority);
        // One text where there is neither user nor port: one term, then.
        let host = if uri.host == uri.authority {
            authority
        } else {
            self.optional(uri.host)
        };
        self.vm.map(
            &[
                atoms.struct_key.into(),
                atoms.authority.into(),
                atoms.headers_key.into(),
                atoms.host.into(),
                atoms.parameters.into(),
                atoms.port.into(),
                atoms.scheme.into(),
                atoms.userinfo.into(),
            ],
            &[
                atoms.uri_struct.into(),
                authority,
                self.optional(uri.headers),
                host,
                self.optional(uri.parameters),
                match port {
                    Some(port) => self.vm.integer(port.into()),
                    None => atoms.nil.into(),
                },
                self.scheme(uri.scheme),
                self.optional(uri.userinfo),
            ],
        )
    }

    fn scheme(&self, scheme: &[u8]) -> Raw<'e> {
        if scheme.eq_ignore_ascii_case(b"sip") {
            self.sip
        } else if scheme.iter().any(u8::is_ascii_uppercase) {
            let lower = self.arena.alloc_slice_copy(scheme);
            lower.make_ascii_lowercase();
            self.vm.copy(lower)
        } else {
            self.string(scheme)
        }
    }
}
