//! Decides when a message is sent and to whom: at once, when a block or a mute ends, or when active hours or a duty begin.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::evaluation::{Evaluation, ZoneEvaluator};
use crate::alert::life::{AlertLife, Targets};
use crate::alert::{Alert, Message, SuppressedAlert, SuppressionReason};
use crate::rules::{Blocked, Kind, LONGEST_BLOCK, Routing, RuleSet, Settings, Wait};
use crate::state::{DueSuppressions, OutboxEntry, RuleState, Suppression, ThresholdState, UnnamedSuppressions};

/// The longest usual time from the end of a suppression to the sweep that tells people.
const PROMPT: SignedDuration = SignedDuration::from_mins(2);

/// The ids of the audiences that a message goes to; empty for everybody.
type To = Vec<String>;

/// A new alert, before it is known whether it is suppressed.
pub(super) struct RaisedAlert<'p> {
    pub(super) alert: Alert,
    pub(super) kind: Kind,
    pub(super) settings: &'p Settings,
}

impl ZoneEvaluator<'_> {
    /// Makes a message of the alerts of one reading that have the same recipients. They are suppressed by blocks only if all of
    /// them are blocked.
    pub(super) fn enqueue_alerts(&mut self, raised: Vec<RaisedAlert<'_>>, device: &str) {
        let mut messages: BTreeMap<To, Vec<(RaisedAlert<'_>, Vec<Wait>)>> = BTreeMap::new();
        for raised in raised {
            self.supersede(&raised, device);
            let Routing { now, later } = self.route_alert(Some(raised.settings), &raised.alert, device, &[]);
            match now {
                Some(to) => messages.entry(to).or_default().push((raised, later)),
                None => {
                    self.evaluation.stats.suppressed += 1;
                    later.into_iter().for_each(|wait| self.suppress(raised.alert.clone(), device, wait, false));
                }
            }
        }
        // Before one of them is recorded: the alerts of one reading do not block each other.
        let blocks = &self.evaluation.state.blocks;
        let until = |(raised, _): &(RaisedAlert<'_>, _)| blocks.until(&raised.alert, device, &raised.settings.block);
        let blocked = |alerts: &[_]| alerts.iter().map(until).collect::<Option<Vec<_>>>();
        let messages: Vec<_> = messages.into_iter().map(|(to, alerts)| (blocked(&alerts), to, alerts)).collect();
        for (blocked, to, alerts) in messages {
            match blocked {
                Some(until) => {
                    let alerts = alerts.into_iter().zip(until);
                    alerts.for_each(|((raised, _), until)| self.block(raised.alert, device, until));
                }
                None => self.send_alerts(alerts, to, device),
            }
        }
    }

    fn send_alerts(&mut self, alerts: Vec<(RaisedAlert<'_>, Vec<Wait>)>, to: To, device: &str) {
        self.evaluation.stats.alerts += alerts.len();
        for (RaisedAlert { alert, settings, .. }, later) in &alerts {
            self.evaluation.state.blocks.record(alert, device, alert.at, LONGEST_BLOCK);
            self.mark_announced(alert, device, settings, alert.at);
            self.begin_life(alert, device, settings, &to, self.received, false);
            later.iter().for_each(|wait| self.suppress(alert.clone(), device, wait.clone(), true));
        }
        self.enqueue_firing(alerts.into_iter().map(|(raised, _)| raised.alert).collect(), to);
    }

    /// Enqueues the messages of the suppressions that end by `at`. After blocks, the alerts are sent as one list. After other
    /// suppressions, those of one device are sent as usual, and those of several devices as one list.
    pub(super) fn release(&mut self, at: Timestamp) {
        if self.evaluation.state.suppressed.due().is_none_or(|due| due > at) {
            return;
        }
        let DueSuppressions { named, unnamed } = self.evaluation.state.suppressed.take_due(at);
        let mut lists: BTreeMap<(SuppressionReason, To), Vec<Suppression>> = BTreeMap::new();
        let mut resolved = Vec::new();
        for suppression in named {
            let settings = settings_at(self.rules, &suppression.alert);
            let Suppression { alert, device, to, .. } = &suppression;
            let Routing { now, later } = match suppression.resolved_at {
                Some(_) => self.route(settings.as_deref(), alert, to),
                None => self.route_alert(settings.as_deref(), alert, device, to),
            };
            if suppression.resolved_at.is_none() {
                let told = suppression.told || now.is_some();
                for Wait { reason, until, to } in later {
                    self.evaluation.state.suppressed.add(Suppression {
                        reason,
                        until,
                        to,
                        told,
                        ..suppression.clone()
                    });
                }
            } else if now.is_none() && suppression.announced && settings.is_some_and(|settings| settings.resolved) {
                // All that can come of a resolved alert is a resolved notice, if it was announced and its rule sends one:
                // `reminder` alone also marks it as announced.
                self.suppress_notice(suppression, later);
                continue;
            }
            match now {
                Some(to) if suppression.is_resolved_notice() => resolved.push((suppression, to)),
                Some(to) => {
                    let list = lists.entry((suppression.reason, to)).or_default();
                    // Several audiences that an alert waited for can lead to the same one.
                    if list.iter().all(|listed| listed.alert.id != suppression.alert.id) {
                        list.push(suppression);
                    }
                }
                None => {}
            }
        }
        let is_in = |list: &[Suppression], unnamed: &UnnamedSuppressions| list.iter().any(|one| unnamed.are_like(one));
        let unlisted = unnamed.iter().filter(|unnamed| !lists.values().any(|list| is_in(list, unnamed)));
        self.evaluation.state.suppressed.count(unlisted.map(|unnamed| unnamed.count).sum());
        for ((reason, to), suppressions) in lists {
            let more =
                unnamed.iter().filter(|unnamed| is_in(&suppressions, unnamed)).map(|unnamed| unnamed.count).sum();
            self.enqueue_released(reason, suppressions, more, to, at);
        }
        for (Suppression { alert, resolved_at, .. }, to) in resolved {
            self.enqueue(Message::Resolved { alert: Box::new(alert), at: resolved_at.unwrap_or(at) }, to);
        }
    }

    /// Enqueues alerts that were suppressed for `reason`, and the number of further ones.
    fn enqueue_released(
        &mut self,
        reason: SuppressionReason,
        suppressions: Vec<Suppression>,
        more: usize,
        to: To,
        at: Timestamp,
    ) {
        for Suppression { alert, device, until, told, .. } in
            suppressions.iter().filter(|one| one.resolved_at.is_none())
        {
            if let Some(settings) = settings_at(self.rules, alert) {
                self.mark_announced(alert, device, &settings, at);
                // After an outage, and for a reading that arrived late, people are told later than the suppression ended.
                let is_prompt = self.now.duration_since(*until) <= PROMPT;
                self.begin_life(alert, device, &settings, &to, if is_prompt { *until } else { self.now }, *told);
            }
            if reason != SuppressionReason::Block {
                self.evaluation.state.blocks.record(alert, device, at, LONGEST_BLOCK);
            }
        }
        let is_one_device = suppressions.windows(2).all(|pair| pair[0].device == pair[1].device);
        if reason != SuppressionReason::Block && is_one_device && more == 0 {
            self.enqueue_firing(suppressions.into_iter().map(|suppression| suppression.alert).collect(), to);
            return;
        }
        let listed = |Suppression { alert, resolved_at, .. }| SuppressedAlert { alert, resolved_at };
        let alerts = suppressions.into_iter().map(listed).collect();
        self.enqueue(Message::Suppressed { reason, alerts, more }, to);
    }

    /// Enqueues the resolved notice of an announced alert, if its rule sends one. The notice waits until somebody can be told.
    pub(super) fn enqueue_resolved(&mut self, settings: &Settings, alert: Box<Alert>, device: &str, at: Timestamp) {
        if !settings.resolved {
            return;
        }
        let Routing { now, later } = self.route(Some(settings), &alert, &[]);
        match now {
            Some(to) => self.enqueue(Message::Resolved { alert, at }, to),
            None => {
                let (alert, device) = (*alert, device.to_owned());
                let (reason, until, to) = (SuppressionReason::Hours, at, To::new());
                let (told, resolved_at) = (true, Some(at));
                let notice = Suppression { alert, device, reason, until, to, told, resolved_at, announced: true };
                self.suppress_notice(notice, later);
            }
        }
    }

    pub(super) fn enqueue(&mut self, message: Message, to: To) {
        self.evaluation.messages.push(OutboxEntry::new(message, to, self.now));
    }

    /// Enqueues one message of these alerts, the worst first. Alerts of one severity keep their order.
    fn enqueue_firing(&mut self, mut alerts: Vec<Alert>, to: To) {
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
        let blocked = self.evaluation.state.suppressed.take_counted();
        self.enqueue(Message::Firing { alerts, blocked }, to);
    }

    /// Routes an alert that is not resolved. While people snooze one that is about it, it waits unless it is more severe.
    fn route_alert(&self, settings: Option<&Settings>, alert: &Alert, device: &str, among: &[String]) -> Routing {
        let is_known = |life: &&AlertLife| life.severity >= alert.severity && life.is_about(alert, device);
        let known = self.evaluation.state.lives.open().iter().filter(is_known);
        match known.filter_map(|life| life.snoozed_until(self.now)).max() {
            Some(until) => {
                let wait = Wait { reason: SuppressionReason::Snooze, until, to: among.to_vec() };
                Routing { now: None, later: vec![wait] }
            }
            None => self.route(settings, alert, among),
        }
    }

    fn route(&self, settings: Option<&Settings>, alert: &Alert, among: &[String]) -> Routing {
        let Alert { rule, severity, location, .. } = alert;
        self.rules.route(rule, *severity, location, settings, among, self.now)
    }

    fn block(&mut self, alert: Alert, device: &str, until: Timestamp) {
        self.evaluation.stats.suppressed += 1;
        self.evaluation.stats.blocked += 1;
        match self.rules.blocked {
            Blocked::Counted => self.evaluation.state.suppressed.count(1),
            // Who is told is decided when the block ends.
            Blocked::Named => {
                self.suppress(alert, device, Wait { reason: SuppressionReason::Block, until, to: To::new() }, false)
            }
        }
    }

    fn suppress(&mut self, alert: Alert, device: &str, Wait { reason, until, to }: Wait, told: bool) {
        let device = device.to_owned();
        let suppression = Suppression { alert, device, reason, until, to, told, resolved_at: None, announced: false };
        self.evaluation.state.suppressed.add(suppression);
    }

    /// Suppresses a resolved notice until somebody can be told.
    fn suppress_notice(&mut self, notice: Suppression, later: Vec<Wait>) {
        if let Some(Wait { reason, until, .. }) = later.into_iter().min_by_key(|wait| wait.until) {
            self.evaluation.state.suppressed.add(Suppression { reason, until, to: To::new(), ..notice });
        }
    }

    /// Removes the suppressions that a new alert replaces: the resolved notice of its rule and device and, for a threshold,
    /// alerts that are not more severe. Removes the unsent resolved notice of a threshold that a reading of the same time ended.
    fn supersede(&mut self, RaisedAlert { alert, kind, .. }: &RaisedAlert<'_>, device: &str) {
        let severity = match kind {
            Kind::Threshold => Some(alert.severity),
            Kind::Silence => None,
            Kind::Count | Kind::Reasons | Kind::Accumulate => return,
        };
        let Evaluation { state, messages, .. } = &mut *self.evaluation;
        // Without the resolved notice, the earlier alert still counts as announced.
        let earlier = match state.suppressed.supersede(&alert.rule, device, severity) {
            None => {
                let is_same = |ended: &Alert| {
                    ended.rule == alert.rule && ended.location.device.as_deref().unwrap_or_default() == device
                };
                let ended_then = |entry: &OutboxEntry| match &entry.message {
                    Message::Resolved { alert: ended, at } => *at == alert.at && is_same(ended),
                    _ => false,
                };
                let new = messages.iter().position(ended_then).map(|index| messages.remove(index));
                match new.or_else(|| state.outbox.revoke(ended_then)).map(|entry| entry.message) {
                    Some(Message::Resolved { alert, .. }) => *alert,
                    _ => return,
                }
            }
            Some(earlier) => earlier,
        };
        match self.evaluation.state.rule_state_mut(&alert.rule, device) {
            Some(RuleState::Threshold(ThresholdState::Firing { announced, .. })) => {
                announced.get_or_insert(Box::new(earlier));
            }
            Some(RuleState::NoData(no_data)) => no_data.suppressed = false,
            _ => {}
        }
    }

    /// Begins the life of an alert that the audiences `to` are told about since `raised`, if its rule is in force. `is_known`
    /// is whether another audience was told before.
    fn begin_life(
        &mut self,
        alert: &Alert,
        device: &str,
        settings: &Settings,
        to: &[String],
        raised: Timestamp,
        is_known: bool,
    ) {
        if let Some(rule) = self.rules.rule(&alert.rule) {
            let life = AlertLife::new(alert, rule, device, to, Targets::from(settings), raised);
            self.evaluation.state.lives.begin(life, is_known);
            self.evaluation.state.suppressed.tell(alert.id);
        }
    }

    /// Records that `alert` was announced at `at`: reminders and the resolved notice refer to it.
    fn mark_announced(&mut self, alert: &Alert, device: &str, settings: &Settings, at: Timestamp) {
        match self.evaluation.state.rule_state_mut(&alert.rule, device) {
            // Not again for the audiences that are told later: reminders would begin anew.
            Some(RuleState::Threshold(ThresholdState::Firing { announced, remind, suppressed, .. })) if *suppressed => {
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
