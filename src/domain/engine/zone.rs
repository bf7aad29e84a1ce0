//! One zone while its readings are taken one by one.

use jiff::Timestamp;

use super::judge::{Verdict, addend, judge, judge_total};
use super::policy::Policy;
use super::{Evaluation, SENT_WITHIN, level, sum, tally};
use crate::domain::alert::{Alert, AlertId, Breach, Course, Message, Place, presentable};
use crate::domain::reading::Reading;
use crate::domain::rules::{Block, Blocked, Effective, Kind, LONGEST_BLOCK, Rule, RuleSet};
use crate::domain::severity::Severity;
use crate::domain::state::{Held, LastSeen, Level, Tally, Track};

/// One zone while its readings are taken one by one.
pub(super) struct Zone<'e> {
    pub(super) rules: &'e RuleSet,
    pub(super) evaluation: &'e mut Evaluation,
    pub(super) now: Timestamp,
}

/// An alert that a reading raised, and what could keep it from being sent.
struct Raised {
    alert: Alert,
    block: Block,
}

/// What is about to be raised.
struct Cause {
    severity: Severity,
    breaches: Vec<Breach>,
    reasons: Vec<String>,
    course: Course,
}

impl<'e> Zone<'e> {
    pub(super) fn new(rules: &'e RuleSet, evaluation: &'e mut Evaluation, now: Timestamp) -> Self {
        Self { rules, evaluation, now }
    }

    /// Takes a reading that is neither known nor late, at its event time. `policy` is what the rules say for its source.
    pub(super) fn take(&mut self, reading: &Reading<'_>, at: Timestamp, policy: &Policy<'_>) {
        self.end_block(at);
        let device = reading.source.device.as_deref().unwrap_or_default();
        let mut changed = false;
        let mut raised = Vec::new();
        if self.evaluation.state.cleaned.is_none_or(|cleaned| at > cleaned) {
            for (rule, effective) in &policy.rules {
                if effective.active.is_some_and(|active| !active.contain(at, &reading.local_zone())) {
                    continue;
                }
                let step = Step { zone: self, rule, effective, reading, device, at };
                changed |= step.run(&mut raised);
            }
        }
        // What is not judged by its own time would be judged by another one when it is repeated.
        if changed || reading.time != Some(at) {
            self.evaluation.state.seen.insert(at, &reading.id());
        }
        self.heard_of(reading, device, at, policy);
        self.send_or_hold(raised, device);
    }

    /// One message for what one reading raised, unless all of it is blocked.
    fn send_or_hold(&mut self, raised: Vec<Raised>, device: &str) {
        if raised.is_empty() {
            return;
        }
        let blocks = &mut self.evaluation.state.blocks;
        let until: Vec<Option<Timestamp>> =
            raised.iter().map(|raised| blocks.until(&raised.alert, device, &raised.block)).collect();
        let count = raised.len();
        if let Some(until) = until.into_iter().collect::<Option<Vec<_>>>() {
            for (raised, until) in raised.into_iter().zip(until) {
                self.mark_held(&raised.alert.rule, device, true);
                self.block(raised.alert, until);
            }
            return;
        }
        let mut alerts: Vec<Alert> = raised.into_iter().map(|raised| raised.alert).collect();
        for alert in &alerts {
            self.evaluation.state.blocks.sent(alert, device, LONGEST_BLOCK);
        }
        // Stable, so that rules of one severity stay in the file's order.
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
        self.evaluation.alerts += count;
        self.fire(alerts);
    }

    /// Sends what is raised.
    pub(super) fn fire(&mut self, alerts: Vec<Alert>) {
        let blocked = self.evaluation.state.blocks.take_counted();
        self.push(Message::Firing { alerts, blocked });
    }

    /// Keeps an alert from being sent before `until`: it is named then, or only counted in the zone's next message.
    pub(super) fn block(&mut self, alert: Alert, until: Timestamp) {
        self.evaluation.blocked += 1;
        match self.rules.blocked {
            Blocked::Named => self.evaluation.state.blocks.hold(alert, until),
            Blocked::Counted => self.evaluation.state.blocks.count(),
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        let due = self.now.checked_add(SENT_WITHIN).unwrap_or(self.now);
        let id = self.evaluation.state.outbox.push(message, self.now, due);
        self.evaluation.made.push(id);
    }

    /// Says what was held back, where the block has ended by `at`.
    pub(super) fn end_block(&mut self, at: Timestamp) {
        let Some(Held { alerts, more, .. }) = self.evaluation.state.blocks.take_ended(at) else { return };
        for held in &alerts {
            let device = held.alert.place.device.clone().unwrap_or_default();
            self.mark_held(&held.alert.rule, &device, false);
        }
        self.push(Message::Held { alerts, more });
    }

    /// Notes at a threshold that fires whether somebody has heard of it.
    fn mark_held(&mut self, rule: &str, device: &str, is_held: bool) {
        let track = self.evaluation.state.tracks.get_mut(rule).and_then(|devices| devices.get_mut(device));
        if let Some(Track::Level(Level::Firing { held, .. })) = track {
            *held = is_held;
        }
    }

    /// Notes when a device was heard of, where a silence rule wants to know, and that its silence is over.
    fn heard_of(&mut self, reading: &Reading<'_>, device: &str, at: Timestamp, policy: &Policy<'_>) {
        let Some(shortest) = policy.shortest_silence else { return };
        let state = &mut self.evaluation.state;
        let known = state.devices.get(device).map(|known| known.at);
        // Also where the device is silent: what was measured within a quarter after `known` came before the silence, or is
        // such a reading once more.
        if known.is_some_and(|known| at.duration_since(known) < shortest / 4) {
            return;
        }
        let place = Place::of(reading);
        for rule in self.rules.rules.iter().filter(|rule| rule.kind == Kind::Silence) {
            let Some(Track::Silence(silence)) = self.evaluation.state.track(&rule.id, device).cloned() else {
                continue;
            };
            self.evaluation.state.set_track(&rule.id, device, None);
            if self.evaluation.state.blocks.over(&rule.id, device, at) {
                // Nobody has heard of it yet; it is said to be over where it is said.
                continue;
            }
            if let Some(effective) = rule.effective(&reading.source).filter(|effective| effective.resolved) {
                let alert = silence_alert(rule, &effective, &place, device, silence.since, silence.since);
                self.push(Message::Resolved { alert: Box::new(alert), at });
            }
        }
        self.evaluation.state.devices.insert(device.to_owned(), LastSeen { at, place });
    }

    pub(super) fn cleaned(&mut self, at: Timestamp) {
        self.end_block(at);
        if self.evaluation.state.cleaned.is_some_and(|cleaned| at <= cleaned) {
            return;
        }
        self.evaluation.state.cleaned = Some(at);
        let tracks = std::mem::take(&mut self.evaluation.state.tracks);
        for (rule, devices) in tracks {
            for (device, track) in devices {
                match track {
                    // What they count up to then is behind `cleaned`.
                    Track::Sum(sum) if sum.newest <= at => {}
                    Track::Tally(tally) => {
                        let tally = tally.after(at);
                        self.evaluation.state.set_track(&rule, &device, tally.map(Track::Tally));
                    }
                    Track::Level(level) if level.as_of() <= at => self.level_over(&rule, &device, level, at),
                    other => self.evaluation.state.set_track(&rule, &device, Some(other)),
                }
            }
        }
        let rules = self.rules;
        let counts = |alert: &Alert| {
            let rule = rules.rules.iter().find(|rule| rule.id == alert.rule);
            rule.is_some_and(|rule| matches!(rule.kind, Kind::Count | Kind::Reasons | Kind::Accumulate))
        };
        self.evaluation.state.blocks.cleaned(at, counts);
    }

    /// Ends a threshold's breach: where it was held back it is noted there, else it is said if that was asked for.
    fn level_over(&mut self, rule: &str, device: &str, level: Level, at: Timestamp) {
        let well = Track::Level(Level::Well { as_of: at });
        self.evaluation.state.set_track(rule, device, Some(well));
        let Level::Firing { alert, held, .. } = level else { return };
        // Also where a milder alert of the same breach is held back, and a more severe one was sent.
        self.evaluation.state.blocks.over(rule, device, at);
        if held {
            return;
        }
        let resolved = self.rules.rules.iter().find(|known| known.id == rule).is_some_and(|rule| {
            let effective = alert.as_deref().and_then(|alert| rule.effective(&alert.place.source()));
            effective.is_some_and(|effective| effective.resolved)
        });
        if let Some(alert) = alert.filter(|_| resolved) {
            self.push(Message::Resolved { alert, at });
        }
    }
}

/// One rule at one reading.
struct Step<'s, 'e, 'r> {
    zone: &'s mut Zone<'e>,
    rule: &'s Rule,
    effective: &'s Effective<'s>,
    reading: &'s Reading<'r>,
    device: &'s str,
    at: Timestamp,
}

impl Step<'_, '_, '_> {
    /// Whether the reading changed where the rule stands.
    fn run(mut self, raised: &mut Vec<Raised>) -> bool {
        match self.rule.kind {
            Kind::Threshold => self.level(raised),
            Kind::Count | Kind::Reasons => self.tally(raised),
            Kind::Accumulate => self.sum(raised),
            Kind::Silence => false,
        }
    }

    fn level(&mut self, raised: &mut Vec<Raised>) -> bool {
        let before = match self.zone.evaluation.state.track(&self.rule.id, self.device) {
            Some(Track::Level(level)) => Some(level.clone()),
            _ => None,
        };
        let verdict = judge(self.effective, self.reading);
        match level::step(before.as_ref(), &verdict, self.at, self.effective) {
            level::Step::Stay => false,
            level::Step::Wait { since } => {
                self.set(Track::Level(Level::Pending { since, as_of: self.at }));
                true
            }
            level::Step::Raise { since } => {
                let Verdict::Broken(severity, breaches) = verdict else { return false };
                let course = if since < self.at { Course::Lasting { since } } else { Course::AtOnce };
                let cause = Cause { severity, breaches, reasons: reasons(self.reading), course };
                let alert = self.raise(raised, cause);
                let remind = self.effective.reminder.and_then(|every| self.at.checked_add(every).ok());
                let kept = (self.effective.resolved || remind.is_some()).then(|| Box::new(alert));
                self.set(Track::Level(Level::Firing {
                    since,
                    as_of: self.at,
                    severity,
                    alert: kept,
                    remind,
                    held: false,
                }));
                true
            }
            level::Step::End => {
                if let Some(level) = before {
                    self.zone.level_over(&self.rule.id, self.device, level, self.at);
                }
                true
            }
        }
    }

    fn tally(&mut self, raised: &mut Vec<Raised>) -> bool {
        let Verdict::Broken(severity, breaches) = judge(self.effective, self.reading) else { return false };
        let mut reasons = if self.rule.kind == Kind::Reasons { reasons(self.reading) } else { Vec::new() };
        if reasons.is_empty() {
            // Counted as one of its own.
            reasons.push(String::new());
        }
        let mut tally = match self.zone.evaluation.state.track(&self.rule.id, self.device) {
            Some(Track::Tally(tally)) => tally.clone(),
            _ => Tally::default(),
        };
        let mut changed = false;
        let mut reached = Vec::new();
        for reason in reasons {
            let counted = tally::count(&mut tally, &reason, self.at, self.effective, self.zone.rules.max_age);
            changed |= counted.is_some();
            if counted == Some(true) {
                reached.push(reason);
            }
        }
        if changed {
            self.set(Track::Tally(tally));
        }
        if !reached.is_empty() {
            reached.retain(|reason| !reason.is_empty());
            let (count, within) = (self.effective.count, self.effective.within);
            let course = if count > 1 { Course::Times { count, within } } else { Course::AtOnce };
            self.raise(raised, Cause { severity, breaches, reasons: reached, course });
        }
        changed
    }

    fn sum(&mut self, raised: &mut Vec<Raised>) -> bool {
        let Some(value) = addend(self.effective, self.reading) else { return false };
        let before = match self.zone.evaluation.state.track(&self.rule.id, self.device) {
            Some(Track::Sum(sum)) => Some(*sum),
            _ => None,
        };
        let restart =
            self.effective.restart_at.and_then(|time| sum::last_time_of_day(self.at, time, &self.reading.local_zone()));
        let Some(mut sum) = sum::add(before, value, self.at, restart) else { return false };
        if let Some((severity, breach)) = judge_total(self.effective, self.reading, sum.total) {
            let rest = if self.effective.carry { breach.value - breach.limit } else { 0.0 };
            let since = sum.since.unwrap_or(self.at);
            sum = sum::restarted(self.at, rest);
            let course = if since < self.at { Course::Sum { since } } else { Course::AtOnce };
            self.raise(raised, Cause { severity, breaches: vec![breach], reasons: Vec::new(), course });
        }
        self.set(Track::Sum(sum));
        true
    }

    fn set(&mut self, track: Track) {
        self.zone.evaluation.state.set_track(&self.rule.id, self.device, Some(track));
    }

    fn raise(&self, raised: &mut Vec<Raised>, cause: Cause) -> Alert {
        let alert = Alert {
            id: AlertId::of(&self.rule.id, self.reading),
            rule: self.rule.id.clone(),
            title: self.rule.title.clone(),
            template: self.rule.template.clone(),
            severity: cause.severity,
            breaches: cause.breaches,
            course: cause.course,
            reasons: cause.reasons,
            at: self.at,
            reading: self.reading.id(),
            place: Place::of(self.reading),
        };
        raised.push(Raised { alert: alert.clone(), block: self.effective.block });
        alert
    }
}

fn reasons(reading: &Reading<'_>) -> Vec<String> {
    reading.reasons().iter().filter_map(|reason| presentable(reason)).collect()
}

/// The alert that nothing came from a device since `since`.
pub(super) fn silence_alert(
    rule: &Rule,
    effective: &Effective<'_>,
    place: &Place,
    device: &str,
    since: Timestamp,
    at: Timestamp,
) -> Alert {
    let id = AlertId::of_silence(&rule.id, device, since);
    Alert {
        id,
        rule: rule.id.clone(),
        title: rule.title.clone(),
        template: rule.template.clone(),
        severity: effective.severity,
        breaches: Vec::new(),
        course: Course::Silence { since },
        reasons: Vec::new(),
        at,
        reading: id.digest(),
        place: place.clone(),
    }
}
