//! Very many devices, cleanings or alerts of one zone: what they cost grows as their number does, and not as its square.

use std::time::{Duration, Instant};

use serde_json::json;
use smartclean_push::domain::alert::notice::Notice;
use smartclean_push::domain::alert::{Alert, Message};
use smartclean_push::domain::engine::evaluate;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::{Block, RuleSet};
use smartclean_push::domain::state::{Blocks, Outbox, OutboxEntry, ZoneState};

use crate::support::{World, body, push_to};

/// How many there are at first.
const FEW: usize = 1_500;
/// And then so many times as many.
const TIMES: usize = 8;
/// Most that eight times as many may cost: linear work costs 8 times as much, quadratic work 64 times. The mean of both, so that
/// noise of a busy machine is far from it.
const MOST_TIMES: f64 = 22.0;
/// How many there are at first of a part of the work, which takes microseconds each.
const FEW_PARTS: usize = 6_000;

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

/// A reading that raises an alert, each a millisecond after the one before.
fn crowd(number: usize) -> String {
    let at = jiff::Timestamp::now().as_millisecond() - 60_000 + i64::try_from(number).unwrap();
    json!({"DevType": "SMARTCLEAN#UM", "DEVID": format!("door-{}", number % 500), "InsID": "z", "PID": "building",
        "unixT": at, "v": {"count": 40}})
    .to_string()
}

/// What a push of these readings costs a new installation.
async fn cost(readings: &[String]) -> Duration {
    let world = World::new().with_rules(RuleSet::parse("rules.toml", "block = \"none\"").unwrap());
    let (ingest, sent) = (world.ingest(), body(readings));
    let began = worked();
    let outcome = push_to(&ingest, sent, jiff::Timestamp::now()).await.unwrap();
    assert_eq!((outcome.accepted, outcome.rejected), (readings.len(), 0));
    worked() - began
}

#[tokio::test]
async fn eight_times_as_much_in_one_push_costs_about_eight_times_as_much() {
    for (what, item) in [
        ("devices of one zone", reading as fn(usize) -> String),
        ("cleanings of one zone", cleaning),
        ("alerts of one zone", crowd),
    ] {
        let (few, many): (Vec<String>, Vec<String>) =
            ((0..FEW).map(item).collect(), (0..TIMES * FEW).map(item).collect());
        // The least of some: it is disturbed by nothing.
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

/// What a part of the work with so many costs by itself.
fn assert_cost_is_linear(what: &str, work: impl Fn(usize)) {
    let measured = |count| {
        let began = worked();
        work(count);
        worked() - began
    };
    let least = |count| (0..5).map(|_| measured(count)).min().unwrap();
    assert_linear(what, [least(FEW_PARTS), least(TIMES * FEW_PARTS)]);
}

#[test]
fn eight_times_as_many_waiting_messages_of_a_zone_cost_about_eight_times_as_much() {
    assert_cost_is_linear("messages in an outbox", |count| {
        let mut outbox = Outbox::default();
        for second in 0..count {
            let since = jiff::Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            outbox.put(vec![OutboxEntry::new(Message::Notice(Notice::NothingArrives { since }), since)], 0, since);
        }
        assert_eq!(outbox.entries().len(), count);
    });
}

/// An alert of some device.
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
fn eight_times_as_many_devices_that_do_not_block_their_zone_cost_about_eight_times_as_much() {
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
