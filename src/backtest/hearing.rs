//! One set of rules in one zone: readings in the order of events, and between them the sweeps that would have come.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};

use super::arrivals::Arrivals;
use crate::domain::alert::{Alert, Message, SuppressionReason};
use crate::domain::engine::{self, Evaluation, Policies, evaluate_in_order, is_stale, next_due, sweep};
use crate::domain::reading::Reading;
use crate::domain::rules::{Blocked, Kind, Rule, RuleSet};
use crate::domain::state::ZoneState;

/// Sweeps come every minute, at its first moment.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Something that happened in a zone.
#[derive(Clone, Copy)]
pub(super) enum Event<'t> {
    /// A reading, at the moment as of which it counts.
    Reading { at: Timestamp, received: Timestamp, reading: &'t Reading<'t> },
    /// A cleaning was finished at `at`, and reported at `turn`.
    Cleaned { at: Timestamp, turn: Timestamp },
}

impl Event<'_> {
    fn turn(&self) -> Timestamp {
        match self {
            Self::Reading { at, .. } => *at,
            Self::Cleaned { turn, .. } => *turn,
        }
    }
}

/// What rules said, one thing after the other.
#[derive(Debug)]
pub(super) enum Word {
    /// An alert. `lasts` is whether it is said when it is over; `blocked` whether a block held it back.
    Alert { alert: Alert, lasts: bool, blocked: bool },
    /// What the alerts of this one's rule told of its device is over.
    Over { alert: Alert, at: Timestamp },
}

/// What rules said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) words: Vec<Word>,
    /// Alerts that were only counted.
    pub(super) counted: u64,
    /// Messages that people would have got.
    pub(super) messages: u64,
    /// Readings that were too old to alert when they came.
    pub(super) stale: u64,
}

/// One set of rules in one zone.
#[derive(Debug)]
pub(super) struct Hearing<'r> {
    /// The rules as they are.
    asked: &'r RuleSet,
    /// The same, but that all of them [say when something is over](told_when_over).
    rules: &'r RuleSet,
    state: ZoneState,
    /// What is due after a reading is due no sooner than this, blocks aside: so many readings are judged in one go.
    at_once: SignedDuration,
}

impl<'r> Hearing<'r> {
    pub(super) fn new(asked: &'r RuleSet, rules: &'r RuleSet) -> Self {
        let waits = |rule: &'r Rule| {
            let settings = std::iter::once(&rule.settings).chain(rule.overrides.iter().map(|(_, settings)| settings));
            settings.flat_map(|settings| [settings.reminder, settings.after]).flatten()
        };
        let is_active_by_hours = |rule: &Rule| {
            let overrides = rule.overrides.iter().map(|(_, settings)| settings);
            std::iter::once(&rule.settings).chain(overrides).any(|settings| settings.active.is_some())
        };
        let at_once = match rules.rules.iter().any(is_active_by_hours) {
            // Hours are asked at the time of each reading.
            true => SignedDuration::ZERO,
            false => rules.rules.iter().flat_map(waits).min().unwrap_or(SignedDuration::MAX),
        };
        Self { asked, rules, state: ZoneState::default(), at_once }
    }

    /// Takes what happened before `until`, in order. What is due until then and after the last of it is due with the next
    /// call.
    pub(super) fn take(&mut self, events: &[Event<'_>], arrivals: &Arrivals, heard: &mut Heard) {
        let mut rest = events;
        while let Some(first) = rest.first() {
            self.sweep_until(first.turn(), arrivals, heard);
            let count = match first {
                Event::Cleaned { at, turn } => {
                    let evaluation = engine::cleaned(self.rules, &self.state, *at, *turn);
                    self.settle(evaluation, heard);
                    1
                }
                Event::Reading { at, .. } => self.judge(rest, *at, heard),
            };
            rest = &rest[count..];
        }
    }

    /// Says what a block still holds back when the history ends.
    pub(super) fn end(&mut self, heard: &mut Heard) {
        if let Some(until) = self.state.suppressed.due() {
            let evaluation = sweep(self.rules, &self.state, until, false);
            self.settle(evaluation, heard);
        }
    }

    /// Judges readings up to the next thing that is not one, or that could come in between. How many.
    fn judge(&mut self, events: &[Event<'_>], first: Timestamp, heard: &mut Heard) -> usize {
        let end = first.checked_add(self.at_once).unwrap_or(Timestamp::MAX);
        let end = next_due(self.rules, &self.state).map_or(end, |due| end.min(next_minute(due)));
        let mut policies = Policies::new(self.rules);
        let mut readings = Vec::new();
        let mut count = 0;
        for event in events {
            let Event::Reading { at, received, reading } = event else { break };
            // The first one in any case: what was due before it is done.
            if count > 0 && *at >= end {
                break;
            }
            count += 1;
            if is_stale(self.rules, *at, *received) {
                heard.stale += 1;
            } else if policies.are_interested_in(&reading.source) {
                readings.push((*at, *reading));
            }
        }
        if let Some((now, _)) = readings.last() {
            let now = *now;
            let state = std::mem::take(&mut self.state);
            let evaluation = evaluate_in_order(self.rules, state, readings, now);
            self.settle(evaluation, heard);
        }
        count
    }

    /// Does what is due at the whole minutes up to `until`.
    fn sweep_until(&mut self, until: Timestamp, arrivals: &Arrivals, heard: &mut Heard) {
        let mut earliest = Timestamp::MIN;
        while let Some(due) = next_due(self.rules, &self.state) {
            let now = next_minute(due).max(earliest);
            if now > until {
                return;
            }
            let is_quiet = arrivals.is_quiet(now, self.rules.quiet_after);
            let evaluation = sweep(self.rules, &self.state, now, !is_quiet);
            self.settle(evaluation, heard);
            // Silences that are held back wait until something arrives again; others are done, or wait for active hours.
            let resume = if is_quiet { arrivals.next(now) } else { now.checked_add(SWEEP_EVERY).ok() };
            let Some(resume) = resume else { return };
            earliest = next_minute(resume);
        }
    }

    /// Takes over what is remembered, and notes what was said.
    fn settle(&mut self, evaluation: Evaluation, heard: &mut Heard) {
        self.state = evaluation.state;
        heard.messages += evaluation.made.len() as u64;
        if self.rules.blocked == Blocked::Counted {
            heard.counted += evaluation.blocked as u64;
        }
        let outbox = std::mem::take(&mut self.state.outbox);
        for entry in outbox.entries() {
            match &entry.message {
                Message::Firing { alerts, .. } => {
                    heard.words.extend(alerts.iter().map(|alert| self.alert(alert, false)));
                }
                Message::Suppressed { reason, alerts, more } => {
                    for held in alerts {
                        heard.words.push(self.alert(&held.alert, *reason == SuppressionReason::Block));
                        heard.words.extend(held.over.map(|at| Word::Over { alert: held.alert.clone(), at }));
                    }
                    heard.counted += *more as u64;
                }
                Message::Resolved { alert, at } => {
                    // Who did not ask for it would not have got it.
                    heard.messages -= u64::from(!self.is_asked_for(alert));
                    heard.words.push(Word::Over { alert: (**alert).clone(), at: *at });
                }
                Message::Reminder { .. } | Message::Notice(_) => {}
            }
        }
    }

    fn alert(&self, alert: &Alert, blocked: bool) -> Word {
        let kind = self.rules.rules.iter().find(|rule| rule.id == alert.rule).map(|rule| rule.kind);
        let lasts = matches!(kind, Some(Kind::Threshold | Kind::Silence));
        Word::Alert { alert: alert.clone(), lasts, blocked }
    }

    /// Whether the rule itself says when it is over, at the place of this alert.
    fn is_asked_for(&self, alert: &Alert) -> bool {
        let rule = self.asked.rules.iter().find(|rule| rule.id == alert.rule);
        rule.and_then(|rule| rule.effective(&alert.place.source())).is_some_and(|effective| effective.resolved)
    }
}

/// The same rules, which all say when something is over: how long it lasted is worth knowing. Nothing else that they say
/// depends on it.
pub(super) fn told_when_over(rules: &RuleSet) -> RuleSet {
    let mut rules = rules.clone();
    for rule in &mut rules.rules {
        let overrides = rule.overrides.iter_mut().map(|(_, settings)| settings);
        std::iter::once(&mut rule.settings).chain(overrides).for_each(|settings| settings.resolved = Some(true));
    }
    rules
}

/// The first whole minute from `at` on.
fn next_minute(at: Timestamp) -> Timestamp {
    let up = TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Ceil);
    at.round(up).unwrap_or(at)
}
