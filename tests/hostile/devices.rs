//! Very many devices or cleanings in one push: what they cost grows as their number does, and not as its square.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use smartclean_push::adapters::memory::{FixedRules, MemoryPublisher, MemoryState, MemoryStore};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::{Ingest, Receipt};

use crate::support::body;

/// How many there are at first, and then four times as many.
const FEW: usize = 3_000;
/// Most that four times as many may cost: linear work costs four times as much, quadratic work sixteen times.
const MOST_TIMES: f64 = 8.0;

/// How long this thread was at work: on Linux without the time in which others were.
fn worked() -> Duration {
    static STARTED: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|first| first.parse().ok());
    nanoseconds.map_or_else(|| STARTED.elapsed(), Duration::from_nanos)
}

/// A reading of one device of a zone. No rule is about its type, so that little else is done with it.
fn reading(device: usize) -> String {
    let at = jiff::Timestamp::now().as_millisecond();
    json!({"DevType": "SMARTCLEAN#TH", "DEVID": format!("device-{device}"), "InsID": "z", "PID": "building",
        "unixT": at, "v": {"t": 20}})
    .to_string()
}

fn cleaning(_: usize) -> String {
    json!({"RoutingKey": "matrix.p.task.closed.high", "UnixTimeInt": jiff::Timestamp::now().as_second(),
        "Meta": {"Zone": "z", "AEnd": jiff::Timestamp::now().as_second()}})
    .to_string()
}

/// What a push of these readings costs a new installation.
async fn cost(readings: &[String]) -> Duration {
    let rules = FixedRules(Arc::new(RuleSet::pack()));
    let (store, state) = (Arc::new(MemoryStore::default()), Arc::new(MemoryState::default()));
    let ingest = Ingest::new(store, state, Arc::new(MemoryPublisher::default()), rules);
    let receipt = Receipt { request_id: "r".into(), source: "s".into(), received: jiff::Timestamp::now() };
    let sent = body(readings).into();
    let began = worked();
    let outcome = ingest.push(sent, Encoding::Identity, &receipt).await.unwrap();
    assert_eq!((outcome.accepted, outcome.rejected), (readings.len(), 0));
    worked() - began
}

#[tokio::test]
async fn four_times_as_much_in_one_push_costs_about_four_times_as_much() {
    for (what, item) in [("devices of one zone", reading as fn(usize) -> String), ("cleanings of one zone", cleaning)] {
        let (few, many): (Vec<String>, Vec<String>) = ((0..FEW).map(item).collect(), (0..4 * FEW).map(item).collect());
        // The least of some: it is disturbed by nothing.
        let mut least = [Duration::MAX; 2];
        for _ in 0..2 {
            least[0] = least[0].min(cost(&few).await);
            least[1] = least[1].min(cost(&many).await);
        }
        let times = least[1].as_secs_f64() / least[0].as_secs_f64();
        assert!(times < MOST_TIMES, "{what}: four times as many cost {times:.1} times as much, {least:?}");
    }
}
