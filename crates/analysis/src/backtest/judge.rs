//! One set of rules in one zone: pushes as they were received, between them the sweeps that came, and the alerts that people
//! were told of.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};

use super::arrivals::Arrivals;
use super::findings::AlertFact;
use super::zone::{Devices, Visit};
use domain::alert::{Alert, Message, SuppressionReason, Trigger};
use domain::engine::{self, Evaluation, evaluate, next_due, sweep};
use domain::reading::{Reading, Source};
use domain::rules::{Blocked, Kind, RuleSet};
use domain::state::{RuleState, ThresholdState, ZoneState};

/// Sweeps come every minute, at its first moment.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// A set of rules that history is judged by.
#[derive(Debug)]
pub(super) struct TriedRules<'r> {
    /// What they are called.
    pub(super) name: &'r str,
    pub(super) rules: &'r RuleSet,
    /// What is left of them while nothing arrives from anywhere.
    without_silences: RuleSet,
}

impl<'r> TriedRules<'r> {
    pub(super) fn of((name, rules): &'r (String, RuleSet)) -> Self {
        let mut without_silences = rules.clone();
        without_silences.rules.retain(|rule| rule.kind != Kind::Silence);
        Self { name, rules, without_silences }
    }

    /// Whether any rule is about what comes from `source`.
    pub(super) fn are_about(&self, source: &Source<'_>) -> bool {
        self.rules.rules.iter().any(|rule| rule.effective(source).is_some())
    }
}

/// One set of rules in one zone.
#[derive(Debug)]
pub(super) struct Judge<'r> {
    rules: &'r TriedRules<'r>,
    state: ZoneState,
    /// Whether a cleaning finds the zone: it is known by its readings.
    is_known: bool,
    /// Alerts that people were told of, by their device's place in the zone.
    pub(super) alerts: Vec<AlertFact>,
    /// Alerts that were only counted.
    pub(super) counted: u64,
    pub(super) messages: u64,
    /// Alerts that last, by device.
    open: HashMap<usize, Vec<usize>>,
    /// Sums and counts that were sent: the alert, and the first end of a cleaning that takes something away from it.
    sums: Vec<(usize, Timestamp)>,
    /// When the last sum or count was, by rule and device.
    last_sum: HashMap<(Arc<str>, usize), Timestamp>,
}

impl<'r> Judge<'r> {
    pub(super) fn new(rules: &'r TriedRules<'r>) -> Self {
        Self {
            rules,
            state: ZoneState::default(),
            is_known: false,
            alerts: Vec::new(),
            counted: 0,
            messages: 0,
            open: HashMap::new(),
            sums: Vec::new(),
            last_sum: HashMap::new(),
        }
    }

    /// Does what was done when the push came: the sweeps before it, its cleanings, then its readings. `readings` are those
    /// that a rule is about, `seen` the devices of all.
    pub(super) fn take(
        &mut self,
        visit: &Visit<'_>,
        readings: &[&Reading<'_>],
        seen: &[usize],
        arrivals: &Arrivals,
        devices: &Devices<'_>,
    ) {
        let received = visit.received;
        self.sweep_until(received, arrivals, devices);
        // A cleaning also finds a zone that its own push makes known, whatever the readings are about. The last one says what
        // those before it say.
        if let Some(at) = visit.cleanings.iter().max().filter(|_| self.is_known || !visit.readings.is_empty()) {
            self.is_known = true;
            let evaluation = engine::clean(self.rules.rules, std::mem::take(&mut self.state), *at, received);
            self.commit(evaluation, devices);
        }
        if !readings.is_empty() {
            self.is_known = true;
            let evaluation = evaluate(self.rules.rules, std::mem::take(&mut self.state), readings, received, received);
            self.commit(evaluation, devices);
        }
        if visit.cleanings.is_empty() {
            self.note_what_is_over(seen, received, devices);
        } else {
            let all: Vec<usize> = self.open.keys().copied().collect();
            self.note_what_is_over(&all, received, devices);
        }
    }

    /// Notes that a push brought a cleaning that ended at `at`: too late for what was sent before.
    pub(super) fn cleaned(&mut self, at: Timestamp) {
        let alerts = &mut self.alerts;
        // A zone's cleanings come in order of time, or change nothing: what is before this one is before all that follow.
        self.sums.retain(|(index, from)| {
            let alert = &mut alerts[*index];
            alert.avoidable = (*from..=alert.at).contains(&at);
            alert.at > at && !alert.avoidable
        });
    }

    /// Ends with the history, whose last reading is of `last`. What is still suppressed is told; what a block suppresses can
    /// have to wait for active hours then. What is not over lasted as long as the history.
    pub(super) fn end(&mut self, last: Timestamp, devices: &Devices<'_>) {
        let mut now = Timestamp::MIN;
        while let Some(until) = self.state.suppressed.due().filter(|until| *until > now) {
            now = next_minute(until);
            let evaluation = sweep(self.rules.rules, std::mem::take(&mut self.state), now, false);
            self.commit(evaluation, devices);
        }
        for index in std::mem::take(&mut self.open).into_values().flatten() {
            let alert = &mut self.alerts[index];
            alert.over = alert.over.max(last);
        }
    }

    /// Does what is due at the whole minutes up to `until`.
    fn sweep_until(&mut self, until: Timestamp, arrivals: &Arrivals, devices: &Devices<'_>) {
        let TriedRules { rules, without_silences, .. } = self.rules;
        let mut earliest = Timestamp::MIN;
        while let Some(due) = next_due(rules, &self.state) {
            let now = next_minute(due).max(earliest);
            if now > until {
                return;
            }
            let is_quiet = arrivals.is_quiet(now, rules.quiet_after);
            let evaluation = sweep(rules, std::mem::take(&mut self.state), now, !is_quiet);
            self.commit(evaluation, devices);
            earliest = now.checked_add(SWEEP_EVERY).unwrap_or(Timestamp::MAX);
            if is_quiet {
                // Silences wait until something arrives. All else comes at its own time.
                let other = next_due(without_silences, &self.state);
                let Some(next) = other.into_iter().chain(arrivals.next(now)).min() else { return };
                earliest = earliest.max(next_minute(next));
            }
        }
    }

    /// Takes over the state, and notes what its messages tell.
    fn commit(&mut self, evaluation: Evaluation, devices: &Devices<'_>) {
        self.state = evaluation.state;
        self.messages += evaluation.messages.len() as u64;
        if self.rules.rules.blocked == Blocked::Counted {
            self.counted += evaluation.stats.blocked as u64;
        }
        for entry in &evaluation.messages {
            match &entry.message {
                Message::Firing { alerts, .. } => {
                    alerts.iter().for_each(|alert| self.raise(alert, false, None, devices));
                }
                Message::Suppressed { reason, alerts, more } => {
                    let blocked = *reason == SuppressionReason::Block;
                    alerts.iter().for_each(|known| self.raise(&known.alert, blocked, known.resolved_at, devices));
                    self.counted += *more as u64;
                }
                Message::Resolved { .. } | Message::Reminder { .. } | Message::Notice(_) => {}
            }
        }
    }

    /// Notes an alert that people are told of now: whether a block suppressed it before, and when it was over if it is.
    fn raise(&mut self, alert: &Alert, blocked: bool, over: Option<Timestamp>, devices: &Devices<'_>) {
        let Some(device) = devices.of(alert) else { return };
        let (index, rule) = (self.alerts.len(), Arc::<str>::from(alert.rule.as_str()));
        match self.rules.rules.rule(&alert.rule) {
            Some(raised_by) if !raised_by.kind.lasts() => {
                let from = match alert.trigger {
                    Trigger::Accumulated { since } => since,
                    Trigger::Immediate => alert.at,
                    _ => Timestamp::MIN,
                };
                let last = self.last_sum.insert((Arc::clone(&rule), device), alert.at);
                let after = last.and_then(|last| last.checked_add(SignedDuration::from_nanos(1)).ok());
                if !blocked {
                    self.sums.push((index, after.map_or(from, |after| after.max(from))));
                }
            }
            _ if over.is_none() => {
                self.open.entry(device).or_default().push(index);
            }
            _ => {}
        }
        self.alerts.push(AlertFact {
            id: alert.id,
            rule,
            severity: alert.severity,
            device,
            at: alert.at,
            over: over.unwrap_or(alert.at),
            breach: alert.breaches.first().cloned(),
            blocked,
            avoidable: false,
        });
    }

    /// Notes which alerts of these devices are over, now that a push was taken.
    fn note_what_is_over(&mut self, seen: &[usize], now: Timestamp, devices: &Devices<'_>) {
        for device in seen {
            let Some(mut open) = self.open.remove(device) else { continue };
            open.retain(|index| {
                let AlertFact { rule, at, .. } = &self.alerts[*index];
                let over = self.over(rule, devices.id(*device), *at, now);
                let alert = &mut self.alerts[*index];
                alert.over = over.map_or(alert.over, |over| over.max(alert.at));
                over.is_none()
            });
            if !open.is_empty() {
                self.open.insert(*device, open);
            }
        }
    }

    /// When it was over what `rule` raised for `device` at `raised`; `None` while it lasts. Something came from the device at
    /// `now`, or its zone was cleaned.
    fn over(&self, rule: &str, device: &str, raised: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self.state.rule_state(rule, device) {
            Some(RuleState::NoData(_)) => None,
            Some(RuleState::Threshold(ThresholdState::Firing { since, .. })) if *since <= raised => None,
            // Of the breach after it only the beginning is known.
            Some(RuleState::Threshold(
                ThresholdState::Firing { since, .. } | ThresholdState::Pending { since, .. },
            )) => Some(*since),
            Some(RuleState::Threshold(ThresholdState::Resolved { as_of })) => Some(*as_of),
            _ => Some(self.state.devices.get(device).map_or(now, |known| known.at)),
        }
    }
}

/// The first whole minute from `at` on.
fn next_minute(at: Timestamp) -> Timestamp {
    let up = TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Ceil);
    at.round(up).unwrap_or(at)
}
