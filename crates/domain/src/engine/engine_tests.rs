//! The engine: due times, counts, triggers and the limits of its state.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Evaluation, Policies, announce, clean, evaluate, expects_readings, next_due, sweep};
use crate::alert::notice::Notice;
use crate::alert::{Message, Trigger};
use crate::cleaning::Cleaning;
use crate::location::Location;
use crate::reading::Reading;
use crate::rules::RuleSet;
use crate::state::{Channel, OutboxEntry, RuleState, ZoneState};

/// A time on the day of the tests, in UTC.
pub(super) fn at(clock: &str) -> Timestamp {
    format!("2026-11-23T{clock}:00Z").parse().unwrap()
}

pub(super) fn rules(text: &str) -> RuleSet {
    RuleSet::parse("rules.toml", text).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// A reading of a device of that type in Singapore, with one value.
fn reading(device_type: &str, metric: &str, value: f64, clock: &str) -> String {
    json!({
        "DevType": device_type, "DEVID": "d", "InsID": "z", "PID": "p", "Region": "Asia/Singapore",
        "unixT": at(clock).as_millisecond(), "v": {metric: value},
    })
    .to_string()
}

/// The state after these readings, each received at its event time in a push of its own.
fn after(rules: &RuleSet, readings: &[(&str, &str, f64, &str)]) -> ZoneState {
    state_and_messages(rules, readings).0
}

/// The triggers of the alerts of these readings.
fn triggers_of(rules: &RuleSet, readings: &[(&str, &str, f64, &str)]) -> Vec<Trigger> {
    triggers(&state_and_messages(rules, readings).1)
}

fn state_and_messages(rules: &RuleSet, readings: &[(&str, &str, f64, &str)]) -> (ZoneState, Vec<OutboxEntry>) {
    let mut messages = Vec::new();
    let state = readings.iter().fold(ZoneState::default(), |state, (device_type, metric, value, clock)| {
        let evaluation = evaluated(rules, &state, &reading(device_type, metric, *value, clock), clock);
        messages.extend(evaluation.messages);
        evaluation.state
    });
    (state, messages)
}

pub(super) fn evaluated(rules: &RuleSet, state: &ZoneState, text: &str, received: &str) -> Evaluation {
    evaluate(rules, state.clone(), &[&Reading::read(text).unwrap()], at(received), at(received))
}

/// The triggers of the alerts of messages.
fn triggers(messages: &[OutboxEntry]) -> Vec<Trigger> {
    let triggers = |message: &Message| match message {
        Message::Firing { alerts, .. } => alerts.iter().map(|alert| alert.trigger).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    messages.iter().flat_map(|entry| triggers(&entry.message)).collect()
}

#[test]
fn a_source_matters_if_a_rule_applies_to_it() {
    let has_rules = |rules: &RuleSet, device_type: &str| {
        let text = reading(device_type, "p", 50.0, "10:00");
        let reading = Reading::read(&text).unwrap();
        Policies::new(rules).has_rules_for(&reading.source)
    };
    let pack = RuleSet::pack();
    assert!(has_rules(&pack, "SS"));
    assert!(!has_rules(&pack, "SOMETHING_NEW"));
    let silent = rules("[[rule]]\nid = \"soap-low\"\nenabled = false\n[[rule]]\nid = \"silent\"\nenabled = false\n");
    assert!(!has_rules(&silent, "SS"));
    assert!(has_rules(&silent, "BIN"));
}

#[test]
fn readings_older_than_the_dedup_window_are_counted() {
    let pack = RuleSet::pack();
    let document = json!({ "v": 5, "dedup_window": { "readings": "", "low_water": at("09:59") } });
    let state: ZoneState = serde_json::from_value(document).unwrap();
    let clocks = ["09:58", "09:59", "10:00"];
    let texts = clocks.map(|clock| reading("SS", "p", 4.0, clock));
    let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
    let evaluation = evaluate(&pack, state.clone(), &readings.iter().collect::<Vec<_>>(), at("10:00"), at("10:00"));
    assert_eq!((evaluation.stats.late, evaluation.stats.duplicates, evaluation.stats.alerts), (2, 0, 1));
}

#[test]
fn duplicates_in_a_push_and_of_earlier_pushes_are_counted() {
    let pack = RuleSet::pack();
    let text = reading("SS", "p", 4.0, "10:00");
    let reading = Reading::read(&text).unwrap();
    let first = evaluate(&pack, ZoneState::default(), &[&reading, &reading, &reading], at("10:00"), at("10:00"));
    assert_eq!((first.stats.duplicates, first.stats.alerts), (2, 1));
    let repeated = evaluate(&pack, first.state.clone(), &[&reading], at("10:01"), at("10:01"));
    assert_eq!((repeated.stats.duplicates, repeated.stats.alerts, repeated.messages.len()), (1, 0, 0));
}

#[test]
fn a_notice_is_made_once_for_each_cause() {
    let notice = Notice::NothingArrives { since: at("09:00") };
    let first = announce(ZoneState::default(), &notice, at("10:00"));
    let [entry] = &first.messages[..] else { panic!("{first:?}") };
    assert_eq!(entry.message, Message::Notice(notice.clone()));
    assert_eq!(entry.created, at("10:00"));

    let repeated = announce(first.state.clone(), &notice, at("10:30"));
    assert_eq!((&repeated.state, repeated.messages), (&first.state, Vec::new()));
    let other = announce(first.state, &Notice::NothingArrives { since: at("10:15") }, at("11:15"));
    assert_eq!(other.messages.len(), 1);
}

#[test]
fn nothing_is_due_without_messages_reminders_and_silence_rules() {
    let rules = rules("[[rule]]\nid = \"silent\"\nenabled = false\n");
    let state = after(&rules, &[("SS", "p", 50.0, "10:00")]);
    assert_eq!(next_due(&rules, &state), None);
    assert!(!expects_readings(&rules, &state));
}

#[test]
fn a_message_is_due_at_once() {
    let rules = rules("[[rule]]\nid = \"silent\"\nenabled = false\n");
    let mut evaluation = evaluated(&rules, &ZoneState::default(), &reading("SS", "p", 4.0, "10:00"), "10:00");
    assert_eq!(next_due(&rules, &evaluation.state), None);
    evaluation.state.outbox.add(evaluation.messages, &[Channel::Sns]);
    assert_eq!(next_due(&rules, &evaluation.state), Some(at("10:00")));
}

#[test]
fn a_blocked_alert_is_due_when_the_block_ends() {
    let rules = rules("[[rule]]\nid = \"silent\"\nenabled = false\n");
    let state = after(&rules, &[("SS", "p", 4.0, "10:00")]);
    let second = evaluated(&rules, &state, &reading("PT", "p", 4.0, "10:05"), "10:05");
    assert_eq!(second.messages, [], "it is suppressed");
    let state = second.state;
    assert_eq!(next_due(&rules, &state), Some(at("10:15")));
    assert!(sweep(&rules, state.clone(), at("10:14"), true).messages.is_empty());
    assert_eq!(sweep(&rules, state.clone(), at("10:15"), true).messages.len(), 1);
}

#[test]
fn a_reminder_is_due_while_the_rule_fires() {
    let rules = rules("[[rule]]\nid = \"silent\"\nenabled = false\n[[rule]]\nid = \"soap-low\"\nreminder = \"30m\"\n");
    let state = after(&rules, &[("SS", "p", 4.0, "10:00")]);
    assert_eq!(next_due(&rules, &state), Some(at("10:30")));
    let well = evaluated(&rules, &state, &reading("SS", "p", 90.0, "10:20"), "10:20").state;
    assert_eq!(next_due(&rules, &well), None);
}

#[test]
fn readings_of_a_watched_device_are_expected_until_it_is_silent() {
    let rules = rules("[[rule]]\nid = \"silent\"\nafter = \"4h\"\n");
    let state = after(&rules, &[("SS", "p", 50.0, "10:00")]);
    assert!(expects_readings(&rules, &state));
    // What is known may be older than the truth by a quarter.
    assert_eq!(next_due(&rules, &state), Some(at("15:00")));
    assert_eq!(sweep(&rules, state.clone(), at("14:59"), true).stats.alerts, 0);
    assert_eq!(sweep(&rules, state.clone(), at("15:00"), false).stats.alerts, 0, "nothing arrives from anywhere");
    let silent = sweep(&rules, state.clone(), at("15:00"), true);
    assert_eq!(silent.stats.alerts, 1);
    assert_eq!(triggers(&silent.messages), [Trigger::NoData { since: at("10:00") }]);
    assert!(!expects_readings(&rules, &silent.state));
}

#[test]
fn adding_zero_changes_nothing() {
    let pack = RuleSet::pack();
    let state = after(&pack, &[("UM", "count", 0.0, "10:00")]);
    assert!(state.rule_states.is_empty() && state.dedup_window.is_empty(), "{state:?}");
}

#[test]
fn a_sum_begins_with_its_first_value() {
    let pack = RuleSet::pack();
    let happened = [("UM", "count", 30.0, "10:00"), ("UM", "count", 20.0, "10:30"), ("UM", "count", 10.0, "10:45")];
    let expected = [Trigger::Immediate, Trigger::Accumulated { since: at("10:30") }];
    assert_eq!(triggers_of(&pack, &happened), expected);
    // What was carried over has been there since then.
    let carrying = rules("[[rule]]\nid = \"high-usage\"\ncarry = true\n");
    let happened = [("UM", "count", 34.0, "10:00"), ("UM", "count", 20.0, "10:30"), ("UM", "count", 6.0, "10:45")];
    let expected = [Trigger::Immediate, Trigger::Accumulated { since: at("10:00") }];
    assert_eq!(triggers_of(&carrying, &happened), expected);
}

#[test]
fn a_sum_restarts_at_its_time_of_day() {
    // Six o'clock in Singapore is 22:00 the day before in UTC.
    let rules = rules("[[rule]]\nid = \"high-usage\"\nrestart_at = \"06:00\"\n");
    let alerts = |clock| {
        let state = after(&rules, &[("UM", "count", 29.0, "21:00")]);
        evaluated(&rules, &state, &reading("UM", "count", 1.0, clock), clock).stats.alerts
    };
    assert_eq!(["21:59", "22:00", "22:01"].map(alerts), [1, 0, 0]);
}

#[test]
fn of_two_readings_at_the_same_time_the_second_fires_only_if_it_is_worse() {
    let rules = rules("[[rule]]\nid = \"ammonia-lite\"\nblock = \"none\"\n");
    let alerts = |first: f64, second: f64| {
        let state = after(&rules, &[("ODRDTR_BATT_V1", "amm", first, "10:00")]);
        evaluated(&rules, &state, &reading("ODRDTR_BATT_V1", "amm", second, "10:00"), "10:00").stats.alerts
    };
    assert_eq!(alerts(250.0, 270.0), 0, "no worse by its severity");
    assert_eq!(alerts(550.0, 250.0), 0);
    assert_eq!(alerts(250.0, 550.0), 1);
}

#[test]
fn a_reading_from_the_future_counts_as_of_its_receipt_and_is_counted() {
    let pack = RuleSet::pack();
    let of = |clock: &str| {
        let evaluation = evaluated(&pack, &ZoneState::default(), &reading("SS", "p", 4.0, clock), "10:00");
        let moment = match &evaluation.messages[0].message {
            Message::Firing { alerts, .. } => alerts[0].at,
            other => panic!("{other:?}"),
        };
        (evaluation.stats.early, moment)
    };
    assert_eq!(of("10:05"), (0, at("10:05")));
    assert_eq!(of("10:06"), (1, at("10:00")));
}

/// These rules, with no other silence rule.
pub(super) fn quiet(text: &str) -> RuleSet {
    rules(&format!("block = \"none\"\n[[rule]]\nid = \"silent\"\nenabled = false\n{text}"))
}

#[test]
fn a_reading_at_the_time_of_a_cleaning_is_not_evaluated() {
    let rules = quiet("");
    let cleaned = clean(&rules, ZoneState::default(), &Cleaning::new("z", at("10:05")), at("10:05")).state;
    let alerts = |clock| evaluated(&rules, &cleaned, &reading("SS", "p", 4.0, clock), "10:10").stats.alerts;
    assert_eq!(["10:04", "10:05", "10:06"].map(alerts), [0, 0, 1]);
}

#[test]
fn a_cleaning_resolves_what_came_before_it_and_nothing_after() {
    let rules = quiet("[[rule]]\nid = \"soap-low\"\nresolved = true\n");
    let state = after(&rules, &[("UM", "count", 29.0, "10:10"), ("SS", "p", 4.0, "10:10")]);
    // The rest to thirty, and the number of alerts that a cleaning resolves.
    let count =
        |state: &ZoneState| evaluated(&rules, state, &reading("UM", "count", 1.0, "10:30"), "10:30").stats.alerts;
    for (clock, alerts, ended) in [("10:09", 1, 0), ("10:10", 0, 1), ("10:11", 0, 1)] {
        let cleaned = clean(&rules, state.clone(), &Cleaning::new("z", at(clock)), at("10:12"));
        assert_eq!((count(&cleaned.state), cleaned.messages.len()), (alerts, ended), "{clock}");
    }
    // A repeated cleaning, and one that is reported late.
    let cleaned = clean(&rules, state.clone(), &Cleaning::new("z", at("10:11")), at("10:12")).state;
    assert_eq!(clean(&rules, cleaned.clone(), &Cleaning::new("z", at("10:11")), at("10:13")).state, cleaned);
    assert_eq!(clean(&rules, cleaned.clone(), &Cleaning::new("z", at("10:05")), at("10:13")).state, cleaned);
    assert_eq!(
        clean(&rules, cleaned.clone(), &Cleaning::new("z", at("10:15")), at("10:15")).state.cleaned,
        Some(at("10:15"))
    );
}

/// The location of the first alert of an evaluation.
fn location(evaluation: &Evaluation) -> &Location {
    match &evaluation.messages[0].message {
        Message::Firing { alerts, .. } => &alerts[0].location,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_name_of_a_zone_is_learned_from_its_cleanings() {
    let rules = quiet("");
    let name = |state: &ZoneState| {
        let evaluation = evaluated(&rules, state, &reading("SS", "p", 4.0, "10:10"), "10:10");
        location(&evaluation).zone_name.clone()
    };
    let cleaned = |state: ZoneState, name: Option<&str>, clock| {
        let cleaning = Cleaning { zone_name: name.map(str::to_owned), ..Cleaning::new("z", at(clock)) };
        clean(&rules, state, &cleaning, at(clock)).state
    };
    assert_eq!(name(&ZoneState::default()), None);
    let state = cleaned(ZoneState::default(), Some("Lobby"), "10:00");
    assert_eq!(name(&state).as_deref(), Some("Lobby"));
    let state = cleaned(state, None, "10:01");
    assert_eq!(name(&state).as_deref(), Some("Lobby"), "the button sends no name");
    assert_eq!(name(&cleaned(state, Some("Hall"), "10:02")).as_deref(), Some("Hall"));
}

#[test]
fn the_time_zone_of_a_site_wins_over_the_one_of_its_readings() {
    // 10:00 in UTC is 18:00 in Singapore, which the reading has, and 11:00 in Berlin.
    let alerts = |names: &str| {
        let rules = quiet(&format!("[[rule]]\nid = \"soap-low\"\nactive = \"07:00-12:00\"\n{names}"));
        let evaluation = evaluated(&rules, &ZoneState::default(), &reading("SS", "p", 4.0, "10:00"), "10:00");
        let region = evaluation.messages.first().and_then(|_| location(&evaluation).local_zone.region.clone());
        (evaluation.stats.suppressed, region)
    };
    assert_eq!(alerts(""), (1, None));
    assert_eq!(alerts("[[site]]\nid = \"p\"\n"), (1, None), "a site without a time zone");
    assert_eq!(alerts("[[site]]\nid = \"q\"\ntime_zone = \"Europe/Berlin\"\n"), (1, None), "another site");
    let berlin = "[[site]]\nid = \"p\"\ntime_zone = \"Europe/Berlin\"\n";
    assert_eq!(alerts(berlin), (0, Some("Europe/Berlin".to_owned())));
}

#[test]
fn a_time_zone_that_changes_while_an_alert_waits_counts_at_once() {
    let soap = "[[rule]]\nid = \"soap-low\"\nactive = \"07:00-12:00\"\n";
    let state = after(&quiet(soap), &[("SS", "p", 4.0, "10:00")]);
    let released = |rules: &RuleSet| sweep(rules, state.clone(), at("23:00"), true).messages.len();
    assert_eq!(released(&quiet(soap)), 1, "23:00 in UTC is 07:00 in Singapore");
    assert_eq!(released(&quiet(&format!("{soap}[[site]]\nid = \"p\"\ntime_zone = \"Europe/Berlin\"\n"))), 0);
}

#[test]
fn a_sum_restarts_in_the_time_zone_of_its_site() {
    let alerts = |names: &str| {
        let rules = quiet(&format!("[[rule]]\nid = \"high-usage\"\nrestart_at = \"12:00\"\n{names}"));
        // 12:00 in Berlin is 11:00 in UTC, and 19:00 in Singapore.
        let state = after(&rules, &[("UM", "count", 29.0, "10:50")]);
        evaluated(&rules, &state, &reading("UM", "count", 1.0, "11:10"), "11:10").stats.alerts
    };
    assert_eq!(alerts(""), 1);
    assert_eq!(alerts("[[site]]\nid = \"p\"\ntime_zone = \"Europe/Berlin\"\n"), 0);
}

#[test]
fn an_alert_has_its_beginning_and_its_number_of_occurrences() {
    let lasting = quiet("[[rule]]\nid = \"soap-low\"\nfor = \"10m\"\n");
    let soap = [("SS", "p", 4.0, "10:00"), ("SS", "p", 3.0, "10:10")];
    assert_eq!(triggers_of(&lasting, &soap), [Trigger::Sustained { since: at("10:00") }]);
    assert_eq!(triggers_of(&quiet(""), &[("SS", "p", 4.0, "10:00")]), [Trigger::Immediate]);

    let feedback = |count: usize| {
        let rules = quiet(&format!("[[rule]]\nid = \"bad-feedback\"\ncount = {count}\nwithin = \"1h\"\n"));
        triggers_of(&rules, &[("FD", "rating", 5.0, "10:00"), ("FD", "rating", 5.0, "10:10")])
    };
    let within = Some(SignedDuration::from_hours(1));
    assert_eq!(feedback(1), [Trigger::Immediate, Trigger::Immediate]);
    assert_eq!(feedback(2), [Trigger::Repeated { count: 2, within }]);
    assert_eq!(feedback(3), []);
}

#[test]
fn missed_reminders_are_not_sent_later() {
    let rules = quiet("[[rule]]\nid = \"soap-low\"\nreminder = \"30m\"\n");
    let state = after(&rules, &[("SS", "p", 4.0, "10:00")]);
    let next = |clock| {
        let reminded = sweep(&rules, state.clone(), at(clock), true);
        assert_eq!(reminded.messages.len(), 1, "{clock}");
        next_due(&rules, &reminded.state)
    };
    assert_eq!(next("10:30"), Some(at("11:00")));
    assert_eq!(next("10:59"), Some(at("11:00")));
    assert_eq!(next("11:00"), Some(at("11:30")));
    assert_eq!(next("11:10"), Some(at("11:40")));
}

#[test]
fn the_last_reading_of_a_device_is_recorded_to_a_quarter_of_the_silence() {
    let rules = rules("[[rule]]\nid = \"silent\"\nafter = \"4h\"\n");
    let heard = |clock| after(&rules, &[("SS", "p", 50.0, "10:00"), ("SS", "p", 51.0, clock)]).devices["d"].at;
    assert_eq!(heard("10:59"), at("10:00"));
    assert_eq!(heard("11:00"), at("11:00"));
}

#[test]
fn occurrences_are_removed_when_no_late_reading_can_count_with_them() {
    // Readings may be an hour late.
    let rules = quiet("[[rule]]\nid = \"bad-feedback\"\ncount = 9\nwithin = \"1h\"\n");
    let occurrences = |clock| {
        let state = after(&rules, &[("FD", "rating", 5.0, "10:00"), ("FD", "rating", 5.0, clock)]);
        match state.rule_state("bad-feedback", "d") {
            Some(RuleState::Occurrences(occurrences)) => occurrences.times[""].len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(occurrences("11:59"), 2);
    assert_eq!(occurrences("12:00"), 1);
}

/// Alerts of soap dispensers are sent from 08:00 to 20:00 in Singapore, 00:00 to 12:00 UTC.
const BY_DAY: &str = "[[rule]]\nid = \"soap-low\"\nactive = \"08:00-20:00\"\nreminder = \"1h\"\nresolved = true\n";

fn next_day(clock: &str) -> Timestamp {
    at(clock) + SignedDuration::from_hours(24)
}

#[test]
fn an_alert_outside_active_hours_is_due_when_they_begin() {
    let rules = quiet(BY_DAY);
    let night = evaluated(&rules, &ZoneState::default(), &reading("SS", "p", 4.0, "13:00"), "13:00");
    assert_eq!(night.messages, []);
    let state = night.state;
    assert_eq!(next_due(&rules, &state), Some(next_day("00:00")));
    assert!(sweep(&rules, state.clone(), at("23:59"), true).messages.is_empty());
    let sent = sweep(&rules, state.clone(), next_day("00:00"), true);
    assert_eq!((sent.messages.len(), sent.state.suppressed.is_empty()), (1, true));
    assert_eq!(next_due(&rules, &sent.state), Some(next_day("01:00")), "then people are reminded of it");
    assert_eq!(sweep(&rules, sent.state.clone(), next_day("00:01"), true).messages, []);
}

#[test]
fn a_silence_that_is_swept_after_active_hours_is_due_when_they_begin() {
    let rules = rules("[[rule]]\nid = \"silent\"\nafter = \"4h\"\nactive = \"08:00-20:00\"\nresolved = true\n");
    let state = after(&rules, &[("SS", "p", 50.0, "06:30")]);
    assert_eq!(next_due(&rules, &state), Some(at("11:30")));
    let swept = sweep(&rules, state, at("12:30"), true);
    assert_eq!(
        (swept.messages.len(), swept.stats.suppressed, next_due(&rules, &swept.state)),
        (0, 1, Some(next_day("00:00")))
    );
    let morning = sweep(&rules, swept.state.clone(), next_day("00:00"), true);
    assert_eq!(triggers(&morning.messages), [Trigger::NoData { since: at("06:30") }]);
    assert_eq!(next_due(&rules, &morning.state), None);
    // A device that sends before that was never silent.
    let back = evaluated(&rules, &swept.state, &reading("SS", "p", 50.0, "20:00"), "20:00").state;
    assert!(sweep(&rules, back, next_day("00:00"), true).messages.is_empty());
}

#[test]
fn two_sweeps_at_the_same_time_make_the_same_message() {
    let rules = quiet(BY_DAY);
    let state = after(&rules, &[("SS", "p", 4.0, "13:00")]);
    let one = sweep(&rules, state.clone(), next_day("00:00"), true);
    assert_eq!(sweep(&rules, state.clone(), next_day("00:00"), true), one);
    let later = sweep(&rules, state.clone(), next_day("00:01"), true);
    let ids = |messages: &[OutboxEntry]| messages.iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(&later.messages), ids(&one.messages));
}

#[test]
fn reminders_and_resolved_notices_are_due_within_active_hours() {
    let rules = quiet(BY_DAY);
    let state = after(&rules, &[("SS", "p", 4.0, "11:30")]);
    assert_eq!(next_due(&rules, &state), Some(next_day("00:00")));
    let well = evaluated(&rules, &state, &reading("SS", "p", 50.0, "12:30"), "12:30");
    assert_eq!((well.messages.len(), next_due(&rules, &well.state)), (0, Some(next_day("00:00"))));
}

#[test]
fn suppressed_alerts_are_counted_by_reason() {
    let rules =
        rules("[[rule]]\nid = \"silent\"\nenabled = false\n[[rule]]\nid = \"soap-low\"\nactive = \"08:00-20:00\"\n");
    let night = evaluated(&rules, &ZoneState::default(), &reading("SS", "p", 4.0, "13:00"), "13:00");
    assert_eq!((night.stats.alerts, night.stats.suppressed, night.stats.blocked), (0, 1, 0));
    let state = after(&rules, &[("PT", "p", 4.0, "10:00")]);
    let blocked = evaluated(&rules, &state, &reading("SS", "p", 4.0, "10:05"), "10:05");
    assert_eq!((blocked.stats.alerts, blocked.stats.suppressed, blocked.stats.blocked), (0, 1, 1));
}

/// A reading of the soap dispenser with this number, a millisecond after that of the one before.
pub(super) fn dispenser(number: usize, value: f64, clock: &str) -> String {
    let mut reading: serde_json::Value = serde_json::from_str(&reading("SS", "p", value, clock)).unwrap();
    reading["DEVID"] = format!("d{number}").into();
    reading["unixT"] = (at(clock).as_millisecond() + i64::try_from(number).unwrap()).into();
    reading.to_string()
}

#[test]
fn more_than_forty_suppressed_alerts_are_one_message_with_the_number_of_the_rest() {
    let rules = quiet("[[rule]]\nid = \"soap-low\"\nactive = \"08:00-20:00\"\n");
    let texts: Vec<String> = (0..43).map(|number| dispenser(number, 4.0, "13:00")).collect();
    let night = texts.iter().fold(ZoneState::default(), |state, text| evaluated(&rules, &state, text, "13:00").state);
    let released = |state: &ZoneState| match &sweep(&rules, state.clone(), next_day("00:00"), true).messages[..] {
        [entry] => match &entry.message {
            Message::Suppressed { alerts, more, .. } => Some((alerts.len(), *more)),
            other => panic!("{other:?}"),
        },
        _ => None,
    };
    assert_eq!(released(&night), Some((40, 3)));
    // Where all that have a name are over, the zone's next alert says how many more there were.
    let over = (0..40)
        .fold(night, |state, number| evaluated(&rules, &state, &dispenser(number, 90.0, "14:00"), "14:00").state);
    assert_eq!(released(&over), None);
    let day = sweep(&rules, over.clone(), next_day("00:00"), true).state;
    let next = evaluate(
        &rules,
        day.clone(),
        &[&Reading::read(&dispenser(50, 4.0, "14:10")).unwrap()],
        at("14:10"),
        next_day("00:10"),
    );
    let Message::Firing { blocked, .. } = &next.messages[0].message else { panic!("{next:?}") };
    assert_eq!(*blocked, 3);
}

#[test]
fn a_silence_that_was_only_counted_has_no_resolved_notice() {
    let of = |blocked: &str| {
        let rules =
            rules(&format!("blocked = \"{blocked}\"\n[[rule]]\nid = \"silent\"\nafter = \"4h\"\nresolved = true\n"));
        let state = after(&rules, &[("SS", "p", 50.0, "10:00"), ("PT", "p", 50.0, "14:00")]);
        let mut silent = state;
        silent.devices.insert("e".into(), silent.devices["d"].clone());
        silent.devices.get_mut("e").unwrap().at = at("10:00");
        // Something more severe has just been sent in the zone.
        let silent = evaluated(&rules, &silent, &reading("BIN", "p", 4.0, "14:55"), "14:55").state;
        let silent = sweep(&rules, silent, at("15:00"), true).state;
        let mut back: serde_json::Value = serde_json::from_str(&reading("SS", "p", 60.0, "15:30")).unwrap();
        back["DEVID"] = "e".into();
        evaluated(&rules, &silent, &back.to_string(), "15:30").messages.len()
    };
    assert_eq!(of("counted"), 0);
    // The list, and then the resolved notice.
    assert_eq!(of("named"), 2);
}
