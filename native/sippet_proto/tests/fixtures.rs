//! Judges the repository's own messages, one or more for each point of RFC 4475 and RFC 5118, as their index says.
//!
//! The Elixir suite reads the same files: test/fixtures/README.md tells what the index holds.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sippet_proto::error::Field;
use sippet_proto::header::{Contact, NameAddr, Param, param};
use sippet_proto::message::StartLine;
use sippet_proto::message::validate::{Invalid, validate};
use sippet_proto::{
    Arena, Framing, Limits, List, Message, Mode, Options, Reason, Uri, WriteReason, parse,
};

const DATAGRAM: Options = Options {
    framing: Framing::Datagram,
    mode: Mode::Lenient,
    limits: Limits::DEFAULT,
};
const STRICT: Options = Options {
    mode: Mode::Strict,
    ..DATAGRAM
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures")
}

/// Judges every row of an index; tells how many there are.
fn judge(document: &str) -> usize {
    let index = fs::read(folder().join(document).join("index.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&index).unwrap();
    for row in &rows {
        let name = row["name"].as_str().unwrap();
        let data = fs::read(folder().join(row["file"].as_str().unwrap())).unwrap();
        match row["verdict"].as_str().unwrap() {
            "valid" => valid(name, row, &data),
            "forgiven" => forgiven(name, row, &data),
            "invalid" => invalid(name, row, &data),
            other => panic!("{name}: unknown verdict {other}"),
        }
    }
    rows.len()
}

fn valid(name: &str, row: &Value, data: &[u8]) {
    let arena = Arena::new();
    let message = parse(data, &STRICT, &arena).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(validate(&message), Ok(()), "{name}");
    check(name, row, &message);
    round_trip(name, row, &message, &STRICT);
}

fn forgiven(name: &str, row: &Value, data: &[u8]) {
    let arena = Arena::new();
    let message =
        parse(data, &DATAGRAM, &arena).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(validate(&message), Ok(()), "{name}");
    let defects = message.defects.iter();
    let defects: Value = defects
        .map(|defect| json!([field(defect.field), defect.reason.name()]))
        .collect();
    assert_eq!(defects, row["defects"], "{name}");
    let first = (message.defects[0].reason, message.defects[0].offset);
    let error = parse(data, &STRICT, &arena).unwrap_err();
    assert_eq!((error.reason, error.offset), first, "{name}");
    check(name, row, &message);
    round_trip(name, row, &message, &DATAGRAM);
}

fn invalid(name: &str, row: &Value, data: &[u8]) {
    let arena = Arena::new();
    let result = parse(data, &DATAGRAM, &arena);
    if row["fault"] == "cseq_method" {
        assert_eq!(
            validate(&result.unwrap()),
            Err(Invalid::CSeqMethod),
            "{name}"
        );
        return;
    }
    let error = result.unwrap_err();
    let found = json!({
        "field": field(error.field),
        "reason": error.reason.name(),
        "status_code": error.status_code(),
    });
    assert_eq!(found, row["error"], "{name}");
    assert!(error.offset <= data.len(), "{name}");
}

fn round_trip(name: &str, row: &Value, message: &Message<'_>, options: &Options) {
    let arena = Arena::new();
    let mut written = Vec::new();
    if row["written"] == false {
        let error = message.write(&mut written).unwrap_err();
        assert_eq!(error.reason, WriteReason::ControlCharacter, "{name}");
        return;
    }
    message.write(&mut written).unwrap();
    let again = parse(&written, options, &arena)
        .unwrap_or_else(|error| panic!("{name}: {error:?} in {}", written.escape_ascii()));
    check(name, row, &again);
}

fn field(field: Field<'_>) -> Value {
    match field {
        Field::StartLine => "start_line".into(),
        Field::Header(name) => text(name),
        Field::Body => "body".into(),
        Field::Message => Value::Null,
    }
}

fn check(name: &str, row: &Value, message: &Message<'_>) {
    let expected = row["expect"].as_object().unwrap();
    assert!(!expected.is_empty(), "{name}");
    for (fact, expected) in expected {
        let found = match fact.as_str() {
            "fields" => fields(expected, message),
            fact => fact_of(fact, message),
        };
        assert_eq!(found, *expected, "{name}: {fact}");
    }
}

fn fact_of(fact: &str, message: &Message<'_>) -> Value {
    let headers = &message.headers;
    let line = message.request_line();
    let vias = headers.via.as_ref().unwrap();
    match fact {
        "method" => text(line.unwrap().method.as_bytes()),
        "request_uri" => uri(&line.unwrap().request_uri),
        "user" => text(line.unwrap().request_uri.userinfo.unwrap()),
        "host" => text(line.unwrap().request_uri.host.unwrap()),
        "port" => line.unwrap().request_uri.port.unwrap_or(5060).into(),
        "status_code" => message.status_code().into(),
        "reason_phrase" => match message.start_line {
            StartLine::Status(line) => text(line.reason_phrase),
            StartLine::Request(_) => Value::Null,
        },
        "vias" => {
            let hop = |via: &sippet_proto::header::Via<'_>| {
                json!([text(via.protocol.as_bytes()), text(via.host)])
            };
            vias.iter().map(hop).collect()
        }
        "branch" => vias[0].branch().map(text).into(),
        "received" => param(vias[0].params, b"received")
            .flatten()
            .map(text)
            .into(),
        "from" => address(&headers.from.unwrap()),
        "to" => address(&headers.to.unwrap()),
        "call_id" => text(headers.call_id.unwrap()),
        "cseq" => {
            let cseq = headers.cseq.unwrap();
            json!([cseq.number, text(cseq.method.as_bytes())])
        }
        "max_forwards" => headers.max_forwards.into(),
        "contacts" => match &headers.contact {
            Some(Contact::Addresses(list)) => list
                .iter()
                .map(|address| {
                    let name = text(address.display_name);
                    json!([name, uri(&address.uri), params(address.params)])
                })
                .collect(),
            other => panic!("{other:?}"),
        },
        "routes" => uris(&headers.route),
        "record_routes" => uris(&headers.record_route),
        "require" => tokens(&headers.require),
        "proxy_require" => tokens(&headers.proxy_require),
        "accept" => {
            let kinds = headers.accept.iter().flatten();
            kinds.map(|media| kind(media.kind, media.subtype)).collect()
        }
        "content_type" => {
            let media = headers.content_type.unwrap();
            kind(media.kind, media.subtype)
        }
        "authorization" => {
            let credentials = headers.authorization.iter().flatten();
            let pair = |auth: &sippet_proto::header::Auth<'_>| {
                json!([text(auth.scheme), params(auth.params)])
            };
            credentials.map(pair).collect()
        }
        "subject" => text(headers.subject.unwrap()),
        "body_bytes" => message.body.unwrap().len().into(),
        other => panic!("unknown fact {other}"),
    }
}

/// The values of the fields that the index names.
fn fields(expected: &Value, message: &Message<'_>) -> Value {
    let names = expected.as_object().unwrap().keys();
    let values = |name: &String| -> Value {
        let extensions = message.headers.extensions.iter();
        let mut same = extensions.filter(|extension| extension.name == name.as_bytes());
        let values = same.next().unwrap().values.iter();
        values.map(|value| text(value)).collect()
    };
    let pairs = names.map(|name| (name.clone(), values(name)));
    Value::Object(pairs.collect())
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).unwrap().into()
}

fn kind(kind: &[u8], subtype: &[u8]) -> Value {
    text(&[kind, b"/", subtype].concat())
}

fn uri(uri: &Uri<'_>) -> Value {
    let mut written = Vec::new();
    uri.write(&mut written).unwrap();
    text(&written)
}

fn address(address: &NameAddr<'_>) -> Value {
    let tag = address.tag().map(text);
    json!([text(address.display_name), uri(&address.uri), tag])
}

fn uris(list: &Option<List<'_, NameAddr<'_>>>) -> Value {
    let addresses = list.iter().flatten();
    addresses.map(|address| uri(&address.uri)).collect()
}

fn tokens(list: &Option<List<'_, &[u8]>>) -> Value {
    list.iter().flatten().map(|token| text(token)).collect()
}

fn params(params: &[Param<'_>]) -> Value {
    let pair = |param: &Param<'_>| {
        let name = std::str::from_utf8(param.name).unwrap().to_owned();
        (name, text(param.value.unwrap_or_default()))
    };
    Value::Object(params.iter().map(pair).collect())
}

#[test]
fn every_point_of_rfc_4475() {
    assert!(judge("rfc4475") >= 49);
}

#[test]
fn every_point_of_rfc_5118() {
    assert!(judge("rfc5118") >= 12);
}

#[test]
fn every_reason_of_an_index_is_one_of_ours() {
    for document in ["rfc4475", "rfc5118"] {
        let index = fs::read(folder().join(document).join("index.json")).unwrap();
        let rows: Vec<Value> = serde_json::from_slice(&index).unwrap();
        for row in rows.iter().filter(|row| row["error"].is_object()) {
            let reason = row["error"]["reason"].as_str().unwrap();
            let known = Reason::ALL.iter().any(|known| known.name() == reason);
            assert!(known, "{}: {reason}", row["name"]);
        }
    }
}
