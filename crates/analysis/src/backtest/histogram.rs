//! A histogram of values. It needs neither the values nor their range in advance.

use super::bins::Bins;

/// Most bins of a histogram.
const MAX_BINS: usize = 256;
/// The width of the narrowest bin is two to the power of this: a thousandth.
const NARROWEST: i32 = -10;

/// Counts of values in bins. Their width is a power of two that grows with the range of the values.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    bins: Bins<u64>,
    pub(super) count: u64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: Bins::new(MAX_BINS), count: 0, least: f64::INFINITY, greatest: f64::NEG_INFINITY }
    }
}

impl Histogram {
    /// Counts a finite value.
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        // The cast saturates: extreme values share the outermost bin.
        let bin = (value / self.width()).floor() as i64;
        self.bins.add(bin, 1);
    }

    /// Adds the counts of another histogram.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
        self.bins.merge(&other.bins);
    }

    /// The width of a bin.
    pub(super) fn width(&self) -> f64 {
        f64::from(NARROWEST + self.bins.doublings).exp2()
    }

    /// The lower bound and the count of each bin with values.
    pub(super) fn bins(&self) -> Vec<(f64, u64)> {
        let width = self.width();
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
    fn every_value_is_counted_in_its_bin() {
        let histogram = of((0..10_000).map(|value| f64::from(value) / 7.0 - 300.0));
        let bins = histogram.bins();
        assert!(bins.len() <= MAX_BINS && bins.len() > MAX_BINS / 3, "{}", bins.len());
        assert_eq!(bins.iter().map(|(_, count)| count).sum::<u64>(), 10_000);
        assert!(bins[0].0 <= histogram.least && histogram.least < bins[0].0 + histogram.width());
        let last = bins.last().unwrap().0;
        assert!(last <= histogram.greatest && histogram.greatest < last + histogram.width());
    }

    #[test]
    fn merged_histograms_equal_one_of_all_values() {
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
    fn extreme_values_are_counted() {
        let histogram = of([f64::MAX, f64::MIN, 0.0]);
        assert_eq!(histogram.count, 3);
    }
}
