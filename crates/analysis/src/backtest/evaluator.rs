//! Evaluates a zone by a set of rules: its pushes in the order of their receipt, with the sweeps between them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};

use super::arrivals::Arrivals;
use super::device::ZoneDevices;
use super::findings::{AlertFact, RuleResults};
use super::trial_rules::TrialRules;
use domain::alert::life::AlertLife;
use domain::alert::{Alert, AlertId, Message, SuppressionReason};
use domain::engine::{Evaluation, evaluate, next_due, respond, sweep};
use domain::reading::Reading;
use domain::response::{ReceivedResponse, Response};
use domain::rules::{Blocked, Rule, RuleSet};
use domain::state::{Facts, RuleState, ThresholdState, ZoneState};
use history::record_life;

/// The part of a push that is about a zone.
#[derive(Debug)]
pub(super) struct ZonePush<'t> {
    /// First receipt of the push.
    pub(super) received: Timestamp,
    /// What people did in the zone.
    pub(super) responses: Vec<&'t Response>,
    /// Readings from the zone, in the order of the push.
    pub(super) readings: Vec<&'t Reading<'t>>,
}

impl ZonePush<'_> {
    pub(super) fn new(received: Timestamp) -> Self {
        Self { received, responses: Vec::new(), readings: Vec::new() }
    }
}

/// The evaluation of a zone by a set of rules.
#[derive(Debug)]
pub(super) struct HistoryEvaluator<'r> {
    rules: &'r TrialRules<'r>,
    pub(super) state: ZoneState,
    /// Whether the zone had a reading. A response does not make a zone known.
    is_known: bool,
    /// The first minute whose sweep has not run.
    next_sweep: Timestamp,
    /// The results so far. Devices of alerts are indices of the zone's devices.
    pub(super) results: RuleResults,
    /// The lives of alerts so far.
    pub(super) lives: BTreeMap<AlertId, AlertLife>,
    /// The responses so far.
    pub(super) responses: BTreeSet<ReceivedResponse>,
    /// The alerts in the results. One that is sent to several audiences at different times counts as sent first.
    sent: HashSet<AlertId>,
    /// Indices of alerts that last.
    open: Vec<usize>,
    /// Sent alerts of accumulators and counters, each with the start of what they counted. A cleaning from then on would have
    /// avoided the alert.
    sums: Vec<(usize, Timestamp)>,
}

impl<'r> HistoryEvaluator<'r> {
    pub(super) fn new(rules: &'r TrialRules<'r>) -> Self {
        Self {
            rules,
            state: ZoneState::default(),
            is_known: false,
            next_sweep: Timestamp::MIN,
            results: RuleResults::default(),
            lives: BTreeMap::new(),
            responses: BTreeSet::new(),
            sent: HashSet::new(),
            open: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// Evaluates a push: the sweeps before it, its responses, then its readings. `readings` are those that a rule applies to.
    pub(super) fn evaluate(
        &mut self,
        push: &ZonePush<'_>,
        readings: &[&Reading<'_>],
        arrivals: &Arrivals,
        devices: &ZoneDevices,
    ) {
        let received = push.received;
        self.sweep_until(received, arrivals, devices);
        // The readings of the same push make a zone known before the responses.
        if !push.responses.is_empty() && (self.is_known || !push.readings.is_empty()) {
            self.is_known = true;
            self.commit(devices, |rules, state| respond(rules, state, &push.responses, received, received));
        }
        if !readings.is_empty() {
            self.is_known = true;
            self.commit(devices, |rules, state| evaluate(rules, state, readings, received, received));
        }
        self.update_open(received, devices);
    }

    /// Marks alerts as avoidable that a cleaning, which ended at `at` and is reported only now, would have avoided.
    pub(super) fn cleaned(&mut self, at: Timestamp) {
        let alerts = &mut self.results.alerts;
        // Cleanings that count are in order of time: alerts before this one are before all that follow.
        self.sums.retain(|(index, from)| {
            let alert = &mut alerts[*index];
            alert.avoidable = (*from..=alert.at).contains(&at);
            alert.at > at && !alert.avoidable
        });
    }

    /// Ends the history, whose last reading is of `last`. Sends suppressed alerts; alerts that last end at `last`.
    pub(super) fn end(&mut self, last: Timestamp, devices: &ZoneDevices) {
        // Before the suppressed alerts, which are sent after the end: an open life stays open.
        self.take_facts();
        for life in self.state.lives.open() {
            record_life(&mut self.lives, life.clone());
        }
        let mut now = Timestamp::MIN;
        while let Some(due) = self.state.suppressed.due().filter(|due| *due > now) {
            now = next_minute(due).max(self.next_sweep);
            self.commit(devices, |rules, state| sweep(rules, state, now, false));
        }
        for index in std::mem::take(&mut self.open) {
            let alert = &mut self.results.alerts[index];
            alert.ended = alert.ended.max(last);
        }
    }

    /// Runs the sweeps of the minutes up to `until` that have not run and are due.
    pub(super) fn sweep_until(&mut self, until: Timestamp, arrivals: &Arrivals, devices: &ZoneDevices) {
        let TrialRules { rules, without_silences, .. } = self.rules;
        let mut earliest = self.next_sweep;
        while let Some(due) = next_due(rules, &self.state) {
            let now = next_minute(due).max(earliest);
            if now > until {
                break;
            }
            let is_quiet = arrivals.is_quiet(now, rules.quiet_after);
            self.commit(devices, |rules, state| sweep(rules, state, now, !is_quiet));
            self.take_facts();
            earliest = minute_after(now);
            if is_quiet {
                // No-data alerts wait until something arrives.
                let other = next_due(without_silences, &self.state);
                let Some(next) = other.into_iter().chain(arrivals.next(now)).min() else { break };
                earliest = earliest.max(next_minute(next));
            }
        }
        self.next_sweep = self.next_sweep.max(minute_after(until));
    }

    /// Takes what a live sweep archives.
    fn take_facts(&mut self) {
        let Facts { alerts, responses } = self.state.lives.take_facts();
        alerts.into_iter().for_each(|life| record_life(&mut self.lives, life));
        self.responses.extend(responses);
    }

    /// Changes the state by `change`, and stores the alerts of its messages.
    fn commit(&mut self, devices: &ZoneDevices, change: impl FnOnce(&RuleSet, ZoneState) -> Evaluation) {
        let evaluation = change(self.rules.rules, std::mem::take(&mut self.state));
        self.state = evaluation.state;
        self.results.messages += evaluation.messages.len() as u64;
        if self.rules.rules.blocked == Blocked::Counted {
            self.results.counted += evaluation.stats.blocked as u64;
        }
        for entry in &evaluation.messages {
            match &entry.message {
                Message::Firing { alerts, .. } => {
                    alerts.iter().for_each(|alert| self.raise(alert, false, None, devices));
                }
                Message::Suppressed { reason, alerts, more } => {
                    let blocked = *reason == SuppressionReason::Block;
                    alerts.iter().for_each(|known| self.raise(&known.alert, blocked, known.resolved_at, devices));
                    self.results.counted += *more as u64;
                }
                Message::Escalated { .. }
                | Message::Resolved { .. }
                | Message::Reminder { .. }
                | Message::Notice(_) => {}
            }
        }
    }

    /// Stores an alert that is sent now. `ended` is `None` if it lasts.
    fn raise(&mut self, alert: &Alert, blocked: bool, ended: Option<Timestamp>, devices: &ZoneDevices) {
        let Some(device) = devices.index_of_alert(alert).filter(|_| self.sent.insert(alert.id)) else { return };
        let (index, rule) = (self.results.alerts.len(), Arc::<str>::from(alert.rule.as_str()));
        let rule_of = self.rules.rules.rule(&alert.rule);
        let is_momentary = rule_of.is_some_and(|rule| !rule.kind.lasts());
        if is_momentary && !blocked && rule_of.is_some_and(Rule::is_answerable) {
            self.sums.push((index, alert.trigger.since().unwrap_or(alert.at)));
        } else if !is_momentary && ended.is_none() {
            self.open.push(index);
        }
        self.results.alerts.push(AlertFact {
            id: alert.id,
            rule,
            title: alert.title.as_str().into(),
            severity: alert.severity,
            device,
            at: alert.at,
            ended: ended.unwrap_or(alert.at),
            breach: alert.breaches.first().cloned(),
            blocked,
            avoidable: false,
        });
    }

    /// Ends alerts that do not last any more.
    fn update_open(&mut self, now: Timestamp, devices: &ZoneDevices) {
        let mut open = std::mem::take(&mut self.open);
        open.retain(|index| {
            let AlertFact { rule, device, at, .. } = &self.results.alerts[*index];
            let ended = self.ended(rule, &devices.all[*device].id, *at, now);
            let alert = &mut self.results.alerts[*index];
            alert.ended = ended.map_or(alert.ended, |ended| ended.max(alert.at));
            ended.is_none()
        });
        self.open = open;
    }

    /// When the alert ended that `rule` raised for `device` at `raised`; `None` if it lasts. The zone has changed at `now`.
    fn ended(&self, rule: &str, device: &str, raised: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self.state.rule_state(rule, device) {
            Some(RuleState::NoData(_)) => None,
            Some(RuleState::Threshold(ThresholdState::Firing { since, .. })) if *since <= raised => None,
            // The state has only the start of the next breach.
            Some(RuleState::Threshold(
                ThresholdState::Firing { since, .. } | ThresholdState::Pending { since, .. },
            )) => Some(*since),
            Some(RuleState::Threshold(ThresholdState::Resolved { as_of, .. })) => Some(*as_of),
            _ => Some(self.state.devices.get(device).map_or(now, |known| known.at)),
        }
    }
}

/// The first whole minute from `at` on.
fn next_minute(at: Timestamp) -> Timestamp {
    let up = TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Ceil);
    at.round(up).unwrap_or(at)
}

/// The first whole minute after `at`.
fn minute_after(at: Timestamp) -> Timestamp {
    at.checked_add(SignedDuration::from_nanos(1)).map_or(at, next_minute)
}
