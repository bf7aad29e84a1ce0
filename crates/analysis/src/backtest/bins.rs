//! Bins of equal width that double their width when there are too many of them. Empty bins take no memory.

/// A value of a bin that can be merged with that of another bin.
pub(super) trait Merge: Copy {
    fn merge(&mut self, other: Self);
}

/// A count.
impl Merge for u64 {
    fn merge(&mut self, other: Self) {
        *self += other;
    }
}

/// The least and the greatest value.
impl Merge for (f32, f32) {
    fn merge(&mut self, (least, greatest): Self) {
        *self = (self.0.min(least), self.1.max(greatest));
    }
}

/// Bins by number. Bin 0 begins at zero.
#[derive(Clone, Debug)]
pub(super) struct Bins<V> {
    max_bins: usize,
    /// How often the width has doubled.
    pub(super) doublings: i32,
    /// In the order of their numbers.
    bins: Vec<(i64, V)>,
}

impl<V: Merge> Bins<V> {
    pub(super) fn new(max_bins: usize) -> Self {
        Self { max_bins, doublings: 0, bins: Vec::new() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, V)> {
        self.bins.iter().copied()
    }

    /// Adds a value to the bin of that number, at the current width.
    pub(super) fn add(&mut self, number: i64, value: V) {
        match self.bins.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(index) => self.bins[index].1.merge(value),
            Err(index) => self.bins.insert(index, (number, value)),
        }
        while self.bins.len() > self.max_bins {
            self.double();
        }
    }

    /// Adds the values of other bins.
    pub(super) fn merge(&mut self, other: &Self) {
        while self.doublings < other.doublings {
            self.double();
        }
        for (number, value) in &other.bins {
            // The width can double in between.
            self.add(number >> (self.doublings - other.doublings), *value);
        }
    }

    fn double(&mut self) {
        self.doublings += 1;
        self.bins.iter_mut().for_each(|(number, _)| *number = number.div_euclid(2));
        self.bins.dedup_by(|next, bin| {
            let is_same = next.0 == bin.0;
            if is_same {
                bin.1.merge(next.1);
            }
            is_same
        });
    }
}
