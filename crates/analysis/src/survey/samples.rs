//! Numbers as a survey shows them.

use std::fmt;

use jiff::{SignedDuration, Span, SpanRound, Unit};

/// Values with their percentiles.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<u32>);

impl Samples {
    /// Adds a value. One that does not fit counts as the largest that does.
    pub(super) fn push(&mut self, value: impl TryInto<u32>) {
        self.0.push(value.try_into().unwrap_or(u32::MAX));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.iter().map(|value| u64::from(*value)).sum()
    }

    /// The values that so many per cent of all values do not exceed; zeros without values.
    pub(super) fn percentiles<const N: usize>(&self, percents: [usize; N]) -> [u32; N] {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        percents.map(|percent| {
            sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
        })
    }

    /// The number of values above `limit`.
    pub(super) fn count_above(&self, limit: SignedDuration) -> u64 {
        self.0.iter().filter(|value| i64::from(**value) > limit.as_secs()).count() as u64
    }
}

/// A part of all readings: `12 (0.3 %)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) count: u64,
    pub(super) all: u64,
}

impl Share {
    pub(super) fn percent(self) -> f64 {
        100.0 * self.count as f64 / self.all.max(1) as f64
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.percent() {
            0.0 => f.write_str("none"),
            percent if percent < 0.1 => write!(f, "{} (below 0.1 %)", self.count),
            percent => write!(f, "{} ({percent:.1} %)", self.count),
        }
    }
}

/// Formats seconds: `1h 5m`.
pub(super) fn time(seconds: u32) -> String {
    let rounded = Span::new().seconds(seconds).round(SpanRound::new().largest(Unit::Day).days_are_24_hours());
    rounded.map_or_else(|_| format!("{seconds}s"), |span| format!("{span:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut samples = Samples::default();
        assert_eq!(samples.percentiles([50, 100]), [0, 0]);
        (1..=10_u32).for_each(|value| samples.push(value));
        assert_eq!(samples.percentiles([50, 90, 91, 100]), [5, 9, 10, 10]);
        assert_eq!(
            (samples.count_above(SignedDuration::from_secs(9)), samples.count_above(SignedDuration::from_secs(10))),
            (1, 0)
        );
        samples.push(u64::MAX);
        assert_eq!(samples.percentiles([100]), [u32::MAX]);
    }

    #[test]
    fn shares_and_times_are_short() {
        let share = |count, all| Share { count, all }.to_string();
        assert_eq!([share(0, 0), share(1, 3), share(1, 100_000)], ["none", "1 (33.3 %)", "1 (below 0.1 %)"]);
        assert_eq!([time(0), time(90), time(3_600), time(100_000)], ["0s", "1m 30s", "1h", "1d 3h 46m 40s"]);
    }
}
