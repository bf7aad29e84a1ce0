//! One device: what it measured, and what other limits would have made of that.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use jiff::Timestamp;

use super::curves::around;
use super::findings::{DeviceFindings, Series};
use super::gauge::Gauge;
use super::histogram::Histogram;
use super::judge::TriedRules;
use super::series::{Buckets, Trend};
use domain::breach::Comparison;
use domain::device::Unit;
use domain::location::Location;
use domain::reading::Reading;
use domain::rules::{Condition, Join, Kind, Rule, Test};

/// How many of its last readings a device is known by, so that copies are told from them: hours, at a reading a minute.
const MOST_RECENT: usize = 128;

/// A rule's test: the rule's position among the rules, and the test's among the rule's.
pub(super) type TestKey = (usize, usize);

/// One device.
#[derive(Debug)]
pub(super) struct Device<'r> {
    /// Its id and type as readings spell them.
    id: String,
    device_type: Arc<str>,
    pub(super) location: Location,
    /// Event time of its first reading.
    pub(super) first: Timestamp,
    readings: u64,
    metrics: Vec<Measured<'r>>,
    /// By set of rules, whether any rule is about it.
    pub(super) is_watched: Vec<bool>,
    /// Fingerprints of its last readings.
    recent: VecDeque<u64>,
}

/// One metric that a rule compares with a limit.
#[derive(Debug)]
struct Measured<'r> {
    key: Arc<str>,
    /// What a person calls it, and its unit; known with the first value.
    known: Option<(String, Unit)>,
    trend: Trend,
    /// How its values are distributed, if single values are compared with a limit, and not their sum.
    histogram: Option<Histogram>,
    gauges: Vec<(TestKey, Gauge<'r>)>,
}

impl<'r> Device<'r> {
    /// The device that a reading is of, before it is taken.
    pub(super) fn of(reading: &Reading<'_>, rules: &'r [TriedRules<'r>]) -> Self {
        let is_watched = rules.iter().map(|rules| rules.are_about(&reading.source)).collect();
        let mut device = Self {
            id: reading.source.device.as_deref().unwrap_or_default().to_owned(),
            device_type: reading.source.device_type.as_ref().into(),
            location: Location::of(reading),
            first: Timestamp::MAX,
            readings: 0,
            metrics: Vec::new(),
            is_watched,
            recent: VecDeque::new(),
        };
        for (number, rule) in rules[0].rules.rules.iter().enumerate() {
            device.watch(number, rule, reading);
        }
        device
    }

    /// Its id as readings spell it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Its type, by short name.
    pub(super) fn device_type(&self) -> &str {
        &self.device_type
    }

    /// Whether it is one of its last readings once more. If it is not, it is one of them now.
    pub(super) fn has_had(&mut self, reading: &Reading<'_>) -> bool {
        let fingerprint = FixedState::default().hash_one(reading.text);
        let is_known = self.recent.contains(&fingerprint);
        if !is_known {
            self.recent.truncate(MOST_RECENT - 1);
            self.recent.push_front(fingerprint);
        }
        is_known
    }

    /// Takes a reading of it as of `at`. `alerts` is whether it came early enough to alert.
    pub(super) fn take(&mut self, reading: &Reading<'_>, at: Timestamp, alerts: bool) {
        self.readings += 1;
        self.first = self.first.min(at);
        for metric in &mut self.metrics {
            let Some(quantity) = reading.metric(&metric.key) else { continue };
            metric.known.get_or_insert_with(|| (quantity.label.to_owned(), quantity.unit));
            metric.trend.add(at, quantity.value);
            if alerts {
                metric.gauges.iter_mut().for_each(|(_, gauge)| gauge.take(at, quantity.value, reading));
            }
            if let Some(histogram) = &mut metric.histogram {
                histogram.add(quantity.value);
            }
        }
    }

    /// Notes that a cleaning of its zone ended at `at`.
    pub(super) fn cleaned(&mut self, at: Timestamp) {
        let gauges = self.metrics.iter_mut().flat_map(|metric| &mut metric.gauges);
        gauges.for_each(|(_, gauge)| gauge.cleaned(at));
    }

    /// The alerts that each limit would make, by the rule's test.
    pub(super) fn gauges(&self) -> impl Iterator<Item = (TestKey, &Arc<str>, Vec<u64>)> {
        let gauges = self.metrics.iter().flat_map(|metric| &metric.gauges);
        gauges.map(|(key, gauge)| (*key, &self.device_type, gauge.alerts()))
    }

    /// How the values of each metric are distributed, by type and metric.
    pub(super) fn histograms(&self) -> impl Iterator<Item = ((Arc<str>, Arc<str>), &Histogram)> {
        self.metrics.iter().filter_map(|metric| {
            let histogram = metric.histogram.as_ref().filter(|histogram| histogram.count > 0)?;
            Some(((Arc::clone(&self.device_type), Arc::clone(&metric.key)), histogram))
        })
    }

    pub(super) fn findings(self, buckets: &Buckets) -> DeviceFindings {
        let series = self.metrics.into_iter().filter_map(|metric| {
            let (label, unit) = metric.known?;
            let (from, bucket) = (buckets.from, buckets.each);
            Some(Series { metric: metric.key, label, unit, from, bucket, buckets: metric.trend.cut(buckets) })
        });
        DeviceFindings { series: series.collect(), location: self.location, readings: self.readings }
    }

    /// Watches what a rule compares, where it is in force for this device.
    fn watch(&mut self, number: usize, rule: &'r Rule, reading: &Reading<'_>) {
        let Some(effective) = rule.effective(&reading.source) else { return };
        let Some(condition) = &effective.condition else { return };
        for (index, test) in condition.tests.iter().enumerate() {
            let is_sum = rule.kind == Kind::Accumulate;
            let metric = self.metric(&test.metric);
            if !is_sum && test.comparison != Comparison::Deviates {
                metric.histogram.get_or_insert_default();
            }
            let Some(limits) = limits(rule, index, test.metric.as_str(), reading) else { continue };
            if is_decided_by_one(condition)
                && let Some(gauge) = Gauge::new(rule.kind, &effective, test, limits)
            {
                metric.gauges.push(((number, index), gauge));
            }
        }
    }

    fn metric(&mut self, key: &str) -> &mut Measured<'r> {
        let known = self.metrics.iter().position(|metric| *metric.key == *key);
        let index = known.unwrap_or_else(|| {
            let trend = Trend::default();
            let new = Measured { key: key.into(), known: None, trend, histogram: None, gauges: Vec::new() };
            self.metrics.push(new);
            self.metrics.len() - 1
        });
        &mut self.metrics[index]
    }
}

/// Whether each test decides by itself.
fn is_decided_by_one(condition: &Condition) -> bool {
    condition.tests.len() == 1 || condition.join == Join::Any
}

/// Limits to try for a rule's test: the same for all devices of a type, around what the rule says where nothing overrides
/// it. `None` where an override tests something else.
fn limits(rule: &Rule, test: usize, metric: &str, reading: &Reading<'_>) -> Option<Arc<[f64]>> {
    let test = rule.settings.condition.as_ref()?.tests.get(test).filter(|test| test.metric == metric)?;
    let unit = reading.device_type().and_then(|of| of.metric(metric)).map_or(Unit::One, |metric| metric.unit);
    Some(limits_of(test, unit).into())
}

/// Limits to try for a test of a metric in `unit`.
pub(super) fn limits_of(test: &Test, unit: Unit) -> Vec<f64> {
    let levels: Vec<f64> = test.levels.iter().map(|level| level.limit).collect();
    around(&levels, unit)
}
