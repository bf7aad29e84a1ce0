//! The least and the greatest value of a metric in each period of time.

use jiff::{SignedDuration, Timestamp};

use super::bins::{Bins, Merge as _};
use super::findings::Span;

/// Most buckets of a series.
const MAX_BUCKETS: i64 = 240;
/// Most bins of values in time. They are more than twice the buckets of a series, so that each is shorter than a bucket.
const MAX_BINS: usize = 512;
/// The first width of these bins, in seconds.
const SHORTEST: i64 = 60;

/// The buckets of time, which are the same for all series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeBuckets {
    pub(super) from: Timestamp,
    pub(super) each: SignedDuration,
    count: usize,
}

impl TimeBuckets {
    /// The buckets of a period. Their length is a round number of minutes, hours or days.
    pub(super) fn of(Span { first, last }: Span) -> Self {
        const MINUTES: [i64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080];
        let whole = last.duration_since(first).max(SignedDuration::from_mins(1));
        let least = whole.as_secs().div_euclid(60 * MAX_BUCKETS);
        let fits = MINUTES.into_iter().find(|minutes| *minutes > least);
        let each = SignedDuration::from_mins(fits.unwrap_or_else(|| least + 1));
        let count = whole.as_secs().div_euclid(each.as_secs()) + 1;
        Self { from: first, each, count: usize::try_from(count).unwrap_or(1) }
    }

    /// The index of the bucket of `second`.
    fn index(&self, second: i64) -> Option<usize> {
        let index = (second - self.from.as_second()).div_euclid(self.each.as_secs());
        usize::try_from(index).ok().filter(|index| *index < self.count)
    }
}

/// The least and the greatest value in bins of time since 1970. Bins double their width as values are added, and a reading of
/// another year takes one bin.
#[derive(Clone, Debug)]
pub(super) struct MinMaxSeries(Bins<(f32, f32)>);

impl Default for MinMaxSeries {
    fn default() -> Self {
        Self(Bins::new(MAX_BINS))
    }
}

impl MinMaxSeries {
    pub(super) fn add(&mut self, at: Timestamp, value: f64) {
        let value = value as f32;
        self.0.add(at.as_second().div_euclid(self.width()), (value, value));
    }

    /// The width of a bin, in seconds.
    fn width(&self) -> i64 {
        SHORTEST << self.0.doublings
    }

    /// The values in buckets. Leaves out values outside of them.
    pub(super) fn in_buckets(&self, buckets: &TimeBuckets) -> Vec<Option<(f32, f32)>> {
        let mut values_in: Vec<Option<(f32, f32)>> = vec![None; buckets.count];
        let first = buckets.from.as_second();
        for (number, values) in self.0.iter() {
            let start = number * self.width();
            let start = if (start..start + self.width()).contains(&first) { first } else { start };
            if let Some(index) = buckets.index(start) {
                values_in[index].get_or_insert(values).merge(values);
            }
        }
        values_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hours(count: i64) -> SignedDuration {
        SignedDuration::from_hours(count)
    }

    #[test]
    fn buckets_are_few_and_cover_the_period() {
        let first = at("2026-01-01T00:00:00Z");
        for count in [1, 3, 24, 24 * 7, 24 * 30, 24 * 365, 24 * 365 * 20] {
            let last = first + hours(count);
            let buckets = TimeBuckets::of(Span { first, last });
            assert!(buckets.count <= 241, "{count} h: {}", buckets.count);
            assert_eq!(buckets.index(last.as_second()), Some(buckets.count - 1), "{count} h");
            assert_eq!(buckets.index(first.as_second()), Some(0));
            assert_eq!(buckets.index(first.as_second() - 1), None);
        }
        assert_eq!(TimeBuckets::of(Span { first, last: first + hours(24 * 30) }).each, hours(6));
    }

    #[test]
    fn a_bucket_has_the_least_and_the_greatest_value() {
        let mut series = MinMaxSeries::default();
        for (clock, value) in [("00:02:00", 4.0), ("00:00:10", 5.0), ("00:00:50", 3.0), ("09:00:00", 9.0)] {
            series.add(at(&format!("2026-01-01T{clock}Z")), value);
        }
        let buckets = TimeBuckets::of(Span { first: at("2026-01-01T00:00:10Z"), last: at("2026-01-01T00:03:00Z") });
        assert_eq!(series.in_buckets(&buckets), [Some((3.0, 5.0)), Some((4.0, 4.0)), None]);
    }

    #[test]
    fn a_year_by_the_minute_fills_every_bucket_in_spite_of_odd_times() {
        let (first, mut series) = (at("2026-01-01T00:00:00Z"), MinMaxSeries::default());
        series.add(at("2016-02-29T00:00:00Z"), 1.0);
        let last = first + hours(24 * 365);
        for minute in 0..=60 * 24 * 365 {
            series.add(first + SignedDuration::from_mins(minute), 7.0);
        }
        series.add(at("2098-01-01T00:00:00Z"), 2.0);
        let buckets = series.in_buckets(&TimeBuckets::of(Span { first, last }));
        assert!(buckets.len() > 100 && buckets.iter().all(|bucket| *bucket == Some((7.0, 7.0))), "{buckets:?}");
    }
}
