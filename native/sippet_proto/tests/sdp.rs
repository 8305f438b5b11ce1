//! Session descriptions: what each line and attribute becomes, what is forgiven, what is refused, and that all of it is
//! written as it was read. Sections without a number are RFC 8866's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use sippet_proto::sdp::{
    Attribute, Decimal, Direction, Limits, Mode, Number, Options, Reason, Session, Setup,
    WriteReason, parse,
};
use sippet_proto::{Arena, Framing};

const LENIENT: Options = Options {
    mode: Mode::Lenient,
    limits: Limits::DEFAULT,
};
const STRICT: Options = Options {
    mode: Mode::Strict,
    limits: Limits::DEFAULT,
};
/// Bodies of the corpus that say they are descriptions and are none.
const NOT_SDP: &[(&str, Reason, &str)] = &[(
    "rfc4538-10-m02-200",
    Reason::Line,
    "the RFC leaves the body out, and says so in its place",
)];

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

/// The example of §5.
const EXAMPLE: &str = "v=0\r\n\
    o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\n\
    s=Call to John Smith\r\n\
    i=SDP Offer #1\r\n\
    u=http://www.jdoe.example.com/home.html\r\n\
    e=Jane Doe <jane@jdoe.example.com>\r\n\
    p=+1 617 555-6011\r\n\
    c=IN IP4 198.51.100.1\r\n\
    t=0 0\r\n\
    m=audio 49170 RTP/AVP 0\r\n\
    m=audio 49180 RTP/AVP 0\r\n\
    m=video 51372 RTP/AVP 99\r\n\
    c=IN IP6 2001:db8::2\r\n\
    a=rtpmap:99 h263-1998/90000\r\n";

fn written(session: &Session<'_>) -> String {
    let mut out = Vec::new();
    session.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn defects(session: &Session<'_>) -> Vec<(Reason, usize)> {
    let defects = session.defects.iter();
    defects.map(|defect| (defect.reason, defect.line)).collect()
}

/// Parses the lines behind a usual head, and expects these defects; lines count from the first of them.
fn forgiven(lines: &str, expected: &[(Reason, usize)], back: &str) {
    let text = format!("{HEAD}{lines}");
    let arena = Arena::new();
    let session = parse(text.as_bytes(), &LENIENT, &arena).unwrap();
    let found: Vec<_> = defects(&session)
        .into_iter()
        .map(|(reason, line)| (reason, line - 4))
        .collect();
    assert_eq!(found, expected, "{lines}");
    assert_eq!(written(&session), format!("{HEAD}{back}"));
    if let Some((reason, line)) = expected.first() {
        let error = parse(text.as_bytes(), &STRICT, &arena).unwrap_err();
        assert_eq!((error.reason, error.line - 4), (*reason, *line), "{lines}");
    }
}

fn refused(text: &str, reason: Reason, line: usize, offset: usize) {
    let arena = Arena::new();
    for options in [LENIENT, STRICT] {
        let error = parse(text.as_bytes(), &options, &arena).unwrap_err();
        let found = (error.reason, error.line, error.offset);
        assert_eq!(found, (reason, line, offset), "{text:?}");
    }
}

#[test]
fn the_example_of_section_5_has_its_values() {
    let arena = Arena::new();
    let session = parse(EXAMPLE.as_bytes(), &STRICT, &arena).unwrap();
    assert_eq!(session.origin.username, b"jdoe");
    assert_eq!(session.origin.session_id, b"3724394400");
    assert_eq!(
        session.origin.session_version,
        Number::Integer(3_724_394_405)
    );
    assert_eq!(session.origin.address, b"198.51.100.1");
    assert_eq!(session.session_name, Some(&b"Call to John Smith"[..]));
    assert_eq!(session.information, Some(&b"SDP Offer #1"[..]));
    assert_eq!(session.emails[0], b"Jane Doe <jane@jdoe.example.com>");
    assert_eq!(session.phones[0], b"+1 617 555-6011");
    assert_eq!(session.connection.unwrap().address_type, b"IP4");
    assert_eq!((session.timings[0].start, session.timings[0].stop), (0, 0));
    let ports: Vec<u16> = session.media.iter().map(|media| media.port).collect();
    assert_eq!(ports, [49170, 49180, 51372]);
    let video = &session.media[2];
    assert_eq!(video.media_type, b"video");
    assert_eq!(video.protocol, b"RTP/AVP");
    assert_eq!(*video.formats, [b"99"]);
    assert_eq!(video.connections[0].address, b"2001:db8::2");
    assert_eq!(
        video.attributes[0],
        Attribute::RtpMap {
            payload_type: 99,
            encoding_name: b"h263-1998",
            clock_rate: 90_000,
            parameters: None
        }
    );
    assert_eq!(written(&session), EXAMPLE);
}

#[test]
fn repeats_zones_multicast_and_bandwidths_are_typed() {
    let text = "v=0\r\n\
        o=- 1 1 IN IP4 192.0.2.1\r\n\
        s= \r\n\
        c=IN IP4 233.252.0.1/127/3\r\n\
        b=X-YZ:128\r\n\
        b=AS:64\r\n\
        t=3724394400 3724398000\r\n\
        r=604800 3600 0 90000\r\n\
        r=7d 1h 0 25h\r\n\
        z=3730928400 -1h 3749680800 0\r\n\
        t=0 0\r\n\
        k=prompt\r\n\
        m=video 49170/2 RTP/AVP 31\r\n\
        i=both\r\n\
        c=IN IP6 ff00::db8:0:101/3\r\n\
        c=IN IP6 ff00::db8:0:102\r\n\
        b=TIAS:50780\r\n\
        k=clear:x\r\n";
    let arena = Arena::new();
    let session = parse(text.as_bytes(), &STRICT, &arena).unwrap();
    let connection = session.connection.unwrap();
    assert_eq!(
        (connection.ttl, connection.address_count),
        (Some(127), Some(3))
    );
    assert_eq!(session.bandwidths[1].bandwidth, 64);
    let timing = &session.timings[0];
    assert_eq!(timing.repeats[1].interval, b"7d");
    assert_eq!(*timing.repeats[1].offsets, [&b"0"[..], b"25h"]);
    assert_eq!(
        *timing.zone_adjustments,
        [(3_730_928_400, &b"-1h"[..]), (3_749_680_800, b"0")]
    );
    let media = &session.media[0];
    assert_eq!(media.port_count, Some(2));
    assert_eq!(media.connections[0].ttl, None);
    assert_eq!(media.connections[0].address_count, Some(3));
    assert_eq!(written(&session), text);
}

/// Each attribute that has a typed form, as its RFC writes it.
const TYPED: &[&str] = &[
    "rtpmap:97 L16/8000/2",
    "fmtp:97 mode=20;x= y ",
    "ptime:20",
    "ptime:2.5",
    "maxptime:60",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host",
    "candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
    "candidate:3 2 TCP 1 2001:db8::1 9 typ host tcptype active generation 0",
    "fingerprint:SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
    "ice-ufrag:8hhY",
    "ice-pwd:asd88fgpdd777uzjYhagZg",
    "ice-options:ice2 trickle",
    "ice-lite",
    "ice-mismatch",
    "ice-pacing:50",
    "setup:active",
    "setup:passive",
    "setup:actpass",
    "setup:holdconn",
    "mid:1",
    "group:LS 1 2",
    "group:BUNDLE",
    "msid:examplefoo",
    "msid:examplefoo examplebar",
    "ssrc:11111 cname:user1@example.com",
    "ssrc:4294967295 previous-ssrc",
    "ssrc-group:FID 11111 22222",
    "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32",
    "crypto:2 F8_128_HMAC_SHA1_80 inline:a|2^20|1:4;inline:b|2^20|2:4 FEC_ORDER=FEC_SRTP",
    "rtcp:53020",
    "rtcp:53020 IN IP6 2001:db8::1",
    "rtcp-mux",
    "rtcp-rsize",
    "rtcp-fb:* nack",
    "rtcp-fb:98 nack rpsi",
];

#[test]
fn every_typed_attribute_is_read_as_such_and_written_as_it_was() {
    for text in TYPED {
        let arena = Arena::new();
        let lines = format!("{HEAD}a={text}\r\nm=audio 9 RTP/AVP 0\r\na={text}\r\n");
        let session = parse(lines.as_bytes(), &STRICT, &arena).unwrap();
        let attribute = &session.attributes[0];
        assert!(!matches!(attribute, Attribute::Other { .. }), "{text}");
        assert_eq!(*attribute, session.media[0].attributes[0]);
        assert_eq!(written(&session), lines);
    }
}

#[test]
fn attributes_have_the_values_of_their_grammar() {
    let arena = Arena::new();
    let text = |index: usize| format!("{HEAD}a={}\r\n", TYPED[index]);
    let typed = |text: &str| {
        let data = arena.alloc_slice_copy(text.as_bytes());
        let mut session = parse(data, &STRICT, &arena).unwrap();
        session.attributes.remove(0)
    };
    assert_eq!(typed(&text(2)), Attribute::Ptime(Decimal::Integer(20)));
    assert_eq!(typed(&text(3)), Attribute::Ptime(Decimal::Real(b"2.5")));
    assert_eq!(typed(&text(6)), Attribute::Direction(Direction::SendOnly));
    let Attribute::Candidate(candidate) = typed(&text(10)) else {
        panic!("no candidate")
    };
    assert_eq!(candidate.foundation, b"2");
    assert_eq!(candidate.priority, 1_694_498_815);
    assert_eq!(
        (candidate.address, candidate.port),
        (&b"192.0.2.3"[..], 45664)
    );
    assert_eq!(candidate.candidate_type, b"srflx");
    assert_eq!(candidate.related_address, Some(&b"203.0.113.141"[..]));
    assert_eq!(candidate.related_port, Some(8998));
    let Attribute::Candidate(candidate) = typed(&text(11)) else {
        panic!("no candidate")
    };
    assert_eq!(
        *candidate.extensions,
        [(&b"tcptype"[..], &b"active"[..]), (b"generation", b"0")]
    );
    assert_eq!(typed(&text(21)), Attribute::Setup(Setup::ActPass));
    let Attribute::Group { semantics, mids } = typed(&text(24)) else {
        panic!("no group")
    };
    assert_eq!((semantics, &*mids), (&b"LS"[..], &[&b"1"[..], b"2"][..]));
    assert_eq!(
        typed(&text(28)),
        Attribute::Ssrc {
            ssrc: 11111,
            attribute: b"cname",
            value: Some(b"user1@example.com")
        }
    );
    let Attribute::Crypto {
        tag,
        suite,
        key_parameters,
        session_parameters,
    } = typed(&text(32))
    else {
        panic!("no crypto")
    };
    assert_eq!((tag, suite), (2, &b"F8_128_HMAC_SHA1_80"[..]));
    assert_eq!(
        *key_parameters,
        [&b"inline:a|2^20|1:4"[..], b"inline:b|2^20|2:4"]
    );
    assert_eq!(*session_parameters, [b"FEC_ORDER=FEC_SRTP"]);
    assert_eq!(
        typed(&text(34)),
        Attribute::Rtcp {
            port: 53020,
            address: Some([b"IN", b"IP6", b"2001:db8::1"])
        }
    );
    assert_eq!(
        typed(&text(38)),
        Attribute::RtcpFb {
            format: b"98",
            feedback: b"nack",
            parameters: Some(b"rpsi")
        }
    );
}

#[test]
fn a_malformed_typed_attribute_stays_text_and_the_rest_is_read() {
    for text in [
        "rtpmap:128 PCMU/8000",
        "rtpmap:0 PCMU",
        "rtpmap:0 PCMU/",
        "rtpmap:0 /8000",
        "rtpmap:0 PCMU/8000/",
        "rtpmap:0 PCMU/8000 x",
        "rtpmap:0\tPCMU/8000",
        "rtpmap",
        "fmtp:97",
        "fmtp:97 ",
        "ptime:",
        "ptime:-20",
        "ptime:20ms",
        "ptime:.5",
        "ptime:4294967296",
        "sendrecv:now",
        "sendonly:",
        "candidate:1 1 UDP 1 192.0.2.1 8998",
        "candidate:1 1 UDP 1 192.0.2.1 65536 typ host",
        "candidate:1 1 UDP 1 192.0.2.1 1 typ host generation",
        "candidate:1 1 UDP 1 192.0.2.1 1 typ srflx raddr",
        "candidate:1 1 UDP 1 192.0.2.1 1 typ srflx rport x",
        "fingerprint:sha-1 4A:A",
        "fingerprint:sha-1 4A:AG",
        "fingerprint:sha-1",
        "ice-ufrag:abc",
        "ice-ufrag:ab cd",
        "ice-pwd:short",
        "ice-options:",
        "ice-lite:1",
        "ice-pacing:x",
        "setup:Active",
        "mid:",
        "mid:a b",
        "group:",
        "msid:",
        "msid:a b c",
        "ssrc:1",
        "ssrc:x cname:a",
        "ssrc:4294967296 cname:a",
        "ssrc:1 :a",
        "ssrc-group:FID x",
        "crypto:1 AES_CM_128_HMAC_SHA1_80",
        "crypto:1234567890 A inline:b",
        "crypto:1 A inline:b;",
        "rtcp:65536",
        "rtcp:1 IN IP4",
        "rtcp:1 IN IP4 a b",
        "rtcp-mux:1",
        "rtcp-fb:*",
    ] {
        let lines = format!("a={text}\r\nm=audio 9 RTP/AVP 0\r\na={text}\r\na=mid:1\r\n");
        let expected = [(Reason::Attribute, 1), (Reason::Attribute, 3)];
        forgiven(&lines, &expected, &lines);
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.as_bytes())),
            None => (text, None),
        };
        let arena = Arena::new();
        let all = format!("{HEAD}{lines}");
        let session = parse(all.as_bytes(), &LENIENT, &arena).unwrap();
        let other = Attribute::Other {
            name: name.as_bytes(),
            value,
        };
        assert_eq!(session.attributes[0], other);
        assert_eq!(session.media[0].attributes[1], Attribute::Mid(b"1"));
    }
}

#[test]
fn what_is_forgiven_is_told_and_all_but_spelling_is_kept() {
    use Reason::*;
    for (lines, expected, back) in [
        // Spaces and zeros to spare.
        (
            "m=audio 9 RTP/AVP 0 8 \r\n",
            &[(Spelling, 1)][..],
            "m=audio 9 RTP/AVP 0 8\r\n",
        ),
        (
            "m=audio  09/02 RTP/AVP 0\r\n",
            &[(Spelling, 1)],
            "m=audio 9/2 RTP/AVP 0\r\n",
        ),
        (
            "a=rtpmap:008  PCMA/8000 \r\n",
            &[(Spelling, 1)],
            "a=rtpmap:8 PCMA/8000\r\n",
        ),
        (
            "a=fmtp:101  0-15\r\n",
            &[(Spelling, 1)],
            "a=fmtp:101 0-15\r\n",
        ),
        (
            "a=candidate:1 1 UDP 01 a 1 typ  host\r\n",
            &[(Spelling, 1)],
            "a=candidate:1 1 UDP 1 a 1 typ host\r\n",
        ),
        // Ends of lines.
        ("a=x\na=y\n", &[(LineEnd, 1)], "a=x\r\na=y\r\n"),
        ("a=x\r\na=y", &[(LineEnd, 2)], "a=x\r\na=y\r\n"),
        (
            "\r\na=x\r\n\r\n",
            &[(EmptyLine, 1), (EmptyLine, 3)],
            "a=x\r\n",
        ),
        // Unknown letters, lines that came twice, malformed ones: kept where they were.
        (
            "X=1\r\na=x\r\n",
            &[(UnknownLine, 1), (Order, 2)],
            "X=1\r\na=x\r\n",
        ),
        ("a=x\r\nX=1\r\n", &[(UnknownLine, 2)], "a=x\r\nX=1\r\n"),
        (
            "s=again\r\na=x\r\n",
            &[(DuplicateLine, 1), (Order, 2)],
            "s=again\r\na=x\r\n",
        ),
        ("b=AS\r\n", &[(Bandwidth, 1)], "b=AS\r\n"),
        ("b=:1\r\n", &[(Bandwidth, 1)], "b=:1\r\n"),
        ("c=IN IP4\r\n", &[(Connection, 1)], "c=IN IP4\r\n"),
        (
            "c=IN IP4 224.2.1.1/x\r\n",
            &[(Connection, 1)],
            "c=IN IP4 224.2.1.1/x\r\n",
        ),
        ("t=now 0\r\n", &[(Timing, 1)], "t=now 0\r\n"),
        ("r=7d 1h\r\n", &[(Repeat, 1)], "r=7d 1h\r\n"),
        (
            "a=x\r\nr=7d 1h 0\r\n",
            &[(Repeat, 2)],
            "a=x\r\nr=7d 1h 0\r\n",
        ),
        ("z=1\r\n", &[(Zone, 1)], "z=1\r\n"),
        ("z=1 1h\r\nz=2 1h\r\n", &[(Zone, 2)], "z=1 1h\r\nz=2 1h\r\n"),
        ("a=\r\n", &[(AttributeName, 1)], "a=\r\n"),
        ("a=x y:z\r\n", &[(AttributeName, 1)], "a=x y:z\r\n"),
        // Lines of the session in a media description.
        (
            "m=audio 9 RTP/AVP 0\r\nt=0 0\r\na=x\r\n",
            &[(UnknownLine, 2), (Order, 3)],
            "m=audio 9 RTP/AVP 0\r\nt=0 0\r\na=x\r\n",
        ),
        (
            "m=audio 0 RTP/AVP\r\n",
            &[(Media, 1)],
            "m=audio 0 RTP/AVP\r\n",
        ),
        // Out of order: written in that order again.
        (
            "c=IN IP4 192.0.2.1\r\n",
            &[(Order, 1)],
            "c=IN IP4 192.0.2.1\r\n",
        ),
        (
            "m=audio 9 RTP/AVP 0\r\na=x\r\nb=AS:1\r\na=y\r\nc=IN IP4 a\r\n",
            &[(Order, 3)],
            "m=audio 9 RTP/AVP 0\r\na=x\r\nb=AS:1\r\na=y\r\nc=IN IP4 a\r\n",
        ),
        (
            "a=x\r\nt=1 2\r\nr=1 1 1\r\na=y\r\n",
            &[(Order, 2)],
            "a=x\r\nt=1 2\r\nr=1 1 1\r\na=y\r\n",
        ),
    ] {
        forgiven(lines, expected, back);
    }
}

#[test]
fn an_origin_is_forgiven_its_user_name_and_its_version_only() {
    let arena = Arena::new();
    for (line, username, version, reason) in [
        (
            "o=a b 1 2 IN IP4 c",
            "a b",
            Number::Integer(2),
            Reason::Origin,
        ),
        ("o= 1 2 IN IP4 c", "", Number::Integer(2), Reason::Origin),
        (
            "o=- 1 02 IN IP4 c",
            "-",
            Number::Word(b"02"),
            Reason::SessionVersion,
        ),
        (
            "o=- 1 9223372036854775808 IN IP4 c",
            "-",
            Number::Word(b"9223372036854775808"),
            Reason::SessionVersion,
        ),
    ] {
        let text = format!("v=0\r\n{line}\r\ns=-\r\nt=0 0\r\n");
        let session = parse(text.as_bytes(), &LENIENT, &arena).unwrap();
        assert_eq!(session.origin.username, username.as_bytes());
        assert_eq!(session.origin.session_version, version);
        assert_eq!(defects(&session), [(reason, 2)]);
        assert_eq!(written(&session), text);
    }
    refused(
        "v=0\r\no=1 IN IP4 c\r\ns=-\r\nt=0 0\r\n",
        Reason::Origin,
        2,
        5,
    );
    refused("v=0\r\ns=-\r\nt=0 0\r\n", Reason::Origin, 3, 17);
}

#[test]
fn mandatory_lines_other_than_version_and_origin_may_be_missing() {
    let text = "v=0\r\no=- 1 1 IN IP4 a\r\n";
    let arena = Arena::new();
    let session = parse(text.as_bytes(), &LENIENT, &arena).unwrap();
    assert_eq!((session.session_name, session.timings.len()), (None, 0));
    assert_eq!(defects(&session), [(Reason::MissingLine, 2)]);
    assert_eq!(written(&session), text);
}

#[test]
fn what_no_mode_forgives_names_its_place() {
    refused("", Reason::Empty, 1, 0);
    refused("v=1\r\n", Reason::Version, 1, 0);
    refused("o=- 1 1 IN IP4 a\r\n", Reason::Version, 1, 0);
    refused("v=0\r\ns=a\0b\r\n", Reason::Nul, 2, 8);
    refused("v=0\r\ns=a\rb\r\n", Reason::BareCr, 2, 8);
    refused("v=0\r\ns=a\r\r\n", Reason::BareCr, 2, 8);
    refused("v=0\r\njunk\r\n", Reason::Line, 2, 5);
    refused("v=0\r\n=x\r\n", Reason::Line, 2, 5);
    refused("v=0\r\ns =x\r\n", Reason::Line, 2, 5);
    for line in [
        "m=",
        "m=audio",
        "m=audio 9",
        "m=audio x RTP/AVP 0",
        "m=audio 65536 RTP/AVP 0",
        "m=audio 9/ RTP/AVP 0",
        "m=audio -1 RTP/AVP 0",
    ] {
        refused(&format!("{HEAD}{line}\r\n"), Reason::Media, 5, HEAD.len());
    }
}

#[test]
fn limits_are_told_by_the_line_that_is_beyond() {
    let limits = Limits {
        max_bytes: 300,
        max_lines: 9,
        max_line_bytes: 40,
        max_media: 2,
        max_attributes: 2,
    };
    let options = Options { limits, ..LENIENT };
    let arena = Arena::new();
    let judge = |lines: &str| {
        let text = arena.alloc_str(&format!("{HEAD}{lines}"));
        let error = parse(text.as_bytes(), &options, &arena);
        error
            .map(|_| ())
            .map_err(|error| (error.reason, error.line))
    };
    assert_eq!(judge("a=x\r\na=y\r\nm=a 1 b c\r\na=x\r\na=y\r\n"), Ok(()));
    assert_eq!(
        judge("a=x\r\na=y\r\na=z\r\n"),
        Err((Reason::TooManyAttributes, 7))
    );
    assert_eq!(
        judge(&"m=a 1 b c\r\n".repeat(3)),
        Err((Reason::TooManyMedia, 7))
    );
    assert_eq!(judge(&"e=\r\n".repeat(6)), Err((Reason::TooManyLines, 10)));
    assert_eq!(judge(&"\r\n".repeat(6)), Err((Reason::TooManyLines, 10)));
    assert_eq!(judge(&format!("a={}\r\n", "x".repeat(38))), Ok(()));
    assert_eq!(
        judge(&format!("a={}\r\n", "x".repeat(39))),
        Err((Reason::LineTooLong, 5))
    );
    assert_eq!(judge(&"x".repeat(300)), Err((Reason::TooLong, 1)));
}

#[test]
fn nothing_that_is_written_can_add_a_line() {
    let arena = Arena::new();
    for evil in [&b"x\r\na=y"[..], b"x\ry", b"x\ny", b"x\0y"] {
        let mut session = parse(EXAMPLE.as_bytes(), &STRICT, &arena).unwrap();
        session.media[1].attributes.push(Attribute::Other {
            name: b"x",
            value: Some(evil),
        });
        let error = session.write(&mut Vec::new()).unwrap_err();
        assert_eq!(error.reason, WriteReason::ControlCharacter);
        assert_eq!(
            (error.place.media, error.place.field),
            (Some(1), "attributes")
        );
        let mut session = parse(EXAMPLE.as_bytes(), &STRICT, &arena).unwrap();
        session.phones.push(evil);
        let error = session.write(&mut Vec::new()).unwrap_err();
        assert_eq!(error.reason, WriteReason::ControlCharacter);
        assert_eq!((error.place.field, error.place.index), ("phones", Some(1)));
    }
}

#[test]
fn an_order_that_does_not_fit_the_lines_is_not_followed() {
    let text = format!("{HEAD}a=x\r\nc=IN IP4 a\r\n");
    let arena = Arena::new();
    let mut session = parse(text.as_bytes(), &LENIENT, &arena).unwrap();
    assert_eq!(session.order, Some(&b"ostac"[..]));
    assert_eq!(written(&session), text);
    session.attributes.clear();
    let head = HEAD.replace("t=0 0\r\n", "c=IN IP4 a\r\nt=0 0\r\n");
    assert_eq!(written(&session), head);
}

#[test]
fn an_unknown_line_that_would_be_read_as_another_is_refused() {
    let arena = Arena::new();
    let text = format!("{HEAD}X=1\r\n");
    for (letter, value) in [(b'a', &b"x"[..]), (b'c', b"IN IP4 a"), (b'm', b"a 1 b c")] {
        let mut session = parse(text.as_bytes(), &LENIENT, &arena).unwrap();
        session.unknown[0].letter = letter;
        session.unknown[0].value = value;
        let error = session.write(&mut Vec::new()).unwrap_err();
        assert_eq!(error.reason, WriteReason::UnknownLine);
        assert_eq!(error.place.field, "unknown");
    }
    let mut session = parse(EXAMPLE.as_bytes(), &LENIENT, &arena).unwrap();
    session.attributes.push(Attribute::Other {
        name: b"ptime",
        value: Some(b"20"),
    });
    let error = session.write(&mut Vec::new()).unwrap_err();
    assert_eq!(error.reason, WriteReason::Typed);
}

#[test]
fn the_time_is_linear_in_the_bytes() {
    let limits = Limits {
        max_bytes: usize::MAX,
        max_lines: usize::MAX,
        max_line_bytes: usize::MAX,
        max_media: usize::MAX,
        max_attributes: usize::MAX,
    };
    let options = Options { limits, ..LENIENT };
    let fill = |unit: &str| format!("{HEAD}{}", unit.repeat((1 << 20) / unit.len()));
    let long = |unit: &str| format!("{HEAD}a={}\r\n", unit.repeat((1 << 20) / unit.len()));
    for text in [
        fill("a=\r\n"),
        fill("\n"),
        fill("X=\r\n"),
        fill("s=\r\n"),
        fill("m=a 1 b\r\n"),
        fill("c=IN IP4 a\r\na=x\r\n"),
        fill("m=a 1 b\r\na=x\r\nc=IN IP4 a\r\n"),
        fill("t=0 0\r\nr=1 1 1\r\n"),
        fill("a=sendrecv \r\n"),
        long(" "),
        long("rtpmap:"),
        long("candidate:1 1 UDP 1 a 1 typ host raddr "),
        format!("{HEAD}a=group:{}\r\n", "a ".repeat(1 << 19)),
        format!("{HEAD}a=crypto:1 A {}x\r\n", "x;".repeat(1 << 19)),
        format!("{HEAD}a=fingerprint:a {}AA\r\n", "AA:".repeat(1 << 18)),
        format!("{HEAD}m=a 1 b {}\r\n", "0 ".repeat(1 << 19)),
    ] {
        let arena = Arena::new();
        let start = Instant::now();
        let session = parse(text.as_bytes(), &options, &arena).unwrap();
        written(&session);
        // A quadratic step on a megabyte takes minutes.
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            &text[60..90]
        );
    }
}

#[test]
fn every_session_description_of_the_corpus_parses() {
    let Some(corpus) = corpus() else { return };
    let mut bodies = 0;
    for folder in ["rfc4475", "rfc5118", "flows", "wild", "robustness"] {
        let index = fs::read(corpus.join(folder).join("index.json")).unwrap();
        let rows: Vec<Value> = serde_json::from_slice(&index).unwrap();
        for row in &rows {
            let data = fs::read(corpus.join(folder).join(row["file"].as_str().unwrap())).unwrap();
            let arena = Arena::new();
            let datagram = sippet_proto::Options {
                framing: Framing::Datagram,
                ..Default::default()
            };
            let Ok(message) = sippet_proto::parse(&data, &datagram, &arena) else {
                continue;
            };
            let Some(body) = message.body.filter(|body| !body.is_empty()) else {
                continue;
            };
            let content_type = message.headers.content_type.as_ref();
            if content_type.is_none_or(|media| media.subtype != b"sdp") {
                continue;
            }
            let name = row["name"].as_str().unwrap();
            let result = parse(body, &LENIENT, &arena);
            if let Some((_, reason, _)) = NOT_SDP.iter().find(|(row, ..)| *row == name) {
                assert_eq!(result.unwrap_err().reason, *reason, "{name}");
                continue;
            }
            let session = result.unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut out = Vec::new();
            session.write(&mut out).unwrap();
            if session
                .defects
                .iter()
                .all(|defect| defect.reason.keeps_bytes())
            {
                assert_eq!(out, body, "{name}");
            }
            bodies += 1;
        }
    }
    println!("{bodies} session descriptions of the corpus");
    assert!(bodies >= 140, "{bodies}");
}

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let path = std::env::var_os("SIPPET_CORPUS").map_or(beside, PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    println!("did not run: no corpus at {}", path.display());
    None
}
