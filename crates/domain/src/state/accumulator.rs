//! The sum of an accumulate rule, with enough of its past for a cleaning that is reported late.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::dedup_window::in_milliseconds;
use super::packed::{self, Packed, push_number, take_number};

/// Most values that are kept separately.
const MOST_VALUES: usize = 64;
/// How long before the newest value a value is kept separately, in milliseconds.
const SEPARATE_FOR: i64 = 60 * 60 * 1000;

/// The values of a sum. The newest are kept separately: at most 64, of the last hour. Older ones are merged, and a cleaning
/// removes all of those or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accumulator {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    merged: Option<MergedValues>,
    /// Each with its time in milliseconds since 1970, rounded up. Ascending by time.
    #[serde(skip_serializing_if = "Vec::is_empty", default, with = "packed")]
    values: Vec<(i64, f64)>,
    /// When the sum last restarted. Earlier values do not count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    restarted: Option<Timestamp>,
}

/// Values that are not kept separately.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct MergedValues {
    total: f64,
    /// The time of the oldest, in milliseconds since 1970.
    since: i64,
    /// The time of the newest, in milliseconds since 1970.
    newest: i64,
}

impl Accumulator {
    /// Restarts the sum at `restart` if it has not restarted since, then adds a value at `at`. Returns whether the value counts:
    /// one from before the last restart does not.
    pub fn add(&mut self, value: f64, at: Timestamp, restart: Option<Timestamp>) -> bool {
        if let Some(restart) = restart.filter(|restart| self.restarted.is_none_or(|restarted| *restart > restarted)) {
            self.drop_below(in_milliseconds(restart));
            self.restarted = Some(restart);
        }
        if self.restarted.is_some_and(|restarted| at < restarted) {
            return false;
        }
        let time = in_milliseconds(at);
        let position = self.values.partition_point(|(known, _)| *known <= time);
        self.values.insert(position, (time, value));
        self.merge();
        true
    }

    /// The sum, at most `f64::MAX`: JSON has no infinity.
    #[must_use]
    pub fn total(&self) -> f64 {
        let merged = self.merged.map_or(0.0, |merged| merged.total);
        self.values.iter().fold(merged, |total, (_, value)| total + value).min(f64::MAX)
    }

    /// The time of the first value.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        let merged = self.merged.map(|merged| merged.since);
        let first = merged.into_iter().chain(self.values.first().map(|(time, _)| *time)).min()?;
        Timestamp::from_millisecond(first).ok()
    }

    /// The time of the newest value, or of the last restart if that is later.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        let newest = self.values.last().map(|(time, _)| *time).max(self.merged.map(|merged| merged.newest));
        newest.and_then(|newest| Timestamp::from_millisecond(newest).ok()).max(self.restarted)
    }

    /// Restarts the sum at `at` with `rest`, which is not negative.
    pub fn restart(&mut self, at: Timestamp, rest: f64) {
        let values = if rest > 0.0 { vec![(in_milliseconds(at), rest)] } else { Vec::new() };
        *self = Self { merged: None, values, restarted: Some(at) };
    }

    /// Removes the values up to a cleaning at `at`. `None` if nothing is left.
    #[must_use]
    pub fn clean(mut self, at: Timestamp) -> Option<Self> {
        self.drop_below(at.as_millisecond() + 1);
        let is_restarted_since = self.restarted.is_some_and(|restarted| restarted > at);
        (self.merged.is_some() || !self.values.is_empty() || is_restarted_since).then_some(self)
    }

    /// Restarts the sum at `at` if it has not restarted since: people are done with its alert.
    pub fn end(&mut self, at: Timestamp) {
        self.drop_below(at.as_millisecond() + 1);
        self.restarted = self.restarted.max(Some(at));
    }

    fn drop_below(&mut self, time: i64) {
        self.merged.take_if(|merged| merged.newest < time);
        self.values.retain(|(known, _)| *known >= time);
    }

    fn merge(&mut self) {
        let Some((newest, _)) = self.values.last() else { return };
        let kept_from = newest - SEPARATE_FOR;
        let surplus = self.values.len().saturating_sub(MOST_VALUES);
        let surplus = surplus.max(self.values.partition_point(|(time, _)| *time < kept_from));
        for (time, value) in self.values.drain(..surplus) {
            let merged = self.merged.get_or_insert(MergedValues { total: 0.0, since: time, newest: time });
            merged.total = (merged.total + value).min(f64::MAX);
            (merged.since, merged.newest) = (merged.since.min(time), merged.newest.max(time));
        }
    }
}

/// Its bits in reverse order. Nearly all values are small whole numbers, whose last bits are zero.
impl Packed for f64 {
    fn push(&self, bytes: &mut Vec<u8>) {
        push_number(bytes, self.to_bits().reverse_bits());
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self::from_bits(take_number(bytes)?.reverse_bits())).filter(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * number).unwrap()
    }

    fn of(values: &[(f64, i64)]) -> Accumulator {
        let mut sum = Accumulator::default();
        for (value, at) in values {
            assert!(sum.add(*value, minute(*at), None));
        }
        sum
    }

    fn round_trip(sum: &Accumulator) -> String {
        let text = serde_json::to_string(sum).unwrap();
        let read: Accumulator = serde_json::from_str(&text).unwrap();
        assert_eq!(read, *sum, "{text}");
        text
    }

    #[test]
    fn a_late_cleaning_removes_the_values_up_to_it() {
        let sum = of(&[(20.0, 0), (5.0, 8)]);
        let left = |at| sum.clone().clean(minute(at)).map(|left| (left.total(), left.since().unwrap()));
        assert_eq!(left(-1), Some((25.0, minute(0))));
        assert_eq!(left(0), Some((5.0, minute(8))));
        assert_eq!(left(5), Some((5.0, minute(8))));
        assert_eq!(left(8), None);
    }

    #[test]
    fn a_cleaning_before_the_last_restart_removes_nothing() {
        let mut sum = of(&[(34.0, 5)]);
        sum.restart(minute(5), 4.0);
        assert!(sum.add(2.0, minute(6), None) && !sum.add(9.0, minute(4), None));
        assert_eq!(sum.clone().clean(minute(4)).unwrap().total(), 6.0);
        assert_eq!(sum.clone().clean(minute(5)).unwrap().total(), 2.0, "the carried value is of that time");
        sum.restart(minute(7), 0.0);
        assert_eq!((sum.since(), sum.total()), (None, 0.0));
        // Older values still do not count.
        assert!(!sum.clone().clean(minute(6)).unwrap().add(9.0, minute(6), None));
        assert_eq!(sum.clean(minute(7)), None);
    }

    #[test]
    fn a_restart_at_a_time_of_day_removes_earlier_values_once() {
        let mut sum = of(&[(20.0, 0), (1.0, 10)]);
        assert!(sum.add(2.0, minute(11), Some(minute(10))));
        assert_eq!((sum.total(), sum.since()), (3.0, Some(minute(10))));
        assert!(!sum.add(4.0, minute(9), Some(minute(5))), "it is too late");
        assert!(sum.add(4.0, minute(10), Some(minute(10))));
        assert_eq!(sum.total(), 7.0);
    }

    #[test]
    fn values_older_than_an_hour_or_beyond_sixty_four_are_merged() {
        let sum = of(&[(1.0, 0), (2.0, 60), (4.0, 61)]);
        assert_eq!((sum.values.len(), sum.total(), sum.since()), (2, 7.0, Some(minute(0))));
        assert_eq!(sum.clone().clean(minute(0)).unwrap().total(), 6.0);
        let late = of(&[(4.0, 100), (1.0, 0), (2.0, 30)]);
        assert_eq!((late.values.len(), late.merged.unwrap().total), (1, 3.0));
        assert_eq!(late.clone().clean(minute(29)).unwrap().total(), 7.0, "merged values are removed together");
        assert_eq!(late.clean(minute(30)).unwrap().total(), 4.0);
        let many = of(&(0..70).map(|second| (1.0, second / 10)).collect::<Vec<_>>());
        assert_eq!((many.values.len(), many.total()), (64, 70.0));
        round_trip(&many);
    }

    #[test]
    fn every_value_survives_a_round_trip_and_most_take_six_characters() {
        let odd = [0.1, 1.5, 1e300, f64::MIN_POSITIVE, 2f64.powi(53), 2f64.powi(53) - 1.0, f64::MAX, 5e-324];
        round_trip(&of(&odd.map(|value| (value, 7))));
        let mut sum = of(&[(3.0, 0)]);
        assert!(sum.add(2.0, Timestamp::from_nanosecond(1_800_000_001_000_000_001).unwrap(), None));
        round_trip(&sum);
        let text = round_trip(&of(&(0..60).map(|minute| (2.0, minute)).collect::<Vec<_>>()));
        assert!(text.len() < 60 * 6, "{}: {text}", text.len());
    }

    #[test]
    fn other_text_is_refused() {
        // No text, no Base64, a time alone, half a number, an infinite value.
        for values in ["7", r#""%""#, r#""AA""#, r#""AP4""#, r#""AP4f""#] {
            let text = format!(r#"{{"values":{values}}}"#);
            assert!(serde_json::from_str::<Accumulator>(&text).is_err(), "{text}");
        }
        let error = serde_json::from_str::<Accumulator>(r#"{"values":7}"#).unwrap_err().to_string();
        assert!(error.contains("expected a string"), "{error}");
    }

    #[test]
    fn an_infinite_sum_is_the_largest_number() {
        let sum = of(&[(f64::MAX, 0), (f64::MAX, 1)]);
        assert_eq!(sum.total(), f64::MAX);
        round_trip(&of(&[(f64::MAX, 0), (f64::MAX, 1), (1.0, 100)]));
    }
}
