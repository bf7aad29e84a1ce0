//! The device limit of a zone: eviction of idle devices.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::fixtures::{at, dispenser, evaluated, quiet, rules};
use super::{DEVICES_PER_ZONE, Evaluation, evaluate, sweep};
use crate::reading::Reading;
use crate::rules::RuleSet;
use crate::state::ZoneState;

#[test]
fn readings_of_devices_beyond_the_limit_are_counted_and_change_nothing() {
    let rules = quiet("");
    let texts: Vec<String> = (0..DEVICES_PER_ZONE + 3).map(|number| dispenser(number, 4.0, "10:00")).collect();
    let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
    let whole = evaluate(&rules, ZoneState::default(), &readings.iter().collect::<Vec<_>>(), at("10:00"), at("10:00"));
    assert_eq!((whole.stats.alerts, whole.stats.over_device_limit), (DEVICES_PER_ZONE, 3));
    assert_eq!(whole.state.rule_states["soap-low"].len(), DEVICES_PER_ZONE);
    // The result does not depend on how readings are cut into pushes.
    let mut cut = (ZoneState::default(), 0);
    for push in readings.chunks(700) {
        let evaluation = evaluate(&rules, cut.0.clone(), &push.iter().collect::<Vec<_>>(), at("10:00"), at("10:00"));
        cut = (evaluation.state, cut.1 + evaluation.stats.over_device_limit);
    }
    assert_eq!(cut, (whole.state.clone(), 3));
    // Readings of known devices are evaluated.
    let mut state = whole.state;
    state.lives.take_facts();
    let of = |number| evaluated(&rules, &state, &dispenser(number, 90.0, "10:01"), "10:01");
    assert_eq!((of(7).stats.over_device_limit, of(DEVICES_PER_ZONE).stats.over_device_limit), (0, 1));
    assert_eq!(of(DEVICES_PER_ZONE).state, state);
}

#[test]
fn devices_without_state_do_not_count_towards_the_limit() {
    let rules = quiet("");
    let texts: Vec<String> = (0..DEVICES_PER_ZONE + 3).map(|number| dispenser(number, 50.0, "10:00")).collect();
    let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
    let well = evaluate(&rules, ZoneState::default(), &readings.iter().collect::<Vec<_>>(), at("10:00"), at("10:00"));
    assert_eq!((well.stats.over_device_limit, well.state.rule_states.is_empty()), (0, true));
}

/// A full zone of dispensers, after a reading of each with each of these values.
fn full(rules: &RuleSet, values: &[f64]) -> ZoneState {
    let clocks = ["10:00", "10:01"];
    values.iter().zip(clocks).fold(ZoneState::default(), |state, (value, clock)| {
        let texts: Vec<String> = (0..DEVICES_PER_ZONE).map(|number| dispenser(number, *value, clock)).collect();
        let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
        evaluate(rules, state, &readings.iter().collect::<Vec<_>>(), at("10:02"), at("10:02")).state
    })
}

/// The evaluation of a reading of another dispenser, later by this time.
fn another(rules: &RuleSet, state: &ZoneState, value: f64, later: SignedDuration) -> Evaluation {
    let now: Timestamp = at("10:01") + later;
    let text = json!({
        "DevType": "SS", "DEVID": "another", "InsID": "z", "PID": "p", "unixT": now.as_millisecond(), "v": {"p": value},
    });
    evaluate(rules, state.clone(), &[&Reading::read(&text.to_string()).unwrap()], now, now)
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[test]
fn a_full_zone_evicts_the_device_that_was_idle_for_longest_after_thirty_days() {
    let rules = quiet("");
    let state = full(&rules, &[4.0, 90.0]);
    let early = another(&rules, &state, 4.0, days(30) - SignedDuration::from_millis(1));
    assert_eq!((early.stats.alerts, early.stats.over_device_limit, &early.state), (0, 1, &state));
    let later = another(&rules, &state, 4.0, days(30));
    let kept = &later.state.rule_states["soap-low"];
    assert_eq!((later.stats.alerts, later.stats.over_device_limit, kept.len()), (1, 0, DEVICES_PER_ZONE));
    assert!(kept.contains_key("another") && kept.contains_key("d1") && !kept.contains_key("d0"));
}

#[test]
fn a_reading_that_leaves_no_state_evicts_no_device() {
    let rules = quiet("");
    let state = full(&rules, &[4.0, 90.0]);
    let well = another(&rules, &state, 90.0, days(31));
    assert_eq!((well.stats.over_device_limit, well.state), (0, state));
}

#[test]
fn a_device_with_a_firing_or_pending_rule_is_not_evicted() {
    let rules = quiet("");
    let firing = full(&rules, &[4.0]);
    let other = another(&rules, &firing, 4.0, days(99));
    assert_eq!((other.stats.alerts, other.stats.over_device_limit, other.state), (0, 1, firing.clone()));
    // The only device with nothing firing.
    let state = evaluated(&rules, &firing, &dispenser(7, 90.0, "10:01"), "10:01").state;
    let other = another(&rules, &state, 4.0, days(30) + SignedDuration::from_millis(7));
    assert_eq!((other.stats.alerts, other.state.rule_state("soap-low", "d7").is_none()), (1, true));
}

#[test]
fn a_silent_device_is_evicted_and_one_with_expected_readings_is_not() {
    let rules = rules("block = \"none\"\n[[rule]]\nid = \"silent\"\nafter = \"4h\"\n");
    let awaited = full(&rules, &[50.0]);
    assert_eq!(another(&rules, &awaited, 4.0, days(31)).stats.over_device_limit, 1);
    let silent = sweep(&rules, awaited, at("15:01"), true);
    assert_eq!(silent.stats.alerts, DEVICES_PER_ZONE);
    let other = another(&rules, &silent.state, 4.0, days(31));
    assert_eq!((other.stats.alerts, other.stats.over_device_limit), (1, 0));
    let kept = &other.state.rule_states["silent"];
    assert!(kept.contains_key("d1") && !kept.contains_key("d0") && !other.state.devices.contains_key("d0"));
}
