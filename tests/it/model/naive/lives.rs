//! Follows the alerts that people were told about, and what they did about them.

use std::collections::BTreeMap;

use smartclean_push::domain::alert::life::EndReason;
use smartclean_push::domain::response::ResponseSource;
use smartclean_push::domain::rules::Kind;
use smartclean_push::domain::severity::Severity;

use super::suppression::LifeOf;
use super::{ModelAlert, NaiveEngine};
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
    pub(crate) to: Vec<usize>,
    pub(crate) started: Option<i64>,
    pub(crate) done: BTreeMap<ResponseSource, i64>,
    pub(crate) contradicted: Option<i64>,
    pub(crate) end: Option<(i64, EndReason)>,
}

impl NaiveEngine<'_> {
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
                known.set(Some(self.lives.len()));
                let (to, done) = (to.to_vec(), BTreeMap::new());
                let (started, contradicted, end) = (None, None, None);
                let life = ModelLife { rule, device, at, raised, severity, to, started, done, contradicted, end };
                self.lives.push(life);
            }
            return;
        };
        known.set(Some(open));
        let life = &mut self.lives[open];
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
        let open = self.open_life(rule, device).filter(|open| !only_if_done || !self.lives[*open].done.is_empty());
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

    /// Returns what people did as of now: they are not done more than 5 minutes ahead, and have not begun then. `None` if nothing is
    /// left.
    pub(super) fn capped(&self, Responded { source, started, done }: Responded) -> Option<(i64, Responded)> {
        let is_ahead = |time: i64| time > self.now + 5;
        let done = done.map(|done| if is_ahead(done) { self.now } else { done });
        let started = started.filter(|started| !is_ahead(*started));
        Some((done.or(started)?, Responded { source, started, done }))
    }

    /// Applies what people did to the open alerts, before the cleaning changes the rules.
    pub(super) fn respond(&mut self, new: Responded) {
        if self.responses.iter().rev().take(KNOWN_RESPONSES).any(|(_, known)| *known == new) {
            self.features.insert(Feature::RepeatedResponse);
            return;
        }
        self.responses.push((self.now, new));
        let Responded { source, started, done } = new;
        for index in 0..self.lives.len() {
            let ModelLife { rule, device, at, end, .. } = self.lives[index];
            let spec = &self.world.rules[rule];
            if end.is_some() || spec.kind == Kind::Silence {
                continue;
            }
            let (started, about) = (started.filter(|started| *started >= at), done.filter(|done| *done >= at));
            let life = &mut self.lives[index];
            life.started = [life.started, started].into_iter().flatten().min();
            if let Some(done) = about {
                let known = life.done.get(&source).copied().unwrap_or(done);
                life.done.insert(source, known.min(done));
            }
            let first = life.done.values().min().copied();
            if spec.kind != Kind::Threshold {
                if let Some(first) = first {
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
    }

    /// Ends alerts that nobody has answered for a day, or that nobody has measured for a day after they were done.
    pub(super) fn expire(&mut self) {
        for index in 0..self.lives.len() {
            let life = &self.lives[index];
            let lasts = matches!(self.world.rules[life.rule].kind, Kind::Threshold | Kind::Silence);
            let answered =
                life.done.values().max().copied().filter(|done| life.contradicted.is_none_or(|at| at <= *done));
            let from = if lasts { answered } else { Some(life.raised) };
            if let Some(from) = from.filter(|from| life.end.is_none() && from + DAY <= self.now) {
                self.end_life(index, from + DAY, EndReason::Expired);
                self.features.insert(Feature::Expired);
            }
        }
    }
}
