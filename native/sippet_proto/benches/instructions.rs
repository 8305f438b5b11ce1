//! One piece of work, once warm, in a function that callgrind can be told to count:
//! `valgrind --tool=callgrind --toggle-collect=measured instructions parse FILE`. See `bench/instructions.sh`.

use std::hint::black_box;
use std::io::Write;

use sippet_proto::{Arena, Framing, Options, parse};

#[path = "../tests/worst/mod.rs"]
mod worst;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["parse", path] => count_parse(&read(path)),
        ["write", path] => count_write(&read(path)),
        ["worst", kind, size] => count_parse(&worst(kind, size)),
        ["dump", kind, size] => std::io::stdout()
            .write_all(&worst(kind, size))
            .expect("standard output"),
        ["kinds"] => worst::Kind::ALL
            .iter()
            .for_each(|kind| println!("{}", kind.name)),
        _ => println!(
            "instructions: parse FILE, write FILE, worst KIND BYTES, dump KIND BYTES or kinds"
        ),
    }
}

fn worst(kind: &str, size: &str) -> Vec<u8> {
    let size = size.parse().expect("a number of bytes");
    let kind = worst::Kind::ALL.iter().find(|known| known.name == kind);
    kind.expect("a kind of input").build(size)
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).expect("a file that can be read")
}

/// What `--toggle-collect` looks for.
#[unsafe(no_mangle)]
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn count_parse(data: &[u8]) {
    let options = Options {
        framing: Framing::Datagram,
        ..Options::default()
    };
    let mut arena = Arena::new();
    for round in 0..3 {
        arena.reset();
        let mut work = || {
            let _ = black_box(parse(black_box(data), &options, &arena));
        };
        match round {
            2 => measured(&mut work),
            _ => work(),
        }
    }
}

fn count_write(data: &[u8]) {
    let arena = Arena::new();
    let message = parse(data, &Options::default(), &arena).expect("a message");
    let mut out = Vec::new();
    for round in 0..3 {
        out.clear();
        let mut work = || {
            let _ = black_box(black_box(&message).write(&mut out));
        };
        match round {
            2 => measured(&mut work),
            _ => work(),
        }
    }
}
