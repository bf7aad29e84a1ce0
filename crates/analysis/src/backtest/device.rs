//! The devices of a zone of the history, and their values.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use jiff::{SignedDuration, Timestamp};

use super::bins::Bins;
use super::findings::{DeviceFindings, RuleLimit, Series};
use super::trial_rules::TrialRules;
use domain::alert::Alert;
use domain::breach::Comparison;
use domain::device::Unit;
use domain::location::Location;
use domain::reading::{Quantity, Reading, Source};
use domain::rules::{Kind, Rule, Settings, Test};

/// The number of last readings that are compared to find copies: hours, at a reading a minute.
const MAX_RECENT: usize = 128;
/// Values in bins are multiples of this power of two: about a thousandth.
pub(super) const PRECISION: f64 = 1.0 / 1024.0;

/// A device of the history.
#[derive(Debug)]
pub(super) struct HistoryDevice {
    /// The id as readings have it.
    pub(super) id: String,
    pub(super) location: Location,
    pub(super) site: Option<String>,
    pub(super) readings: u64,
    pub(super) metrics: Vec<HistoryMetric>,
    /// For each set of rules, whether any rule applies to it.
    pub(super) has_rules: Vec<bool>,
    /// Fingerprints of the last readings.
    recent: VecDeque<u64>,
}

/// The devices of a zone.
#[derive(Debug, Default)]
pub(super) struct ZoneDevices {
    /// In order of first appearance.
    pub(super) all: Vec<HistoryDevice>,
    /// Indices by id and type, as readings have them.
    by_source: HashMap<(Cow<'static, str>, Cow<'static, str>), usize>,
}

/// A metric that a rule compares with a limit.
#[derive(Debug)]
pub(super) struct HistoryMetric {
    /// The series without values.
    pub(super) series: Series,
    /// The values by minute.
    times: Bins,
    /// The values by size, in units of [`PRECISION`].
    pub(super) sizes: Bins,
}

impl HistoryDevice {
    /// The device of a reading. The reading itself is not added.
    pub(super) fn new(reading: &Reading<'_>, rules: &[TrialRules<'_>]) -> Self {
        let mut metrics: Vec<HistoryMetric> = Vec::new();
        for rule in &rules[0].rules.rules {
            let Some(settings) = rule.effective(&reading.source) else { continue };
            for test in settings.condition.iter().flat_map(|condition| &condition.tests) {
                let known = metrics.iter().position(|metric| metric.series.metric == test.metric);
                let index = known.unwrap_or_else(|| {
                    metrics.push(HistoryMetric::new(&test.metric, reading));
                    metrics.len() - 1
                });
                metrics[index].series.limits.extend(limits(rule, &settings, test));
            }
        }
        let names = &rules[0].rules.names;
        let learned = Location::of(reading, names);
        let shown = |name: Option<&str>| name.map(str::to_owned);
        Self {
            id: reading.source.device.as_deref().unwrap_or_default().to_owned(),
            site: learned.project.as_deref().map(|site| names.site_name(site).to_owned()),
            location: Location {
                display: shown(learned.device_name(names)),
                zone_name: shown(learned.zone_name(names)),
                ..learned
            },
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

    /// Adds the values of a reading as of `at`.
    pub(super) fn add(&mut self, reading: &Reading<'_>, at: Timestamp) {
        for metric in &mut self.metrics {
            let Some(Quantity { value, .. }) = reading.metric(&metric.series.metric) else { continue };
            metric.times.add(at.as_second().div_euclid(60), value);
            // The cast saturates: extreme values share the outermost bin.
            metric.sizes.add((value / PRECISION).floor() as i64, value);
        }
    }

    /// The findings, with values in periods of at least so many minutes.
    pub(super) fn findings(self, minutes: i64) -> DeviceFindings {
        let series = self.metrics.into_iter().filter_map(|metric| metric.series(minutes));
        DeviceFindings { series: series.collect(), location: self.location, site: self.site, readings: self.readings }
    }
}

impl ZoneDevices {
    /// The index of the device of a reading. Adds a new device.
    pub(super) fn index(&mut self, reading: &Reading<'_>, rules: &[TrialRules<'_>]) -> usize {
        let Source { device, device_type, .. } = &reading.source;
        let key = (device.clone().unwrap_or_default(), device_type.clone());
        if let Some(index) = self.by_source.get(&key) {
            return *index;
        }
        let index = self.all.len();
        self.by_source.insert((key.0.into_owned().into(), key.1.into_owned().into()), index);
        self.all.push(HistoryDevice::new(reading, rules));
        index
    }

    /// The index of the device of an alert.
    pub(super) fn index_of_alert(&self, alert: &Alert) -> Option<usize> {
        let Location { device, device_type, .. } = &alert.location;
        self.all.iter().position(|known| known.location.device == *device && known.location.device_type == *device_type)
    }
}

impl HistoryMetric {
    fn new(key: &str, reading: &Reading<'_>) -> Self {
        let documented = reading.device_type().and_then(|of| of.metric(key));
        let (label, unit) = documented.map_or((key, Unit::One), |metric| (metric.label, metric.unit));
        Self {
            series: Series {
                metric: key.to_owned(),
                label: label.to_owned(),
                unit,
                width: SignedDuration::ZERO,
                values: Vec::new(),
                limits: Vec::new(),
            },
            times: Bins::default(),
            sizes: Bins::default(),
        }
    }

    /// The values in periods of at least so many minutes; `None` without values.
    fn series(self, minutes: i64) -> Option<Series> {
        let Self { mut times, series, .. } = self;
        times.widen(minutes);
        let width = SignedDuration::from_mins(times.width());
        let values = times.iter().filter_map(|(minute, bin)| {
            let start = Timestamp::from_second(minute * 60).ok()?;
            Some((start, bin.least, bin.greatest))
        });
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then_some(Series { width, values, ..series })
    }
}

/// The limits of a test for single values; none if it compares sums or differences from a baseline.
fn limits(rule: &Rule, settings: &Settings, test: &Test) -> impl Iterator<Item = RuleLimit> {
    let is_of_values = rule.kind != Kind::Accumulate && test.comparison != Comparison::Deviates;
    test.levels.iter().filter(move |_| is_of_values).map(|level| RuleLimit {
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

    /// The series of values with their times, in periods of at least so many minutes.
    fn series(values: impl IntoIterator<Item = (Timestamp, f64)>, minutes: i64) -> Series {
        let reading = Reading::read(r#"{"DevType":"SS","DEVID":"d","v":{}}"#).unwrap();
        let mut metric = HistoryMetric::new("p", &reading);
        values.into_iter().for_each(|(at, value)| metric.times.add(at.as_second().div_euclid(60), value));
        metric.series(minutes).unwrap()
    }

    #[test]
    fn a_period_has_the_least_and_the_greatest_value() {
        let clock = |clock: &str| at(&format!("2026-01-01T{clock}Z"));
        let values = [("00:02:00", 4.0), ("00:00:10", 5.0), ("00:00:50", 3.0)].map(|(at, value)| (clock(at), value));
        let minutes = series(values, 1);
        assert_eq!(minutes.width, SignedDuration::from_mins(1));
        assert_eq!(minutes.values, [(clock("00:00:00"), 3.0, 5.0), (clock("00:02:00"), 4.0, 4.0)]);
        let wider = series(values, 3);
        assert_eq!((wider.width, wider.values), (SignedDuration::from_mins(4), vec![(clock("00:00:00"), 3.0, 5.0)]));
    }

    #[test]
    fn a_year_by_the_minute_has_no_gap_in_spite_of_odd_times() {
        let first = at("2026-01-01T00:00:00Z");
        let year = (0..=60 * 24 * 365).map(|minute| (first + SignedDuration::from_mins(minute), 7.0));
        let odd = [(at("2016-02-29T00:00:00Z"), 1.0), (at("2098-01-01T00:00:00Z"), 2.0)];
        let series = series(odd.into_iter().chain(year), 1);
        let values = &series.values[1..series.values.len() - 1];
        assert!(values.len() > 100 && values.iter().all(|(_, least, greatest)| (*least, *greatest) == (7.0, 7.0)));
        assert!(values.windows(2).all(|two| two[1].0 - two[0].0 == series.width), "{series:?}");
    }
}
