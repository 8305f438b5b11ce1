//! What an OPTIONS costs in the engine, and what an open transaction weighs: `cargo bench --bench engine`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sippet_proto::transaction::{
    Config, Destination, Effect, Engine, Flow, Handle, IncomingRequest, KeyMaker, OutgoingResponse,
    Target,
};
use sippet_proto::{Arena, Bytes, Options, parse};

/// Transactions a second of virtual time, so that 32 s of them stand open.
const RATES: [u64; 3] = [100, 1_000, 10_000];
/// What is measured once those stand.
const MEASURED: u64 = 200_000;

fn main() {
    for rate in RATES {
        let figures = transactions(rate);
        println!(
            "{:>7} open: {:6.0} ns reduce, {:6.0} ns step, {:6.0} ns timer J, each; {:5.0} bytes resident an open one",
            figures.open, figures.reduce, figures.step, figures.timeout, figures.bytes
        );
    }
    let message = request(1).len() + response(&request(1)).len();
    println!(
        "the messages themselves: {message} bytes a transaction, of which it keeps the response"
    );
    println!("retransmitted request: {:6.0} ns each", retransmission());
}

struct Figures {
    open: usize,
    /// Parse and reduce request and response.
    reduce: f64,
    /// `handle_request`, `begin`, `send_response`, `take`.
    step: f64,
    timeout: f64,
    bytes: f64,
}

fn transactions(rate: u64) -> Figures {
    let keys = KeyMaker::new([7; 16]);
    let mut engine = Engine::new(Config::default(), keys, 0);
    let mut effects = Vec::new();
    let (mut reduce, mut step, mut timeout) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let before = resident_bytes();
    let warm = rate * 33;
    let mut bytes = 0.0;
    for number in 0..warm + MEASURED {
        let now = number * 1_000 / rate;
        let (request, response) = (request(number), self::response(&request(number)));
        let start = Instant::now();
        let (request, response) = (incoming(&request, &keys), outgoing(&response, &keys));
        let reduced = Instant::now();
        engine.handle_request(now, request, &mut effects);
        let handle = runner(&effects);
        black_box(engine.begin(now, handle, &mut effects));
        engine
            .send_response(now, response, &mut effects)
            .expect("the transaction is open");
        black_box(engine.take(now, handle, &mut effects));
        let stepped = Instant::now();
        while engine.handle_timeout(now, 64, &mut effects) {}
        let fired = Instant::now();
        effects.clear();
        if number == warm {
            bytes = (resident_bytes() - before) / engine.len() as f64;
        }
        if number >= warm {
            reduce += reduced - start;
            step += stepped - reduced;
            timeout += fired - stepped;
        }
    }
    let each = |total: Duration| total.as_nanos() as f64 / MEASURED as f64;
    Figures {
        open: engine.len(),
        reduce: each(reduce),
        step: each(step),
        timeout: each(timeout),
        bytes,
    }
}

fn retransmission() -> f64 {
    const TIMES: u32 = 200_000;
    let keys = KeyMaker::new([7; 16]);
    let mut engine = Engine::new(Config::default(), keys, 0);
    let mut effects = Vec::new();
    let request = request(1);
    let first = incoming(&request, &keys);
    engine.handle_request(0, first.clone(), &mut effects);
    let answer = outgoing(&response(&request), &keys);
    engine
        .send_response(0, answer, &mut effects)
        .expect("the transaction is open");
    let start = Instant::now();
    for _ in 0..TIMES {
        effects.clear();
        black_box(engine.handle_request(1, first.clone(), &mut effects));
    }
    start.elapsed().as_nanos() as f64 / f64::from(TIMES)
}

fn runner(effects: &[Effect]) -> Handle {
    let started = effects.iter().find_map(|effect| match effect {
        Effect::StartRunner(handle) => Some(*handle),
        Effect::Transmit { .. } | Effect::Wake(_) | Effect::Reroute(_) | Effect::Report(_) => None,
    });
    started.expect("a new request starts a runner")
}

fn incoming(text: &str, keys: &KeyMaker) -> IncomingRequest {
    let arena = Arena::new();
    let message = parse(text.as_bytes(), &Options::default(), &arena).expect("it is well-formed");
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    IncomingRequest::new(&message, keys, bytes, target(), target(), false).expect("it is complete")
}

fn outgoing(text: &str, keys: &KeyMaker) -> OutgoingResponse {
    let arena = Arena::new();
    let message = parse(text.as_bytes(), &Options::default(), &arena).expect("it is well-formed");
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    OutgoingResponse::new(&message, keys, bytes, None, false).expect("it is complete")
}

fn target() -> Target {
    Target {
        flow: Flow {
            transport: 1,
            connection: 0,
        },
        destination: Destination::Address(([192, 0, 2, 1], 5060).into()),
    }
}

fn request(number: u64) -> String {
    format!(
        "OPTIONS sip:bob@biloxi.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP pc33.atlanta.example:5060;branch=z9hG4bK{number:016x};rport=5060;received=192.0.2.1\r\n\
         Max-Forwards: 70\r\n\
         From: Alice <sip:alice@atlanta.example>;tag={number:x}\r\n\
         To: Bob <sip:bob@biloxi.example>\r\n\
         Call-ID: {number:016x}@pc33.atlanta.example\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:alice@pc33.atlanta.example>\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn response(request: &str) -> String {
    let copied: String = request
        .split_inclusive("\r\n")
        .filter(|line| {
            ["Via", "From", "To", "Call", "CSeq"]
                .iter()
                .any(|n| line.starts_with(n))
        })
        .collect();
    format!("SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n")
}

/// What the process has in memory, where the system tells; 0 elsewhere.
fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}
