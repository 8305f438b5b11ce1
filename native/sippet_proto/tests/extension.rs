//! Typed values of extension header fields are read back as they were, or they are not written at all.

#[allow(dead_code, reason = "write.rs makes messages")]
mod generate;

use generate::{Generator, Matter};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sippet_proto::error::Field;
use sippet_proto::header::extension::{
    Shape, Typed, names, parse, parse_known, shape, write, write_known, write_text,
};
use sippet_proto::{Arena, Limits, ParseError, Reason, WriteReason};

fn read<'a>(
    name: &'a [u8],
    values: &[&'a [u8]],
    arena: &'a Arena,
) -> Result<Typed<'a>, ParseError<'a>> {
    parse(name, shape(name).unwrap(), values, &Limits::DEFAULT, arena)
}

fn reason(name: &str, values: &[&[u8]]) -> (Reason, usize) {
    let arena = Arena::new();
    let values: Vec<&[u8]> = values
        .iter()
        .map(|value| &*arena.alloc_slice_copy(value))
        .collect();
    let name = arena.alloc_slice_copy(name.as_bytes());
    let error = read(name, &values, &arena).unwrap_err();
    (error.reason, error.offset)
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    match text {
        [] => vec![],
        [text @ .., b'\r', b'\n'] => text
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .collect(),
        _ => panic!("no line end in {}", text.escape_ascii()),
    }
}

fn fields() -> impl Strategy<Value = (&'static [u8], Shape)> {
    select(names().collect::<Vec<_>>())
}

/// Pieces that mean something to one rule or another.
const PIECES: &[&[u8]] = &[
    b"\r\n ",
    b"\n",
    b"\r",
    b"\0",
    b"\\\0",
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
    b"*",
    b"0",
    b"1",
    b"99999999999",
    b"\xff",
    b"\xc3\xa9",
    b"sip:",
    b"<sip:a@b>",
    b"tel:1",
    b"INVITE",
    b";to-tag=1",
    b";from-tag=2",
    b";remote-tag=1;local-tag=\"\"",
    b";info=<https://a>",
    b";info=",
    b"icid-value=1",
    b"a=1",
    b"abc",
    b"[::1]",
    b";d-ver=0",
    b";audio;+a=\"<b>\"",
];

/// Fields of the documented table, one for each way to read them.
const KNOWN: &[&[u8]] = &[
    b"Via",
    b"m",
    b"From",
    b"Date",
    b"Warning",
    b"l",
    b"WWW-Authenticate",
    b"Allow",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fit_values_are_read_back((name, shape) in fields(), random in vec(any::<u8>(), 0..400)) {
        let arena = Arena::new();
        let value = Generator::new(&random, Matter::Fit, &arena).typed(shape);
        let mut text = Vec::new();
        write(name, shape, &value, &mut text).unwrap_or_else(|error| panic!("{error:?} in {value:?}"));
        prop_assert_eq!(read(name, &lines(arena.alloc_slice_copy(&text)), &arena), Ok(value));
    }

    #[test]
    fn unfit_values_are_read_back_or_refused((name, shape) in fields(), random in vec(any::<u8>(), 0..400)) {
        let arena = Arena::new();
        let value = Generator::new(&random, Matter::Unfit, &arena).typed(shape);
        let mut text = Vec::new();
        match write(name, shape, &value, &mut text) {
            Ok(()) => prop_assert_eq!(read(name, &lines(arena.alloc_slice_copy(&text)), &arena), Ok(value)),
            Err(error) => {
                prop_assert_eq!(error.field, Field::Header(name));
                prop_assert!(text.is_empty());
            }
        }
    }

    #[test]
    fn what_is_read_can_be_written_and_is_the_same_again(
        (name, shape) in fields(),
        random in vec(any::<u8>(), 0..400),
        edits in vec((any::<Index>(), 0..4usize, select(PIECES)), 0..4),
    ) {
        let arena = Arena::new();
        let value = Generator::new(&random, Matter::Fit, &arena).typed(shape);
        let mut text = Vec::new();
        write(name, shape, &value, &mut text).unwrap();
        let mut values: Vec<Vec<u8>> = lines(&text).iter().map(|line| line.to_vec()).collect();
        for (at, length, piece) in edits {
            let Some(value) = values.first_mut() else { break };
            let start = at.index(value.len() + 1);
            let end = (start + length).min(value.len());
            value.splice(start..end, piece.iter().copied());
        }
        let values: Vec<&[u8]> = values.iter().map(|value| &*arena.alloc_slice_copy(value)).collect();
        match read(name, &values, &arena) {
            Ok(value) => {
                let mut text = Vec::new();
                match write(name, shape, &value, &mut text) {
                    Ok(()) => prop_assert_eq!(read(name, &lines(arena.alloc_slice_copy(&text)), &arena), Ok(value)),
                    // Reading takes a NUL in a quoted pair, writing never does.
                    Err(error) => {
                        prop_assert_eq!(error.reason, WriteReason::ControlCharacter);
                        prop_assert!(values.iter().any(|value| value.contains(&0)));
                    }
                }
            }
            Err(error) => {
                prop_assert_eq!(error.field, Field::Header(name));
                let room: usize = values.iter().map(|value| value.len() + 1).sum();
                prop_assert!(error.offset <= room);
            }
        }
    }

    #[test]
    fn known_fields_are_read_alone_without_a_panic(
        name in select(KNOWN),
        values in vec(vec(select(PIECES), 0..10), 0..3),
    ) {
        let arena = Arena::new();
        let values: Vec<Vec<u8>> = values.iter().map(|pieces| pieces.concat()).collect();
        let values: Vec<&[u8]> = values.iter().map(|value| &**value).collect();
        if let Ok(headers) = parse_known(name, &values, &Limits::DEFAULT, &arena).unwrap() {
            let mut text = Vec::new();
            if let Err(error) = write_known(&headers, &mut text) {
                prop_assert_eq!(error.reason, WriteReason::ControlCharacter);
                prop_assert!(text.is_empty());
            }
        }
    }
}

#[test]
fn every_shape_is_made_and_written() {
    for (name, shape) in names() {
        let arena = Arena::new();
        let random: Vec<u8> = (0..=255).cycle().step_by(7).take(400).collect();
        let value = Generator::new(&random, Matter::Fit, &arena).typed(shape);
        let mut text = Vec::new();
        assert_eq!(write(name, shape, &value, &mut text), Ok(()));
    }
}

#[test]
fn limits_hold() {
    let many = |piece: &str, times: usize| piece.repeat(times).into_bytes();
    assert_eq!(
        reason("Allow-Events", &[&many("a,", 257)]).0,
        Reason::TooManyValues
    );
    assert_eq!(
        reason("Path", &[&many("<sip:a>,", 200), &many("<sip:a>,", 57)]).0,
        Reason::TooManyValues
    );
    let params: String = (0..33).map(|number| format!(";p{number}")).collect();
    assert_eq!(
        reason("Event", &[format!("a{params}").as_bytes()]).0,
        Reason::TooManyParameters
    );
    let vector = format!("icid-value=1{}", &params[..params.len() - 4]);
    assert_eq!(
        reason("P-Charging-Vector", &[format!("{vector};x;y").as_bytes()]).0,
        Reason::TooManyParameters
    );
    let identity = format!("abc;info=<https://a>{params}");
    assert_eq!(
        reason("Identity", &[identity.as_bytes()]).0,
        Reason::TooManyParameters
    );
    assert_eq!(
        reason("Event", &[&many("\r\n a", 17)]).0,
        Reason::TooManyFolds
    );
    assert_eq!(
        reason("Path", &[&b"<sip:a>"[..]; 257]).0,
        Reason::TooManyValues
    );
}

#[test]
fn folds_are_read_as_one_space_and_other_line_ends_are_refused() {
    let arena = Arena::new();
    let folded = read(b"Privacy", &[b"\tid;\r\n user\n\t;critical "], &arena).unwrap();
    assert_eq!(
        folded,
        read(b"Privacy", &[b"id", b"user;critical"], &arena).unwrap()
    );
    for value in [&b"\r\n\tid"[..], b" \r\n id", b"id\r\n ", b"id \n\t\r\n "] {
        let bare = read(b"Privacy", &[b"id"], &arena);
        assert_eq!(read(b"Privacy", &[value], &arena), bare);
        let organization = parse_known(b"Organization", &[value], &Limits::DEFAULT, &arena);
        assert_eq!(
            organization.unwrap().unwrap().organization,
            Some(&b"id"[..])
        );
    }
    for value in [
        &b"a\r\nb"[..],
        b"a\nb",
        b"a\rb",
        b"a\r\n",
        b"a\r\r\n b",
        b"\n",
    ] {
        assert_eq!(
            reason("Event", &[value]).0,
            Reason::ControlCharacter,
            "{}",
            value.escape_ascii()
        );
    }
}

#[test]
fn the_place_of_an_error_counts_over_all_lines() {
    assert_eq!(
        reason("Path", &[b"<sip:a>", b" <sip:b> x"]),
        (Reason::Syntax, 8 + 9)
    );
    assert_eq!(reason("Event", &[b"a", b"b"]), (Reason::DuplicateField, 2));
    assert_eq!(reason("Event", &[]), (Reason::EmptyValue, 0));
    assert_eq!(reason("Event", &[b"a\r\n  b"]), (Reason::Syntax, 5));
    assert_eq!(reason("RSeq", &[b"1x"]), (Reason::Number, 1));
}

#[test]
fn a_value_of_another_shape_is_not_written() {
    let mut text = Vec::new();
    let result = write(b"r", Shape::Address, &Typed::Number(1), &mut text);
    let error = result.unwrap_err();
    assert_eq!(
        (error.field, error.reason),
        (Field::Header(b"Refer-To"), WriteReason::Syntax)
    );
}

#[test]
fn long_lists_of_tokens_take_lines_of_moderate_length() {
    let arena = Arena::new();
    let tokens = sippet_proto::List::from_iter_in(vec![&b"0123456789"[..]; 256], &arena);
    let value = Typed::Tokens(tokens);
    let mut text = Vec::new();
    write(b"u", Shape::Tokens { empty: false }, &value, &mut text).unwrap();
    let text = arena.alloc_slice_copy(&text);
    assert_eq!(lines(text).len(), 4);
    assert!(lines(text).iter().all(|line| line.len() <= 1024));
    assert_eq!(read(b"u", &lines(text), &arena), Ok(value));
}

#[test]
fn text_without_a_shape_is_written_as_it_is_unless_it_could_add_a_field() {
    let mut text = Vec::new();
    write_text(b"X-A", &[b"a, b", b""], &mut text).unwrap();
    assert_eq!(text, b"a, b\r\n\r\n");
    for value in [&b"a\r\nVia: x"[..], b"a\0", b"a\n"] {
        let error = write_text(b"X-A", &[b"ok", value], &mut text).unwrap_err();
        assert_eq!(
            (error.field, error.reason),
            (Field::Header(b"X-A"), WriteReason::ControlCharacter)
        );
    }
    assert_eq!(text, b"a, b\r\n\r\n");
}
