//! No bytes make the parser panic, and what it tells about them stays inside of them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sippet_proto::{Arena, Framing, Limits, Mode, Options, parse, parse_uri};

const MESSAGE: &[u8] = b"INVITE sip:bob;x=1@[2001:db8::1]:5060;user=phone?a=b SIP/2.0\r\n\
    Via: SIP/2.0/UDP a.example:5060;branch=z9hG4bK1;rport;received=[::1],\r\n SIP/2.0/TCP b\r\n\
    From: \"A \\\" B\" <sip:a@b;lr>;tag=1\r\nt: sip:c@d;tag=\"x\"\r\ni: 1@a\r\nCSeq: 1 INVITE\r\n\
    m: *\r\nWarning: 301 a \"b\\\"\"\r\nRetry-After: 5 (a(b)) ;c=d\r\nTimestamp: 1.5 .5\r\n\
    Date: Sat, 13 Nov 2010 23:29:00 GMT\r\nWWW-Authenticate: Digest a=\"b\", c=d, Basic QQ==\r\n\
    Accept: a/b;q=0.3, */*\r\nMIME-Version: 1.0 (x)\r\nCall-Info: <http://a?b=c;d>;purpose=icon\r\n\
    X-Vendor : a\r\n\tb\r\nSubject: \xd0\xb9\r\nl: 4\r\n\r\nbody";

/// Pieces that mean something to one rule or another.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"=",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"(",
    b")",
    b"[",
    b"]",
    b"/",
    b"?",
    b"@",
    b"%",
    b"%00",
    b"*",
    b".",
    b"0",
    b"99999999999",
    b"\xff",
    b"\xc3\xa9",
    b"SIP/2.0",
    b"sip:",
    b"tel:",
    b"Via: ",
    b"\r\nv:",
    b"\r\n ",
    b"\r\n\r\n",
    b"\r\nContact: <sip:a>",
    b"a=1",
    b"z9hG4bK",
];

fn check(data: &[u8]) -> Result<(), TestCaseError> {
    let mut arena = Arena::new();
    for framing in [Framing::Whole, Framing::Datagram] {
        for mode in [Mode::Lenient, Mode::Strict] {
            let options = Options {
                framing,
                mode,
                limits: Limits::DEFAULT,
            };
            match parse(data, &options, &arena) {
                Ok(message) => {
                    for defect in &message.defects {
                        prop_assert!(defect.offset <= data.len());
                    }
                    prop_assert!(mode == Mode::Lenient || message.defects.is_empty());
                }
                Err(error) => {
                    prop_assert!(error.offset <= data.len());
                    prop_assert!([400, 414, 505, 513].contains(&error.status_code()));
                }
            }
            arena.reset();
        }
    }
    let _ = parse_uri(data);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn any_bytes(data in vec(any::<u8>(), 0..512)) {
        check(&data)?;
    }

    #[test]
    fn any_pieces(pieces in vec(select(PIECES), 0..64)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn a_message_with_pieces_in_it(edits in vec((any::<Index>(), 0..8usize, select(PIECES)), 1..6)) {
        let mut data = MESSAGE.to_vec();
        for (at, length, piece) in edits {
            let start = at.index(data.len() + 1);
            let end = (start + length).min(data.len());
            data.splice(start..end, piece.iter().copied());
        }
        check(&data)?;
    }

    #[test]
    fn a_message_cut_anywhere(at in 0..=MESSAGE.len()) {
        check(MESSAGE.get(..at).unwrap_or_default())?;
    }

    #[test]
    fn a_uri_of_pieces(pieces in vec(select(PIECES), 0..12)) {
        for scheme in ["", "sip:", "sips:", "tel:", "urn:"] {
            let text = [scheme.as_bytes(), &pieces.concat()].concat();
            if let Ok(uri) = parse_uri(&text) {
                let parts = [Some(uri.scheme), Some(&b":"[..]), uri.authority, uri.parameters, uri.headers];
                let parts: Vec<&[u8]> = parts.into_iter().flatten().collect();
                prop_assert_eq!(parts.concat(), text);
            }
        }
    }
}

#[test]
fn the_message_itself_is_well_formed_but_for_its_comment() {
    let arena = Arena::new();
    let message = parse(MESSAGE, &Options::default(), &arena).unwrap();
    let defects = message.defects.iter().map(|defect| defect.reason.name());
    assert_eq!(defects.collect::<Vec<_>>(), ["comment"]);
}
