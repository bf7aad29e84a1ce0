//! The rule engine: a pure function of rules, zone state and readings. It returns the new state and the messages to send.
//!
//! Time is an argument. The same arguments give the same alerts with the same ids on every machine. A duplicate reading
//! changes nothing, and the result does not depend on how readings are cut into pushes.

#[cfg(test)]
mod answer_tests;
mod condition;
mod device_limit;
#[cfg(test)]
mod device_limit_tests;
#[cfg(test)]
mod engine_tests;
mod evaluation;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod followed_zone;
#[cfg(test)]
mod implausible_tests;
#[cfg(test)]
mod life_tests;
mod occurrences;
mod policy;
#[cfg(test)]
mod recipient_tests;
#[cfg(test)]
mod response_tests;
mod suppression;
mod sweep;
#[cfg(test)]
mod sweep_tests;
mod threshold;
mod zone;

use std::collections::HashSet;

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};

use self::device_limit::DeviceLimit;
use self::evaluation::ZoneEvaluator;
pub use self::evaluation::{Evaluation, EvaluationStats};
pub use self::policy::Policies;
pub use self::sweep::{expects_readings, next_due, sweep};
use super::alert::Message;
use super::alert::notice::Notice;
use super::reading::Reading;
use super::response::Response;
use super::rules::RuleSet;
use super::state::{DedupWindow, OutboxEntry, ZoneState};

/// The greatest lead of a device's clock. A reading from further in the future counts as of its receipt.
pub const TOLERATED_LEAD: SignedDuration = SignedDuration::from_mins(5);

/// Most devices of a zone with state. A zone is one room, and the state of 2,000 devices fits into a DynamoDB item of
/// 400 KB. In a full zone, a new device evicts the one that was idle for longest, if that is 30 days and nothing of it is
/// firing, pending, suppressed or watched for silence.
pub const DEVICES_PER_ZONE: usize = 2_000;

/// Evaluates readings of one zone, in any order. `received` is the time of their first receipt.
///
/// # Examples
/// ```
/// use domain::engine::evaluate;
/// use domain::reading::Reading;
/// use domain::rules::RuleSet;
/// use domain::state::ZoneState;
///
/// let text = r#"{"DevType":"SS","DEVID":"d1","InsID":"z1","time":"2026-11-23T10:00:00Z","v":{"p":3}}"#;
/// let reading = Reading::read(text)?;
/// let now = "2026-11-23T10:00:05Z".parse()?;
/// let evaluation = evaluate(&RuleSet::pack(), ZoneState::default(), &[&reading], now, now);
/// assert_eq!(evaluation.stats.alerts, 1);
///
/// let repeated = evaluate(&RuleSet::pack(), evaluation.state, &[&reading], now, now);
/// assert_eq!((repeated.stats.duplicates, repeated.stats.alerts), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn evaluate(
    rules: &RuleSet,
    state: ZoneState,
    readings: &[&Reading<'_>],
    received: Timestamp,
    now: Timestamp,
) -> Evaluation {
    let mut stats = EvaluationStats::default();
    let mut timed: Vec<(Timestamp, &Reading<'_>)> = Vec::with_capacity(readings.len());
    for reading in readings {
        let at = counts_at(reading.time, received);
        if is_stale(rules, at, received) {
            stats.stale += 1;
        } else {
            stats.early += usize::from(reading.time.is_some_and(|time| time > at));
            timed.push((at, reading));
        }
    }
    // Stable: readings of the same time stay in the order in which they were sent.
    timed.sort_by_key(|(at, _)| *at);
    let mut devices = DeviceLimit::new(rules, &state, timed.len());
    let has_known_readings = !state.dedup_window.is_empty();
    let mut evaluation = Evaluation { state, stats, ..Evaluation::default() };
    let mut policies = Policies::new(rules);
    let mut zone = ZoneEvaluator { rules, evaluation: &mut evaluation, received, now };
    // By text alone: the same reading without a usable time counts as of another time when it is repeated.
    let mut texts: HashSet<&str, RandomState> = HashSet::default();
    for (at, reading) in timed {
        let device = reading.source.device.as_deref().unwrap_or_default();
        let window = &zone.evaluation.state.dedup_window;
        // Readings of this evaluation are compared by text. An id, which is a SHA-256, is needed only for older ones.
        let is_known = has_known_readings && window.contains(DedupWindow::fingerprint(&reading.id()));
        if is_known || !texts.insert(reading.text) {
            zone.evaluation.stats.duplicates += 1;
        } else if window.is_late(at) {
            zone.evaluation.stats.late += 1;
        } else if devices.admits(device, at, &zone.evaluation.state) {
            zone.evaluation.stats.implausible += reading.implausible();
            zone.evaluate(reading, at, policies.policy(&reading.source));
            devices.record(device, &mut zone.evaluation.state);
        } else {
            zone.evaluation.stats.over_device_limit += 1;
        }
    }
    zone.revoke_escalations();
    evaluation
}

/// The time as of which a reading counts: its event time, or its receipt if it has none or is from the future.
#[must_use]
pub fn counts_at(time: Option<Timestamp>, received: Timestamp) -> Timestamp {
    time.filter(|time| time.duration_since(received) <= TOLERATED_LEAD).unwrap_or(received)
}

/// Whether a reading that counts as of `at` was too old for an alert at its first receipt.
#[must_use]
pub fn is_stale(rules: &RuleSet, at: Timestamp, received: Timestamp) -> bool {
    received.duration_since(at) > rules.max_age
}

/// Applies what people did in the zone, in any order: open alerts are answered. After a cleaning, sums and counts restart, and
/// breaches are resolved. `received` is the time of their first receipt. A repeated response changes nothing.
#[must_use]
pub fn respond(
    rules: &RuleSet,
    state: ZoneState,
    responses: &[&Response],
    received: Timestamp,
    now: Timestamp,
) -> Evaluation {
    let mut evaluation = Evaluation { state, ..Evaluation::default() };
    let mut zone = ZoneEvaluator { rules, evaluation: &mut evaluation, received, now };
    let mut responses = responses.to_vec();
    responses.sort_by_key(|response| response.at());
    responses.into_iter().for_each(|response| zone.respond(response));
    zone.revoke_escalations();
    evaluation
}

/// Makes the message of a notice, once for each cause: the dedup window contains its id.
#[must_use]
pub fn announce(state: ZoneState, notice: &Notice, now: Timestamp) -> Evaluation {
    let mut evaluation = Evaluation { state, ..Evaluation::default() };
    let id = notice.id();
    if !evaluation.state.dedup_window.contains(DedupWindow::fingerprint(&id)) {
        evaluation.state.dedup_window.insert(now, &id);
        evaluation.messages.push(OutboxEntry::new(Message::Notice(notice.clone()), Vec::new(), now));
    }
    evaluation
}
