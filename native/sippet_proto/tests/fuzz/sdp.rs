//! Bytes as a session description: what is read is written, and read back as the same; strict mode takes what has no defect.

use sippet_proto::Arena;
use sippet_proto::sdp::{Mode, Options, parse};

pub fn judge(data: &[u8]) {
    let arena = Arena::new();
    let options = Options::default();
    let strict = Options {
        mode: Mode::Strict,
        ..options
    };
    let is_strict = parse(data, &strict, &arena).is_ok();
    let Ok(session) = parse(data, &options, &arena) else {
        assert!(!is_strict);
        return;
    };
    assert_eq!(is_strict, session.defects.is_empty());
    let mut out = Vec::new();
    session
        .write(&mut out)
        .expect("what was read can be written");
    if session
        .defects
        .iter()
        .all(|defect| defect.reason.keeps_bytes())
    {
        assert_eq!(out, data);
    }
    // Line ends may make it longer than the limits.
    if out.len() <= data.len() {
        let mut again = parse(&out, &options, &arena).expect("what was written can be read");
        again.defects = session.defects.clone();
        assert_eq!(again, session);
    }
}
