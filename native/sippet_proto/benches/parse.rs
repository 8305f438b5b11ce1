//! Time to parse each message of a folder: `cargo bench --bench parse -- FOLDER`. Prints the median of many runs.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use sippet_proto::{Arena, Framing, Options, parse};

const SAMPLES: usize = 201;
const ROUNDS: usize = 500;

fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let Some(folder) = folder.map(PathBuf::from).filter(|folder| folder.is_dir()) else {
        println!("parse: give a folder with .sip files");
        return;
    };
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sip"));
    paths.sort();
    for path in paths {
        let data = std::fs::read(&path).expect("a file that can be read");
        let nanoseconds = median(&data);
        println!(
            "{:>8.0} ns {:>6} bytes  {}",
            nanoseconds,
            data.len(),
            path.display()
        );
    }
}

fn median(data: &[u8]) -> f64 {
    let options = Options {
        framing: Framing::Datagram,
        ..Options::default()
    };
    let mut arena = Arena::new();
    let mut samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                arena.reset();
                let message = parse(black_box(data), &options, &arena);
                black_box(&message.is_ok());
                black_box(&message);
            }
            start.elapsed().as_nanos() as f64 / ROUNDS as f64
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[SAMPLES / 2]
}
