//! Extension header fields: their typed values, made on demand from the text that a message has of them.
//!
//! `parse` and `write` of this folder work on the values of one field, each a line without its name. A field that is not in
//! the table of `shape` has no typed value.

mod dialog;
mod identity;
mod line;
mod numbers;
mod parse;
mod tokens;
mod write;

pub use line::{parse_known, write_known};
pub use parse::parse;
pub use write::{write, write_text};

use super::name::look_up;
use super::{Info, NameAddr, Params, TokenParams};
use crate::message::{List, Method};

/// What the values of a field look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One token.
    Token,
    /// Tokens with commas between; `empty` tells whether there may be none.
    Tokens {
        /// The field may stand without a value.
        empty: bool,
    },
    /// Tokens with semicolons between: Privacy (RFC 3323 §4.2).
    Privacy,
    /// A token with parameters.
    TokenParams,
    /// Tokens with parameters, commas between.
    TokenParamsList {
        /// The field may stand without a value.
        empty: bool,
    },
    /// The same with the feature parameters of RFC 3840 §9, whose values are always quoted.
    Features,
    /// Tokens or quoted strings with parameters, commas between.
    TextParamsList,
    /// One number, and the least it can be.
    Number(u32),
    /// A number with parameters.
    NumberParams,
    /// Two numbers and a method (RFC 3262 §7.2).
    RAck,
    /// A Call-ID with the two tags, both mandatory, that make a dialog's identifier with it.
    Dialog([&'static [u8]; 2]),
    /// One address.
    Address,
    /// Addresses, commas between.
    Addresses {
        /// The field may stand without a value.
        empty: bool,
    },
    /// URIs in angle brackets with parameters, commas between.
    Infos,
    /// Parameters, the first of them `icid-value` (RFC 7315 §5.6).
    ChargingVector,
    /// RFC 8224 §4.
    Identities,
}

/// The typed value of an extension header field.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed<'a> {
    /// [`Shape::Token`].
    Token(&'a [u8]),
    /// [`Shape::Tokens`], [`Shape::Privacy`].
    Tokens(List<'a, &'a [u8]>),
    /// [`Shape::TokenParams`].
    TokenParams(TokenParams<'a>),
    /// [`Shape::TokenParamsList`], [`Shape::Features`], and [`Shape::TextParamsList`] with any text as token.
    TokenParamsList(List<'a, TokenParams<'a>>),
    /// [`Shape::Number`].
    Number(u32),
    /// [`Shape::NumberParams`].
    NumberParams(NumberParams<'a>),
    /// [`Shape::RAck`].
    RAck(RAck<'a>),
    /// [`Shape::Dialog`].
    Dialog(Dialog<'a>),
    /// [`Shape::Address`].
    Address(NameAddr<'a>),
    /// [`Shape::Addresses`].
    Addresses(List<'a, NameAddr<'a>>),
    /// [`Shape::Infos`].
    Infos(List<'a, Info<'a>>),
    /// [`Shape::ChargingVector`].
    Params(Params<'a>),
    /// [`Shape::Identities`].
    Identities(List<'a, Identity<'a>>),
}

/// Session-Expires and Min-SE (RFC 4028 §4, §5), Geolocation-Error (RFC 6442 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberParams<'a> {
    /// Seconds, or a code.
    pub number: u32,
    /// `refresher` ...
    pub params: Params<'a>,
}

/// RAck (RFC 3262 §7.2): which provisional response is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RAck<'a> {
    /// The RSeq of the response, 1 at least.
    pub response_number: u32,
    /// The number of its CSeq, below 2^31 (§8.1.1.5).
    pub cseq_number: u32,
    /// The method of its CSeq.
    pub method: Method<'a>,
}

/// Replaces (RFC 3891 §6.1), Join (RFC 3911 §7.1), Target-Dialog (RFC 4538 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialog<'a> {
    /// The Call-ID of the dialog.
    pub call_id: &'a [u8],
    /// Both tags, `early-only` ...
    pub params: Params<'a>,
}

/// One value of Identity (RFC 8224 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The signed token (RFC 8225), or its compact form.
    pub digest: &'a [u8],
    /// Where the certificate is.
    pub info: crate::uri::Uri<'a>,
    /// `alg`, `ppt` ...; not `info`.
    pub params: Params<'a>,
}

/// The tags of Replaces and Join: those of the one who gets it come first.
const REPLACES: Shape = Shape::Dialog([b"to-tag", b"from-tag"]);

/// The fields that have a shape, in the order of the alphabet.
const SHAPES: &[(&[u8], Shape)] = &[
    (b"Accept-Contact", Shape::Features),
    (b"Accept-Resource-Priority", Shape::Tokens { empty: true }),
    (b"Allow-Events", Shape::Tokens { empty: false }),
    (b"Answer-Mode", Shape::TokenParams),
    (b"Diversion", Shape::Addresses { empty: false }),
    (b"Event", Shape::TokenParams),
    (b"Feature-Caps", Shape::Features),
    (b"Flow-Timer", Shape::Number(0)),
    (b"Geolocation", Shape::Infos),
    (b"Geolocation-Error", Shape::NumberParams),
    (b"Geolocation-Routing", Shape::TokenParams),
    (b"History-Info", Shape::Addresses { empty: false }),
    (b"Identity", Shape::Identities),
    (b"Info-Package", Shape::TokenParams),
    (b"Join", REPLACES),
    (b"Max-Breadth", Shape::Number(0)),
    (b"Min-SE", Shape::NumberParams),
    (
        b"P-Access-Network-Info",
        Shape::TokenParamsList { empty: false },
    ),
    (b"P-Answer-State", Shape::TokenParams),
    (b"P-Associated-URI", Shape::Addresses { empty: true }),
    (b"P-Called-Party-ID", Shape::Address),
    (b"P-Charging-Vector", Shape::ChargingVector),
    (b"P-Early-Media", Shape::Tokens { empty: true }),
    (b"P-Preferred-Identity", Shape::Addresses { empty: false }),
    (b"P-Profile-Key", Shape::Address),
    (b"P-Served-User", Shape::Address),
    (b"P-Visited-Network-ID", Shape::TextParamsList),
    (b"Path", Shape::Addresses { empty: false }),
    (b"Permission-Missing", Shape::Addresses { empty: false }),
    (b"Priv-Answer-Mode", Shape::TokenParams),
    (b"Privacy", Shape::Privacy),
    (b"RAck", Shape::RAck),
    (b"RSeq", Shape::Number(1)),
    (b"Recv-Info", Shape::TokenParamsList { empty: true }),
    (b"Refer-Sub", Shape::TokenParams),
    (b"Refer-To", Shape::Address),
    (b"Referred-By", Shape::Address),
    (b"Reject-Contact", Shape::Features),
    (b"Replaces", REPLACES),
    (b"Request-Disposition", Shape::Tokens { empty: false }),
    (b"Resource-Priority", Shape::Tokens { empty: false }),
    (b"SIP-ETag", Shape::Token),
    (b"SIP-If-Match", Shape::Token),
    (b"Security-Client", Shape::TokenParamsList { empty: false }),
    (b"Security-Server", Shape::TokenParamsList { empty: false }),
    (b"Security-Verify", Shape::TokenParamsList { empty: false }),
    (b"Service-Route", Shape::Addresses { empty: false }),
    (b"Session-Expires", Shape::NumberParams),
    (b"Session-ID", Shape::TokenParams),
    (b"Subscription-State", Shape::TokenParams),
    (b"Suppress-If-Match", Shape::Token),
    (
        b"Target-Dialog",
        Shape::Dialog([b"remote-tag", b"local-tag"]),
    ),
    (b"User-to-User", Shape::TextParamsList),
];

/// The shape of a field by its name in any case, long or compact; `None` where it has no typed value here.
pub fn shape(name: &[u8]) -> Option<Shape> {
    let name = look_up(name)?.text;
    SHAPES
        .iter()
        .find(|(text, _)| *text == name)
        .map(|(_, shape)| *shape)
}

/// Every field that has a shape.
pub fn names() -> impl Iterator<Item = (&'static [u8], Shape)> {
    SHAPES.iter().copied()
}

/// The IANA spelling of a name that is registered, also of a compact one; any other as it is.
pub fn full_name(name: &[u8]) -> &[u8] {
    look_up(name).map_or(name, |entry| entry.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_is_registered_and_found() {
        for (name, expected) in names() {
            let entry = look_up(name).unwrap();
            assert_eq!((entry.text, entry.known), (name, None));
            assert_eq!(shape(&name.to_ascii_lowercase()), Some(expected));
        }
    }

    #[test]
    fn compact_names_are_found_and_others_are_not() {
        assert_eq!(shape(b"r"), Some(Shape::Address));
        assert_eq!(shape(b"X"), Some(Shape::NumberParams));
        assert_eq!(full_name(b"o"), b"Event");
        assert_eq!(full_name(b"X-Vendor"), b"X-Vendor");
        for name in [&b"X-Vendor"[..], b"Contact", b"m", b""] {
            assert_eq!(shape(name), None);
        }
    }
}
