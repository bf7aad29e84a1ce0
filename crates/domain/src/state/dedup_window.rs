//! Which readings have changed something, so that none does it twice.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::packed;
use crate::reading::ReadingId;

/// Most readings that are remembered of a zone.
const MOST: usize = 1024;

/// What tells a reading from the others of its zone: the first 8 bytes of its id. Of 1,024 remembered ones a new one is
/// mistaken for known once in 2⁵⁴ readings; and what is written with every reading that counts is a third of what it would
/// be with the ids.
pub type Fingerprint = u64;

/// A reading as it is remembered: its time in milliseconds since 1970, rounded up, and its fingerprint.
pub(super) type CountedReading = (i64, Fingerprint);

/// The readings of a zone that changed its state, the newest 1,024 of them by event time. What is forgotten raises the
/// low-water time: a reading at or below it is late, because nobody can say any more whether it is new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupWindow {
    /// Ascending, each once. One piece of memory: it is read, copied, compared and written with every reading that counts.
    #[serde(with = "packed")]
    readings: Vec<CountedReading>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    low_water: Option<Timestamp>,
}

impl DedupWindow {
    /// Whether nothing was window yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.low_water.is_none()
    }

    /// How many readings are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.readings.len()
    }

    /// By what a reading of this id is known.
    #[must_use]
    pub fn fingerprint(id: &ReadingId) -> Fingerprint {
        id.as_bytes().iter().take(8).fold(0, |fingerprint, byte| fingerprint << 8 | Fingerprint::from(*byte))
    }

    /// Whether a reading of this fingerprint is remembered.
    #[must_use]
    pub fn knows(&self, fingerprint: Fingerprint) -> bool {
        self.readings.iter().any(|(_, known)| *known == fingerprint)
    }

    /// Whether a reading of that time comes too late to change anything.
    #[must_use]
    pub fn is_late(&self, at: Timestamp) -> bool {
        self.low_water.is_some_and(|low_water| at <= low_water)
    }

    /// Remembers a reading, and forgets the oldest where there are too many.
    ///
    /// Its time is remembered in whole milliseconds, rounded up: once it is forgotten, it is late.
    pub fn insert(&mut self, at: Timestamp, id: &ReadingId) {
        let reading = (in_milliseconds(at), Self::fingerprint(id));
        // Nearly always at the end.
        if let Err(index) = self.readings.binary_search(&reading) {
            self.readings.insert(index, reading);
        }
        if let Some(surplus) = self.readings.len().checked_sub(MOST).filter(|surplus| *surplus > 0) {
            self.forget_up_to(self.readings[surplus - 1].0);
        }
    }

    /// Forgets readings of that time, in milliseconds, and older ones: from now on they are late.
    fn forget_up_to(&mut self, time: i64) {
        let older = self.readings.partition_point(|(known, _)| *known <= time);
        self.readings.drain(..older);
        self.low_water = self.low_water.max(Timestamp::from_millisecond(time).ok());
    }
}

/// `at` in whole milliseconds since 1970, rounded up.
pub(super) fn in_milliseconds(at: Timestamp) -> i64 {
    // The conversion cuts towards 1970.
    let up = i64::from(at.subsec_nanosecond() % 1_000_000 > 0);
    (at.as_millisecond() + up).min(Timestamp::MAX.as_millisecond())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::digest::Digest;

    fn second(number: i64) -> Timestamp {
        Timestamp::from_second(number).unwrap()
    }

    fn id(number: i64) -> ReadingId {
        Digest::of(&number.to_be_bytes())
    }

    fn knows(window: &DedupWindow, number: i64) -> bool {
        window.knows(DedupWindow::fingerprint(&id(number)))
    }

    #[test]
    fn the_newest_1024_are_remembered_and_older_ones_are_late() {
        let mut window = DedupWindow::default();
        (1..=1024).for_each(|number| window.insert(second(number), &id(number)));
        assert!(knows(&window, 1) && !window.is_late(second(1)));
        window.insert(second(1025), &id(1025));
        assert!(!knows(&window, 1) && window.is_late(second(1)));
        assert!(knows(&window, 2) && !window.is_late(second(2)));
    }

    #[test]
    fn forgetting_one_of_two_at_the_same_moment_makes_both_late() {
        let mut window = DedupWindow::default();
        window.insert(second(1), &id(-1));
        (1..=1024).for_each(|number| window.insert(second(number), &id(number)));
        assert!(window.is_late(second(1)) && !window.is_late(second(2)));
        assert!(!knows(&window, 1) && !knows(&window, -1));
    }

    #[test]
    fn what_is_forgotten_is_late_also_within_its_millisecond() {
        let at = second(1).checked_add(SignedDuration::from_nanos(7)).unwrap();
        let mut window = DedupWindow::default();
        window.insert(at, &id(0));
        (2..=1025).for_each(|number| window.insert(second(number), &id(number)));
        assert!(!knows(&window, 0) && window.is_late(at));
    }

    #[test]
    fn a_reading_takes_fifteen_characters_of_what_is_written() {
        let mut window = DedupWindow::default();
        (0..1024).for_each(|number| window.insert(second(1_788_220_800 + 60 * number), &id(number)));
        let text = serde_json::to_string(&window).unwrap();
        assert!(text.len() < 1024 * 15, "{}", text.len());
        assert_eq!(serde_json::from_str::<DedupWindow>(&text).unwrap(), window);
    }

    #[test]
    fn what_is_no_list_of_readings_is_refused() {
        for readings in ["7", r#""%""#, r#""AAAA""#, r#""////////////////""#, r#"[[1,"7"]]"#] {
            let text = format!(r#"{{"readings":{readings}}}"#);
            assert!(serde_json::from_str::<DedupWindow>(&text).is_err(), "{text}");
        }
    }
}
