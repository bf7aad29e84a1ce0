//! A device of the history, and its values.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use jiff::Timestamp;

use super::evaluator::TrialRules;
use super::findings::{DeviceFindings, Series};
use super::histogram::Histogram;
use super::series::{MinMaxSeries, TimeBuckets};
use domain::breach::Comparison;
use domain::device::Unit;
use domain::location::Location;
use domain::reading::Reading;
use domain::rules::Kind;

/// The number of last readings that are compared to find copies: hours, at a reading a minute.
const MAX_RECENT: usize = 128;

/// A device of the history.
#[derive(Debug)]
pub(super) struct HistoryDevice {
    /// The id as readings have it.
    pub(super) id: String,
    /// The short name of the type.
    pub(super) device_type: Arc<str>,
    pub(super) location: Location,
    /// Event time of the first reading.
    pub(super) first: Timestamp,
    readings: u64,
    metrics: Vec<HistoryMetric>,
    /// For each set of rules, whether any rule applies to it.
    pub(super) has_rules: Vec<bool>,
    /// Fingerprints of the last readings.
    recent: VecDeque<u64>,
}

/// A metric that a rule compares with a limit.
#[derive(Debug)]
struct HistoryMetric {
    key: Arc<str>,
    /// Its label and unit; `None` before the first value.
    label: Option<(String, Unit)>,
    series: MinMaxSeries,
    /// `None` if a sum is compared, and not single values.
    histogram: Option<Histogram>,
}

impl HistoryDevice {
    /// The device of a reading. The reading itself is not added.
    pub(super) fn new(reading: &Reading<'_>, rules: &[TrialRules<'_>]) -> Self {
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
        for rule in &rules[0].rules.rules {
            let Some(effective) = rule.effective(&reading.source) else { continue };
            for test in effective.condition.iter().flat_map(|condition| &condition.tests) {
                let metric = device.metric(&test.metric);
                if rule.kind != Kind::Accumulate && test.comparison != Comparison::Deviates {
                    metric.histogram.get_or_insert_default();
                }
            }
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

    /// Adds a reading as of `at`.
    pub(super) fn add(&mut self, reading: &Reading<'_>, at: Timestamp) {
        self.readings += 1;
        self.first = self.first.min(at);
        for metric in &mut self.metrics {
            let Some(quantity) = reading.metric(&metric.key) else { continue };
            metric.label.get_or_insert_with(|| (quantity.label.to_owned(), quantity.unit));
            metric.series.add(at, quantity.value);
            if let Some(histogram) = &mut metric.histogram {
                histogram.add(quantity.value);
            }
        }
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

    /// The metric `key`. Adds a new metric.
    fn metric(&mut self, key: &str) -> &mut HistoryMetric {
        let known = self.metrics.iter().position(|metric| *metric.key == *key);
        let index = known.unwrap_or_else(|| {
            let series = MinMaxSeries::default();
            self.metrics.push(HistoryMetric { key: key.into(), label: None, series, histogram: None });
            self.metrics.len() - 1
        });
        &mut self.metrics[index]
    }
}
