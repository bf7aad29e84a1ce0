//! The lives of alerts: when they begin, what belongs to them, and when they end.

use jiff::SignedDuration;

use super::fixtures::{at, dispenser, next_day, quiet, reading, rules};
use super::followed_zone::{AMMONIA, FollowedZone, NOTHING, shown};
use super::{DEVICES_PER_ZONE, evaluate};
use crate::alert::life::AlertLife;
use crate::reading::Reading;
use crate::state::{MOST_OPEN, ZoneState};

#[test]
fn an_alert_is_open_until_the_sensor_measures_that_it_is_over() {
    let mut zone = FollowedZone::new("[[rule]]\nid = \"soap-low\"\nclear = 20\n");
    zone.soap(50.0, "09:00");
    assert_eq!((zone.open().len(), zone.facts.alerts.len()), (0, 0));
    zone.soap(4.0, "10:00");
    zone.soap(19.0, "10:05");
    assert_eq!(
        (zone.open(), zone.facts.alerts.iter().map(shown).collect()),
        (vec!["soap-low 10:00".to_owned()], zone.open())
    );
    zone.soap(21.0, "10:30");
    assert_eq!(zone.ended(), ["soap-low 10:00 measured 10:30 resolved 10:30"]);
    assert_eq!(zone.open(), NOTHING);
    zone.soap(80.0, "10:40");
    assert_eq!(zone.facts.alerts.len(), 2, "raised and ended");
}

#[test]
fn a_life_begins_when_people_are_told() {
    let text = "block = \"15m\"\n[[rule]]\nid = \"silent\"\nenabled = false\n[[rule]]\nid = \"bin-full\"\nactive = \"18:40-19:00\"\n";
    let mut zone = FollowedZone { rules: rules(text), ..FollowedZone::new("") };
    zone.soap(4.0, "10:00");
    zone.push("TR", "p", 4.0, "10:05");
    zone.push("BIN", "p", 4.0, "10:06");
    assert_eq!(zone.open(), ["soap-low 10:00"], "one is blocked, one is outside its hours");
    zone.sweep(at("10:15"));
    assert_eq!(zone.open(), ["soap-low 10:00", "toilet-paper-low 10:15"]);
    assert_eq!(zone.state.lives.open()[1].at, at("10:05"));
    zone.push("BIN", "p", 90.0, "10:20");
    zone.sweep(at("10:40"));
    assert_eq!(zone.open().len(), 2, "nobody was told that the bin was full");
    zone.push("BIN", "p", 4.0, "10:41");
    assert_eq!(zone.open().len(), 3, "18:41 in Singapore");
}

#[test]
fn when_an_alert_is_raised_does_not_depend_on_when_it_is_evaluated() {
    let mut zone = FollowedZone::new("");
    let text = reading("SS", "p", 4.0, "10:00");
    let evaluation =
        evaluate(&zone.rules, ZoneState::default(), &[&Reading::read(&text).unwrap()], at("10:01"), at("10:30"));
    zone.commit(evaluation.state);
    assert_eq!(zone.open(), ["soap-low 10:01"], "when it was first received");
    let text = "block = \"15m\"\n[[rule]]\nid = \"silent\"\nenabled = false\n";
    let mut zone = FollowedZone { rules: rules(text), ..FollowedZone::new("") };
    zone.soap(4.0, "10:00");
    zone.push("TR", "p", 4.0, "10:05");
    zone.sweep(at("10:17"));
    assert_eq!(zone.open()[1], "toilet-paper-low 10:15", "when the block ended");
}

#[test]
fn a_blocked_alert_that_is_over_when_people_are_told_has_no_life() {
    let text = "[[rule]]\nid = \"silent\"\nenabled = false\n";
    let mut zone = FollowedZone { rules: rules(text), ..FollowedZone::new("") };
    zone.soap(4.0, "10:00");
    zone.push("TR", "p", 4.0, "10:05");
    zone.push("TR", "p", 90.0, "10:06");
    zone.sweep(at("10:15"));
    assert_eq!(zone.open(), ["soap-low 10:00"]);
}

#[test]
fn an_audience_that_is_told_later_does_not_begin_a_second_life() {
    let text = "[[rule]]\nid = \"silent\"\nenabled = false\n[[audience]]\nid = \"a\"\n[[audience]]\nid = \"b\"\n\
                on_duty = \"Wed 18:00-19:00\"\n";
    let mut zone = FollowedZone { rules: rules(text), ..FollowedZone::new("") };
    zone.push("UM", "count", 30.0, "10:00");
    let wednesday = next_day("10:00") + SignedDuration::from_hours(24);
    zone.sweep(next_day("10:00"));
    assert_eq!(zone.ended(), ["high-usage 10:00 expired 10:00"]);
    zone.sweep(wednesday);
    assert_eq!(zone.open(), NOTHING, "b is told, and the alert is over");
    // If nobody was told before, its life begins.
    let mut zone =
        FollowedZone { rules: rules(&text.replace("[[audience]]\nid = \"a\"\n", "")), ..FollowedZone::new("") };
    zone.push("UM", "count", 30.0, "10:00");
    zone.sweep(wednesday);
    assert_eq!(zone.open(), ["high-usage 10:00"]);
    assert_eq!(zone.state.lives.open()[0].raised, wednesday);
}

#[test]
fn an_alert_that_is_released_late_counts_from_then_on() {
    let text = "block = \"15m\"\n[[rule]]\nid = \"silent\"\nenabled = false\n";
    let mut zone = FollowedZone { rules: rules(text), ..FollowedZone::new("") };
    zone.soap(4.0, "10:00");
    zone.late("TR", "p", 4.0, "10:05", at("10:40"));
    zone.sweep(at("10:41"));
    assert_eq!(zone.open()[1], "toilet-paper-low 10:41", "its block ended before it arrived");
}

#[test]
fn an_alert_of_a_rule_that_has_another_kind_now_is_withdrawn() {
    let own = |kind: &str| {
        format!("[[rule]]\nid = \"own\"\ntitle = \"Own\"\ntypes = [\"TH\"]\nmetric = \"t\"\nabove = 30\n{kind}")
    };
    let mut zone = FollowedZone::new(&own(""));
    zone.push("TH", "t", 35.0, "10:00");
    zone.rules = quiet(&own("kind = \"count\"\nwithin = \"1h\"\n"));
    zone.sweep(at("10:05"));
    assert_eq!(zone.ended(), ["own 10:00 withdrawn 10:05"]);
}

#[test]
fn a_worse_breach_belongs_to_the_same_life() {
    let mut zone = FollowedZone::new(AMMONIA);
    zone.ammonia(300.0, "10:00");
    let first = zone.state.lives.open()[0].alert;
    zone.ammonia(600.0, "10:10");
    let [life] = zone.state.lives.open() else { panic!("{:?}", zone.open()) };
    assert_eq!((life.alert, life.raised, life.severity.as_str()), (first, at("10:00"), "high"));
    assert_eq!(life.breach.as_ref().unwrap().value, 600.0);
}

#[test]
fn of_two_readings_of_one_time_the_worse_one_keeps_the_alert_open() {
    let mut zone = FollowedZone::new(AMMONIA);
    zone.ammonia(300.0, "10:00");
    zone.push_together("ODRDTR_BATT_V1", "amm", &[100.0, 600.0], "10:10");
    assert_eq!((zone.open(), zone.ended()), (vec!["ammonia-lite 10:00".to_owned()], Vec::<String>::new()));
}

#[test]
fn an_alert_of_a_rule_that_is_no_longer_in_force_is_withdrawn() {
    let mut zone = FollowedZone::new("");
    zone.soap(4.0, "10:00");
    zone.sweep(at("10:01"));
    assert_eq!(zone.ended(), NOTHING);
    zone.rules = quiet("[[rule]]\nid = \"soap-low\"\nenabled = false\n");
    zone.sweep(at("10:02"));
    assert_eq!(zone.ended(), ["soap-low 10:00 withdrawn 10:02"]);
}

#[test]
fn an_alert_has_the_targets_of_when_it_was_raised() {
    let mut zone = FollowedZone::new(
        "[[rule]]\nid = \"soap-low\"\nrespond_within = \"15m\"\nclean_within = \"1h\"\nactive = \"Mon-Fri 07:00-22:00\"\n",
    );
    zone.soap(4.0, "10:00");
    let targets = zone.state.lives.open()[0].targets;
    assert_eq!(targets.respond_within, Some(SignedDuration::from_mins(15)));
    assert_eq!(targets.clean_within, Some(SignedDuration::from_hours(1)));
    assert_eq!(targets.active.unwrap().to_string(), "Mon,Tue,Wed,Thu,Fri 07:00-22:00");
    let line = serde_json::to_string(&zone.facts.alerts[0]).unwrap();
    assert_eq!(serde_json::from_str::<AlertLife>(&line).unwrap(), zone.facts.alerts[0]);
    assert!(line.contains(r#""respond_within":"PT15M""#), "{line}");
}

#[test]
fn a_zone_follows_a_limited_number_of_alerts() {
    let rules = quiet("");
    let texts: Vec<_> = (0..DEVICES_PER_ZONE).map(|number| dispenser(number, 4.0, "10:00")).collect();
    let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
    let all: Vec<_> = readings.iter().collect();
    let evaluation = evaluate(&rules, ZoneState::default(), &all, at("10:00"), at("10:00"));
    assert_eq!(evaluation.stats.alerts, DEVICES_PER_ZONE, "each alert is sent");
    assert_eq!(
        (evaluation.state.lives.open().len(), evaluation.state.lives.facts().alerts.len()),
        (MOST_OPEN, MOST_OPEN)
    );
}
