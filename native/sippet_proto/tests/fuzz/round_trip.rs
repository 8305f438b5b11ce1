//! Bytes as a message: what is read can be written, and is the same when it is read again, strictly if it was so before.

use sippet_proto::error::Field;
use sippet_proto::{Arena, Limits, List, Message, Mode, Options, WriteReason, parse};

/// Names that were compact, and lists that had a line for each value, take more or fewer bytes when they are written.
const ROOM: Limits = Limits {
    max_message_bytes: usize::MAX,
    max_fields: usize::MAX,
    max_line_bytes: usize::MAX,
    ..Limits::DEFAULT
};

pub fn judge(data: &[u8]) {
    let arena = Arena::new();
    for mode in [Mode::Lenient, Mode::Strict] {
        let options = Options {
            mode,
            ..Options::default()
        };
        if let Ok(message) = parse(data, &options, &arena) {
            there_and_back(message, data, options, &arena);
        }
    }
}

fn there_and_back<'a>(mut message: Message<'a>, data: &[u8], options: Options, arena: &'a Arena) {
    let mut out = Vec::new();
    if let Err(error) = message.write(&mut out) {
        // Reading takes a NUL in a quoted pair (RFC 4475 §3.1.1.2), writing never does.
        assert_eq!(error.reason, WriteReason::ControlCharacter, "{error:?}");
        assert!(matches!(error.field, Field::Header(_)) && data.contains(&0));
        return assert!(out.is_empty());
    }
    // With what writing adds.
    let body = message.body.unwrap_or_default();
    message.headers.content_length = Some(body.len() as u32);
    message.body = Some(body);
    // Of hops that are none nothing is written.
    let headers = &mut message.headers;
    headers.via.take_if(|hops| hops.is_empty());
    headers.route.take_if(|hops| hops.is_empty());
    headers.record_route.take_if(|hops| hops.is_empty());
    let defects = std::mem::replace(&mut message.defects, List::new_in(arena));
    let options = Options {
        limits: ROOM,
        ..options
    };
    let out = arena.alloc_slice_copy(&out);
    let mut again = parse(out, &options, arena)
        .unwrap_or_else(|error| panic!("{error:?} in {}", out.escape_ascii()));
    again.defects.clear();
    // A malformed line stays as text; where a well-formed one of the same field is there too, that alone is written.
    let is_defect = |name| {
        defects
            .iter()
            .any(|defect| defect.field == Field::Header(name))
    };
    let is_typed = |name: &[u8]| {
        again
            .headers
            .extensions
            .iter()
            .all(|kept| kept.name != name)
    };
    let extensions = &mut message.headers.extensions;
    extensions.retain(|field| {
        !(is_defect(field.name) && has_line(out, field.name) && is_typed(field.name))
    });
    assert_eq!(again, message, "{}", out.escape_ascii());
    let mut twice = Vec::new();
    again.write(&mut twice).expect("what was written once");
    assert_eq!(out, twice, "writing is settled");
}

fn has_line(text: &[u8], name: &[u8]) -> bool {
    let start = [b"\r\n", name, b": "].concat();
    text.windows(start.len()).any(|part| part == start)
}
