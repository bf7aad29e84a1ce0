//! The rule engine: a pure function from rules, what is remembered of a zone and new readings, to what is remembered
//! afterwards and the alerts.
//!
//! Time is an argument. The same arguments give the same alerts with the same ids, for ever and on every machine.

mod threshold;

use jiff::{SignedDuration, Timestamp};

use super::alert::Alert;
use super::reading::Reading;
use super::rules::RuleSet;
use super::state::ZoneState;
use super::time::age;

/// A clock may be ahead by this much; a reading from further in the future is taken to be from when it was received.
const TOLERATED_LEAD: SignedDuration = SignedDuration::from_mins(5);

/// What came of evaluating the readings of one zone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// What is remembered now.
    pub state: ZoneState,
    /// The alerts, in order of event time; those of one reading in the order of the rules.
    pub alerts: Vec<Alert>,
    /// Readings that were known already and changed nothing.
    pub duplicates: usize,
    /// Readings that were too old when first received: stored, and silent.
    pub stale: usize,
    /// Readings from the future, taken to be from when they were received.
    pub early: usize,
}

/// Evaluates readings of one zone, in any order, that were first received at `received`.
#[must_use]
pub fn evaluate(rules: &RuleSet, state: &ZoneState, readings: &[&Reading<'_>], received: Timestamp) -> Evaluation {
    let mut evaluation = Evaluation { state: state.clone(), ..Evaluation::default() };
    let mut timed: Vec<(Timestamp, &Reading<'_>)> = Vec::with_capacity(readings.len());
    for reading in readings {
        if !evaluation.state.remember(reading) {
            evaluation.duplicates += 1;
            continue;
        }
        let at = reading.time.unwrap_or(received);
        if age(at, received) > rules.max_age {
            evaluation.stale += 1;
        } else if age(at, received) < -TOLERATED_LEAD {
            evaluation.early += 1;
            timed.push((received, reading));
        } else {
            timed.push((at, reading));
        }
    }
    // By time; readings of one moment by their identity, so that their order in the push changes nothing.
    timed.sort_by_key(|(at, reading)| (*at, reading.id));
    for (at, reading) in timed {
        evaluation.alerts.extend(rules.rules.iter().filter_map(|rule| threshold::fire(rule, reading, at)));
    }
    evaluation
}
