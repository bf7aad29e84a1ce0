//! Applies readings and cleanings to the state of one zone, one at a time.

use jiff::Timestamp;

use super::condition::{ConditionResult, addend, breach_of_total, evaluate_condition};
use super::counts_at;
use super::evaluation::ZoneEvaluator;
use super::occurrences::{self, Counted};
use super::policy::{Policy, REMINDED_WITHOUT_READING};
use super::suppression::{RaisedAlert, settings_at};
use super::threshold::{Transition, transition};
use crate::alert::life::AlertLife;
use crate::alert::{Alert, AlertId, Trigger};
use crate::breach::Breach;
use crate::display::presentable;
use crate::location::Location;
use crate::reading::{Reading, ReadingId};
use crate::response::{ReceivedResponse, Response};
use crate::rules::{Kind, Rule, Settings};
use crate::severity::Severity;
use crate::state::{Accumulator, LastSeen, OccurrenceCounter, RuleState, ThresholdState};

impl ZoneEvaluator<'_> {
    /// Evaluates a reading that is neither a duplicate nor late. `at` is its event time; `policy` contains the rules for its
    /// source.
    pub(super) fn evaluate(&mut self, reading: &Reading<'_>, at: Timestamp, policy: &Policy<'_>) {
        self.release(at);
        let device = reading.source.device.as_deref().unwrap_or_default();
        let mut is_changed = false;
        let mut raised = Vec::new();
        // A cleaning ends what was measured before it, also if the reading arrives later.
        let is_cleaned = self.evaluation.state.cleaned.is_some_and(|cleaned| at <= cleaned);
        for (rule, settings) in policy.rules.iter().filter(|(rule, _)| !(is_cleaned && rule.is_answerable())) {
            let evaluation = RuleEvaluation { zone: self, rule, settings, reading, device, at };
            is_changed |= evaluation.run(&mut raised);
        }
        // A reading that changed nothing needs no record, because a repeat changes nothing either. This is not so without a
        // usable time: the reading counts at its receipt, and a repeat would count at another one.
        if is_changed || reading.time != Some(at) {
            self.evaluation.state.dedup_window.insert(at, &reading.id());
        }
        self.record_last_seen(reading, device, at, policy);
        if !raised.is_empty() {
            self.enqueue_alerts(raised, device);
        }
    }

    /// Records when a device last sent something, if a reminder or a silence rule needs it, and ends its no-data alerts.
    fn record_last_seen(&mut self, reading: &Reading<'_>, device: &str, at: Timestamp, policy: &Policy<'_>) {
        let state = &mut self.evaluation.state;
        // To save writes, the time is updated only after a quarter of the shortest silence.
        let min_interval = policy.shortest_silence.unwrap_or(REMINDED_WITHOUT_READING) / 4;
        for (rule, _) in policy.rules.iter().filter(|(_, settings)| settings.reminder.is_some()) {
            if let Some(RuleState::Threshold(ThresholdState::Firing { heard: Some(heard), .. })) =
                state.rule_state_mut(&rule.id, device)
                && at.duration_since(*heard) >= min_interval
            {
                *heard = at;
            }
        }
        let Some(shortest) = policy.shortest_silence else { return };
        // A reading so soon after the last one does not end a no-data alert: it was measured before the silence began.
        if state.devices.get(device).is_some_and(|last| at.duration_since(last.at) < shortest / 4) {
            return;
        }
        let location = self.location(reading);
        for rule in self.rules.silences() {
            let Some(&RuleState::NoData(no_data)) = self.evaluation.state.rule_state(&rule.id, device) else {
                continue;
            };
            self.evaluation.state.remove_rule_state(&rule.id, device);
            self.evaluation.state.lives.resolve(&rule.id, device, at, false);
            // No resolved notice is due if people got no alert, or if a list of suppressed alerts reports both.
            let is_listed = self.evaluation.state.suppressed.resolve(&rule.id, device, at, false);
            if is_listed || no_data.suppressed {
                continue;
            }
            if let Some(settings) = rule.effective(&reading.source) {
                let alert = no_data_alert(rule, &settings, &location, device, no_data.since, no_data.since);
                self.enqueue_resolved(&settings, Box::new(alert), device, at);
            }
        }
        self.evaluation.state.devices.insert(device.to_owned(), LastSeen { at, location });
    }

    /// The location of a reading, with the name of the zone that its cleanings have.
    fn location(&self, reading: &Reading<'_>) -> Location {
        let zone_name = self.evaluation.state.zone_name.clone();
        Location { zone_name, ..Location::of(reading, &self.rules.names) }
    }

    /// Applies what people did: it answers the open alerts of the zone, and a finished cleaning ends what was measured before it.
    pub(super) fn respond(&mut self, response: &Response) {
        // The clock of its source can be ahead. Without the limit, no reading would be evaluated until then.
        let known = |time: Timestamp| counts_at(Some(time), self.received);
        let done = response.done.map(known);
        let started = response.started.filter(|started| known(*started) == *started);
        let response = Response { started, done, ..response.clone() };
        let Some(at) = response.at() else { return };
        let answered = response.alert.map(|alert| self.evaluation.state.lives.find(alert).cloned());
        // The alert is over, or it is none of this zone.
        if answered == Some(None) {
            return;
        }
        self.release(at);
        let state = &mut self.evaluation.state;
        let rule_states = &state.rule_states;
        let still_breached = |rule: &str, device: &str| match rule_states.get(rule)?.get(device)? {
            RuleState::Threshold(ThresholdState::Firing { as_of, .. }) => Some(*as_of),
            _ => None,
        };
        let is_newest = state.cleaned.is_none_or(|cleaned| at >= cleaned);
        if is_newest && response.zone_name.is_some() {
            state.zone_name.clone_from(&response.zone_name);
        }
        let is_new = state.lives.respond(ReceivedResponse { received: self.received, response }, still_breached);
        match (done, answered.flatten()) {
            (Some(done), Some(life)) if is_new && done >= life.at => self.end_answered(&life, done),
            (Some(done), None) => self.clean(done),
            _ => {}
        }
    }

    /// Ends what was measured up to `at` by the rule and the device of an alert that people are done with. Only a reading ends a
    /// silence.
    fn end_answered(&mut self, life: &AlertLife, at: Timestamp) {
        let AlertLife { rule, device, .. } = life;
        match self.evaluation.state.rule_state_mut(rule, device) {
            Some(RuleState::Threshold(threshold)) if threshold.as_of() <= at => {
                let threshold = threshold.clone();
                self.resolve_threshold(rule, device, threshold, None, at);
            }
            Some(RuleState::Accumulator(sum)) => sum.end(at),
            Some(RuleState::Occurrences(counter)) => match life.reasons.as_slice() {
                [] => counter.end(&[String::new()], at),
                reasons => counter.end(reasons, at),
            },
            _ => {}
        }
        if !life.kind.lasts() {
            self.evaluation.state.suppressed.answer(life, at);
        }
    }

    /// Applies a cleaning. It changes no rule states of newer readings, and none of rules about the devices themselves.
    fn clean(&mut self, at: Timestamp) {
        if self.evaluation.state.cleaned.is_some_and(|cleaned| at <= cleaned) {
            return;
        }
        self.evaluation.state.cleaned = Some(at);
        let rules = self.rules;
        let is_answerable = |rule: &str| rules.rule(rule).is_none_or(Rule::is_answerable);
        let rule_states = &mut self.evaluation.state.rule_states;
        let answered: Vec<_> = rule_states.extract_if(.., |rule, _| is_answerable(rule)).collect();
        for (rule, devices) in answered {
            for (device, rule_state) in devices {
                let rule_state = match rule_state {
                    RuleState::Accumulator(sum) => sum.clean(at).map(RuleState::Accumulator),
                    RuleState::Occurrences(counter) => counter.clean(at).map(RuleState::Occurrences),
                    RuleState::Threshold(threshold) if threshold.as_of() <= at => {
                        self.resolve_threshold(&rule, &device, threshold, None, at);
                        continue;
                    }
                    other => Some(other),
                };
                if let Some(rule_state) = rule_state {
                    self.evaluation.state.set_rule_state(&rule, &device, rule_state);
                }
            }
        }
        // The loop resolves suppressed alerts of threshold rules. Alerts of counts and sums are of one moment: this resolves them.
        let ends =
            |alert: &Alert| rules.rule(&alert.rule).is_some_and(|rule| !rule.kind.lasts() && rule.is_answerable());
        self.evaluation.state.suppressed.clean(at, ends);
    }

    /// Resolves a threshold rule. `since` is the start of its breach if a reading ends it. If people got its alert, a list of
    /// suppressed alerts or a resolved notice reports the end.
    fn resolve_threshold(
        &mut self,
        rule: &str,
        device: &str,
        threshold: ThresholdState,
        since: Option<Timestamp>,
        at: Timestamp,
    ) {
        let (severity, announced) = match threshold {
            ThresholdState::Firing { severity, announced, .. } => (Some(severity), announced),
            ThresholdState::Pending { .. } | ThresholdState::Resolved { .. } => (None, None),
        };
        let resolved = ThresholdState::Resolved { as_of: at, since, severity };
        self.evaluation.state.set_rule_state(rule, device, RuleState::Threshold(resolved));
        if severity.is_none() {
            return;
        }
        let is_listed = self.evaluation.state.suppressed.resolve(rule, device, at, announced.is_some());
        let Some(alert) = announced.filter(|_| !is_listed) else { return };
        if let Some(settings) = settings_at(self.rules, &alert) {
            self.enqueue_resolved(&settings, alert, device, at);
        }
    }
}

/// The evaluation of one rule for one reading.
struct RuleEvaluation<'s, 'e, 'p, 'r> {
    zone: &'s mut ZoneEvaluator<'e>,
    rule: &'p Rule,
    settings: &'p Settings,
    reading: &'s Reading<'r>,
    device: &'s str,
    at: Timestamp,
}

impl<'p> RuleEvaluation<'_, '_, 'p, '_> {
    /// Adds the alert that the rule fires to `raised`. Returns whether the rule state changed.
    fn run(mut self, raised: &mut Vec<RaisedAlert<'p>>) -> bool {
        match self.rule.kind {
            Kind::Threshold => self.threshold(raised),
            Kind::Count | Kind::Reasons => self.occurrences(raised),
            Kind::Accumulate => self.accumulate(raised),
            Kind::Silence => false,
        }
    }

    fn threshold(&mut self, raised: &mut Vec<RaisedAlert<'p>>) -> bool {
        let before = match self.zone.evaluation.state.rule_state(&self.rule.id, self.device) {
            Some(RuleState::Threshold(threshold)) => Some(threshold),
            _ => None,
        };
        let result = evaluate_condition(self.settings, self.reading);
        let is_clear = result == ConditionResult::Clear;
        match (transition(before, &result, self.at, self.settings), result) {
            (Transition::Pending { since }, _) => {
                self.set(RuleState::Threshold(ThresholdState::Pending { since, as_of: self.at }));
            }
            (Transition::Fire { since }, ConditionResult::Breached(severity, breaches)) => {
                let announced = match before {
                    Some(ThresholdState::Firing { announced, .. }) => announced.clone(),
                    _ => None,
                };
                let trigger = if since < self.at { Trigger::Sustained { since } } else { Trigger::Immediate };
                let (rule, device) = (&self.rule.id, self.device);
                let lives = &mut self.zone.evaluation.state.lives;
                // Of readings of one time, the worse one counts, in whatever order they come.
                lives.reopen(rule, device, self.at);
                lives.contradict(rule, device, self.at, breaches.first());
                self.raise(raised, severity, trigger, breaches, reasons(self.reading));
                self.set(RuleState::Threshold(ThresholdState::Firing {
                    since,
                    as_of: self.at,
                    severity,
                    announced,
                    remind: None,
                    heard: self.settings.reminder.map(|_| self.at),
                    // Until `enqueue_alerts` announces the alert.
                    suppressed: true,
                }));
            }
            (Transition::Resolve { since }, _) => {
                if let Some(threshold) = before.cloned() {
                    self.zone.resolve_threshold(&self.rule.id, self.device, threshold, Some(since), self.at);
                }
                if is_clear {
                    self.zone.evaluation.state.lives.resolve(&self.rule.id, self.device, self.at, false);
                }
            }
            // After a cleaning, the first reading proves it. While the rule fires, it is an older reading.
            (Transition::Unchanged | Transition::Fire { .. }, _) => {
                let is_over = is_clear && !matches!(before, Some(ThresholdState::Firing { .. }));
                return is_over && self.zone.evaluation.state.lives.resolve(&self.rule.id, self.device, self.at, true);
            }
        }
        true
    }

    fn occurrences(&mut self, raised: &mut Vec<RaisedAlert<'p>>) -> bool {
        let ConditionResult::Breached(severity, breaches) = evaluate_condition(self.settings, self.reading) else {
            return false;
        };
        let mut reasons = if self.rule.kind == Kind::Reasons { reasons(self.reading) } else { Vec::new() };
        if reasons.is_empty() {
            // Occurrences without a reason are counted together.
            reasons.push(String::new());
        }
        let mut counter = match self.zone.evaluation.state.rule_state(&self.rule.id, self.device) {
            Some(RuleState::Occurrences(counter)) => counter.clone(),
            _ => OccurrenceCounter::default(),
        };
        let max_age = self.zone.rules.max_age;
        let (mut is_changed, mut began) = (false, None);
        reasons.retain(|reason| {
            let counted = occurrences::count(&mut counter, reason, self.at, self.settings, max_age);
            is_changed |= counted != Counted::Ignored;
            let Counted::Reached { first } = counted else { return false };
            began = began.into_iter().chain([first]).min();
            true
        });
        if is_changed {
            self.set(RuleState::Occurrences(counter));
        }
        if let Some(since) = began {
            reasons.retain(|reason| !reason.is_empty());
            let (count, within) = (self.settings.count, self.settings.within);
            let trigger = if count > 1 { Trigger::Repeated { count, within, since } } else { Trigger::Immediate };
            self.raise(raised, severity, trigger, breaches, reasons);
        }
        is_changed
    }

    fn accumulate(&mut self, raised: &mut Vec<RaisedAlert<'p>>) -> bool {
        let Some(value) = addend(self.settings, self.reading) else { return false };
        let location = || self.zone.location(self.reading);
        let restart = self.settings.restart_at.and_then(|time| location().local_zone.last_time_of_day(time, self.at));
        let state = &mut self.zone.evaluation.state;
        if !matches!(state.rule_state(&self.rule.id, self.device), Some(RuleState::Accumulator(_))) {
            state.set_rule_state(&self.rule.id, self.device, RuleState::Accumulator(Accumulator::default()));
        }
        let Some(RuleState::Accumulator(sum)) = state.rule_state_mut(&self.rule.id, self.device) else { return false };
        if !sum.add(value, self.at, restart) {
            return false;
        }
        if let Some((severity, breach)) = breach_of_total(self.settings, self.reading, sum.total()) {
            let since = sum.since().unwrap_or(self.at);
            sum.restart(self.at, if self.settings.carry { breach.value - breach.limit } else { 0.0 });
            let trigger = if since < self.at { Trigger::Accumulated { since } } else { Trigger::Immediate };
            self.raise(raised, severity, trigger, vec![breach], Vec::new());
        }
        true
    }

    fn set(&mut self, rule_state: RuleState) {
        self.zone.evaluation.state.set_rule_state(&self.rule.id, self.device, rule_state);
    }

    fn raise(
        &self,
        raised: &mut Vec<RaisedAlert<'p>>,
        severity: Severity,
        trigger: Trigger,
        breaches: Vec<Breach>,
        reasons: Vec<String>,
    ) {
        let (rule, reading, location) = (self.rule, self.reading, self.zone.location(self.reading));
        let id = AlertId::of(&rule.id, reading);
        let alert = new_alert(rule, id, reading.id(), severity, trigger, self.at, location);
        let alert = Alert { breaches, reasons, ..alert };
        raised.push(RaisedAlert { alert, kind: rule.kind, settings: self.settings });
    }
}

fn reasons(reading: &Reading<'_>) -> Vec<String> {
    reading.reasons().iter().filter_map(|reason| presentable(reason)).collect()
}

/// Creates the no-data alert, at `at`, of a device whose last reading was at `since`. No reading raised it, so the digest of its
/// cause takes the place of a reading's id.
pub(super) fn no_data_alert(
    rule: &Rule,
    settings: &Settings,
    location: &Location,
    device: &str,
    since: Timestamp,
    at: Timestamp,
) -> Alert {
    let id = AlertId::of_silence(&rule.id, device, since);
    new_alert(rule, id, id.digest(), settings.severity, Trigger::NoData { since }, at, location.clone())
}

/// An alert without breaches and reasons.
fn new_alert(
    rule: &Rule,
    id: AlertId,
    reading: ReadingId,
    severity: Severity,
    trigger: Trigger,
    at: Timestamp,
    location: Location,
) -> Alert {
    Alert {
        id,
        rule: rule.id.clone(),
        title: rule.title.clone(),
        template: rule.template.clone(),
        action: rule.action.clone(),
        severity,
        breaches: Vec::new(),
        trigger,
        reasons: Vec::new(),
        at,
        reading,
        location,
    }
}
