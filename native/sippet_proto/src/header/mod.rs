//! The typed header fields: one file per shape, each with its grammar, its parser, its writer and their tests.

pub(crate) mod auth;
pub(crate) mod date;
pub mod extension;
pub(crate) mod list;
pub(crate) mod name;
pub(crate) mod name_addr;
pub(crate) mod numbers;
pub(crate) mod params;
pub(crate) mod token;
pub(crate) mod via;
pub(crate) mod write;

use crate::message::Arena;
use crate::message::List;
use crate::message::{Method, Protocol, Version};
use crate::uri::Uri;

/// A parameter: `;name` or `;name=value` (`generic-param`, §25.1), or `name=value` of a challenge or credentials.
///
/// `name` is in lower case. `value` is unquoted and unescaped; `None` is a flag. The writer quotes what needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name, in lower case.
    pub name: &'a [u8],
    /// The value without its quotes; `None` where there was no `=`.
    pub value: Option<&'a [u8]>,
}

/// The parameters of one value, in the order in which they came. A repeated name keeps its last value only.
pub type Params<'a> = &'a [Param<'a>];

/// `name-addr` or `addr-spec` with the header field's parameters (§20.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Unquoted and unescaped; empty where there is none.
    pub display_name: &'a [u8],
    /// The address. In the `addr-spec` form it has no parameters of its own: they are the header field's (§20).
    pub uri: Uri<'a>,
    /// `tag`, `expires`, `q` ...
    pub params: Params<'a>,
}

/// One value of Via (§20.42).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// `2.0` of `SIP/2.0/UDP`.
    pub version: Version,
    /// `UDP` of `SIP/2.0/UDP`.
    pub protocol: Protocol<'a>,
    /// The host of `sent-by`; an IPv6 address without its brackets.
    pub host: &'a [u8],
    /// The port of `sent-by`, where it was written.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, `maddr`, `ttl` ...
    pub params: Params<'a>,
}

/// CSeq (§20.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31 (§8.1.1.5).
    pub number: u32,
    /// The method, spelled as in the request line.
    pub method: Method<'a>,
}

/// `type/subtype` with parameters (§20.1, §20.15). Both are in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// `application` of `application/sdp`.
    pub kind: &'a [u8],
    /// `sdp` of `application/sdp`.
    pub subtype: &'a [u8],
    /// `charset`, `boundary`, `q` ...
    pub params: Params<'a>,
}

/// A token with parameters: Accept-Encoding, Accept-Language, Content-Disposition, Reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenParams<'a> {
    /// As received.
    pub token: &'a [u8],
    /// Its parameters.
    pub params: Params<'a>,
}

/// `<URI>` with parameters: Alert-Info, Call-Info, Error-Info (§20.4, §20.9, §20.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info<'a> {
    /// The address between the angle brackets.
    pub uri: Uri<'a>,
    /// `purpose` ...
    pub params: Params<'a>,
}

/// A challenge or credentials (§20.7, §20.27, §20.28, §20.44).
///
/// A `token68` (as in `Basic dXNlcjpwYXNz`) is one flag whose name is that token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// `Digest`, as received.
    pub scheme: &'a [u8],
    /// `realm`, `nonce` ...
    pub params: Params<'a>,
}

/// MIME-Version (§20.24).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MimeVersion {
    /// `1` of `1.0`.
    pub major: u32,
    /// `0` of `1.0`.
    pub minor: u32,
}

/// Retry-After (§20.33).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter<'a> {
    /// Seconds.
    pub seconds: u32,
    /// What stands between the parentheses, unescaped; empty where there is none.
    pub comment: &'a [u8],
    /// `duration` ...
    pub params: Params<'a>,
}

/// Timestamp (§20.38), in seconds. Both are finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timestamp {
    /// When the request was sent, by the clock of the sender.
    pub timestamp: f64,
    /// How long the answer took to be made; 0 where it was not written.
    pub delay: f64,
}

/// One value of Warning (§20.43).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning<'a> {
    /// Three digits.
    pub code: u16,
    /// The name or host that adds the warning.
    pub agent: &'a [u8],
    /// Unquoted and unescaped.
    pub text: &'a [u8],
}

/// Date (§20.17), always GMT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Four digits.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31, as long as the month.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// Contact (§20.10).
#[derive(Debug, PartialEq, Eq)]
pub enum Contact<'a> {
    /// `*`, in a REGISTER that removes all bindings (§10.2.2).
    Star,
    /// Addresses.
    Addresses(List<'a, NameAddr<'a>>),
}

/// A header field that has no typed form here: its values are kept as text, one for each line.
#[derive(Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The IANA spelling for a registered name, also when it came compact; else as it first came.
    pub name: &'a [u8],
    /// Unfolded and trimmed.
    pub values: List<'a, &'a [u8]>,
}

/// The header fields of a message, all lines of one field merged in their order (§7.3.1).
///
/// `None` is absent; an empty list is a field that came without a value.
#[derive(Debug, PartialEq)]
#[allow(missing_docs, reason = "each is the header field of that name, §20")]
pub struct Headers<'a> {
    pub accept: Option<List<'a, MediaType<'a>>>,
    pub accept_encoding: Option<List<'a, TokenParams<'a>>>,
    pub accept_language: Option<List<'a, TokenParams<'a>>>,
    pub alert_info: Option<List<'a, Info<'a>>>,
    pub allow: Option<List<'a, &'a [u8]>>,
    pub authentication_info: Option<Params<'a>>,
    pub authorization: Option<List<'a, Auth<'a>>>,
    pub call_id: Option<&'a [u8]>,
    pub call_info: Option<List<'a, Info<'a>>>,
    pub contact: Option<Contact<'a>>,
    pub content_disposition: Option<TokenParams<'a>>,
    pub content_encoding: Option<List<'a, &'a [u8]>>,
    pub content_language: Option<List<'a, &'a [u8]>>,
    pub content_length: Option<u32>,
    pub content_type: Option<MediaType<'a>>,
    pub cseq: Option<CSeq<'a>>,
    pub date: Option<Date>,
    pub error_info: Option<List<'a, Info<'a>>>,
    pub expires: Option<u32>,
    pub from: Option<NameAddr<'a>>,
    pub in_reply_to: Option<List<'a, &'a [u8]>>,
    pub max_forwards: Option<u32>,
    pub mime_version: Option<MimeVersion>,
    pub min_expires: Option<u32>,
    pub organization: Option<&'a [u8]>,
    pub p_asserted_identity: Option<List<'a, NameAddr<'a>>>,
    pub priority: Option<&'a [u8]>,
    pub proxy_authenticate: Option<List<'a, Auth<'a>>>,
    pub proxy_authorization: Option<List<'a, Auth<'a>>>,
    pub proxy_require: Option<List<'a, &'a [u8]>>,
    pub reason: Option<List<'a, TokenParams<'a>>>,
    pub record_route: Option<List<'a, NameAddr<'a>>>,
    pub reply_to: Option<NameAddr<'a>>,
    pub require: Option<List<'a, &'a [u8]>>,
    pub retry_after: Option<RetryAfter<'a>>,
    pub route: Option<List<'a, NameAddr<'a>>>,
    pub server: Option<&'a [u8]>,
    pub subject: Option<&'a [u8]>,
    pub supported: Option<List<'a, &'a [u8]>>,
    pub timestamp: Option<Timestamp>,
    pub to: Option<NameAddr<'a>>,
    pub unsupported: Option<List<'a, &'a [u8]>>,
    pub user_agent: Option<&'a [u8]>,
    pub via: Option<List<'a, Via<'a>>>,
    pub warning: Option<List<'a, Warning<'a>>>,
    pub www_authenticate: Option<List<'a, Auth<'a>>>,
    /// Every other field, in the order of first appearance.
    pub extensions: List<'a, Extension<'a>>,
}

impl<'a> Headers<'a> {
    /// No header field at all.
    pub fn new_in(arena: &'a Arena) -> Self {
        Headers {
            accept: None,
            accept_encoding: None,
            accept_language: None,
            alert_info: None,
            allow: None,
            authentication_info: None,
            authorization: None,
            call_id: None,
            call_info: None,
            contact: None,
            content_disposition: None,
            content_encoding: None,
            content_language: None,
            content_length: None,
            content_type: None,
            cseq: None,
            date: None,
            error_info: None,
            expires: None,
            from: None,
            in_reply_to: None,
            max_forwards: None,
            mime_version: None,
            min_expires: None,
            organization: None,
            p_asserted_identity: None,
            priority: None,
            proxy_authenticate: None,
            proxy_authorization: None,
            proxy_require: None,
            reason: None,
            record_route: None,
            reply_to: None,
            require: None,
            retry_after: None,
            route: None,
            server: None,
            subject: None,
            supported: None,
            timestamp: None,
            to: None,
            unsupported: None,
            user_agent: None,
            via: None,
            warning: None,
            www_authenticate: None,
            extensions: List::new_in(arena),
        }
    }
}

impl<'a> NameAddr<'a> {
    /// The `tag` parameter (§19.3); `None` where there is none or it is empty.
    pub fn tag(&self) -> Option<&'a [u8]> {
        param(self.params, b"tag")
            .flatten()
            .filter(|tag| !tag.is_empty())
    }
}

impl<'a> Via<'a> {
    /// The `branch` parameter (§8.1.1.7).
    pub fn branch(&self) -> Option<&'a [u8]> {
        param(self.params, b"branch")
            .flatten()
            .filter(|branch| !branch.is_empty())
    }
}

/// Looks a parameter up by its name in lower case: `Some(None)` is a flag.
pub fn param<'a>(params: Params<'a>, name: &[u8]) -> Option<Option<&'a [u8]>> {
    params
        .iter()
        .find(|param| param.name == name)
        .map(|param| param.value)
}
