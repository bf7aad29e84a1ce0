//! The life of an alert: when people were told, what they did about it, and how it ended.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Alert, AlertId, Trigger};
use crate::breach::Breach;
use crate::location::Location;
use crate::response::{Hold, Response, ResponseSource};
use crate::rules::hours::WeeklyHours;
use crate::rules::{EscalationStep, Kind, Rule, Settings};
use crate::severity::Severity;
use crate::words;

/// An alert that people were told about, from the first message to its end: a line of an object below `alerts/`. A further alert of
/// its rule and device before its end is part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertLife {
    /// The id of the alert. Of several that were raised before the first was over, that of the first.
    pub alert: AlertId,
    /// The ids of the others.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub further: Vec<AlertId>,
    /// The id of the rule.
    pub rule: String,
    /// The title of the rule: "Bad smell".
    pub title: String,
    /// The kind of the rule.
    pub kind: Kind,
    /// The worst severity so far.
    pub severity: Severity,
    /// The id of the device, as its readings have it.
    pub device: String,
    /// The location of the device.
    pub location: Location,
    /// The first breached limit of its worst alert; `None` for a silence rule.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub breach: Option<Breach>,
    /// How breaches became the alert.
    #[serde(skip_serializing_if = "Trigger::is_immediate", default)]
    pub trigger: Trigger,
    /// The reasons of feedback, each once.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<String>,
    /// The event time of the reading that fired the rule.
    pub at: Timestamp,
    /// Since when people could know: when its reading was first received or its suppression ended, or when a sweep found that data
    /// is missing. Response times count from then on.
    pub raised: Timestamp,
    /// The ids of the audiences of its messages; empty for everybody.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub to: Vec<String>,
    /// Whether people can answer it by a cleaning; no for a rule about the device itself.
    #[serde(skip_serializing_if = "bool::clone", default = "answerable")]
    pub answerable: bool,
    /// The targets when it was raised.
    #[serde(flatten)]
    pub targets: Targets,
    /// When somebody first took it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acknowledged: Option<Timestamp>,
    /// Who took it last, and until when others need not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub taken: Option<Claim>,
    /// Who snoozed it last, and until when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub snoozed: Option<Claim>,
    /// The end of the last snooze after which people were told about it again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reminded: Option<Timestamp>,
    /// Until when the message after a snooze waits: nobody can be told before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reminder_waits: Option<Timestamp>,
    /// Until when the next step of the escalation waits: nobody can be told before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub escalation_waits: Option<Timestamp>,
    /// The further audiences that were told because nobody had answered, in the order of the steps of the rule.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub escalated: Vec<Escalation>,
    /// When people began to deal with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started: Option<Timestamp>,
    /// When it was dealt with, by the source of this knowledge.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub done: BTreeMap<ResponseSource, Timestamp>,
    /// When people were last done, if that is not before the contradiction.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub done_again: Option<Timestamp>,
    /// What the sensor measured after people said that they were done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contradiction: Option<Contradiction>,
    /// The end; `None` while it is open.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<LifeEnd>,
}

/// Most alerts can be answered.
fn answerable() -> bool {
    true
}

/// A time in which nobody is reminded of an alert, and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim {
    /// The time.
    #[serde(flatten)]
    pub hold: Hold,
    /// The team or the initials.
    pub by: String,
}

/// A step of an escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// When the step was done.
    pub at: Timestamp,
    /// The ids of the audiences that were told; empty if nobody of them was on duty.
    pub to: Vec<String>,
}

/// How fast people should deal with the alerts of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// The longest time until somebody begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub respond_within: Option<SignedDuration>,
    /// The longest time until it is done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clean_within: Option<SignedDuration>,
    /// The hours in which these times count; `None` for always.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub active: Option<WeeklyHours>,
}

impl From<&Settings> for Targets {
    fn from(settings: &Settings) -> Self {
        let Settings { respond_within, clean_within, active, .. } = *settings;
        Self { respond_within, clean_within, active }
    }
}

/// A breach that a sensor measured although people had said that they were done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The event time of the reading.
    pub at: Timestamp,
    /// The first breached limit.
    pub breach: Option<Breach>,
}

/// The end of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub reason: EndReason,
}

words! {
    /// How an alert ended.
    pub enum EndReason {
        /// The sensor measured that the value is fine again, or it sends again.
        Resolved = "resolved",
        /// People said that they were done. The sensor cannot measure it.
        Done = "done",
        /// People said that they were done, and the sensor measured a breach after that, which is a new alert.
        Contradicted = "contradicted",
        /// Nobody answered for a day, or people said that they were done and the sensor measured nothing for a day.
        Expired = "expired",
        /// Its rule is no longer in force.
        Withdrawn = "withdrawn",
    }
}

impl AlertLife {
    /// The life of an alert of `rule` for `device`, about which the audiences `to` are told since `raised`.
    #[must_use]
    pub fn new(alert: &Alert, rule: &Rule, device: &str, to: &[String], targets: Targets, raised: Timestamp) -> Self {
        Self {
            alert: alert.id,
            further: Vec::new(),
            rule: alert.rule.clone(),
            title: alert.title.clone(),
            kind: rule.kind,
            severity: alert.severity,
            device: device.to_owned(),
            location: alert.location.clone(),
            breach: alert.breaches.first().cloned(),
            trigger: alert.trigger,
            reasons: alert.reasons.clone(),
            at: alert.at,
            raised,
            to: to.to_vec(),
            answerable: rule.is_answerable(),
            targets,
            acknowledged: None,
            taken: None,
            snoozed: None,
            reminded: None,
            reminder_waits: None,
            escalation_waits: None,
            escalated: Vec::new(),
            started: None,
            done: BTreeMap::new(),
            done_again: None,
            contradiction: None,
            end: None,
        }
    }

    /// Whether it is of this rule and device.
    #[must_use]
    pub fn is_of(&self, rule: &str, device: &str) -> bool {
        self.rule == rule && self.device == device
    }

    /// Whether an alert for `device` is of its rule and device and, if that counts reasons, about no other reasons.
    #[must_use]
    pub fn is_about(&self, alert: &Alert, device: &str) -> bool {
        let has_reasons = match alert.reasons.as_slice() {
            [] => self.reasons.is_empty(),
            reasons => reasons.iter().all(|reason| self.reasons.contains(reason)),
        };
        self.is_of(&alert.rule, device) && (self.kind != Kind::Reasons || has_reasons)
    }

    /// When it was first done, and the source of this knowledge.
    #[must_use]
    pub fn first_done(&self) -> Option<(Timestamp, ResponseSource)> {
        self.done.iter().map(|(source, at)| (*at, *source)).min()
    }

    /// Whether it contains the alert with this id.
    #[must_use]
    pub fn contains(&self, alert: AlertId) -> bool {
        self.alert == alert || self.further.contains(&alert)
    }

    /// When people were last done, if the sensor has not contradicted it since.
    #[must_use]
    pub fn last_done(&self) -> Option<Timestamp> {
        let done = self.done.values().copied().chain(self.done_again).max()?;
        self.contradiction.as_ref().is_none_or(|found| found.at <= done).then_some(done)
    }

    /// Whether people said that they were done, and the sensor has not contradicted it since.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.last_done().is_some()
    }

    /// Until when nobody is reminded of it, because somebody has it or snoozed it; `None` if nobody did.
    #[must_use]
    pub fn held_until(&self) -> Option<Timestamp> {
        self.taken.iter().chain(&self.snoozed).map(|claim| claim.hold.until).max()
    }

    /// Until when further alerts of its rule and device wait, if they are not more severe: people snooze it at `now`.
    #[must_use]
    pub fn snoozed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.snoozed.as_ref().map(|claim| claim.hold.until).filter(|until| *until > now && !self.is_done())
    }

    /// When people are told about it again after a snooze, and the end of the snooze.
    #[must_use]
    pub fn told_again(&self) -> Option<(Timestamp, Timestamp)> {
        let until = self.snoozed.as_ref()?.hold.until;
        let is_due = self.reminded < Some(until) && !self.is_done();
        is_due.then(|| self.held_until().max(self.reminder_waits)).flatten().map(|due| (due, until))
    }

    /// When the next of these steps is due: some time after it was raised, and the usual time after the step before. `None` if
    /// there is none, or people have begun, or are done.
    #[must_use]
    pub fn escalation_due(&self, steps: &[EscalationStep]) -> Option<Timestamp> {
        let index = self.escalated.len();
        let step = steps.get(index).filter(|_| self.started.is_none() && !self.is_done())?;
        let due = self.raised.checked_add(step.after).ok()?;
        let last = self.escalated.last().zip(steps[..index].last());
        // After a hold or a night, several steps have passed their time. They do not follow all at once.
        let next = last.and_then(|(last, before)| last.at.checked_add(step.after - before.after).ok());
        Some(due).max(next).max(self.held_until()).max(self.escalation_waits)
    }

    /// The alert again, for a message about it. `rule` is its rule.
    #[must_use]
    pub fn to_alert(&self, rule: &Rule) -> Alert {
        Alert {
            id: self.alert,
            rule: self.rule.clone(),
            title: self.title.clone(),
            template: rule.template.clone(),
            action: rule.action.clone(),
            severity: self.severity,
            breaches: self.breach.iter().cloned().collect(),
            trigger: self.trigger,
            reasons: self.reasons.clone(),
            at: self.at,
            reading: self.alert.digest(),
            location: self.location.clone(),
        }
    }

    /// Who has it at `now`.
    #[must_use]
    pub fn holder(&self, now: Timestamp) -> Option<&Claim> {
        self.taken.as_ref().filter(|claim| claim.hold.until > now && !self.is_done())
    }

    /// Whether a response in its zone is about it: one that names it, or one of the whole zone, if a cleaning answers it.
    #[must_use]
    pub fn is_answered_by(&self, response: &Response) -> bool {
        response.alert.map_or(self.answerable, |alert| self.contains(alert))
    }

    /// Adds what people did in its zone, unless that was before it or after its end. Of repeated answers, the earliest count,
    /// and the last one who takes or snoozes it, so that the order of the responses does not matter.
    pub fn respond(&mut self, response: &Response) {
        if !self.is_answered_by(response) {
            return;
        }
        let end = self.end.map(|end| end.at);
        let is_during = |time: &Timestamp| *time >= self.at && end.is_none_or(|end| *time <= end);
        let (started, done) = (response.started.filter(is_during), response.done.filter(is_during));
        let [taken, snoozed] = [response.taken, response.snoozed].map(|hold| {
            let hold = hold.filter(|hold| is_during(&hold.at))?;
            Some(Claim { hold, by: response.by.clone().unwrap_or_default() })
        });
        self.started = self.started.into_iter().chain(started).min();
        self.acknowledged = self.acknowledged.into_iter().chain(taken.as_ref().map(|claim| claim.hold.at)).min();
        self.taken = self.taken.take().max(taken);
        self.snoozed = self.snoozed.take().max(snoozed);
        if let Some(done) = done {
            let earliest = self.done.entry(response.source).or_insert(done);
            *earliest = done.min(*earliest);
            if self.contradiction.as_ref().is_some_and(|found| found.at <= done) {
                self.done_again = self.done_again.max(Some(done));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_archive_has_the_members_that_queries_expect() {
        let line = include_str!("../../../../tests/data/alert.json").trim_end();
        let life: AlertLife = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&life).unwrap(), line);
    }
}
