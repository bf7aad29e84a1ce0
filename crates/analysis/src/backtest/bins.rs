//! Values in bins of equal width. The width doubles when there are too many bins, so that the range of the values need not be known
//! in advance.

use std::collections::BTreeMap;

/// Most bins. Empty ones do not count.
const MAX_BINS: usize = 256;

/// The values in a bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    /// The number of values.
    pub(super) count: u64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Bin {
    fn merge(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            least: self.least.min(other.least),
            greatest: self.greatest.max(other.greatest),
        }
    }
}

/// The bins by number, at a width of 2^`doublings`. Bin 0 begins at zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Bins {
    doublings: u32,
    bins: BTreeMap<i64, Bin>,
}

impl Bins {
    /// Adds a value at a position.
    pub(super) fn add(&mut self, position: i64, value: f64) {
        self.put(position, Bin { count: 1, least: value, greatest: value });
    }

    /// Adds the values of other bins.
    pub(super) fn merge(&mut self, other: &Self) {
        self.widen(other.width());
        other.iter().for_each(|(start, bin)| self.put(start, bin));
    }

    /// Doubles the width until it is at least `width`.
    pub(super) fn widen(&mut self, width: i64) {
        while self.width() < width {
            self.double();
        }
    }

    /// The width of each bin.
    pub(super) fn width(&self) -> i64 {
        1 << self.doublings
    }

    /// The start of each bin with values, and the bin.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, Bin)> {
        self.bins.iter().map(|(number, bin)| (number << self.doublings, *bin))
    }

    /// All values in one bin; `None` without values.
    pub(super) fn total(&self) -> Option<Bin> {
        self.bins.values().copied().reduce(Bin::merge)
    }

    fn put(&mut self, position: i64, bin: Bin) {
        let number = position >> self.doublings;
        self.bins.entry(number).and_modify(|known| *known = known.merge(bin)).or_insert(bin);
        while self.bins.len() > MAX_BINS {
            self.double();
        }
    }

    fn double(&mut self) {
        let narrow = std::mem::take(self);
        self.doublings = narrow.doublings + 1;
        narrow.iter().for_each(|(start, bin)| self.put(start, bin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(positions: impl IntoIterator<Item = i64>) -> Bins {
        let mut bins = Bins::default();
        positions.into_iter().for_each(|position| bins.add(position, position as f64));
        bins
    }

    #[test]
    fn every_value_is_in_its_bin() {
        let bins = of((-3_000..7_000).map(|position| position * 7));
        let all: Vec<(i64, Bin)> = bins.iter().collect();
        assert!(all.len() <= MAX_BINS && all.len() > MAX_BINS / 3, "{}", all.len());
        assert_eq!(bins.total(), Some(Bin { count: 10_000, least: -21_000.0, greatest: 48_993.0 }));
        for (start, bin) in all {
            assert!(bin.least >= start as f64 && bin.greatest < (start + bins.width()) as f64, "{start}: {bin:?}");
        }
    }

    #[test]
    fn merged_bins_equal_those_of_all_values() {
        let (narrow, wide) = (0..300, (0..300).map(|position| position * 40_000));
        let whole = of(narrow.clone().chain(wide.clone()));
        for (mut merged, other) in [(of(narrow.clone()), of(wide.clone())), (of(wide), of(narrow))] {
            merged.merge(&other);
            assert_eq!((merged.width(), merged.iter().collect::<Vec<_>>()), (whole.width(), whole.iter().collect()));
        }
        let mut with_nothing = of([1]);
        with_nothing.merge(&Bins::default());
        assert_eq!((with_nothing.total(), Bins::default().total()), (of([1]).total(), None));
    }

    #[test]
    fn extreme_positions_do_not_widen_the_bins_of_the_others() {
        let bins = of([i64::MAX, i64::MIN].into_iter().chain(0..200));
        assert_eq!((bins.iter().count(), bins.width()), (202, 1));
        assert_eq!(of([i64::MAX, i64::MIN].into_iter().chain(0..400)).width(), 2);
    }
}
