//! A device of the history, and its values.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use jiff::{SignedDuration, Timestamp};

use super::bins::Bins;
use super::evaluator::TrialRules;
use super::findings::{DeviceFindings, RuleLimit, Series, Span};
use domain::breach::Comparison;
use domain::device::Unit;
use domain::location::Location;
use domain::reading::Reading;
use domain::rules::{Kind, Rule, Settings, Test};

/// The number of last readings that are compared to find copies: hours, at a reading a minute.
const MAX_RECENT: usize = 128;
/// Values in bins are multiples of this power of two: about a thousandth.
pub(super) const PRECISION: f64 = 1.0 / 1024.0;
/// Most bins of a series, so that a chart can show them.
const MAX_TIMES: i64 = 240;

/// A device of the history.
#[derive(Debug)]
pub(super) struct HistoryDevice {
    /// The id as readings have it.
    pub(super) id: String,
    pub(super) location: Location,
    readings: u64,
    pub(super) metrics: Vec<HistoryMetric>,
    /// For each set of rules, whether any rule applies to it.
    pub(super) has_rules: Vec<bool>,
    /// Fingerprints of the last readings.
    recent: VecDeque<u64>,
}

/// A metric that a rule compares with a limit.
#[derive(Debug)]
pub(super) struct HistoryMetric {
    pub(super) key: String,
    pub(super) label: String,
    pub(super) unit: Unit,
    limits: Vec<RuleLimit>,
    /// The values by minute.
    times: Bins,
    /// The values by size, in units of [`PRECISION`]; `None` if a sum is compared, and not single values.
    pub(super) sizes: Option<Bins>,
}

impl HistoryDevice {
    /// The device of a reading. The reading itself is not added.
    pub(super) fn new(reading: &Reading<'_>, rules: &[TrialRules<'_>]) -> Self {
        let mut metrics: Vec<HistoryMetric> = Vec::new();
        for rule in &rules[0].rules.rules {
            let Some(settings) = rule.effective(&reading.source) else { continue };
            for test in settings.condition.iter().flat_map(|condition| &condition.tests) {
                let known = metrics.iter().position(|metric| metric.key == test.metric);
                let index = known.unwrap_or_else(|| {
                    metrics.push(HistoryMetric::new(&test.metric, reading));
                    metrics.len() - 1
                });
                metrics[index].limits.extend(limits(rule, &settings, test));
                if rule.kind != Kind::Accumulate && test.comparison != Comparison::Deviates {
                    metrics[index].sizes.get_or_insert_default();
                }
            }
        }
        Self {
            id: reading.source.device.as_deref().unwrap_or_default().to_owned(),
            location: Location::of(reading),
            readings: 0,
            metrics,
            has_rules: rules.iter().map(|rules| rules.apply_to(&reading.source)).collect(),
            recent: VecDeque::new(),
        }
    }

    /// Whether a reading is a copy of one of the last ones. If not, it becomes one of them.
    pub(super) fn is_copy(&mut self, reading: &Reading<'_>) -> bool {
        let fingerprint = FixedState::default().hash_one(reading.text);
        let is_copy = self.recent.contains(&fingerprint);
        if !is_copy {
            self.recent.truncate(MAX_RECENT - 1);
            self.recent.push_front(fingerprint);
        }
        is_copy
    }

    /// Adds a reading as of `at`.
    pub(super) fn add(&mut self, reading: &Reading<'_>, at: Timestamp) {
        self.readings += 1;
        for metric in &mut self.metrics {
            let Some(quantity) = reading.metric(&metric.key) else { continue };
            metric.times.add(at.as_second().div_euclid(60), quantity.value);
            if let Some(sizes) = &mut metric.sizes {
                // The cast saturates: extreme values share the outermost bin.
                sizes.add((quantity.value / PRECISION).floor() as i64, quantity.value);
            }
        }
    }

    pub(super) fn findings(self, span: Option<Span>) -> DeviceFindings {
        let series = self.metrics.into_iter().filter_map(|metric| metric.series(span?));
        DeviceFindings { series: series.collect(), location: self.location, readings: self.readings }
    }
}

impl HistoryMetric {
    fn new(key: &str, reading: &Reading<'_>) -> Self {
        let documented = reading.device_type().and_then(|of| of.metric(key));
        Self {
            key: key.to_owned(),
            label: documented.map_or(key, |metric| metric.label).to_owned(),
            unit: documented.map_or(Unit::One, |metric| metric.unit),
            limits: Vec::new(),
            times: Bins::default(),
            sizes: None,
        }
    }

    /// The values within `span`; `None` without any.
    fn series(self, span: Span) -> Option<Series> {
        let Self { key, label, unit, limits, mut times, .. } = self;
        times.widen(span.last.duration_since(span.first).as_mins() / MAX_TIMES);
        let width = SignedDuration::from_mins(times.width());
        let values = times.iter().filter_map(|(minute, bin)| {
            let start = Timestamp::from_second(minute * 60).ok()?;
            let is_within = start <= span.last && span.first.duration_since(start) < width;
            is_within.then_some((start, bin.least, bin.greatest))
        });
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then_some(Series { metric: key, label, unit, width, values, limits })
    }
}

/// The limits of a test of a rule; none if it compares a difference.
pub(super) fn limits(rule: &Rule, settings: &Settings, test: &Test) -> impl Iterator<Item = RuleLimit> {
    let levels = test.levels.iter().filter(|_| test.comparison != Comparison::Deviates);
    levels.map(|level| RuleLimit {
        rule: rule.id.as_str().into(),
        severity: level.severity.unwrap_or(settings.severity),
        comparison: test.comparison,
        limit: level.limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The series of values with their times.
    fn series(values: impl IntoIterator<Item = (Timestamp, f64)>, first: Timestamp, last: Timestamp) -> Series {
        let reading = Reading::read(r#"{"DevType":"SS","DEVID":"d","v":{}}"#).unwrap();
        let mut metric = HistoryMetric::new("p", &reading);
        values.into_iter().for_each(|(at, value)| metric.times.add(at.as_second().div_euclid(60), value));
        metric.series(Span { first, last }).unwrap()
    }

    #[test]
    fn a_period_has_the_least_and_the_greatest_value() {
        let clock = |clock: &str| at(&format!("2026-01-01T{clock}Z"));
        let values = [("00:02:00", 4.0), ("00:00:10", 5.0), ("00:00:50", 3.0), ("09:00:00", 9.0)];
        let values = values.map(|(at, value)| (clock(at), value));
        let series = series(values, clock("00:00:10"), clock("00:03:00"));
        assert_eq!(series.width, SignedDuration::from_mins(1));
        assert_eq!(series.values, [(clock("00:00:00"), 3.0, 5.0), (clock("00:02:00"), 4.0, 4.0)]);
    }

    #[test]
    fn a_year_by_the_minute_has_no_gap_in_spite_of_odd_times() {
        let (first, minutes) = (at("2026-01-01T00:00:00Z"), 60 * 24 * 365);
        let year = (0..=minutes).map(|minute| (first + SignedDuration::from_mins(minute), 7.0));
        let odd = [(at("2016-02-29T00:00:00Z"), 1.0), (at("2098-01-01T00:00:00Z"), 2.0)];
        let series = series(odd.into_iter().chain(year), first, first + SignedDuration::from_mins(minutes));
        let values = &series.values;
        assert!(values.len() > 100 && values.iter().all(|(_, least, greatest)| (*least, *greatest) == (7.0, 7.0)));
        assert!(values.windows(2).all(|two| two[1].0 - two[0].0 == series.width.try_into().unwrap()), "{series:?}");
    }
}
