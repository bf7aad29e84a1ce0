//! A zone for the tests of lives of alerts: what is open, and what is archived.

use jiff::Timestamp;

use super::fixtures::{at, quiet, reading};
use super::{evaluate, respond, sweep};
use crate::alert::Message;
use crate::alert::life::AlertLife;
use crate::reading::Reading;
use crate::response::{Response, ResponseSource};
use crate::rules::RuleSet;
use crate::state::{Facts, ZoneState};

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

    pub(super) fn done(&mut self, rule: &str, clock: &str) -> Vec<Message> {
        self.answer(rule, clock, |response| response.done = Some(at(clock)))
    }

    pub(super) fn cleaned(&mut self, clock: &str) {
        self.respond(ResponseSource::Reported, None, Some(clock), clock);
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        let evaluation = sweep(&self.rules, self.state.clone(), now, true);
        self.commit(evaluation.state);
    }

    pub(super) fn open(&self) -> Vec<String> {
        self.state.lives.open().iter().map(shown).collect()
    }

    /// The alerts that ended, as archived.
    pub(super) fn ended(&self) -> Vec<String> {
        self.facts.alerts.iter().filter(|life| life.end.is_some()).map(shown).collect()
    }
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
