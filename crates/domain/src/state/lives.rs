//! The alerts of a zone that people have to deal with, and what the next sweep archives about them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::dedup_window::{DedupWindow, Fingerprint};
use super::outbox::LEASE;
use crate::alert::AlertId;
use crate::alert::life::{AlertLife, Contradiction, EndReason, LifeEnd};
use crate::breach::Breach;
use crate::response::{ReceivedResponse, ResponseSource};
use crate::rules::Kind;

/// Most open alerts of a zone. A further one is sent, and not followed.
pub const MOST_OPEN: usize = 200;
/// How long an alert is open: since it was raised, if no sensor can measure its end; since people were done, if the sensor has
/// measured nothing since then.
const LONGEST_UNANSWERED: SignedDuration = SignedDuration::from_hours(24);
/// How long alerts and responses wait until they are archived: a push that sends their messages has ended by then.
const ARCHIVED_AFTER: SignedDuration = LEASE;
/// Most alerts, and most responses, that wait to be archived.
const MOST_FACTS: usize = 500;
/// Most further alerts of an open alert whose ids are known. A threshold can only become more severe so often.
const MOST_FURTHER: usize = 8;
/// Most responses whose repeats are known.
const MOST_RESPONSES: usize = 32;

/// The open alerts of a zone, the last responses, and what is to be archived about both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lives {
    /// In the order in which they were raised.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open: Vec<AlertLife>,
    /// The last responses, so that a repeat changes nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responses: Vec<Fingerprint>,
    /// What the next sweep archives.
    #[serde(skip_serializing_if = "Facts::is_empty")]
    facts: Facts,
}

/// Alerts and responses to archive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// A line when an alert is raised, and one when it ends; one line if both happen before the sweep.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertLife>,
    /// Responses, each when it was first received.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<ReceivedResponse>,
}

impl Facts {
    /// Whether there is nothing to archive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.responses.is_empty()
    }

    /// Adds an alert. If it was not archived when it was raised, one line has all of it.
    fn add(&mut self, life: AlertLife) {
        self.alerts.retain(|known| known.alert != life.alert);
        push_limited(&mut self.alerts, life);
    }

    /// Adds those of another zone.
    pub fn append(&mut self, mut other: Self) {
        self.alerts.append(&mut other.alerts);
        self.responses.append(&mut other.responses);
    }
}

impl Lives {
    /// Whether there is no open alert, nothing to archive, and no known response.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.responses.is_empty() && self.facts.is_empty()
    }

    /// The open alerts, in the order in which they were raised.
    #[must_use]
    pub fn open(&self) -> &[AlertLife] {
        &self.open
    }

    /// The open alerts, to be changed.
    pub fn open_mut(&mut self) -> impl Iterator<Item = &mut AlertLife> {
        self.open.iter_mut()
    }

    /// The open alert that contains the alert with this id.
    #[must_use]
    pub fn find(&self, alert: AlertId) -> Option<&AlertLife> {
        self.open.iter().find(|life| life.contains(alert))
    }

    /// Begins the life of an alert. If one of its rule and device is open and lasts, that one becomes worse, or goes to further
    /// audiences. If `is_known`, no life begins: an earlier message to another audience has begun it.
    pub fn begin(&mut self, new: AlertLife, is_known: bool) {
        let is_same =
            |life: &&mut AlertLife| life.alert == new.alert || new.kind.lasts() && life.is_of(&new.rule, &new.device);
        if let Some(life) = self.open.iter_mut().find(is_same) {
            if !life.contains(new.alert) && life.further.len() < MOST_FURTHER {
                life.further.push(new.alert);
            }
            if new.severity > life.severity {
                (life.severity, life.breach, life.trigger) = (new.severity, new.breach, new.trigger);
                // People snoozed the milder alert. Who took it still has it.
                life.snoozed = None;
                // Other audiences can match.
                life.reminder_waits = None;
            }
            // No audience is everybody.
            if life.to.is_empty() || new.to.is_empty() {
                life.to.clear();
            } else {
                life.to.extend(new.to);
                life.to.sort();
                life.to.dedup();
            }
        } else if !is_known && self.open.len() < MOST_OPEN {
            self.facts.add(new.clone());
            self.open.push(new);
        }
    }

    /// Ends the alert of `rule` for `device` because the sensor measured at `at` that it is over. `only_done` leaves it open unless
    /// people said that they were done before. Returns whether an alert ended.
    pub fn resolve(&mut self, rule: &str, device: &str, at: Timestamp, only_done: bool) -> bool {
        self.end(|life| {
            let is_proven = life.done.values().max().is_some_and(|done| *done < at);
            let is_it = life.is_of(rule, device) && (is_proven || !only_done);
            is_it.then(|| {
                life.done.insert(ResponseSource::Measured, at);
                (at, EndReason::Resolved)
            })
        })
    }

    /// Opens the alert of `rule` for `device` again if the sensor measured at `at` that it is over: a reading of the same time is
    /// worse. Does nothing if its end is archived already.
    pub fn reopen(&mut self, rule: &str, device: &str, at: Timestamp) {
        let end = Some(LifeEnd { at, reason: EndReason::Resolved });
        let is_it = |life: &AlertLife| life.end == end && life.is_of(rule, device);
        if let Some(index) = self.facts.alerts.iter().position(is_it) {
            let mut life = AlertLife { end: None, ..self.facts.alerts.remove(index) };
            life.done.remove(&ResponseSource::Measured);
            self.facts.add(life.clone());
            self.open.push(life);
        }
    }

    /// Ends the alert of `rule` for `device` that people said they had dealt with, because the sensor measured a breach at `at`.
    pub fn contradict(&mut self, rule: &str, device: &str, at: Timestamp, breach: Option<&Breach>) {
        self.end(|life| {
            let is_it = life.is_of(rule, device) && life.first_done().is_some_and(|(done, _)| done < at);
            is_it.then(|| {
                life.contradiction.get_or_insert_with(|| Contradiction { at, breach: breach.cloned() });
                (at, EndReason::Contradicted)
            })
        });
    }

    /// Whether the message of an escalation of this alert can be sent at `now`: it is open, nobody has it or has begun, and it is
    /// not done.
    #[must_use]
    pub fn is_unanswered(&self, alert: AlertId, now: Timestamp) -> bool {
        let is_free = |life: &AlertLife| life.started.is_none() && !life.is_done() && life.holder(now).is_none();
        self.find(alert).is_some_and(is_free)
    }

    /// Takes back a step of the escalation of an alert, whose message was not sent, and the steps that were skipped for it.
    pub fn revoke_step(&mut self, alert: AlertId, step: usize) {
        let known = self.open.iter_mut().chain(&mut self.facts.alerts).filter(|life| life.contains(alert));
        for life in known {
            let told = life.escalated.iter().take(step).rposition(|step| !step.to.is_empty());
            life.escalated.truncate(told.map_or(0, |last| last + 1));
        }
    }

    /// Adds what people did to the alerts that it is about. Done ends the alerts that no sensor can measure. `still_breached`
    /// returns when the severity last rose, for a rule that fires and a device: if that is after `done`, the contradiction is
    /// recorded, and the alert stays open. A repeated response changes nothing. Returns whether it is new.
    pub fn respond(
        &mut self,
        received: ReceivedResponse,
        still_breached: impl Fn(&str, &str) -> Option<Timestamp>,
    ) -> bool {
        let id = DedupWindow::fingerprint(&received.response.id());
        if self.responses.contains(&id) {
            return false;
        }
        if self.responses.len() >= MOST_RESPONSES {
            self.responses.remove(0);
        }
        self.responses.push(id);
        let response = received.response.clone();
        push_limited(&mut self.facts.responses, received);
        for life in self.open.iter_mut().filter(|life| life.is_answered_by(&response)) {
            life.respond(&response);
            let is_later = |at: &Timestamp| response.done.is_some_and(|done| *at > done);
            let breached = still_breached(&life.rule, &life.device).filter(is_later);
            if let Some(at) = breached.filter(|_| life.kind == Kind::Threshold && !life.done.is_empty()) {
                life.contradiction.get_or_insert_with(|| Contradiction { at, breach: life.breach.clone() });
            }
        }
        self.end(|life| {
            let (at, _) = life.first_done().filter(|_| !life.kind.lasts())?;
            Some((at, EndReason::Done))
        });
        true
    }

    /// Ends the alerts that nobody has answered for too long, and those whose rule is not `in_force`.
    pub fn expire(&mut self, now: Timestamp, in_force: impl Fn(&AlertLife) -> bool) {
        self.end(|life| {
            let expired = expires(life).filter(|at| *at <= now).map(|at| (at, EndReason::Expired));
            expired.or_else(|| (!in_force(life)).then_some((now, EndReason::Withdrawn)))
        });
    }

    /// When something is to be archived, or an alert expires.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let alerts = self.facts.alerts.iter().map(|life| life.end.map_or(life.raised, |end| end.at));
        let responses = self.facts.responses.iter().map(|response| response.received);
        let archived = alerts.chain(responses).filter_map(|at| at.checked_add(ARCHIVED_AFTER).ok());
        archived.chain(self.open.iter().filter_map(expires)).min()
    }

    /// What is to be archived.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Removes and returns what is to be archived, for an evaluation that archives nothing, such as a backtest.
    pub fn take_facts(&mut self) -> Facts {
        std::mem::take(&mut self.facts)
    }

    /// Removes these lines after their objects are written. A line that has changed stays. After a crash in between, they are
    /// archived again, and readers keep one of each.
    pub fn remove_facts(&mut self, archived: &Facts) {
        self.facts.alerts.retain(|life| !archived.alerts.contains(life));
        self.facts.responses.retain(|response| !archived.responses.contains(response));
    }

    /// Ends the open alerts for which `end` returns when and why. Returns whether any ended.
    fn end(&mut self, mut end: impl FnMut(&mut AlertLife) -> Option<(Timestamp, EndReason)>) -> bool {
        let before = self.open.len();
        self.open.retain_mut(|life| {
            let Some((at, reason)) = end(life) else { return true };
            life.end = Some(LifeEnd { at, reason });
            (life.reminder_waits, life.escalation_waits) = (None, None);
            self.facts.add(life.clone());
            false
        });
        self.open.len() < before
    }
}

/// Adds an element. Of too many, the oldest is lost: a document that is too large could not be written any more.
fn push_limited<T>(all: &mut Vec<T>, new: T) {
    if all.len() >= MOST_FACTS {
        all.remove(0);
    }
    all.push(new);
}

/// When an alert expires: nobody answered, or people said that they were done, and the sensor measures nothing.
fn expires(life: &AlertLife) -> Option<Timestamp> {
    let from = if life.kind.lasts() { life.last_done()? } else { life.raised };
    from.checked_add(LONGEST_UNANSWERED).ok()
}
