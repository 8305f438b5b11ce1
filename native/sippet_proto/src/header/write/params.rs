//! Writing parameters: `;name`, `;name=value`, `;name="value"`.

use super::{OPAQUE, TOKEN, Written, all, is_ipv6, quoted, token};
use crate::header::{Param, Params};

/// Whose parameters they are, where that decides about quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Any `generic-param`.
    Generic,
    /// Contact, which has the feature parameters of RFC 3840 §9.
    Contact,
    /// Reason, whose text is a quoted string (RFC 3326 §2).
    Reason,
    /// A number; that of Geolocation-Error has a quoted string for what it means (RFC 6442 §4.3).
    Number,
}

/// The feature parameters with a value that have no leading `+` (RFC 3840 §9, §10, RFC 4235, RFC 5688).
const FEATURES: &[&[u8]] = &[
    b"actor",
    b"class",
    b"description",
    b"duplex",
    b"events",
    b"extensions",
    b"language",
    b"methods",
    b"mobility",
    b"priority",
    b"schemes",
    b"type",
];

#[inline]
pub(crate) fn params(out: &mut Vec<u8>, params: Params<'_>, owner: Owner) -> Written {
    params.iter().try_for_each(|param| one(out, param, owner))
}

fn one(out: &mut Vec<u8>, param: &Param<'_>, owner: Owner) -> Written {
    out.push(b';');
    token(out, param.name)?;
    let Some(value) = param.value else {
        return Ok(());
    };
    out.push(b'=');
    if !value.is_empty() && !must_quote(param.name, owner) && is_bare(param.name, value) {
        out.extend_from_slice(value);
        return Ok(());
    }
    quoted(out, value)
}

fn must_quote(name: &[u8], owner: Owner) -> bool {
    match owner {
        // RFC 3329 §2.2 has digest-verify in quotes.
        Owner::Generic => name.first() == Some(&b'+') || name == b"d-ver",
        Owner::Contact => name.first() == Some(&b'+') || FEATURES.contains(&name),
        Owner::Reason => name == b"text",
        Owner::Number => name == b"code",
    }
}

/// `gen-value` is a token or a host (§25.1); addresses in Via have no brackets (§20.42), and tags and branches are given
/// back as their maker wrote them.
fn is_bare(name: &[u8], value: &[u8]) -> bool {
    if all(value, TOKEN) {
        return true;
    }
    match value {
        [b'[', address @ .., b']'] => is_ipv6(address),
        _ => {
            matches!(
                name,
                b"received"
                    | b"maddr"
                    | b"branch"
                    | b"tag"
                    | b"to-tag"
                    | b"from-tag"
                    | b"local-tag"
                    | b"remote-tag"
                    | b"rport"
                    | b"ttl"
            ) && all(value, OPAQUE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &[u8], value: Option<&[u8]>, owner: Owner) -> Vec<u8> {
        let mut out = Vec::new();
        params(&mut out, &[Param { name, value }], owner).unwrap();
        out
    }

    #[test]
    fn a_flag_has_no_equals_sign_and_an_empty_value_has_quotes() {
        assert_eq!(written(b"lr", None, Owner::Generic), b";lr");
        assert_eq!(written(b"lr", Some(b""), Owner::Generic), b";lr=\"\"");
    }

    #[test]
    fn what_is_neither_token_nor_host_is_quoted() {
        assert_eq!(written(b"q", Some(b"0.7"), Owner::Generic), b";q=0.7");
        assert_eq!(written(b"a", Some(b"x y"), Owner::Generic), b";a=\"x y\"");
        assert_eq!(
            written(b"a", Some(b"[2001:db8::1]"), Owner::Generic),
            b";a=[2001:db8::1]"
        );
        assert_eq!(written(b"a", Some(b"[x]"), Owner::Generic), b";a=\"[x]\"");
    }

    #[test]
    fn addresses_and_identifiers_of_via_are_never_quoted() {
        for (name, value) in [
            (&b"received"[..], &b"2001:db8::9:1"[..]),
            (b"maddr", b"[2001:db8::9:1]"),
            (b"rport", b"5060"),
            (b"branch", b"z9hG4bK+/a=="),
            (b"tag", b"a@b"),
        ] {
            let expected = [b";", name, b"=", value].concat();
            assert_eq!(written(name, Some(value), Owner::Generic), expected);
        }
    }

    #[test]
    fn feature_parameters_and_the_text_of_reason_are_always_quoted() {
        assert_eq!(
            written(b"+sip.instance", Some(b"<urn:uuid:0>"), Owner::Contact),
            b";+sip.instance=\"<urn:uuid:0>\""
        );
        assert_eq!(
            written(b"mobility", Some(b"fixed"), Owner::Contact),
            b";mobility=\"fixed\""
        );
        assert_eq!(written(b"audio", None, Owner::Contact), b";audio");
        assert_eq!(
            written(b"text", Some(b"Busy"), Owner::Reason),
            b";text=\"Busy\""
        );
        assert_eq!(
            written(b"cause", Some(b"486"), Owner::Reason),
            b";cause=486"
        );
    }
}
