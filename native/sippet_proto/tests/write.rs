//! What is written is read back as it was, or it is not written at all.

mod corpus;
mod generate;

use generate::{Generator, Matter};
use proptest::prelude::*;
use sippet_proto::error::Field;
use sippet_proto::{Arena, Framing, Limits, Message, Mode, Options, WriteReason, parse};
use std::path::{Path, PathBuf};

const STRICT: Options = Options {
    framing: Framing::Whole,
    mode: Mode::Strict,
    limits: Limits::DEFAULT,
};

const LENIENT: Options = Options {
    framing: Framing::Whole,
    mode: Mode::Lenient,
    limits: Limits::DEFAULT,
};

/// As it has to be read: with the Content-Length and the empty line that writing adds.
fn expect_same<'a>(mut message: Message<'a>, bytes: &'a [u8], options: &Options, arena: &'a Arena) {
    let body = message.body.unwrap_or_default();
    message.headers.content_length = Some(body.len() as u32);
    message.body = Some(body);
    message.defects.clear();
    let mut read = parse(bytes, options, arena)
        .unwrap_or_else(|error| panic!("{error:?} in {}", bytes.escape_ascii()));
    if options.mode == Mode::Lenient {
        read.defects.clear();
    }
    assert_eq!(message, read, "{}", bytes.escape_ascii());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fit_messages_are_read_back_even_strictly(random in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let arena = Arena::new();
        let message = Generator::new(&random, Matter::Fit, &arena).message();
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap_or_else(|error| panic!("{error:?} in {message:?}"));
        expect_same(message, arena.alloc_slice_copy(&bytes), &STRICT, &arena);
    }

    #[test]
    fn unfit_messages_are_read_back_or_refused(random in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let arena = Arena::new();
        let message = Generator::new(&random, Matter::Unfit, &arena).message();
        let mut bytes = Vec::new();
        match message.write(&mut bytes) {
            Ok(()) => expect_same(message, arena.alloc_slice_copy(&bytes), &LENIENT, &arena),
            Err(_) => prop_assert!(bytes.is_empty()),
        }
    }

    #[test]
    fn uris_are_read_back_or_refused(random in prop::collection::vec(any::<u8>(), 0..100)) {
        let arena = Arena::new();
        let uri = Generator::new(&random, Matter::Unfit, &arena).uri();
        let mut bytes = Vec::new();
        match uri.write(&mut bytes) {
            // Inside a message a local number may come without its context.
            Ok(()) if bytes.starts_with(b"tel:") && !bytes.starts_with(b"tel:+") => {}
            Ok(()) => prop_assert_eq!(sippet_proto::uri::parse_uri(&bytes), Ok(uri)),
            Err(_) => prop_assert!(bytes.is_empty()),
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sip") {
            found.push(path);
        }
    }
}

/// Whatever was taken can be answered or forwarded: what is parsed can be written, and is the same again.
#[test]
fn every_message_of_the_corpus_that_is_read_can_be_written() {
    let Some(corpus) = corpus::path() else { return };
    let mut paths = Vec::new();
    files(&corpus, &mut paths);
    let (mut written, mut refused) = (0, 0);
    for path in &paths {
        let arena = Arena::new();
        let data = std::fs::read(path).unwrap();
        let Ok(message) = parse(&data, &LENIENT, &arena) else {
            continue;
        };
        let mut bytes = Vec::new();
        match message.write(&mut bytes) {
            Ok(()) => {
                written += 1;
                expect_same(message, arena.alloc_slice_copy(&bytes), &LENIENT, &arena);
            }
            // Reading takes a NUL in a quoted pair (RFC 4475 §3.1.1.2), writing never does.
            Err(error) => {
                refused += 1;
                assert_eq!(
                    error.reason,
                    WriteReason::ControlCharacter,
                    "{path:?} {error:?}"
                );
                assert!(matches!(error.field, Field::Header(_)));
                assert!(data.contains(&0), "{path:?} {error:?}");
            }
        }
    }
    corpus::say(&format!(
        "{written} messages written, {refused} with a NUL refused"
    ));
    assert!(written > 0);
}
