//! Many devices, cleanings or alerts of one zone: the cost is linear in their number.

use std::time::{Duration, Instant};

use serde_json::json;
use smartclean_push::domain::alert::notice::Notice;
use smartclean_push::domain::alert::{Alert, Message};
use smartclean_push::domain::engine::evaluate;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::{Block, RuleSet};
use smartclean_push::domain::state::{Blocks, Channel, Outbox, OutboxEntry, ZoneState};

use crate::support::{World, body, push_to};

/// The first number.
const FEW: usize = 1_500;
/// The factor to the second number.
const TIMES: usize = 8;
/// Largest ratio of the costs. Linear work has 8, quadratic work 64; the mean of both is far from the noise of a busy machine.
const MOST_TIMES: f64 = 22.0;
/// The first number for work that takes microseconds.
const FEW_PARTS: usize = 6_000;

/// The processor time of this thread on Linux; elsewhere the elapsed time.
fn processor_time() -> Duration {
    static STARTED: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|first| first.parse().ok());
    nanoseconds.map_or_else(|| STARTED.elapsed(), Duration::from_nanos)
}

/// A reading of one device of a zone. No rule applies to its type, so little else is done with it.
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

/// A reading that raises an alert, one millisecond after the previous one.
fn crowd(number: usize) -> String {
    let at = jiff::Timestamp::now().as_millisecond() - 60_000 + i64::try_from(number).unwrap();
    json!({"DevType": "SMARTCLEAN#UM", "DEVID": format!("door-{}", number % 500), "InsID": "z", "PID": "building",
        "unixT": at, "v": {"count": 40}})
    .to_string()
}

/// The cost of a push of these readings to an empty installation.
async fn cost(readings: &[String]) -> Duration {
    let world = World::new().with_rules(RuleSet::parse("rules.toml", "block = \"none\"").unwrap());
    let (ingest, sent) = (world.ingest(), body(readings));
    let began = processor_time();
    let outcome = push_to(&ingest, sent, jiff::Timestamp::now()).await.unwrap();
    assert_eq!((outcome.accepted, outcome.rejected), (readings.len(), 0));
    processor_time() - began
}

#[tokio::test]
async fn the_cost_of_a_push_is_linear_in_its_size() {
    for (what, item) in [
        ("devices of one zone", reading as fn(usize) -> String),
        ("cleanings of one zone", cleaning),
        ("alerts of one zone", crowd),
    ] {
        let (few, many): (Vec<String>, Vec<String>) =
            ((0..FEW).map(item).collect(), (0..TIMES * FEW).map(item).collect());
        // The minimum of several runs has the least noise.
        let mut least = [Duration::MAX; 2];
        for _ in 0..2 {
            least[0] = least[0].min(cost(&few).await);
            least[1] = least[1].min(cost(&many).await);
        }
        assert_linear(what, least);
    }
}

fn assert_linear(what: &str, [few, many]: [Duration; 2]) {
    let times = many.as_secs_f64() / few.as_secs_f64();
    assert!(times < MOST_TIMES, "{what}: eight times as many cost {times:.1} times as much, {few:?} and {many:?}");
}

/// Asserts that the cost of `work` is linear in the number.
fn assert_cost_is_linear(what: &str, work: impl Fn(usize)) {
    let measured = |count| {
        let began = processor_time();
        work(count);
        processor_time() - began
    };
    let least = |count| (0..5).map(|_| measured(count)).min().unwrap();
    assert_linear(what, [least(FEW_PARTS), least(TIMES * FEW_PARTS)]);
}

#[test]
fn the_cost_of_pending_messages_of_a_zone_is_linear_in_their_number() {
    assert_cost_is_linear("messages in an outbox", |count| {
        let mut outbox = Outbox::default();
        let entry = |second: usize| {
            let since = jiff::Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            OutboxEntry::new(Message::Notice(Notice::NothingArrives { since }), Vec::new(), since)
        };
        outbox.add((0..count / 2).map(entry).collect(), &[Channel::Sns]);
        outbox.add((0..count).map(entry).collect(), &[Channel::Sns]);
        assert_eq!(outbox.entries().len(), count);
    });
}

/// An alert.
fn alert() -> Alert {
    let text = crowd(0);
    let reading = Reading::read(&text).unwrap();
    let now = reading.time.unwrap();
    let evaluation = evaluate(&RuleSet::pack(), ZoneState::default(), &[&reading], now, now);
    match &evaluation.messages[0].message {
        Message::Firing { alerts, .. } => alerts[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_cost_of_devices_that_do_not_block_their_zone_is_linear_in_their_number() {
    let alert = alert();
    let day = jiff::SignedDuration::from_hours(24);
    let block = Block { zone: jiff::SignedDuration::ZERO, ..Block::default() };
    assert_cost_is_linear("alerts that were sent", |count| {
        let mut blocks = Blocks::default();
        for number in 0..count {
            let device = format!("device-{number}");
            assert_eq!(blocks.until(&alert, &device, &block), None);
            blocks.record(&alert, &device, alert.at, day);
            assert!(blocks.until(&alert, &device, &block).is_some());
        }
    });
}
