//! What a push of 5,000 readings over 200 zones costs by its parts, without any input or output; beside it what
//! `serde_json` needs to merely walk the same text, which is the measure: `make bench-parts`.
#![expect(clippy::expect_used, reason = "without a push of ours there is nothing to measure")]

mod pushes;

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use smartclean_push::domain::archive::pack_text;
use smartclean_push::domain::batch::{BatchId, Items};
use smartclean_push::domain::engine::evaluate;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::{ZoneKey, ZoneState};

const READINGS: usize = 5_000;
const ZONES: usize = 200;

/// What any reader of the format has to do at least: the outer strings, and the JSON within each.
fn walk(body: &str) -> usize {
    let texts: Vec<String> = serde_json::from_str(body).unwrap_or_default();
    texts.iter().filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()).count()
}

/// Judges readings zone by zone, from nothing remembered.
fn judge(rules: &RuleSet, readings: &[Reading<'_>], received: Timestamp) -> usize {
    let mut zones: BTreeMap<ZoneKey<'_>, Vec<&Reading<'_>>> = BTreeMap::new();
    for reading in readings {
        zones.entry(ZoneKey::of(&reading.source)).or_default().push(reading);
    }
    zones.values().map(|readings| evaluate(rules, &ZoneState::default(), readings, received, received).alerts).sum()
}

fn parts(criterion: &mut Criterion) {
    let texts = pushes::texts(READINGS, ZONES);
    let body = pushes::body(&texts);
    let lines = texts.join("\n");
    let rules = RuleSet::pack();
    let items = Items::split(body.as_bytes()).expect("a body of ours");
    let batch = items.read();
    let received = batch.readings.iter().filter_map(|reading| reading.time).max().expect("readings that say when");
    assert_eq!(batch.readings.len(), READINGS);

    let mut group = criterion.benchmark_group("push of 5,000");
    group.throughput(Throughput::Elements(READINGS as u64)).sample_size(30);
    group.bench_function("walk", |bencher| bencher.iter(|| walk(black_box(&body))));
    group.bench_function("identify", |bencher| bencher.iter(|| BatchId::of(black_box(body.as_bytes()))));
    group.bench_function("split", |bencher| {
        bencher.iter(|| Items::split(black_box(body.as_bytes())).map(|items| items.len()))
    });
    group.bench_function("read", |bencher| bencher.iter(|| black_box(&items).read().readings.len()));
    group.bench_function("evaluate", |bencher| bencher.iter(|| judge(&rules, black_box(&batch.readings), received)));
    group.bench_function("split, read, evaluate", |bencher| {
        bencher.iter(|| {
            let items = Items::split(black_box(body.as_bytes())).expect("a body of ours");
            judge(&rules, &items.read().readings, received)
        });
    });
    group.bench_function("compress", |bencher| bencher.iter(|| pack_text(black_box(&lines))));
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
