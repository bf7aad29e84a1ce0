//! What people did: which alerts it answers and ends, and what the sensor says after it.

use super::fixtures::{at, next_day, quiet, rules};
use super::followed_zone::{AMMONIA, FollowedZone};
use super::{next_due, respond};
use crate::response::{Response, ResponseSource};

#[test]
fn after_a_cleaning_the_first_reading_proves_or_contradicts_it() {
    for (value, expected) in [
        (90.0, "soap-low 10:00 reported 10:42 measured 11:10 resolved 11:10"),
        (3.0, "soap-low 10:00 reported 10:42 contradicted 11:10"),
    ] {
        let mut zone = FollowedZone::new("");
        zone.soap(4.0, "10:00");
        zone.cleaned("10:42");
        assert_eq!(zone.open(), ["soap-low 10:00 reported 10:42"], "the sensor has not measured yet");
        zone.soap(value, "11:10");
        assert_eq!(zone.ended(), [expected]);
        let is_new = value < 5.0;
        assert_eq!(zone.open(), Vec::from_iter(is_new.then_some("soap-low 11:10")));
        let contradiction = zone.facts.alerts.iter().find_map(|life| life.contradiction.clone());
        let measured = contradiction.map(|found| (found.at, found.breach.unwrap().value));
        assert_eq!(measured, is_new.then_some((at("11:10"), 3.0)));
    }
}

#[test]
fn a_sensor_that_still_measures_a_breach_contradicts_a_late_report() {
    let mut zone = FollowedZone::new(AMMONIA);
    zone.ammonia(300.0, "10:00");
    zone.ammonia(600.0, "11:10");
    zone.respond(ResponseSource::Recorded, None, Some("10:42"), "11:30");
    assert_eq!(zone.open(), ["ammonia-lite 10:00 recorded 10:42"]);
    let contradiction = zone.state.lives.open()[0].contradiction.clone().unwrap();
    assert_eq!((contradiction.at, contradiction.breach.unwrap().value), (at("11:10"), 600.0));
    zone.respond(ResponseSource::Reported, None, Some("11:20"), "11:31");
    zone.ammonia(100.0, "11:40");
    assert_eq!(zone.ended(), ["ammonia-lite 10:00 reported 11:20 recorded 10:42 measured 11:40 resolved 11:40"]);
}

#[test]
fn an_older_reading_does_not_end_an_alert_that_fires() {
    let mut zone = FollowedZone::new(AMMONIA);
    zone.ammonia(300.0, "10:00");
    zone.ammonia(600.0, "10:20");
    zone.respond(ResponseSource::Recorded, None, Some("10:10"), "10:30");
    zone.late("ODRDTR_BATT_V1", "amm", 100.0, "10:15", at("10:31"));
    assert_eq!(zone.open(), ["ammonia-lite 10:00 recorded 10:10"]);
    zone.ammonia(100.0, "10:40");
    assert_eq!(zone.ended(), ["ammonia-lite 10:00 recorded 10:10 measured 10:40 resolved 10:40"]);
}

#[test]
fn after_a_cleaning_a_value_above_the_clear_level_proves_it_and_one_below_does_not() {
    let mut zone = FollowedZone::new("[[rule]]\nid = \"soap-low\"\nclear = 20\nfor = \"10m\"\n");
    zone.soap(4.0, "10:00");
    zone.soap(4.0, "10:10");
    zone.cleaned("10:20");
    // The second breach does not last.
    zone.soap(4.0, "10:25");
    zone.soap(19.0, "10:30");
    assert_eq!(zone.open(), ["soap-low 10:10 reported 10:20"]);
    zone.soap(21.0, "10:35");
    assert_eq!(zone.ended(), ["soap-low 10:10 reported 10:20 measured 10:35 resolved 10:35"]);
}

#[test]
fn an_alert_that_no_sensor_can_measure_ends_when_people_are_done_or_after_a_day() {
    let mut zone = FollowedZone::new("");
    zone.push("UM", "count", 30.0, "10:00");
    zone.push("UM", "count", 30.0, "10:20");
    assert_eq!(zone.open(), ["high-usage 10:00", "high-usage 10:20"]);
    zone.cleaned("10:50");
    assert_eq!(
        zone.ended(),
        ["high-usage 10:00 reported 10:50 done 10:50", "high-usage 10:20 reported 10:50 done 10:50"]
    );
    zone.push("UM", "count", 30.0, "11:00");
    assert_eq!(next_due(&zone.rules, &zone.state), Some(next_day("11:00")));
    zone.sweep(next_day("10:59"));
    assert_eq!(zone.open(), ["high-usage 11:00"]);
    zone.sweep(next_day("11:30"));
    assert_eq!(zone.ended()[2..], ["high-usage 11:00 expired 11:00"], "a day after it, whenever the sweep runs");
    assert_eq!(next_due(&zone.rules, &zone.state), None);
}

#[test]
fn a_sensor_that_measures_nothing_after_a_cleaning_leaves_the_alert_open_for_a_day() {
    let mut zone = FollowedZone::new("");
    zone.soap(4.0, "10:00");
    assert_eq!(next_due(&zone.rules, &zone.state), None, "without an answer it stays open");
    zone.cleaned("10:42");
    assert_eq!(next_due(&zone.rules, &zone.state), Some(next_day("10:42")));
    zone.sweep(next_day("10:42"));
    assert_eq!(zone.ended(), ["soap-low 10:00 reported 10:42 expired 10:42"]);
}

#[test]
fn only_a_reading_ends_a_silence() {
    let mut zone =
        FollowedZone { rules: rules("[[rule]]\nid = \"silent\"\nafter = \"4h\"\n"), ..FollowedZone::new("") };
    zone.soap(50.0, "05:00");
    zone.sweep(at("10:00"));
    zone.cleaned("10:30");
    assert_eq!(zone.open(), ["silent 10:00"]);
    zone.soap(50.0, "11:00");
    assert_eq!(zone.ended(), ["silent 10:00 measured 11:00 resolved 11:00"]);
}

#[test]
fn a_cleaning_charges_no_battery() {
    let mut zone = FollowedZone::new("[[rule]]\nid = \"battery-people-counter\"\nfor = \"30m\"\n");
    let battery = |zone: &mut FollowedZone, value: f64, clock: &str| zone.push("UM", "b", value, clock);
    battery(&mut zone, 2300.0, "10:00");
    zone.cleaned("10:10");
    battery(&mut zone, 2300.0, "10:30");
    assert_eq!(zone.open(), ["battery-people-counter 10:30"], "the breach began before the cleaning");
    zone.respond(ResponseSource::Recorded, Some("10:40"), Some("10:42"), "10:42");
    zone.soap(4.0, "10:43");
    zone.cleaned("10:44");
    battery(&mut zone, 2300.0, "11:10");
    assert_eq!(zone.open(), ["battery-people-counter 10:30", "soap-low 10:43 reported 10:44"]);
    battery(&mut zone, 3000.0, "11:20");
    assert_eq!(zone.ended(), ["battery-people-counter 10:30 measured 11:20 resolved 11:20"]);
    let battery: Vec<_> = zone.facts.alerts.iter().filter(|life| life.rule.starts_with("battery")).collect();
    assert_eq!(battery.len(), 2, "raised and ended once");
    assert!(serde_json::to_string(battery[1]).unwrap().contains(r#""answerable":false"#));
}

#[test]
fn a_rule_about_the_room_and_the_device_is_answered() {
    let new = |metrics: &str, types: &str| {
        format!("[[rule]]\nid = \"new\"\ntitle = \"New\"\ntypes = [{types}]\nany = [{metrics}]\n")
    };
    let is_answerable = |metrics: &str, types: &str| quiet(&new(metrics, types)).rule("new").unwrap().is_answerable();
    let (battery, desk) = (r#"{ metric = "batt", below = 15 }"#, r#""OCCDESK""#);
    let (signal, occupied) = (r#"{ metric = "rssi", below = -120 }"#, r#"{ metric = "occupied", at_least = 1 }"#);
    let level = r#"{ metric = "v", below = 15 }"#;
    assert!(!is_answerable(&format!("{battery}, {signal}"), desk));
    assert!(is_answerable(&format!("{battery}, {occupied}"), desk));
    assert!(!is_answerable(level, r#""TILT""#));
    assert!(is_answerable(level, r#""TILT", "ACME#X""#), "of another provider it can be anything");
    let rule = |more: &str| quiet(more).rules.into_iter().filter(|rule| !rule.is_answerable()).count();
    assert_eq!(
        (rule(""), rule("[[rule]]\nid = \"battery-tilt\"\n[[rule.override]]\nsites = [\"p\"]\nbelow = 9\n")),
        (4, 4)
    );
    let other = "[[rule]]\nid = \"battery-tilt\"\n[[rule.override]]\nsites = [\"p\"]\nmetric = \"Xt\"\nabove = 9\n";
    assert_eq!(rule(other), 3);

    let soap_and_battery = r#"{ metric = "p", below = 5 }, { metric = "batt", below = 15 }"#;
    let mut zone = FollowedZone::new(&new(soap_and_battery, r#""ACME#SOAP""#));
    zone.push("ACME#SOAP", "batt", 10.0, "10:00");
    zone.cleaned("10:42");
    zone.push("ACME#SOAP", "batt", 10.0, "11:10");
    assert_eq!(zone.ended(), ["new 10:00 reported 10:42 contradicted 11:10"]);
}

#[test]
fn a_cleaning_restarts_no_counts_of_a_device_and_ends_none_of_its_suppressed_alerts() {
    let text = "block = \"15m\"\n[[rule]]\nid = \"silent\"\nenabled = false\n\
                [[rule]]\nid = \"flat\"\nkind = \"count\"\ntitle = \"Flat\"\nwithin = \"1h\"\n";
    let of = |metric: &str, count: usize| format!("{text}{metric}\ncount = {count}\n");
    let battery = "types = [\"UM\"]\nmetric = \"b\"\nbelow = 2000";
    let people = "types = [\"UM\"]\nmetric = \"count\"\nat_least = 2";
    for (metric, key, value, expected) in [(battery, "b", 1900.0, 1), (people, "count", 2.0, 0)] {
        let mut zone = FollowedZone { rules: rules(&of(metric, 2)), ..FollowedZone::new("") };
        zone.push("UM", key, value, "10:00");
        zone.cleaned("10:05");
        // Of before the cleaning.
        zone.late("UM", key, value, "10:04", at("10:06"));
        assert_eq!(zone.open().iter().filter(|open| open.starts_with("flat")).count(), expected, "{metric}");

        let mut zone = FollowedZone { rules: rules(&of(metric, 1)), ..FollowedZone::new("") };
        zone.soap(4.0, "10:00");
        zone.push("UM", key, value, "10:01");
        zone.cleaned("10:05");
        zone.sweep(at("10:20"));
        assert_eq!(zone.open().iter().filter(|open| open.starts_with("flat")).count(), expected, "{metric}");
    }
}

#[test]
fn a_late_report_answers_only_the_alerts_before_it() {
    let mut zone = FollowedZone::new("");
    zone.push("UM", "count", 30.0, "10:00");
    zone.push("UM", "count", 30.0, "10:55");
    zone.respond(ResponseSource::Recorded, None, Some("10:30"), "11:00");
    assert_eq!(zone.ended(), ["high-usage 10:00 recorded 10:30 done 10:30"]);
    assert_eq!(zone.open(), ["high-usage 10:55"]);
}

#[test]
fn a_response_that_is_evaluated_again_later_is_the_same() {
    let mut zone = FollowedZone::new("");
    let ahead = Response { source: ResponseSource::Recorded, ..Response::reported("z", at("18:00")) };
    let apply = |zone: &mut FollowedZone, now: &str| {
        let evaluation = respond(&zone.rules, zone.state.clone(), &[&ahead], at("10:00"), at(now));
        zone.commit(evaluation.state);
    };
    apply(&mut zone, "10:00");
    zone.soap(4.0, "10:01");
    apply(&mut zone, "10:02");
    assert_eq!((zone.state.cleaned, zone.open()), (Some(at("10:00")), vec!["soap-low 10:01".to_owned()]));
    assert_eq!(zone.facts.responses.len(), 1);
    assert_eq!(zone.facts.responses[0].received, at("10:00"));
}

#[test]
fn a_begin_that_is_ahead_does_not_count_and_one_after_an_old_end_does() {
    let mut zone = FollowedZone::new("");
    zone.soap(4.0, "10:00");
    zone.respond(ResponseSource::Recorded, Some("18:00"), None, "10:01");
    assert_eq!((zone.open(), zone.facts.responses.len()), (vec!["soap-low 10:00".to_owned()], 0));
    zone.respond(ResponseSource::Recorded, Some("10:30"), Some("09:00"), "10:31");
    assert_eq!(zone.open(), ["soap-low 10:00 started 10:30"], "a task that was opened again");
}

#[test]
fn an_alert_that_the_sensor_still_measures_does_not_expire() {
    let mut zone = FollowedZone::new(AMMONIA);
    zone.ammonia(300.0, "10:00");
    zone.ammonia(600.0, "11:10");
    zone.respond(ResponseSource::Recorded, None, Some("10:42"), "11:30");
    assert_eq!(next_due(&zone.rules, &zone.state), None);
    zone.sweep(next_day("12:00"));
    assert_eq!(zone.open(), ["ammonia-lite 10:00 recorded 10:42"]);
}

#[test]
fn responses_before_an_alert_are_about_something_else() {
    let mut zone = FollowedZone::new("");
    zone.soap(4.0, "10:00");
    zone.respond(ResponseSource::Recorded, Some("09:50"), None, "10:01");
    assert_eq!(zone.open(), ["soap-low 10:00"]);
    zone.respond(ResponseSource::Recorded, Some("09:50"), Some("10:30"), "10:31");
    assert_eq!(zone.open(), ["soap-low 10:00 recorded 10:30"], "a task that was begun before is also about it");
}

#[test]
fn the_order_and_the_repetition_of_responses_do_not_matter() {
    use ResponseSource::{Recorded, Reported};
    let responses = [
        (Recorded, Some("10:05"), None),
        (Recorded, Some("10:05"), Some("10:20")),
        (Reported, None, Some("10:25")),
        (Recorded, Some("10:03"), Some("10:40")),
    ];
    let after = |order: &[usize]| {
        let mut zone = FollowedZone::new("");
        zone.soap(4.0, "10:00");
        for index in order {
            let (source, started, done) = responses[*index];
            zone.respond(source, started, done, "10:50");
        }
        let mut received = zone.facts.responses.clone();
        received.sort();
        (zone.open(), received)
    };
    let expected = after(&[0, 1, 2, 3]);
    assert_eq!(expected.0, ["soap-low 10:00 started 10:03 reported 10:25 recorded 10:20"]);
    assert_eq!(expected.1.len(), 4);
    for order in [&[3, 2, 1, 0][..], &[2, 0, 3, 1], &[0, 0, 1, 2, 3, 1, 0, 2, 3, 3]] {
        assert_eq!(after(order), expected, "{order:?}");
    }
}

#[test]
fn a_repeated_response_changes_nothing() {
    let mut zone = FollowedZone::new("");
    zone.soap(4.0, "10:00");
    zone.respond(ResponseSource::Recorded, Some("10:05"), Some("10:20"), "10:21");
    let before = zone.state.clone();
    zone.respond(ResponseSource::Recorded, Some("10:05"), Some("10:20"), "10:30");
    assert_eq!((zone.state, zone.facts.responses.len()), (before, 1));
}

#[test]
fn after_a_cleaning_the_worse_of_two_readings_of_one_time_contradicts_it_in_any_order() {
    for values in [[90.0, 3.0], [3.0, 90.0]] {
        let mut zone = FollowedZone::new("");
        zone.soap(4.0, "10:00");
        zone.cleaned("10:42");
        zone.push_together("SS", "p", &values, "11:10");
        assert_eq!(zone.ended().last().unwrap(), "soap-low 10:00 reported 10:42 contradicted 11:10", "{values:?}");
        assert_eq!(zone.open(), ["soap-low 11:10"], "{values:?}");
    }
}

#[test]
fn a_clock_that_is_ahead_does_not_silence_a_zone() {
    let mut zone = FollowedZone::new("");
    zone.respond(ResponseSource::Recorded, Some("10:00"), Some("18:00"), "10:00");
    assert_eq!(zone.state.cleaned, Some(at("10:00")));
    zone.soap(4.0, "10:05");
    assert_eq!(zone.open(), ["soap-low 10:05"]);
}
