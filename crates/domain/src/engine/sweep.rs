//! Does what is due without a reading: ends of suppressions, of snoozes and of unanswered alerts, reminders, escalations,
//! and alerts of silence rules.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::evaluation::{Evaluation, ZoneEvaluator};
use super::policy::REMINDED_WITHOUT_READING;
use super::suppression::{RaisedAlert, settings_at};
use super::zone::no_data_alert;
use crate::alert::life::{AlertLife, Escalation};
use crate::alert::{Alert, Message};
use crate::rules::{Rule, RuleSet, Settings};
use crate::state::{LastSeen, Lives, NoData, OutboxEntry, RuleState, ThresholdState, ZoneState};

/// Does what is due in a zone at `now`. Afterwards only messages in the outbox and facts to archive are due, and silence rules if
/// `with_silence` is false. The caller passes false while no reading arrives from anywhere: then the devices are not to blame.
#[must_use]
pub fn sweep(rules: &RuleSet, state: ZoneState, now: Timestamp, with_silence: bool) -> Evaluation {
    let mut evaluation = Evaluation { state, ..Evaluation::default() };
    let mut zone = ZoneEvaluator { rules, evaluation: &mut evaluation, received: now, now };
    zone.release(now);
    let Evaluation { state, .. } = &mut *zone.evaluation;
    state.lives.expire(now, |life: &AlertLife| rules.settings_of(life).is_some());
    zone.revoke_escalations();
    zone.tell_again();
    zone.remind();
    zone.escalate();
    if with_silence {
        zone.raise_silences();
    }
    evaluation
}

/// When something is next due in a zone: a message, a fact to archive, the end of a suppression, of a snooze or of an unanswered
/// alert, a reminder, an escalation, a silence. `None` if nothing is due before the next reading.
#[must_use]
pub fn next_due(rules: &RuleSet, state: &ZoneState) -> Option<Timestamp> {
    let held = held(&state.lives);
    let reminders = state.rule_states.iter().flat_map(|(rule, devices)| {
        let due = |(device, rule_state): (&String, _)| reminder_due(rules, &held, rule_state, rule, device);
        devices.iter().filter_map(due)
    });
    let answers = state.lives.open().iter().flat_map(|life| {
        let told_again = life.told_again().filter(|_| rules.settings_of(life).is_some()).map(|(due, _)| due);
        let escalation = escalation(rules, life).and_then(|(_, settings)| life.escalation_due(&settings.escalate));
        told_again.into_iter().chain(escalation)
    });
    let silences = watched_devices(rules, state).map(|watched| watched.due);
    let first = [state.outbox.due(), state.suppressed.due(), state.lives.due()].into_iter().flatten();
    first.chain(reminders).chain(answers).chain(silences).min()
}

/// Whether a silence rule expects readings from a device of the zone.
#[must_use]
pub fn expects_readings(rules: &RuleSet, state: &ZoneState) -> bool {
    watched_devices(rules, state).next().is_some()
}

/// Until when reminders of a rule for a device wait, because people took or snoozed an alert. Usually empty.
type HeldReminders<'l> = BTreeMap<(&'l str, &'l str), Timestamp>;

fn held(lives: &Lives) -> HeldReminders<'_> {
    let mut held = HeldReminders::new();
    for life in lives.open() {
        if let Some(until) = life.held_until() {
            let last = held.entry((&life.rule, &life.device)).or_insert(until);
            *last = until.max(*last);
        }
    }
    held
}

/// The rule and the settings of an alert; `None` if it has no further step of an escalation, or its rule is no longer in force.
fn escalation<'r>(rules: &'r RuleSet, life: &AlertLife) -> Option<(&'r Rule, Cow<'r, Settings>)> {
    let rule = rules.rule(&life.rule)?;
    // To find the settings at a location is expensive.
    rule.steps().nth(life.escalated.len())?;
    Some((rule, rules.settings_of(life)?))
}

/// When the reminder of the alert of `rule` for `device` is due and somebody can be told. It waits while somebody has the alert.
fn reminder_due(
    rules: &RuleSet,
    held: &HeldReminders<'_>,
    rule_state: &RuleState,
    rule: &str,
    device: &str,
) -> Option<Timestamp> {
    let RuleState::Threshold(ThresholdState::Firing {
        announced: Some(alert),
        remind: Some(due),
        suppressed: false,
        ..
    }) = rule_state
    else {
        return None;
    };
    let due = held.get(&(rule, device)).map_or(*due, |held| *due.max(held));
    let settings = settings_at(rules, alert);
    let routing = rules.route(&alert.rule, alert.severity, &alert.location, settings.as_deref(), &[], due);
    Some(routing.first().unwrap_or(due))
}

/// A device that a silence rule watches and that is not silent yet.
pub(super) struct WatchedDevice<'r, 's> {
    rule: &'r Rule,
    pub(super) device: &'s str,
    last_seen: &'s LastSeen,
    /// When the rule fires.
    due: Timestamp,
}

pub(super) fn watched_devices<'r, 's>(
    rules: &'r RuleSet,
    state: &'s ZoneState,
) -> impl Iterator<Item = WatchedDevice<'r, 's>> {
    rules.silences().flat_map(move |rule| {
        state.devices.iter().filter_map(move |(device, last_seen)| {
            if matches!(state.rule_state(&rule.id, device), Some(RuleState::NoData(_))) {
                return None;
            }
            // The recorded time can be a quarter too old: a late alert is better than a wrong one.
            let after = rule.effective(&last_seen.location.source())?.after?;
            let due = last_seen.at.checked_add(after + after / 4).ok()?;
            Some(WatchedDevice { rule, device, last_seen, due })
        })
    })
}

impl ZoneEvaluator<'_> {
    /// Enqueues the reminders that are due, if somebody can be told.
    fn remind(&mut self) {
        let (rules, now) = (self.rules, self.now);
        let mut reminders = Vec::new();
        let ZoneState { rule_states, lives, .. } = &mut self.evaluation.state;
        let held = held(lives);
        let devices = rule_states.iter_mut().flat_map(|(rule, devices)| devices.iter_mut().map(move |one| (rule, one)));
        for (rule, (device, rule_state)) in devices {
            if reminder_due(rules, &held, rule_state, rule, device).is_none_or(|due| due > now) {
                continue;
            }
            let RuleState::Threshold(ThresholdState::Firing { announced: Some(alert), remind, heard, .. }) = rule_state
            else {
                continue;
            };
            let settings = settings_at(rules, alert);
            let routing = rules.route(&alert.rule, alert.severity, &alert.location, settings.as_deref(), &[], now);
            let first = routing.first();
            let Some(to) = routing.now else {
                // The reminder was due when somebody could be told, and the sweep came later.
                *remind = first;
                continue;
            };
            // A rule that no longer has reminders sends none.
            let every = settings.and_then(|settings| settings.reminder);
            let unheard_since = heard.and_then(|heard| unheard_since(rules, alert, heard, now));
            *remind = every.filter(|_| unheard_since.is_none()).and_then(|every| next_reminder(*remind, every, now));
            if every.is_some() {
                reminders.push((Message::Reminder { alert: alert.clone(), at: now, unheard_since }, to));
            }
        }
        reminders.into_iter().for_each(|(message, to)| self.enqueue(message, to));
    }

    /// Enqueues a reminder of each alert whose snooze has ended, if somebody can be told, but not to the audiences that this sweep
    /// tells about it for the first time. A usual one that was due meanwhile is not sent as well.
    fn tell_again(&mut self) {
        let (rules, now) = (self.rules, self.now);
        let mut reminders = Vec::new();
        let Evaluation { state: ZoneState { rule_states, lives, .. }, messages, .. } = &mut *self.evaluation;
        for life in lives.open_mut() {
            let Some((_, at)) = life.told_again().filter(|(due, _)| *due <= now) else { continue };
            let (Some(rule), Some(settings)) = (rules.rule(&life.rule), rules.settings_of(life)) else { continue };
            let routing = rules.route(&life.rule, life.severity, &life.location, Some(&settings), &[], now);
            let first = routing.first();
            let Some(mut to) = routing.now else {
                life.reminder_waits = first;
                continue;
            };
            life.reminded = Some(at);
            let known = rule_states.get_mut(&life.rule).and_then(|devices| devices.get_mut(&life.device));
            if let Some(RuleState::Threshold(ThresholdState::Firing { remind, .. })) = known
                && remind.is_some_and(|remind| remind <= now)
            {
                *remind = settings.reminder.and_then(|every| next_reminder(*remind, every, now));
            }
            let is_about = |message: &Message| message.open_alerts().iter().any(|alert| life.contains(alert.id));
            let new: Vec<&OutboxEntry> = messages.iter().filter(|entry| is_about(&entry.message)).collect();
            let is_everybody = to.is_empty();
            to.retain(|id| !new.iter().any(|entry| entry.to.contains(id)));
            if new.iter().all(|entry| !entry.to.is_empty()) && (is_everybody || !to.is_empty()) {
                let alert = Box::new(life.to_alert(rule));
                reminders.push((Message::Reminder { alert, at, unheard_since: None }, to));
            }
        }
        reminders.into_iter().for_each(|(message, to)| self.enqueue(message, to));
    }

    /// Does the steps of escalations that are due. Steps for which nobody is on duty are skipped if a later one has somebody;
    /// otherwise the escalation waits for the first duty of them all.
    fn escalate(&mut self) {
        let (rules, now) = (self.rules, self.now);
        let mut escalated = Vec::new();
        for life in self.evaluation.state.lives.open_mut() {
            let Some((rule, settings)) = escalation(rules, life) else { continue };
            let steps = &settings.escalate;
            if life.escalation_due(steps).is_some_and(|due| due <= now) {
                let first = life.escalated.len();
                let (skipped, id) = match rules.escalate(&steps[first..], life, &settings, now) {
                    Ok(found) => found,
                    Err(until) => {
                        life.escalation_waits = Some(until);
                        continue;
                    }
                };
                life.escalated.extend((0..skipped).map(|_| Escalation { at: now, to: Vec::new() }));
                let (step, to) = (first + skipped, vec![id]);
                life.escalated.push(Escalation { at: now, to: to.clone() });
                let (alert, taken) = (Box::new(life.to_alert(rule)), life.taken.clone());
                escalated.push((Message::Escalated { alert, at: now, step, raised: life.raised, taken }, to));
            }
        }
        escalated.into_iter().for_each(|(message, to)| self.enqueue(message, to));
    }

    /// Removes the messages of escalations that no channel has tried to send, if somebody has answered the alert or it is over. If
    /// people only took it, the step is done after that.
    pub(super) fn revoke_escalations(&mut self) {
        let now = self.now;
        let ZoneState { lives, outbox, .. } = &mut self.evaluation.state;
        let is_answered = |entry: &OutboxEntry| match &entry.message {
            Message::Escalated { alert, .. } => !lives.is_unanswered(alert.id, now),
            _ => false,
        };
        let revoked: Vec<_> = std::iter::from_fn(|| outbox.revoke(is_answered)).collect();
        for entry in revoked {
            if let Message::Escalated { alert, step, .. } = entry.message {
                lives.revoke_step(alert.id, step);
            }
        }
    }

    /// Fires silence rules at any hour. Outside active hours the alert is suppressed.
    fn raise_silences(&mut self) {
        let (rules, now) = (self.rules, self.now);
        let due = watched_devices(rules, &self.evaluation.state).filter(|watched| watched.due <= now);
        let silent: Vec<_> = due
            .map(|WatchedDevice { rule, device, last_seen, .. }| (rule, device.to_owned(), last_seen.clone()))
            .collect();
        for (rule, device, LastSeen { at: since, location }) in silent {
            let Some(settings) = rule.effective(&location.source()) else { continue };
            let alert = no_data_alert(rule, &settings, &location, &device, since, now);
            let no_data = RuleState::NoData(NoData { since, suppressed: true });
            self.evaluation.state.set_rule_state(&rule.id, &device, no_data);
            self.enqueue_alerts(vec![RaisedAlert { alert, kind: rule.kind, settings: &settings }], &device);
        }
    }
}

/// Since when the device of an alert has sent nothing, if that is longer than the shortest silence that a rule allows. The
/// recorded time can be a quarter of that too old.
fn unheard_since(rules: &RuleSet, alert: &Alert, heard: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let source = alert.location.source();
    let shortest = rules.silences().filter_map(|rule| rule.effective(&source)?.after).min();
    let allowed = shortest.unwrap_or(REMINDED_WITHOUT_READING);
    let since = heard.checked_add(allowed / 4).ok()?;
    (now.duration_since(since) >= allowed).then_some(since)
}

/// The next reminder after one that was due at `last`. Missed reminders are not sent later.
fn next_reminder(last: Option<Timestamp>, every: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let next = last?.checked_add(every).ok()?;
    if next > now { Some(next) } else { now.checked_add(every).ok() }
}
