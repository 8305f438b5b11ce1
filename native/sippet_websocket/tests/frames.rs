//! Frames made by hand (RFC 6455 §5.2), and what comes of them however they are cut.

use proptest::prelude::*;
use sippet_websocket::{Event, Side, WebSocket};

const LIMIT: usize = 1_000;
const PATIENCE: u64 = 50;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const FINAL: u8 = 0x80;

/// A frame of a client's.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

fn server() -> WebSocket {
    WebSocket::new(Side::Server, LIMIT, PATIENCE)
}

fn push(websocket: &mut WebSocket, now: u64, input: &[u8]) -> (Vec<Event>, Vec<u8>) {
    let (mut events, mut output) = (Vec::new(), Vec::new());
    websocket.push(now, input, &mut output, |event| events.push(event));
    (events, output)
}

fn message(bytes: &[u8]) -> Event {
    Event::Message(bytes.to_vec().into())
}

#[test]
fn the_example_of_rfc_6455_5_7_is_read() {
    let masked_hello = [
        0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
    ];
    assert_eq!(
        push(&mut server(), 0, &masked_hello),
        (vec![message(b"Hello")], vec![])
    );
    let mut client = WebSocket::new(Side::Client, LIMIT, PATIENCE);
    let hello = [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F];
    assert_eq!(push(&mut client, 0, &hello).0, vec![message(b"Hello")]);
    let mut output = Vec::new();
    server().write_message(b"Hello", &mut output);
    assert_eq!(output, hello);
}

#[test]
fn what_is_not_utf_8_is_written_as_binary() {
    let mut output = Vec::new();
    server().write_message(&[0xFF], &mut output);
    assert_eq!(output, [FINAL | BINARY, 1, 0xFF]);
}

#[test]
fn a_client_masks_what_it_writes() {
    let mut client = WebSocket::new(Side::Client, LIMIT, PATIENCE);
    let mut output = Vec::new();
    client.write_message(b"Hello", &mut output);
    assert_eq!(push(&mut server(), 0, &output).0, vec![message(b"Hello")]);
}

#[test]
fn a_ping_is_answered_also_within_a_message() {
    let mut server = server();
    let input = [masked(TEXT, b"a"), masked(FINAL | PING, b"x")].concat();
    let (events, output) = push(&mut server, 0, &input);
    assert_eq!(events, vec![Event::Ping]);
    assert_eq!(output, [FINAL | 10, 1, b'x']);
    assert_eq!(
        push(&mut server, 0, &masked(FINAL, b"b")).0,
        vec![message(b"ab")]
    );
}

#[test]
fn the_deadline_is_that_of_the_first_byte_of_a_message() {
    let mut server = server();
    assert_eq!(server.deadline(), None);
    push(&mut server, 7, &masked(TEXT, b"a")[..1]);
    assert_eq!(server.deadline(), Some(7 + PATIENCE));
    push(&mut server, 8, &masked(TEXT, b"a")[1..]);
    // Fragments and frames of control between them do not begin anew.
    push(&mut server, 9, &masked(0, b""));
    push(&mut server, 10, &masked(FINAL | PING, b""));
    assert_eq!(server.deadline(), Some(7 + PATIENCE));
    // The next message is another one.
    let input = [
        masked(FINAL, b"b"),
        masked(FINAL | TEXT, b"c")[..3].to_vec(),
    ]
    .concat();
    assert_eq!(push(&mut server, 11, &input).0, vec![message(b"ab")]);
    assert_eq!(server.deadline(), Some(11 + PATIENCE));
    push(&mut server, 12, &masked(FINAL | TEXT, b"c")[3..]);
    assert_eq!(server.deadline(), None);
}

#[test]
fn a_close_is_answered_and_is_the_last() {
    let mut server = server();
    let input = [
        masked(FINAL | CLOSE, &1000u16.to_be_bytes()),
        masked(FINAL | TEXT, b"late"),
    ]
    .concat();
    let (events, mut output) = push(&mut server, 0, &input);
    assert_eq!(events, vec![Event::Closed]);
    assert_eq!(output, [FINAL | CLOSE, 2, 0x03, 0xE8]);
    output.clear();
    server.write_message(b"late", &mut output);
    server.write_ping(&mut output);
    server.close(1001, &mut output);
    assert_eq!(output, []);
    assert_eq!(push(&mut server, 0, &masked(FINAL | TEXT, b"later")).0, []);
}

#[test]
fn a_close_of_ours_is_the_last_that_is_written() {
    let mut server = server();
    let mut output = Vec::new();
    server.close(1001, &mut output);
    assert_eq!(output, [FINAL | CLOSE, 2, 0x03, 0xE9]);
    output.clear();
    server.close(1002, &mut output);
    server.write_message(b"late", &mut output);
    assert_eq!(output, []);
}

#[test]
fn what_is_against_the_protocol_has_its_status_code() {
    let cases: Vec<(u16, Vec<u8>)> = vec![
        (1002, vec![FINAL | TEXT, 1, b'x']),
        (1002, masked(FINAL | TEXT | 0x40, b"x")),
        (1002, masked(FINAL | 3, b"x")),
        (1002, masked(PING, b"x")),
        (1002, masked(FINAL | PING, &[b'x'; 126])),
        (1002, masked(FINAL, b"x")),
        (1002, [masked(TEXT, b"x"), masked(TEXT, b"x")].concat()),
        (1007, masked(FINAL | TEXT, &[0xFF])),
        (1009, vec![FINAL | TEXT, 0xFF, 0, 0, 0, 0, 0, 0, 3, 0xE9]),
        (
            1009,
            [masked(BINARY, &[0; 600]), masked(0, &[0; 600])].concat(),
        ),
    ];
    for (code, mut input) in cases {
        // A mask of zeros behind the length that nothing follows.
        if input.len() == 10 {
            input.extend([0; 4]);
        }
        let mut server = server();
        let (events, _) = push(&mut server, 0, &input);
        assert_eq!(events, vec![Event::Failed(code)], "{input:?}");
        assert_eq!(server.deadline(), None);
        let mut output = Vec::new();
        server.close(code, &mut output);
        assert_eq!(output[2..4], code.to_be_bytes());
    }
}

fn cut(input: &[u8], mut places: Vec<usize>) -> Vec<&[u8]> {
    places
        .iter_mut()
        .for_each(|place| *place %= input.len() + 1);
    places.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for place in places.into_iter().chain([input.len()]) {
        pieces.push(&input[from..place]);
        from = place;
    }
    pieces
}

proptest! {
    /// However a message is fragmented and the bytes are cut, it is the same.
    #[test]
    fn any_split_brings_the_same(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
        fragments in prop::collection::vec(any::<usize>(), 0..4),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut input = Vec::new();
        for bytes in &messages {
            let pieces = cut(bytes, fragments.clone());
            for (index, piece) in pieces.iter().enumerate() {
                let last = if index + 1 == pieces.len() { FINAL } else { 0 };
                let opcode = if index == 0 { BINARY } else { 0 };
                input.extend(masked(last | opcode, piece));
                input.extend(masked(FINAL | PING, b""));
            }
        }
        let mut server = server();
        let mut received = Vec::new();
        for piece in cut(&input, cuts) {
            for event in push(&mut server, 0, piece).0 {
                if let Event::Message(bytes) = event {
                    received.push(bytes.to_vec());
                }
            }
        }
        prop_assert_eq!(received, messages);
        prop_assert_eq!(server.deadline(), None);
    }

    /// What is written at one side is read at the other.
    #[test]
    fn what_is_written_is_read(bytes in prop::collection::vec(any::<u8>(), 0..LIMIT)) {
        let mut client = WebSocket::new(Side::Client, LIMIT, PATIENCE);
        let mut output = Vec::new();
        client.write_message(&bytes, &mut output);
        let mut server = server();
        prop_assert_eq!(push(&mut server, 0, &output).0, vec![message(&bytes)]);
        output.clear();
        server.write_message(&bytes, &mut output);
        prop_assert_eq!(push(&mut client, 0, &output).0, vec![message(&bytes)]);
    }

    /// No bytes panic, and nothing follows an end. Answers are no longer than what they answer.
    #[test]
    fn any_bytes_are_bounded(
        input in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        side in prop::bool::ANY,
    ) {
        let side = if side { Side::Client } else { Side::Server };
        let mut websocket = WebSocket::new(side, LIMIT, PATIENCE);
        let mut ended = false;
        for piece in cut(&input, cuts) {
            let (events, output) = push(&mut websocket, 0, piece);
            prop_assert!(!ended || (events.is_empty() && output.is_empty()));
            // A client adds a mask of four bytes to each of its answers.
            prop_assert!(output.len() <= 3 * input.len() + 8);
            ended |= events.iter().any(|event| matches!(event, Event::Closed | Event::Failed(_)));
        }
    }
}
