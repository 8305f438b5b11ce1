//! Session descriptions (RFC 8866): parse and write, every line in its place.
//!
//! What is written is what was read, byte for byte, but for what a defect tells: line ends that are not CRLF, empty lines,
//! and spaces or zeros to spare in a line whose value is typed ([`Reason::keeps_bytes`]). What is not understood stays as
//! it came: an attribute as name and value, a line as letter and value.

mod attribute;
mod error;
mod fields;
mod lines;
mod parse;
mod text;
mod write;

use crate::message::List;

pub use attribute::{Attribute, Candidate, Decimal, Direction, Setup};
pub use error::{Defect, ParseError, Place, Reason, WriteError, WriteReason};
pub use parse::{Mode, Options, parse};

/// The bounds of one description. Beyond one of them parsing stops with an error, in any mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all.
    pub max_bytes: usize,
    /// Lines.
    pub max_lines: usize,
    /// Bytes of one line.
    pub max_line_bytes: usize,
    /// Media descriptions.
    pub max_media: usize,
    /// Attributes of the session, or of one media description.
    pub max_attributes: usize,
}

impl Limits {
    /// What is taken unless told otherwise.
    pub const DEFAULT: Limits = Limits {
        max_bytes: 64 * 1024,
        max_lines: 4096,
        max_line_bytes: 8 * 1024,
        max_media: 256,
        max_attributes: 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

/// A session description. Texts are bytes: `charset` says what they mean, UTF-8 if it says nothing (§4.6).
#[derive(Debug, PartialEq)]
pub struct Session<'a> {
    /// `o=`
    pub origin: Origin<'a>,
    /// `s=`; none where the mandatory line is missing.
    pub session_name: Option<&'a [u8]>,
    /// `i=`
    pub information: Option<&'a [u8]>,
    /// `u=`
    pub uri: Option<&'a [u8]>,
    /// `e=`, each line.
    pub emails: List<'a, &'a [u8]>,
    /// `p=`, each line.
    pub phones: List<'a, &'a [u8]>,
    /// `c=`
    pub connection: Option<Connection<'a>>,
    /// `b=`, each line.
    pub bandwidths: List<'a, Bandwidth<'a>>,
    /// `t=` with the `r=` and `z=` behind it.
    pub timings: List<'a, Timing<'a>>,
    /// `k=`, which is obsolete (§5.12).
    pub key: Option<&'a [u8]>,
    /// `a=`
    pub attributes: List<'a, Attribute<'a>>,
    /// `m=` with what belongs to it.
    pub media: List<'a, Media<'a>>,
    /// Lines before the first `m=` that have no place above.
    pub unknown: List<'a, Line<'a>>,
    /// The order of the lines before the first `m=`, if it is not that of §5: a letter each, `-` for an unknown one. `r=`
    /// and `z=` go with their `t=`, and `v=` is always the first.
    pub order: Option<&'a [u8]>,
    /// What was forgiven. Not written.
    pub defects: List<'a, Defect>,
}

/// A media description (§5.14).
#[derive(Debug, PartialEq)]
pub struct Media<'a> {
    /// `audio`, `video` ...
    pub media_type: &'a [u8],
    /// The port; 0 of a stream that is rejected or disabled (RFC 3264 §6).
    pub port: u16,
    /// How many ports, where it is said.
    pub port_count: Option<u32>,
    /// `RTP/AVP` ...
    pub protocol: &'a [u8],
    /// The formats: of RTP, payload types.
    pub formats: List<'a, &'a [u8]>,
    /// `i=`
    pub information: Option<&'a [u8]>,
    /// `c=`, each line.
    pub connections: List<'a, Connection<'a>>,
    /// `b=`, each line.
    pub bandwidths: List<'a, Bandwidth<'a>>,
    /// `k=`, which is obsolete (§5.12).
    pub key: Option<&'a [u8]>,
    /// `a=`
    pub attributes: List<'a, Attribute<'a>>,
    /// Lines that have no place above.
    pub unknown: List<'a, Line<'a>>,
    /// As that of the session, without the `m=`.
    pub order: Option<&'a [u8]>,
}

/// Who made the session and which version of it this is (§5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The user, `-` of a host without users.
    pub username: &'a [u8],
    /// Digits.
    pub session_id: &'a [u8],
    /// Grows by one with each change (RFC 3264 §8).
    pub session_version: Number<'a>,
    /// `IN`
    pub network_type: &'a [u8],
    /// `IP4` or `IP6`
    pub address_type: &'a [u8],
    /// An address or a host name.
    pub address: &'a [u8],
}

/// A number that can be counted with, or the word that stands in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number<'a> {
    /// At most 2^63 - 1, written without a zero to spare.
    Integer(u64),
    /// Anything else.
    Word(&'a [u8]),
}

/// Where media are to be sent (§5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection<'a> {
    /// `IN`
    pub network_type: &'a [u8],
    /// `IP4` or `IP6`
    pub address_type: &'a [u8],
    /// An address or a host name.
    pub address: &'a [u8],
    /// The time to live of an IPv4 multicast address.
    pub ttl: Option<u32>,
    /// How many multicast addresses, where it is said.
    pub address_count: Option<u32>,
}

/// A limit of bandwidth (§5.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth<'a> {
    /// `CT`, `AS`, `TIAS` ...
    pub bandwidth_type: &'a [u8],
    /// In the unit of the type: kbit/s of CT and AS.
    pub bandwidth: u64,
}

/// When the session is active (§5.9 to §5.11); times are seconds of NTP.
#[derive(Debug, PartialEq)]
pub struct Timing<'a> {
    /// 0 where there is no bound.
    pub start: u64,
    /// 0 where there is no bound.
    pub stop: u64,
    /// `r=`
    pub repeats: List<'a, Repeat<'a>>,
    /// `z=`: a time and the offset from it on, as in `-1h`.
    pub zone_adjustments: List<'a, (u64, &'a [u8])>,
}

/// When a session is repeated (§5.10). Each is a number of seconds, or has one of the units `d`, `h`, `m` and `s`.
#[derive(Debug, PartialEq)]
pub struct Repeat<'a> {
    /// From one to the next.
    pub interval: &'a [u8],
    /// For how long.
    pub duration: &'a [u8],
    /// How long after the start.
    pub offsets: List<'a, &'a [u8]>,
}

/// A line that is kept as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// An ASCII letter or digit.
    pub letter: u8,
    /// What stands behind the `=`.
    pub value: &'a [u8],
}
