//! Follows the alerts that people were told about, and what they did about them.

use std::collections::BTreeMap;

use smartclean_push::domain::alert::life::EndReason;
use smartclean_push::domain::response::ResponseSource;
use smartclean_push::domain::rules::Kind;
use smartclean_push::domain::severity::Severity;

use super::suppression::LifeOf;
use super::{Fact, ModelAlert, NaiveEngine, Sent, SentMessage};
use crate::model::features::Feature;
use crate::model::worlds::Responded;

const DAY: i64 = 24 * 60;
/// Repeats of this many responses are known.
const KNOWN_RESPONSES: usize = 32;

/// An alert from its first message to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelLife {
    pub(crate) rule: usize,
    pub(crate) device: usize,
    pub(crate) at: i64,
    pub(crate) raised: i64,
    pub(crate) severity: Severity,
    pub(crate) reasons: Vec<String>,
    pub(crate) since: Option<i64>,
    pub(crate) to: Vec<usize>,
    /// When somebody first took it.
    pub(crate) acknowledged: Option<i64>,
    /// The last times, each with its end.
    pub(crate) taken: Option<(i64, i64)>,
    pub(crate) snoozed: Option<(i64, i64)>,
    /// When each step of the escalation was done, and who was told.
    pub(crate) escalated: Vec<(i64, Vec<usize>)>,
    pub(crate) started: Option<i64>,
    pub(crate) done: BTreeMap<ResponseSource, i64>,
    /// The last of them that is not before the contradiction.
    pub(crate) done_again: Option<i64>,
    pub(crate) contradicted: Option<i64>,
    pub(crate) end: Option<(i64, EndReason)>,
}

impl ModelLife {
    /// When people were last done, if the sensor has not contradicted it.
    fn last_done(&self) -> Option<i64> {
        let last = self.done.values().copied().max().max(self.done_again);
        last.filter(|done| self.contradicted.is_none_or(|at| at <= *done))
    }

    fn is_done(&self) -> bool {
        self.last_done().is_some()
    }

    /// Until when it is left to somebody.
    pub(super) fn held_until(&self) -> i64 {
        self.taken.iter().chain(&self.snoozed).map(|(_, until)| *until).max().unwrap_or(i64::MIN)
    }

    fn alert(&self) -> ModelAlert {
        let Self { rule, device, at, severity, reasons, since, .. } = self;
        ModelAlert {
            rule: *rule,
            device: *device,
            at: *at,
            severity: *severity,
            reasons: reasons.clone(),
            since: *since,
        }
    }
}

impl NaiveEngine<'_> {
    /// The open alerts of a rule and a device.
    pub(super) fn open_lives(&self, rule: usize, device: usize) -> impl Iterator<Item = &ModelLife> {
        self.lives.iter().filter(move |life| (life.rule, life.device, life.end) == (rule, device, None))
    }

    /// Until when an alert waits because people snooze one about it that is at least as severe.
    pub(super) fn snoozed_until(&self, alert: &ModelAlert) -> Option<i64> {
        let lives = self.open_lives(alert.rule, alert.device).filter(|life| self.is_about(life, alert));
        let lives = lives.filter(|life| life.severity >= alert.severity && !life.is_done());
        lives.filter_map(|life| life.snoozed).map(|(_, until)| until).filter(|until| *until > self.now).max()
    }

    /// Whether an alert is of the rule and the device of a life and, if the rule counts reasons, has only reasons of it.
    pub(super) fn is_about(&self, life: &ModelLife, alert: &ModelAlert) -> bool {
        let reasons = |all: &[String]| if all.is_empty() { vec![String::new()] } else { all.to_vec() };
        let [known, new] = [&life.reasons, &alert.reasons].map(|all| reasons(all));
        (life.rule, life.device) == (alert.rule, alert.device)
            && (self.rule(alert).kind != Kind::Reasons || new.iter().all(|reason| known.contains(reason)))
    }

    /// People answer one of the open alerts.
    pub(super) fn answer(&mut self, which: usize, responded: Responded) -> Vec<Sent> {
        let mut open: Vec<usize> = (0..self.lives.len()).filter(|index| self.lives[*index].end.is_none()).collect();
        open.sort_by_key(|index| (self.lives[*index].rule, self.lives[*index].device));
        let Some(index) = open.get(which % open.len().max(1)).copied() else { return Vec::new() };
        let Some((at, responded)) = self.capped(responded) else { return Vec::new() };
        let mut sent = self.release(at);
        let life = self.lives[index].clone();
        let is_new = self.respond(responded, Some(index));
        if let Some(done) = responded.done.filter(|done| is_new && *done >= life.at) {
            self.clean_suppressed(done, Some(&life));
            let ModelLife { rule, device, reasons, .. } = life;
            let reasons = if reasons.is_empty() { vec![String::new()] } else { reasons };
            self.facts.push(Fact::Answered { rule: self.world.rules[rule].id.clone(), device, reasons, at: done });
            let messages = self.evaluate(done).1;
            self.note(!messages.is_empty(), Feature::DoneSendsResolved);
            sent.extend(messages);
        }
        sent
    }

    /// Tells people again about alerts whose snooze has ended, and does not send the usual reminders that were due meanwhile.
    /// Who is told about it by another message of this sweep gets none.
    pub(super) fn told_again(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        for index in 0..self.lives.len() {
            let life = &self.lives[index];
            let Some((_, until)) = life.snoozed.filter(|_| life.end.is_none() && !life.is_done()) else { continue };
            if life.held_until() > self.now || self.told_again.get(&index) >= Some(&until) {
                continue;
            }
            let alert = life.alert();
            let (Some(to), _) = self.route(&alert, &[], self.now) else { continue };
            self.told_again.insert(index, until);
            self.features.insert(Feature::ToldAgain);
            self.skip_reminder(alert.rule, alert.device);
            let told: Vec<&Vec<usize>> =
                self.told.iter().filter(|(life, _)| *life == index).map(|(_, to)| to).collect();
            let left: Vec<usize> =
                to.iter().copied().filter(|one| !told.iter().any(|told| told.contains(one))).collect();
            if told.iter().any(|told| told.is_empty()) || left.is_empty() && !to.is_empty() {
                continue;
            }
            sent.push((left, SentMessage::Reminder { alert, at: until, is_last: false }));
        }
        sent
    }

    /// Does the steps of escalations that are due.
    pub(super) fn escalations(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        for index in 0..self.lives.len() {
            let steps = self.world.rules[self.lives[index].rule].escalate.clone();
            while let life = &self.lives[index]
                && let first = life.escalated.len()
                && let Some((after, _)) = steps.get(first).copied()
                && life.end.is_none()
                && life.started.is_none()
                && !life.is_done()
            {
                let (rule, device) = (life.rule, life.device);
                let gap = |(at, _): &(i64, _)| at + after - steps[first - 1].0;
                let after_last = life.escalated.last().map_or(i64::MIN, gap);
                if (life.raised + after).max(after_last).max(life.held_until()) > self.now
                    || self.is_muted_at(rule, device, self.now)
                    || !self.is_active_at(rule, device, self.now)
                {
                    break;
                }
                let on_duty = |audience| {
                    let mut next = Some(audience);
                    while let Some(one) = next.filter(|one| !self.is_on_duty_at(*one, device, self.now)) {
                        next = self.world.audiences[one].otherwise;
                    }
                    next
                };
                let found = (first..steps.len()).find_map(|step| Some((step, on_duty(steps[step].1)?)));
                let Some((step, told)) = found else {
                    self.features.insert(Feature::EscalationWaits);
                    break;
                };
                let (alert, raised, taken) = (life.alert(), life.raised, life.taken);
                sent.push((vec![told], SentMessage::Escalated { alert, at: self.now, step, raised, taken }));
                self.note(step > first, Feature::EscalationSkips);
                self.note(taken.is_some(), Feature::EscalatedAfterTaken);
                self.note(taken.is_none(), Feature::Escalated);
                let escalated = &mut self.lives[index].escalated;
                escalated.extend((first..step).map(|_| (self.now, Vec::new())));
                escalated.push((self.now, vec![told]));
            }
        }
        sent
    }

    fn open_life(&self, rule: usize, device: usize) -> Option<usize> {
        self.lives.iter().position(|life| (life.rule, life.device, life.end) == (rule, device, None))
    }

    fn end_life(&mut self, index: usize, at: i64, reason: EndReason) {
        self.lives[index].end = Some((at, reason));
        self.unarchived.push(index);
    }

    /// These audiences are told about an alert, from `raised` on. `known` has its life if others were told before.
    pub(super) fn tell(&mut self, alert: &ModelAlert, to: &[usize], raised: i64, known: &LifeOf) {
        let ModelAlert { rule, device, at, severity, .. } = *alert;
        let lasts = matches!(self.world.rules[rule].kind, Kind::Threshold | Kind::Silence);
        let open = if lasts { self.open_life(rule, device) } else { known.get() };
        let open = open.filter(|open| self.lives[*open].end.is_none());
        let Some(open) = open else {
            if known.get().is_none() {
                self.told.push((self.lives.len(), to.to_vec()));
                known.set(Some(self.lives.len()));
                let (to, done) = (to.to_vec(), BTreeMap::new());
                self.lives.push(ModelLife {
                    rule,
                    device,
                    at,
                    raised,
                    severity,
                    reasons: alert.reasons.clone(),
                    since: alert.since,
                    to,
                    acknowledged: None,
                    taken: None,
                    snoozed: None,
                    escalated: Vec::new(),
                    started: None,
                    done,
                    done_again: None,
                    contradicted: None,
                    end: None,
                });
            }
            return;
        };
        known.set(Some(open));
        self.told.push((open, to.to_vec()));
        self.note(
            severity > self.lives[open].severity && self.lives[open].snoozed.is_some(),
            Feature::SnoozeEndsBySeverity,
        );
        let life = &mut self.lives[open];
        life.snoozed = life.snoozed.filter(|_| severity <= life.severity);
        life.severity = life.severity.max(severity);
        let is_everybody = life.to.is_empty() || to.is_empty();
        life.to.extend(to);
        life.to.sort_unstable();
        life.to.dedup();
        if is_everybody {
            life.to.clear();
        }
    }

    /// The sensor measures that an alert is over, or that it was done. Returns whether that ends it.
    pub(super) fn measure_over(&mut self, rule: usize, device: usize, at: i64, only_if_done: bool) -> bool {
        let is_later = |open: &usize| self.lives[*open].done.values().max().is_some_and(|done| *done < at);
        let open = self.open_life(rule, device).filter(|open| !only_if_done || is_later(open));
        if let Some(open) = open {
            self.note(!self.lives[open].done.is_empty(), Feature::DoneIsProven);
            self.lives[open].done.insert(ResponseSource::Measured, at);
            self.end_life(open, at, EndReason::Resolved);
        }
        open.is_some()
    }

    /// A threshold fires at `at`. If people had said before that they were done, they were not.
    pub(super) fn fire_after_done(&mut self, rule: usize, device: usize, at: i64) {
        let is_earlier = |open: &usize| self.lives[*open].done.values().any(|done| *done < at);
        if let Some(open) = self.open_life(rule, device).filter(is_earlier) {
            self.lives[open].contradicted.get_or_insert(at);
            self.end_life(open, at, EndReason::Contradicted);
            self.features.insert(Feature::DoneIsContradicted);
        }
    }

    /// A reading of the same time is worse than the one that ended an alert.
    pub(super) fn reopen(&mut self, rule: usize, device: usize, at: i64) {
        let is_it = |index: &usize| {
            let life = &self.lives[*index];
            (life.rule, life.device, life.end) == (rule, device, Some((at, EndReason::Resolved)))
        };
        if let Some(index) = self.unarchived.iter().copied().find(is_it) {
            self.unarchived.retain(|ended| *ended != index);
            self.lives[index].end = None;
            self.lives[index].done.remove(&ResponseSource::Measured);
            self.features.insert(Feature::Reopened);
        }
    }

    /// Returns what people did as of now: they are not done more than 5 minutes ahead, and have not begun then. `None` if
    /// nothing is left.
    pub(super) fn capped(&self, responded: Responded) -> Option<(i64, Responded)> {
        let Responded { started, done, taken, snoozed, .. } = responded;
        let is_ahead = |time: i64| time > self.now + 5;
        let done = done.map(|done| if is_ahead(done) { self.now } else { done });
        let started = started.filter(|started| !is_ahead(*started));
        let at = done.or(started).or(taken.or(snoozed).map(|(at, _)| at))?;
        Some((at, Responded { started, done, ..responded }))
    }

    /// Applies what people did to the open alerts, before the cleaning changes the rules; or an answer to one of them. Returns
    /// whether it is new.
    pub(super) fn respond(&mut self, new: Responded, only: Option<usize>) -> bool {
        let mut known = self.responses.iter().zip(&self.answered).rev().take(KNOWN_RESPONSES);
        if known.any(|((_, known), answered)| *known == new && *answered == only) {
            self.features.insert(Feature::RepeatedResponse);
            return false;
        }
        self.responses.push((self.now, new));
        self.answered.push(only);
        let Responded { source, started, done, taken, snoozed } = new;
        for index in 0..self.lives.len() {
            let ModelLife { rule, device, at, end, .. } = self.lives[index];
            let spec = &self.world.rules[rule];
            let is_about = only.map_or(spec.kind != Kind::Silence, |only| only == index);
            if end.is_some() || !is_about {
                continue;
            }
            let [taken, snoozed] = [taken, snoozed].map(|hold| hold.filter(|(held, _)| *held >= at));
            let (started, about) = (started.filter(|started| *started >= at), done.filter(|done| *done >= at));
            let life = &mut self.lives[index];
            life.started = [life.started, started].into_iter().flatten().min();
            life.acknowledged = [life.acknowledged, taken.map(|(at, _)| at)].into_iter().flatten().min();
            (life.taken, life.snoozed) = (life.taken.max(taken), life.snoozed.max(snoozed));
            if let Some(done) = about {
                let known = life.done.get(&source).copied().unwrap_or(done);
                life.done.insert(source, known.min(done));
                let again = Some(done).filter(|done| life.contradicted.is_some_and(|at| at <= *done));
                life.done_again = life.done_again.max(again);
            }
            let first = life.done.values().min().copied();
            if spec.kind != Kind::Threshold {
                if let Some(first) = first.filter(|_| spec.kind != Kind::Silence) {
                    self.end_life(index, first, EndReason::Done);
                    self.features.insert(Feature::DoneCannotBeMeasured);
                }
            } else if let (Some(done), Some(_), Some(fired)) = (done, first, self.fired_at(spec, device))
                && fired > done
            {
                self.lives[index].contradicted.get_or_insert(fired);
                self.features.insert(Feature::LateDoneIsContradicted);
            }
        }
        true
    }

    /// Ends alerts that nobody has answered for a day, or that nobody has measured for a day after they were done.
    pub(super) fn expire(&mut self) {
        for index in 0..self.lives.len() {
            let life = &self.lives[index];
            let lasts = matches!(self.world.rules[life.rule].kind, Kind::Threshold | Kind::Silence);
            let from = if lasts { life.last_done() } else { Some(life.raised) };
            if let Some(from) = from.filter(|from| life.end.is_none() && from + DAY <= self.now) {
                self.end_life(index, from + DAY, EndReason::Expired);
                self.features.insert(Feature::Expired);
            }
        }
    }
}
