//! Axes: which stretch of values a chart shows, and where its ticks are.

use jiff::{Span, Timestamp};

use crate::domain::time::LocalZone;

/// Values beyond this would overflow where two of them are subtracted.
const LARGEST: f64 = 1e300;
/// From here on a tick is told with an exponent.
const EXPONENT_FROM: f64 = 1e7;
/// A limit is drawn where that makes the axis at most this many times longer than the values are.
const STRETCH: f64 = 3.0;

/// One axis of a chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    /// Its beginning.
    pub(super) from: f64,
    /// Its end, above its beginning.
    pub(super) to: f64,
    /// Where it has ticks, and what they say.
    pub(super) ticks: Vec<(f64, String)>,
    /// What it is counted in.
    pub(super) title: String,
}

impl Axis {
    /// An axis of numbers with about `wanted` ticks.
    pub(super) fn of_numbers(from: f64, to: f64, wanted: usize, title: impl Into<String>) -> Self {
        let (from, to) = widened(from, to);
        let ticks = round_numbers(from, to, wanted).into_iter().map(|tick| (tick, number(tick))).collect();
        Self { from, to, ticks, title: title.into() }
    }

    /// An axis of time, its ticks at full days or hours on the clock of `zone`.
    pub(super) fn of_time(from: Timestamp, to: Timestamp, zone: &LocalZone) -> Self {
        let (start, end) = widened(seconds(from), seconds(to));
        Self { from: start, to: end, ticks: time_ticks(from, end, zone).unwrap_or_default(), title: String::new() }
    }

    /// `value`, or the end of the axis that it lies beyond.
    pub(super) fn clamped(&self, value: f64) -> f64 {
        value.clamp(self.from, self.to)
    }

    /// Whether `value` lies on it.
    pub(super) fn shows(&self, value: f64) -> bool {
        (self.from..=self.to).contains(&value)
    }
}

/// `at` as a number on an axis of time.
pub(super) fn seconds(at: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century are far below 2^52")]
    let seconds = at.as_second() as f64;
    seconds
}

/// The stretch of the finite ones among `values`; `None` where there is none.
pub(super) fn stretch(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let usable = values.into_iter().filter(|value| value.is_finite()).map(|value| value.clamp(-LARGEST, LARGEST));
    usable.fold(None, |known, value| match known {
        None => Some((value, value)),
        Some((least, greatest)) => Some((f64::min(least, value), f64::max(greatest, value))),
    })
}

/// `values` and those of `limits` that are near enough to be seen with them.
pub(super) fn with_limits((least, greatest): (f64, f64), limits: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let length = greatest - least;
    let near = limits.into_iter().filter(|limit| {
        let together = (greatest.max(*limit)) - (least.min(*limit));
        length <= 0.0 || together <= STRETCH * length
    });
    stretch(near.chain([least, greatest])).unwrap_or((least, greatest))
}

/// A stretch that is never empty.
fn widened(from: f64, to: f64) -> (f64, f64) {
    let (from, to) = stretch([from, to]).unwrap_or((0.0, 1.0));
    if to - from > from.abs().max(to.abs()) * 1e-9 && to > from {
        return (from, to);
    }
    let around = if from == 0.0 { 1.0 } else { from.abs() * 0.1 };
    (from - around, to + around)
}

/// About `wanted` round numbers between `from` and `to`: steps of 1, 2 or 5 times a power of ten.
fn round_numbers(from: f64, to: f64, wanted: usize) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let rough = (to - from) / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough * 0.999);
    let Some(step) = step.filter(|step| step.is_normal()) else { return Vec::new() };
    let first = (from / step).ceil();
    (0..=2 * wanted)
        .map(|index| {
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            let tick = (first + index as f64) * step;
            // 3 × 0.1 is 0.30000000000000004: rounded to the step's own digits.
            let digits = 10f64.powf(power.log10().floor() - 1.0);
            let rounded = (tick / digits).round() * digits;
            if rounded.is_finite() { rounded } else { tick }
        })
        .take_while(|tick| *tick <= to + step * 1e-6)
        .collect()
}

/// A tick's number: as short as it reads well.
pub(super) fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() >= EXPONENT_FROM || value.abs() < 1e-5) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let digits = format!("{value:.6}");
    let shortest = digits.trim_end_matches('0').trim_end_matches('.');
    if shortest == "-0" { "0".to_owned() } else { shortest.to_owned() }
}

/// Most ticks of an axis of time.
const MOST_TICKS: i64 = 8;
/// Steps between them, in hours.
const STEPS: [i64; 13] = [1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1_344, 4_032];

fn time_ticks(from: Timestamp, end: f64, zone: &LocalZone) -> Option<Vec<(f64, String)>> {
    #[expect(clippy::cast_possible_truncation, reason = "hours of a history")]
    let hours = ((end - seconds(from)) / 3_600.0) as i64;
    // Beyond four years the ticks get fewer than once in 24 weeks, whatever that is.
    let step = STEPS.into_iter().find(|step| hours / step < MOST_TICKS).unwrap_or(hours / MOST_TICKS);
    let between = if step < 24 { Span::new().try_hours(step) } else { Span::new().try_days(step / 24) }.ok()?;
    let mut tick = zone.on_the_wall(from).start_of_day().ok()?;
    let mut ticks = Vec::new();
    while seconds(tick.timestamp()) <= end {
        if tick.timestamp() >= from {
            let format = if tick.hour() == 0 { "%-d %b" } else { "%H:%M" };
            ticks.push((seconds(tick.timestamp()), tick.strftime(format).to_string()));
        }
        tick = tick.checked_add(between).ok()?;
    }
    Some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        let said = |from, to| {
            let ticks = Axis::of_numbers(from, to, 5, "").ticks;
            ticks.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(said(0.0, 500.0), "0 100 200 300 400 500");
        assert_eq!(said(-0.3, 0.3), "-0.2 0 0.2");
        assert_eq!(said(0.0, 0.05), "0 0.01 0.02 0.03 0.04 0.05");
        assert_eq!(said(2_000.0, 3_050.0), "2000 2500 3000");
        assert_eq!(said(0.0, 4e12), "0 1e12 2e12 3e12 4e12");
    }

    #[test]
    fn whatever_the_values_are_an_axis_is_never_empty_and_its_ticks_are_few() {
        let odd = [(5.0, 5.0), (0.0, 0.0), (-1e308, 1e308), (f64::NAN, 3.0), (1e15, 1e15 + 1.0), (1e-310, 2e-310)];
        for (from, to) in odd {
            let axis = Axis::of_numbers(from, to, 5, "");
            assert!(axis.from < axis.to && axis.ticks.len() <= 11, "{from} {to}: {axis:?}");
        }
    }

    #[test]
    fn a_limit_near_the_values_is_shown_and_one_far_away_is_not() {
        assert_eq!(with_limits((0.0, 100.0), [300.0]), (0.0, 300.0));
        assert_eq!(with_limits((0.0, 100.0), [301.0]), (0.0, 100.0));
        assert_eq!(with_limits((7.0, 7.0), [500.0]), (7.0, 500.0));
    }

    #[test]
    fn days_begin_on_the_local_clock() {
        let singapore = LocalZone { region: Some("Asia/Singapore".into()), offset_seconds: None };
        let (from, to) = ("2026-03-02T00:00:00Z".parse().unwrap(), "2026-03-06T00:00:00Z".parse().unwrap());
        let axis = Axis::of_time(from, to, &singapore);
        let said: Vec<&str> = axis.ticks.iter().map(|(_, said)| said.as_str()).collect();
        assert_eq!(said, ["3 Mar", "4 Mar", "5 Mar", "6 Mar"]);
        assert_eq!(axis.ticks[0].0, seconds("2026-03-02T16:00:00Z".parse().unwrap()));
        assert!(Axis::of_time(from, from, &singapore).ticks.len() <= 8);
        let long = Axis::of_time("2015-01-01T00:00:00Z".parse().unwrap(), to, &singapore);
        assert!((3..=10).contains(&long.ticks.len()), "{long:?}");
    }
}
