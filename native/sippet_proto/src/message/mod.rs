//! A SIP message as borrowed data: the datagram, an arena beside it, and views into both.

pub(crate) mod fold;
pub mod lines;
pub mod parse;
pub(crate) mod raw;
pub mod reply;
pub mod stamp;
mod start_line;
pub mod validate;
pub(crate) mod write;

use crate::error::Defect;
use crate::header::Headers;
use crate::uri::Uri;

/// Where a message keeps what it cannot borrow: lists, unescaped text, unfolded lines. Reset it between messages.
pub type Arena = bumpalo::Bump;

/// A list in the arena.
pub type List<'a, T> = bumpalo::collections::Vec<'a, T>;

/// One SIP message (§7).
#[derive(Debug, PartialEq)]
pub struct Message<'a> {
    /// The first line.
    pub start_line: StartLine<'a>,
    /// All header fields.
    pub headers: Headers<'a>,
    /// What follows the empty line; `None` where there is no empty line.
    pub body: Option<&'a [u8]>,
    /// What lenient parsing forgave.
    pub defects: List<'a, Defect<'a>>,
}

/// The first line of a message (§7.1, §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// The message is a request.
    Request(RequestLine<'a>),
    /// The message is a response.
    Status(StatusLine<'a>),
}

/// `INVITE sip:bob@biloxi.com SIP/2.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// What is asked for.
    pub method: Method<'a>,
    /// Of whom.
    pub request_uri: Uri<'a>,
    /// `2.0`.
    pub version: Version,
}

/// `SIP/2.0 200 OK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusLine<'a> {
    /// `2.0`.
    pub version: Version,
    /// 100 to 699.
    pub status_code: u16,
    /// For people.
    pub reason_phrase: &'a [u8],
}

/// The numbers of `SIP/2.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// 2.
    pub major: u16,
    /// 0.
    pub minor: u16,
}

impl Version {
    /// The version of RFC 3261.
    pub const SIP_2_0: Version = Version { major: 2, minor: 0 };
}

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident, $($variant:ident = $text:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is the word of that name")]
        pub enum $name<'a> {
            $($variant,)+
            /// Any other, as received.
            Other(&'a [u8]),
        }

        impl<'a> $name<'a> {
            /// Every known one, in the order of the alphabet.
            pub const KNOWN: &'static [$name<'static>] = &[$($name::$variant),+];

            /// The known one that is written exactly so.
            fn exact(text: &[u8]) -> Option<$name<'static>> {
                match text {
                    $($text => Some($name::$variant),)+
                    _ => None,
                }
            }

            /// As it is written on the wire.
            pub fn as_bytes(&self) -> &'a [u8] {
                match self {
                    $($name::$variant => $text,)+
                    $name::Other(text) => text,
                }
            }
        }
    };
}

closed_list!(
    /// A method. Methods are compared by case (§7.1): `invite` is not INVITE.
    Method,
    Ack = b"ACK", Bye = b"BYE", Cancel = b"CANCEL", Info = b"INFO", Invite = b"INVITE", Message = b"MESSAGE",
    Notify = b"NOTIFY", Options = b"OPTIONS", Prack = b"PRACK", Publish = b"PUBLISH", Pull = b"PULL", Push = b"PUSH",
    Refer = b"REFER", Register = b"REGISTER", Store = b"STORE", Subscribe = b"SUBSCRIBE", Update = b"UPDATE",
);

closed_list!(
    /// A transport protocol as Via names it, in any case (§20.42).
    Protocol,
    Amqp = b"AMQP", Dccp = b"DCCP", Dtls = b"DTLS", Sctp = b"SCTP", Stomp = b"STOMP", Tcp = b"TCP", Tls = b"TLS",
    Udp = b"UDP", Ws = b"WS", Wss = b"WSS",
);

impl<'a> Method<'a> {
    /// Any token; only the exact spelling of a known method is that method.
    pub fn from_bytes(text: &'a [u8]) -> Method<'a> {
        Method::exact(text).unwrap_or(Method::Other(text))
    }
}

impl<'a> Protocol<'a> {
    /// Any token, in any case.
    pub fn from_bytes(text: &'a [u8]) -> Protocol<'a> {
        let any_case = |known: &&Protocol<'static>| known.as_bytes().eq_ignore_ascii_case(text);
        Protocol::exact(text)
            .or_else(|| {
                Protocol::KNOWN
                    .iter()
                    .copied()
                    .find(|known| any_case(&known))
            })
            .unwrap_or(Protocol::Other(text))
    }
}

impl<'a> Message<'a> {
    /// The request line, if this is a request.
    pub fn request_line(&self) -> Option<&RequestLine<'a>> {
        match &self.start_line {
            StartLine::Request(line) => Some(line),
            StartLine::Status(_) => None,
        }
    }

    /// The status code, if this is a response.
    pub fn status_code(&self) -> Option<u16> {
        match &self.start_line {
            StartLine::Request(_) => None,
            StartLine::Status(line) => Some(line.status_code),
        }
    }
}
