//! The grammar of each typed attribute. A value that breaks it is none, and is kept as text by the caller.

use super::{Attribute, Candidate, Decimal, Direction, Setup};
use crate::message::{Arena, List};
use crate::sdp::text::{Words, is_ice, is_token, number, small};

/// The typed form of an attribute: none of a name that has none, `Some(None)` of a value that is malformed.
pub fn parse<'a>(
    name: &'a [u8],
    value: Option<&'a [u8]>,
    arena: &'a Arena,
) -> Option<Option<Attribute<'a>>> {
    let flag = |attribute: Attribute<'a>| value.is_none().then_some(attribute);
    if let Some(direction) = Direction::from_name(name) {
        return Some(flag(Attribute::Direction(direction)));
    }
    let text = value.unwrap_or_default();
    Some(match name {
        b"rtpmap" => rtpmap(text),
        b"fmtp" => fmtp(text),
        b"ptime" => decimal(text).map(Attribute::Ptime),
        b"maxptime" => decimal(text).map(Attribute::MaxPtime),
        b"candidate" => candidate(text, arena),
        b"fingerprint" => fingerprint(text),
        b"ice-ufrag" => one(text)
            .filter(|word| is_ice(word, 4..=256))
            .map(Attribute::IceUfrag),
        b"ice-pwd" => one(text)
            .filter(|word| is_ice(word, 22..=256))
            .map(Attribute::IcePwd),
        b"ice-options" => some(Words::new(text), arena).map(Attribute::IceOptions),
        b"ice-lite" => flag(Attribute::IceLite),
        b"ice-mismatch" => flag(Attribute::IceMismatch),
        b"ice-pacing" => one(text)
            .and_then(|word| small(word, u32::MAX))
            .map(Attribute::IcePacing),
        b"setup" => one(text).and_then(Setup::from_name).map(Attribute::Setup),
        b"mid" => one(text).map(Attribute::Mid),
        b"group" => group(text, arena),
        b"msid" => msid(text),
        b"ssrc" => ssrc(text),
        b"ssrc-group" => ssrc_group(text, arena),
        b"crypto" => crypto(text, arena),
        b"rtcp" => rtcp(text),
        b"rtcp-mux" => flag(Attribute::RtcpMux),
        b"rtcp-rsize" => flag(Attribute::RtcpRsize),
        b"rtcp-fb" => rtcp_fb(text),
        _ => return None,
    })
}

/// The only word.
fn one(text: &[u8]) -> Option<&[u8]> {
    let mut words = Words::new(text);
    let word = words.next()?;
    words.is_done().then_some(word)
}

/// All words, one at least.
fn some<'a>(words: Words<'a>, arena: &'a Arena) -> Option<List<'a, &'a [u8]>> {
    let list = all(words, arena);
    (!list.is_empty()).then_some(list)
}

fn all<'a>(words: Words<'a>, arena: &'a Arena) -> List<'a, &'a [u8]> {
    let mut list = List::new_in(arena);
    list.extend(words);
    list
}

/// Before and behind the first of these bytes.
fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = memchr::memchr(at, text)?;
    Some((text.get(..index)?, text.get(index + 1..)?))
}

fn rtpmap(text: &[u8]) -> Option<Attribute<'_>> {
    let mut words = Words::new(text);
    let payload_type = u8::try_from(words.number(127)?).ok()?;
    let (encoding_name, rest) = cut(words.next()?, b'/')?;
    let (clock_rate, parameters) = match cut(rest, b'/') {
        Some((clock_rate, parameters)) => (clock_rate, Some(parameters)),
        None => (rest, None),
    };
    let clock_rate = small(clock_rate, u32::MAX)?;
    let fits = words.is_done() && is_token(encoding_name) && parameters != Some(b"");
    fits.then_some(Attribute::RtpMap {
        payload_type,
        encoding_name,
        clock_rate,
        parameters,
    })
}

fn fmtp(text: &[u8]) -> Option<Attribute<'_>> {
    let mut words = Words::new(text);
    Some(Attribute::Fmtp {
        format: words.next()?,
        parameters: words.rest()?,
    })
}

/// `non-zero-int-or-real` (§9), and 0, which is in the field.
fn decimal(text: &[u8]) -> Option<Decimal<'_>> {
    let word = one(text)?;
    if let Some(number) = small(word, u32::MAX) {
        return Some(Decimal::Integer(number));
    }
    is_real(word).then_some(Decimal::Real(word))
}

pub(super) fn is_real(word: &[u8]) -> bool {
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    cut(word, b'.').is_some_and(|(whole, rest)| digits(whole) && digits(rest))
}

fn candidate<'a>(text: &'a [u8], arena: &'a Arena) -> Option<Attribute<'a>> {
    let mut words = Words::new(text);
    let foundation = words.next()?;
    let component = words.small(u32::MAX)?;
    let transport = words.next()?;
    let priority = words.small(u32::MAX)?;
    let address = words.next()?;
    let port = words.number(65535)? as u16;
    if words.next()? != b"typ" {
        return None;
    }
    let candidate_type = words.next()?;
    let mut related_address = None;
    if words.peek() == Some(b"raddr") {
        words.next();
        related_address = Some(words.next()?);
    }
    let mut related_port = None;
    if words.peek() == Some(b"rport") {
        words.next();
        related_port = Some(words.number(65535)? as u16);
    }
    let mut extensions = List::new_in(arena);
    while let Some(name) = words.next() {
        extensions.push((name, words.next()?));
    }
    Some(Attribute::Candidate(arena.alloc(Candidate {
        foundation,
        component,
        transport,
        priority,
        address,
        port,
        candidate_type,
        related_address,
        related_port,
        extensions,
    })))
}

fn fingerprint(text: &[u8]) -> Option<Attribute<'_>> {
    let mut words = Words::new(text);
    let hash = words.next()?;
    let value = words.next()?;
    let fits = words.is_done() && is_token(hash) && is_fingerprint(value);
    fits.then_some(Attribute::Fingerprint { hash, value })
}

/// `2UHEX *(":" 2UHEX)`; small letters are in the field.
pub(super) fn is_fingerprint(value: &[u8]) -> bool {
    value
        .split(|byte| *byte == b':')
        .all(|pair| pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit))
}

fn group<'a>(text: &'a [u8], arena: &'a Arena) -> Option<Attribute<'a>> {
    let mut words = Words::new(text);
    Some(Attribute::Group {
        semantics: words.next()?,
        mids: all(words, arena),
    })
}

fn msid(text: &[u8]) -> Option<Attribute<'_>> {
    let mut words = Words::new(text);
    let id = words.next()?;
    let appdata = words.next();
    words.is_done().then_some(Attribute::Msid { id, appdata })
}

fn ssrc(text: &[u8]) -> Option<Attribute<'_>> {
    let mut words = Words::new(text);
    let ssrc = words.small(u32::MAX)?;
    let rest = words.rest()?;
    let (attribute, value) = match cut(rest, b':') {
        Some((attribute, value)) => (attribute, Some(value)),
        None => (one(rest)?, None),
    };
    is_token(attribute).then_some(Attribute::Ssrc {
        ssrc,
        attribute,
        value,
    })
}

fn ssrc_group<'a>(text: &'a [u8], arena: &'a Arena) -> Option<Attribute<'a>> {
    let mut words = Words::new(text);
    let semantics = words.next()?;
    let mut ssrcs = List::new_in(arena);
    for word in words {
        ssrcs.push(small(word, u32::MAX)?);
    }
    Some(Attribute::SsrcGroup { semantics, ssrcs })
}

/// `tag = 1*9DIGIT`
pub(super) const MAX_TAG: u32 = 999_999_999;

fn crypto<'a>(text: &'a [u8], arena: &'a Arena) -> Option<Attribute<'a>> {
    let mut words = Words::new(text);
    let tag = words.small(MAX_TAG)?;
    let suite = words.next()?;
    let mut key_parameters = List::new_in(arena);
    for parameter in words.next()?.split(|byte| *byte == b';') {
        if parameter.is_empty() {
            return None;
        }
        key_parameters.push(parameter);
    }
    Some(Attribute::Crypto {
        tag,
        suite,
        key_parameters,
        session_parameters: all(words, arena),
    })
}

fn rtcp(text: &[u8]) -> Option<Attribute<'_>> {
    let mut words = Words::new(text);
    let port = number(words.next()?, 65535)? as u16;
    let address = match words.next() {
        Some(network_type) => Some([network_type, words.next()?, words.next()?]),
        None => None,
    };
    words.is_done().then_some(Attribute::Rtcp { port, address })
}

fn rtcp_fb(text: &[u8]) -> Option<Attribute<'_>> {
    let mut words = Words::new(text);
    Some(Attribute::RtcpFb {
        format: words.next()?,
        feedback: words.next()?,
        parameters: words.rest(),
    })
}
