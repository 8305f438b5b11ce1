//! Two texts with a line end between them: each split as a URI and written, both compared.

use sippet_proto::uri::Comparison;
use sippet_proto::{Uri, parse_uri};

pub fn judge(data: &[u8]) {
    let (a, b) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let a = written(a);
    let b = written(b);
    if let (Some(a), Some(b)) = (a, b) {
        compared(&a, &b);
    }
}

fn written(text: &[u8]) -> Option<Uri<'_>> {
    let uri = parse_uri(text).ok()?;
    let pieces = [uri.authority, uri.parameters, uri.headers];
    let mut whole = [uri.scheme, b":"].concat();
    whole.extend(pieces.into_iter().flatten().flatten());
    assert_eq!(whole, text, "the pieces are all of it");
    let mut out = Vec::new();
    uri.write(&mut out).expect("what was read can be written");
    assert_eq!(parse_uri(&out), Ok(uri), "{}", out.escape_ascii());
    Some(uri)
}

fn compared(a: &Uri<'_>, b: &Uri<'_>) {
    let mut verdicts = Vec::new();
    for comparison in [Comparison::Strict, Comparison::Lazy] {
        assert!(a.is_equivalent(a, comparison) && b.is_equivalent(b, comparison));
        let is_equivalent = a.is_equivalent(b, comparison);
        assert_eq!(is_equivalent, b.is_equivalent(a, comparison));
        verdicts.push(is_equivalent);
    }
    // Lazy comparison takes more for the same, never less.
    assert!(!verdicts[0] || verdicts[1]);
    if a == b {
        assert!(verdicts[0]);
    }
}
