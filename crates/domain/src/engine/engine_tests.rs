//! The engine: counts, triggers, cleanings and the limits of its state.

use jiff::SignedDuration;
use serde_json::json;

use super::fixtures::{after, at, evaluated, quiet, reading, rules, triggers_of};
use super::{Evaluation, Policies, announce, evaluate, respond};
use crate::alert::notice::Notice;
use crate::alert::{Message, Trigger};
use crate::location::Location;
use crate::reading::Reading;
use crate::response::Response;
use crate::rules::RuleSet;
use crate::severity::Severity;
use crate::state::{Channel, OutboxEntry, RuleState, ThresholdState, ZoneState};

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
    let document = json!({ "v": 7, "dedup_window": { "readings": "", "low_water": at("09:59") } });
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
    // The part that is carried over counts since then.
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

/// The worst severity of the alerts of these readings at 10:10, and the state of the rule after them.
fn simultaneous(
    rules: &RuleSet,
    before: &ZoneState,
    values: &[f64],
    in_one_push: bool,
) -> (Option<Severity>, Option<RuleState>) {
    let texts: Vec<String> = values.iter().map(|value| reading("ODRDTR_BATT_V1", "amm", *value, "10:10")).collect();
    let readings: Vec<Reading<'_>> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
    let readings: Vec<&Reading<'_>> = readings.iter().collect();
    let size = if in_one_push { readings.len() } else { 1 };
    let (mut state, mut worst) = (before.clone(), None);
    for push in readings.chunks(size) {
        let evaluation = evaluate(rules, state, push, at("10:10"), at("10:10"));
        let messages = evaluation.messages.iter().map(|entry| &entry.message);
        let firing = messages.filter(|message| matches!(message, Message::Firing { .. }));
        worst = worst.max(firing.map(Message::severity).max());
        state = evaluation.state;
    }
    (worst, state.rule_state("ammonia-lite", "d").cloned())
}

#[test]
fn the_order_of_readings_at_the_same_time_does_not_decide_whether_an_alert_is_sent() {
    let orders: [&[&[f64]]; 4] = [
        &[&[100.0, 250.0], &[250.0, 100.0]],
        &[&[100.0, 550.0], &[550.0, 100.0]],
        &[&[250.0, 550.0], &[550.0, 250.0]],
        &[
            &[100.0, 250.0, 550.0],
            &[100.0, 550.0, 250.0],
            &[250.0, 100.0, 550.0],
            &[250.0, 550.0, 100.0],
            &[550.0, 100.0, 250.0],
            &[550.0, 250.0, 100.0],
        ],
    ];
    let histories: [&[(f64, &str)]; 6] = [
        &[],
        &[(250.0, "10:00")],
        &[(550.0, "10:00")],
        &[(250.0, "10:00"), (100.0, "10:01")],
        &[(250.0, "09:59"), (250.0, "10:05")],
        // A gap.
        &[(250.0, "09:30")],
    ];
    for more in ["", "for = \"10m\"\n", "for = \"5m\"\n", "clear = 90\n", "resolved = true\n"] {
        let rules = quiet(&format!("[[rule]]\nid = \"ammonia-lite\"\nmax_gap = \"30m\"\n{more}"));
        for history in histories {
            let history: Vec<_> =
                history.iter().map(|(value, clock)| ("ODRDTR_BATT_V1", "amm", *value, *clock)).collect();
            let before = after(&rules, &history);
            for orders in orders {
                let expected = simultaneous(&rules, &before, orders[0], true);
                for order in orders {
                    for in_one_push in [true, false] {
                        let outcome = simultaneous(&rules, &before, order, in_one_push);
                        assert_eq!(outcome, expected, "{more:?} {history:?} {order:?} {in_one_push}");
                    }
                }
            }
        }
    }
}

#[test]
fn of_readings_at_the_same_time_one_that_is_worse_than_the_alert_counts_and_otherwise_one_that_ends_it() {
    use Severity::{High, Medium};
    let rules = quiet("[[rule]]\nid = \"ammonia-lite\"\n");
    let firing = |value: f64| after(&rules, &[("ODRDTR_BATT_V1", "amm", value, "10:00")]);
    let outcome = |before: &ZoneState, values: &[f64]| {
        let (alerted, state) = simultaneous(&rules, before, values, true);
        (alerted, matches!(state, Some(RuleState::Threshold(ThresholdState::Firing { .. }))))
    };
    assert_eq!(outcome(&firing(250.0), &[100.0, 600.0]), (Some(High), true));
    assert_eq!(outcome(&firing(250.0), &[100.0, 260.0]), (None, false), "no worse");
    assert_eq!(outcome(&firing(550.0), &[100.0, 600.0]), (None, false), "no worse");
    assert_eq!(outcome(&firing(250.0), &[100.0]), (None, false));
    assert_eq!(outcome(&ZoneState::default(), &[100.0, 250.0]), (Some(Medium), true));
    let resolved = firing(100.0);
    assert_eq!(outcome(&resolved, &[100.0, 90.0]), (None, false));
}

#[test]
fn a_worse_reading_of_the_same_time_revokes_the_unsent_resolved_notice() {
    let rules = quiet("[[rule]]\nid = \"ammonia-lite\"\nresolved = true\n");
    let before = after(&rules, &[("ODRDTR_BATT_V1", "amm", 250.0, "10:00")]);
    let push = |state: ZoneState, readings: &[(f64, &str)]| {
        let texts = readings.iter().map(|(value, clock)| reading("ODRDTR_BATT_V1", "amm", *value, clock));
        let texts: Vec<String> = texts.collect();
        let readings: Vec<Reading<'_>> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
        evaluate(&rules, state, &readings.iter().collect::<Vec<_>>(), at("10:10"), at("10:10"))
    };
    let kinds = |entries: &[OutboxEntry]| -> Vec<&str> {
        let kind =
            |entry: &OutboxEntry| if matches!(entry.message, Message::Firing { .. }) { "firing" } else { "resolved" };
        entries.iter().map(kind).collect()
    };
    let one_push = push(before.clone(), &[(100.0, "10:10"), (600.0, "10:10")]);
    assert_eq!(kinds(&one_push.messages), ["firing"]);
    assert_eq!(kinds(&push(one_push.state, &[(100.0, "10:11")]).messages), ["resolved"]);
    assert_eq!(kinds(&push(before.clone(), &[(100.0, "10:09"), (600.0, "10:10")]).messages), ["resolved", "firing"]);

    let Evaluation { mut state, messages, .. } = push(before, &[(100.0, "10:10")]);
    let ids = state.outbox.add(messages, &[Channel::Log]);
    let second = push(state.clone(), &[(600.0, "10:10")]);
    assert_eq!((kinds(&second.messages), kinds(second.state.outbox.entries())), (vec!["firing"], vec![]));
    state.outbox.lease(Channel::Log, &ids.into_iter().collect(), at("10:10"));
    let second = push(state, &[(600.0, "10:10")]);
    assert_eq!((kinds(&second.messages), kinds(second.state.outbox.entries())), (vec!["firing"], vec!["resolved"]));
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

#[test]
fn a_reading_at_the_time_of_a_cleaning_is_not_evaluated() {
    let rules = quiet("");
    let cleaned =
        respond(&rules, ZoneState::default(), &[&Response::reported("z", at("10:05"))], at("10:05"), at("10:05")).state;
    let alerts = |clock| evaluated(&rules, &cleaned, &reading("SS", "p", 4.0, clock), "10:10").stats.alerts;
    assert_eq!(["10:04", "10:05", "10:06"].map(alerts), [0, 0, 1]);
}

#[test]
fn a_cleaning_resolves_what_came_before_it_and_nothing_after() {
    let rules = quiet("[[rule]]\nid = \"soap-low\"\nresolved = true\n");
    let state = after(&rules, &[("UM", "count", 29.0, "10:10"), ("SS", "p", 4.0, "10:10")]);
    // The alerts of one more person.
    let count =
        |state: &ZoneState| evaluated(&rules, state, &reading("UM", "count", 1.0, "10:30"), "10:30").stats.alerts;
    for (clock, alerts, ended) in [("10:09", 1, 0), ("10:10", 0, 1), ("10:11", 0, 1)] {
        let cleaned = respond(&rules, state.clone(), &[&Response::reported("z", at(clock))], at("10:12"), at("10:12"));
        assert_eq!((count(&cleaned.state), cleaned.messages.len()), (alerts, ended), "{clock}");
    }
    // A repeated cleaning, and one that is reported late.
    let cleaned =
        respond(&rules, state.clone(), &[&Response::reported("z", at("10:11"))], at("10:12"), at("10:12")).state;
    assert_eq!(
        respond(&rules, cleaned.clone(), &[&Response::reported("z", at("10:11"))], at("10:13"), at("10:13")).state,
        cleaned
    );
    let late =
        respond(&rules, cleaned.clone(), &[&Response::reported("z", at("10:05"))], at("10:13"), at("10:13")).state;
    assert_eq!(ZoneState { lives: cleaned.lives.clone(), ..late }, cleaned);
    assert_eq!(
        respond(&rules, cleaned.clone(), &[&Response::reported("z", at("10:15"))], at("10:15"), at("10:15"))
            .state
            .cleaned,
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
        let cleaning = Response { zone_name: name.map(str::to_owned), ..Response::reported("z", at(clock)) };
        respond(&rules, state, &[&cleaning], at(clock), at(clock)).state
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
        triggers_of(
            &rules,
            &[("FD", "rating", 5.0, "09:05"), ("FD", "rating", 5.0, "10:00"), ("FD", "rating", 5.0, "10:10")],
        )
    };
    let within = Some(SignedDuration::from_hours(1));
    assert_eq!(feedback(1), [Trigger::Immediate; 3]);
    assert_eq!(feedback(2), [Trigger::Repeated { count: 2, within, since: at("09:05") }]);
    assert_eq!(feedback(3), [], "the first is an hour and five minutes before the last");
    let rules = quiet("[[rule]]\nid = \"bad-feedback\"\ncount = 2\nwithin = \"1h\"\n");
    let apart = [("FD", "rating", 5.0, "09:00"), ("FD", "rating", 5.0, "10:00"), ("FD", "rating", 5.0, "10:10")];
    assert_eq!(triggers_of(&rules, &apart), [Trigger::Repeated { count: 2, within, since: at("10:00") }]);
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
