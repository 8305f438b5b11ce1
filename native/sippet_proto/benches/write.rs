//! Medians of writing, stamping and answering each message of a folder: `cargo bench --bench write -- FOLDER`.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use sippet_proto::message::reply::{Reply, Salvage, write_reply};
use sippet_proto::message::stamp::stamp_received;
use sippet_proto::{Arena, Options, parse};

const ROUNDS: usize = 25;
const REPETITIONS: u32 = 4_000;

fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let Some(entries) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) else {
        println!("write: give a folder with .sip files");
        return;
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sip"))
        .collect();
    paths.sort();
    println!("nanoseconds a message      write   stamp  answer");
    for path in paths {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if let Ok(data) = std::fs::read(&path) {
            measure(&name, &data);
        }
    }
}

fn measure(name: &str, data: &[u8]) {
    let arena = Arena::new();
    let Ok(message) = parse(data, &Options::default(), &arena) else {
        println!("{name:<22} cannot be parsed");
        return;
    };
    let mut out = Vec::new();
    let write = median(|| {
        out.clear();
        let _ = black_box(black_box(&message).write(&mut out));
    });
    let source = "192.0.2.201:5060"
        .parse()
        .unwrap_or_else(|_| unreachable!("a literal"));
    let stamp = median(|| {
        out.clear();
        black_box(stamp_received(&mut out, black_box(data), source, false));
    });
    let reply = Reply {
        status_code: 400,
        reason_phrase: b"Bad Request",
        to_tag: Some(b"1"),
        extra: &[],
    };
    let answer = median(|| {
        out.clear();
        if let Some(salvage) = Salvage::scan(black_box(data)) {
            let _ = black_box(write_reply(&mut out, &salvage, &reply));
        }
    });
    println!("{name:<22} {write:>9.0} {stamp:>7.0} {answer:>7.0}");
}

fn median(mut work: impl FnMut()) -> f64 {
    let mut figures: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..REPETITIONS {
                work();
            }
            start.elapsed().as_nanos() as f64 / f64::from(REPETITIONS)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    figures[ROUNDS / 2]
}
