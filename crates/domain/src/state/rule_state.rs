//! The state of one rule for one device.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::accumulator::Accumulator;
use crate::alert::Alert;
use crate::severity::Severity;

/// The state of one rule for one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RuleState {
    /// Of a threshold rule.
    Threshold(ThresholdState),
    /// Of an accumulate rule.
    Accumulator(Accumulator),
    /// Of a count or reasons rule.
    Occurrences(OccurrenceCounter),
    /// Of a silence rule that has fired.
    NoData(NoData),
}

/// The state of a threshold rule. Readings before `as_of` are too late to change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ThresholdState {
    /// The limit is breached, not yet for long enough.
    Pending {
        /// The time of the first reading of this breach.
        since: Timestamp,
        /// The time of the last reading of it.
        as_of: Timestamp,
    },
    /// The rule fired, and the breach lasts.
    Firing {
        /// The time of the first reading of this breach.
        since: Timestamp,
        /// The time of the reading that last changed the state.
        as_of: Timestamp,
        /// The worst severity of this breach.
        severity: Severity,
        /// The last alert that was sent, for reminders and the resolved notice; absent if the rule sends neither.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        announced: Option<Box<Alert>>,
        /// When the next reminder is due.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        remind: Option<Timestamp>,
        /// When its device last sent something, at most a quarter of the shortest silence too early; absent if the rule has no
        /// reminders.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        heard: Option<Timestamp>,
        /// Whether the last alert is suppressed.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        suppressed: bool,
    },
    /// The breach is over. Kept so that an older reading that arrives late does not fire the rule again.
    Resolved {
        /// The time of the reading or the cleaning that ended the breach.
        as_of: Timestamp,
        /// The time of the first reading of the breach; `None` after a cleaning.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        since: Option<Timestamp>,
        /// The worst severity of the breach; `None` if it did not fire.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        severity: Option<Severity>,
    },
}

impl RuleState {
    /// The time of the newest reading in the state.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        match self {
            Self::Threshold(threshold) => Some(threshold.as_of()),
            Self::Accumulator(accumulator) => accumulator.newest(),
            Self::Occurrences(counter) => {
                counter.times.values().flatten().chain(counter.restarted.values()).max().copied()
            }
            Self::NoData(no_data) => Some(no_data.since),
        }
    }
}

impl ThresholdState {
    /// The time of the reading that last changed the state.
    #[must_use]
    pub fn as_of(&self) -> Timestamp {
        match self {
            Self::Pending { as_of, .. } | Self::Firing { as_of, .. } | Self::Resolved { as_of, .. } => *as_of,
        }
    }
}

/// The occurrences of a count or reasons rule, by reason. Occurrences without a reason have the empty one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OccurrenceCounter {
    /// The times of the occurrences, ascending.
    pub times: BTreeMap<String, Vec<Timestamp>>,
    /// When counting last restarted. Occurrences at or before that do not count.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub restarted: BTreeMap<String, Timestamp>,
}

impl OccurrenceCounter {
    /// Restarts the counts of these reasons at `at`: people are done with the alert about them.
    pub fn end(&mut self, reasons: &[String], at: Timestamp) {
        for reason in reasons {
            self.times.entry(reason.clone()).or_default().retain(|time| *time > at);
            let restarted = self.restarted.entry(reason.clone()).or_insert(at);
            *restarted = at.max(*restarted);
        }
        self.times.retain(|_, times| !times.is_empty());
    }

    /// Removes the occurrences up to a cleaning at `at`. `None` if nothing is left.
    #[must_use]
    pub fn clean(mut self, at: Timestamp) -> Option<Self> {
        self.times.values_mut().for_each(|times| times.retain(|time| *time > at));
        self.times.retain(|_, times| !times.is_empty());
        self.restarted.retain(|_, restarted| *restarted > at);
        (!self.times.is_empty() || !self.restarted.is_empty()).then_some(self)
    }
}

/// A device that sends nothing, for which the silence rule has fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoData {
    /// When it last sent something.
    pub since: Timestamp,
    /// Whether the alert is suppressed.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub suppressed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * number).unwrap()
    }

    #[test]
    fn a_cleaning_removes_the_occurrences_up_to_it() {
        let mut counter = OccurrenceCounter::default();
        counter.times.insert("smell".into(), vec![minute(1), minute(5), minute(6)]);
        counter.times.insert("wet".into(), vec![minute(2), minute(5)]);
        counter.restarted.insert("smell".into(), minute(5));
        counter.restarted.insert("wet".into(), minute(7));
        let left = counter.clone().clean(minute(5)).unwrap();
        assert_eq!(left.times, [("smell".into(), vec![minute(6)])].into());
        assert_eq!(left.restarted, [("wet".into(), minute(7))].into());
        let left = counter.clone().clean(minute(6)).unwrap();
        assert!(left.times.is_empty() && left.restarted.len() == 1);
        counter.restarted.clear();
        assert_eq!(counter.clone().clean(minute(5)).unwrap().times.len(), 1);
        assert_eq!(counter.clean(minute(6)), None);
    }
}
