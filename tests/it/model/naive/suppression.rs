//! What people are told of what rules raise: at once, when a block ends, when hours begin, again, or not at all.

use smartclean_push::domain::rules::Kind;

use super::{Naive, Raised, Said};
use crate::model::features::Feature;

/// A threshold that fires and is to be said again.
pub(super) struct Reminding {
    pub(super) alert: Raised,
    next: i64,
    /// When its device was last heard of, as far as that is kept.
    pub(super) heard: i64,
}

/// Something that is not sent before a time.
#[derive(Clone, Debug)]
pub(super) struct Suppressed {
    alert: Raised,
    /// When it was over: of an alert, for the list that names it; of a resolved notice, what it says.
    over: Option<i64>,
    is_notice: bool,
    until: i64,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Block,
    Hours,
}

impl Naive<'_> {
    /// Suppresses something until its rule's hours begin.
    fn suppress_by_hours(&mut self, alert: Raised, over: Option<i64>, is_notice: bool) {
        let begin = (self.now..).find(|at| self.is_active_at(alert.rule, alert.device, *at));
        let until = begin.unwrap_or_else(|| unreachable!("hours begin every day"));
        self.suppressed.push(Suppressed { alert, over, is_notice, until, reason: Reason::Hours });
    }

    /// What a block suppresses is named in one list, when the last of the blocks ends.
    fn suppress_by_block(&mut self, alerts: Vec<Raised>, blocks: Vec<i64>) {
        let is_blocked = |suppressed: &Suppressed| suppressed.reason == Reason::Block;
        let before = self.suppressed.iter().filter(|suppressed| is_blocked(suppressed)).map(|blocked| blocked.until);
        let until = blocks.into_iter().chain(before).max().unwrap_or(self.now);
        let (over, is_notice, reason) = (None, false, Reason::Block);
        let new = alerts.into_iter().map(|alert| Suppressed { alert, over, is_notice, until, reason });
        self.suppressed.extend(new);
        self.suppressed
            .iter_mut()
            .filter(|suppressed| is_blocked(suppressed))
            .for_each(|blocked| blocked.until = until);
    }

    /// Sends what was suppressed until `at`. What ends outside of hours waits for them.
    pub(super) fn release(&mut self, at: i64) -> Vec<Said> {
        let (ended, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.suppressed).into_iter().partition(|suppressed| suppressed.until <= at);
        self.suppressed = waiting;
        let (mut named, mut firing, mut resolved) = (Vec::new(), Vec::new(), Vec::new());
        for Suppressed { alert, over, is_notice, reason, .. } in ended {
            if !self.is_active(alert.rule, alert.device) {
                self.note(reason == Reason::Block, Feature::FromBlockToHours);
                match over {
                    Some(over) if !is_notice => self.resolve(alert, over),
                    _ => self.suppress_by_hours(alert, over, is_notice),
                }
            } else if is_notice {
                self.features.insert(Feature::ResolvedDeferred);
                resolved.extend(over.map(|over| self.say_resolved(&alert, over)));
            } else {
                self.remind_from(&alert, at);
                match reason {
                    Reason::Block => named.push((alert, over)),
                    Reason::Hours => firing.push(alert),
                }
            }
        }
        let mut said = Vec::new();
        if !named.is_empty() {
            self.features.insert(Feature::ReleasedByBlock);
            said.push(self.say_list(named));
        }
        if !firing.is_empty() {
            said.push(self.release_by_hours(firing, at));
        }
        said.extend(resolved);
        said
    }

    /// Alerts of one device are an ordinary message, those of several a list. They block others as of now.
    fn release_by_hours(&mut self, mut firing: Vec<Raised>, at: i64) -> Said {
        self.features.insert(Feature::ReleasedByHours);
        for alert in &firing {
            self.sent.push(Raised { at, ..alert.clone() });
        }
        if firing.iter().all(|alert| alert.device == firing[0].device) {
            firing.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
            self.say_firing(firing)
        } else {
            self.features.insert(Feature::ReleasedByHoursAsList);
            self.say_list(firing.into_iter().map(|alert| (alert, None)).collect())
        }
    }

    /// People are reminded of what they were told of, from then on.
    fn remind_from(&mut self, alert: &Raised, at: i64) {
        let every = self.rule(alert).reminder;
        for reminding in self.reminding.iter_mut().filter(|reminding| reminding.alert == *alert) {
            reminding.next = at + every.unwrap();
        }
    }

    fn say_firing(&mut self, alerts: Vec<Raised>) -> Said {
        alerts.iter().for_each(|alert| self.believe(alert));
        Said::Firing(alerts)
    }

    fn say_list(&mut self, alerts: Vec<(Raised, Option<i64>)>) -> Said {
        for (alert, over) in &alerts {
            // That an alert is over says nothing about a later one.
            let is_later = |believed: &Raised| self.location(believed) > self.location(alert);
            match (over, self.believed.get(&(alert.rule, alert.device))) {
                (None, _) => self.believe(alert),
                (Some(_), Some(believed)) if is_later(believed) => {}
                (Some(_), _) => drop(self.believed.remove(&(alert.rule, alert.device))),
            }
        }
        Said::Released(alerts)
    }

    /// People were told of an alert.
    fn believe(&mut self, alert: &Raised) {
        self.believed.insert((alert.rule, alert.device), alert.clone());
    }

    /// Where an alert stands among all that were raised.
    fn location(&self, alert: &Raised) -> Option<usize> {
        self.raised.iter().rposition(|raised| raised == alert)
    }

    fn say_resolved(&mut self, alert: &Raised, at: i64) -> Said {
        self.believed.remove(&(alert.rule, alert.device));
        Said::Resolved { rule: alert.rule, device: alert.device, at }
    }

    /// One reading is one message that names all, the worst first: it is sent unless all of it is blocked. What is outside
    /// of its hours waits for them, each by itself.
    pub(super) fn send(&mut self, raised: Vec<Raised>) -> Option<Said> {
        for alert in &raised {
            self.supersede(alert);
            self.reminding.retain(|known| (known.alert.rule, known.alert.device) != (alert.rule, alert.device));
            let every = self.rule(alert).reminder;
            self.reminding.extend(every.map(|every| Reminding {
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
        Some(self.say_firing(alerts))
    }

    /// A new alert takes the place of what the same rule waits to say of the device: a milder alert, the alert of a breach
    /// before this one, or that all is well.
    fn supersede(&mut self, new: &Raised) {
        let is_threshold = self.rule(new).kind == Kind::Threshold;
        let is_same = |waiting: &Suppressed| (waiting.alert.rule, waiting.alert.device) == (new.rule, new.device);
        let is_milder = |waiting: &Suppressed| is_threshold && waiting.alert.severity <= new.severity;
        let is_outdone = |waiting: &Suppressed| is_same(waiting) && (waiting.is_notice || is_milder(waiting));
        let (outdone, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.suppressed).into_iter().partition(is_outdone);
        self.suppressed = waiting;
        self.note(outdone.iter().any(|outdone| outdone.is_notice), Feature::ResolvedDropped);
        self.note(outdone.iter().any(|outdone| !outdone.is_notice), Feature::Superseded);
    }

    /// What is over is said to be over: in the list that names it, else by itself where people know of it.
    pub(super) fn over(&mut self, rule: usize, device: usize, at: i64) -> Option<Said> {
        let is_it = |alert: &Raised| (alert.rule, alert.device) == (rule, device);
        self.reminding.retain(|reminding| !is_it(&reminding.alert));
        let last = self.raised.iter().rfind(|alert| is_it(alert)).cloned()?;
        let (mut is_listed, mut is_dropped) = (false, false);
        for mut waiting in std::mem::take(&mut self.suppressed) {
            if is_it(&waiting.alert) && waiting.over.is_none() {
                if waiting.reason == Reason::Hours {
                    is_dropped = true;
                    continue;
                }
                is_listed = true;
                waiting.over = Some(at);
            }
            self.suppressed.push(waiting);
        }
        self.note(is_dropped, Feature::DroppedByHours);
        if is_listed {
            return None;
        }
        self.note(is_dropped && self.believed.contains_key(&(rule, device)), Feature::ResolvedOfEarlierAlert);
        if self.is_active(rule, device) {
            let is_to_be_said = self.world.rules[rule].resolved && self.believed.contains_key(&(rule, device));
            return is_to_be_said.then(|| self.say_resolved(&last, at));
        }
        self.resolve(last, at);
        None
    }

    /// Says when hours begin that an alert was over at `over`, where people know of it and want to.
    fn resolve(&mut self, alert: Raised, over: i64) {
        let lasts = matches!(self.rule(&alert).kind, Kind::Threshold | Kind::Silence);
        if lasts && self.rule(&alert).resolved && self.believed.contains_key(&(alert.rule, alert.device)) {
            self.suppress_by_hours(alert, Some(over), true);
        }
    }

    /// What was counted or added up is over with the cleaning that ends it, also where nobody has heard of it yet.
    pub(super) fn clean_suppressed(&mut self, cleaned: i64) {
        for mut suppressed in std::mem::take(&mut self.suppressed) {
            let is_counted = !matches!(self.rule(&suppressed.alert).kind, Kind::Threshold | Kind::Silence);
            if is_counted && suppressed.alert.at <= cleaned {
                if suppressed.reason == Reason::Hours {
                    self.features.insert(Feature::CleanedAwayByHours);
                    continue;
                }
                suppressed.over = suppressed.over.or(Some(cleaned));
            }
            self.suppressed.push(suppressed);
        }
    }

    fn blocked_until(&self, alert: &Raised) -> Option<i64> {
        let block = self.rule(alert).block;
        // For what comes late, only the last alert of a rule and a device counts, of those as severe.
        let is_last = |index: usize, sent: &Raised| {
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

    /// What lasts is said again when its time has come, by the sweep; what it has missed it does not make up for. What
    /// nobody has heard of yet is not said again, and nobody is reminded outside of hours. It ends with the device.
    pub(super) fn reminders(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        for mut reminding in std::mem::take(&mut self.reminding) {
            let Raised { rule, device, .. } = reminding.alert;
            let is_suppressed =
                self.suppressed.iter().any(|waiting| waiting.over.is_none() && waiting.alert == reminding.alert);
            if reminding.next > self.now || is_suppressed {
                self.reminding.push(reminding);
                continue;
            }
            if !self.is_active(rule, device) {
                // It came due within hours, and the sweep came after them: it is due when they begin again.
                if self.is_active_at(rule, device, reminding.next) {
                    reminding.next = (self.now..).find(|minute| self.is_active_at(rule, device, *minute)).unwrap();
                }
                self.reminding.push(reminding);
                continue;
            }
            let every = self.world.rules[rule].reminder.unwrap();
            self.note(!self.is_active_at(rule, device, reminding.next), Feature::ReminderDeferred);
            let is_last = self.now - reminding.heard >= self.reminded_for(device) * 5 / 4;
            self.note(is_last, Feature::LastReminder);
            said.push(Said::Reminder { alert: reminding.alert.clone(), at: self.now, is_last });
            if !is_last {
                let next = reminding.next + every;
                reminding.next = if next > self.now { next } else { self.now + every };
                self.reminding.push(reminding);
            }
        }
        said
    }
}
