//! What can be wrong with the bytes of a description, and with one that a program wants written.

use thiserror::Error;

macro_rules! reasons {
    ($(#[$doc_of_all:meta])* $enum:ident, $($(#[$doc:meta])* $variant:ident = $name:literal: $text:literal),+ $(,)?) => {
        $(#[$doc_of_all])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[$doc])* #[error($text)] $variant,)+
        }

        impl $enum {
            /// Every reason.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),+];

            /// Its name in snake case, the same in every language that sees it.
            pub const fn name(self) -> &'static str {
                match self {
                    $($enum::$variant => $name,)+
                }
            }
        }
    };
}

reasons!(
    /// Why bytes are not a description, or what was forgiven. Sections are those of RFC 8866.
    Reason,
    /// Nothing, or nothing but line ends.
    Empty = "empty": "there is no session description in the bytes",
    /// More bytes than `max_bytes`.
    TooLong = "too_long": "the session description is too long",
    /// More lines than `max_lines`.
    TooManyLines = "too_many_lines": "there are too many lines",
    /// A line longer than `max_line_bytes`.
    LineTooLong = "line_too_long": "a line is too long",
    /// More `m=` than `max_media`.
    TooManyMedia = "too_many_media": "there are too many media descriptions",
    /// More `a=` in one section than `max_attributes`.
    TooManyAttributes = "too_many_attributes": "there are too many attributes",
    /// A CR that no LF follows.
    BareCr = "bare_cr": "a CR is not followed by an LF",
    /// A NUL, which no line can hold (§9).
    Nul = "nul": "there is a NUL",
    /// Not a letter, `=` and a value (§5).
    Line = "line": "a line is not a letter, = and a value",
    /// The first line is not `v=0` (§5.1).
    Version = "version": "the first line is not v=0",
    /// No `o=`, or one without its six parts (§5.2); forgiven: a user name with a space or without anything.
    Origin = "origin": "the origin is missing or malformed",
    /// A malformed `m=` (§5.14); forgiven: one without a format.
    Media = "media": "a media line is malformed",
    /// Forgiven: a line that ends in LF alone, or the last one in nothing (§5).
    LineEnd = "line_end": "a line does not end in CRLF",
    /// Forgiven: an empty line. It is not written.
    EmptyLine = "empty_line": "a line is empty",
    /// Forgiven: spaces or zeros that are not needed. They are not written.
    Spelling = "spelling": "there are spaces or zeros to spare in a line",
    /// Forgiven: a line behind one that it belongs before (§5). The order is kept.
    Order = "order": "a line stands behind one that it belongs before",
    /// Forgiven: no `s=` or no `t=` (§5.3, §5.9).
    MissingLine = "missing_line": "a mandatory line is missing",
    /// Forgiven: a second line of those that can stand only once. It is kept as it came.
    DuplicateLine = "duplicate_line": "a line is there twice",
    /// Forgiven: a letter that is not known here. The line is kept as it came.
    UnknownLine = "unknown_line": "a line has a letter that is not known in its place",
    /// Forgiven: a malformed `c=` (§5.7). It is kept as it came, as are the next ones.
    Connection = "connection": "a connection line is malformed",
    /// A malformed `b=` (§5.8).
    Bandwidth = "bandwidth": "a bandwidth line is malformed",
    /// A malformed `t=` (§5.9).
    Timing = "timing": "a timing line is malformed",
    /// A malformed `r=`, or one behind no `t=` (§5.10).
    Repeat = "repeat": "a repeat line is malformed or out of place",
    /// A malformed `z=`, or one behind no `t=` (§5.11).
    Zone = "zone": "a time zone line is malformed or out of place",
    /// Forgiven: a session version that is no number, or none that has room in 63 bits (RFC 3264 §5).
    SessionVersion = "session_version": "the session version is not a number of 63 bits",
    /// Forgiven: the name of an attribute is no token (§5.13). It is kept as it came.
    AttributeName = "attribute_name": "the name of an attribute is no token",
    /// Forgiven: the value of a known attribute is not what its grammar asks for. It is kept as it came.
    Attribute = "attribute": "an attribute is malformed",
);

impl Reason {
    /// Is a description that was forgiven this written as it was read?
    pub const fn keeps_bytes(self) -> bool {
        !matches!(self, Reason::LineEnd | Reason::EmptyLine | Reason::Spelling)
    }
}

reasons!(
    /// Why a description cannot be written.
    WriteReason,
    /// A CR, LF or NUL: it could add a line.
    ControlCharacter = "control_character": "holds a CR, LF or NUL",
    /// Nothing where the grammar asks for something.
    Empty = "empty": "is empty, or has an empty part",
    /// A space where it would end the value, or begin it.
    WhiteSpace = "white_space": "has a space where none belongs",
    /// A number out of bounds.
    Number = "number": "has a number that is out of bounds",
    /// Bytes that the grammar does not have here.
    Syntax = "syntax": "is malformed",
    /// Name and value as text, of an attribute that has a typed form and would be read back as that.
    Typed = "typed": "has a typed form",
    /// An unknown line that would be read back as another.
    UnknownLine = "unknown_line": "would not be read back as what it is",
);

/// Bytes that are not a description, or not one that this library takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason} in line {line}, byte {offset}")]
pub struct ParseError {
    /// What is wrong.
    pub reason: Reason,
    /// Where: the line, from 1.
    pub line: usize,
    /// Where: the byte of the input, from 0.
    pub offset: usize,
}

/// What lenient parsing forgave.
pub type Defect = ParseError;

/// A part of a description: of a media description, if there is a number; one of several, if there is an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The media description, from 0.
    pub media: Option<usize>,
    /// The field, as in `bandwidths`.
    pub field: &'static str,
    /// Which one, from 0.
    pub index: Option<usize>,
}

/// A description that cannot be written, and the field that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{place:?} {reason}")]
pub struct WriteError {
    /// The field.
    pub place: Place,
    /// What is wrong with its value.
    pub reason: WriteReason,
}
