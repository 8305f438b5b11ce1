//! The attributes of session descriptions: each in the form of its RFC, and malformed.

use sippet_proto::Arena;
use sippet_proto::sdp::{
    Attribute, Decimal, Direction, Limits, Mode, Options, Reason, Session, Setup, parse,
};

const LENIENT: Options = Options {
    mode: Mode::Lenient,
    limits: Limits::DEFAULT,
};
const STRICT: Options = Options {
    mode: Mode::Strict,
    limits: Limits::DEFAULT,
};
const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

fn written(session: &Session<'_>) -> String {
    let mut out = Vec::new();
    session.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
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
        let all = format!("{HEAD}a={text}\r\nm=audio 9 RTP/AVP 0\r\na={text}\r\na=mid:1\r\n");
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.as_bytes())),
            None => (text, None),
        };
        let arena = Arena::new();
        let session = parse(all.as_bytes(), &LENIENT, &arena).unwrap();
        let defects = session.defects.iter();
        let places: Vec<_> = defects.map(|defect| (defect.reason, defect.line)).collect();
        assert_eq!(
            places,
            [(Reason::Attribute, 5), (Reason::Attribute, 7)],
            "{text}"
        );
        assert_eq!(written(&session), all);
        assert!(parse(all.as_bytes(), &STRICT, &arena).is_err());
        let other = Attribute::Other {
            name: name.as_bytes(),
            value,
        };
        assert_eq!(session.attributes[0], other);
        assert_eq!(session.media[0].attributes[1], Attribute::Mid(b"1"));
    }
}
