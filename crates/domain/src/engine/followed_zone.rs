//! A zone for the tests of lives of alerts: what is open, and what is archived.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::fixtures::{at, quiet, reading};
use super::{evaluate, next_due, respond, sweep};
use crate::alert::Message;
use crate::alert::life::AlertLife;
use crate::reading::Reading;
use crate::response::{Hold, Response, ResponseSource};
use crate::rules::RuleSet;
use crate::state::{Facts, OutboxEntry, ZoneState};

/// A rule with two severities.
pub(super) const AMMONIA: &str = "[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 200, high = 500 }\n";

pub(super) const NOTHING: [&str; 0] = [];

/// A zone whose facts are archived with each change.
pub(super) struct FollowedZone {
    pub(super) rules: RuleSet,
    pub(super) state: ZoneState,
    pub(super) facts: Facts,
}

impl FollowedZone {
    pub(super) fn new(text: &str) -> Self {
        Self { rules: quiet(text), state: ZoneState::default(), facts: Facts::default() }
    }

    pub(super) fn commit(&mut self, state: ZoneState) {
        self.state = state;
        self.facts.append(self.state.lives.take_facts());
    }

    pub(super) fn push(&mut self, device_type: &str, metric: &str, value: f64, clock: &str) {
        self.late(device_type, metric, value, clock, at(clock));
    }

    pub(super) fn late(&mut self, device_type: &str, metric: &str, value: f64, clock: &str, now: Timestamp) {
        let text = reading(device_type, metric, value, clock);
        let evaluation = evaluate(&self.rules, self.state.clone(), &[&Reading::read(&text).unwrap()], now, now);
        self.commit(evaluation.state);
    }

    /// Visitors complain about these reasons at one panel.
    pub(super) fn complain(&mut self, reasons: &[&str], clock: &str) -> Vec<Message> {
        let names: serde_json::Map<_, _> =
            reasons.iter().map(|name| (name.to_string(), json!({"Name": name}))).collect();
        let values = json!({ "rating": 5, "reasons": names });
        let time = at(clock).as_millisecond();
        let text = json!({ "DevType": "FD", "DEVID": "d", "InsID": "z", "unixT": time, "v": values }).to_string();
        let reading = Reading::read(&text).unwrap();
        let evaluation = evaluate(&self.rules, self.state.clone(), &[&reading], at(clock), at(clock));
        self.commit(evaluation.state);
        evaluation.messages.into_iter().map(|entry| entry.message).collect()
    }

    /// Pushes readings of one device and time together.
    pub(super) fn push_together(&mut self, device_type: &str, metric: &str, values: &[f64], clock: &str) {
        let texts: Vec<String> = values.iter().map(|value| reading(device_type, metric, *value, clock)).collect();
        let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
        let readings: Vec<_> = readings.iter().collect();
        self.commit(evaluate(&self.rules, self.state.clone(), &readings, at(clock), at(clock)).state);
    }

    pub(super) fn ammonia(&mut self, value: f64, clock: &str) {
        self.push("ODRDTR_BATT_V1", "amm", value, clock);
    }

    pub(super) fn soap(&mut self, value: f64, clock: &str) {
        self.push("SS", "p", value, clock);
    }

    pub(super) fn respond(&mut self, source: ResponseSource, started: Option<&str>, done: Option<&str>, clock: &str) {
        let response =
            Response { source, started: started.map(at), done: done.map(at), ..Response::reported("z", at(clock)) };
        let evaluation = respond(&self.rules, self.state.clone(), &[&response], at(clock), at(clock));
        self.commit(evaluation.state);
    }

    /// Answers the last open alert of a rule, with `change` of a response of A. Returns the messages.
    pub(super) fn answer(&mut self, rule: &str, clock: &str, change: impl FnOnce(&mut Response)) -> Vec<Message> {
        let alert = self.state.lives.open().iter().rfind(|life| life.rule == rule).unwrap().alert;
        let mut response = Response::new("z", ResponseSource::Reported);
        (response.alert, response.by) = (Some(alert), Some("A".into()));
        change(&mut response);
        let evaluation = respond(&self.rules, self.state.clone(), &[&response], at(clock), at(clock));
        self.commit(evaluation.state);
        evaluation.messages.into_iter().map(|entry| entry.message).collect()
    }

    pub(super) fn take(&mut self, rule: &str, clock: &str, until: &str) -> Vec<Message> {
        self.answer(rule, clock, |response| response.taken = Some(Hold { at: at(clock), until: at(until) }))
    }

    pub(super) fn snooze(&mut self, rule: &str, clock: &str, until: &str) -> Vec<Message> {
        self.answer(rule, clock, |response| response.snoozed = Some(Hold { at: at(clock), until: at(until) }))
    }

    pub(super) fn done(&mut self, rule: &str, clock: &str) -> Vec<Message> {
        self.answer(rule, clock, |response| response.done = Some(at(clock)))
    }

    pub(super) fn cleaned(&mut self, clock: &str) {
        self.respond(ResponseSource::Reported, None, Some(clock), clock);
    }

    /// Sweeps, and returns the messages.
    pub(super) fn sweep(&mut self, now: Timestamp) -> Vec<Message> {
        let evaluation = sweep(&self.rules, self.state.clone(), now, true);
        self.commit(evaluation.state);
        evaluation.messages.into_iter().map(|entry| entry.message).collect()
    }

    /// Sweeps each minute from `from` to `to`. Returns the messages: "10:15 escalated soap-low to boss".
    pub(super) fn sweeps(&mut self, from: &str, to: &str) -> Vec<String> {
        let (mut now, mut sent) = (at(from), Vec::new());
        while now <= at(to) {
            let evaluation = sweep(&self.rules, self.state.clone(), now, true);
            self.commit(evaluation.state);
            sent.extend(evaluation.messages.iter().map(|entry| told(now, entry)));
            assert!(next_due(&self.rules, &self.state).is_none_or(|due| due > now), "still due at {now}");
            now += SignedDuration::from_mins(1);
        }
        sent
    }

    pub(super) fn open(&self) -> Vec<String> {
        self.state.lives.open().iter().map(shown).collect()
    }

    /// The alerts that ended, as archived.
    pub(super) fn ended(&self) -> Vec<String> {
        self.facts.alerts.iter().filter(|life| life.end.is_some()).map(shown).collect()
    }
}

fn told(now: Timestamp, entry: &OutboxEntry) -> String {
    let (kind, rule) = match &entry.message {
        Message::Firing { alerts, .. } => ("firing", &alerts[0].rule),
        Message::Reminder { alert, at, .. } if *at < now => ("late reminder", &alert.rule),
        Message::Reminder { alert, .. } => ("reminder", &alert.rule),
        Message::Escalated { alert, .. } => ("escalated", &alert.rule),
        Message::Resolved { alert, .. } => ("resolved", &alert.rule),
        other => panic!("{other:?}"),
    };
    let to = if entry.to.is_empty() { String::new() } else { format!(" to {}", entry.to.join(",")) };
    format!("{} {kind} {rule}{to}", now.strftime("%H:%M"))
}

/// "soap-low 10:00 started 10:05 reported 10:10 resolved 10:20".
pub(super) fn shown(life: &AlertLife) -> String {
    let clock = |time: Timestamp| time.strftime("%H:%M").to_string();
    let mut text = format!("{} {}", life.rule, clock(life.raised));
    life.started.iter().for_each(|started| text += &format!(" started {}", clock(*started)));
    life.done.iter().for_each(|(source, done)| text += &format!(" {source} {}", clock(*done)));
    life.end.iter().for_each(|end| text += &format!(" {} {}", end.reason, clock(end.at)));
    text
}
