//! What a push of 5,000 readings over 200 zones costs by its parts, without any input or output; beside it what
//! `serde_json` needs to merely walk the same text, which is the measure: `make bench-parts`.
#![expect(clippy::expect_used, reason = "without a push of ours there is nothing to measure")]

#[path = "../../tests/it/support/memory.rs"]
#[expect(dead_code, unreachable_pub, reason = "tests look at more of it")]
mod memory;
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
