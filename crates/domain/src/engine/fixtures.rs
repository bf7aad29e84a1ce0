//! Readings, rules and their evaluation for the tests of the engine.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Evaluation, evaluate};
use crate::alert::{Message, Trigger};
use crate::reading::Reading;
use crate::rules::RuleSet;
use crate::state::{OutboxEntry, ZoneState};

/// A time on the day of the tests, in UTC.
pub(super) fn at(clock: &str) -> Timestamp {
    format!("2026-11-23T{clock}:00Z").parse().unwrap()
}

pub(super) fn rules(text: &str) -> RuleSet {
    RuleSet::parse("rules.toml", text).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// A reading of a device of that type in Singapore, with one value.
pub(super) fn reading(device_type: &str, metric: &str, value: f64, clock: &str) -> String {
    json!({
        "DevType": device_type, "DEVID": "d", "InsID": "z", "PID": "p", "Region": "Asia/Singapore",
        "unixT": at(clock).as_millisecond(), "v": {metric: value},
    })
    .to_string()
}

/// The state after these readings, each received at its event time in a push of its own.
pub(super) fn after(rules: &RuleSet, readings: &[(&str, &str, f64, &str)]) -> ZoneState {
    state_and_messages(rules, readings).0
}

/// The triggers of the alerts of these readings.
pub(super) fn triggers_of(rules: &RuleSet, readings: &[(&str, &str, f64, &str)]) -> Vec<Trigger> {
    triggers(&state_and_messages(rules, readings).1)
}

pub(super) fn state_and_messages(
    rules: &RuleSet,
    readings: &[(&str, &str, f64, &str)],
) -> (ZoneState, Vec<OutboxEntry>) {
    let mut messages = Vec::new();
    let state = readings.iter().fold(ZoneState::default(), |state, (device_type, metric, value, clock)| {
        let evaluation = evaluated(rules, &state, &reading(device_type, metric, *value, clock), clock);
        messages.extend(evaluation.messages);
        evaluation.state
    });
    (state, messages)
}

/// The evaluation of a reading. A sweep has archived its alerts.
pub(super) fn evaluated(rules: &RuleSet, state: &ZoneState, text: &str, received: &str) -> Evaluation {
    let reading = Reading::read(text).unwrap();
    let mut evaluation = evaluate(rules, state.clone(), &[&reading], at(received), at(received));
    evaluation.state.lives.take_facts();
    evaluation
}

/// The triggers of the alerts of messages.
pub(super) fn triggers(messages: &[OutboxEntry]) -> Vec<Trigger> {
    let triggers = |message: &Message| match message {
        Message::Firing { alerts, .. } => alerts.iter().map(|alert| alert.trigger).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    messages.iter().flat_map(|entry| triggers(&entry.message)).collect()
}

/// These rules without blocks and without the built-in silence rule.
pub(super) fn quiet(text: &str) -> RuleSet {
    rules(&format!("block = \"none\"\n[[rule]]\nid = \"silent\"\nenabled = false\n{text}"))
}

pub(super) fn next_day(clock: &str) -> Timestamp {
    at(clock) + SignedDuration::from_hours(24)
}

/// A reading of the soap dispenser with this number, a millisecond after that of the one before.
pub(super) fn dispenser(number: usize, value: f64, clock: &str) -> String {
    let mut reading: serde_json::Value = serde_json::from_str(&reading("SS", "p", value, clock)).unwrap();
    reading["DEVID"] = format!("d{number}").into();
    reading["unixT"] = (at(clock).as_millisecond() + i64::try_from(number).unwrap()).into();
    reading.to_string()
}
