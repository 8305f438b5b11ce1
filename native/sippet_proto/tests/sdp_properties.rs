//! Session descriptions without end: no bytes make the parser panic, and what is read or made is written and read back.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sippet_proto::sdp::{
    Attribute, Bandwidth, Candidate, Connection, Decimal, Direction, Limits, Line, Media, Mode,
    Number, Options, Origin, Repeat, Session, Setup, Timing, parse,
};
use sippet_proto::{Arena, List};

const LENIENT: Options = Options {
    mode: Mode::Lenient,
    limits: Limits::DEFAULT,
};

const TEXT: &[u8] = b"v=0\r\no=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\ns=x\r\ni=y\r\nu=z\r\ne=a@b\r\np=1\r\n\
    c=IN IP4 233.252.0.1/127/3\r\nb=AS:64\r\nt=1 2\r\nr=7d 1h 0 25h\r\nz=1 -1h\r\nk=prompt\r\na=group:BUNDLE 0 1\r\n\
    m=audio 49170/2 RTP/AVP 0 101\r\ni=q\r\nc=IN IP6 ff00::1/3\r\nb=TIAS:5\r\na=rtpmap:101 telephone-event/8000/1\r\n\
    a=fmtp:101 0-15\r\na=ptime:2.5\r\na=sendonly\r\na=candidate:1 1 UDP 1 a 1 typ srflx raddr b rport 2 x y\r\n\
    a=fingerprint:sha-1 4A:AD\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-options:a b\r\na=ice-lite\r\n\
    a=setup:actpass\r\na=mid:0\r\na=msid:a b\r\na=ssrc:1 cname:a b\r\na=ssrc-group:FID 1 2\r\n\
    a=crypto:1 A inline:b;inline:c D=1\r\na=rtcp:1 IN IP4 a\r\na=rtcp-mux\r\na=rtcp-fb:* nack pli\r\na=x:y z\r\n";

/// Pieces that mean something to one rule or another.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"  ",
    b"\t",
    b":",
    b"/",
    b";",
    b"=",
    b"-",
    b".",
    b"0",
    b"00",
    b"99999999999999999999",
    b"65536",
    b"\xff",
    b"\xc3\xa9",
    b"\r\na=",
    b"\r\nm=a 1 b c",
    b"\r\nt=0 0",
    b"\r\nr=1 1 1",
    b"\r\nz=1 1h",
    b"\r\nc=IN IP4 a",
    b"\r\nb=AS:1",
    b"\r\ni=x",
    b"\r\nk=x",
    b"\r\ns=x",
    b"\r\no=- 1 1 IN IP4 a",
    b"\r\nX=1",
    b"\r\na=rtpmap:0 A/1",
    b"\r\na=sendrecv",
    b"\r\na=raddr",
    b" raddr x",
    b" rport 1",
    b"typ",
];

/// What is read is written, and what was written is read as the same.
fn check(data: &[u8]) -> Result<(), TestCaseError> {
    let arena = Arena::new();
    let session = match parse(data, &LENIENT, &arena) {
        Ok(session) => session,
        Err(error) => {
            prop_assert!(error.offset <= data.len() && error.line >= 1);
            return Ok(());
        }
    };
    for defect in &session.defects {
        prop_assert!(defect.offset <= data.len());
    }
    let mut out = Vec::new();
    let written = session.write(&mut out);
    prop_assert_eq!(written, Ok(()));
    if session
        .defects
        .iter()
        .all(|defect| defect.reason.keeps_bytes())
    {
        prop_assert_eq!(&out[..], data);
    }
    let mut again = parse(&out, &LENIENT, &arena).unwrap();
    prop_assert!(
        again
            .defects
            .iter()
            .all(|defect| defect.reason.keeps_bytes())
    );
    again.defects = session.defects.clone();
    prop_assert_eq!(&again, &session);
    Ok(())
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = select(TEXT.split(|byte| *byte == b'\n').collect::<Vec<_>>());
    vec(line, 0..40).prop_map(|lines| {
        let mut text = b"v=0\r\no=- 1 1 IN IP4 a\r\n".to_vec();
        for line in lines.iter().filter(|line| !line.is_empty()) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_of_a_description_is_read_and_written_or_refused(
        changes in vec((any::<Index>(), 0usize..6, select(PIECES)), 1..6)
    ) {
        let mut data = TEXT.to_vec();
        for (place, removed, piece) in changes {
            let at = place.index(data.len() + 1);
            let end = (at + removed).min(data.len());
            data.splice(at..end, piece.iter().copied());
        }
        check(&data)?;
    }

    #[test]
    fn lines_in_any_order_are_read_and_written_as_they_came(data in lines()) {
        check(&data)?;
    }

    #[test]
    fn any_bytes_are_read_and_written_or_refused(data in vec(any::<u8>(), 0..200)) {
        check(&data)?;
        check(&[b"v=0\r\no=- 1 1 IN IP4 a\r\na=", &data[..]].concat())?;
    }

    #[test]
    fn any_description_that_is_made_is_refused_or_read_back_equal(seed in any::<u64>()) {
        let arena = Arena::new();
        let mut draw = Draw { state: seed | 1, arena: &arena };
        let session = draw.session();
        let mut out = Vec::new();
        if session.write(&mut out).is_ok() {
            let mut read = parse(&out, &LENIENT, &arena).unwrap();
            read.defects.clear();
            // Which order is not followed is left open here: it has a test of its own.
            read.order = session.order;
            for (read, media) in read.media.iter_mut().zip(&session.media) {
                read.order = media.order;
            }
            prop_assert_eq!(&read, &session, "{}", String::from_utf8_lossy(&out));
        }
    }
}

#[test]
fn what_is_made_is_neither_always_refused_nor_always_written() {
    let mut accepted = 0;
    for seed in 0..4_000 {
        let arena = Arena::new();
        let mut draw = Draw {
            state: seed * 2 + 1,
            arena: &arena,
        };
        accepted += usize::from(draw.session().write(&mut Vec::new()).is_ok());
    }
    assert!((400..3_600).contains(&accepted), "{accepted}");
}

/// Descriptions from a seed, most of them sound, some with a part that cannot be written.
struct Draw<'a> {
    state: u64,
    arena: &'a Arena,
}

impl<'a> Draw<'a> {
    fn number(&mut self, below: u64) -> u64 {
        // splitmix64
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    }

    fn rarely(&mut self) -> bool {
        self.number(60) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.number(of.len() as u64) as usize]
    }

    fn odd(&mut self) -> &'static [u8] {
        self.pick(&[
            b"", b" ", b"a b", b" a", b"a ", b"a\r\nb", b"a\nb", b"\0", b"/", b":", b";", b"a:b",
            b"007", b"-", b"\xff", b"raddr", b"rport",
        ])
    }

    fn word(&mut self) -> &'a [u8] {
        if self.rarely() {
            return self.odd();
        }
        self.pick(&[
            b"audio",
            b"IN",
            b"IP4",
            b"IP6",
            b"0",
            b"101",
            b"x",
            b"-",
            b"telephone-event",
        ])
    }

    fn text(&mut self) -> &'a [u8] {
        if self.rarely() {
            return self.odd();
        }
        self.pick(&[b"", b"x", b"a b", b" ", b"x:y", b"\xc3\xa9"])
    }

    fn time(&mut self) -> &'a [u8] {
        if self.rarely() {
            return self.odd();
        }
        self.pick(&[b"0", b"7d", b"3600", b"25h"])
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.number(2) == 0).then(|| draw(self))
    }

    fn list<T: 'a>(&mut self, least: u64, draw: impl Fn(&mut Self) -> T) -> List<'a, T> {
        let least = if self.rarely() { 0 } else { least };
        let mut list = List::new_in(self.arena);
        for _ in 0..least + self.number(3) {
            let value = draw(self);
            list.push(value);
        }
        list
    }

    fn connection(&mut self) -> Connection<'a> {
        let address_type = self.word();
        let is_6 = address_type == b"IP6";
        let ttl = self.maybe(|draw| draw.number(256) as u32);
        let count = self.maybe(|draw| draw.number(5) as u32);
        let odd = self.rarely();
        Connection {
            network_type: self.word(),
            address_type,
            address: self.word(),
            ttl: ttl.filter(|_| !is_6 || odd),
            address_count: count.filter(|_| is_6 || ttl.is_some() || odd),
        }
    }

    fn bandwidth(&mut self) -> Bandwidth<'a> {
        Bandwidth {
            bandwidth_type: self.word(),
            bandwidth: self.pick(&[0, 64, i64::MAX as u64]),
        }
    }

    fn timing(&mut self) -> Timing<'a> {
        Timing {
            start: self.pick(&[0, 3_724_394_400]),
            stop: self.number(9),
            repeats: self.list(0, |draw| Repeat {
                interval: draw.time(),
                duration: draw.time(),
                offsets: draw.list(1, Self::time),
            }),
            zone_adjustments: self.list(0, |draw| (draw.number(9), draw.time())),
        }
    }

    fn line(&mut self) -> Line<'a> {
        Line {
            letter: self.pick(b"XYxyvstacm1-"),
            value: self.text(),
        }
    }

    fn order(&mut self, letters: &[u8]) -> Option<&'a [u8]> {
        if self.number(4) > 0 {
            return None;
        }
        let mut order = letters.to_vec();
        for index in 1..order.len() {
            let other = self.number(index as u64 + 1) as usize;
            order.swap(index, other);
        }
        Some(self.arena.alloc_slice_copy(&order))
    }

    fn session(&mut self) -> Session<'a> {
        let odd_lines = self.number(8) == 0;
        let mut session = Session {
            origin: Origin {
                username: self.word(),
                session_id: self.word(),
                session_version: if self.rarely() {
                    Number::Word(self.word())
                } else {
                    Number::Integer(self.number(1 << 40))
                },
                network_type: self.word(),
                address_type: self.word(),
                address: self.word(),
            },
            session_name: self.maybe(Self::text),
            information: self.maybe(Self::text),
            uri: self.maybe(Self::text),
            emails: self.list(0, Self::text),
            phones: self.list(0, Self::text),
            connection: self.maybe(Self::connection),
            bandwidths: self.list(0, Self::bandwidth),
            timings: self.list(0, Self::timing),
            key: self.maybe(Self::text),
            attributes: self.list(0, Self::attribute),
            media: List::new_in(self.arena),
            unknown: List::new_in(self.arena),
            order: None,
            defects: List::new_in(self.arena),
        };
        if odd_lines {
            session.unknown = self.list(0, Self::line);
            let mut letters = b"o".to_vec();
            for (letter, count) in [
                (b's', session.session_name.iter().len()),
                (b'i', session.information.iter().len()),
                (b'u', session.uri.iter().len()),
                (b'e', session.emails.len()),
                (b'p', session.phones.len()),
                (b'c', session.connection.iter().len()),
                (b'b', session.bandwidths.len()),
                (b't', session.timings.len()),
                (b'k', session.key.iter().len()),
                (b'a', session.attributes.len()),
                (b'-', session.unknown.len()),
            ] {
                letters.extend(std::iter::repeat_n(letter, count));
            }
            session.order = self.order(&letters);
        }
        for _ in 0..self.number(3) {
            let media = self.media(odd_lines);
            session.media.push(media);
        }
        session
    }

    fn media(&mut self, odd_lines: bool) -> Media<'a> {
        let mut media = Media {
            media_type: self.word(),
            port: self.number(65536) as u16,
            port_count: self.maybe(|draw| draw.number(9) as u32),
            protocol: self.word(),
            formats: self.list(0, Self::word),
            information: self.maybe(Self::text),
            connections: self.list(0, Self::connection),
            bandwidths: self.list(0, Self::bandwidth),
            key: self.maybe(Self::text),
            attributes: self.list(1, Self::attribute),
            unknown: List::new_in(self.arena),
            order: None,
        };
        if odd_lines {
            media.unknown = self.list(0, Self::line);
            let mut letters = Vec::new();
            for (letter, count) in [
                (b'i', media.information.iter().len()),
                (b'c', media.connections.len()),
                (b'b', media.bandwidths.len()),
                (b'k', media.key.iter().len()),
                (b'a', media.attributes.len()),
                (b'-', media.unknown.len()),
            ] {
                letters.extend(std::iter::repeat_n(letter, count));
            }
            media.order = self.order(&letters);
        }
        media
    }

    fn decimal(&mut self) -> Decimal<'a> {
        if self.rarely() {
            return Decimal::Real(self.word());
        }
        match self.number(2) {
            0 => Decimal::Integer(self.number(100) as u32),
            _ => Decimal::Real(b"2.5"),
        }
    }

    fn ssrc(&mut self) -> u32 {
        self.number(1 << 32) as u32
    }

    fn attribute(&mut self) -> Attribute<'a> {
        match self.number(24) {
            0 => Attribute::RtpMap {
                payload_type: if self.rarely() {
                    200
                } else {
                    self.number(128) as u8
                },
                encoding_name: self.word(),
                clock_rate: self.ssrc(),
                parameters: self.maybe(Self::word),
            },
            1 => Attribute::Fmtp {
                format: self.word(),
                parameters: self.word(),
            },
            2 => Attribute::Ptime(self.decimal()),
            3 => Attribute::MaxPtime(self.decimal()),
            4 => Attribute::Direction(self.pick(Direction::ALL)),
            5 => {
                let candidate = Candidate {
                    foundation: self.word(),
                    component: self.ssrc(),
                    transport: self.word(),
                    priority: self.ssrc(),
                    address: self.word(),
                    port: self.number(65536) as u16,
                    candidate_type: self.word(),
                    related_address: self.maybe(Self::word),
                    related_port: self.maybe(|draw| draw.number(65536) as u16),
                    extensions: self.list(0, |draw| (draw.word(), draw.word())),
                };
                Attribute::Candidate(self.arena.alloc(candidate))
            }
            6 => Attribute::Fingerprint {
                hash: self.word(),
                value: if self.rarely() { self.word() } else { b"4A:ad" },
            },
            7 => Attribute::IceUfrag(if self.rarely() { self.word() } else { b"8hhY" }),
            8 => Attribute::IcePwd(if self.rarely() {
                self.word()
            } else {
                b"asd88fgpdd777uzjYhagZg"
            }),
            9 => Attribute::IceOptions(self.list(1, Self::word)),
            10 => self.pick(&[0, 1, 2, 3]).into_flag(),
            11 => Attribute::IcePacing(self.ssrc()),
            12 => Attribute::Setup(self.pick(Setup::ALL)),
            13 => Attribute::Mid(self.word()),
            14 => Attribute::Group {
                semantics: self.word(),
                mids: self.list(0, Self::word),
            },
            15 => Attribute::Msid {
                id: self.word(),
                appdata: self.maybe(Self::word),
            },
            16 => Attribute::Ssrc {
                ssrc: self.ssrc(),
                attribute: self.word(),
                value: self.maybe(Self::text),
            },
            17 => Attribute::SsrcGroup {
                semantics: self.word(),
                ssrcs: self.list(0, Self::ssrc),
            },
            18 => Attribute::Crypto {
                tag: if self.rarely() {
                    u32::MAX
                } else {
                    self.number(1_000_000_000) as u32
                },
                suite: self.word(),
                key_parameters: self.list(1, Self::word),
                session_parameters: self.list(0, Self::word),
            },
            19 => Attribute::Rtcp {
                port: self.number(65536) as u16,
                address: self.maybe(|draw| [draw.word(), draw.word(), draw.word()]),
            },
            20 => Attribute::RtcpFb {
                format: self.word(),
                feedback: self.word(),
                parameters: self.maybe(Self::word),
            },
            21 => Attribute::Other {
                name: self.pick(&[b"rtpmap", b"ptime", b"mid", b"sendrecv", b"group"]),
                value: Some(b""),
            },
            _ => Attribute::Other {
                name: self.word(),
                value: self.maybe(Self::text),
            },
        }
    }
}

trait Flag {
    fn into_flag(self) -> Attribute<'static>;
}

impl Flag for i32 {
    fn into_flag(self) -> Attribute<'static> {
        match self {
            0 => Attribute::IceLite,
            1 => Attribute::IceMismatch,
            2 => Attribute::RtcpMux,
            _ => Attribute::RtcpRsize,
        }
    }
}
