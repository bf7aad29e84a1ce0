//! What a device measured over time, coarsely: the least and the greatest value in each stretch of time.

use jiff::{SignedDuration, Timestamp};

use super::bins::{Bins, Merge as _};
use super::findings::Span;

/// Most buckets of a series.
const MOST_BUCKETS: i64 = 240;
/// Most buckets of a trend. More than twice as many, so that each is shorter than one of a series: with half as long
/// buckets, a trend that has doubled them had more than this many, and so spanned more than half of this many new ones.
const MOST_OF_A_COURSE: usize = 512;
/// The first length of a trend's buckets, in seconds.
const SHORTEST: i64 = 60;

/// How time is cut into buckets, for all series alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buckets {
    pub(super) from: Timestamp,
    pub(super) each: SignedDuration,
    count: usize,
}

impl Buckets {
    /// Buckets of a length that people know, for a stretch of time.
    pub(super) fn of(Span { first, last }: Span) -> Self {
        const MINUTES: [i64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080];
        let whole = last.duration_since(first).max(SignedDuration::from_mins(1));
        let least = whole.as_secs().div_euclid(60 * MOST_BUCKETS);
        let fits = MINUTES.into_iter().find(|minutes| *minutes > least);
        let each = SignedDuration::from_mins(fits.unwrap_or_else(|| least + 1));
        let count = whole.as_secs().div_euclid(each.as_secs()) + 1;
        Self { from: first, each, count: usize::try_from(count).unwrap_or(1) }
    }

    /// The bucket that `second` is in; `None` if it is outside of all.
    fn index(&self, second: i64) -> Option<usize> {
        let index = (second - self.from.as_second()).div_euclid(self.each.as_secs());
        usize::try_from(index).ok().filter(|index| *index < self.count)
    }
}

/// The least and the greatest value in each bucket so far, by the bucket's number since 1970. Buckets become longer as values
/// come: one reading of another year costs one bucket.
#[derive(Clone, Debug)]
pub(super) struct Trend(Bins<(f32, f32)>);

impl Default for Trend {
    fn default() -> Self {
        Self(Bins::new(MOST_OF_A_COURSE))
    }
}

impl Trend {
    pub(super) fn add(&mut self, at: Timestamp, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "for drawing")]
        let value = value as f32;
        self.0.add(at.as_second().div_euclid(self.each()), (value, value));
    }

    /// How long a bucket is, in seconds.
    fn each(&self) -> i64 {
        SHORTEST << self.0.doublings()
    }

    /// The same in other buckets; what is outside of them is left out.
    pub(super) fn cut(&self, buckets: &Buckets) -> Vec<Option<(f32, f32)>> {
        let mut cut: Vec<Option<(f32, f32)>> = vec![None; buckets.count];
        let first = buckets.from.as_second();
        for (number, values) in self.0.iter() {
            let start = number * self.each();
            let start = if (start..start + self.each()).contains(&first) { first } else { start };
            if let Some(index) = buckets.index(start) {
                cut[index].get_or_insert(values).merge(values);
            }
        }
        cut
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
    fn there_are_never_too_many_buckets_and_they_hold_all() {
        let first = at("2026-01-01T00:00:00Z");
        for count in [1, 3, 24, 24 * 7, 24 * 30, 24 * 365, 24 * 365 * 20] {
            let last = first + hours(count);
            let buckets = Buckets::of(Span { first, last });
            assert!(buckets.count <= 241, "{count} h: {}", buckets.count);
            assert_eq!(buckets.index(last.as_second()), Some(buckets.count - 1), "{count} h");
            assert_eq!(buckets.index(first.as_second()), Some(0));
            assert_eq!(buckets.index(first.as_second() - 1), None);
        }
        assert_eq!(Buckets::of(Span { first, last: first + hours(24 * 30) }).each, hours(6));
    }

    #[test]
    fn a_bucket_has_the_least_and_the_greatest_and_nothing_where_nothing_was() {
        let mut trend = Trend::default();
        for (clock, value) in [("00:02:00", 4.0), ("00:00:10", 5.0), ("00:00:50", 3.0), ("09:00:00", 9.0)] {
            trend.add(at(&format!("2026-01-01T{clock}Z")), value);
        }
        let buckets = Buckets::of(Span { first: at("2026-01-01T00:00:10Z"), last: at("2026-01-01T00:03:00Z") });
        assert_eq!(trend.cut(&buckets), [Some((3.0, 5.0)), Some((4.0, 4.0)), None]);
    }

    #[test]
    fn a_year_by_the_minute_leaves_no_bucket_empty_and_an_odd_reading_changes_none() {
        let (first, mut trend) = (at("2026-01-01T00:00:00Z"), Trend::default());
        trend.add(at("2016-02-29T00:00:00Z"), 1.0);
        let last = first + hours(24 * 365);
        for minute in 0..=60 * 24 * 365 {
            trend.add(first + SignedDuration::from_mins(minute), 7.0);
        }
        trend.add(at("2098-01-01T00:00:00Z"), 2.0);
        let cut = trend.cut(&Buckets::of(Span { first, last }));
        assert!(cut.len() > 100 && cut.iter().all(|bucket| *bucket == Some((7.0, 7.0))), "{cut:?}");
    }
}
