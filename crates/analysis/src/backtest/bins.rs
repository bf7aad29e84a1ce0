//! What was seen of many numbers, in bins of equal width that become twice as wide when there are too many of them. Only bins
//! with something in them are kept.

/// What two bins become that are put together.
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

/// Bins by number: 0 is the one that begins at zero.
#[derive(Clone, Debug)]
pub(super) struct Bins<V> {
    most: usize,
    /// How often they have become twice as wide.
    doublings: i32,
    /// In the order of their numbers.
    bins: Vec<(i64, V)>,
}

impl<V: Merge> Bins<V> {
    /// At most `most` bins.
    pub(super) fn new(most: usize) -> Self {
        Self { most, doublings: 0, bins: Vec::new() }
    }

    pub(super) fn doublings(&self) -> i32 {
        self.doublings
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, V)> {
        self.bins.iter().copied()
    }

    /// Adds something to the bin of that number, as wide as bins are now.
    pub(super) fn add(&mut self, number: i64, value: V) {
        match self.bins.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(index) => self.bins[index].1.merge(value),
            Err(index) => self.bins.insert(index, (number, value)),
        }
        while self.bins.len() > self.most {
            self.double();
        }
    }

    /// Adds all of another one.
    pub(super) fn merge(&mut self, other: &Self) {
        while self.doublings < other.doublings {
            self.double();
        }
        for (number, value) in &other.bins {
            // They may become wider meanwhile.
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
