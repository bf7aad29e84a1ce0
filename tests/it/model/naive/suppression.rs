//! Decides when alerts are sent: at once, when a block ends, when active hours begin, as a reminder, or never.

use smartclean_push::domain::rules::Kind;

use super::{ModelAlert, NaiveEngine, SentMessage};
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
    until: i64,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Block,
    Hours,
}

impl NaiveEngine<'_> {
    /// Suppresses an alert or a notice until active hours begin.
    fn suppress_by_hours(&mut self, alert: ModelAlert, resolved_at: Option<i64>, is_notice: bool) {
        let begin = (self.now..).find(|at| self.is_active_at(alert.rule, alert.device, *at));
        let until = begin.unwrap_or_else(|| unreachable!("hours begin every day"));
        self.suppressed.push(Suppressed { alert, resolved_at, is_notice, until, reason: Reason::Hours });
    }

    /// Suppresses blocked alerts. One list contains them when the last of the blocks ends.
    fn suppress_by_block(&mut self, alerts: Vec<ModelAlert>, blocks: Vec<i64>) {
        let is_blocked = |suppressed: &Suppressed| suppressed.reason == Reason::Block;
        let before = self.suppressed.iter().filter(|suppressed| is_blocked(suppressed)).map(|blocked| blocked.until);
        let until = blocks.into_iter().chain(before).max().unwrap_or(self.now);
        let (resolved_at, is_notice, reason) = (None, false, Reason::Block);
        let new = alerts.into_iter().map(|alert| Suppressed { alert, resolved_at, is_notice, until, reason });
        self.suppressed.extend(new);
        self.suppressed
            .iter_mut()
            .filter(|suppressed| is_blocked(suppressed))
            .for_each(|blocked| blocked.until = until);
    }

    /// Sends the alerts and notices that were suppressed until `at`, within active hours.
    pub(super) fn release(&mut self, at: i64) -> Vec<SentMessage> {
        let (ended, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.suppressed).into_iter().partition(|suppressed| suppressed.until <= at);
        self.suppressed = waiting;
        let (mut named, mut firing, mut resolved) = (Vec::new(), Vec::new(), Vec::new());
        for Suppressed { alert, resolved_at, is_notice, reason, .. } in ended {
            if !self.is_active(alert.rule, alert.device) {
                self.note(reason == Reason::Block, Feature::FromBlockToHours);
                match resolved_at {
                    Some(resolved_at) if !is_notice => self.resolve(alert, resolved_at),
                    _ => self.suppress_by_hours(alert, resolved_at, is_notice),
                }
            } else if is_notice {
                self.features.insert(Feature::ResolvedDeferred);
                resolved.extend(resolved_at.map(|resolved_at| self.send_resolved(&alert, resolved_at)));
            } else {
                self.remind_from(&alert, at);
                match reason {
                    Reason::Block => named.push((alert, resolved_at)),
                    Reason::Hours => firing.push(alert),
                }
            }
        }
        let mut sent = Vec::new();
        if !named.is_empty() {
            self.features.insert(Feature::ReleasedByBlock);
            sent.push(self.send_list(named));
        }
        if !firing.is_empty() {
            sent.push(self.release_by_hours(firing, at));
        }
        sent.extend(resolved);
        sent
    }

    /// Alerts of one device are a firing message, those of several a list. They block others from now on.
    fn release_by_hours(&mut self, mut firing: Vec<ModelAlert>, at: i64) -> SentMessage {
        self.features.insert(Feature::ReleasedByHours);
        for alert in &firing {
            self.sent.push(ModelAlert { at, ..alert.clone() });
        }
        if firing.iter().all(|alert| alert.device == firing[0].device) {
            firing.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
            self.send_firing(firing)
        } else {
            self.features.insert(Feature::ReleasedByHoursAsList);
            self.send_list(firing.into_iter().map(|alert| (alert, None)).collect())
        }
    }

    /// Starts the reminders of a sent alert.
    fn remind_from(&mut self, alert: &ModelAlert, at: i64) {
        let every = self.rule(alert).reminder;
        for reminder in self.reminder.iter_mut().filter(|reminder| reminder.alert == *alert) {
            reminder.next = at + every.unwrap();
        }
    }

    fn send_firing(&mut self, alerts: Vec<ModelAlert>) -> SentMessage {
        alerts.iter().for_each(|alert| self.mark_announced(alert));
        SentMessage::Firing(alerts)
    }

    fn send_list(&mut self, alerts: Vec<(ModelAlert, Option<i64>)>) -> SentMessage {
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
        self.announced.remove(&(alert.rule, alert.device));
        SentMessage::Resolved { rule: alert.rule, device: alert.device, at }
    }

    /// Sends one message of the alerts of one reading, the worst first, unless all are blocked. Alerts outside active hours wait for
    /// them separately.
    pub(super) fn send(&mut self, raised: Vec<ModelAlert>) -> Option<SentMessage> {
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
        let (mut alerts, outside): (Vec<_>, Vec<_>) =
            raised.into_iter().partition(|alert| self.is_active(alert.rule, alert.device));
        self.note(!alerts.is_empty() && !outside.is_empty(), Feature::PartlyOutsideHours);
        for alert in outside {
            self.suppress_by_hours(alert, None, false);
        }
        if alerts.is_empty() {
            return None;
        }
        let blocks: Option<Vec<i64>> = alerts.iter().map(|alert| self.blocked_until(alert)).collect();
        if let Some(blocks) = blocks {
            self.suppress_by_block(alerts, blocks);
            return None;
        }
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
        self.sent.extend(alerts.iter().cloned());
        Some(self.send_firing(alerts))
    }

    /// Removes suppressed alerts and notices that a new alert replaces: a milder alert, the alert of an earlier breach, or the resolved
    /// notice.
    fn supersede(&mut self, new: &ModelAlert) {
        let is_threshold = self.rule(new).kind == Kind::Threshold;
        let is_same = |waiting: &Suppressed| (waiting.alert.rule, waiting.alert.device) == (new.rule, new.device);
        let is_milder = |waiting: &Suppressed| is_threshold && waiting.alert.severity <= new.severity;
        let is_superseded = |waiting: &Suppressed| is_same(waiting) && (waiting.is_notice || is_milder(waiting));
        let (superseded, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.suppressed).into_iter().partition(is_superseded);
        self.suppressed = waiting;
        self.note(superseded.iter().any(|superseded| superseded.is_notice), Feature::ResolvedDropped);
        self.note(superseded.iter().any(|superseded| !superseded.is_notice), Feature::Superseded);
    }

    /// Resolves an alert: in the list that contains it, or by a notice if it was sent.
    pub(super) fn resolve_rule(&mut self, rule: usize, device: usize, at: i64) -> Option<SentMessage> {
        let is_it = |alert: &ModelAlert| (alert.rule, alert.device) == (rule, device);
        self.reminder.retain(|reminder| !is_it(&reminder.alert));
        let last = self.raised.iter().rfind(|alert| is_it(alert)).cloned()?;
        let (mut is_listed, mut is_dropped) = (false, false);
        for mut waiting in std::mem::take(&mut self.suppressed) {
            if is_it(&waiting.alert) && waiting.resolved_at.is_none() {
                if waiting.reason == Reason::Hours {
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
        if self.is_active(rule, device) {
            let is_to_be_said = self.world.rules[rule].resolved && self.announced.contains_key(&(rule, device));
            return is_to_be_said.then(|| self.send_resolved(&last, at));
        }
        self.resolve(last, at);
        None
    }

    /// Sends the resolved notice within active hours, if the rule has one.
    fn resolve(&mut self, alert: ModelAlert, resolved_at: i64) {
        let lasts = matches!(self.rule(&alert).kind, Kind::Threshold | Kind::Silence);
        if lasts && self.rule(&alert).resolved && self.announced.contains_key(&(alert.rule, alert.device)) {
            self.suppress_by_hours(alert, Some(resolved_at), true);
        }
    }

    /// Resolves suppressed alerts of counts and sums that a cleaning ends.
    pub(super) fn clean_suppressed(&mut self, cleaned: i64) {
        for mut suppressed in std::mem::take(&mut self.suppressed) {
            let is_counted = !matches!(self.rule(&suppressed.alert).kind, Kind::Threshold | Kind::Silence);
            if is_counted && suppressed.alert.at <= cleaned {
                if suppressed.reason == Reason::Hours {
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

    /// Sends due reminders within active hours, without missed ones. An alert that is still suppressed has none. Reminders end if the
    /// device sends nothing.
    pub(super) fn reminders(&mut self) -> Vec<SentMessage> {
        let mut sent = Vec::new();
        for mut reminder in std::mem::take(&mut self.reminder) {
            let ModelAlert { rule, device, .. } = reminder.alert;
            let is_suppressed =
                self.suppressed.iter().any(|waiting| waiting.resolved_at.is_none() && waiting.alert == reminder.alert);
            if reminder.next > self.now || is_suppressed {
                self.reminder.push(reminder);
                continue;
            }
            if !self.is_active(rule, device) {
                // Due within active hours, and swept after them: it waits for the next ones.
                if self.is_active_at(rule, device, reminder.next) {
                    reminder.next = (self.now..).find(|minute| self.is_active_at(rule, device, *minute)).unwrap();
                }
                self.reminder.push(reminder);
                continue;
            }
            let every = self.world.rules[rule].reminder.unwrap();
            self.note(!self.is_active_at(rule, device, reminder.next), Feature::ReminderDeferred);
            let is_last = self.now - reminder.heard >= self.reminded_for(device) * 5 / 4;
            self.note(is_last, Feature::LastReminder);
            sent.push(SentMessage::Reminder { alert: reminder.alert.clone(), at: self.now, is_last });
            if !is_last {
                let next = reminder.next + every;
                reminder.next = if next > self.now { next } else { self.now + every };
                self.reminder.push(reminder);
            }
        }
        sent
    }
}
