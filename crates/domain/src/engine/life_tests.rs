//! The lives of alerts: when they begin and end, and what people did.

use jiff::{SignedDuration, Timestamp};

use super::fixtures::{at, next_day, quiet, reading, rules};
use super::{DEVICES_PER_ZONE, evaluate, next_due, respond, sweep};
use crate::alert::life::AlertLife;
use crate::reading::Reading;
use crate::response::{Response, ResponseSource};
use crate::rules::RuleSet;
use crate::state::{Facts, MOST_OPEN, ZoneState};

struct Zone {
    rules: RuleSet,
    state: ZoneState,
    facts: Facts,
}

impl Zone {
    fn new(text: &str) -> Self {
        Self { rules: quiet(text), state: ZoneState::default(), facts: Facts::default() }
    }

    fn commit(&mut self, state: ZoneState) {
        self.state = state;
        self.facts.append(self.state.lives.take_facts());
    }

    fn push(&mut self, device_type: &str, metric: &str, value: f64, clock: &str) {
        self.late(device_type, metric, value, clock, at(clock));
    }

    fn late(&mut self, device_type: &str, metric: &str, value: f64, clock: &str, now: Timestamp) {
        let text = reading(device_type, metric, value, clock);
        let evaluation = evaluate(&self.rules, self.state.clone(), &[&Reading::read(&text).unwrap()], now, now);
        self.commit(evaluation.state);
    }

    fn soap(&mut self, value: f64, clock: &str) {
        self.push("SS", "p", value, clock);
    }

    fn respond(&mut self, source: ResponseSource, started: Option<&str>, done: Option<&str>, clock: &str) {
        let response =
            Response { source, started: started.map(at), done: done.map(at), ..Response::reported("z", at(clock)) };
        let evaluation = respond(&self.rules, self.state.clone(), &[&response], at(clock), at(clock));
        self.commit(evaluation.state);
    }

    fn cleaned(&mut self, clock: &str) {
        self.respond(ResponseSource::Reported, None, Some(clock), clock);
    }

    fn sweep(&mut self, now: Timestamp) {
        let evaluation = sweep(&self.rules, self.state.clone(), now, true);
        self.commit(evaluation.state);
    }

    fn open(&self) -> Vec<String> {
        self.state.lives.open().iter().map(shown).collect()
    }

    /// The alerts that ended, as archived.
    fn ended(&self) -> Vec<String> {
        self.facts.alerts.iter().filter(|life| life.end.is_some()).map(shown).collect()
    }
}

/// "soap-low 10:00 started 10:05 reported 10:10 resolved 10:20".
fn shown(life: &AlertLife) -> String {
    let clock = |time: Timestamp| time.strftime("%H:%M").to_string();
    let mut text = format!("{} {}", life.rule, clock(life.raised));
    life.started.iter().for_each(|started| text += &format!(" started {}", clock(*started)));
    life.done.iter().for_each(|(source, done)| text += &format!(" {source} {}", clock(*done)));
    life.end.iter().for_each(|end| text += &format!(" {} {}", end.reason, clock(end.at)));
    text
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_alert_is_open_until_the_sensor_measures_that_it_is_over() {
    let mut zone = Zone::new("[[rule]]\nid = \"soap-low\"\nclear = 20\n");
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
fn after_a_cleaning_the_first_reading_proves_or_contradicts_it() {
    for (value, expected) in [
        (90.0, "soap-low 10:00 reported 10:42 measured 11:10 resolved 11:10"),
        (3.0, "soap-low 10:00 reported 10:42 contradicted 11:10"),
    ] {
        let mut zone = Zone::new("");
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
    let mut zone = Zone::new("[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 200, high = 500 }\n");
    zone.push("ODRDTR_BATT_V1", "amm", 300.0, "10:00");
    zone.push("ODRDTR_BATT_V1", "amm", 600.0, "11:10");
    zone.respond(ResponseSource::Recorded, None, Some("10:42"), "11:30");
    assert_eq!(zone.open(), ["ammonia-lite 10:00 recorded 10:42"]);
    let contradiction = zone.state.lives.open()[0].contradiction.clone().unwrap();
    assert_eq!((contradiction.at, contradiction.breach.unwrap().value), (at("11:10"), 600.0));
    zone.respond(ResponseSource::Reported, None, Some("11:20"), "11:31");
    zone.push("ODRDTR_BATT_V1", "amm", 100.0, "11:40");
    assert_eq!(zone.ended(), ["ammonia-lite 10:00 reported 11:20 recorded 10:42 measured 11:40 resolved 11:40"]);
}

#[test]
fn an_older_reading_does_not_end_an_alert_that_fires() {
    let mut zone = Zone::new("[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 200, high = 500 }\n");
    zone.push("ODRDTR_BATT_V1", "amm", 300.0, "10:00");
    zone.push("ODRDTR_BATT_V1", "amm", 600.0, "10:20");
    zone.respond(ResponseSource::Recorded, None, Some("10:10"), "10:30");
    zone.late("ODRDTR_BATT_V1", "amm", 100.0, "10:15", at("10:31"));
    assert_eq!(zone.open(), ["ammonia-lite 10:00 recorded 10:10"]);
    zone.push("ODRDTR_BATT_V1", "amm", 100.0, "10:40");
    assert_eq!(zone.ended(), ["ammonia-lite 10:00 recorded 10:10 measured 10:40 resolved 10:40"]);
}

#[test]
fn after_a_cleaning_a_value_above_the_clear_level_proves_it_and_one_below_does_not() {
    let mut zone = Zone::new("[[rule]]\nid = \"soap-low\"\nclear = 20\nfor = \"10m\"\n");
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
    let mut zone = Zone::new("");
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
    let mut zone = Zone::new("");
    zone.soap(4.0, "10:00");
    assert_eq!(next_due(&zone.rules, &zone.state), None, "without an answer it stays open");
    zone.cleaned("10:42");
    assert_eq!(next_due(&zone.rules, &zone.state), Some(next_day("10:42")));
    zone.sweep(next_day("10:42"));
    assert_eq!(zone.ended(), ["soap-low 10:00 reported 10:42 expired 10:42"]);
}

#[test]
fn only_a_reading_ends_a_silence() {
    let mut zone = Zone { rules: rules("[[rule]]\nid = \"silent\"\nafter = \"4h\"\n"), ..Zone::new("") };
    zone.soap(50.0, "05:00");
    zone.sweep(at("10:00"));
    zone.cleaned("10:30");
    assert_eq!(zone.open(), ["silent 10:00"]);
    zone.soap(50.0, "11:00");
    assert_eq!(zone.ended(), ["silent 10:00 measured 11:00 resolved 11:00"]);
}

#[test]
fn a_cleaning_charges_no_battery() {
    let mut zone = Zone::new("[[rule]]\nid = \"battery-people-counter\"\nfor = \"30m\"\n");
    let battery = |zone: &mut Zone, value: f64, clock: &str| zone.push("UM", "b", value, clock);
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
    let mut zone = Zone::new(&new(soap_and_battery, r#""ACME#SOAP""#));
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
        let mut zone = Zone { rules: rules(&of(metric, 2)), ..Zone::new("") };
        zone.push("UM", key, value, "10:00");
        zone.cleaned("10:05");
        // Of before the cleaning.
        zone.late("UM", key, value, "10:04", at("10:06"));
        assert_eq!(zone.open().iter().filter(|open| open.starts_with("flat")).count(), expected, "{metric}");

        let mut zone = Zone { rules: rules(&of(metric, 1)), ..Zone::new("") };
        zone.soap(4.0, "10:00");
        zone.push("UM", key, value, "10:01");
        zone.cleaned("10:05");
        zone.sweep(at("10:20"));
        assert_eq!(zone.open().iter().filter(|open| open.starts_with("flat")).count(), expected, "{metric}");
    }
}

#[test]
fn a_life_begins_when_people_are_told() {
    let text = "block = \"15m\"\n[[rule]]\nid = \"silent\"\nenabled = false\n[[rule]]\nid = \"bin-full\"\nactive = \"18:40-19:00\"\n";
    let mut zone = Zone { rules: rules(text), ..Zone::new("") };
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
    let mut zone = Zone::new("");
    let text = reading("SS", "p", 4.0, "10:00");
    let evaluation =
        evaluate(&zone.rules, ZoneState::default(), &[&Reading::read(&text).unwrap()], at("10:01"), at("10:30"));
    zone.commit(evaluation.state);
    assert_eq!(zone.open(), ["soap-low 10:01"], "when it was first received");
    let text = "block = \"15m\"\n[[rule]]\nid = \"silent\"\nenabled = false\n";
    let mut zone = Zone { rules: rules(text), ..Zone::new("") };
    zone.soap(4.0, "10:00");
    zone.push("TR", "p", 4.0, "10:05");
    zone.sweep(at("10:17"));
    assert_eq!(zone.open()[1], "toilet-paper-low 10:15", "when the block ended");
}

#[test]
fn a_blocked_alert_that_is_over_when_people_are_told_has_no_life() {
    let text = "[[rule]]\nid = \"silent\"\nenabled = false\n";
    let mut zone = Zone { rules: rules(text), ..Zone::new("") };
    zone.soap(4.0, "10:00");
    zone.push("TR", "p", 4.0, "10:05");
    zone.push("TR", "p", 90.0, "10:06");
    zone.sweep(at("10:15"));
    assert_eq!(zone.open(), ["soap-low 10:00"]);
}

#[test]
fn a_late_report_answers_only_the_alerts_before_it() {
    let mut zone = Zone::new("");
    zone.push("UM", "count", 30.0, "10:00");
    zone.push("UM", "count", 30.0, "10:55");
    zone.respond(ResponseSource::Recorded, None, Some("10:30"), "11:00");
    assert_eq!(zone.ended(), ["high-usage 10:00 recorded 10:30 done 10:30"]);
    assert_eq!(zone.open(), ["high-usage 10:55"]);
}

#[test]
fn an_audience_that_is_told_later_does_not_begin_a_second_life() {
    let text = "[[rule]]\nid = \"silent\"\nenabled = false\n[[audience]]\nid = \"a\"\n[[audience]]\nid = \"b\"\n\
                on_duty = \"Wed 18:00-19:00\"\n";
    let mut zone = Zone { rules: rules(text), ..Zone::new("") };
    zone.push("UM", "count", 30.0, "10:00");
    let wednesday = next_day("10:00") + SignedDuration::from_hours(24);
    zone.sweep(next_day("10:00"));
    assert_eq!(zone.ended(), ["high-usage 10:00 expired 10:00"]);
    zone.sweep(wednesday);
    assert_eq!(zone.open(), NOTHING, "b is told, and the alert is over");
    // If nobody was told before, its life begins.
    let mut zone = Zone { rules: rules(&text.replace("[[audience]]\nid = \"a\"\n", "")), ..Zone::new("") };
    zone.push("UM", "count", 30.0, "10:00");
    zone.sweep(wednesday);
    assert_eq!(zone.open(), ["high-usage 10:00"]);
    assert_eq!(zone.state.lives.open()[0].raised, wednesday);
}

#[test]
fn an_alert_that_is_released_late_counts_from_then_on() {
    let text = "block = \"15m\"\n[[rule]]\nid = \"silent\"\nenabled = false\n";
    let mut zone = Zone { rules: rules(text), ..Zone::new("") };
    zone.soap(4.0, "10:00");
    zone.late("TR", "p", 4.0, "10:05", at("10:40"));
    zone.sweep(at("10:41"));
    assert_eq!(zone.open()[1], "toilet-paper-low 10:41", "its block ended before it arrived");
}

#[test]
fn a_response_that_is_evaluated_again_later_is_the_same() {
    let mut zone = Zone::new("");
    let ahead = Response { source: ResponseSource::Recorded, ..Response::reported("z", at("18:00")) };
    let apply = |zone: &mut Zone, now: &str| {
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
    let mut zone = Zone::new("");
    zone.soap(4.0, "10:00");
    zone.respond(ResponseSource::Recorded, Some("18:00"), None, "10:01");
    assert_eq!((zone.open(), zone.facts.responses.len()), (vec!["soap-low 10:00".to_owned()], 0));
    zone.respond(ResponseSource::Recorded, Some("10:30"), Some("09:00"), "10:31");
    assert_eq!(zone.open(), ["soap-low 10:00 started 10:30"], "a task that was opened again");
}

#[test]
fn an_alert_that_the_sensor_still_measures_does_not_expire() {
    let mut zone = Zone::new("[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 200, high = 500 }\n");
    zone.push("ODRDTR_BATT_V1", "amm", 300.0, "10:00");
    zone.push("ODRDTR_BATT_V1", "amm", 600.0, "11:10");
    zone.respond(ResponseSource::Recorded, None, Some("10:42"), "11:30");
    assert_eq!(next_due(&zone.rules, &zone.state), None);
    zone.sweep(next_day("12:00"));
    assert_eq!(zone.open(), ["ammonia-lite 10:00 recorded 10:42"]);
}

#[test]
fn an_alert_of_a_rule_that_has_another_kind_now_is_withdrawn() {
    let own = |kind: &str| {
        format!("[[rule]]\nid = \"own\"\ntitle = \"Own\"\ntypes = [\"TH\"]\nmetric = \"t\"\nabove = 30\n{kind}")
    };
    let mut zone = Zone::new(&own(""));
    zone.push("TH", "t", 35.0, "10:00");
    zone.rules = quiet(&own("kind = \"count\"\nwithin = \"1h\"\n"));
    zone.sweep(at("10:05"));
    assert_eq!(zone.ended(), ["own 10:00 withdrawn 10:05"]);
}

#[test]
fn responses_before_an_alert_are_about_something_else() {
    let mut zone = Zone::new("");
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
        let mut zone = Zone::new("");
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
    let mut zone = Zone::new("");
    zone.soap(4.0, "10:00");
    zone.respond(ResponseSource::Recorded, Some("10:05"), Some("10:20"), "10:21");
    let before = zone.state.clone();
    zone.respond(ResponseSource::Recorded, Some("10:05"), Some("10:20"), "10:30");
    assert_eq!((zone.state, zone.facts.responses.len()), (before, 1));
}

#[test]
fn a_worse_breach_belongs_to_the_same_life() {
    let mut zone = Zone::new("[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 200, high = 500 }\n");
    zone.push("ODRDTR_BATT_V1", "amm", 300.0, "10:00");
    let first = zone.state.lives.open()[0].alert;
    zone.push("ODRDTR_BATT_V1", "amm", 600.0, "10:10");
    let [life] = zone.state.lives.open() else { panic!("{:?}", zone.open()) };
    assert_eq!((life.alert, life.raised, life.severity.as_str()), (first, at("10:00"), "high"));
    assert_eq!(life.breach.as_ref().unwrap().value, 600.0);
}

#[test]
fn of_two_readings_of_one_time_the_worse_one_keeps_the_alert_open() {
    let mut zone = Zone::new("[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 200, high = 500 }\n");
    let push = |zone: &mut Zone, value: f64, clock: &str| zone.push("ODRDTR_BATT_V1", "amm", value, clock);
    push(&mut zone, 300.0, "10:00");
    let text = |value: f64| reading("ODRDTR_BATT_V1", "amm", value, "10:10");
    let texts = [text(100.0), text(600.0)];
    let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
    let both: Vec<_> = readings.iter().collect();
    zone.commit(evaluate(&zone.rules, zone.state.clone(), &both, at("10:10"), at("10:10")).state);
    assert_eq!((zone.open(), zone.ended()), (vec!["ammonia-lite 10:00".to_owned()], Vec::<String>::new()));
}

#[test]
fn after_a_cleaning_the_worse_of_two_readings_of_one_time_contradicts_it_in_any_order() {
    for values in [[90.0, 3.0], [3.0, 90.0]] {
        let mut zone = Zone::new("");
        zone.soap(4.0, "10:00");
        zone.cleaned("10:42");
        let texts = values.map(|value| reading("SS", "p", value, "11:10"));
        let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
        let both: Vec<_> = readings.iter().collect();
        zone.commit(evaluate(&zone.rules, zone.state.clone(), &both, at("11:10"), at("11:10")).state);
        assert_eq!(zone.ended().last().unwrap(), "soap-low 10:00 reported 10:42 contradicted 11:10", "{values:?}");
        assert_eq!(zone.open(), ["soap-low 11:10"], "{values:?}");
    }
}

#[test]
fn an_alert_of_a_rule_that_is_no_longer_in_force_is_withdrawn() {
    let mut zone = Zone::new("");
    zone.soap(4.0, "10:00");
    zone.sweep(at("10:01"));
    assert_eq!(zone.ended(), NOTHING);
    zone.rules = quiet("[[rule]]\nid = \"soap-low\"\nenabled = false\n");
    zone.sweep(at("10:02"));
    assert_eq!(zone.ended(), ["soap-low 10:00 withdrawn 10:02"]);
}

#[test]
fn a_clock_that_is_ahead_does_not_silence_a_zone() {
    let mut zone = Zone::new("");
    zone.respond(ResponseSource::Recorded, Some("10:00"), Some("18:00"), "10:00");
    assert_eq!(zone.state.cleaned, Some(at("10:00")));
    zone.soap(4.0, "10:05");
    assert_eq!(zone.open(), ["soap-low 10:05"]);
}

#[test]
fn an_alert_has_the_targets_of_when_it_was_raised() {
    let mut zone = Zone::new(
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
    let texts: Vec<_> = (0..DEVICES_PER_ZONE).map(|number| super::fixtures::dispenser(number, 4.0, "10:00")).collect();
    let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
    let all: Vec<_> = readings.iter().collect();
    let evaluation = evaluate(&rules, ZoneState::default(), &all, at("10:00"), at("10:00"));
    assert_eq!(evaluation.stats.alerts, DEVICES_PER_ZONE, "each alert is sent");
    assert_eq!(
        (evaluation.state.lives.open().len(), evaluation.state.lives.facts().alerts.len()),
        (MOST_OPEN, MOST_OPEN)
    );
}
