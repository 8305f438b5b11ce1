//! Bytes as what came by a socket: parsed, validated, stamped, and answered without state.

use std::net::SocketAddr;

use sippet_proto::message::reply::{Reply, Salvage, write_reply};
use sippet_proto::message::stamp::{stamp_received, topmost_via};
use sippet_proto::message::validate::validate;
use sippet_proto::{Arena, Framing, Message, Mode, Options, Reason, parse};

const SOURCES: [&str; 2] = ["192.0.2.7:5060", "[2001:db8::7]:5070"];

const REPLY: Reply<'_> = Reply {
    status_code: 400,
    reason_phrase: b"Bad Request",
    to_tag: Some(b"a6c85cf"),
    extra: &[(b"Retry-After", b"5")],
};

pub fn judge(data: &[u8]) {
    let arena = Arena::new();
    for framing in [Framing::Whole, Framing::Datagram] {
        parsed(data, framing, &arena);
    }
    for source in SOURCES {
        for force_rport in [false, true] {
            stamped(data, source.parse().unwrap(), force_rport);
        }
    }
    answered(data, &arena);
}

fn parsed(data: &[u8], framing: Framing, arena: &Arena) {
    let [lenient, strict] = [Mode::Lenient, Mode::Strict].map(|mode| {
        let options = Options {
            framing,
            mode,
            ..Options::default()
        };
        parse(data, &options, arena)
    });
    for error in [&lenient, &strict]
        .into_iter()
        .filter_map(|r| r.as_ref().err())
    {
        assert!(error.offset <= data.len());
        assert!([400, 414, 505, 513].contains(&error.status_code()));
    }
    let Ok(message) = lenient else {
        assert!(strict.is_err(), "strict mode takes what lenient refuses");
        return;
    };
    let _ = validate(&message);
    let offsets = message.defects.iter().map(|defect| defect.offset);
    assert!(offsets.max().is_none_or(|offset| offset <= data.len()));
    // Strict mode takes what has no defect, as it is, and refuses any other. A line end without CR is no defect of text that no
    // datagram brought.
    match strict {
        Ok(strict) => assert_eq!(strict, message),
        Err(error) if framing == Framing::Whole && error.reason == Reason::BareLf => {}
        Err(_) => assert!(!message.defects.is_empty(), "{message:?}"),
    }
}

fn stamped(data: &[u8], source: SocketAddr, force_rport: bool) {
    let mut stamped = Vec::new();
    let via = stamp_received(&mut stamped, data, source, force_rport);
    assert_eq!(via, topmost_via(data));
    let Some(via) = via else {
        return assert_eq!(stamped, data);
    };
    let after = topmost_via(&stamped).expect("the Via that was stamped");
    assert_eq!(
        (after.protocol, after.host, after.port),
        (via.protocol, via.host, via.port)
    );
    assert_eq!((after.branch, after.maddr), (via.branch, via.maddr));
    assert_eq!(after.rport, via.rport || force_rport);
    let mut again = Vec::new();
    stamp_received(&mut again, &stamped, source, force_rport);
    assert_eq!(stamped, again, "stamping twice is stamping once");
}

fn answered(data: &[u8], arena: &Arena) {
    let Some(salvage) = Salvage::scan(data) else {
        return;
    };
    let mut out = Vec::new();
    write_reply(&mut out, &salvage, &REPLY).expect("all pieces of ours are fit");
    assert!(out.ends_with(b"\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"));
    // No line of the answer comes from within a value: status, Via, four fields, and what was asserted.
    let lines = out.split(|byte| *byte == b'\n').skip(1);
    let lines: Vec<&[u8]> = lines.collect();
    let (vias, rest) = lines.split_at(lines.len() - 8);
    assert!(vias.iter().all(|line| line.starts_with(b"Via: ")));
    for (line, name) in rest.iter().zip(["From: ", "To: ", "Call-ID: ", "CSeq: "]) {
        assert!(line.starts_with(name.as_bytes()));
    }
    let answer = Salvage::scan_response(&out).expect("the answer has what it copied");
    let unfolded = salvage
        .to
        .iter()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'));
    let mut to: Vec<u8> = unfolded.copied().collect();
    if !salvage.has_to_tag() {
        to.extend_from_slice(b";tag=a6c85cf");
    }
    assert_eq!(answer.to, to);
    if let Ok(request) = parse(data, &Options::default(), arena) {
        copied(&request, &out, arena);
    }
}

/// What a request has that was read, its answer has too, and it can be read.
fn copied<'a>(request: &Message<'a>, out: &[u8], arena: &'a Arena) {
    let out = arena.alloc_slice_copy(out);
    let answer = parse(out, &Options::default(), arena).expect("the answer to what was read");
    let (asked, answer) = (&request.headers, answer.headers);
    assert_eq!(asked.via, answer.via);
    assert_eq!(asked.from, answer.from);
    assert_eq!(asked.call_id, answer.call_id);
    assert_eq!(asked.cseq, answer.cseq);
    let (asked, answer) = (asked.to.unwrap(), answer.to.unwrap());
    assert_eq!(
        (asked.display_name, asked.uri),
        (answer.display_name, answer.uri)
    );
    assert!(answer.params.starts_with(asked.params));
}
