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

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: $text:literal),+ $(,)?) => {
        /// Why bytes are not a message, or why a header field is not what its grammar asks for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* #[error($text)] $variant,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),+];

            /// Its name in snake case, the same in every language that sees it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Reason::$variant => $name,)+
                }
            }
        }
    };
}

reasons!(
    /// Nothing, or nothing but line ends.
    Empty = "empty": "there is no message in the bytes",
    /// More bytes than `max_message_bytes`.
    MessageTooLong = "message_too_long": "the message is too long",
    /// A start line longer than `max_line_bytes`: of a request, its Request-URI is to blame.
    StartLineTooLong = "start_line_too_long": "the start line is too long",
    /// A header field longer than `max_line_bytes`, its folds included.
    LineTooLong = "line_too_long": "the header field is too long",
    /// More header fields than `max_fields`.
    TooManyFields = "too_many_fields": "there are too many header fields",
    /// More values than `max_values`, or `max_hops` in Via, Route and Record-Route.
    TooManyValues = "too_many_values": "there are too many values in the list",
    /// More parameters in one value than `max_parameters`.
    TooManyParameters = "too_many_parameters": "there are too many parameters",
    /// More continuation lines in one header field than `max_folds`.
    TooManyFolds = "too_many_folds": "there are too many continuation lines",
    /// A CR that no LF follows.
    BareCr = "bare_cr": "a CR is not followed by an LF",
    /// An LF that no CR precedes.
    BareLf = "bare_lf": "a line ends in LF without CR",
    /// A NUL that is not the second half of a quoted pair (§25.1).
    Nul = "nul": "there is a NUL outside of a quoted pair",
    /// A control character in text.
    ControlCharacter = "control_character": "there is a control character",
    /// A datagram whose head no empty line ends (§7).
    MissingEmptyLine = "missing_empty_line": "no empty line ends the header fields",
    /// Fewer bytes than Content-Length says (§18.3).
    BodyTooShort = "body_too_short": "the body is shorter than Content-Length",
    /// The first line is neither a request line nor a status line.
    StartLine = "start_line": "the start line is malformed",
    /// Something that is not a token where the method stands.
    Method = "method": "the method is malformed",
    /// Not a URI (§19.1.1, RFC 3966, RFC 2396).
    Uri = "uri": "the URI is malformed",
    /// Neither a host name nor an IPv4 nor a bracketed IPv6 address.
    Host = "host": "the host is malformed",
    /// A port that is not a number up to 65535.
    Port = "port": "the port is malformed",
    /// A malformed version, or one that is not SIP/2.0.
    Version = "version": "the version is not SIP/2.0",
    /// Not three digits from 100 to 699.
    StatusCode = "status_code": "the status code is malformed",
    /// More or other white space than the start line has (§7.1).
    WhiteSpace = "white_space": "there is white space where none belongs",
    /// A line without a colon, or a continuation line that continues nothing.
    HeaderLine = "header_line": "a line is not a header field",
    /// A header field name that is not a token.
    HeaderName = "header_name": "the header field name is malformed",
    /// A mandatory header field is not there (§8.1.1).
    MissingField = "missing_field": "a mandatory header field is missing",
    /// A header field that can stand only once came again.
    DuplicateField = "duplicate_field": "the header field is there twice",
    /// No value where the grammar asks for one.
    EmptyValue = "empty_value": "the value is empty",
    /// Nothing between two commas.
    EmptyElement = "empty_element": "a list element is empty",
    /// Bytes that the grammar does not have here.
    Syntax = "syntax": "the value is malformed",
    /// Something that is not a token where one belongs.
    Token = "token": "a token is malformed",
    /// Something that is not a number, or a number out of bounds.
    Number = "number": "a number is malformed or out of bounds",
    /// A quoted string without an end.
    QuotedString = "quoted_string": "a quoted string is malformed",
    /// A display name that should have been quoted.
    DisplayName = "display_name": "the display name is malformed",
    /// A missing, empty or spaced pair of angle brackets.
    AngleBrackets = "angle_brackets": "the angle brackets are malformed",
    /// A malformed parameter.
    Parameter = "parameter": "a parameter is malformed",
    /// A parameter that came twice.
    DuplicateParameter = "duplicate_parameter": "a parameter is there twice",
    /// A parameter that the value means nothing without.
    MissingParameter = "missing_parameter": "a mandatory parameter is missing",
    /// A comment without its end.
    Comment = "comment": "a comment is malformed",
    /// Not a date of RFC 1123 in GMT.
    Date = "date": "the date is malformed",
    /// `*` beside another Contact.
    StarNotAlone = "star_not_alone": "* stands beside other contacts",
);

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

impl ParseError<'_> {
    /// The status code that a request with this error earns (§8.2, §21.4, §21.5).
    pub fn status_code(&self) -> u16 {
        match self.reason {
            Reason::Version => 505,
            Reason::StartLineTooLong => 414,
            Reason::MessageTooLong
            | Reason::LineTooLong
            | Reason::TooManyFields
            | Reason::TooManyValues
            | Reason::TooManyParameters
            | Reason::TooManyFolds => 513,
            _ => 400,
        }
    }
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
    /// Nothing where the grammar asks for something.
    #[error("is empty, or has an empty part")]
    Empty,
    /// Bytes other than those of a token (§25.1) where one belongs.
    #[error("has a part that is not a token")]
    Token,
    /// White space before or after a text: it would not be read back.
    #[error("begins or ends with white space")]
    WhiteSpace,
    /// Pieces of a URI that do not make one, or make another one (§19.1.1).
    #[error("has a URI that is malformed")]
    Uri,
    /// Neither a host name nor an IPv4 or IPv6 address.
    #[error("has a host that is malformed")]
    Host,
    /// A number, a status code or a time out of bounds.
    #[error("has a number that is out of bounds")]
    Number,
    /// A date that is not in the calendar.
    #[error("is not a date")]
    Date,
    /// Without a parameter that it means nothing without.
    #[error("lacks a mandatory parameter")]
    MissingParameter,
    /// Bytes that the grammar does not have here.
    #[error("is malformed")]
    Syntax,
}

impl WriteReason {
    /// Every reason.
    pub const ALL: &'static [WriteReason] = &[
        WriteReason::ControlCharacter,
        WriteReason::Empty,
        WriteReason::Token,
        WriteReason::WhiteSpace,
        WriteReason::Uri,
        WriteReason::Host,
        WriteReason::Number,
        WriteReason::Date,
        WriteReason::MissingParameter,
        WriteReason::Syntax,
    ];

    /// Its name in snake case, the same in every language that sees it.
    pub const fn name(self) -> &'static str {
        match self {
            WriteReason::ControlCharacter => "control_character",
            WriteReason::Empty => "empty",
            WriteReason::Token => "token",
            WriteReason::WhiteSpace => "white_space",
            WriteReason::Uri => "uri",
            WriteReason::Host => "host",
            WriteReason::Number => "number",
            WriteReason::Date => "date",
            WriteReason::MissingParameter => "missing_parameter",
            WriteReason::Syntax => "syntax",
        }
    }
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
