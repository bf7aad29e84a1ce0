//! The parts of a push as repeatable work: timed by `parts`, counted by `counts`.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use smartclean_push::domain::alert::Message;
use smartclean_push::domain::archive::pack_readings;
use smartclean_push::domain::batch::{Batch, BatchId, Items};
use smartclean_push::domain::engine::{DEVICES_PER_ZONE, evaluate};
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::{Kind, RuleSet};
use smartclean_push::domain::state::{ZoneKey, ZoneState};
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::{Environment, Ingest, RequestInfo};
use smartclean_push::notify::render::Renderer;

use crate::{pushes, text};
use test_support::memory::{MemoryPublisher, MemoryState, MemoryStore};

/// The time of the crowd: 2026-09-01T00:00:00Z, in milliseconds since 1970.
const CROWDED: i64 = 1_788_220_800_000;

/// A part: its name, and its work.
pub(crate) type Part = (String, Box<dyn Fn() -> usize>);

/// The least work of any parser of the format: the outer strings, and the JSON in each.
fn walk(body: &str) -> usize {
    let texts: Vec<String> = serde_json::from_str(body).unwrap_or_default();
    texts.iter().filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()).count()
}

/// Evaluates readings zone by zone, without earlier state.
fn evaluate_all(rules: &RuleSet, readings: &[Reading<'_>], received: Timestamp) -> usize {
    let mut zones: HashMap<ZoneKey<'_>, Vec<&Reading<'_>>, RandomState> = HashMap::default();
    for reading in readings {
        zones.entry(ZoneKey::of(&reading.source)).or_default().push(reading);
    }
    zones
        .values()
        .map(|readings| evaluate(rules, ZoneState::default(), readings, received, received).stats.alerts)
        .sum()
}

/// Texts of readings from this number of devices of one zone. Each raises an alert.
fn crowd(devices: usize) -> Vec<String> {
    let text = |device| {
        format!(
            r#"{{"DevType":"SMARTCLEAN#UM","DEVID":"UM-{device}","Display":"Door {device}","PID":"tower-1","InsID":"hall","unixT":{CROWDED},"v":{{"count":40,"b":2950}}}}"#
        )
    };
    (0..devices).map(text).collect()
}

/// The messages that these readings raise.
fn messages(rules: &RuleSet, readings: &[Reading<'_>], received: Timestamp) -> Vec<Message> {
    let evaluated = |reading| evaluate(rules, ZoneState::default(), &[reading], received, received);
    readings.iter().flat_map(|reading| evaluated(reading).messages).map(|entry| entry.message).collect()
}

/// A whole push with all ports in memory, without earlier state.
fn push(body: &Bytes, rules: &Arc<RuleSet>, received: Timestamp) -> usize {
    let (store, state, publisher) = (MemoryStore::default(), MemoryState::default(), MemoryPublisher::default());
    let ingest = Ingest::new(Environment {
        store: Box::new(store),
        journal: None,
        state: Box::new(state),
        replay_rate_limit: None,
        publisher: Box::new(publisher),
        background: Vec::new(),
        rules: Box::new(Arc::clone(rules)),
    });
    let source = "203.0.113.7".into();
    let request = RequestInfo { request_id: "1".into(), source, received, verified_client: None, url: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime
        .block_on(ingest.push(body.clone(), Encoding::Identity, &request, request.received))
        .expect("a store in memory");
    outcome.accepted + outcome.delivery.messages
}

/// All parts of a push of this size. Their input is leaked, and lives as long as the program.
pub(crate) fn parts(readings: usize, zones: usize) -> Vec<Part> {
    let texts = pushes::texts(readings, zones);
    let body: &str = Box::leak(text::body(&texts).into_boxed_str());
    let rules = Arc::new(RuleSet::pack());
    let items: &Items<'_> = Box::leak(Box::new(Items::split(body.as_bytes()).expect("a body of ours")));
    let batch: &Batch<'_> = Box::leak(Box::new(items.read()));
    let received = batch.readings.iter().filter_map(|reading| reading.time).max().expect("readings that say when");
    let raised = messages(&rules, &batch.readings, received);
    assert!(batch.readings.len() == readings && !raised.is_empty());

    let all = Arc::clone(&rules);
    let mut parts: Vec<Part> = vec![
        ("walk".into(), Box::new(|| walk(body))),
        ("identify".into(), Box::new(|| BatchId::of(body.as_bytes()).to_string().len())),
        ("split".into(), Box::new(|| Items::split(body.as_bytes()).map_or(0, |items| items.len()))),
        ("read".into(), Box::new(|| items.read().readings.len())),
        ("evaluate".into(), Box::new(move || evaluate_all(&all, &batch.readings, received))),
    ];
    for kind in Kind::ALL {
        let mut of_kind = RuleSet::pack();
        of_kind.rules.retain(|rule| rule.kind == kind);
        let name = format!("evaluate, {} rules alone", kind.as_str());
        parts.push((name, Box::new(move || evaluate_all(&of_kind, &batch.readings, received))));
    }
    // The longest evaluation of one zone without a yield.
    let texts: &[String] = Box::leak(crowd(DEVICES_PER_ZONE).into_boxed_slice());
    let crowd: Vec<Reading<'_>> = texts.iter().map(|text| Reading::read(text).expect("a reading of ours")).collect();
    let loud = RuleSet::parse("loud.toml", "block = \"none\"").expect("rules of ours");
    let then = Timestamp::from_millisecond(CROWDED).expect("a moment of ours");
    parts.push((
        format!("evaluate {DEVICES_PER_ZONE} alerts of one zone"),
        Box::new(move || evaluate_all(&loud, &crowd, then)),
    ));
    let all = Arc::clone(&rules);
    parts.push((
        "split, read, evaluate".into(),
        Box::new(move || {
            let items = Items::split(body.as_bytes()).expect("a body of ours");
            evaluate_all(&all, &items.read().readings, received)
        }),
    ));
    let (count, renderer) = (raised.len(), Renderer::default());
    parts.push((
        format!("render {count} messages"),
        Box::new(move || raised.iter().map(|message| renderer.render(message).email.len()).sum()),
    ));
    parts.push(("compress".into(), Box::new(|| pack_readings(&batch.readings).len())));
    let bytes = Bytes::from_static(body.as_bytes());
    parts.push(("whole push in memory".into(), Box::new(move || push(&bytes, &rules, received))));
    parts
}
