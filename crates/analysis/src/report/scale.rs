//! Scales of charts.

use std::ops::Range;

use crate::backtest::findings::RuleLimit;

/// A limit is on a scale if the scale is then at most this many times as long as the values.
const STRETCH: f64 = 3.0;
/// The largest value on a scale: differences of larger ones can be infinite.
const LARGEST: f64 = 1e15;

/// Round numbers at equal distances, two or more, in order.
pub(super) struct Scale(pub(super) Vec<f64>);

impl Scale {
    /// A scale of about so many steps, which encloses the finite values, and the `limits` near them.
    pub(super) fn of(values: impl IntoIterator<Item = f64>, limits: &[RuleLimit], steps: f64) -> Self {
        let values = range(values);
        let longest = STRETCH * (values.end - values.start);
        let limits = limits.iter().map(|limit| limit.limit);
        let near = limits.filter(|limit| values.end.max(*limit) - values.start.min(*limit) <= longest);
        let Range { start, end } = range(near.chain([values.start, values.end]));
        let least = (end - start) / steps;
        let power = 10_f64.powf(least.log10().floor());
        let round = [power, 2.0 * power, 5.0 * power].into_iter().find(|step| *step >= least);
        let step = round.unwrap_or(10.0 * power);
        let numbers = (start / step).floor() as i64..=(end / step).ceil() as i64;
        Self(numbers.map(|number| number as f64 * step).collect())
    }

    pub(super) fn contains(&self, value: f64) -> bool {
        (self.start()..=self.end()).contains(&value)
    }

    /// Where a value is between the start and the end, 0 to 1. Values beyond are at the nearer one.
    pub(super) fn position(&self, value: f64) -> f64 {
        ((value - self.start()) / (self.end() - self.start())).clamp(0.0, 1.0)
    }

    pub(super) fn start(&self) -> f64 {
        self.0[0]
    }

    fn end(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

/// The range of the finite values. It is never empty.
fn range(values: impl IntoIterator<Item = f64>) -> Range<f64> {
    let finite = values.into_iter().filter(|value| value.is_finite()).map(|value| value.clamp(-LARGEST, LARGEST));
    let extremes = finite.map(|value| (value, value)).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let (from, to) = extremes.unwrap_or((0.0, 1.0));
    if to - from > from.abs().max(to.abs()) * 1e-9 {
        return from..to;
    }
    let around = if from == 0.0 { 1.0 } else { from.abs() * 0.1 };
    from - around..to + around
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::breach::Comparison;
    use domain::severity::Severity;

    #[test]
    fn a_scale_of_any_values_has_a_few_numbers_in_order() {
        let odd = [
            [5.0, 5.0],
            [0.0, 0.0],
            [-1e308, 1e308],
            [f64::NAN, 3.0],
            [f64::NAN, f64::INFINITY],
            [0.0, f64::INFINITY],
            [0.1, 0.1 + 1e-8],
            [-1e15, -1e15 + 1e7],
            [1e15, 1e15 + 1.0],
            [1e-310, 2e-310],
        ];
        for values in odd {
            let scale = Scale::of(values, &[], 4.0);
            assert!(
                (2..=6).contains(&scale.0.len()) && scale.0.is_sorted_by(|a, b| a < b),
                "{values:?}: {:?}",
                scale.0
            );
            let positions = [f64::MIN, 0.0, f64::MAX, f64::INFINITY].map(|value| scale.position(value));
            assert!(positions.iter().all(|position| (0.0..=1.0).contains(position)), "{values:?}: {positions:?}");
        }
    }

    #[test]
    fn the_numbers_are_round_and_enclose_the_values() {
        assert_eq!(Scale::of([21.0, 407.0], &[], 4.0).0, [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        assert_eq!(Scale::of([-0.7, 0.2], &[], 4.0).0, [-1.0, -0.5, 0.0, 0.5]);
        assert_eq!(Scale::of([5.0], &[], 2.0).0, [4.5, 5.0, 5.5]);
    }

    #[test]
    fn a_limit_near_the_values_is_on_the_scale_and_one_far_away_is_not() {
        let limit =
            |limit| RuleLimit { rule: "rule".into(), severity: Severity::Low, comparison: Comparison::Above, limit };
        let scale = |far| Scale::of([0.0, 100.0], &[limit(far)], 3.0);
        assert!(scale(300.0).contains(300.0) && !scale(301.0).contains(301.0));
        assert_eq!((scale(300.0).position(75.0), scale(301.0).position(301.0)), (0.25, 1.0));
    }
}
