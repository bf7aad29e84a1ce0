//! Answers to one alert: what they end and what they leave.

use super::fixtures::{at, rules};
use super::followed_zone::FollowedZone;
use super::respond;
use crate::alert::{AlertId, Message};
use crate::response::{Response, ResponseSource};
use crate::state::ZoneState;

const RESOLVED: &str = "[[rule]]\nid = \"soap-low\"\nresolved = true\n";

#[test]
fn done_ends_the_alert_of_its_rule_and_device_and_no_other() {
    let mut zone = FollowedZone::new(RESOLVED);
    zone.soap(4.0, "10:00");
    zone.push("UM", "count", 30.0, "10:01");
    zone.push("UM", "count", 20.0, "10:02");
    let messages = zone.done("soap-low", "10:10");
    assert!(matches!(&messages[..], [Message::Resolved { at: end, .. }] if *end == at("10:10")), "{messages:?}");
    assert_eq!(zone.open(), ["soap-low 10:00 reported 10:10", "high-usage 10:01"]);
    assert_eq!(zone.state.cleaned, None);
    zone.push("UM", "count", 10.0, "10:11");
    assert_eq!(zone.open().last().unwrap(), "high-usage 10:11", "its count went on");
    zone.soap(3.0, "10:12");
    assert_eq!(zone.ended(), ["soap-low 10:00 reported 10:10 contradicted 10:12"]);
    assert_eq!(zone.open().last().unwrap(), "soap-low 10:12");
}

#[test]
fn done_restarts_the_sum_of_its_device_and_readings_of_before_do_not_count() {
    let mut zone = FollowedZone::new(RESOLVED);
    zone.push("UM", "count", 30.0, "10:01");
    zone.push("UM", "count", 20.0, "10:02");
    zone.done("high-usage", "10:10");
    assert_eq!(zone.ended(), ["high-usage 10:01 reported 10:10 done 10:10"]);
    zone.push("UM", "count", 20.0, "10:11");
    zone.late("UM", "count", 20.0, "10:09", at("10:12"));
    assert!(zone.open().is_empty(), "neither the 20 of before nor the late 20 counts");
    zone.push("UM", "count", 10.0, "10:13");
    assert_eq!(zone.open(), ["high-usage 10:13"]);
}

#[test]
fn done_restarts_the_count_of_the_reasons_of_the_alert_and_no_other() {
    let rule = "[[rule]]\nid = \"wet\"\nkind = \"count\"\ntitle = \"Wet\"\ntypes = [\"UM\"]\nmetric = \"count\"\n\
                at_least = 2\ncount = 2\nwithin = \"1h\"\n";
    for (done, expected) in [(false, 1), (true, 0)] {
        let mut zone = FollowedZone::new(rule);
        ["10:00", "10:01", "10:02"].iter().for_each(|clock| zone.push("UM", "count", 2.0, clock));
        if done {
            zone.done("wet", "10:03");
        }
        let before = zone.open().len();
        zone.push("UM", "count", 2.0, "10:04");
        assert_eq!(zone.open().len() - before, expected);
    }
}

#[test]
fn people_say_that_a_battery_is_done_and_the_next_reading_can_contradict_it() {
    let mut zone = FollowedZone::new("[[rule]]\nid = \"battery-people-counter\"\n");
    zone.push("UM", "b", 2300.0, "10:00");
    zone.done("battery-people-counter", "10:10");
    assert_eq!(zone.open(), ["battery-people-counter 10:00 reported 10:10"]);
    zone.push("UM", "b", 2300.0, "10:20");
    assert_eq!(zone.ended(), ["battery-people-counter 10:00 reported 10:10 contradicted 10:20"]);
}

#[test]
fn only_a_reading_ends_a_silence_that_people_are_done_with() {
    let rules = rules("[[rule]]\nid = \"silent\"\nafter = \"4h\"\n");
    let mut zone = FollowedZone { rules, ..FollowedZone::new("") };
    zone.soap(50.0, "05:00");
    zone.sweep(at("10:00"));
    zone.done("silent", "10:30");
    assert_eq!(zone.open(), ["silent 10:00 reported 10:30"]);
    zone.soap(50.0, "11:00");
    assert_eq!(zone.ended(), ["silent 10:00 reported 10:30 measured 11:00 resolved 11:00"]);
}

#[test]
fn an_answer_to_an_alert_that_is_over_or_of_another_zone_changes_nothing_at_all() {
    let mut zone = FollowedZone::new(RESOLVED);
    zone.soap(4.0, "10:00");
    let alert = zone.state.lives.open()[0].alert;
    assert_eq!(zone.state.lives.find(alert).map(|life| life.rule.as_str()), Some("soap-low"));
    let answer = |alert: AlertId| Response { alert: Some(alert), ..Response::reported("z", at("10:10")) };
    zone.soap(50.0, "10:05");
    let other = AlertId::of_silence("soap-low", "d", at("10:00"));
    for (state, alert) in [(&zone.state, alert), (&zone.state, other), (&ZoneState::default(), alert)] {
        let evaluation = respond(&zone.rules, state.clone(), &[&answer(alert)], at("10:10"), at("10:10"));
        assert_eq!((&evaluation.state, evaluation.messages.len()), (state, 0));
    }
}

#[test]
fn a_repeated_answer_changes_nothing() {
    let mut zone = FollowedZone::new(RESOLVED);
    zone.push("UM", "count", 30.0, "10:01");
    zone.soap(4.0, "10:02");
    zone.done("soap-low", "10:10");
    let before = zone.state.clone();
    assert!(zone.done("soap-low", "10:10").is_empty());
    assert_eq!(zone.state, before);
    let source = ResponseSource::Reported;
    assert!(zone.facts.responses.iter().all(|known| known.response.source == source && known.response.by.is_some()));
}
