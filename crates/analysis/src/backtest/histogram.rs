//! How values are distributed, counted as they come: no value is kept, and none has to be expected.

use super::bins::Bins;

/// Most bins.
const MOST_BINS: usize = 256;
/// The narrowest bin's width is two to the power of this: a thousandth.
const NARROWEST: i32 = -10;

/// Counts of values in bins of equal width, a power of two that grows as the values spread.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    bins: Bins<u64>,
    pub(super) count: u64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: Bins::new(MOST_BINS), count: 0, least: f64::INFINITY, greatest: f64::NEG_INFINITY }
    }
}

impl Histogram {
    /// Counts a value; it is finite.
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        // Saturates: what is that far out shares the outermost bin until bins are wide enough.
        #[expect(clippy::cast_possible_truncation, reason = "a cast of floats saturates")]
        let bin = (value / self.width()).floor() as i64;
        self.bins.add(bin, 1);
    }

    /// Adds all that another one counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
        self.bins.merge(&other.bins);
    }

    /// The width of a bin.
    pub(super) fn width(&self) -> f64 {
        f64::from(NARROWEST + self.bins.doublings()).exp2()
    }

    /// The lower bound of each bin that has a value in it, and how many.
    pub(super) fn bins(&self) -> Vec<(f64, u64)> {
        let width = self.width();
        #[expect(clippy::cast_precision_loss, reason = "bins are numbered by values, which are floats")]
        self.bins.iter().map(|(bin, count)| (bin as f64 * width, count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.add(value));
        histogram
    }

    #[test]
    fn every_value_is_counted_in_the_bin_that_holds_it() {
        let histogram = of((0..10_000).map(|value| f64::from(value) / 7.0 - 300.0));
        let bins = histogram.bins();
        assert!(bins.len() <= MOST_BINS && bins.len() > MOST_BINS / 3, "{}", bins.len());
        assert_eq!(bins.iter().map(|(_, count)| count).sum::<u64>(), 10_000);
        assert!(bins[0].0 <= histogram.least && histogram.least < bins[0].0 + histogram.width());
        let last = bins.last().unwrap().0;
        assert!(last <= histogram.greatest && histogram.greatest < last + histogram.width());
    }

    #[test]
    fn parts_that_were_counted_apart_make_the_same_whole() {
        let small = (0..300).map(|value| f64::from(value) / 1000.0);
        let large = (0..300).map(|value| f64::from(value) * 40.0);
        let mut merged = of(small.clone());
        merged.merge(&of(large.clone()));
        let whole = of(small.chain(large));
        assert_eq!((merged.bins(), merged.count), (whole.bins(), whole.count));
        let mut with_nothing = of([1.0]);
        with_nothing.merge(&Histogram::default());
        assert_eq!((with_nothing.count, with_nothing.least), (1, 1.0));
    }

    #[test]
    fn values_beyond_all_measure_do_no_harm() {
        let histogram = of([f64::MAX, f64::MIN, 0.0]);
        assert_eq!(histogram.count, 3);
    }
}
