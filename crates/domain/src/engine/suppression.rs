//! Decides when a message is sent: at once, when a block ends, or when the active hours of a rule begin.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::evaluation::ZoneEvaluator;
use crate::alert::{Alert, Message, SuppressedAlert, SuppressionReason};
use crate::location::Location;
use crate::rules::{Blocked, Kind, LONGEST_BLOCK, RuleSet, Settings};
use crate::state::{DueSuppressions, OutboxEntry, RuleState, Suppression, ThresholdState};

/// A new alert, before it is known whether it is suppressed.
pub(super) struct RaisedAlert<'p> {
    pub(super) alert: Alert,
    pub(super) kind: Kind,
    pub(super) settings: &'p Settings,
}

impl ZoneEvaluator<'_> {
    /// Makes one message of the alerts of one reading. Alerts outside their active hours are suppressed. The others are only
    /// suppressed if all of them are blocked.
    pub(super) fn enqueue_alerts(&mut self, raised: Vec<RaisedAlert<'_>>, device: &str) {
        let mut alerts = Vec::new();
        for raised in raised {
            self.supersede(&raised, device);
            match next_active_hours(self.rules, raised.settings, &raised.alert.location, self.now) {
                Some(until) => self.suppress(raised.alert, device, SuppressionReason::Hours, until),
                None => alerts.push(raised),
            }
        }
        if alerts.is_empty() {
            return;
        }
        let blocks = &self.evaluation.state.blocks;
        let until = alerts.iter().map(|raised| blocks.until(&raised.alert, device, &raised.settings.block));
        if let Some(until) = until.collect::<Option<Vec<_>>>() {
            for (raised, until) in alerts.into_iter().zip(until) {
                self.suppress(raised.alert, device, SuppressionReason::Block, until);
            }
            return;
        }
        for RaisedAlert { alert, settings, .. } in &alerts {
            self.evaluation.state.blocks.record(alert, device, alert.at, LONGEST_BLOCK);
            self.mark_announced(alert, device, settings, alert.at);
        }
        self.evaluation.stats.alerts += alerts.len();
        self.enqueue_firing(alerts.into_iter().map(|raised| raised.alert).collect());
    }

    /// Enqueues the messages of the suppressions that end by `at`. After a block, the alerts are sent as one list. When active hours
    /// begin, those of one device are sent as usual, and those of several devices as one list.
    pub(super) fn release(&mut self, at: Timestamp) {
        if self.evaluation.state.suppressed.due().is_none_or(|due| due > at) {
            return;
        }
        let DueSuppressions { named, mut unnamed } = self.evaluation.state.suppressed.take_due(at);
        let mut lists: BTreeMap<SuppressionReason, Vec<Suppression>> = BTreeMap::new();
        let mut resolved = Vec::new();
        for suppression in named {
            let settings = settings_at(self.rules, &suppression.alert);
            let location = &suppression.alert.location;
            let hours =
                settings.as_deref().and_then(|settings| next_active_hours(self.rules, settings, location, self.now));
            match hours {
                // A block ends outside active hours. All that can come of a resolved alert is a resolved notice, if it was
                // announced and its rule sends one: `reminder` alone also marks it as announced.
                Some(until) => {
                    let has_notice = suppression.announced && settings.is_some_and(|settings| settings.resolved);
                    if suppression.resolved_at.is_none() || has_notice {
                        let reason = SuppressionReason::Hours;
                        self.evaluation.state.suppressed.add(Suppression { reason, until, ..suppression });
                    }
                }
                None if suppression.is_resolved_notice() => resolved.push(suppression),
                None => lists.entry(suppression.reason).or_default().push(suppression),
            }
        }
        for (reason, suppressions) in lists {
            let more = unnamed.remove(&reason).unwrap_or_default();
            self.enqueue_released(reason, suppressions, more, at);
        }
        self.evaluation.state.suppressed.count(unnamed.into_values().sum());
        for Suppression { alert, resolved_at, .. } in resolved {
            self.enqueue(Message::Resolved { alert: Box::new(alert), at: resolved_at.unwrap_or(at) });
        }
    }

    /// Enqueues alerts that were suppressed for `reason`, and the number of further ones.
    fn enqueue_released(
        &mut self,
        reason: SuppressionReason,
        suppressions: Vec<Suppression>,
        more: usize,
        at: Timestamp,
    ) {
        for Suppression { alert, device, .. } in suppressions.iter().filter(|one| one.resolved_at.is_none()) {
            if let Some(settings) = settings_at(self.rules, alert) {
                self.mark_announced(alert, device, &settings, at);
            }
            if reason != SuppressionReason::Block {
                self.evaluation.state.blocks.record(alert, device, at, LONGEST_BLOCK);
            }
        }
        let is_one_device = suppressions.windows(2).all(|pair| pair[0].device == pair[1].device);
        if reason != SuppressionReason::Block && is_one_device && more == 0 {
            self.enqueue_firing(suppressions.into_iter().map(|suppression| suppression.alert).collect());
            return;
        }
        let listed = |Suppression { alert, resolved_at, .. }| SuppressedAlert { alert, resolved_at };
        self.enqueue(Message::Suppressed { reason, alerts: suppressions.into_iter().map(listed).collect(), more });
    }

    /// Enqueues the resolved notice of an announced alert, if its rule sends one. The notice waits for active hours.
    pub(super) fn enqueue_resolved(&mut self, settings: &Settings, alert: Box<Alert>, device: &str, at: Timestamp) {
        if !settings.resolved {
            return;
        }
        match next_active_hours(self.rules, settings, &alert.location, self.now) {
            Some(until) => self.evaluation.state.suppressed.add(Suppression {
                device: device.to_owned(),
                reason: SuppressionReason::Hours,
                until,
                resolved_at: Some(at),
                announced: true,
                alert: *alert,
            }),
            None => self.enqueue(Message::Resolved { alert, at }),
        }
    }

    pub(super) fn enqueue(&mut self, message: Message) {
        self.evaluation.messages.push(OutboxEntry::new(message, self.now));
    }

    /// Enqueues one message of these alerts, the worst first. Rules of one severity keep the order of the file.
    fn enqueue_firing(&mut self, mut alerts: Vec<Alert>) {
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
        let blocked = self.evaluation.state.suppressed.take_counted();
        self.enqueue(Message::Firing { alerts, blocked });
    }

    fn suppress(&mut self, alert: Alert, device: &str, reason: SuppressionReason, until: Timestamp) {
        self.evaluation.stats.suppressed += 1;
        if reason == SuppressionReason::Block {
            self.evaluation.stats.blocked += 1;
            if self.rules.blocked == Blocked::Counted {
                self.evaluation.state.suppressed.count(1);
                return;
            }
        }
        let device = device.to_owned();
        let suppression = Suppression { alert, device, reason, until, resolved_at: None, announced: false };
        self.evaluation.state.suppressed.add(suppression);
    }

    /// Removes the suppressions that a new alert replaces: the resolved notice of its rule and device and, for a threshold,
    /// milder alerts.
    fn supersede(&mut self, RaisedAlert { alert, kind, .. }: &RaisedAlert<'_>, device: &str) {
        let severity = match kind {
            Kind::Threshold => Some(alert.severity),
            Kind::Silence => None,
            Kind::Count | Kind::Reasons | Kind::Accumulate => return,
        };
        if self.evaluation.state.suppressed.is_empty() {
            return;
        }
        // Without the resolved notice, the earlier alert still counts as announced.
        let Some(earlier) = self.evaluation.state.suppressed.supersede(&alert.rule, device, severity) else { return };
        match self.evaluation.state.rule_state_mut(&alert.rule, device) {
            Some(RuleState::Threshold(ThresholdState::Firing { announced, .. })) => {
                announced.get_or_insert(Box::new(earlier));
            }
            Some(RuleState::NoData(no_data)) => no_data.suppressed = false,
            _ => {}
        }
    }

    /// Records that `alert` was announced at `at`: reminders and the resolved notice refer to it.
    fn mark_announced(&mut self, alert: &Alert, device: &str, settings: &Settings, at: Timestamp) {
        match self.evaluation.state.rule_state_mut(&alert.rule, device) {
            Some(RuleState::Threshold(ThresholdState::Firing { announced, remind, suppressed, .. })) => {
                *suppressed = false;
                *remind = settings.reminder.and_then(|every| at.checked_add(every).ok());
                *announced = (settings.resolved || remind.is_some()).then(|| Box::new(alert.clone()));
            }
            Some(RuleState::NoData(no_data)) => no_data.suppressed = false,
            _ => {}
        }
    }
}

/// The settings of an alert's rule at its location. `None` if the rule is no longer in force there.
pub(super) fn settings_at<'r>(rules: &'r RuleSet, alert: &Alert) -> Option<Cow<'r, Settings>> {
    rules.rule(&alert.rule)?.effective(&alert.location.source())
}

/// When the next active hours of a rule begin at `location`. `None` within active hours.
pub(super) fn next_active_hours(
    rules: &RuleSet,
    settings: &Settings,
    location: &Location,
    now: Timestamp,
) -> Option<Timestamp> {
    let local_zone = rules.names.local_zone(location.project.as_deref()).unwrap_or(&location.local_zone);
    let active = settings.active.filter(|active| !active.contain(now, local_zone))?;
    Some(active.next(now, local_zone))
}
