//! What can be wrong with bytes from the network, and with a message that a program wants written.

use thiserror::Error;

/// A header field by its place in the documented table, or the part of a message that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// The first line.
    StartLine,
    /// A header field; known names in the IANA spelling, others as received.
    Header(&'a [u8]),
    /// What follows the empty line.
    Body,
    /// No part in particular.
    Message,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing, or nothing but line ends.
    #[error("there is no message in the bytes")]
    Empty,
}

/// Bytes that are not a message, or not one that this library takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason} at byte {offset}")]
pub struct ParseError<'a> {
    /// What is wrong.
    pub reason: Reason,
    /// Where: the field.
    pub field: Field<'a>,
    /// Where: the byte of the input, from 0, at which the grammar stopped.
    pub offset: usize,
}

/// A malformed field that lenient parsing kept as text or left out of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect<'a> {
    /// The header field.
    pub field: Field<'a>,
    /// What is wrong with it.
    pub reason: Reason,
    /// The byte of the input, from 0.
    pub offset: usize,
}

/// Why a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteReason {
    /// CR, LF or NUL inside a value: it could add a header field.
    #[error("holds a CR, LF or NUL")]
    ControlCharacter,
}

/// A message that cannot be written, and the field that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{field:?} {reason}")]
pub struct WriteError<'a> {
    /// The field.
    pub field: Field<'a>,
    /// What is wrong with its value.
    pub reason: WriteReason,
}
