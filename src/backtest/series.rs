//! What a device measured over time, coarsely: the least and the greatest value in each stretch of time.

use jiff::{SignedDuration, Timestamp};

/// Most buckets of a series.
const MOST_BUCKETS: i64 = 240;

/// How time is cut into buckets, for all series alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buckets {
    pub(super) from: Timestamp,
    pub(super) each: SignedDuration,
    count: usize,
}

impl Buckets {
    /// Buckets of a length that people know, for the time between `from` and `until`.
    pub(super) fn between(from: Timestamp, until: Timestamp) -> Self {
        const MINUTES: [i64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080];
        let whole = until.duration_since(from).max(SignedDuration::from_mins(1));
        let least = whole.as_secs().div_euclid(60 * MOST_BUCKETS);
        let fits = MINUTES.into_iter().find(|minutes| *minutes > least);
        let each = SignedDuration::from_mins(fits.unwrap_or_else(|| least + 1));
        let count = whole.as_secs().div_euclid(each.as_secs()) + 1;
        Self { from, each, count: usize::try_from(count).unwrap_or(1) }
    }

    /// The bucket that `at` is in; `None` where it is outside of all.
    fn index(&self, at: Timestamp) -> Option<usize> {
        let index = at.duration_since(self.from).as_secs().div_euclid(self.each.as_secs());
        usize::try_from(index).ok().filter(|index| *index < self.count)
    }
}

/// The least and the greatest value in each bucket so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Course(Vec<Option<(f32, f32)>>);

impl Course {
    pub(super) fn add(&mut self, buckets: &Buckets, at: Timestamp, value: f64) {
        let Some(index) = buckets.index(at) else { return };
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        #[expect(clippy::cast_possible_truncation, reason = "for drawing")]
        let value = value as f32;
        let (least, greatest) = self.0[index].unwrap_or((value, value));
        self.0[index] = Some((least.min(value), greatest.max(value)));
    }

    /// All buckets, up to the last one.
    pub(super) fn filled(mut self, buckets: &Buckets) -> Vec<Option<(f32, f32)>> {
        self.0.resize(buckets.count, None);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn there_are_never_too_many_buckets_and_they_hold_all() {
        let from = at("2026-01-01T00:00:00Z");
        for hours in [1, 3, 24, 24 * 7, 24 * 30, 24 * 365, 24 * 365 * 20] {
            let until = from + SignedDuration::from_hours(hours);
            let buckets = Buckets::between(from, until);
            assert!(buckets.count <= 241, "{hours} h: {}", buckets.count);
            assert_eq!(buckets.index(until), Some(buckets.count - 1), "{hours} h");
            assert_eq!(buckets.index(from), Some(0));
            assert_eq!(buckets.index(from - SignedDuration::from_secs(1)), None);
        }
        assert_eq!(
            Buckets::between(from, from + SignedDuration::from_hours(24 * 30)).each,
            SignedDuration::from_hours(6)
        );
    }

    #[test]
    fn a_bucket_has_the_least_and_the_greatest_and_nothing_where_nothing_was() {
        let from = at("2026-01-01T00:00:00Z");
        let buckets = Buckets::between(from, at("2026-01-01T00:03:00Z"));
        let mut course = Course::default();
        for (clock, value) in [("00:00:10", 5.0), ("00:00:50", 3.0), ("00:02:00", 4.0), ("09:00:00", 9.0)] {
            course.add(&buckets, at(&format!("2026-01-01T{clock}Z")), value);
        }
        assert_eq!(course.filled(&buckets), [Some((3.0, 5.0)), None, Some((4.0, 4.0)), None]);
    }
}
