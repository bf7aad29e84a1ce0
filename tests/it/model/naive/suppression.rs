//! Decides when alerts are sent and to whom: at once, when a block or a mute ends, when active hours or a duty begin, as a
//! reminder, or never.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use smartclean_push::domain::rules::Kind;

use super::{ModelAlert, ModelLife, NaiveEngine, Sent, SentMessage};
use crate::model::features::Feature;

/// A firing threshold with reminders.
pub(super) struct PendingReminder {
    pub(super) alert: ModelAlert,
    next: i64,
    /// The recorded time of the last reading of its device.
    pub(super) heard: i64,
}

/// A suppressed alert or resolved notice.
#[derive(Clone, Debug)]
pub(super) struct Suppressed {
    alert: ModelAlert,
    /// When the alert was resolved.
    resolved_at: Option<i64>,
    is_notice: bool,
    /// The life of the alert, which all of its audiences share, once one of them is told.
    life: LifeOf,
    wait: Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Block,
    Hours,
    Duty,
    Mute,
    Snooze,
}

/// The number of the life of an alert, once an audience is told.
pub(super) type LifeOf = Rc<Cell<Option<usize>>>;

/// Alerts, each with the time at which it was resolved.
type Listed = Vec<(ModelAlert, Option<i64>)>;

/// Why, until when and for which audiences something is suppressed. No audiences are all.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    reason: Reason,
    until: i64,
    only: Vec<usize>,
}

impl NaiveEngine<'_> {
    /// The audiences that are told about an alert at `at`, and what the others wait for. `None` if nobody is told.
    pub(super) fn route(&self, alert: &ModelAlert, only: &[usize], at: i64) -> (Option<Vec<usize>>, Vec<Wait>) {
        let ModelAlert { rule, device, severity, .. } = *alert;
        let first = |is_over: &dyn Fn(i64) -> bool| (at..).find(|minute| is_over(*minute)).unwrap();
        if self.is_muted_at(rule, device, at) {
            let until = first(&|minute| !self.is_muted_at(rule, device, minute));
            return (None, vec![Wait { reason: Reason::Mute, until, only: only.to_vec() }]);
        }
        if !self.is_active_at(rule, device, at) {
            let until = first(&|minute| self.is_active_at(rule, device, minute));
            return (None, vec![Wait { reason: Reason::Hours, until, only: only.to_vec() }]);
        }
        let audiences = self.world.audiences.iter().enumerate();
        let matching = audiences.filter(|(_, one)| severity >= one.severity && one.alerts.contain(rule, device));
        let matching: Vec<usize> =
            matching.map(|(number, _)| number).filter(|one| only.is_empty() || only.contains(one)).collect();
        let (mut told, mut later) = (Vec::new(), Vec::new());
        for audience in &matching {
            let mut next = Some(*audience);
            while let Some(one) = next.filter(|one| !self.is_on_duty_at(*one, device, at)) {
                next = self.world.audiences[one].otherwise;
            }
            match next {
                Some(one) => told.push(one),
                None => {
                    let until = first(&|minute| self.is_on_duty_at(*audience, device, minute));
                    later.push(Wait { reason: Reason::Duty, until, only: vec![*audience] });
                }
            }
        }
        told.sort_unstable();
        told.dedup();
        let is_told = !told.is_empty() || matching.is_empty();
        (is_told.then_some(told), later)
    }

    /// As [`Self::route`] now, for an alert that is not resolved: a snooze suppresses it too.
    fn route_alert(&self, alert: &ModelAlert, only: &[usize]) -> (Option<Vec<usize>>, Vec<Wait>) {
        match self.snoozed_until(alert) {
            Some(until) => (None, vec![Wait { reason: Reason::Snooze, until, only: only.to_vec() }]),
            None => self.route(alert, only, self.now),
        }
    }

    fn suppress(&mut self, alert: &ModelAlert, waits: Vec<Wait>, life: &LifeOf) {
        let new = |wait| Suppressed {
            alert: alert.clone(),
            resolved_at: None,
            is_notice: false,
            life: Rc::clone(life),
            wait,
        };
        self.suppressed.extend(waits.into_iter().map(new));
    }

    /// Suppresses blocked alerts. One list contains them when the last of the blocks ends.
    fn suppress_by_block(&mut self, alerts: Vec<ModelAlert>, blocks: Vec<i64>) {
        let is_blocked = |suppressed: &Suppressed| suppressed.wait.reason == Reason::Block;
        let before =
            self.suppressed.iter().filter(|suppressed| is_blocked(suppressed)).map(|blocked| blocked.wait.until);
        let until = blocks.into_iter().chain(before).max().unwrap_or(self.now);
        for alert in alerts {
            self.suppress(&alert, vec![Wait { reason: Reason::Block, until, only: Vec::new() }], &LifeOf::default());
        }
        self.suppressed
            .iter_mut()
            .filter(|suppressed| is_blocked(suppressed))
            .for_each(|blocked| blocked.wait.until = until);
    }

    /// Sends the alerts and notices that were suppressed until `at`, to those who can be told now.
    pub(super) fn release(&mut self, at: i64) -> Vec<Sent> {
        let (ended, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.suppressed).into_iter().partition(|suppressed| suppressed.wait.until <= at);
        self.suppressed = waiting;
        let mut lists: BTreeMap<(Reason, Vec<usize>), Listed> = BTreeMap::new();
        // The open ones of these alerts, each with its list and the end of its suppression.
        let mut told_since = Vec::new();
        let mut resolved = Vec::new();
        for Suppressed { alert, resolved_at, is_notice, life, wait: Wait { reason, until, only } } in ended {
            let (told, later) = match resolved_at {
                Some(_) => self.route(&alert, &only, self.now),
                None => self.route_alert(&alert, &only),
            };
            self.note(reason == Reason::Snooze && told.is_some(), Feature::ReleasedBySnooze);
            self.note(told.is_some() && !later.is_empty(), Feature::PartlyOffDuty);
            self.note(reason == Reason::Mute, Feature::ReleasedByMute);
            self.note(reason == Reason::Duty && told.is_some(), Feature::ReleasedByDuty);
            match (told, resolved_at) {
                (Some(to), Some(resolved_at)) if is_notice => {
                    self.features.insert(Feature::ResolvedDeferred);
                    resolved.push((to, self.send_resolved(&alert, resolved_at)));
                }
                (Some(to), _) => {
                    self.remind_from(&alert, at);
                    let raised = if self.now - until > 2 { self.now } else { until };
                    let open =
                        resolved_at.is_none().then(|| ((reason, to.clone()), alert.clone(), raised, Rc::clone(&life)));
                    told_since.extend(open);
                    lists.entry((reason, to)).or_default().push((alert.clone(), resolved_at));
                }
                (None, Some(resolved_at)) => self.suppress_notice(&alert, resolved_at, later.clone()),
                (None, None) => {
                    let is_hours = later.iter().any(|wait| wait.reason == Reason::Hours);
                    self.note(reason == Reason::Block && is_hours, Feature::FromBlockToHours);
                }
            }
            if resolved_at.is_none() {
                self.suppress(&alert, later, &life);
            }
        }
        let mut sent = Vec::new();
        for ((reason, to), alerts) in lists {
            for (_, alert, raised, life) in told_since.iter().filter(|(list, ..)| *list == (reason, to.clone())) {
                self.tell(alert, &to, *raised, life);
            }
            let message = if reason == Reason::Block {
                self.features.insert(Feature::ReleasedByBlock);
                self.send_list(alerts)
            } else {
                self.release_others(reason, alerts, at)
            };
            sent.push((to, message));
        }
        sent.extend(resolved);
        sent
    }

    /// Alerts of one device are a firing message, those of several a list. They block others from now on.
    fn release_others(&mut self, reason: Reason, alerts: Listed, at: i64) -> SentMessage {
        self.note(reason == Reason::Hours, Feature::ReleasedByHours);
        for (alert, _) in &alerts {
            self.sent.push(ModelAlert { at, ..alert.clone() });
        }
        if alerts.iter().all(|(alert, _)| alert.device == alerts[0].0.device) {
            let mut firing: Vec<ModelAlert> = alerts.into_iter().map(|(alert, _)| alert).collect();
            firing.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
            self.send_firing(firing)
        } else {
            self.note(reason == Reason::Hours, Feature::ReleasedByHoursAsList);
            self.send_list(alerts)
        }
    }

    /// Starts the reminders of a sent alert, unless it was sent to others before.
    fn remind_from(&mut self, alert: &ModelAlert, at: i64) {
        if self.announced.get(&(alert.rule, alert.device)) == Some(alert) {
            return;
        }
        let every = self.rule(alert).reminder;
        for reminder in self.reminder.iter_mut().filter(|reminder| reminder.alert == *alert) {
            reminder.next = at + every.unwrap();
        }
    }

    fn send_firing(&mut self, alerts: Vec<ModelAlert>) -> SentMessage {
        alerts.iter().for_each(|alert| self.mark_announced(alert));
        SentMessage::Firing(alerts)
    }

    fn send_list(&mut self, alerts: Listed) -> SentMessage {
        for (alert, resolved_at) in &alerts {
            // A resolved alert does not resolve a later one.
            let is_later = |announced: &ModelAlert| self.location(announced) > self.location(alert);
            match (resolved_at, self.announced.get(&(alert.rule, alert.device))) {
                (None, _) => self.mark_announced(alert),
                (Some(_), Some(announced)) if is_later(announced) => {}
                (Some(_), _) => drop(self.announced.remove(&(alert.rule, alert.device))),
            }
        }
        SentMessage::Released(alerts)
    }

    /// Records that an alert was sent.
    fn mark_announced(&mut self, alert: &ModelAlert) {
        self.announced.insert((alert.rule, alert.device), alert.clone());
    }

    /// The index of an alert among all that fired.
    fn location(&self, alert: &ModelAlert) -> Option<usize> {
        self.raised.iter().rposition(|raised| raised == alert)
    }

    fn send_resolved(&mut self, alert: &ModelAlert, at: i64) -> SentMessage {
        let ended = self.announced.remove(&(alert.rule, alert.device));
        self.ended.extend(ended.map(|ended| ((alert.rule, alert.device), ended)));
        SentMessage::Resolved { rule: alert.rule, device: alert.device, at }
    }

    /// Sends the alerts of one reading, one message for the same recipients with the worst first, unless all of a message are
    /// blocked.
    pub(super) fn send(&mut self, raised: Vec<ModelAlert>) -> Vec<Sent> {
        for alert in &raised {
            self.supersede(alert);
            self.reminder.retain(|known| (known.alert.rule, known.alert.device) != (alert.rule, alert.device));
            let every = self.rule(alert).reminder;
            self.reminder.extend(every.map(|every| PendingReminder {
                alert: alert.clone(),
                next: alert.at + every,
                heard: alert.at,
            }));
        }
        self.raised.extend(raised.iter().cloned());
        let mut messages: BTreeMap<Vec<usize>, Vec<(ModelAlert, Vec<Wait>)>> = BTreeMap::new();
        let mut is_outside = false;
        for alert in raised {
            let (told, later) = self.route_alert(&alert, &[]);
            match told {
                Some(to) => messages.entry(to).or_default().push((alert, later)),
                None => {
                    is_outside |= later.iter().any(|wait| wait.reason == Reason::Hours);
                    self.suppress(&alert, later, &LifeOf::default());
                }
            }
        }
        self.note(!messages.is_empty() && is_outside, Feature::PartlyOutsideHours);
        self.note(messages.len() > 1, Feature::OtherRecipients);
        let blocks = |alerts: &[(ModelAlert, _)]| alerts.iter().map(|(alert, _)| self.blocked_until(alert)).collect();
        let messages: Vec<(Option<Vec<i64>>, _, _)> =
            messages.into_iter().map(|(to, alerts)| (blocks(&alerts), to, alerts)).collect();
        let mut sent = Vec::new();
        for (blocks, to, alerts) in messages {
            let (mut told, later): (Vec<ModelAlert>, Vec<_>) = alerts.into_iter().unzip();
            if let Some(blocks) = blocks {
                self.suppress_by_block(told, blocks);
                continue;
            }
            for (alert, later) in told.iter().zip(later) {
                self.note(!later.is_empty(), Feature::PartlyOffDuty);
                let life = LifeOf::default();
                self.tell(alert, &to, self.now, &life);
                self.suppress(alert, later, &life);
            }
            told.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
            self.sent.extend(told.iter().cloned());
            sent.push((to, self.send_firing(told)));
        }
        sent
    }

    /// Removes suppressed alerts and notices that a new alert replaces: a milder alert, the alert of an earlier breach, or the
    /// resolved notice.
    fn supersede(&mut self, new: &ModelAlert) {
        let is_threshold = self.rule(new).kind == Kind::Threshold;
        let is_same = |waiting: &Suppressed| (waiting.alert.rule, waiting.alert.device) == (new.rule, new.device);
        let is_milder = |waiting: &Suppressed| is_threshold && waiting.alert.severity <= new.severity;
        let is_superseded = |waiting: &Suppressed| is_same(waiting) && (waiting.is_notice || is_milder(waiting));
        let (superseded, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.suppressed).into_iter().partition(is_superseded);
        self.suppressed = waiting;
        if superseded.iter().any(|superseded| superseded.is_notice) {
            self.features.insert(Feature::ResolvedDropped);
        }
        // Of readings at the same time, a worse one means that the breach did not end.
        let notice = SentMessage::Resolved { rule: new.rule, device: new.device, at: new.at };
        let count = self.enqueued.len();
        self.enqueued.retain(|(_, message)| *message != notice);
        if self.enqueued.len() < count {
            let key = (new.rule, new.device);
            self.announced.insert(key, self.ended[&key].clone());
            self.features.insert(Feature::ResolvedRevoked);
        }
        self.note(superseded.iter().any(|superseded| !superseded.is_notice), Feature::Superseded);
    }

    /// Resolves an alert: in the list that contains it, or by a notice if it was sent.
    pub(super) fn resolve_rule(&mut self, rule: usize, device: usize, at: i64) -> Option<Sent> {
        let is_it = |alert: &ModelAlert| (alert.rule, alert.device) == (rule, device);
        self.reminder.retain(|reminder| !is_it(&reminder.alert));
        let last = self.raised.iter().rfind(|alert| is_it(alert)).cloned()?;
        let (mut is_listed, mut is_dropped) = (false, false);
        for mut waiting in std::mem::take(&mut self.suppressed) {
            if is_it(&waiting.alert) && waiting.resolved_at.is_none() {
                if waiting.wait.reason != Reason::Block {
                    is_dropped = true;
                    continue;
                }
                is_listed = true;
                waiting.resolved_at = Some(at);
            }
            self.suppressed.push(waiting);
        }
        self.note(is_dropped, Feature::DroppedByHours);
        if is_listed {
            return None;
        }
        self.note(is_dropped && self.announced.contains_key(&(rule, device)), Feature::ResolvedOfEarlierAlert);
        let sent = self.announced.get(&(rule, device)).cloned().unwrap_or(last);
        let (told, later) = self.route(&sent, &[], self.now);
        let Some(to) = told else {
            self.suppress_notice(&sent, at, later);
            return None;
        };
        let is_to_be_sent = self.world.rules[rule].resolved && self.announced.contains_key(&(rule, device));
        is_to_be_sent.then(|| (to, self.send_resolved(&sent, at)))
    }

    /// Suppresses the resolved notice until somebody can be told, if the rule has one.
    fn suppress_notice(&mut self, alert: &ModelAlert, resolved_at: i64, later: Vec<Wait>) {
        let lasts = matches!(self.rule(alert).kind, Kind::Threshold | Kind::Silence);
        if lasts && self.rule(alert).resolved && self.announced.contains_key(&(alert.rule, alert.device)) {
            let first = later.into_iter().min_by_key(|wait| wait.until).unwrap();
            let wait = Wait { only: Vec::new(), ..first };
            let (alert, resolved_at) = (alert.clone(), Some(resolved_at));
            self.suppressed.push(Suppressed { alert, resolved_at, is_notice: true, life: LifeOf::default(), wait });
        }
    }

    /// Resolves suppressed alerts of counts and sums that a cleaning ends, or an answer to the alert that they are about.
    pub(super) fn clean_suppressed(&mut self, cleaned: i64, answered: Option<&ModelLife>) {
        for mut suppressed in std::mem::take(&mut self.suppressed) {
            if answered.is_some_and(|life| !self.is_about(life, &suppressed.alert)) {
                self.suppressed.push(suppressed);
                continue;
            }
            let is_counted = !matches!(self.rule(&suppressed.alert).kind, Kind::Threshold | Kind::Silence);
            if is_counted && suppressed.alert.at <= cleaned {
                if suppressed.wait.reason != Reason::Block {
                    self.features.insert(Feature::CleanedAwayByHours);
                    continue;
                }
                suppressed.resolved_at = suppressed.resolved_at.or(Some(cleaned));
            }
            self.suppressed.push(suppressed);
        }
    }

    fn blocked_until(&self, alert: &ModelAlert) -> Option<i64> {
        let block = self.rule(alert).block;
        // For late alerts, only the last sent alert of a rule and device counts, of those at least as severe.
        let is_last = |index: usize, sent: &ModelAlert| {
            !self.sent[index + 1..].iter().any(|newer| {
                newer.rule == sent.rule
                    && newer.device == sent.device
                    && newer.severity >= sent.severity
                    && newer.at >= sent.at
            })
        };
        let sent = self.sent.iter().enumerate().filter(|(index, sent)| is_last(*index, sent)).map(|(_, sent)| sent);
        let ends = sent.filter(|sent| sent.severity >= alert.severity).filter_map(|sent| {
            let of_device = if sent.device == alert.device { block.device } else { 0 };
            let of_zone = match block.rule {
                Some(minutes) if sent.rule == alert.rule => minutes,
                Some(_) => 0,
                None => block.zone,
            };
            let minutes = of_device.max(of_zone);
            ((alert.at - sent.at).abs() < minutes).then_some(sent.at + minutes)
        });
        ends.max()
    }

    /// Skips a reminder that is due, because people were told in another way.
    pub(super) fn skip_reminder(&mut self, rule: usize, device: usize) {
        for reminder in &mut self.reminder {
            let every = self.world.rules[rule].reminder;
            if (reminder.alert.rule, reminder.alert.device) == (rule, device) && reminder.next <= self.now {
                let next = reminder.next + every.unwrap();
                reminder.next = if next > self.now { next } else { self.now + every.unwrap() };
            }
        }
    }

    /// Sends due reminders when somebody can be told, without missed ones. An alert that nobody was told about has none. Reminders
    /// end if the device sends nothing.
    pub(super) fn reminders(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        for mut reminder in std::mem::take(&mut self.reminder) {
            let ModelAlert { rule, device, .. } = reminder.alert;
            let held = self.open_lives(rule, device).map(ModelLife::held_until).max();
            self.note(held.is_some_and(|held| held > self.now && reminder.next <= self.now), Feature::ReminderHeld);
            let is_announced = self.announced.get(&(rule, device)) == Some(&reminder.alert);
            let first = |at| match self.route(&reminder.alert, &[], at) {
                (Some(_), _) => at,
                (None, later) => later.iter().map(|wait| wait.until).min().unwrap(),
            };
            let due = first(reminder.next.max(held.unwrap_or(i64::MIN)));
            if due > self.now || !is_announced {
                self.reminder.push(reminder);
                continue;
            }
            let (Some(to), _) = self.route(&reminder.alert, &[], self.now) else {
                // Due when somebody could be told, and swept later.
                reminder.next = first(self.now);
                self.reminder.push(reminder);
                continue;
            };
            let every = self.world.rules[rule].reminder.unwrap();
            self.note(!self.is_active_at(rule, device, reminder.next), Feature::ReminderDeferred);
            let is_last = self.now - reminder.heard >= self.reminded_for(device) * 5 / 4;
            self.note(is_last, Feature::LastReminder);
            sent.push((to, SentMessage::Reminder { alert: reminder.alert.clone(), at: self.now, is_last }));
            if !is_last {
                let next = reminder.next + every;
                reminder.next = if next > self.now { next } else { self.now + every };
                self.reminder.push(reminder);
            }
        }
        sent
    }
}
