//! Measures the parts of a push of 5,000 readings from 200 zones, without I/O, and as a reference a walk of the same text by
//! `serde_json`: `make bench-parts`.
#![expect(clippy::expect_used, reason = "a benchmark without its own push is useless")]

mod pushes;
mod text;
mod work;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const READINGS: usize = 5_000;
const ZONES: usize = 200;

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("push of 5,000");
    group.throughput(Throughput::Elements(READINGS as u64)).sample_size(30);
    for (name, part) in work::parts(READINGS, ZONES) {
        group.bench_function(name, |bencher| bencher.iter(&part));
    }
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
