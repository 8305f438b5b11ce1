//! A parsed message as a `%Sippet.Message{}`, in one pass, each map made by one call.

mod extension;
mod header;
mod sdp;
mod uri;

use sippet_proto::error::Field;
use sippet_proto::message::{
    Arena, List, Message, Method, Protocol, RequestLine, StartLine, StatusLine, Version,
};

use crate::atoms::{self, Atoms};
use crate::error;
use crate::term::{Datagram, Raw, Vm, string};
use crate::words::Words;

pub use uri::uri;

/// What every part needs.
pub struct Encoder<'e, 'a> {
    vm: Vm<'e>,
    atoms: &'static Atoms,
    /// What long strings refer to.
    datagram: Option<Datagram<'e>>,
    words: Words<'e>,
    /// Where keys and values wait for their map.
    arena: &'a Arena,
    empty_map: Raw<'e>,
    empty_list: Raw<'e>,
    empty_string: Raw<'e>,
    /// `{2, 0}`, shared by all that have it.
    version: Raw<'e>,
    /// `"sip"`, shared likewise.
    sip: Raw<'e>,
}

impl<'e, 'a> Encoder<'e, 'a> {
    /// An encoder for one message. `datagram` is what the message was parsed from, if that is a term.
    pub fn new(
        vm: Vm<'e>,
        datagram: Option<Datagram<'e>>,
        words: Words<'e>,
        arena: &'a Arena,
    ) -> Encoder<'e, 'a> {
        let word = |word| words.find(word).unwrap_or_else(|| vm.copy(word));
        Encoder {
            vm,
            atoms: atoms::get(),
            datagram,
            words,
            arena,
            empty_map: vm.map(&[], &[]),
            empty_list: vm.empty_list(),
            empty_string: word(b""),
            version: vm.tuple([vm.integer(2), vm.integer(0)]),
            sip: word(b"sip"),
        }
    }

    /// `%Sippet.Message{}`; `source` is nil or the flow that it came by.
    pub fn message(&self, message: &Message<'_>, source: Raw<'e>) -> Raw<'e> {
        let atoms = self.atoms;
        let nil = Raw::from(atoms.nil);
        self.vm.map(
            &[
                atoms.struct_key.into(),
                atoms.body.into(),
                atoms.defects.into(),
                atoms.headers_key.into(),
                atoms.source.into(),
                atoms.start_line.into(),
                atoms.target.into(),
            ],
            &[
                atoms.message_struct.into(),
                self.optional(message.body),
                self.defects(message),
                self.headers(&message.headers),
                source,
                self.start_line(&message.start_line),
                nil,
            ],
        )
    }

    fn start_line(&self, line: &StartLine<'_>) -> Raw<'e> {
        match line {
            StartLine::Request(line) => self.request_line(line),
            StartLine::Status(line) => self.status_line(line),
        }
    }

    fn request_line(&self, line: &RequestLine<'_>) -> Raw<'e> {
        let atoms = self.atoms;
        self.vm.map(
            &[
                atoms.struct_key.into(),
                atoms.method.into(),
                atoms.request_uri.into(),
                atoms.version.into(),
            ],
            &[
                atoms.request_line.into(),
                self.method(&line.method),
                self.uri(&line.request_uri),
                self.version(line.version),
            ],
        )
    }

    fn status_line(&self, line: &StatusLine<'_>) -> Raw<'e> {
        let atoms = self.atoms;
        self.vm.map(
            &[
                atoms.struct_key.into(),
                atoms.reason_phrase.into(),
                atoms.status_code.into(),
                atoms.version.into(),
            ],
            &[
                atoms.status_line.into(),
                self.string(line.reason_phrase),
                self.vm.integer(line.status_code.into()),
                self.version(line.version),
            ],
        )
    }

    /// `[%{header: "Date", reason: :date, offset: 120}]`: the name is the key under which the text is kept;
    /// `:start_line` for that one, nil where it is no part in particular.
    fn defects(&self, message: &Message<'_>) -> Raw<'e> {
        let atoms = self.atoms;
        self.list(&message.defects, |defect| {
            self.vm.map(
                &[
                    atoms.header.into(),
                    atoms.offset.into(),
                    atoms.reason.into(),
                ],
                &[
                    match defect.field {
                        Field::Header(name) => self.string(name),
                        other => error::field(self.vm, other),
                    },
                    error::offset(self.vm, defect.offset),
                    atoms.reason(defect.reason).into(),
                ],
            )
        })
    }

    fn method(&self, method: &Method<'_>) -> Raw<'e> {
        match self.atoms.method(method) {
            Some(atom) => atom.into(),
            None => self.string(method.as_bytes()),
        }
    }

    fn protocol(&self, protocol: &Protocol<'_>) -> Raw<'e> {
        match self.atoms.protocol(protocol) {
            Some(atom) => atom.into(),
            None => self.string(protocol.as_bytes()),
        }
    }

    #[inline]
    fn version(&self, version: Version) -> Raw<'e> {
        if version == Version::SIP_2_0 {
            return self.version;
        }
        self.vm.tuple([
            self.vm.integer(version.major.into()),
            self.vm.integer(version.minor.into()),
        ])
    }

    #[inline]
    fn string(&self, bytes: &[u8]) -> Raw<'e> {
        if bytes.is_empty() {
            return self.empty_string;
        }
        match self.words.find(bytes) {
            Some(word) => word,
            None => string(self.vm, self.datagram, bytes),
        }
    }

    #[inline]
    fn optional(&self, bytes: Option<&[u8]>) -> Raw<'e> {
        match bytes {
            Some(bytes) => self.string(bytes),
            None => self.atoms.nil.into(),
        }
    }

    /// From the end, which needs no room for the elements.
    #[inline]
    fn list<T>(&self, values: &List<'_, T>, encode: impl Fn(&T) -> Raw<'e>) -> Raw<'e> {
        values.iter().rev().fold(self.empty_list, |tail, value| {
            self.vm.cons(encode(value), tail)
        })
    }
}
