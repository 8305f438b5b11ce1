//! Messages out of streams: the same however a stream is cut, bounded in bytes and in time, and none that others might cut
//! elsewhere.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sippet_proto::error::Field;
use sippet_proto::message::reply::Salvage;
use sippet_proto::{Arena, Frame, Framer, Framing, Limits, Options, Reason, parse};

/// A frame that refers to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Message(Vec<u8>),
    Ping,
    Pong,
    Broken(Reason, u16, Vec<u8>),
}

fn seen(frame: Frame<'_>) -> Seen {
    match frame {
        Frame::Message(message) => Seen::Message(message.into_owned()),
        Frame::Ping => Seen::Ping,
        Frame::Pong => Seen::Pong,
        Frame::Broken(broken) => Seen::Broken(
            broken.error.reason,
            broken.error.status_code(),
            broken.head.into_owned(),
        ),
    }
}

fn push(framer: &mut Framer, now: u64, mut piece: &[u8]) -> Vec<Seen> {
    let mut frames = Vec::new();
    while let Some(frame) = framer.next(now, &mut piece) {
        frames.push(seen(frame));
    }
    assert!(piece.is_empty());
    frames
}

/// What a stream holds when it arrives in pieces of these lengths, which are used again and again.
fn frames(stream: &[u8], lengths: &[usize], limits: Limits) -> Vec<Seen> {
    let mut framer = Framer::new(limits);
    let mut rest = stream;
    let mut frames = Vec::new();
    for length in lengths.iter().cycle() {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        frames.extend(push(&mut framer, 0, piece));
        rest = behind;
        if rest.is_empty() {
            return frames;
        }
    }
    frames
}

fn whole(stream: &[u8]) -> Vec<Seen> {
    frames(stream, &[stream.len().max(1)], Limits::DEFAULT)
}

fn message(text: &str) -> Seen {
    Seen::Message(text.as_bytes().to_vec())
}

const FIELDS: &str = "Via: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\nFrom: <sip:a@a.example>;tag=1\r\n\
    To: <sip:b@b.example>\r\nCall-ID: 1@a.example\r\nCSeq: 1 MESSAGE\r\n";

/// A MESSAGE with these fields behind the mandatory ones.
fn request(fields: &str, body: &str) -> String {
    format!("MESSAGE sip:b@b.example SIP/2.0\r\n{FIELDS}{fields}\r\n{body}")
}

/// Why the stream breaks, and what of it can be used for an answer. Cut at any place, it is the same.
fn broken(stream: &str, limits: Limits) -> (Reason, u16, String) {
    let found = frames(stream.as_bytes(), &[stream.len()], limits);
    for length in [1, 2, 3, 7] {
        assert_eq!(
            frames(stream.as_bytes(), &[length], limits),
            found,
            "{stream:?}"
        );
    }
    match &found[..] {
        [Seen::Broken(reason, status, head)] => {
            (*reason, *status, String::from_utf8_lossy(head).into_owned())
        }
        other => panic!("{stream:?}: {other:?}"),
    }
}

#[test]
fn messages_end_where_content_length_says_18_3() {
    let first = request("Content-Length: 5\r\n", "hello");
    let second = request("l: 0\r\n", "");
    let third = request("CONTENT-length \t:\r\n\t 003 \r\n", "\r\n\r");
    let stream = format!("{first}{second}{third}{first}");
    let expected = [&first, &second, &third, &first].map(|text| message(text));
    assert_eq!(whole(stream.as_bytes()), expected);
}

#[test]
fn a_message_in_one_piece_is_not_copied() {
    let text = request("Content-Length: 5\r\n", "hello");
    let stream = format!("{text}{text}{}", &text[..40]);
    let mut framer = Framer::new(Limits::DEFAULT);
    let mut input = stream.as_bytes();
    for _ in 0..2 {
        let frame = framer.next(0, &mut input);
        assert!(matches!(
            frame,
            Some(Frame::Message(std::borrow::Cow::Borrowed(_)))
        ));
    }
    assert_eq!(framer.next(0, &mut input), None);
}

#[test]
fn a_stream_without_a_length_that_can_be_believed_breaks_20_14() {
    for (fields, reason) in [
        ("", Reason::MissingField),
        ("X-Content-Length: 5\r\n", Reason::MissingField),
        ("Content_Length: 5\r\n", Reason::MissingField),
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            Reason::DuplicateField,
        ),
        ("Content-Length: 5\r\nl: 3\r\n", Reason::DuplicateField),
        ("Content-Length: +5\r\n", Reason::Number),
        ("Content-Length: -5\r\n", Reason::Number),
        ("Content-Length: 0x5\r\n", Reason::Number),
        ("Content-Length: 5, 5\r\n", Reason::Number),
        ("Content-Length: 5 5\r\n", Reason::Number),
        ("Content-Length: 1\r\n 0\r\n", Reason::Number),
        ("Content-Length:\r\n", Reason::Number),
        ("Content-Length: 4294967296\r\n", Reason::Number),
        ("Content-Length: 18446744073709551621\r\n", Reason::Number),
    ] {
        let stream = request(fields, "hello");
        let head = &stream[..stream.len() - 5];
        assert_eq!(broken(&stream, Limits::DEFAULT), (reason, 400, head.into()));
        assert!(Salvage::scan(head.as_bytes()).is_some());
    }
}

#[test]
fn a_length_is_what_the_parser_takes_for_one() {
    for fields in [
        "Content-Length: 5\r\n",
        "l:5\r\n",
        "L : 5 \t\r\n",
        "content-LENGTH:\r\n 5\r\n",
        "Content-Length: 0000005\r\n \r\n",
        "Subject: a\r\n Content-Length: 9\r\nContent-Length: 5\r\n",
    ] {
        let text = request(fields, "hello");
        let arena = Arena::new();
        let options = Options {
            framing: Framing::Datagram,
            ..Options::default()
        };
        let parsed = parse(text.as_bytes(), &options, &arena).unwrap();
        assert_eq!(parsed.headers.content_length, Some(5), "{fields:?}");
        assert_eq!(whole(text.as_bytes()), [message(&text)], "{fields:?}");
    }
}

#[test]
fn other_protocols_are_known_by_their_first_bytes() {
    for stream in [
        "\x16\x03\x01\0\x2fOPTIONS sip:b@b.example SIP/2.0\r\n",
        " OPTIONS sip:b@b.example SIP/2.0\r\n",
        "OPTIONS\tsip:b@b.example SIP/2.0\r\n",
        "<?xml version=\"1.0\"?>",
        "OPTI\u{d6}NS sip:b@b.example SIP/2.0\r\n",
    ] {
        assert_eq!(
            broken(stream, Limits::DEFAULT),
            (Reason::Method, 400, String::new())
        );
    }
    assert_eq!(broken("QUIT\r\n", Limits::DEFAULT).0, Reason::StartLine);
    let http = "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n";
    assert_eq!(broken(http, Limits::DEFAULT).0, Reason::MissingField);
}

#[test]
fn only_what_is_whole_is_given_for_an_answer() {
    let limits = Limits {
        max_fields: 7,
        max_line_bytes: 64,
        max_folds: 1,
        max_stream_message_bytes: 400,
        ..Limits::DEFAULT
    };
    let start = "MESSAGE sip:b@b.example SIP/2.0\r\n";
    let long = "x".repeat(64);
    for (fields, kept, reason, status) in [
        (format!("Subject: {long}"), "", Reason::LineTooLong, 513),
        (
            format!("A: b\r\nSubject: {long}"),
            "A: b\r\n",
            Reason::LineTooLong,
            513,
        ),
        (
            "A: b\r\nC: d\r\nE: f".into(),
            "A: b\r\nC: d\r\n",
            Reason::TooManyFields,
            513,
        ),
        (
            "A: b\r\nC: d\r\n e\r\n f".into(),
            "A: b\r\n",
            Reason::TooManyFolds,
            513,
        ),
        ("A: b\r\nC: d\re".into(), "A: b\r\n", Reason::BareCr, 400),
        ("A: b\r\nC: d\r\r\n".into(), "A: b\r\n", Reason::BareCr, 400),
        ("A: b\r\n\rC: d".into(), "A: b\r\n", Reason::BareCr, 400),
        ("A: b\r\nC: d\nE: f".into(), "A: b\r\n", Reason::BareLf, 400),
        ("A: b\r\n\n".into(), "A: b\r\n", Reason::BareLf, 400),
        (
            "Content-Length: 400\r\n\r\n".into(),
            "Content-Length: 400\r\n\r\n",
            Reason::MessageTooLong,
            513,
        ),
    ] {
        let stream = format!("{start}{FIELDS}{fields}");
        let head = format!("{start}{FIELDS}{kept}");
        assert_eq!(
            broken(&stream, limits),
            (reason, status, head),
            "{fields:?}"
        );
    }
    let stream = format!("{start}{FIELDS}");
    let smaller = Limits {
        max_stream_message_bytes: start.len() + 10,
        ..limits
    };
    assert_eq!(
        broken(&stream, smaller),
        (Reason::MessageTooLong, 513, start.into())
    );
    let stream = format!("MESSAGE sip:{long} SIP/2.0\r\n");
    assert_eq!(
        broken(&stream, limits),
        (Reason::StartLineTooLong, 414, String::new())
    );
}

#[test]
fn what_is_exactly_at_a_limit_is_taken() {
    let line = "Subject: ".to_owned() + &"x".repeat(55);
    let fields = format!("{line}\r\nA: b\r\n c\r\nl: 5\r\n");
    let text = request(&fields, "hello");
    let limits = Limits {
        max_fields: 8,
        max_line_bytes: 64,
        max_folds: 1,
        max_stream_message_bytes: text.len(),
        ..Limits::DEFAULT
    };
    assert_eq!(frames(text.as_bytes(), &[9], limits), [message(&text)]);
    for smaller in [
        Limits {
            max_fields: 7,
            ..limits
        },
        Limits {
            max_line_bytes: 63,
            ..limits
        },
        Limits {
            max_folds: 0,
            ..limits
        },
        Limits {
            max_stream_message_bytes: text.len() - 1,
            ..limits
        },
    ] {
        assert_eq!(broken(&text, smaller).1, 513);
    }
    // The limit may be passed by the empty line alone.
    let bare = request("l: 0\r\n", "");
    for over in 1..=4 {
        let smaller = Limits {
            max_stream_message_bytes: bare.len() - over,
            ..Limits::DEFAULT
        };
        assert_eq!(broken(&bare, smaller).1, 513);
    }
}

#[test]
fn a_broken_stream_brings_nothing_more() {
    let text = request("l: 0\r\n", "");
    let mut framer = Framer::new(Limits::DEFAULT);
    assert_eq!(push(&mut framer, 0, b"\0").len(), 1);
    assert!(framer.is_broken());
    assert_eq!(push(&mut framer, 0, text.as_bytes()), []);
    assert_eq!(push(&mut framer, 0, b"\r\n\r\n"), []);
    assert_eq!(framer.deadline(), None);
}

#[test]
fn a_double_crlf_is_a_ping_wherever_it_is_cut() {
    let text = request("l: 0\r\n", "");
    let stream = format!("\r\n\r\n{text}\r\n{text}\r\n\r\n\r\n{text}\r\n\r\n\r\n\r\n");
    let message = message(&text);
    let expected = [
        Seen::Ping,
        message.clone(),
        message.clone(),
        Seen::Ping,
        message,
        Seen::Ping,
        Seen::Ping,
    ];
    for length in 1..=stream.len() {
        let found = frames(stream.as_bytes(), &[length], Limits::DEFAULT);
        assert_eq!(found, expected, "{length}");
    }
}

#[test]
fn line_ends_without_cr_are_skipped_and_no_ping_7_5() {
    let text = request("l: 0\r\n", "");
    let stream = format!("\n\n\r\n\n\r\n{text}");
    assert_eq!(whole(stream.as_bytes()), [message(&text)]);
    assert_eq!(broken("\r\n\rx", Limits::DEFAULT).0, Reason::BareCr);
}

#[test]
fn a_crlf_is_a_pong_where_one_is_awaited_only() {
    let text = request("l: 0\r\n", "");
    let mut framer = Framer::new(Limits::DEFAULT);
    assert_eq!(push(&mut framer, 0, b"\r\n"), []);
    assert_eq!(push(&mut framer, 0, text.as_bytes()), [message(&text)]);
    for _ in 0..2 {
        framer.expect_pong();
        assert_eq!(push(&mut framer, 0, b"\r"), []);
        assert_eq!(push(&mut framer, 0, b"\n"), [Seen::Pong]);
    }
    framer.expect_pong();
    assert_eq!(push(&mut framer, 0, text.as_bytes()), [message(&text)]);
    assert_eq!(
        push(&mut framer, 0, b"\r\n\r\n\r\n"),
        [Seen::Pong, Seen::Ping]
    );
}

#[test]
fn a_message_has_a_deadline_from_its_first_byte_on() {
    let text = request("l: 5\r\n", "hello");
    let bytes = text.as_bytes();
    let mut framer = Framer::new(Limits::DEFAULT);
    assert_eq!(framer.deadline(), None);
    push(&mut framer, 100, b"\r\n\r\n\r");
    assert_eq!(framer.deadline(), None);
    push(&mut framer, 200, b"\nM");
    assert_eq!(framer.deadline(), Some(10_200));
    for byte in &bytes[1..bytes.len() - 1] {
        assert_eq!(push(&mut framer, 9_000, &[*byte]), []);
        assert_eq!(framer.deadline(), Some(10_200));
    }
    assert_eq!(push(&mut framer, 9_500, b"oM"), [message(&text)]);
    assert_eq!(framer.deadline(), Some(19_500));
    push(&mut framer, 9_600, &bytes[1..]);
    assert_eq!(framer.deadline(), None);
}

#[test]
fn a_head_that_ends_its_lines_in_lf_may_do_so_to_its_end() {
    let text = request("l: 5\r\n", "").replace("\r\n", "\n") + "a\nb\r\n";
    let stream = text.clone() + &text;
    for length in [1, 2, 3, 7, 1000] {
        let found = frames(stream.as_bytes(), &[length], Limits::DEFAULT);
        assert_eq!(found, [message(&text), message(&text)]);
    }
}

/// The attack is that of RFC 9112 §11.2: what stands in a field for one element is a message of its own for the other.
#[test]
fn no_message_can_be_hidden_in_another_behind_a_bare_lf() {
    let hidden = request("l: 0\r\n", "");
    for between in [
        "\n\n",
        "\n\r\n",
        "\r\n\n",
        "\r\r\n\r\n",
        "\r\r",
        "\r\n\r\r\n",
    ] {
        let stream = request(&format!("l: 0\r\nSubject: a{between}{hidden}"), "");
        let (_, status, head) = broken(&stream, Limits::DEFAULT);
        assert_eq!(status, 400);
        assert!(!head.contains("Subject: a\n"));
    }
}

#[test]
fn what_is_announced_is_not_reserved_and_what_is_kept_has_arrived() {
    let mut framer = Framer::new(Limits::DEFAULT);
    let head = request("Content-Length: 1000000\r\n", "");
    assert_eq!(push(&mut framer, 0, head.as_bytes()), []);
    assert!(framer.kept_bytes() <= 2 * head.len());
    let two_gigabytes = request("Content-Length: 2000000000\r\n", "hello");
    assert_eq!(
        broken(&two_gigabytes, Limits::DEFAULT).0,
        Reason::MessageTooLong
    );
}

#[test]
fn an_endless_field_breaks_at_its_limit_and_not_at_that_of_the_message() {
    let mut framer = Framer::new(Limits::DEFAULT);
    assert_eq!(push(&mut framer, 0, b"OPTIONS sip:b SIP/2.0\r\nX: "), []);
    let mut sent = 0;
    while push(&mut framer, 0, &[b'a'; 100]).is_empty() {
        sent += 100;
        assert!(sent <= Limits::DEFAULT.max_line_bytes);
        assert!(framer.kept_bytes() <= 2 * Limits::DEFAULT.max_line_bytes);
    }
    assert!(framer.is_broken());
    assert_eq!(framer.kept_bytes(), 0);
}

#[test]
fn line_ends_without_end_cost_nothing() {
    let mut framer = Framer::new(Limits::DEFAULT);
    let chunk = b"\r\n".repeat(8_192);
    for _ in 0..64 {
        let pings = push(&mut framer, 0, &chunk);
        assert_eq!(pings.len(), 4_096);
        assert!(pings.iter().all(|frame| *frame == Seen::Ping));
    }
    assert_eq!((framer.kept_bytes(), framer.deadline()), (0, None));
}

#[test]
fn the_field_of_a_fault_is_told() {
    let mut framer = Framer::new(Limits::DEFAULT);
    let stream = request("l: x\r\n", "");
    let Some(Frame::Broken(broken)) = framer.next(0, &mut stream.as_bytes()) else {
        panic!("{stream} is taken");
    };
    assert_eq!(broken.error.field, Field::Header(b"Content-Length"));
    assert_eq!(&stream[broken.error.offset..][..1], "x");
}

/// Pieces that mean something between messages, in heads or to their ends.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"a",
    b":",
    b"SIP/2.0 200 OK\r\n",
    b"BYE sip:b SIP/2.0\r\n",
    b"BYE sip:b SIP/2.0\n",
    b"Subject: a\r\n b\r\n",
    b"l: 3\r\n",
    b"l: 0\n",
    b"Content-Length: 12\r\n",
    b"content-length : 7\r\n\r\n",
    b"l: 4\r\n\r\nabcd",
    b"l: 0\r\n\r\n",
    b"\r\n\r\n",
];

fn bytes_of_pieces() -> impl Strategy<Value = Vec<u8>> {
    vec(select(PIECES), 0..48).prop_map(|pieces| pieces.concat())
}

/// Messages with pings, pongs and rubbish among them.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let body = vec(any::<u8>(), 0..40);
    let whole = (body, 0..4usize).prop_map(|(body, ends)| {
        let head = request(&format!("Content-Length: {}\r\n", body.len()), "");
        [&b"\r\n".repeat(ends)[..], head.as_bytes(), &body].concat()
    });
    let part = prop_oneof![8 => whole, 1 => bytes_of_pieces()];
    vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn any_split_of_a_stream_brings_the_same(
        stream in streams(),
        lengths in vec(1..90usize, 1..12),
    ) {
        prop_assert_eq!(frames(&stream, &lengths, Limits::DEFAULT), whole(&stream));
    }

    #[test]
    fn any_split_of_anything_brings_the_same(
        stream in bytes_of_pieces(),
        lengths in vec(1..9usize, 1..12),
        limits in (1..60usize, 1..4usize, 0..3usize, 1..200usize),
    ) {
        let limits = Limits {
            max_line_bytes: limits.0,
            max_fields: limits.1,
            max_folds: limits.2,
            max_stream_message_bytes: limits.3,
            ..Limits::DEFAULT
        };
        let found = frames(&stream, &lengths, limits);
        let expected = frames(&stream, &[stream.len().max(1)], limits);
        prop_assert_eq!(&found, &expected);
        for frame in found {
            match frame {
                Seen::Message(bytes) => prop_assert!(bytes.len() <= limits.max_stream_message_bytes),
                Seen::Broken(_, status, head) => {
                    prop_assert!([400, 414, 513].contains(&status));
                    prop_assert!(stream.windows(head.len().max(1)).any(|part| part == head) || head.is_empty());
                }
                Seen::Ping | Seen::Pong => {}
            }
        }
    }

    #[test]
    fn any_bytes_are_framed_or_refused(stream in vec(any::<u8>(), 0..512), length in 1..32usize) {
        prop_assert_eq!(frames(&stream, &[length], Limits::DEFAULT), whole(&stream));
    }

    /// The parser finds the end of the head, and of the body, where the framer did.
    #[test]
    fn the_parser_agrees_about_what_was_framed(stream in streams()) {
        for frame in whole(&stream) {
            let Seen::Message(bytes) = frame else { continue };
            let arena = Arena::new();
            if let Ok(message) = parse(&bytes, &Options::default(), &arena) {
                let length = message.headers.content_length.map(|length| length as usize);
                prop_assert_eq!(message.body.map(<[u8]>::len), length);
            }
        }
    }
}
