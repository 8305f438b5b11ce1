//! Judges every row of the corpus: RFC 4475 and 5118, call flows, messages of real devices, the robustness set.
//!
//! Streams, and datagrams with a Content-Length, are framed in pieces of several sizes too.

mod corpus;

use std::time::{Duration, Instant};

use serde_json::Value;
use sippet_proto::header::{Contact, NameAddr, param};
use sippet_proto::message::lines::Lines;
use sippet_proto::message::validate::validate;
use sippet_proto::{
    Arena, Frame, Framer, Framing, Limits, List, Message, Mode, Options, Reason, Uri, parse,
};

/// Rows that are valid by their index but larger than our default limits: refused, and taken with other limits.
const BEYOND_LIMITS: &[(&str, Reason, &str)] = &[
    (
        "size-70-via",
        Reason::TooManyValues,
        "64 hops; §16.3 item 3 and §21.5.14 leave the bound to the element",
    ),
    (
        "bomb-backslash",
        Reason::LineTooLong,
        "8 KiB a header field; §21.5.14 leaves the bound to the element",
    ),
];

/// Limits with which they are taken.
const WIDER: Limits = Limits {
    max_hops: 128,
    max_line_bytes: 64 * 1024,
    ..Limits::DEFAULT
};

const DATAGRAM: Options = Options {
    framing: Framing::Datagram,
    mode: Mode::Lenient,
    limits: Limits::DEFAULT,
};

fn beyond_limits(name: &str) -> Option<&'static (&'static str, Reason, &'static str)> {
    BEYOND_LIMITS.iter().find(|(beyond, ..)| *beyond == name)
}

fn judge_folder(name: &str) {
    let Some(corpus) = corpus::path() else { return };
    let folder = corpus.join(name);
    let mut failures = Vec::new();
    let mut judged = 0;
    let mut framed = 0;
    for row in corpus::rows(&folder) {
        judged += 1;
        let data = corpus::data(&folder, &row);
        let start = Instant::now();
        if let Err(why) = judge(&row, &data) {
            failures.push(format!("{}: {why}", row["name"]));
        }
        match judge_framing(&row, &data) {
            Ok(is_framed) => framed += usize::from(is_framed),
            Err(why) => failures.push(format!("{}: {why}", row["name"])),
        }
        if start.elapsed() > Duration::from_secs(1) {
            failures.push(format!("{}: slow", row["name"]));
        }
    }
    corpus::say(&format!(
        "{name}: {judged} rows judged, {framed} of them as streams too"
    ));
    assert!(framed > 0, "nothing framed in {name}");
    assert!(judged > 0, "no rows in {name}");
    assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n"));
}

fn judge(row: &Value, data: &[u8]) -> Result<(), String> {
    let arena = Arena::new();
    let name = row["name"].as_str().unwrap();
    let mut options = DATAGRAM;
    if let Some((_, reason, _)) = beyond_limits(name) {
        let error = parse(data, &options, &arena).map(|_| ()).unwrap_err();
        if error.reason != *reason || error.status_code() != 513 {
            return Err(format!("refused for another reason: {error}"));
        }
        options.limits = WIDER;
    }
    let result = parse(data, &options, &arena);
    // None of these may panic, whatever the verdict.
    for framing in [Framing::Whole, Framing::Datagram] {
        let strict = Options {
            framing,
            mode: Mode::Strict,
            ..options
        };
        let _ = parse(data, &strict, &arena);
    }
    let whole = Options {
        framing: Framing::Whole,
        ..options
    };
    let whole = parse(data, &whole, &arena);
    // Where messages end on a stream is the framer's to say, in `judge_framing`; here they only must do no harm.
    if row["framing"] == "stream" {
        return Ok(());
    }
    match row["verdict"].as_str().unwrap() {
        "valid" => {
            check_facts(
                &row["expect"],
                data,
                &result.map_err(|error| error.to_string())?,
            )?;
            whole.map(|_| ()).map_err(|error| format!("whole: {error}"))
        }
        "invalid" => match result {
            Ok(message) if validate(&message).is_ok() => Err("accepted".to_owned()),
            Err(error) if error.offset > data.len() => Err("offset beyond the end".to_owned()),
            _ => Ok(()),
        },
        "either" => Ok(()),
        other => Err(format!("unknown verdict {other}")),
    }
}

/// Streams, and every valid datagram with a Content-Length, which must be framed alike in pieces of any size. Tells whether it was
/// one of these.
fn judge_framing(row: &Value, data: &[u8]) -> Result<bool, String> {
    let verdict = row["verdict"].as_str().unwrap();
    let expect = &row["expect"];
    let is_stream = row["framing"] == "stream";
    if !is_stream && (verdict != "valid" || !expect["content_length"].is_u64()) {
        return Ok(false);
    }
    let limits = match beyond_limits(row["name"].as_str().unwrap()) {
        Some(_) => WIDER,
        None => Limits::DEFAULT,
    };
    let found = framed(data, data.len(), limits);
    for length in [1, 2, 3, 7] {
        if framed(data, length, limits) != found {
            return Err(format!("framed otherwise in pieces of {length}"));
        }
    }
    match (is_stream, verdict) {
        (true, "valid") => check_stream(expect, &found)?,
        (true, "invalid") if found.broken.is_none() => return Err("framed".to_owned()),
        (true, _) => {}
        (false, _) => {
            let start = data.iter().position(|byte| !byte.is_ascii_whitespace());
            let message = &data[start.unwrap()..];
            let is_end = |bytes: &[u8]| bytes == b"\r\n\r\n";
            let head = message.windows(4).position(is_end).unwrap() + 4;
            let length = expect["content_length"].as_u64().unwrap();
            let end = head + usize::try_from(length).unwrap();
            if found.messages.first().map(|message| &message[..]) != message.get(..end) {
                return Err("framed in another place".to_owned());
            }
        }
    }
    Ok(true)
}

fn check_stream(expect: &Value, found: &Framed) -> Result<(), String> {
    if found.broken.is_some() || expect["messages"] != found.messages.len() {
        return Err(format!("expected {expect}, found {found:?}"));
    }
    if found.is_pending != (expect["pending"] == true) {
        return Err(format!("something is left: {}", found.is_pending));
    }
    let kinds = expect["statuses_or_methods"]
        .as_array()
        .into_iter()
        .flatten();
    for (kind, message) in kinds.zip(&found.messages) {
        let arena = Arena::new();
        let message = parse(message, &DATAGRAM, &arena).map_err(|error| error.to_string())?;
        let is_kind = match message.request_line() {
            Some(line) => text(line.method.as_bytes()) == *kind,
            None => Value::from(message.status_code()) == *kind,
        };
        if !is_kind {
            return Err(format!("expected {kind}, found {message:?}"));
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Framed {
    messages: Vec<Vec<u8>>,
    broken: Option<Reason>,
    is_pending: bool,
}

fn framed(data: &[u8], length: usize, limits: Limits) -> Framed {
    let mut framer = Framer::new(limits);
    let mut messages = Vec::new();
    let mut broken = None;
    for mut piece in data.chunks(length) {
        while let Some(frame) = framer.next(0, &mut piece) {
            match frame {
                Frame::Message(message) => messages.push(message.into_owned()),
                Frame::Broken(found) => broken = Some(found.error.reason),
                Frame::Ping | Frame::Pong => {}
            }
        }
    }
    Framed {
        messages,
        broken,
        is_pending: framer.deadline().is_some(),
    }
}

fn check_facts(expect: &Value, data: &[u8], message: &Message<'_>) -> Result<(), String> {
    for (fact, expected) in expect.as_object().into_iter().flatten() {
        if let Some(found) = fact_of(fact, expected, data, message)
            && found != *expected
        {
            return Err(format!("{fact}: expected {expected}, found {found}"));
        }
    }
    Ok(())
}

/// A fact as the index writes it; `None` for facts about what is not parsed here (bodies, answers).
fn fact_of(fact: &str, expected: &Value, data: &[u8], message: &Message<'_>) -> Option<Value> {
    let headers = &message.headers;
    let request = message.request_line();
    let contacts = match &headers.contact {
        Some(Contact::Addresses(addresses)) => &addresses[..],
        _ => &[],
    };
    let routes = |list: &Option<sippet_proto::List<'_, NameAddr<'_>>>| {
        list.as_ref().map_or(0, |list| list.len()).into()
    };
    let uri = request.map(|line| line.request_uri);
    Some(match fact {
        "method" => text(request?.method.as_bytes()),
        "request_uri" => uri_text(&uri?),
        "request_uri_scheme" => text(uri?.scheme),
        "request_uri_host" => host_text(uri?.host?),
        "request_uri_port" => uri?.port.into(),
        "request_uri_user_raw" => text(uri?.userinfo?),
        "request_uri_user_decoded" => decoded(&uri?),
        "from_uri_user_raw" => text(headers.from?.uri.userinfo?),
        "from_uri_user_decoded" => decoded(&headers.from?.uri),
        "to_uri_user_decoded" => decoded(&headers.to?.uri),
        "status" => message.status_code().into(),
        "reason" => match message.start_line {
            sippet_proto::message::StartLine::Status(line) => text(line.reason_phrase),
            _ => return None,
        },
        "header_rows" => Lines::new(data)?.count().into(),
        "via_count" => headers.via.as_ref()?.len().into(),
        "via_transports" => {
            let vias = headers.via.as_ref()?.iter();
            vias.map(|via| text(via.protocol.as_bytes())).collect()
        }
        "top_via" => return top_via(expected, message),
        "contact_count" if matches!(headers.contact, Some(Contact::Star)) => 1.into(),
        "contact_count" => contacts.len().into(),
        "contact_uri" => uri_text(&contacts.first()?.uri),
        "contact_uri_host" => host_text(contacts.first()?.uri.host?),
        "contact_params" => {
            let params = contacts.first()?.params.iter();
            params.map(|param| text(param.name)).collect()
        }
        "contact_uri_users_raw" => {
            let users = contacts.iter().filter_map(|contact| contact.uri.userinfo);
            users.map(text).collect()
        }
        "route_count" => routes(&headers.route),
        "record_route_count" => routes(&headers.record_route),
        "from_uri" => uri_text(&headers.from?.uri),
        "from_tag" => headers.from?.tag().map(text).into(),
        "from_display" => return display(expected, &headers.from?),
        "to_uri" => uri_text(&headers.to?.uri),
        "to_tag" => headers.to?.tag().map(text).into(),
        "to_display" => return display(expected, &headers.to?),
        "call_id" => text(headers.call_id?),
        "cseq_number" => headers.cseq?.number.into(),
        "cseq_method" => text(headers.cseq?.method.as_bytes()),
        "max_forwards" => headers.max_forwards.into(),
        "content_type" => {
            let kind = text(headers.content_type?.kind);
            let subtype = text(headers.content_type?.subtype);
            let found = format!("{}/{}", kind.as_str()?, subtype.as_str()?);
            let essence = expected.as_str()?.split(';').next()?.trim();
            return same(expected, found.eq_ignore_ascii_case(essence), found);
        }
        "content_length" => headers.content_length.into(),
        "body_length" => message.body?.len().into(),
        "octets_after_blank_line" => {
            let mut lines = Lines::new(data)?;
            lines.by_ref().for_each(drop);
            (data.len() - lines.body_offset()?).into()
        }
        _ => return None,
    })
}

/// The expected value itself if the found one means the same.
fn same(expected: &Value, is_same: bool, found: String) -> Option<Value> {
    Some(if is_same {
        expected.clone()
    } else {
        found.into()
    })
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn uri_text(uri: &Uri<'_>) -> Value {
    let parts = [
        Some(uri.scheme),
        Some(&b":"[..]),
        uri.authority,
        uri.parameters,
        uri.headers,
    ];
    let parts: Vec<&[u8]> = parts.into_iter().flatten().collect();
    text(&parts.concat())
}

fn host_text(host: &[u8]) -> Value {
    match host.contains(&b':') {
        true => text(&[&b"["[..], host, b"]"].concat()),
        false => text(host),
    }
}

fn decoded(uri: &Uri<'_>) -> Value {
    let mut user = Vec::new();
    let mut rest = uri.userinfo.unwrap_or_default();
    while let [first, behind @ ..] = rest {
        if let [b'%', high, low, behind @ ..] = rest {
            let digits = [*high, *low];
            let digits = std::str::from_utf8(&digits).unwrap();
            user.push(u8::from_str_radix(digits, 16).unwrap());
            rest = behind;
        } else {
            user.push(*first);
            rest = behind;
        }
    }
    text(&user)
}

/// Expected display names are as written; ours have no quotes.
fn display(expected: &Value, address: &NameAddr<'_>) -> Option<Value> {
    let written = expected.as_str().unwrap_or_default();
    let bare = written
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let meant = match bare {
        None => written.to_owned(),
        Some(bare) => {
            let mut meant = String::new();
            let mut letters = bare.chars();
            while let Some(letter) = letters.next() {
                meant.extend(if letter == '\\' {
                    letters.next()
                } else {
                    Some(letter)
                });
            }
            meant
        }
    };
    let found = String::from_utf8_lossy(address.display_name).into_owned();
    same(expected, found == meant, found)
}

fn top_via(expected: &Value, message: &Message<'_>) -> Option<Value> {
    let via = message.headers.via.as_ref()?.first()?;
    let value = |name: &str| param(via.params, name.as_bytes()).flatten();
    let mut found = expected.clone();
    let protocol = text(via.protocol.as_bytes());
    if !expected["transport"]
        .as_str()?
        .eq_ignore_ascii_case(protocol.as_str()?)
    {
        found["transport"] = protocol;
    }
    found["host"] = host_text(via.host);
    found["port"] = via.port.into();
    match via.branch() {
        Some(branch) => found["branch"] = text(branch),
        None => drop(found.as_object_mut()?.remove("branch")),
    }
    if let Some(received) = expected["received"].as_str() {
        let bare = received.trim_start_matches('[').trim_end_matches(']');
        if value("received") != Some(bare.as_bytes()) {
            found["received"] = value("received").map(text).into();
        }
    }
    Some(found)
}

#[test]
fn rfc_4475() {
    judge_folder("rfc4475");
}

#[test]
fn rfc_5118() {
    judge_folder("rfc5118");
}

#[test]
fn call_flows() {
    judge_folder("flows");
}

#[test]
fn messages_of_real_devices() {
    judge_folder("wild");
}

#[test]
fn robustness() {
    judge_folder("robustness");
}

#[test]
fn every_row_beyond_the_limits_exists() {
    let Some(corpus) = corpus::path() else { return };
    let rows = corpus::rows(&corpus.join("robustness"));
    for (name, _, why) in BEYOND_LIMITS {
        assert!(rows.iter().any(|row| row["name"] == *name), "{name}: {why}");
    }
}

/// The variants of a message that mean the same: other names, spaces, folds, line ends and orders.
#[test]
fn variants_of_a_message_are_the_same_message_7_3_1() {
    let Some(corpus) = corpus::path() else { return };
    let folder = corpus.join("rfc4475");
    let rows = corpus::rows(&folder);
    let mut compared = 0;
    for row in &rows {
        let variant = row["variant"].as_str().unwrap_or("cut-half");
        // These lack a part.
        if matches!(variant, "cut-half" | "no-blank") {
            continue;
        }
        let base = rows.iter().find(|other| other["name"] == row["base"]);
        let base = corpus::data(&folder, base.unwrap());
        let data = corpus::data(&folder, row);
        let arena = Arena::new();
        let meaning = |data| meaning(parse(data, &DATAGRAM, &arena).unwrap(), &arena);
        assert_eq!(meaning(&data), meaning(&base), "{}", row["name"]);
        compared += 1;
    }
    corpus::say(&format!("rfc4475: {compared} variants compared"));
    assert!(compared > 0);
}

/// A message without what its variants may have: other letters in names that nobody knows, and a field of their own.
fn meaning<'a>(mut message: Message<'a>, arena: &'a Arena) -> (Message<'a>, Vec<(String, Value)>) {
    message.defects.clear();
    let extensions = std::mem::replace(&mut message.headers.extensions, List::new_in(arena));
    let texts = |values: &[&[u8]]| values.iter().map(|value| text(value)).collect();
    let mut fields: Vec<(String, Value)> = extensions
        .iter()
        .map(|field| {
            let name = String::from_utf8_lossy(field.name).to_lowercase();
            (name, texts(&field.values))
        })
        .filter(|(name, _)| name != "x-unknown-field")
        .collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    (message, fields)
}
