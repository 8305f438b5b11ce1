//! Attributes (§5.13, §6): those that signalling has to understand are typed, any other is a name and a value.

mod parse;
mod write;

use crate::message::List;

pub(super) use parse::parse;

/// One `a=` line.
#[derive(Debug, PartialEq)]
pub enum Attribute<'a> {
    /// `rtpmap` (§6.6)
    RtpMap {
        /// At most 127.
        payload_type: u8,
        /// The name of the codec, compared without regard to case.
        encoding_name: &'a [u8],
        /// In Hz.
        clock_rate: u32,
        /// Of audio, the number of channels.
        parameters: Option<&'a [u8]>,
    },
    /// `fmtp` (§6.15)
    Fmtp {
        /// One of the formats of the media description.
        format: &'a [u8],
        /// What the format makes of it.
        parameters: &'a [u8],
    },
    /// `ptime` (§6.4), in milliseconds
    Ptime(Decimal<'a>),
    /// `maxptime` (§6.5), in milliseconds
    MaxPtime(Decimal<'a>),
    /// `sendrecv`, `sendonly`, `recvonly`, `inactive` (§6.7)
    Direction(Direction),
    /// `candidate` (RFC 8839 §5.1)
    Candidate(&'a Candidate<'a>),
    /// `fingerprint` (RFC 8122 §5)
    Fingerprint {
        /// As in `sha-256`.
        hash: &'a [u8],
        /// Pairs of hexadecimal digits with colons between them.
        value: &'a [u8],
    },
    /// `ice-ufrag` (RFC 8839 §5.4)
    IceUfrag(&'a [u8]),
    /// `ice-pwd` (RFC 8839 §5.4)
    IcePwd(&'a [u8]),
    /// `ice-options` (RFC 8839 §5.6)
    IceOptions(List<'a, &'a [u8]>),
    /// `ice-lite` (RFC 8839 §5.3)
    IceLite,
    /// `ice-mismatch` (RFC 8839 §5.3)
    IceMismatch,
    /// `ice-pacing` (RFC 8839 §5.5), in milliseconds
    IcePacing(u32),
    /// `setup` (RFC 4145 §4)
    Setup(Setup),
    /// `mid` (RFC 5888 §4)
    Mid(&'a [u8]),
    /// `group` (RFC 5888 §5)
    Group {
        /// As in `BUNDLE`.
        semantics: &'a [u8],
        /// Values of `mid`.
        mids: List<'a, &'a [u8]>,
    },
    /// `msid` (RFC 8830 §2)
    Msid {
        /// The stream.
        id: &'a [u8],
        /// The track.
        appdata: Option<&'a [u8]>,
    },
    /// `ssrc` (RFC 5576 §4.1)
    Ssrc {
        /// The source.
        ssrc: u32,
        /// As in `cname`.
        attribute: &'a [u8],
        /// None where there is no colon.
        value: Option<&'a [u8]>,
    },
    /// `ssrc-group` (RFC 5576 §4.2)
    SsrcGroup {
        /// As in `FID`.
        semantics: &'a [u8],
        /// The sources.
        ssrcs: List<'a, u32>,
    },
    /// `crypto` (RFC 4568 §9.1)
    Crypto {
        /// At most nine digits.
        tag: u32,
        /// As in `AES_CM_128_HMAC_SHA1_80`.
        suite: &'a [u8],
        /// One at least, as in `inline:...`.
        key_parameters: List<'a, &'a [u8]>,
        /// As in `UNENCRYPTED_SRTP`.
        session_parameters: List<'a, &'a [u8]>,
    },
    /// `rtcp` (RFC 3605 §2.1)
    Rtcp {
        /// The port.
        port: u16,
        /// Network type, address type and address.
        address: Option<[&'a [u8]; 3]>,
    },
    /// `rtcp-mux` (RFC 5761 §5.1.1)
    RtcpMux,
    /// `rtcp-rsize` (RFC 5506 §5)
    RtcpRsize,
    /// `rtcp-fb` (RFC 4585 §4.2)
    RtcpFb {
        /// A format, or `*` for all.
        format: &'a [u8],
        /// As in `nack`.
        feedback: &'a [u8],
        /// As in `pli`.
        parameters: Option<&'a [u8]>,
    },
    /// Any other, and a malformed one of those above.
    Other {
        /// What stands before the first colon.
        name: &'a [u8],
        /// None where there is no colon.
        value: Option<&'a [u8]>,
    },
}

/// A number of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimal<'a> {
    /// A whole one.
    Integer(u32),
    /// Digits, a point, and digits.
    Real(&'a [u8]),
}

/// A candidate (RFC 8839 §5.1).
#[derive(Debug, PartialEq)]
pub struct Candidate<'a> {
    /// Equal for candidates that have much in common.
    pub foundation: &'a [u8],
    /// 1 of RTP, 2 of RTCP.
    pub component: u32,
    /// `UDP`, compared without regard to case.
    pub transport: &'a [u8],
    /// Higher is better.
    pub priority: u32,
    /// An address or a host name.
    pub address: &'a [u8],
    /// The port.
    pub port: u16,
    /// `host`, `srflx`, `prflx`, `relay` ...
    pub candidate_type: &'a [u8],
    /// Of a candidate that is not a host's: where it comes from.
    pub related_address: Option<&'a [u8]>,
    /// The same for the port.
    pub related_port: Option<u16>,
    /// Name and value, as in `tcptype active`.
    pub extensions: List<'a, (&'a [u8], &'a [u8])>,
}

macro_rules! words {
    ($(#[$doc_of_all:meta])* $enum:ident, $($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        $(#[$doc_of_all])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $enum {
            $($(#[$doc])* $variant,)+
        }

        impl $enum {
            /// Every one.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),+];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self {
                    $($enum::$variant => $name,)+
                }
            }

            fn from_name(name: &[u8]) -> Option<$enum> {
                $enum::ALL.iter().copied().find(|each| each.name().as_bytes() == name)
            }
        }
    };
}

words!(
    /// Which way media flow, seen by who wrote it (§6.7).
    Direction,
    /// Both ways.
    SendRecv = "sendrecv",
    /// To the reader.
    SendOnly = "sendonly",
    /// To the writer.
    RecvOnly = "recvonly",
    /// Neither way.
    Inactive = "inactive",
);

words!(
    /// Who opens the connection (RFC 4145 §4).
    Setup,
    /// The writer.
    Active = "active",
    /// The reader.
    Passive = "passive",
    /// Either: the answer says.
    ActPass = "actpass",
    /// Nobody for now.
    HoldConn = "holdconn",
);
