//! What a message needs beyond its grammar before a transaction may see it (§8.1.1, §8.2).

use thiserror::Error;

use super::{Message, StartLine, Version};
use crate::header::Headers;

/// What stands against a well-formed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Not SIP/2.0 (§21.5.6).
    #[error("the version is not SIP/2.0")]
    Version,
    /// One of To, From, CSeq, Call-ID and Via is missing (§8.1.1).
    #[error("a mandatory header field is missing")]
    MissingField(&'static str),
    /// From without a tag (§8.1.1.3). RFC 2543 had such.
    #[error("From has no tag")]
    FromTag,
    /// The method in CSeq is not that of the request line (§8.1.1.5).
    #[error("the method of CSeq is not that of the request")]
    CSeqMethod,
}

/// Tells the first thing that stands against a message.
pub fn validate(message: &Message<'_>) -> Result<(), Invalid> {
    let version = match &message.start_line {
        StartLine::Request(line) => line.version,
        StartLine::Status(line) => line.version,
    };
    if version != Version::SIP_2_0 {
        return Err(Invalid::Version);
    }
    if let Some(name) = missing_field(&message.headers) {
        return Err(Invalid::MissingField(name));
    }
    let headers = &message.headers;
    if headers.from.is_some_and(|from| from.tag().is_none()) {
        return Err(Invalid::FromTag);
    }
    let method = message.request_line().map(|line| line.method);
    match (method, headers.cseq) {
        (Some(method), Some(cseq)) if method != cseq.method => Err(Invalid::CSeqMethod),
        _ => Ok(()),
    }
}

/// The first mandatory header field that is not there; a Via without values is not there.
pub(crate) fn missing_field(headers: &Headers<'_>) -> Option<&'static str> {
    let has_via = headers.via.as_ref().is_some_and(|via| !via.is_empty());
    [
        ("To", headers.to.is_some()),
        ("From", headers.from.is_some()),
        ("CSeq", headers.cseq.is_some()),
        ("Call-ID", headers.call_id.is_some()),
        ("Via", has_via),
    ]
    .into_iter()
    .find_map(|(name, is_there)| (!is_there).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Arena;
    use crate::message::parse::{Options, parse};

    const GOOD: &str = "BYE sip:a@b SIP/2.0\r\nTo: <sip:a@b>;tag=1\r\nFrom: <sip:c@d>;tag=2\r\n\
                        CSeq: 1 BYE\r\nCall-ID: x\r\nVia: SIP/2.0/UDP e;branch=z9hG4bKf\r\n\r\n";

    fn judge(text: &str) -> Result<(), Invalid> {
        let arena = Arena::new();
        validate(&parse(text.as_bytes(), &Options::default(), &arena).unwrap())
    }

    #[test]
    fn a_message_with_all_it_needs_is_valid() {
        assert_eq!(judge(GOOD), Ok(()));
    }

    #[test]
    fn each_lack_is_named() {
        for name in ["To", "From", "CSeq", "Call-ID", "Via"] {
            let start = GOOD.find(&format!("\r\n{name}:")).unwrap() + 2;
            let end = start + GOOD[start..].find("\r\n").unwrap() + 2;
            let text = format!("{}{}", &GOOD[..start], &GOOD[end..]);
            assert_eq!(judge(&text), Err(Invalid::MissingField(name)));
        }
        assert_eq!(
            judge(&GOOD.replace("BYE sip:a@b SIP/2.0", "BYE sip:a@b SIP/3.0")),
            Err(Invalid::Version)
        );
        assert_eq!(judge(&GOOD.replace(";tag=2", "")), Err(Invalid::FromTag));
        assert_eq!(
            judge(&GOOD.replace(";tag=2", ";tag=")),
            Err(Invalid::FromTag)
        );
        assert_eq!(
            judge(&GOOD.replace("1 BYE", "1 bye")),
            Err(Invalid::CSeqMethod)
        );
    }
}
