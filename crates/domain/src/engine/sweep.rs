//! What comes due with no reading: the end of a suppression, a reminder, a silence.

use jiff::{SignedDuration, Timestamp};

use super::Evaluation;
use super::suppression::{Raised, effective_at, hours_begin};
use super::zone::{Zone, silence_alert};
use crate::alert::{Alert, Message};
use crate::rules::{Rule, RuleSet};
use crate::state::{LastSeen, NoData, RuleState, ThresholdState, ZoneState};

/// For how long people are reminded of a device that sends nothing, if no silence rule watches it.
pub(super) const REMINDED_WITHOUT_READING: SignedDuration = SignedDuration::from_hours(24);

/// Does what is due in a zone at `now`. `silences` is false while nothing at all arrives from anywhere: then no device is
/// called silent, because it is not the devices that are.
///
/// Afterwards only messages that are to be sent are due at `now`, and silences if they were left out.
#[must_use]
pub fn sweep(rules: &RuleSet, state: ZoneState, now: Timestamp, silences: bool) -> Evaluation {
    let mut evaluation = Evaluation { state, ..Evaluation::default() };
    let mut zone = Zone::new(rules, &mut evaluation, now);
    zone.release(now);
    zone.remind();
    if silences {
        zone.raise_silences();
    }
    evaluation
}

/// When something is due next in a zone: a message, the end of a suppression, a reminder, a silence. `None` where nothing is
/// until another reading comes.
#[must_use]
pub fn next_due(rules: &RuleSet, state: &ZoneState) -> Option<Timestamp> {
    let rule_states = state.rule_states.values().flat_map(|devices| devices.values());
    let reminders = rule_states.filter_map(|rule_state| reminder_due(rules, rule_state));
    let silences = watched(rules, state).map(|watched| watched.due);
    let first = [state.outbox.due(), state.suppressed.due()].into_iter().flatten();
    first.chain(reminders).chain(silences).min()
}

/// Whether a device of the zone is expected to send by itself: one that a silence rule watches.
#[must_use]
pub fn awaits(rules: &RuleSet, state: &ZoneState) -> bool {
    watched(rules, state).next().is_some()
}

/// When the reminder of an alert is due: within the active hours of its rule.
fn reminder_due(rules: &RuleSet, rule_state: &RuleState) -> Option<Timestamp> {
    let RuleState::Threshold(ThresholdState::Firing {
        announced: Some(alert),
        remind: Some(due),
        suppressed: false,
        ..
    }) = rule_state
    else {
        return None;
    };
    let effective = effective_at(rules, alert);
    Some(effective.and_then(|effective| hours_begin(&effective, &alert.location, *due)).unwrap_or(*due))
}

/// A device that a silence rule watches, and that is not called silent yet.
pub(super) struct Watched<'r, 's> {
    rule: &'r Rule,
    pub(super) device: &'s str,
    known: &'s LastSeen,
    due: Timestamp,
}

pub(super) fn watched<'r, 's>(rules: &'r RuleSet, state: &'s ZoneState) -> impl Iterator<Item = Watched<'r, 's>> {
    rules.silences().flat_map(move |rule| {
        state.devices.iter().filter_map(move |(device, known)| {
            if matches!(state.rule_state(&rule.id, device), Some(RuleState::NoData(_))) {
                return None;
            }
            // What is known may be older than the truth by a quarter: rather late than wrong.
            let after = rule.effective(&known.location.source())?.after?;
            let due = known.at.checked_add(after + after / 4).ok()?;
            Some(Watched { rule, device, known, due })
        })
    })
}

impl Zone<'_> {
    /// Says again what lasts, where the rule asks for that, the time has come, and it is within the rule's active hours.
    fn remind(&mut self) {
        let (rules, now) = (self.rules, self.now);
        let mut due = Vec::new();
        for devices in self.evaluation.state.rule_states.values_mut() {
            for rule_state in devices.values_mut() {
                if reminder_due(rules, rule_state).is_none_or(|due| due > now) {
                    continue;
                }
                let RuleState::Threshold(ThresholdState::Firing { announced: Some(alert), remind, heard, .. }) =
                    rule_state
                else {
                    continue;
                };
                let effective = effective_at(rules, alert);
                if let Some(begin) =
                    effective.as_ref().and_then(|effective| hours_begin(effective, &alert.location, now))
                {
                    // It came due within active hours, and the sweep came after them.
                    *remind = Some(begin);
                    continue;
                }
                // A rule that asks for none any more gets none.
                let every = effective.and_then(|effective| effective.reminder);
                let unheard_since = heard.and_then(|heard| unheard_since(rules, alert, heard, now));
                *remind = match unheard_since {
                    Some(_) => None,
                    None => every.and_then(|every| next_reminder(*remind, every, now)),
                };
                if every.is_some() {
                    due.push(Message::Reminder { alert: alert.clone(), at: now, unheard_since });
                }
            }
        }
        due.into_iter().for_each(|message| self.push(message));
    }

    /// Calls devices silent, at any hour: outside the active hours of a rule its alert is suppressed.
    fn raise_silences(&mut self) {
        let (rules, now) = (self.rules, self.now);
        let due = watched(rules, &self.evaluation.state).filter(|watched| watched.due <= now);
        let raised = due.filter_map(|Watched { rule, device, known, .. }| {
            let effective = rule.effective(&known.location.source())?;
            let alert = silence_alert(rule, &effective, &known.location, device, known.at, now);
            Some((rule, effective, device.to_owned(), known.at, alert))
        });
        let raised: Vec<_> = raised.collect();
        for (rule, effective, device, since, alert) in raised {
            let silence = NoData { since, suppressed: true };
            self.evaluation.state.set_rule_state(&rule.id, &device, Some(RuleState::NoData(silence)));
            self.enqueue(vec![Raised { alert, kind: rule.kind, effective: &effective }], &device);
        }
    }
}

/// Since when nothing has come from the device of an alert, if it is for longer than the shortest silence that a rule
/// watches for. What is known may be older than the truth by a quarter of that.
fn unheard_since(rules: &RuleSet, alert: &Alert, heard: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let source = alert.location.source();
    let watched_for = rules.silences().filter_map(|rule| rule.effective(&source)?.after).min();
    let longest = watched_for.unwrap_or(REMINDED_WITHOUT_READING);
    let since = heard.checked_add(longest / 4).ok()?;
    (now.duration_since(since) >= longest).then_some(since)
}

/// The next reminder after one that was due at `last`; missed ones are not made up for.
fn next_reminder(last: Option<Timestamp>, every: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let next = last?.checked_add(every).ok()?;
    if next > now { Some(next) } else { now.checked_add(every).ok() }
}
