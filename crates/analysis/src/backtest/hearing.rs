//! One set of rules in one zone: pushes as they were received, and between them the sweeps that came.

use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};

use super::arrivals::Arrivals;
use domain::alert::{Alert, Course, Message, SuppressionReason};
use domain::engine::{self, Evaluation, evaluate, next_due, sweep};
use domain::reading::{Reading, Source};
use domain::rules::{Blocked, Kind, RuleSet};
use domain::state::{Level, Track, ZoneState};

/// Sweeps come every minute, at its first moment.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What one push brought of one zone.
#[derive(Debug)]
pub(super) struct Visit<'t> {
    /// The push's number among those that are taken together.
    pub(super) push: usize,
    /// When the push was first received.
    pub(super) received: Timestamp,
    /// When cleanings of the zone ended.
    pub(super) cleanings: Vec<Timestamp>,
    /// Readings from the zone, in the order in which they were sent.
    pub(super) readings: Vec<&'t Reading<'t>>,
}

/// An alert that people were told of.
#[derive(Debug)]
pub(super) struct HeardAlert {
    pub(super) alert: Alert,
    /// What kind of rule raised it.
    pub(super) kind: Kind,
    /// Whether a block suppressed it, so that people were told later.
    pub(super) blocked: bool,
    /// When it was over, if it was when people were told.
    pub(super) over: Option<Timestamp>,
}

impl HeardAlert {
    /// Whether it lasts until something ends it.
    pub(super) fn lasts(&self) -> bool {
        matches!(self.kind, Kind::Threshold | Kind::Silence)
    }

    /// The first end of a cleaning that takes something away from what was counted for it, as far as the alert itself knows;
    /// `None` if cleanings take nothing away.
    pub(super) fn counted_from(&self) -> Option<Timestamp> {
        let counts = matches!(self.kind, Kind::Accumulate | Kind::Count | Kind::Reasons);
        counts.then_some(match self.alert.course {
            Course::Sum { since } => since,
            Course::AtOnce => self.alert.at,
            _ => Timestamp::MIN,
        })
    }
}

/// What people were told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) alerts: Vec<HeardAlert>,
    /// Alerts that were only counted.
    pub(super) counted: u64,
    /// Messages.
    pub(super) messages: u64,
}

/// A set of rules, and what is left of it while nothing arrives from anywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleSets<'r> {
    pub(super) rules: &'r RuleSet,
    pub(super) without_silences: &'r RuleSet,
}

impl RuleSets<'_> {
    /// Whether any rule is about what comes from `source`.
    pub(super) fn are_about(self, source: &Source<'_>) -> bool {
        self.rules.rules.iter().any(|rule| rule.effective(source).is_some())
    }
}

/// One set of rules in one zone.
#[derive(Debug)]
pub(super) struct Hearing<'r> {
    rules: RuleSets<'r>,
    state: ZoneState,
    /// Whether a cleaning finds the zone: it is known by its readings.
    is_known: bool,
}

impl<'r> Hearing<'r> {
    pub(super) fn new(rules: RuleSets<'r>) -> Self {
        Self { rules, state: ZoneState::default(), is_known: false }
    }

    /// Does what was done when the push came: the sweeps before it, its cleanings, then its readings. `readings` are those
    /// that a rule is about.
    pub(super) fn take(
        &mut self,
        visit: &Visit<'_>,
        readings: &[&Reading<'_>],
        arrivals: &Arrivals,
        heard: &mut Heard,
    ) {
        let received = visit.received;
        self.sweep_until(received, arrivals, heard);
        // A cleaning also finds a zone that its own push makes known, whatever the readings are about. The last one says what
        // those before it say.
        if let Some(at) = visit.cleanings.iter().max().filter(|_| self.is_known || !visit.readings.is_empty()) {
            self.is_known = true;
            let evaluation = engine::cleaned(self.rules.rules, std::mem::take(&mut self.state), *at, received);
            self.commit(evaluation, heard);
        }
        if !readings.is_empty() {
            self.is_known = true;
            let evaluation = evaluate(self.rules.rules, std::mem::take(&mut self.state), readings, received, received);
            self.commit(evaluation, heard);
        }
    }

    /// Tells what is still suppressed when the history ends. What a block suppresses can have to wait for active hours then.
    pub(super) fn end(&mut self, heard: &mut Heard) {
        let mut last = Timestamp::MIN;
        while let Some(until) = self.state.suppressed.due().filter(|until| *until > last) {
            last = next_minute(until);
            let evaluation = sweep(self.rules.rules, std::mem::take(&mut self.state), last, false);
            self.commit(evaluation, heard);
        }
    }

    /// When it was over what `rule` raised for `device` at `raised`; `None` while it lasts. Something came from the device at
    /// `now`, or its zone was cleaned.
    pub(super) fn over(&self, rule: &str, device: &str, raised: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self.state.track(rule, device) {
            Some(Track::Silence(_)) => None,
            Some(Track::Level(Level::Firing { since, .. })) if *since <= raised => None,
            // Of the breach after it only the beginning is known.
            Some(Track::Level(Level::Firing { since, .. } | Level::Pending { since, .. })) => Some(*since),
            Some(Track::Level(Level::Well { as_of })) => Some(*as_of),
            _ => Some(self.state.devices.get(device).map_or(now, |known| known.at)),
        }
    }

    /// Does what is due at the whole minutes up to `until`.
    fn sweep_until(&mut self, until: Timestamp, arrivals: &Arrivals, heard: &mut Heard) {
        let RuleSets { rules, without_silences } = self.rules;
        let mut earliest = Timestamp::MIN;
        while let Some(due) = next_due(rules, &self.state) {
            let now = next_minute(due).max(earliest);
            if now > until {
                return;
            }
            let is_quiet = arrivals.is_quiet(now, rules.quiet_after);
            let evaluation = sweep(rules, std::mem::take(&mut self.state), now, !is_quiet);
            self.commit(evaluation, heard);
            earliest = now.checked_add(SWEEP_EVERY).unwrap_or(Timestamp::MAX);
            if is_quiet {
                // Silences wait until something arrives. All else comes at its own time.
                let other = next_due(without_silences, &self.state);
                let Some(next) = other.into_iter().chain(arrivals.next(now)).min() else { return };
                earliest = earliest.max(next_minute(next));
            }
        }
    }

    /// Takes over the state, and notes what its messages tell.
    fn commit(&mut self, evaluation: Evaluation, heard: &mut Heard) {
        self.state = evaluation.state;
        heard.messages += evaluation.made.len() as u64;
        if self.rules.rules.blocked == Blocked::Counted {
            heard.counted += evaluation.blocked as u64;
        }
        let outbox = std::mem::take(&mut self.state.outbox);
        for entry in outbox.entries() {
            match &entry.message {
                Message::Firing { alerts, .. } => {
                    heard.alerts.extend(alerts.iter().map(|alert| self.heard(alert, false, None)));
                }
                Message::Suppressed { reason, alerts, more } => {
                    let blocked = *reason == SuppressionReason::Block;
                    heard.alerts.extend(alerts.iter().map(|known| self.heard(&known.alert, blocked, known.over)));
                    heard.counted += *more as u64;
                }
                Message::Resolved { .. } | Message::Reminder { .. } | Message::Notice(_) => {}
            }
        }
    }

    fn heard(&self, alert: &Alert, blocked: bool, over: Option<Timestamp>) -> HeardAlert {
        let rule = self.rules.rules.rules.iter().find(|rule| rule.id == alert.rule);
        HeardAlert { alert: alert.clone(), kind: rule.map_or(Kind::Threshold, |rule| rule.kind), blocked, over }
    }
}

/// The first whole minute from `at` on.
fn next_minute(at: Timestamp) -> Timestamp {
    let up = TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Ceil);
    at.round(up).unwrap_or(at)
}
