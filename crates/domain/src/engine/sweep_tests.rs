//! What is due in a zone without a reading, and what a sweep then sends.

use jiff::Timestamp;

use super::fixtures::{after, at, dispenser, evaluated, next_day, quiet, reading, rules, triggers};
use super::{Evaluation, evaluate, expects_readings, next_due};
use crate::alert::{Message, Trigger};
use crate::reading::Reading;
use crate::rules::RuleSet;
use crate::state::{Channel, OutboxEntry, ZoneState};

/// A sweep that archives all facts.
fn sweep(rules: &RuleSet, state: ZoneState, now: Timestamp, with_silence: bool) -> Evaluation {
    let mut evaluation = super::sweep(rules, state, now, with_silence);
    evaluation.state.lives.take_facts();
    evaluation
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
    // The recorded time can be a quarter of `after` too old.
    assert_eq!(next_due(&rules, &state), Some(at("15:00")));
    assert_eq!(sweep(&rules, state.clone(), at("14:59"), true).stats.alerts, 0);
    assert_eq!(sweep(&rules, state.clone(), at("15:00"), false).stats.alerts, 0, "nothing arrives from anywhere");
    let silent = sweep(&rules, state.clone(), at("15:00"), true);
    assert_eq!(silent.stats.alerts, 1);
    assert_eq!(triggers(&silent.messages), [Trigger::NoData { since: at("10:00") }]);
    assert!(!expects_readings(&rules, &silent.state));
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

/// Alerts of soap dispensers are sent from 08:00 to 20:00 in Singapore, 00:00 to 12:00 UTC.
const BY_DAY: &str = "[[rule]]\nid = \"soap-low\"\nactive = \"08:00-20:00\"\nreminder = \"1h\"\nresolved = true\n";

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
    // If all named alerts are over, the zone's next alert contains the number of the others.
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
