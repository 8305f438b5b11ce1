//! Writing a message (§7): the fields a proxy needs come first (§7.3.1), Content-Length is always there and right.

use crate::error::{Field, WriteError, WriteReason};
use crate::header::name::{Known, look_up};
use crate::header::write::auth::{self, Role};
use crate::header::write::lines::Lines;
use crate::header::write::uri;
use crate::header::write::{Written, number, plain_text, text, token, values};
use crate::header::{Auth, Contact, Headers};
use crate::message::{Message, RequestLine, StartLine, StatusLine};

impl<'a> Message<'a> {
    /// Appends the message as it goes on the wire; appends nothing where it fails.
    ///
    /// Content-Length is the size of the body in bytes, whatever `headers.content_length` says. Fields with a typed value
    /// replace extensions of the same name. Lists without values: an empty field, and nothing at all for Via, Route,
    /// Record-Route and extensions. Fails, naming the field, where a value holds a CR, LF or NUL, or could not be read
    /// back as it is.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError<'a>> {
        let start = out.len();
        let written = message(out, self);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }
}

impl<'a> StartLine<'a> {
    /// Appends the line without its line end; appends nothing where it fails.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError<'a>> {
        match self {
            StartLine::Request(line) => line.write(out),
            StartLine::Status(line) => line.write(out),
        }
    }
}

impl<'a> RequestLine<'a> {
    /// Appends the line without its line end; appends nothing where it fails.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError<'a>> {
        start_line(out, |out| {
            token(out, self.method.as_bytes())?;
            out.push(b' ');
            uri::uri(out, &self.request_uri)?;
            out.push(b' ');
            values::version(out, self.version);
            Ok(())
        })
    }
}

impl<'a> StatusLine<'a> {
    /// Appends the line without its line end; appends nothing where it fails.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError<'a>> {
        start_line(out, |out| {
            if !(100..=699).contains(&self.status_code) {
                return Err(WriteReason::Number);
            }
            values::version(out, self.version);
            out.push(b' ');
            number(out, u64::from(self.status_code));
            out.push(b' ');
            // White space at its end is part of it (§7.2).
            plain_text(self.reason_phrase)?;
            out.extend_from_slice(self.reason_phrase);
            Ok(())
        })
    }
}

fn start_line<'a>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Written,
) -> Result<(), WriteError<'a>> {
    let start = out.len();
    write(out).map_err(|reason| {
        out.truncate(start);
        WriteError {
            field: Field::StartLine,
            reason,
        }
    })
}

fn message<'a>(out: &mut Vec<u8>, message: &Message<'a>) -> Result<(), WriteError<'a>> {
    let body = message.body.unwrap_or_default();
    out.reserve(1024 + body.len());
    message.start_line.write(out)?;
    out.extend_from_slice(b"\r\n");
    let mut lines = Lines {
        out,
        field: Field::Message,
    };
    header_fields(&mut lines, &message.headers).map_err(|reason| WriteError {
        field: lines.field,
        reason,
    })?;
    out.extend_from_slice(b"Content-Length: ");
    number(out, body.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    Ok(())
}

/// The header fields alone, Content-Length as it is given.
pub(crate) fn write_values<'a>(
    headers: &Headers<'a>,
    out: &mut Vec<u8>,
) -> Result<(), WriteError<'a>> {
    let mut lines = Lines {
        out,
        field: Field::Message,
    };
    let written = header_fields(&mut lines, headers);
    let written = written.and_then(|()| {
        lines.one(
            "Content-Length: ",
            &headers.content_length,
            |out, length| {
                number(out, u64::from(*length));
                Ok(())
            },
        )
    });
    written.map_err(|reason| WriteError {
        field: lines.field,
        reason,
    })
}

fn header_fields<'a>(lines: &mut Lines<'_, 'a>, headers: &Headers<'a>) -> Written {
    let challenge = |out: &mut Vec<u8>, auth: &Auth<'a>| auth::auth(out, auth, Role::Challenge);
    let credentials = |out: &mut Vec<u8>, auth: &Auth<'a>| auth::auth(out, auth, Role::Credentials);
    let plain = |out: &mut Vec<u8>, value: &&[u8]| token(out, value);
    let free = |out: &mut Vec<u8>, value: &&[u8]| text(out, value);
    let count = |out: &mut Vec<u8>, value: &u32| {
        number(out, u64::from(*value));
        Ok(())
    };

    lines.hops("Via: ", &headers.via, values::via)?;
    lines.hops("Route: ", &headers.route, values::name_addr)?;
    lines.hops("Record-Route: ", &headers.record_route, values::name_addr)?;
    lines.joined("Proxy-Require: ", &headers.proxy_require, plain)?;
    lines.one("Max-Forwards: ", &headers.max_forwards, |out, hops| {
        // §20.22
        match hops {
            0..=255 => count(out, hops),
            _ => Err(WriteReason::Number),
        }
    })?;
    lines.each(
        "Proxy-Authorization: ",
        &headers.proxy_authorization,
        credentials,
    )?;

    lines.one("From: ", &headers.from, values::name_addr)?;
    lines.one("To: ", &headers.to, values::name_addr)?;
    lines.one("Call-ID: ", &headers.call_id, values::call_id)?;
    lines.one("CSeq: ", &headers.cseq, values::cseq)?;
    match &headers.contact {
        Some(Contact::Star) => lines.out.extend_from_slice(b"Contact: *\r\n"),
        Some(Contact::Addresses(list)) => lines.all("Contact: ", list, values::contact_addr)?,
        None => {}
    }
    lines.one("Expires: ", &headers.expires, count)?;
    lines.one("Min-Expires: ", &headers.min_expires, count)?;

    lines.joined("Require: ", &headers.require, plain)?;
    lines.joined("Supported: ", &headers.supported, plain)?;
    lines.joined("Unsupported: ", &headers.unsupported, plain)?;
    lines.joined("Allow: ", &headers.allow, plain)?;
    lines.joined("Accept: ", &headers.accept, values::media_type)?;
    lines.joined(
        "Accept-Encoding: ",
        &headers.accept_encoding,
        values::token_params,
    )?;
    lines.joined(
        "Accept-Language: ",
        &headers.accept_language,
        values::token_params,
    )?;

    lines.each("Authorization: ", &headers.authorization, credentials)?;
    lines.one(
        "Authentication-Info: ",
        &headers.authentication_info,
        |out, params| match params {
            [] => Err(WriteReason::Empty),
            params => auth::params(out, params, Role::Credentials),
        },
    )?;
    lines.each("WWW-Authenticate: ", &headers.www_authenticate, challenge)?;
    lines.each(
        "Proxy-Authenticate: ",
        &headers.proxy_authenticate,
        challenge,
    )?;

    lines.each(
        "P-Asserted-Identity: ",
        &headers.p_asserted_identity,
        values::name_addr,
    )?;
    lines.one("Reply-To: ", &headers.reply_to, values::name_addr)?;
    lines.joined(
        "In-Reply-To: ",
        &headers.in_reply_to,
        values::call_id_in_list,
    )?;
    lines.each("Alert-Info: ", &headers.alert_info, values::info)?;
    lines.each("Call-Info: ", &headers.call_info, values::info)?;
    lines.each("Error-Info: ", &headers.error_info, values::info)?;
    lines.one("Subject: ", &headers.subject, free)?;
    lines.one("Priority: ", &headers.priority, plain)?;
    lines.one("Organization: ", &headers.organization, free)?;
    lines.one("Date: ", &headers.date, values::date)?;
    lines.one("Timestamp: ", &headers.timestamp, values::timestamp)?;
    lines.each("Reason: ", &headers.reason, values::reason)?;
    lines.one("Retry-After: ", &headers.retry_after, values::retry_after)?;
    lines.each("Warning: ", &headers.warning, values::warning)?;
    lines.one("Server: ", &headers.server, free)?;
    lines.one("User-Agent: ", &headers.user_agent, free)?;

    extensions(lines, headers)?;

    lines.one(
        "MIME-Version: ",
        &headers.mime_version,
        values::mime_version,
    )?;
    lines.one(
        "Content-Disposition: ",
        &headers.content_disposition,
        values::token_params,
    )?;
    lines.joined("Content-Encoding: ", &headers.content_encoding, plain)?;
    lines.joined("Content-Language: ", &headers.content_language, plain)?;
    lines.one("Content-Type: ", &headers.content_type, values::media_type)
}

/// Whatever has no typed value, as it is.
fn extensions<'a>(lines: &mut Lines<'_, 'a>, headers: &Headers<'a>) -> Written {
    for extension in &headers.extensions {
        let known = look_up(extension.name).and_then(|name| name.known);
        if known.is_some_and(|known| is_typed(headers, known)) {
            continue;
        }
        for value in &extension.values {
            let line = |out: &mut Vec<u8>| {
                token(out, extension.name)?;
                out.extend_from_slice(b": ");
                text(out, value)
            };
            if let Err(reason) = line(lines.out) {
                lines.field = Field::Header(extension.name);
                return Err(reason);
            }
            lines.out.extend_from_slice(b"\r\n");
        }
    }
    Ok(())
}

/// Whether the field is written from its typed value. Content-Length always is.
fn is_typed(headers: &Headers<'_>, known: Known) -> bool {
    match known {
        Known::Accept => headers.accept.is_some(),
        Known::AcceptEncoding => headers.accept_encoding.is_some(),
        Known::AcceptLanguage => headers.accept_language.is_some(),
        Known::AlertInfo => headers.alert_info.is_some(),
        Known::Allow => headers.allow.is_some(),
        Known::AuthenticationInfo => headers.authentication_info.is_some(),
        Known::Authorization => headers.authorization.is_some(),
        Known::CallId => headers.call_id.is_some(),
        Known::CallInfo => headers.call_info.is_some(),
        Known::Contact => headers.contact.is_some(),
        Known::ContentDisposition => headers.content_disposition.is_some(),
        Known::ContentEncoding => headers.content_encoding.is_some(),
        Known::ContentLanguage => headers.content_language.is_some(),
        Known::ContentLength => true,
        Known::ContentType => headers.content_type.is_some(),
        Known::CSeq => headers.cseq.is_some(),
        Known::Date => headers.date.is_some(),
        Known::ErrorInfo => headers.error_info.is_some(),
        Known::Expires => headers.expires.is_some(),
        Known::From => headers.from.is_some(),
        Known::InReplyTo => headers.in_reply_to.is_some(),
        Known::MaxForwards => headers.max_forwards.is_some(),
        Known::MimeVersion => headers.mime_version.is_some(),
        Known::MinExpires => headers.min_expires.is_some(),
        Known::Organization => headers.organization.is_some(),
        Known::PAssertedIdentity => headers.p_asserted_identity.is_some(),
        Known::Priority => headers.priority.is_some(),
        Known::ProxyAuthenticate => headers.proxy_authenticate.is_some(),
        Known::ProxyAuthorization => headers.proxy_authorization.is_some(),
        Known::ProxyRequire => headers.proxy_require.is_some(),
        Known::Reason => headers.reason.is_some(),
        Known::RecordRoute => headers.record_route.is_some(),
        Known::ReplyTo => headers.reply_to.is_some(),
        Known::Require => headers.require.is_some(),
        Known::RetryAfter => headers.retry_after.is_some(),
        Known::Route => headers.route.is_some(),
        Known::Server => headers.server.is_some(),
        Known::Subject => headers.subject.is_some(),
        Known::Supported => headers.supported.is_some(),
        Known::Timestamp => headers.timestamp.is_some(),
        Known::To => headers.to.is_some(),
        Known::Unsupported => headers.unsupported.is_some(),
        Known::UserAgent => headers.user_agent.is_some(),
        Known::Via => headers.via.is_some(),
        Known::Warning => headers.warning.is_some(),
        Known::WwwAuthenticate => headers.www_authenticate.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::WriteReason;
    use crate::header::{CSeq, Extension, NameAddr, Param, Via};
    use crate::message::{Arena, List, Method, Protocol, Version};
    use crate::uri::parse_uri;

    /// The INVITE of §24.2, F1, without its body.
    fn invite(arena: &Arena) -> Message<'_> {
        let uri = |text: &'static str| parse_uri(text.as_bytes()).unwrap();
        let address = |name: &'static str, text, params| NameAddr {
            display_name: name.as_bytes(),
            uri: uri(text),
            params,
        };
        let mut headers = Headers::new_in(arena);
        let via = Via {
            version: Version::SIP_2_0,
            protocol: Protocol::Udp,
            host: b"pc33.atlanta.com",
            port: None,
            params: &[Param {
                name: b"branch",
                value: Some(b"z9hG4bKnashds8"),
            }],
        };
        headers.via = Some(bumpalo::vec![in arena; via]);
        headers.max_forwards = Some(70);
        headers.to = Some(address("Bob", "sip:bob@biloxi.com", &[]));
        let tag = &[Param {
            name: b"tag",
            value: Some(b"1928301774"),
        }];
        headers.from = Some(address("Alice", "sip:alice@atlanta.com", tag));
        headers.call_id = Some(b"a84b4c76e66710");
        headers.cseq = Some(CSeq {
            number: 314159,
            method: Method::Invite,
        });
        let contact = address("", "sip:alice@pc33.atlanta.com", &[]);
        headers.contact = Some(Contact::Addresses(bumpalo::vec![in arena; contact]));
        Message {
            start_line: StartLine::Request(RequestLine {
                method: Method::Invite,
                request_uri: uri("sip:bob@biloxi.com"),
                version: Version::SIP_2_0,
            }),
            headers,
            body: None,
            defects: List::new_in(arena),
        }
    }

    fn text(message: &Message<'_>) -> String {
        let mut out = Vec::new();
        message.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn extension<'a>(arena: &'a Arena, name: &'a [u8], values: &[&'a [u8]]) -> Extension<'a> {
        Extension {
            name,
            values: List::from_iter_in(values.iter().copied(), arena),
        }
    }

    #[test]
    fn what_proxies_need_comes_first_7_3_1() {
        let arena = Arena::new();
        assert_eq!(
            text(&invite(&arena)),
            "INVITE sip:bob@biloxi.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8\r\n\
             Max-Forwards: 70\r\n\
             From: \"Alice\" <sip:alice@atlanta.com>;tag=1928301774\r\n\
             To: \"Bob\" <sip:bob@biloxi.com>\r\n\
             Call-ID: a84b4c76e66710\r\n\
             CSeq: 314159 INVITE\r\n\
             Contact: <sip:alice@pc33.atlanta.com>\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn content_length_is_that_of_the_body_in_bytes_20_14() {
        let arena = Arena::new();
        let mut message = invite(&arena);
        message.headers.content_length = Some(7);
        message.body = Some("é\r\n".as_bytes());
        assert!(text(&message).ends_with("\r\nContent-Length: 4\r\n\r\né\r\n"));
    }

    #[test]
    fn content_length_cannot_be_added_as_an_extension() {
        let arena = Arena::new();
        let mut message = invite(&arena);
        for name in [&b"Content-Length"[..], b"l", b"content-LENGTH"] {
            message
                .headers
                .extensions
                .push(extension(&arena, name, &[b"99"]));
        }
        assert_eq!(text(&message).matches("99").count(), 0);
    }

    #[test]
    fn a_typed_value_replaces_the_raw_one() {
        let arena = Arena::new();
        let mut message = invite(&arena);
        message
            .headers
            .extensions
            .push(extension(&arena, b"Expires", &[b"soon"]));
        assert!(text(&message).contains("\r\nExpires: soon\r\n"));
        message.headers.expires = Some(60);
        assert!(text(&message).contains("\r\nExpires: 60\r\n"));
        assert!(!text(&message).contains("soon"));
    }

    #[test]
    fn an_extension_with_several_values_has_several_lines() {
        let arena = Arena::new();
        let mut message = invite(&arena);
        message
            .headers
            .extensions
            .push(extension(&arena, b"X-A", &[b"1, 2", b"", b"3"]));
        assert!(text(&message).contains("\r\nX-A: 1, 2\r\nX-A: \r\nX-A: 3\r\n"));
    }

    #[test]
    fn empty_lists_are_empty_fields_but_for_the_hops() {
        let arena = Arena::new();
        let mut message = invite(&arena);
        message.headers.route = Some(List::new_in(&arena));
        message.headers.allow = Some(List::new_in(&arena));
        message.headers.warning = Some(List::new_in(&arena));
        let text = text(&message);
        assert!(text.contains("\r\nAllow: \r\n"));
        assert!(text.contains("\r\nWarning: \r\n"));
        assert!(!text.contains("Route"));
    }

    #[test]
    fn long_lists_take_lines_of_moderate_length() {
        let arena = Arena::new();
        let mut message = invite(&arena);
        let tokens = vec![&b"0123456789"[..]; 256];
        message.headers.supported = Some(List::from_iter_in(tokens, &arena));
        let text = text(&message);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("Supported: "))
            .collect();
        let values: usize = lines
            .iter()
            .map(|line| line[11..].split(", ").count())
            .sum();
        assert_eq!(values, 256);
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.len() <= 1024));
    }

    #[test]
    fn what_cannot_be_written_is_named_and_leaves_nothing() {
        let arena = Arena::new();
        let refused = |change: &dyn Fn(&mut Message<'_>)| {
            let mut message = invite(&arena);
            change(&mut message);
            let mut out = b"before".to_vec();
            let error = message.write(&mut out).unwrap_err();
            assert_eq!(out, b"before");
            (error.field, error.reason)
        };
        assert_eq!(
            refused(&|message| message.headers.subject = Some(b"x\r\nVia: y")),
            (Field::Header(b"Subject"), WriteReason::ControlCharacter)
        );
        assert_eq!(
            refused(&|message| message.headers.organization = Some(b" x")),
            (Field::Header(b"Organization"), WriteReason::WhiteSpace)
        );
        assert_eq!(
            refused(&|message| message.headers.authentication_info = Some(&[])),
            (Field::Header(b"Authentication-Info"), WriteReason::Empty)
        );
        assert_eq!(
            refused(&|message| {
                message.start_line = StartLine::Status(StatusLine {
                    version: Version::SIP_2_0,
                    status_code: 99,
                    reason_phrase: b"",
                })
            }),
            (Field::StartLine, WriteReason::Number)
        );
        assert_eq!(
            refused(&|message| {
                message.start_line = StartLine::Status(StatusLine {
                    version: Version::SIP_2_0,
                    status_code: 200,
                    reason_phrase: b"OK\n",
                })
            }),
            (Field::StartLine, WriteReason::ControlCharacter)
        );
        for name in [&b"X\r\nVia"[..], b"X-A\0"] {
            let mut message = invite(&arena);
            message
                .headers
                .extensions
                .push(extension(&arena, name, &[b"1"]));
            let error = message.write(&mut Vec::new()).unwrap_err();
            assert_eq!(error.field, Field::Header(name));
            assert_eq!(error.reason, WriteReason::ControlCharacter);
        }
    }
}
