//! The dedup window: the readings that changed the zone state, so that a duplicate changes nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::packed::{self, Packed, take_bytes};
use crate::reading::ReadingId;

/// Most readings in the window of a zone.
const MOST_READINGS: usize = 1024;

/// The first 8 bytes of a reading's id. With 1,024 readings in the window, a new reading is taken for a duplicate once in 2⁵⁴
/// times. The state is a third of its size with full ids.
pub type Fingerprint = u64;

impl Packed for Fingerprint {
    fn push(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_be_bytes());
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        take_bytes(bytes).map(Self::from_be_bytes)
    }
}

/// At most 1,024 readings that changed the state of a zone, the newest by event time. An evicted reading raises the low-water time. A
/// reading at or below that is late: it could be a duplicate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupWindow {
    /// Each with its time in milliseconds since 1970, rounded up. Ascending and unique. One allocation, because it is read, copied
    /// and written with every push.
    #[serde(with = "packed")]
    readings: Vec<(i64, Fingerprint)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    low_water: Option<Timestamp>,
}

impl DedupWindow {
    /// Whether no reading was ever inserted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.low_water.is_none()
    }

    /// The number of readings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.readings.len()
    }

    /// The fingerprint of the reading with this id.
    #[must_use]
    pub fn fingerprint(id: &ReadingId) -> Fingerprint {
        id.as_bytes().iter().take(8).fold(0, |fingerprint, byte| fingerprint << 8 | Fingerprint::from(*byte))
    }

    /// Whether the window contains the reading with this fingerprint.
    #[must_use]
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.readings.iter().any(|(_, known)| *known == fingerprint)
    }

    /// Whether a reading of that time is late.
    #[must_use]
    pub fn is_late(&self, at: Timestamp) -> bool {
        self.low_water.is_some_and(|low_water| at <= low_water)
    }

    /// Inserts a reading. If there are too many, evicts the oldest and all others of its millisecond. The time is rounded up to milliseconds, so that an evicted
    /// reading is late.
    pub fn insert(&mut self, at: Timestamp, id: &ReadingId) {
        let reading = (in_milliseconds(at), Self::fingerprint(id));
        if let Err(index) = self.readings.binary_search(&reading) {
            self.readings.insert(index, reading);
        }
        if let Some(surplus) = self.readings.len().checked_sub(MOST_READINGS).filter(|surplus| *surplus > 0) {
            self.evict_up_to(self.readings[surplus - 1].0);
        }
    }

    /// Evicts the readings of that time, in milliseconds, and older ones.
    fn evict_up_to(&mut self, time: i64) {
        let older = self.readings.partition_point(|(known, _)| *known <= time);
        self.readings.drain(..older);
        self.low_water = self.low_water.max(Timestamp::from_millisecond(time).ok());
    }
}

/// `at` in whole milliseconds since 1970, rounded up.
pub(super) fn in_milliseconds(at: Timestamp) -> i64 {
    // The conversion rounds towards 1970.
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

    fn contains(window: &DedupWindow, number: i64) -> bool {
        window.contains(DedupWindow::fingerprint(&id(number)))
    }

    #[test]
    fn the_newest_1024_are_kept_and_older_ones_are_late() {
        let mut window = DedupWindow::default();
        (1..=1024).for_each(|number| window.insert(second(number), &id(number)));
        assert!(contains(&window, 1) && !window.is_late(second(1)));
        window.insert(second(1025), &id(1025));
        assert!(!contains(&window, 1) && window.is_late(second(1)));
        assert!(contains(&window, 2) && !window.is_late(second(2)));
    }

    #[test]
    fn evicting_one_of_two_readings_of_the_same_time_makes_both_late() {
        let mut window = DedupWindow::default();
        window.insert(second(1), &id(-1));
        (1..=1024).for_each(|number| window.insert(second(number), &id(number)));
        assert!(window.is_late(second(1)) && !window.is_late(second(2)));
        assert!(!contains(&window, 1) && !contains(&window, -1));
    }

    #[test]
    fn an_evicted_reading_is_late_within_its_millisecond() {
        let at = second(1).checked_add(SignedDuration::from_nanos(7)).unwrap();
        let mut window = DedupWindow::default();
        window.insert(at, &id(0));
        (2..=1025).for_each(|number| window.insert(second(number), &id(number)));
        assert!(!contains(&window, 0) && window.is_late(at));
    }

    #[test]
    fn a_reading_takes_fifteen_characters_of_the_state() {
        let mut window = DedupWindow::default();
        (0..1024).for_each(|number| window.insert(second(1_788_220_800 + 60 * number), &id(number)));
        let text = serde_json::to_string(&window).unwrap();
        assert!(text.len() < 1024 * 15, "{}", text.len());
        assert_eq!(serde_json::from_str::<DedupWindow>(&text).unwrap(), window);
    }

    #[test]
    fn times_are_rounded_up_to_milliseconds_before_and_after_1970() {
        for (nanoseconds, milliseconds) in
            [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (-1, 0), (-999_999, 0), (-1_000_001, -1)]
        {
            let at = Timestamp::from_nanosecond(nanoseconds).unwrap();
            assert_eq!(in_milliseconds(at), milliseconds, "{nanoseconds} ns");
        }
        assert_eq!(in_milliseconds(Timestamp::MAX), Timestamp::MAX.as_millisecond());
    }

    #[test]
    fn stored_times_return_unchanged() {
        let mut window = DedupWindow::default();
        let times = [Timestamp::MIN, second(-1), second(0), second(1), second(1_788_220_800), second(253_402_207_200)];
        times.into_iter().zip(0..).for_each(|(at, number)| window.insert(at, &id(number)));
        assert_eq!(window.len(), times.len());
        let text = serde_json::to_string(&window).unwrap();
        assert_eq!(serde_json::from_str::<DedupWindow>(&text).unwrap(), window);
    }

    #[test]
    fn other_text_is_refused() {
        for readings in ["7", r#""%""#, r#""AAAA""#, r#""////////////////""#, r#"[[1,"7"]]"#] {
            let text = format!(r#"{{"readings":{readings}}}"#);
            assert!(serde_json::from_str::<DedupWindow>(&text).is_err(), "{text}");
        }
    }
}
