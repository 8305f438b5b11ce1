//! Errors as terms: what `Sippet.ParseError` and `Sippet.WriteError` are made of.

use sippet_proto::error::Field;
use sippet_proto::{ParseError, WriteError};

use crate::atoms::{self, HeaderKey};
use crate::term::{Raw, Vm};

/// Why a term is not a message, before the writer has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another shape than the documented one: a missing element, an improper list, a number out of bounds ...
    InvalidTerm,
    /// An atom key that is not in the table of header fields.
    UnknownHeader,
    /// A method given as an atom that is not in the list of methods.
    UnknownMethod,
    /// A protocol given as an atom that is not in the list of protocols.
    UnknownProtocol,
    /// A string where a URI belongs, which is not one; or a URI without scheme, or without host and authority. The writer
    /// has the same reason.
    Uri,
}

impl Refusal {
    /// Every one.
    pub const ALL: &'static [Refusal] = &[
        Refusal::InvalidTerm,
        Refusal::UnknownHeader,
        Refusal::UnknownMethod,
        Refusal::UnknownProtocol,
        Refusal::Uri,
    ];

    /// Its name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::InvalidTerm => "invalid_term",
            Refusal::UnknownHeader => "unknown_header",
            Refusal::UnknownMethod => "unknown_method",
            Refusal::UnknownProtocol => "unknown_protocol",
            Refusal::Uri => "uri",
        }
    }
}

/// A header field as a key of the header map; other parts of a message by their name.
pub fn field<'e>(vm: Vm<'e>, field: Field<'_>) -> Raw<'e> {
    let atoms = atoms::get();
    match field {
        Field::StartLine => atoms.start_line.into(),
        Field::Body => atoms.body.into(),
        Field::Message => atoms.nil.into(),
        Field::Header(name) => {
            match HeaderKey::from_name(name).and_then(|key| atoms.headers.get(key as usize)) {
                Some(atom) => (*atom).into(),
                None => vm.copy(name),
            }
        }
    }
}

/// `{reason, field, offset, status_code}`
pub fn parse_error<'e>(vm: Vm<'e>, error: &ParseError<'_>) -> Raw<'e> {
    vm.tuple([
        atoms::get().reason(error.reason).into(),
        field(vm, error.field),
        offset(vm, error.offset),
        vm.integer(error.status_code().into()),
    ])
}

/// `{field, reason}`
pub fn write_error<'e>(vm: Vm<'e>, error: &WriteError<'_>) -> Raw<'e> {
    vm.tuple([
        field(vm, error.field),
        atoms::get().write_reason(error.reason).into(),
    ])
}

/// Messages are smaller than 4 GiB by far.
pub fn offset<'e>(vm: Vm<'e>, offset: usize) -> Raw<'e> {
    vm.integer(u32::try_from(offset).unwrap_or(u32::MAX))
}
