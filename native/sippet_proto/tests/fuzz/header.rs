//! The first byte names a header field, the rest is its value; a record separator (1E) begins a line more. Read alone and
//! inside a message; what is read is written, and read back as the same.

use sippet_proto::error::Field;
use sippet_proto::header::extension::{
    Shape, names, parse as parse_extension, parse_known, write, write_known,
};
use sippet_proto::{Arena, Limits, Options, WriteError, WriteReason, parse};

/// The fields of the documented table.
const KNOWN: [&str; 46] = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Alert-Info",
    "Allow",
    "Authentication-Info",
    "Authorization",
    "Call-ID",
    "Call-Info",
    "Contact",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "CSeq",
    "Date",
    "Error-Info",
    "Expires",
    "From",
    "In-Reply-To",
    "Max-Forwards",
    "MIME-Version",
    "Min-Expires",
    "Organization",
    "P-Asserted-Identity",
    "Priority",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Require",
    "Reason",
    "Record-Route",
    "Reply-To",
    "Require",
    "Retry-After",
    "Route",
    "Server",
    "Subject",
    "Supported",
    "Timestamp",
    "To",
    "Unsupported",
    "User-Agent",
    "Via",
    "Warning",
    "WWW-Authenticate",
];

pub fn judge(data: &[u8]) {
    let Some((first, value)) = data.split_first() else {
        return;
    };
    let values: Vec<&[u8]> = value.split(|byte| *byte == 0x1e).collect();
    // From the space on, so that a seed can be read.
    let number = usize::from(first.wrapping_sub(b' '));
    let known = KNOWN.get(number).map(|name| name.as_bytes());
    let extension = || {
        names()
            .nth((number - KNOWN.len()) % names().count())
            .unwrap()
    };
    let name = match known {
        Some(name) => {
            alone(name, &values);
            name
        }
        None => {
            let (name, shape) = extension();
            typed(name, shape, &values);
            name
        }
    };
    in_a_message(name, &values);
}

/// A NUL in a quoted pair is read (RFC 4475 §3.1.1.2), and never written.
fn is_refused_nul(error: WriteError<'_>, values: &[&[u8]]) -> bool {
    error.reason == WriteReason::ControlCharacter && values.iter().any(|value| value.contains(&0))
}

/// Each line without its end.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| line.strip_suffix(b"\r\n").expect("a line end"))
        .collect()
}

fn alone(name: &'static [u8], values: &[&[u8]]) {
    let (arena, limits) = (Arena::new(), Limits::DEFAULT);
    let room: usize = values.iter().map(|value| value.len() + 1).sum();
    let headers = match parse_known(name, values, &limits, &arena).unwrap() {
        Ok(headers) => headers,
        Err(error) => {
            assert_eq!(error.field, Field::Header(name));
            return assert!(error.offset <= room);
        }
    };
    let mut out = Vec::new();
    if let Err(error) = write_known(&headers, &mut out) {
        assert!(is_refused_nul(error, values), "{error:?}");
        return assert!(out.is_empty());
    }
    let prefix = [name, b": "].concat();
    let lines = lines(&out).into_iter();
    let written = lines.map(|line| line.strip_prefix(&*prefix).expect("the name"));
    let written: Vec<&[u8]> = written.collect();
    // An empty list has no line.
    if !written.is_empty() {
        let again = parse_known(name, &written, &limits, &arena).unwrap();
        assert_eq!(again.as_ref(), Ok(&headers), "{}", out.escape_ascii());
    }
}

fn typed(name: &'static [u8], shape: Shape, values: &[&[u8]]) {
    let (arena, limits) = (Arena::new(), Limits::DEFAULT);
    let room: usize = values.iter().map(|value| value.len() + 1).sum();
    let value = match parse_extension(name, shape, values, &limits, &arena) {
        Ok(value) => value,
        Err(error) => {
            assert_eq!(error.field, Field::Header(name));
            return assert!(error.offset <= room);
        }
    };
    let mut out = Vec::new();
    if let Err(error) = write(name, shape, &value, &mut out) {
        assert!(is_refused_nul(error, values), "{error:?}");
        return assert!(out.is_empty());
    }
    let again = parse_extension(name, shape, &lines(&out), &limits, &arena);
    assert_eq!(again.as_ref(), Ok(&value), "{}", out.escape_ascii());
}

/// Where the parser of messages takes the field, it does no harm to those beside it.
fn in_a_message(name: &[u8], values: &[&[u8]]) {
    let mut text = b"OPTIONS sip:a SIP/2.0\r\n".to_vec();
    for value in values {
        text.extend_from_slice(&[name, b":", value, b"\r\n"].concat());
    }
    text.extend_from_slice(b"X-Last: kept\r\n\r\n");
    let arena = Arena::new();
    let Ok(message) = parse(&text, &Options::default(), &arena) else {
        return;
    };
    if message.body == Some(b"") {
        let mut extensions = message.headers.extensions.iter();
        let last = extensions.find(|field| field.name == b"X-Last");
        assert_eq!(
            last.expect("the last field").values.last(),
            Some(&&b"kept"[..])
        );
    }
}
