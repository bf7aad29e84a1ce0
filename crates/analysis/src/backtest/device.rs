//! A device of the history: its values, and the alerts that other limits would make of them.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use jiff::Timestamp;

use super::curves::limits_around;
use super::evaluator::TrialRules;
use super::findings::{DeviceFindings, Series};
use super::histogram::Histogram;
use super::limit_counter::LimitCounter;
use super::series::{MinMaxSeries, TimeBuckets};
use domain::breach::Comparison;
use domain::device::Unit;
use domain::location::Location;
use domain::reading::Reading;
use domain::rules::{Join, Kind, Rule, Test};

/// The number of last readings that are compared to find copies: hours, at a reading a minute.
const MAX_RECENT: usize = 128;

/// A test of a rule: the index of the rule, and the index of the test in the rule.
pub(super) type TestKey = (usize, usize);

/// A device of the history.
#[derive(Debug)]
pub(super) struct HistoryDevice<'r> {
    /// The id as readings have it.
    pub(super) id: String,
    /// The short name of the type.
    pub(super) device_type: Arc<str>,
    pub(super) location: Location,
    /// Event time of the first reading.
    pub(super) first: Timestamp,
    readings: u64,
    metrics: Vec<HistoryMetric<'r>>,
    /// For each set of rules, whether any rule applies to it.
    pub(super) has_rules: Vec<bool>,
    /// Fingerprints of the last readings.
    recent: VecDeque<u64>,
}

/// A metric that a rule compares with a limit.
#[derive(Debug)]
struct HistoryMetric<'r> {
    key: Arc<str>,
    /// Its label and unit; `None` before the first value.
    label: Option<(String, Unit)>,
    series: MinMaxSeries,
    /// `None` if a sum is compared, and not single values.
    histogram: Option<Histogram>,
    counters: Vec<(TestKey, LimitCounter<'r>)>,
}

impl<'r> HistoryDevice<'r> {
    /// The device of a reading. The reading itself is not added.
    pub(super) fn new(reading: &Reading<'_>, rules: &'r [TrialRules<'r>]) -> Self {
        let mut device = Self {
            id: reading.source.device.as_deref().unwrap_or_default().to_owned(),
            device_type: reading.source.device_type.as_ref().into(),
            location: Location::of(reading),
            first: Timestamp::MAX,
            readings: 0,
            metrics: Vec::new(),
            has_rules: rules.iter().map(|rules| rules.apply_to(&reading.source)).collect(),
            recent: VecDeque::new(),
        };
        for (number, rule) in rules[0].rules.rules.iter().enumerate() {
            device.add_rule(number, rule, reading);
        }
        device
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

    /// Adds a reading as of `at`. `can_alert` is false if it came too late.
    pub(super) fn add(&mut self, reading: &Reading<'_>, at: Timestamp, can_alert: bool) {
        self.readings += 1;
        self.first = self.first.min(at);
        for metric in &mut self.metrics {
            let Some(quantity) = reading.metric(&metric.key) else { continue };
            metric.label.get_or_insert_with(|| (quantity.label.to_owned(), quantity.unit));
            metric.series.add(at, quantity.value);
            if can_alert {
                metric.counters.iter_mut().for_each(|(_, counter)| counter.add(at, quantity.value, reading));
            }
            if let Some(histogram) = &mut metric.histogram {
                histogram.add(quantity.value);
            }
        }
    }

    /// Adds a cleaning of its zone that ended at `at`.
    pub(super) fn cleaned(&mut self, at: Timestamp) {
        let counters = self.metrics.iter_mut().flat_map(|metric| &mut metric.counters);
        counters.for_each(|(_, counter)| counter.cleaned(at));
    }

    /// The alerts by limit for each test of a rule.
    pub(super) fn alerts(&self) -> impl Iterator<Item = (TestKey, Vec<u64>)> {
        let counters = self.metrics.iter().flat_map(|metric| &metric.counters);
        counters.map(|(key, counter)| (*key, counter.alerts()))
    }

    /// The histograms by metric.
    pub(super) fn histograms(&self) -> impl Iterator<Item = (&Arc<str>, &Histogram)> {
        let histograms = self.metrics.iter().filter_map(|metric| Some((&metric.key, metric.histogram.as_ref()?)));
        histograms.filter(|(_, histogram)| histogram.count > 0)
    }

    pub(super) fn findings(self, buckets: &TimeBuckets) -> DeviceFindings {
        let series = self.metrics.into_iter().filter_map(|metric| {
            let (label, unit) = metric.label?;
            let (from, bucket) = (buckets.from, buckets.each);
            Some(Series { metric: metric.key, label, unit, from, bucket, buckets: metric.series.in_buckets(buckets) })
        });
        DeviceFindings { series: series.collect(), location: self.location, readings: self.readings }
    }

    /// Adds the metrics that a rule compares, if it applies to this device.
    fn add_rule(&mut self, number: usize, rule: &'r Rule, reading: &Reading<'_>) {
        let Some(effective) = rule.effective(&reading.source) else { return };
        let Some(condition) = &effective.condition else { return };
        // Other limits are counted only if each test decides by itself.
        let is_decisive = condition.tests.len() == 1 || condition.join == Join::Any;
        for (index, test) in condition.tests.iter().enumerate() {
            let metric = self.metric(&test.metric);
            if rule.kind != Kind::Accumulate && test.comparison != Comparison::Deviates {
                metric.histogram.get_or_insert_default();
            }
            // The same limits for all devices of a type. An override can test something else.
            let original = rule.settings.condition.as_ref().and_then(|condition| condition.tests.get(index));
            let Some(original) = original.filter(|original| is_decisive && original.metric == test.metric) else {
                continue;
            };
            let documented = reading.device_type().and_then(|of| of.metric(&test.metric));
            let limits = limits_to_try(original, documented.map_or(Unit::One, |metric| metric.unit));
            let counter = LimitCounter::new(rule.kind, &effective, test, limits.into());
            metric.counters.extend(counter.map(|counter| ((number, index), counter)));
        }
    }

    fn metric(&mut self, key: &str) -> &mut HistoryMetric<'r> {
        let known = self.metrics.iter().position(|metric| *metric.key == *key);
        let index = known.unwrap_or_else(|| {
            let series = MinMaxSeries::default();
            let new = HistoryMetric { key: key.into(), label: None, series, histogram: None, counters: Vec::new() };
            self.metrics.push(new);
            self.metrics.len() - 1
        });
        &mut self.metrics[index]
    }
}

/// Limits to try for a test of a metric in `unit`.
pub(super) fn limits_to_try(test: &Test, unit: Unit) -> Vec<f64> {
    let limits: Vec<f64> = test.levels.iter().map(|level| level.limit).collect();
    limits_around(&limits, unit)
}
