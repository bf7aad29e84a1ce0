//! The rule engine: a pure function from rules, what is remembered of a zone and new readings, to what is remembered
//! afterwards, the messages to be sent among it.
//!
//! Time is an argument. The same arguments give the same alerts with the same ids, for ever and on every machine. A
//! reading that was evaluated before changes nothing, and it does not matter how readings are cut into pushes.

mod device_limit;
#[cfg(test)]
mod device_limit_tests;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod implausible_tests;
mod judge;
mod level;
mod occurrences;
mod policy;
mod restart;
mod suppression;
mod sweep;
mod zone;

use std::collections::HashSet;
use std::ops::AddAssign;

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};

use self::device_limit::DeviceLimit;
pub use self::judge::deviation;
pub use self::policy::Policies;
pub use self::sweep::{awaits, next_due, sweep};
use self::zone::Zone;
use super::alert::Message;
use super::alert::notice::Notice;
use super::reading::Reading;
use super::rules::RuleSet;
use super::state::{DedupWindow, OutboxEntry, ZoneState};

/// A clock may be ahead by this much; a reading from further in the future is taken to be from when it was received.
pub const TOLERATED_LEAD: SignedDuration = SignedDuration::from_mins(5);

/// Most devices of a zone whose rule state is kept. A zone is one room; a document of so many devices is still within the
/// 400 KB of a DynamoDB item. In a full zone, the device that was heard longest ago makes room for another one if that was
/// 30 days ago, and nothing of it fires or waits.
pub const DEVICES_PER_ZONE: usize = 2_000;

/// The result of evaluating readings of one zone, or another change of its state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The state afterwards.
    pub state: ZoneState,
    /// Messages that this made. They are not in the outbox of `state` yet: who commits it puts them there.
    pub messages: Vec<OutboxEntry>,
    /// Counts.
    pub stats: EvaluationStats,
}

/// Counts of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluationStats {
    /// Alerts that messages raise.
    pub alerts: usize,
    /// Alerts that are suppressed, for any reason.
    pub suppressed: usize,
    /// Those among them that a block suppresses.
    pub blocked: usize,
    /// Readings that were known already and changed nothing.
    pub duplicates: usize,
    /// Readings that came too late to be told from known ones, and changed nothing.
    pub late: usize,
    /// Readings of devices beyond [`DEVICES_PER_ZONE`]: stored, and silent.
    pub over_device_limit: usize,
    /// Readings that were too old when first received: stored, and silent.
    pub stale: usize,
    /// Readings from the future, taken to be from when they were received.
    pub early: usize,
    /// Values that no such sensor can measure: sensor errors, which were not compared with limits.
    pub implausible: usize,
}

impl AddAssign for EvaluationStats {
    fn add_assign(&mut self, other: Self) {
        self.alerts += other.alerts;
        self.suppressed += other.suppressed;
        self.blocked += other.blocked;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.over_device_limit += other.over_device_limit;
        self.stale += other.stale;
        self.early += other.early;
        self.implausible += other.implausible;
    }
}

/// Evaluates readings of one zone, in any order, that were first received at `received`; it is `now`.
#[must_use]
pub fn evaluate(
    rules: &RuleSet,
    state: ZoneState,
    readings: &[&Reading<'_>],
    received: Timestamp,
    now: Timestamp,
) -> Evaluation {
    let mut timed: Vec<(Timestamp, &Reading<'_>)> = Vec::with_capacity(readings.len());
    let (mut stale, mut early) = (0, 0);
    for reading in readings {
        let at = counts_at(reading.time, received);
        if is_stale(rules, at, received) {
            stale += 1;
        } else {
            early += usize::from(reading.time.is_some_and(|time| time > at));
            timed.push((at, reading));
        }
    }
    // Stable: readings of one moment stay in the order in which they were sent.
    timed.sort_by_key(|(at, _)| *at);
    let mut evaluation = evaluate_in_order(rules, state, timed, now);
    evaluation.stats.stale = stale;
    evaluation.stats.early = early;
    evaluation
}

/// The moment as of which a reading counts: its own time, but the receipt where it has none or is from the future.
#[must_use]
pub fn counts_at(time: Option<Timestamp>, received: Timestamp) -> Timestamp {
    time.filter(|time| time.duration_since(received) <= TOLERATED_LEAD).unwrap_or(received)
}

/// Whether a reading that counts as of `at` was too old to alert when it was first received.
#[must_use]
pub fn is_stale(rules: &RuleSet, at: Timestamp, received: Timestamp) -> bool {
    received.duration_since(at) > rules.max_age
}

/// Evaluates readings of one zone, each at the moment as of which it counts, in the order in which they are given.
#[must_use]
pub fn evaluate_in_order<'r, 't: 'r>(
    rules: &RuleSet,
    state: ZoneState,
    readings: impl IntoIterator<Item = (Timestamp, &'r Reading<'t>)>,
    now: Timestamp,
) -> Evaluation {
    let readings = readings.into_iter();
    let mut devices = DeviceLimit::new(rules, &state, readings.size_hint().1);
    let mut evaluation = Evaluation { state, ..Evaluation::default() };
    let mut policies = Policies::new(rules);
    let mut zone = Zone::new(rules, &mut evaluation, now);
    // By what it says alone: a reading that names no usable time, or one in the future, comes at another time when it is
    // repeated.
    let mut taken: HashSet<&str, RandomState> = HashSet::default();
    for (at, reading) in readings {
        let device = reading.source.device.as_deref().unwrap_or_default();
        let seen = &zone.evaluation.state.dedup_window;
        // Where nothing is remembered, nothing is looked for, and no identity has to be made for it.
        let is_known = !seen.is_empty() && seen.knows(DedupWindow::fingerprint(&reading.id()));
        if is_known || !taken.insert(reading.text) {
            zone.evaluation.stats.duplicates += 1;
        } else if zone.evaluation.state.dedup_window.is_late(at) {
            zone.evaluation.stats.late += 1;
        } else if devices.admits(device, at, &zone.evaluation.state) {
            zone.evaluation.stats.implausible += reading.implausible();
            zone.take(reading, at, policies.of(&reading.source));
            devices.note(device, &mut zone.evaluation.state);
        } else {
            zone.evaluation.stats.over_device_limit += 1;
        }
    }
    evaluation
}

/// Notes that a zone was cleaned at `at`: sums start again, and what was raised is over.
#[must_use]
pub fn cleaned(rules: &RuleSet, state: ZoneState, at: Timestamp, now: Timestamp) -> Evaluation {
    let mut evaluation = Evaluation { state, ..Evaluation::default() };
    Zone::new(rules, &mut evaluation, now).cleaned(at);
    evaluation
}

/// Makes a notice about the program itself, once for each cause. What was made is remembered as readings are.
#[must_use]
pub fn announce(state: ZoneState, notice: &Notice, now: Timestamp) -> Evaluation {
    let mut evaluation = Evaluation { state, ..Evaluation::default() };
    let id = notice.id();
    if !evaluation.state.dedup_window.knows(DedupWindow::fingerprint(&id)) {
        evaluation.state.dedup_window.insert(now, &id);
        evaluation.messages.push(OutboxEntry::new(Message::Notice(notice.clone()), now));
    }
    evaluation
}
