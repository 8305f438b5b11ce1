//! A `%Sippet.Message{}` as a message that borrows its binaries.
//!
//! A program made the term: any shape that is not the documented one is an error that names the field, never a panic.

mod extension;
mod header;
mod sdp;
mod uri;

use sippet_proto::message::{
    Arena, List, Message, Method, Protocol, RequestLine, StartLine, StatusLine, Version,
};

use crate::atoms::{self, Atoms};
use crate::error::Refusal;
use crate::term::{Raw, Vm};

pub use uri::uri;

/// A term that is not a message, and the field at fault: a key of the header map or the name of another part.
#[derive(Clone, Copy)]
pub struct Refused<'e> {
    /// The field.
    pub field: Raw<'e>,
    /// What is wrong with it.
    pub refusal: Refusal,
}

/// What every part needs, and the answer of every part.
pub struct Decoder<'e, 'a> {
    vm: Vm<'e>,
    atoms: &'static Atoms,
    arena: &'a Arena,
}

type Decoded<T> = Result<T, Refusal>;

impl<'e: 'a, 'a> Decoder<'e, 'a> {
    /// A decoder for one message.
    pub fn new(vm: Vm<'e>, arena: &'a Arena) -> Decoder<'e, 'a> {
        Decoder {
            vm,
            atoms: atoms::get(),
            arena,
        }
    }

    /// `%Sippet.Message{}`
    pub fn message(&self, term: Raw<'e>) -> Result<Message<'a>, Refused<'e>> {
        let atoms = self.atoms;
        let at = |field: rustler::Atom| {
            move |refusal| Refused {
                field: field.into(),
                refusal,
            }
        };
        self.is_struct(term, atoms.message_struct)
            .map_err(at(atoms.message))?;
        let start_line = self
            .field(term, atoms.start_line)
            .and_then(|line| self.start_line(line))
            .map_err(at(atoms.start_line))?;
        let body = self
            .field(term, atoms.body)
            .and_then(|body| self.optional(body))
            .map_err(at(atoms.body))?;
        let headers = self
            .field(term, atoms.headers_key)
            .map_err(at(atoms.headers_key))?;
        Ok(Message {
            start_line,
            headers: self.headers(headers)?,
            body,
            defects: List::new_in(self.arena),
        })
    }

    fn start_line(&self, term: Raw<'e>) -> Decoded<StartLine<'a>> {
        let atoms = self.atoms;
        let name = self.field(term, atoms.struct_key)?;
        let version = self.version(self.field(term, atoms.version)?);
        if name == atoms.request_line.into() {
            Ok(StartLine::Request(RequestLine {
                method: self.method(self.field(term, atoms.method)?)?,
                request_uri: self.uri(self.field(term, atoms.request_uri)?)?,
                version: version?,
            }))
        } else if name == atoms.status_line.into() {
            // `%StatusLine{}` has the version nil unless it was made by `new/1,2`.
            let unset = self.field(term, atoms.version)? == atoms.nil.into();
            Ok(StartLine::Status(StatusLine {
                version: if unset { Version::SIP_2_0 } else { version? },
                status_code: self.status_code(self.field(term, atoms.status_code)?)?,
                reason_phrase: self
                    .optional(self.field(term, atoms.reason_phrase)?)?
                    .unwrap_or_default(),
            }))
        } else {
            Err(Refusal::InvalidTerm)
        }
    }

    fn status_code(&self, term: Raw<'e>) -> Decoded<u16> {
        let code = self.integer(term)?;
        if (100..=699).contains(&code) {
            Ok(code)
        } else {
            Err(Refusal::InvalidTerm)
        }
    }

    fn method(&self, term: Raw<'e>) -> Decoded<Method<'a>> {
        if let Some(known) = self.atoms.to_method(term.bits()) {
            return Ok(known);
        }
        match self.vm.bytes(term) {
            Some(text) => Ok(Method::from_bytes(text)),
            None if self.vm.is_atom(term) => Err(Refusal::UnknownMethod),
            None => Err(Refusal::InvalidTerm),
        }
    }

    fn protocol(&self, term: Raw<'e>) -> Decoded<Protocol<'a>> {
        if let Some(known) = self.atoms.to_protocol(term.bits()) {
            return Ok(known);
        }
        match self.vm.bytes(term) {
            Some(text) => Ok(Protocol::from_bytes(text)),
            None if self.vm.is_atom(term) => Err(Refusal::UnknownProtocol),
            None => Err(Refusal::InvalidTerm),
        }
    }

    fn version(&self, term: Raw<'e>) -> Decoded<Version> {
        let [major, minor] = self.tuple(term)?;
        Ok(Version {
            major: self.integer(*major)?,
            minor: self.integer(*minor)?,
        })
    }

    fn is_struct(&self, term: Raw<'e>, name: rustler::Atom) -> Decoded<()> {
        match self.vm.get(term, self.atoms.struct_key) {
            Some(found) if found == name.into() => Ok(()),
            _ => Err(Refusal::InvalidTerm),
        }
    }

    /// The value of a key that must be there.
    fn field(&self, map: Raw<'e>, key: rustler::Atom) -> Decoded<Raw<'e>> {
        self.vm.get(map, key).ok_or(Refusal::InvalidTerm)
    }

    fn tuple<const N: usize>(&self, term: Raw<'e>) -> Decoded<&'e [Raw<'e>; N]> {
        self.vm.tuple_of(term).ok_or(Refusal::InvalidTerm)
    }

    fn string(&self, term: Raw<'e>) -> Decoded<&'a [u8]> {
        self.vm.bytes(term).ok_or(Refusal::InvalidTerm)
    }

    /// nil or a string.
    fn optional(&self, term: Raw<'e>) -> Decoded<Option<&'a [u8]>> {
        if term == self.atoms.nil.into() {
            Ok(None)
        } else {
            self.string(term).map(Some)
        }
    }

    fn integer<N: TryFrom<i64>>(&self, term: Raw<'e>) -> Decoded<N> {
        self.vm
            .number(term)
            .and_then(|number| N::try_from(number).ok())
            .ok_or(Refusal::InvalidTerm)
    }

    /// A number of seconds, whole or not.
    fn seconds(&self, term: Raw<'e>) -> Decoded<f64> {
        // Whole seconds up to 2^53 are exact, and a year has 2^25.
        let whole = || self.vm.number(term).map(|number| number as f64);
        match self.vm.real(term).or_else(whole) {
            Some(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(seconds),
            _ => Err(Refusal::InvalidTerm),
        }
    }

    fn list<T: 'a>(
        &self,
        term: Raw<'e>,
        decode: impl Fn(Raw<'e>) -> Decoded<T>,
    ) -> Decoded<List<'a, T>> {
        // Not known to be short, but as long as a list that is there already.
        let length = self.vm.list_length(term).ok_or(Refusal::InvalidTerm)?;
        let mut list = List::with_capacity_in(length, self.arena);
        let mut rest = term;
        while let Some((head, tail)) = self.vm.uncons(rest) {
            list.push(decode(head)?);
            rest = tail;
        }
        Ok(list)
    }
}
