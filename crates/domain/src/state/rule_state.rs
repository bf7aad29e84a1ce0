//! Where a rule stands with a device.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::accumulator::Accumulator;
use crate::alert::Alert;
use crate::severity::Severity;

/// Where a rule stands with a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RuleState {
    /// A threshold.
    Threshold(ThresholdState),
    /// Values that are added up towards a limit.
    Accumulator(Accumulator),
    /// Occurrences that are counted.
    Occurrences(OccurrenceCounter),
    /// A device that fell silent.
    NoData(NoData),
}

/// Where a threshold stands. Readings at or before `as_of` come too late for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ThresholdState {
    /// The limit is broken, not yet for as long as the rule asks.
    Pending {
        /// The first reading of this breach.
        since: Timestamp,
        /// The last one.
        as_of: Timestamp,
    },
    /// The alert was raised, and the limit has not been kept since.
    Firing {
        /// The first reading of this breach.
        since: Timestamp,
        /// The reading that last changed something.
        as_of: Timestamp,
        /// The worst severity that was raised.
        severity: Severity,
        /// The last alert that people were told of, for reminders and the resolved notice; absent if the rule asks for
        /// neither.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        announced: Option<Box<Alert>>,
        /// When a reminder is due.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        remind: Option<Timestamp>,
        /// When its device last sent something, as far as that is kept; absent if the rule asks for no reminder.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        heard: Option<Timestamp>,
        /// Whether the last alert is suppressed, so that nobody was told of it yet.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        suppressed: bool,
    },
    /// All is well since `as_of`. Remembered, so that an older reading that comes late does not raise it again.
    Resolved {
        /// The reading that ended the breach.
        as_of: Timestamp,
    },
}

impl RuleState {
    /// The time of the newest reading that it knows of.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        match self {
            Self::Threshold(level) => Some(level.as_of()),
            Self::Accumulator(accumulator) => accumulator.newest(),
            Self::Occurrences(counter) => {
                counter.times.values().flatten().chain(counter.restarted.values()).max().copied()
            }
            Self::NoData(no_data) => Some(no_data.since),
        }
    }
}

impl ThresholdState {
    /// The reading that last changed something.
    #[must_use]
    pub fn as_of(&self) -> Timestamp {
        match self {
            Self::Pending { as_of, .. } | Self::Firing { as_of, .. } | Self::Resolved { as_of } => *as_of,
        }
    }
}

/// Occurrences that are counted, by reason; without reasons, under the empty one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OccurrenceCounter {
    /// When each happened, in order.
    pub times: BTreeMap<String, Vec<Timestamp>>,
    /// When each reason last restarted; occurrences at or before that do not count any more.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub restarted: BTreeMap<String, Timestamp>,
}

impl OccurrenceCounter {
    /// What is left of it after a cleaning at `at`; `None` where nothing is.
    #[must_use]
    pub fn after(mut self, at: Timestamp) -> Option<Self> {
        self.times.values_mut().for_each(|times| times.retain(|time| *time > at));
        self.times.retain(|_, times| !times.is_empty());
        self.restarted.retain(|_, restarted| *restarted > at);
        (!self.times.is_empty() || !self.restarted.is_empty()).then_some(self)
    }
}

/// A device that fell silent, and whose silence was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoData {
    /// When it was last heard of.
    pub since: Timestamp,
    /// Whether its alert is suppressed, and nobody believes that the device is silent.
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
    fn a_cleaning_takes_what_was_counted_up_to_it() {
        let mut counter = OccurrenceCounter::default();
        counter.times.insert("smell".into(), vec![minute(1), minute(5), minute(6)]);
        counter.times.insert("wet".into(), vec![minute(2), minute(5)]);
        counter.restarted.insert("smell".into(), minute(5));
        counter.restarted.insert("wet".into(), minute(7));
        let left = counter.clone().after(minute(5)).unwrap();
        assert_eq!(left.times, [("smell".into(), vec![minute(6)])].into());
        assert_eq!(left.restarted, [("wet".into(), minute(7))].into());
        let left = counter.clone().after(minute(6)).unwrap();
        assert!(left.times.is_empty() && left.restarted.len() == 1);
        counter.restarted.clear();
        assert_eq!(counter.clone().after(minute(5)).unwrap().times.len(), 1);
        assert_eq!(counter.after(minute(6)), None);
    }
}
