//! Rule cases as data: `tests/rules/*.toml`, each line of a run a reading, a sweep or a cleaning, and what it raises.
//!
//! ```text
//! 10:00 SS#d1 p=4           => firing medium soap-low
//! 10:05 SS#d2 p=4           => blocked soap-low
//! 10:15 sweep               => held soap-low
//! ```
//! A line is a push of its own, received when it was taken. `zone=`, `project=` and `region=` name the place (else `z`,
//! `p`, UTC); `received=10:30` says when it came, `repeated` sends the reading of an earlier line again. Times are of one
//! day, `+1d 10:00` of the next.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::{Time, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use smartclean_push::domain::alert::Message;
use smartclean_push::domain::engine::{Evaluation, cleaned, evaluate, sweep};
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::{ZoneKey, ZoneState};

/// Where a case takes place; each zone has its own state.
struct World {
    rules: RuleSet,
    zones: BTreeMap<String, ZoneState>,
}

impl World {
    /// What a line raises, in words.
    fn step(&mut self, line: &str) -> Vec<String> {
        let (now, words) = time_and_words(line);
        let (at, verb) = (now, words[0]);
        match verb {
            "sweep" | "sweep-quiet" => self.each_zone(|rules, state| sweep(rules, state, now, verb == "sweep")),
            "cleaned" => self.each_zone(|rules, state| cleaned(rules, state, now, now)),
            _ => {
                let (text, received) = reading(verb, &words[1..], at);
                let reading = Reading::read(&text).unwrap();
                let key = ZoneKey::of(&reading.source).to_string();
                let state = self.zones.entry(key).or_default();
                let evaluation = evaluate(&self.rules, state, &[&reading], received, received);
                settle(state, evaluation)
            }
        }
    }

    fn each_zone(&mut self, change: impl Fn(&RuleSet, &ZoneState) -> Evaluation) -> Vec<String> {
        let rules = &self.rules;
        self.zones.values_mut().flat_map(|state| settle(state, change(rules, state))).collect()
    }
}

/// Takes over what is remembered, and tells what was made. State goes through its stored form, as it does outside.
fn settle(state: &mut ZoneState, evaluation: Evaluation) -> Vec<String> {
    let mut said = Vec::new();
    for entry in evaluation.state.outbox.entries().iter().filter(|entry| evaluation.made.contains(&entry.id)) {
        said.push(told(&entry.message));
    }
    for (count, word) in [
        (evaluation.blocked, "blocked"),
        (evaluation.duplicates, "duplicate"),
        (evaluation.late, "late"),
        (evaluation.stale, "stale"),
        (evaluation.early, "early"),
    ] {
        said.extend((count > 0).then(|| word.to_owned()));
    }
    *state = serde_json::from_str(&serde_json::to_string(&evaluation.state).unwrap()).unwrap();
    assert_eq!(*state, evaluation.state, "what is stored is what was meant");
    let sent: Vec<_> = state.outbox.entries().iter().map(|entry| entry.id).collect();
    state.outbox.remove(&sent);
    said
}

fn told(message: &Message) -> String {
    match message {
        Message::Notice(notice) => format!("{notice:?}"),
        Message::Firing { alerts, blocked } => {
            let alerts: Vec<_> = alerts
                .iter()
                .map(|alert| {
                    let values: Vec<_> = alert.breaches.iter().map(|breach| breach.value.to_string()).collect();
                    let why = [values, alert.reasons.clone()].concat().join(" ");
                    format!("{} {} {why}", alert.severity, alert.rule).trim().to_owned()
                })
                .collect();
            let blocked = if *blocked > 0 { format!(" after {blocked} blocked") } else { String::new() };
            format!("firing {}{blocked}", alerts.join(" + "))
        }
        Message::Reminder { alert, .. } => format!("reminder {}", alert.rule),
        Message::Resolved { alert, .. } => format!("resolved {}", alert.rule),
        Message::Held { alerts, more } => {
            let alerts: Vec<_> = alerts
                .iter()
                .map(|held| format!("{}{}", held.alert.rule, if held.over.is_some() { " (over)" } else { "" }))
                .collect();
            let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
            format!("held {}{more}", alerts.join(" + "))
        }
    }
}

/// `10:00 …` or `+1d 10:00:30 …`, in UTC of the day of all cases.
fn time_and_words(line: &str) -> (Timestamp, Vec<&str>) {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let days =
        words[0].strip_prefix('+').and_then(|days| days.strip_suffix('d')).map(|days| days.parse::<i64>().unwrap());
    if days.is_some() {
        words.remove(0);
    }
    let at = moment(words.remove(0)) + SignedDuration::from_hours(24 * days.unwrap_or(0));
    (at, words)
}

fn moment(time: &str) -> Timestamp {
    let time: Time = time.parse().unwrap_or_else(|fault| panic!("{time}: {fault}"));
    TimeZone::UTC.to_timestamp(date(2026, 11, 23).to_datetime(time)).unwrap()
}

/// `SS#d1 p=4 zone=z2 reasons=Smell,Wet`
fn reading(verb: &str, words: &[&str], at: Timestamp) -> (String, Timestamp) {
    let (device_type, device) = verb.split_once('#').unwrap_or((verb, "d"));
    let mut values = Map::new();
    let (mut zone, mut project, mut region, mut received) = ("z", "p", "UTC", at);
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("{word}: name=value"));
        match name {
            "zone" => zone = value,
            "project" => project = value,
            "region" => region = value,
            "received" => received = moment(value),
            "reasons" => {
                let reasons = value.split(',').map(|name| (name.to_owned(), json!({"Name": name, "selector": 1})));
                values.insert(name.to_owned(), Value::Object(reasons.collect()));
            }
            _ => drop(values.insert(name.to_owned(), json!(value.parse::<f64>().unwrap()))),
        }
    }
    let text = json!({
        "DevType": device_type, "DEVID": device, "Display": device, "InsID": zone, "PID": project, "Region": region,
        "unixT": at.as_millisecond(), "v": values,
    });
    (text.to_string(), received)
}

/// A case: where it stands, its rules, its run.
struct Case {
    place: String,
    rules: String,
    run: String,
}

fn cases_of_files() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let file: toml::Table =
            std::fs::read_to_string(&path).unwrap().parse().unwrap_or_else(|f| panic!("{name}: {f}"));
        for case in file["case"].as_array().unwrap() {
            let text = |key| case.get(key).map_or("", |text: &toml::Value| text.as_str().unwrap()).to_owned();
            cases.push(Case { place: format!("{name}, {}", text("name")), rules: text("rules"), run: text("run") });
        }
    }
    cases
}

/// The examples of `docs/rules.md`: a block of TOML, and a block of text behind it.
fn cases_of_the_page() -> Vec<Case> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md")).unwrap();
    let mut cases = Vec::new();
    let (mut heading, mut rules) = ("", "");
    for part in page.split("\n## ").skip(1) {
        heading = part.lines().next().unwrap_or(heading);
        for block in part.split("```").skip(1).step_by(2) {
            if let Some(toml) = block.strip_prefix("toml\n") {
                rules = toml;
                cases.push(Case {
                    place: format!("docs/rules.md, {heading}"),
                    rules: rules.into(),
                    run: String::new(),
                });
            } else if let Some(run) = block.strip_prefix("text\n") {
                cases.push(Case { place: format!("docs/rules.md, {heading}"), rules: rules.into(), run: run.into() });
            }
        }
    }
    cases
}

fn check(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for Case { place, rules, run } in cases {
        let rules = RuleSet::parse(&place, &rules).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let mut world = World { rules, zones: BTreeMap::new() };
        for line in run.lines().filter(|line| !line.trim().is_empty()) {
            let (what, expected) = line.split_once("=>").unwrap_or((line, ""));
            let said = world.step(what).join("; ");
            if said != expected.trim() {
                wrong.push(format!("{place}\n  {}\n  expected: {}\n  got:      {said}", what.trim(), expected.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the lines are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_case_raises_exactly_what_it_says() {
    let cases = cases_of_files();
    assert!(cases.len() > 30, "{} cases: some files were not found", cases.len());
    check(cases);
}

#[test]
fn every_example_of_the_page_on_rules_is_true() {
    let cases = cases_of_the_page();
    assert!(cases.len() > 20, "{} examples: some were not found", cases.len());
    check(cases);
}
