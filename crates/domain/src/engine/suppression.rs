//! When people are told: at once, when a block ends, or when the active hours of a rule begin.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::zone::Zone;
use crate::alert::{Alert, Message, SuppressedAlert, SuppressionReason};
use crate::location::Location;
use crate::rules::{Blocked, Kind, LONGEST_BLOCK, RuleSet, Settings};
use crate::state::{OutboxEntry, Released, RuleState, Suppression, ThresholdState};

/// An alert that a reading or a sweep raised.
pub(super) struct Raised<'p> {
    pub(super) alert: Alert,
    pub(super) kind: Kind,
    pub(super) effective: &'p Settings,
}

impl Zone<'_> {
    /// Puts the alerts that one reading raised into the outbox, unless they are suppressed. An alert outside its active hours is suppressed
    /// by itself; the others are one message, unless all of them are blocked.
    pub(super) fn enqueue(&mut self, raised: Vec<Raised<'_>>, device: &str) {
        let mut alerts = Vec::new();
        for raised in raised {
            self.supersede(&raised, device);
            match hours_begin(raised.effective, &raised.alert.location, self.now) {
                Some(until) => self.suppress(raised.alert, device, SuppressionReason::Hours, until),
                None => alerts.push(raised),
            }
        }
        if alerts.is_empty() {
            return;
        }
        let blocks = &self.evaluation.state.blocks;
        let ends = |raised: &Raised<'_>| blocks.until(&raised.alert, device, &raised.effective.block);
        if let Some(until) = alerts.iter().map(ends).collect::<Option<Vec<_>>>() {
            for (raised, until) in alerts.into_iter().zip(until) {
                self.suppress(raised.alert, device, SuppressionReason::Block, until);
            }
            return;
        }
        for Raised { alert, effective, .. } in &alerts {
            self.evaluation.state.blocks.sent(alert, device, alert.at, LONGEST_BLOCK);
            self.announced(alert, device, effective, alert.at);
        }
        self.evaluation.stats.alerts += alerts.len();
        self.enqueue_firing(alerts.into_iter().map(|raised| raised.alert).collect());
    }

    /// Does what is due at `at`: puts what was suppressed until then into the outbox.
    pub(super) fn release(&mut self, at: Timestamp) {
        if self.evaluation.state.suppressed.due().is_none_or(|due| due > at) {
            return;
        }
        let Released { named, mut unnamed } = self.evaluation.state.suppressed.take_due(at);
        let mut lists: BTreeMap<SuppressionReason, Vec<Suppression>> = BTreeMap::new();
        let mut resolved = Vec::new();
        for suppression in named {
            let location = &suppression.alert.location;
            match effective_at(self.rules, &suppression.alert)
                .and_then(|effective| hours_begin(&effective, location, self.now))
            {
                // A block that ends outside active hours. Nobody has to be told of what is over and was never announced.
                Some(until) => {
                    if suppression.over.is_none() || suppression.announced {
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
        for Suppression { alert, over, .. } in resolved {
            self.push(Message::Resolved { alert: Box::new(alert), at: over.unwrap_or(at) });
        }
    }

    /// Puts alerts into the outbox that were suppressed for `reason`, and the number of those that have no name.
    fn enqueue_released(
        &mut self,
        reason: SuppressionReason,
        suppressions: Vec<Suppression>,
        more: usize,
        at: Timestamp,
    ) {
        for Suppression { alert, device, .. } in suppressions.iter().filter(|suppression| suppression.over.is_none()) {
            if let Some(effective) = effective_at(self.rules, alert) {
                self.announced(alert, device, &effective, at);
            }
            if reason != SuppressionReason::Block {
                self.evaluation.state.blocks.sent(alert, device, at, LONGEST_BLOCK);
            }
        }
        let is_one_device = suppressions.windows(2).all(|pair| pair[0].device == pair[1].device);
        if reason != SuppressionReason::Block && is_one_device && more == 0 {
            self.enqueue_firing(suppressions.into_iter().map(|suppression| suppression.alert).collect());
            return;
        }
        let listed = |Suppression { alert, over, .. }| SuppressedAlert { alert, over };
        self.push(Message::Suppressed { reason, alerts: suppressions.into_iter().map(listed).collect(), more });
    }

    /// Sends the notice that an alert of which people were told is over since `at`, if its rule asks for one.
    pub(super) fn resolve(&mut self, effective: &Settings, alert: Box<Alert>, device: &str, at: Timestamp) {
        if !effective.resolved {
            return;
        }
        match hours_begin(effective, &alert.location, self.now) {
            Some(until) => self.evaluation.state.suppressed.add(Suppression {
                device: device.to_owned(),
                reason: SuppressionReason::Hours,
                until,
                over: Some(at),
                announced: true,
                alert: *alert,
            }),
            None => self.push(Message::Resolved { alert, at }),
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.evaluation.messages.push(OutboxEntry::new(message, self.now));
    }

    /// One message of these alerts, the worst first; rules of one severity stay in the file's order.
    fn enqueue_firing(&mut self, mut alerts: Vec<Alert>) {
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
        let blocked = self.evaluation.state.suppressed.take_counted();
        self.push(Message::Firing { alerts, blocked });
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
        self.evaluation.state.suppressed.add(Suppression {
            alert,
            device,
            reason,
            until,
            over: None,
            announced: false,
        });
    }

    /// Replaces what is suppressed of the same rule and device: the notice that all is well; of a threshold, also a milder
    /// alert and an earlier breach.
    fn supersede(&mut self, Raised { alert, kind, .. }: &Raised<'_>, device: &str) {
        let severity = match kind {
            Kind::Threshold => Some(alert.severity),
            Kind::Silence => None,
            Kind::Count | Kind::Reasons | Kind::Accumulate => return,
        };
        if self.evaluation.state.suppressed.is_empty() {
            return;
        }
        let Some(believed) = self.evaluation.state.suppressed.supersede(&alert.rule, device, severity) else { return };
        match self.evaluation.state.rule_state_mut(&alert.rule, device) {
            Some(RuleState::Threshold(ThresholdState::Firing { announced, .. })) => {
                announced.get_or_insert(Box::new(believed));
            }
            Some(RuleState::NoData(silence)) => silence.suppressed = false,
            _ => {}
        }
    }

    /// Notes that people were told of `alert`: from `at` on they are reminded of it, and told when it is over.
    fn announced(&mut self, alert: &Alert, device: &str, effective: &Settings, at: Timestamp) {
        match self.evaluation.state.rule_state_mut(&alert.rule, device) {
            Some(RuleState::Threshold(ThresholdState::Firing { announced, remind, suppressed, .. })) => {
                *suppressed = false;
                *remind = effective.reminder.and_then(|every| at.checked_add(every).ok());
                *announced = (effective.resolved || remind.is_some()).then(|| Box::new(alert.clone()));
            }
            Some(RuleState::NoData(silence)) => silence.suppressed = false,
            _ => {}
        }
    }
}

/// What the rule of an alert says where it was raised, if it is still in force there.
pub(super) fn effective_at<'r>(rules: &'r RuleSet, alert: &Alert) -> Option<Cow<'r, Settings>> {
    rules.rule(&alert.rule)?.effective(&alert.location.source())
}

/// When the active hours of a rule begin at `location`; `None` within them.
pub(super) fn hours_begin(effective: &Settings, location: &Location, now: Timestamp) -> Option<Timestamp> {
    let active = effective.active.filter(|active| !active.contain(now, &location.local_zone))?;
    Some(active.next(now, &location.local_zone))
}
