//! The first byte says into how many lengths the stream is cut, again and again, and which limits hold; the lengths follow,
//! and then the stream. However it is cut, the frames are the same.

use sippet_proto::{Arena, Frame, Framer, Limits, Options, Reason, parse};

/// A frame that refers to nothing.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Message(Vec<u8>),
    Ping,
    Pong,
    Broken(Reason, usize, Vec<u8>),
}

const TIGHT: Limits = Limits {
    max_line_bytes: 30,
    max_fields: 3,
    max_folds: 2,
    max_stream_message_bytes: 40,
    ..Limits::DEFAULT
};

pub fn judge(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    // From the digit 0 on, so that a seed can be read: 0 to 7 with tight limits, 8 and above with the default ones.
    let choice = first.wrapping_sub(b'0');
    let limits = if choice & 8 == 0 {
        TIGHT
    } else {
        Limits::DEFAULT
    };
    let pong = choice & 16 != 0;
    let count = usize::from(choice & 7).min(rest.len());
    let (lengths, stream) = rest.split_at(count);
    let lengths: Vec<usize> = lengths
        .iter()
        .map(|byte| usize::from(*byte).max(1))
        .collect();
    let whole = frames(stream, &[stream.len().max(1)], limits, pong);
    for lengths in [&[1], &lengths[..]] {
        if !lengths.is_empty() {
            assert_eq!(frames(stream, lengths, limits, pong), whole);
        }
    }
    for frame in &whole {
        bounded(frame, stream, limits);
    }
}

fn frames(stream: &[u8], lengths: &[usize], limits: Limits, pong: bool) -> Vec<Seen> {
    let mut framer = Framer::new(limits);
    if pong {
        framer.expect_pong();
    }
    let (mut rest, mut frames) = (stream, Vec::new());
    for (now, length) in lengths.iter().cycle().enumerate() {
        let (mut piece, behind) = rest.split_at((*length).min(rest.len()));
        while let Some(frame) = framer.next(now as u64 % 100, &mut piece) {
            frames.push(seen(frame));
        }
        assert!(piece.is_empty(), "all is taken");
        assert!(framer.kept_bytes() <= 2 * limits.max_stream_message_bytes + 64);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    frames
}

fn seen(frame: Frame<'_>) -> Seen {
    match frame {
        Frame::Message(message) => Seen::Message(message.into_owned()),
        Frame::Ping => Seen::Ping,
        Frame::Pong => Seen::Pong,
        Frame::Broken(broken) => Seen::Broken(
            broken.error.reason,
            broken.error.offset,
            broken.head.into_owned(),
        ),
    }
}

fn bounded(frame: &Seen, stream: &[u8], limits: Limits) {
    match frame {
        Seen::Message(bytes) => {
            assert!(bytes.len() <= limits.max_stream_message_bytes);
            let arena = Arena::new();
            // The parser finds the end of the head, and of the body, where the framer did.
            if let Ok(message) = parse(bytes, &Options::default(), &arena) {
                let length = message.headers.content_length.map(|length| length as usize);
                assert_eq!(message.body.map(<[u8]>::len), length);
            }
        }
        Seen::Broken(_, _, head) => assert!(head.len() <= stream.len()),
        Seen::Ping | Seen::Pong => {}
    }
}
