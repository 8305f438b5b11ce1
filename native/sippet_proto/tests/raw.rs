//! Work on raw bytes agrees with the parser, and takes any bytes.

mod generate;

use std::net::SocketAddr;

use generate::{Generator, Matter};
use proptest::prelude::*;
use sippet_proto::header::param;
use sippet_proto::message::reply::{Reply, Salvage, write_reply};
use sippet_proto::message::stamp::{stamp_received, topmost_via};
use sippet_proto::{Arena, Options, parse};

const REPLY: Reply<'_> = Reply {
    status_code: 400,
    reason_phrase: b"Bad Request",
    to_tag: Some(b"a6c85cf"),
    extra: &[],
};

const SOURCES: &[&str] = &["192.0.2.7:5060", "[2001:db8::7]:5070"];

const PIECES: &[&[u8]] = &[
    b"Via: SIP/2.0/UDP a",
    b"v:SIP/2.0/TCP [::1]:5060",
    b"SIP / 2.0 / UDP ",
    b"\r\n",
    b"\r\n ",
    b"\n",
    b"\r",
    b";",
    b",",
    b"=",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"/",
    b":",
    b"[",
    b"]",
    b";rport",
    b";rport=abc",
    b";received=1.2.3.4",
    b";branch=z9hG4bK",
    b"From: <sip:a@b>;tag=1",
    b"To: sip:a@b",
    b";tag=",
    b"Call-ID: 1",
    b"CSeq: 1 INVITE",
    b"Timestamp: 1",
    b"\0",
    b" ",
    b"65536",
    b"5070",
];

const STARTS: &[&str] = &[
    "",
    "ACK\r\n",
    "SIP/2.0 200 OK\r\n",
    "INVITE sip:b SIP/2.0\r\n",
    "INVITE sip:b SIP/2.0\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1\r\nVia: SIP/2.0/UDP ",
    "INVITE sip:b SIP/2.0\r\nFrom: a\r\nVia: SIP/2.0/UDP d\r\nCall-ID: c\r\nCSeq: 1\r\nTo: ",
];

/// Bytes that look like a message to those who do not look closely.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    (
        prop::sample::select(STARTS),
        prop::collection::vec(piece, 0..40),
    )
        .prop_map(|(start, pieces)| [start.as_bytes().to_vec(), pieces.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken(data in nearly_a_message(), source in 0..2usize, force in any::<bool>()) {
        let source: SocketAddr = SOURCES[source].parse().unwrap();
        let mut stamped = b"kept".to_vec();
        let via = stamp_received(&mut stamped, &data, source, force);
        let stamped = stamped.strip_prefix(b"kept").unwrap();
        prop_assert_eq!(&via, &topmost_via(&data));
        match via {
            None => prop_assert_eq!(stamped, &data[..]),
            Some(_) => {
                let mut again = Vec::new();
                stamp_received(&mut again, stamped, source, force);
                prop_assert_eq!(stamped, &again[..], "stamping twice is stamping once");
            }
        }
        if let Some(salvage) = Salvage::scan(&data) {
            let mut out = Vec::new();
            write_reply(&mut out, &salvage, &REPLY).unwrap();
            let answer = Salvage::scan_response(&out).unwrap();
            prop_assert!(!answer.call_id.is_empty());
            prop_assert_eq!(salvage.has_to_tag(), !answer.to.ends_with(b";tag=a6c85cf"));
            // No line of the answer comes from within a value, and nothing follows its end.
            prop_assert!(out.ends_with(b"\r\nContent-Length: 0\r\n\r\n"));
            let lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').collect();
            for line in &lines[1..lines.len() - 7] {
                prop_assert!(line.starts_with(b"Via: "), "{}", out.escape_ascii());
            }
        }
    }

    #[test]
    fn stamps_are_read_as_they_should(
        random in prop::collection::vec(any::<u8>(), 0..2_000), source in 0..2usize, force in any::<bool>(),
    ) {
        let arena = Arena::new();
        let mut message = Generator::new(&random, Matter::Fit, &arena).message();
        let source: SocketAddr = SOURCES[source].parse().unwrap();
        let mut data = Vec::new();
        message.write(&mut data).unwrap();
        let mut stamped = Vec::new();
        let via = stamp_received(&mut stamped, &data, source, force);
        let mut read = parse(&stamped, &Options::default(), &arena).unwrap();
        prop_assert_eq!(read.body, Some(message.body.unwrap_or_default()));
        let (Some(before), Some(after)) = (message.headers.via.take(), read.headers.via.take()) else {
            prop_assert_eq!(via, None);
            return Ok(());
        };
        let via = via.unwrap();
        prop_assert_eq!(via.protocol, before[0].protocol.as_bytes());
        prop_assert_eq!((via.host, via.port), (before[0].host, before[0].port));
        prop_assert_eq!(&before[1..], &after[1..]);
        let asked = param(before[0].params, b"rport").is_some();
        prop_assert_eq!(via.rport, asked);
        let address = source.ip().to_string();
        let port = source.port().to_string();
        let is_other = std::str::from_utf8(via.host).unwrap().parse() != Ok(source.ip());
        let received = (asked || force || is_other).then_some(Some(address.as_bytes()));
        let rport = (asked || force).then_some(Some(port.as_bytes()));
        prop_assert_eq!(param(after[0].params, b"received"), received);
        prop_assert_eq!(param(after[0].params, b"rport"), rport);
        for kept in before[0].params {
            if kept.name != b"received" && kept.name != b"rport" {
                prop_assert_eq!(param(after[0].params, kept.name), Some(kept.value));
            }
        }
        read.headers.content_length = None;
        prop_assert_eq!(read.headers, message.headers);
        prop_assert_eq!(read.start_line, message.start_line);
    }

    #[test]
    fn what_is_salvaged_is_what_would_be_parsed(random in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let arena = Arena::new();
        let message = Generator::new(&random, Matter::Fit, &arena).message();
        let mut data = Vec::new();
        message.write(&mut data).unwrap();
        let line = message.request_line().copied();
        let headers = message.headers;
        let (Some(via), Some(from), Some(to), Some(call_id), Some(cseq), Some(line)) =
            (headers.via, headers.from, headers.to, headers.call_id, headers.cseq, line)
        else {
            return Ok(());
        };
        let Some(salvage) = Salvage::scan(&data) else {
            prop_assert_eq!(line.method.as_bytes(), b"ACK");
            return Ok(());
        };
        prop_assert_eq!(salvage.from_tag(), from.tag());
        prop_assert_eq!(salvage.branch(), via[0].branch());
        let mut out = Vec::new();
        write_reply(&mut out, &salvage, &REPLY).unwrap();
        let answer = parse(&out, &Options::default(), &arena).unwrap().headers;
        prop_assert_eq!(answer.via.as_ref(), Some(&via));
        prop_assert_eq!(answer.from, Some(from));
        prop_assert_eq!(answer.call_id, Some(call_id));
        prop_assert_eq!(answer.cseq, Some(cseq));
        let answered = answer.to.unwrap();
        prop_assert_eq!((answered.display_name, answered.uri), (to.display_name, to.uri));
        let tag = param(to.params, b"tag").unwrap_or(Some(b"a6c85cf"));
        prop_assert_eq!(param(answered.params, b"tag"), Some(tag));
    }
}
