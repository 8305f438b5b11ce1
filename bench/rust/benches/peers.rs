//! Bytes to a message, beside other crates: `cargo bench` in this folder.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sippet_bench::{PARSERS, scan};

fn peers(criterion: &mut Criterion) {
    let mut paths: Vec<_> = std::fs::read_dir("../messages")
        .expect("bench/messages")
        .map(|entry| entry.expect("a file").path())
        .collect();
    paths.sort();
    for path in paths {
        let data = std::fs::read(&path).expect("a message");
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(data.len() as u64));
        for parser in PARSERS {
            group.bench_with_input(
                BenchmarkId::from_parameter(parser.name),
                &data,
                |bencher, data| bencher.iter(|| (parser.parse)(black_box(data))),
            );
        }
        group.bench_with_input(
            BenchmarkId::from_parameter("memchr of line ends"),
            &data,
            |bencher, data| bencher.iter(|| scan(black_box(data))),
        );
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2));
    targets = peers
}
criterion_main!(benches);
