//! What comes due with no reading: the end of a block, a reminder, a silence.

use jiff::{SignedDuration, Timestamp};

use super::Evaluation;
use super::zone::{Zone, silence_alert};
use crate::domain::alert::Message;
use crate::domain::rules::{Effective, Kind, LONGEST_BLOCK, Rule, RuleSet};
use crate::domain::state::{LastSeen, Level, Silence, Track, ZoneState};

/// Does what is due in a zone at `now`. `silences` is false while nothing at all arrives from anywhere: then no device is
/// called silent, because it is not the devices that are.
#[must_use]
pub fn sweep(rules: &RuleSet, state: &ZoneState, now: Timestamp, silences: bool) -> Evaluation {
    let mut evaluation = Evaluation { state: state.clone(), ..Evaluation::default() };
    let mut zone = Zone::new(rules, &mut evaluation, now);
    zone.end_block(now);
    zone.remind();
    if silences {
        zone.raise_silences();
    }
    evaluation
}

/// When something is due next in a zone: a message, the end of a block, a reminder, a silence. `None` where nothing is
/// until another reading comes.
#[must_use]
pub fn next_due(rules: &RuleSet, state: &ZoneState) -> Option<Timestamp> {
    let reminders = state.tracks.values().flat_map(|devices| devices.values()).filter_map(reminder_due);
    let silences = watched(rules, state).map(|watched| watched.due);
    let first = [state.outbox.due(), state.blocks.due()].into_iter().flatten();
    first.chain(reminders).chain(silences).min()
}

/// Whether a device of the zone is expected to send by itself: one that a silence rule watches.
#[must_use]
pub fn awaits(rules: &RuleSet, state: &ZoneState) -> bool {
    watched(rules, state).next().is_some()
}

fn reminder_due(track: &Track) -> Option<Timestamp> {
    match track {
        Track::Level(Level::Firing { remind, .. }) => *remind,
        _ => None,
    }
}

/// A device that a silence rule watches, and that is not called silent yet.
struct Watched<'w> {
    rule: &'w Rule,
    effective: Effective<'w>,
    device: &'w str,
    known: &'w LastSeen,
    due: Timestamp,
}

fn watched<'w>(rules: &'w RuleSet, state: &'w ZoneState) -> impl Iterator<Item = Watched<'w>> {
    let silence_rules = rules.rules.iter().filter(|rule| rule.kind == Kind::Silence);
    silence_rules.flat_map(move |rule| {
        state.devices.iter().filter_map(move |(device, known)| {
            if matches!(state.track(&rule.id, device), Some(Track::Silence(_))) {
                return None;
            }
            let effective = rule.effective(&known.place.source())?;
            // What is known may be older than the truth by a quarter: rather late than wrong.
            let after = effective.after?;
            let due = known.at.checked_add(after + after / 4).ok()?;
            let due = effective.active.map_or(due, |active| active.next(due, &known.place.local_zone));
            Some(Watched { rule, effective, device, known, due })
        })
    })
}

impl Zone<'_> {
    /// Says again what lasts, where the rule asks for that and the time has come.
    fn remind(&mut self) {
        let now = self.now;
        let mut due = Vec::new();
        for (rule, devices) in &mut self.evaluation.state.tracks {
            for track in devices.values_mut() {
                let Track::Level(Level::Firing { alert: Some(alert), remind, held: false, .. }) = track else {
                    continue;
                };
                if remind.is_none_or(|remind| remind > now) {
                    continue;
                }
                let known = self.rules.rules.iter().find(|known| known.id == *rule);
                let every = known.and_then(|rule| rule.effective(&alert.place.source())?.reminder);
                // A rule that asks for none any more gets none.
                *remind = every.and_then(|every| next_reminder(*remind, every, now));
                if every.is_some() {
                    due.push(Message::Reminder { alert: alert.clone(), at: now });
                }
            }
        }
        due.into_iter().for_each(|message| self.push(message));
    }

    fn raise_silences(&mut self) {
        let state = self.evaluation.state.clone();
        let (rules, now) = (self.rules, self.now);
        let is_active = |watched: &Watched<'_>| {
            let active = watched.effective.active;
            active.is_none_or(|active| active.contain(now, &watched.known.place.local_zone))
        };
        for watched in watched(rules, &state).filter(|watched| watched.due <= now && is_active(watched)) {
            let since = watched.known.at;
            let Watched { rule, effective, device, .. } = &watched;
            let alert = silence_alert(rule, effective, &watched.known.place, device, since, self.now);
            self.evaluation.state.set_track(&rule.id, device, Some(Track::Silence(Silence { since })));
            match self.evaluation.state.blocks.until(&alert, device, &effective.block) {
                Some(until) => self.block(alert, until),
                None => {
                    self.evaluation.alerts += 1;
                    self.evaluation.state.blocks.sent(&alert, device, LONGEST_BLOCK);
                    self.fire(vec![alert]);
                }
            }
        }
    }
}

/// The next reminder after one that was due at `last`; missed ones are not made up for.
fn next_reminder(last: Option<Timestamp>, every: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let next = last?.checked_add(every).ok()?;
    if next > now { Some(next) } else { now.checked_add(every).ok() }
}
