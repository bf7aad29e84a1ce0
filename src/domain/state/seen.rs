//! Which readings have changed something, so that none does it twice.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::reading::ReadingId;

/// Most readings that are remembered of a zone.
const MOST: usize = 1024;

/// The readings of a zone that changed its state, the newest 1,024 of them by event time. What is forgotten raises the
/// low-water time: a reading at or below it is late, because nobody can say any more whether it is new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    readings: BTreeSet<(Timestamp, ReadingId)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    low_water: Option<Timestamp>,
}

impl Seen {
    /// Whether nothing was seen yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.low_water.is_none()
    }

    /// The readings that are remembered.
    pub fn ids(&self) -> impl Iterator<Item = ReadingId> {
        self.readings.iter().map(|(_, id)| *id)
    }

    /// Whether a reading of that time comes too late to change anything.
    #[must_use]
    pub fn is_late(&self, at: Timestamp) -> bool {
        self.low_water.is_some_and(|low_water| at <= low_water)
    }

    /// Remembers a reading, and forgets the oldest where there are too many.
    pub fn insert(&mut self, at: Timestamp, id: ReadingId) {
        self.readings.insert((at, id));
        while self.readings.len() > MOST {
            if let Some((oldest, _)) = self.readings.pop_first() {
                self.raise_low_water(oldest);
            }
        }
    }

    /// From now on readings at or below `at` are late.
    pub fn raise_low_water(&mut self, at: Timestamp) {
        self.low_water = self.low_water.max(Some(at));
        // Those at or below it need no remembering.
        while self.readings.first().is_some_and(|(oldest, _)| *oldest <= at) {
            self.readings.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Digest;

    fn second(number: i64) -> Timestamp {
        Timestamp::from_second(number).unwrap()
    }

    fn id(number: i64) -> ReadingId {
        Digest::of(&number.to_be_bytes())
    }

    fn knows(seen: &Seen, number: i64) -> bool {
        seen.ids().any(|known| known == id(number))
    }

    #[test]
    fn the_newest_1024_are_remembered_and_older_ones_are_late() {
        let mut seen = Seen::default();
        (1..=1024).for_each(|number| seen.insert(second(number), id(number)));
        assert!(knows(&seen, 1) && !seen.is_late(second(1)));
        seen.insert(second(1025), id(1025));
        assert!(!knows(&seen, 1) && seen.is_late(second(1)));
        assert!(knows(&seen, 2) && !seen.is_late(second(2)));
    }

    #[test]
    fn forgetting_one_of_two_at_the_same_moment_makes_both_late() {
        let mut seen = Seen::default();
        seen.insert(second(1), id(-1));
        (1..=1024).for_each(|number| seen.insert(second(number), id(number)));
        assert!(seen.is_late(second(1)) && !seen.is_late(second(2)));
        assert!(!knows(&seen, 1) && !knows(&seen, -1));
    }
}
