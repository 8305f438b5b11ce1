//! Time to frame a stream: messages that come together, a byte at a time, and nothing but line ends. `cargo bench --bench framing`.

use std::hint::black_box;
use std::time::Instant;

use sippet_proto::{Frame, Framer, Limits};

const SAMPLES: usize = 101;

const MESSAGE: &[u8] = b"MESSAGE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKrobust1\r\nMax-Forwards: 70\r\n\
    From: \"Alice\" <sip:alice@example.com>;tag=a1\r\nTo: <sip:bob@example.com>\r\n\
    Call-ID: robust-1@192.0.2.1\r\nCSeq: 1 MESSAGE\r\nContact: <sip:alice@192.0.2.1:5060>\r\n\
    Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

fn main() {
    let messages = MESSAGE.repeat(16 * 1024 / MESSAGE.len());
    let tiny = b"A b\r\nl:0\r\n\r\n".repeat(16 * 1024 / 12);
    let mut large = b"A b\r\nl:1048000\r\n\r\n".to_vec();
    large.resize(large.len() + 1_048_000, b'x');
    measure("16 KiB of messages", &messages, 16 * 1024);
    measure("the same, 1 byte at a time", &messages, 1);
    measure("the same, 1460 bytes at a time", &messages, 1460);
    measure("16 KiB of the smallest messages", &tiny, 16 * 1024);
    measure("16 KiB of line ends", &b"\r\n".repeat(8 * 1024), 16 * 1024);
    measure("1 MiB message, 1460 bytes at a time", &large, 1460);
    measure("1 MiB message, 1 byte at a time", &large, 1);
}

fn measure(name: &str, stream: &[u8], piece: usize) {
    let mut samples: Vec<(f64, usize)> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            let messages = frame(black_box(stream), piece);
            (start.elapsed().as_nanos() as f64, messages)
        })
        .collect();
    samples.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (nanoseconds, messages) = samples[SAMPLES / 2];
    println!("{nanoseconds:>10.0} ns {messages:>6} messages  {name}");
}

fn frame(stream: &[u8], piece: usize) -> usize {
    let mut framer = Framer::new(Limits::DEFAULT);
    let mut messages = 0;
    for mut input in stream.chunks(piece) {
        while let Some(frame) = framer.next(0, &mut input) {
            messages += usize::from(matches!(frame, Frame::Message(_)));
            black_box(frame);
        }
    }
    messages
}
