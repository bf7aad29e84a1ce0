//! One zone while its readings are taken one by one.

use jiff::Timestamp;

use super::judge::{Verdict, addend, judge, judge_total};
use super::policy::Policy;
use super::suppression::{Raised, effective_at};
use super::sweep::REMINDED_WITHOUT_READING;
use super::{Evaluation, level, occurrences, restart};
use crate::alert::{Alert, AlertId, Trigger};
use crate::breach::Breach;
use crate::display::presentable;
use crate::location::Location;
use crate::reading::{Reading, ReadingId};
use crate::rules::{Kind, Rule, RuleSet, Settings};
use crate::severity::Severity;
use crate::state::{Accumulator, LastSeen, OccurrenceCounter, RuleState, ThresholdState};

/// One zone while its readings are taken one by one.
pub(super) struct Zone<'e> {
    pub(super) rules: &'e RuleSet,
    pub(super) evaluation: &'e mut Evaluation,
    pub(super) now: Timestamp,
}

/// What is about to be raised.
struct Cause {
    severity: Severity,
    breaches: Vec<Breach>,
    reasons: Vec<String>,
    trigger: Trigger,
}

impl<'e> Zone<'e> {
    pub(super) fn new(rules: &'e RuleSet, evaluation: &'e mut Evaluation, now: Timestamp) -> Self {
        Self { rules, evaluation, now }
    }

    /// Takes a reading that is neither known nor late, at its event time. `policy` is what the rules say for its source.
    pub(super) fn take(&mut self, reading: &Reading<'_>, at: Timestamp, policy: &Policy<'_>) {
        self.release(at);
        let device = reading.source.device.as_deref().unwrap_or_default();
        let mut changed = false;
        let mut raised = Vec::new();
        if self.evaluation.state.cleaned.is_none_or(|cleaned| at > cleaned) {
            for (rule, effective) in &policy.rules {
                let step = Step { zone: self, rule, effective, reading, device, at };
                changed |= step.run(&mut raised);
            }
        }
        // What is not judged by its own time would be judged by another one when it is repeated.
        if changed || reading.time != Some(at) {
            self.evaluation.state.dedup_window.insert(at, &reading.id());
        }
        self.heard_of(reading, device, at, policy);
        if !raised.is_empty() {
            self.enqueue(raised, device);
        }
    }

    /// Notes when a device was heard of, where a reminder or a silence rule wants to know, and that its silence is over.
    fn heard_of(&mut self, reading: &Reading<'_>, device: &str, at: Timestamp, policy: &Policy<'_>) {
        let state = &mut self.evaluation.state;
        let kept_for = policy.shortest_silence.unwrap_or(REMINDED_WITHOUT_READING) / 4;
        for (rule, _) in policy.rules.iter().filter(|(_, effective)| effective.reminder.is_some()) {
            if let Some(RuleState::Threshold(ThresholdState::Firing { heard: Some(heard), .. })) =
                state.rule_state_mut(&rule.id, device)
                && at.duration_since(*heard) >= kept_for
            {
                *heard = at;
            }
        }
        let Some(shortest) = policy.shortest_silence else { return };
        let known = state.devices.get(device).map(|known| known.at);
        // Also where the device is silent: what was measured within a quarter after `known` came before the silence, or is
        // such a reading once more.
        if known.is_some_and(|known| at.duration_since(known) < shortest / 4) {
            return;
        }
        let location = Location::of(reading);
        for rule in self.rules.silences() {
            let Some(&RuleState::NoData(silence)) = self.evaluation.state.rule_state(&rule.id, device) else {
                continue;
            };
            self.evaluation.state.set_rule_state(&rule.id, device, None);
            // Where it is listed, the list says that it is over.
            if self.evaluation.state.suppressed.over(&rule.id, device, at, false) || silence.suppressed {
                continue;
            }
            if let Some(effective) = rule.effective(&reading.source).filter(|effective| effective.resolved) {
                let alert = silence_alert(rule, &effective, &location, device, silence.since, silence.since);
                self.resolve(&effective, Box::new(alert), device, at);
            }
        }
        self.evaluation.state.devices.insert(device.to_owned(), LastSeen { at, location });
    }

    pub(super) fn cleaned(&mut self, at: Timestamp) {
        self.release(at);
        if self.evaluation.state.cleaned.is_some_and(|cleaned| at <= cleaned) {
            return;
        }
        self.evaluation.state.cleaned = Some(at);
        let rule_states = std::mem::take(&mut self.evaluation.state.rule_states);
        for (rule, devices) in rule_states {
            for (device, rule_state) in devices {
                match rule_state {
                    RuleState::Accumulator(sum) => {
                        let sum = sum.after(at);
                        self.evaluation.state.set_rule_state(&rule, &device, sum.map(RuleState::Accumulator));
                    }
                    RuleState::Occurrences(occurrences) => {
                        let occurrences = occurrences.after(at);
                        self.evaluation.state.set_rule_state(&rule, &device, occurrences.map(RuleState::Occurrences));
                    }
                    RuleState::Threshold(level) if level.as_of() <= at => self.level_over(&rule, &device, level, at),
                    other => self.evaluation.state.set_rule_state(&rule, &device, Some(other)),
                }
            }
        }
        let rules = self.rules;
        let counts = |alert: &Alert| rules.rule(&alert.rule).is_some_and(|rule| !rule.kind.lasts());
        self.evaluation.state.suppressed.cleaned(at, counts);
    }

    /// Ends a threshold's breach. People who were told of it are told that it is over, by a list that names it or by a
    /// resolved notice.
    fn level_over(&mut self, rule: &str, device: &str, level: ThresholdState, at: Timestamp) {
        let well = RuleState::Threshold(ThresholdState::Resolved { as_of: at });
        self.evaluation.state.set_rule_state(rule, device, Some(well));
        let ThresholdState::Firing { announced, .. } = level else { return };
        let is_listed = self.evaluation.state.suppressed.over(rule, device, at, announced.is_some());
        let Some(alert) = announced.filter(|_| !is_listed) else { return };
        if let Some(effective) = effective_at(self.rules, &alert) {
            self.resolve(&effective, alert, device, at);
        }
    }
}

/// One rule at one reading.
struct Step<'s, 'e, 'p, 'r> {
    zone: &'s mut Zone<'e>,
    rule: &'p Rule,
    effective: &'p Settings,
    reading: &'s Reading<'r>,
    device: &'s str,
    at: Timestamp,
}

impl<'p> Step<'_, '_, 'p, '_> {
    /// Whether the reading changed where the rule stands.
    fn run(mut self, raised: &mut Vec<Raised<'p>>) -> bool {
        match self.rule.kind {
            Kind::Threshold => self.level(raised),
            Kind::Count | Kind::Reasons => self.occurrences(raised),
            Kind::Accumulate => self.sum(raised),
            Kind::Silence => false,
        }
    }

    fn level(&mut self, raised: &mut Vec<Raised<'p>>) -> bool {
        let before = match self.zone.evaluation.state.rule_state(&self.rule.id, self.device) {
            Some(RuleState::Threshold(level)) => Some(level),
            _ => None,
        };
        let verdict = judge(self.effective, self.reading);
        match level::transition(before, &verdict, self.at, self.effective) {
            level::Transition::Stay => false,
            level::Transition::Wait { since } => {
                self.set(RuleState::Threshold(ThresholdState::Pending { since, as_of: self.at }));
                true
            }
            level::Transition::Raise { since } => {
                let Verdict::Broken(severity, breaches) = verdict else { return false };
                let trigger = if since < self.at { Trigger::Sustained { since } } else { Trigger::Immediate };
                self.raise(raised, Cause { severity, breaches, reasons: reasons(self.reading), trigger });
                let announced = match self.zone.evaluation.state.rule_state_mut(&self.rule.id, self.device) {
                    Some(RuleState::Threshold(ThresholdState::Firing { announced, .. })) => announced.take(),
                    _ => None,
                };
                self.set(RuleState::Threshold(ThresholdState::Firing {
                    since,
                    as_of: self.at,
                    severity,
                    announced,
                    remind: None,
                    heard: self.effective.reminder.map(|_| self.at),
                    suppressed: true,
                }));
                true
            }
            level::Transition::End => {
                if let Some(level) = before.cloned() {
                    self.zone.level_over(&self.rule.id, self.device, level, self.at);
                }
                true
            }
        }
    }

    fn occurrences(&mut self, raised: &mut Vec<Raised<'p>>) -> bool {
        let Verdict::Broken(severity, breaches) = judge(self.effective, self.reading) else { return false };
        let mut reasons = if self.rule.kind == Kind::Reasons { reasons(self.reading) } else { Vec::new() };
        if reasons.is_empty() {
            // Counted as one of its own.
            reasons.push(String::new());
        }
        let mut occurrences = match self.zone.evaluation.state.rule_state(&self.rule.id, self.device) {
            Some(RuleState::Occurrences(occurrences)) => occurrences.clone(),
            _ => OccurrenceCounter::default(),
        };
        let mut changed = false;
        let mut reached = Vec::new();
        for reason in reasons {
            let counted =
                occurrences::count(&mut occurrences, &reason, self.at, self.effective, self.zone.rules.max_age);
            changed |= counted.is_some();
            if counted == Some(true) {
                reached.push(reason);
            }
        }
        if changed {
            self.set(RuleState::Occurrences(occurrences));
        }
        if !reached.is_empty() {
            reached.retain(|reason| !reason.is_empty());
            let (count, within) = (self.effective.count, self.effective.within);
            let trigger = if count > 1 { Trigger::Repeated { count, within } } else { Trigger::Immediate };
            self.raise(raised, Cause { severity, breaches, reasons: reached, trigger });
        }
        changed
    }

    fn sum(&mut self, raised: &mut Vec<Raised<'p>>) -> bool {
        let Some(value) = addend(self.effective, self.reading) else { return false };
        let restart = self
            .effective
            .restart_at
            .and_then(|time| restart::last_time_of_day(self.at, time, &self.reading.local_zone()));
        if self.accumulator().is_none() {
            self.set(RuleState::Accumulator(Accumulator::default()));
        }
        let (at, effective, reading) = (self.at, self.effective, self.reading);
        let Some(sum) = self.accumulator() else { return false };
        if !sum.add(value, at, restart) {
            return false;
        }
        let Some((severity, breach)) = judge_total(effective, reading, sum.total()) else { return true };
        let since = sum.since().unwrap_or(at);
        sum.restart(at, if effective.carry { breach.value - breach.limit } else { 0.0 });
        let trigger = if since < at { Trigger::Accumulated { since } } else { Trigger::Immediate };
        self.raise(raised, Cause { severity, breaches: vec![breach], reasons: Vec::new(), trigger });
        true
    }

    fn accumulator(&mut self) -> Option<&mut Accumulator> {
        match self.zone.evaluation.state.rule_state_mut(&self.rule.id, self.device) {
            Some(RuleState::Accumulator(sum)) => Some(sum),
            _ => None,
        }
    }

    fn set(&mut self, rule_state: RuleState) {
        self.zone.evaluation.state.set_rule_state(&self.rule.id, self.device, Some(rule_state));
    }

    fn raise(&self, raised: &mut Vec<Raised<'p>>, cause: Cause) {
        let id = AlertId::of(&self.rule.id, self.reading);
        let alert = alert(self.rule, id, self.reading.id(), cause, self.at, Location::of(self.reading));
        raised.push(Raised { alert, kind: self.rule.kind, effective: self.effective });
    }
}

fn reasons(reading: &Reading<'_>) -> Vec<String> {
    reading.reasons().iter().filter_map(|reason| presentable(reason)).collect()
}

/// The alert that nothing came from a device since `since`.
pub(super) fn silence_alert(
    rule: &Rule,
    effective: &Settings,
    location: &Location,
    device: &str,
    since: Timestamp,
    at: Timestamp,
) -> Alert {
    let id = AlertId::of_silence(&rule.id, device, since);
    let trigger = Trigger::NoData { since };
    let cause = Cause { severity: effective.severity, breaches: Vec::new(), reasons: Vec::new(), trigger };
    alert(rule, id, id.digest(), cause, at, location.clone())
}

fn alert(rule: &Rule, id: AlertId, reading: ReadingId, cause: Cause, at: Timestamp, location: Location) -> Alert {
    let Cause { severity, breaches, reasons, trigger } = cause;
    let (title, template) = (rule.title.clone(), rule.template.clone());
    Alert { id, rule: rule.id.clone(), title, template, severity, breaches, trigger, reasons, at, reading, location }
}
