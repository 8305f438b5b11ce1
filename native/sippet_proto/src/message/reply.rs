//! Answers made from the raw bytes of a message, which may be unfit to be parsed (§8.2.6.2).

use super::lines::Lines;
use super::raw::{has_loose_nul, raw_param};
use crate::error::{Field, WriteError, WriteReason};
use crate::grammar::is_token;
use crate::header::write::{number, plain_text, text, token};

/// What an answer copies, as raw text.
#[derive(Debug, Clone)]
pub struct Salvage<'a> {
    /// The method of a request, else nothing.
    pub method: &'a [u8],
    /// The value of the first Via line, one hop or more; it still has its folds, as the other values do.
    pub via: &'a [u8],
    /// From.
    pub from: &'a [u8],
    /// To.
    pub to: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// CSeq.
    pub cseq: &'a [u8],
    /// Timestamp, where there is one.
    pub timestamp: Option<&'a [u8]>,
    lines: Lines<'a>,
    via_lines: usize,
}

/// An answer in the pieces that do not come from the message it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// 100 to 699.
    pub status_code: u16,
    /// For people.
    pub reason_phrase: &'a [u8],
    /// What To gets, if it has no tag; a 100 gets none (§8.2.6.2).
    pub to_tag: Option<&'a [u8]>,
    /// Further header fields: names and values.
    pub extra: &'a [(&'a [u8], &'a [u8])],
}

impl<'a> Salvage<'a> {
    /// Looks through a request, however malformed.
    ///
    /// `None` where it must not or cannot be answered: it is a response or an ACK, or one of Via, From, To, Call-ID and
    /// CSeq is missing, empty, or has a NUL or a CR on its own.
    pub fn scan(data: &'a [u8]) -> Option<Salvage<'a>> {
        let lines = Lines::new(data)?;
        let line = lines.start_line();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let method = line.get(..end.unwrap_or(line.len()))?;
        if !is_token(method) || method == b"ACK" {
            return None;
        }
        Salvage::collect(lines, method)
    }

    /// The same for a response of ours: what its request had is in it.
    pub fn scan_response(data: &'a [u8]) -> Option<Salvage<'a>> {
        let lines = Lines::new(data)?;
        if !lines.start_line().starts_with(b"SIP/") {
            return None;
        }
        Salvage::collect(lines, b"")
    }

    fn collect(lines: Lines<'a>, method: &'a [u8]) -> Option<Salvage<'a>> {
        let mut found: [Option<&'a [u8]>; 6] = [None; 6];
        let mut via_lines = 0;
        for field in lines.clone() {
            let Some(slot) = field.name.and_then(copied) else {
                continue;
            };
            // Of a field that should stand once the first one counts.
            found.get_mut(slot)?.get_or_insert(field.value);
            if slot == VIA {
                if !is_usable(field.value) {
                    return None;
                }
                via_lines += 1;
            }
        }
        let [via, from, to, call_id, cseq, timestamp] = found;
        let usable = |value: Option<&'a [u8]>| value.filter(|value| is_usable(value));
        Some(Salvage {
            method,
            via: usable(via)?,
            from: usable(from)?,
            to: usable(to)?,
            call_id: usable(call_id)?,
            cseq: usable(cseq)?,
            timestamp: usable(timestamp),
            lines,
            via_lines,
        })
    }

    /// The `tag` of From (§19.3), as it stands; `None` where there is none or it is empty.
    pub fn from_tag(&self) -> Option<&'a [u8]> {
        raw_param(self.from, b"tag")
            .flatten()
            .filter(|tag| !tag.is_empty())
    }

    /// The `tag` of To, likewise.
    pub fn to_tag(&self) -> Option<&'a [u8]> {
        raw_param(self.to, b"tag")
            .flatten()
            .filter(|tag| !tag.is_empty())
    }

    /// Whether To has a `tag`, if an empty one.
    pub fn has_to_tag(&self) -> bool {
        raw_param(self.to, b"tag").is_some()
    }

    /// The `branch` of the topmost Via (§8.1.1.7), as it stands.
    pub fn branch(&self) -> Option<&'a [u8]> {
        raw_param(self.via, b"branch")
            .flatten()
            .filter(|branch| !branch.is_empty())
    }

    /// All Via lines, each as it stands.
    fn vias(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.lines
            .clone()
            .filter(|field| field.name.and_then(copied) == Some(VIA))
            .map(|field| field.value)
            .take(self.via_lines)
    }
}

const VIA: usize = 0;

/// The place of a field that is copied.
fn copied(name: &[u8]) -> Option<usize> {
    const NAMES: [(&[u8], &[u8]); 6] = [
        (b"Via", b"v"),
        (b"From", b"f"),
        (b"To", b"t"),
        (b"Call-ID", b"i"),
        (b"CSeq", b""),
        (b"Timestamp", b""),
    ];
    NAMES.iter().position(|(long, compact)| {
        name.eq_ignore_ascii_case(long)
            || (!compact.is_empty() && name.eq_ignore_ascii_case(compact))
    })
}

/// Neither empty nor with bytes that another element could take for the end of a field.
fn is_usable(value: &[u8]) -> bool {
    let has_bare_cr =
        || memchr::memchr_iter(b'\r', value).any(|at| value.get(at + 1) != Some(&b'\n'));
    !value.is_empty() && !has_loose_nul(value) && !has_bare_cr()
}

/// Appends the whole response; appends nothing where a piece of `reply` cannot be written.
///
/// All Via lines, From, To, Call-ID and CSeq are those of the message, unfolded but else untouched; Timestamp goes into
/// a 100 (§8.2.6.1). There is no body.
pub fn write_reply<'r>(
    out: &mut Vec<u8>,
    salvage: &Salvage<'_>,
    reply: &Reply<'r>,
) -> Result<(), WriteError<'r>> {
    let start = out.len();
    let written = response(out, salvage, reply);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn response<'r>(
    out: &mut Vec<u8>,
    salvage: &Salvage<'_>,
    reply: &Reply<'r>,
) -> Result<(), WriteError<'r>> {
    let in_field = |field| move |reason| WriteError { field, reason };
    status_line(out, reply).map_err(in_field(Field::StartLine))?;
    for via in salvage.vias() {
        copy(out, b"Via: ", via);
    }
    copy(out, b"From: ", salvage.from);
    unfolded(out, b"To: ", salvage.to);
    if let Some(tag) = reply.to_tag
        && reply.status_code > 100
        && !salvage.has_to_tag()
    {
        out.extend_from_slice(b";tag=");
        token(out, tag).map_err(in_field(Field::Header(b"To")))?;
    }
    out.extend_from_slice(b"\r\n");
    copy(out, b"Call-ID: ", salvage.call_id);
    copy(out, b"CSeq: ", salvage.cseq);
    if let Some(timestamp) = salvage.timestamp
        && reply.status_code == 100
    {
        copy(out, b"Timestamp: ", timestamp);
    }
    for (name, value) in reply.extra {
        let in_field = in_field(Field::Header(name));
        token(out, name).map_err(in_field)?;
        out.extend_from_slice(b": ");
        text(out, value).map_err(in_field)?;
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Ok(())
}

fn status_line(out: &mut Vec<u8>, reply: &Reply<'_>) -> Result<(), WriteReason> {
    if !(100..=699).contains(&reply.status_code) {
        return Err(WriteReason::Number);
    }
    plain_text(reply.reason_phrase)?;
    out.extend_from_slice(b"SIP/2.0 ");
    number(out, u64::from(reply.status_code));
    out.push(b' ');
    out.extend_from_slice(reply.reason_phrase);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn copy(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    unfolded(out, name, value);
    out.extend_from_slice(b"\r\n");
}

/// The white space that continues a line stays, the line end before it goes (§7.3.1).
fn unfolded(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    for piece in value.split(|byte| matches!(byte, b'\r' | b'\n')) {
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §24.2 F1 with a second hop, a Timestamp and no sense in some fields.
    const REQUEST: &[u8] = b"INVITE nonsense\r\n\
        Via: SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9hG4bK77ef4c2312983.1\r\n\
        v: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8\r\n ;received=192.0.2.1\r\n\
        no colon here\r\n\
        t: Bob <sip:bob@biloxi.com>\r\n\
        From: \"A;tag=no\" <sip:alice@atlanta.com>;tag=1928301774\n\
        i: a84b4c76e66710\r\n\
        CSEQ: 314159 INVITE\r\n\
        Timestamp: 54.2\r\n\
        Max-Forwards: many\r\n\r\nVia: not one\r\n";

    const BAD_REQUEST: Reply<'_> = Reply {
        status_code: 400,
        reason_phrase: b"Bad Request",
        to_tag: Some(b"a6c85cf"),
        extra: &[],
    };

    fn written(salvage: &Salvage<'_>, reply: &Reply<'_>) -> String {
        let mut out = Vec::new();
        write_reply(&mut out, salvage, reply).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn without(name: &str) -> Vec<u8> {
        let text = std::str::from_utf8(REQUEST).unwrap();
        text.split_inclusive('\n')
            .filter(|line| !line.starts_with(name))
            .collect::<String>()
            .into_bytes()
    }

    #[test]
    fn an_answer_copies_what_8_2_6_2_says() {
        let salvage = Salvage::scan(REQUEST).unwrap();
        assert_eq!(salvage.method, b"INVITE");
        assert_eq!(salvage.from_tag(), Some(&b"1928301774"[..]));
        assert_eq!(salvage.branch(), Some(&b"z9hG4bK77ef4c2312983.1"[..]));
        assert_eq!(
            written(&salvage, &BAD_REQUEST),
            "SIP/2.0 400 Bad Request\r\n\
             Via: SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9hG4bK77ef4c2312983.1\r\n\
             Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8 ;received=192.0.2.1\r\n\
             From: \"A;tag=no\" <sip:alice@atlanta.com>;tag=1928301774\r\n\
             To: Bob <sip:bob@biloxi.com>;tag=a6c85cf\r\n\
             Call-ID: a84b4c76e66710\r\n\
             CSeq: 314159 INVITE\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_100_has_the_timestamp_and_no_new_tag_8_2_6() {
        let salvage = Salvage::scan(REQUEST).unwrap();
        let trying = Reply {
            status_code: 100,
            reason_phrase: b"Trying",
            ..BAD_REQUEST
        };
        let text = written(&salvage, &trying);
        assert!(text.contains("\r\nTo: Bob <sip:bob@biloxi.com>\r\n"));
        assert!(text.contains("\r\nTimestamp: 54.2\r\n"));
    }

    #[test]
    fn a_tag_that_is_there_stays() {
        for to in [
            "To: <sip:b>;tag=1\r\n",
            "To: sip:b ; TAG=1\r\n",
            "To: sip:b;tag\r\n",
        ] {
            let mut request = without("t:");
            request.splice(17..17, to.bytes());
            let salvage = Salvage::scan(&request).unwrap();
            assert!(salvage.has_to_tag());
            assert!(written(&salvage, &BAD_REQUEST).contains(to));
        }
    }

    #[test]
    fn our_own_response_can_be_the_source() {
        let salvage = Salvage::scan(REQUEST).unwrap();
        let ringing = Reply {
            status_code: 180,
            reason_phrase: b"Ringing",
            ..BAD_REQUEST
        };
        let provisional = written(&salvage, &ringing).into_bytes();
        assert!(Salvage::scan(&provisional).is_none());
        let salvage = Salvage::scan_response(&provisional).unwrap();
        assert_eq!(salvage.to_tag(), Some(&b"a6c85cf"[..]));
        let timeout = Reply {
            status_code: 408,
            reason_phrase: b"Request Timeout",
            to_tag: Some(b"other"),
            extra: &[(b"Retry-After", b"5")],
        };
        let text = written(&salvage, &timeout);
        assert!(text.starts_with("SIP/2.0 408 Request Timeout\r\nVia: "));
        assert_eq!(text.matches("Via: ").count(), 2);
        assert!(text.contains("\r\nTo: Bob <sip:bob@biloxi.com>;tag=a6c85cf\r\n"));
        assert!(text.ends_with("\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"));
    }

    #[test]
    fn what_cannot_be_copied_is_not_answered() {
        for name in ["t:", "From", "i:", "CSEQ"] {
            assert!(Salvage::scan(&without(name)).is_none(), "{name}");
        }
        assert!(Salvage::scan(b"").is_none());
        assert!(Salvage::scan(b"\r\n\r\n").is_none());
        assert!(Salvage::scan(b"INVITE").is_none());
        let text = String::from_utf8(REQUEST.to_vec()).unwrap();
        for (from, to) in [
            ("INVITE nonsense", "ACK sip:b SIP/2.0"),
            ("INVITE nonsense", "SIP/2.0 200 OK"),
            ("a84b4c", "a84\0b4c"),
            ("a84b4c", "a84\rb4c"),
            ("SIP/2.0/UDP pc33", "\0"),
            ("a84b4c76e66710", ""),
        ] {
            let changed = text.replace(from, to);
            assert!(Salvage::scan(changed.as_bytes()).is_none(), "{to:?}");
        }
    }

    #[test]
    fn a_reply_cannot_add_fields_of_its_own() {
        let salvage = Salvage::scan(REQUEST).unwrap();
        let mut out = b"x".to_vec();
        for reply in [
            Reply {
                reason_phrase: b"a\r\nb",
                ..BAD_REQUEST
            },
            Reply {
                to_tag: Some(b"a\r\nb"),
                ..BAD_REQUEST
            },
            Reply {
                extra: &[(b"a\n", b"b")],
                ..BAD_REQUEST
            },
            Reply {
                extra: &[(b"a", b"b\n")],
                ..BAD_REQUEST
            },
        ] {
            let error = write_reply(&mut out, &salvage, &reply).unwrap_err();
            assert_eq!(error.reason, WriteReason::ControlCharacter);
        }
        let reply = Reply {
            status_code: 700,
            ..BAD_REQUEST
        };
        assert!(write_reply(&mut out, &salvage, &reply).is_err());
        assert_eq!(out, b"x");
    }
}
