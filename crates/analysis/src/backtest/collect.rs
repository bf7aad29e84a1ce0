//! Collects the findings of all zones.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::device::HistoryDevice;
use super::difference::difference;
use super::evaluator::TrialRules;
use super::findings::{AlertFact, Distribution, Findings, ReadingCounts, RuleLimit, RuleResults, Span};
use super::histogram::Histogram;
use super::series::TimeBuckets;
use super::zone::{HistoryCounts, HistoryZone};
use domain::breach::Comparison;
use domain::device::{DeviceType, Unit};
use domain::rules::{Condition, Kind, RuleSet};

/// Collects the findings of all zones: devices in order of first appearance, alerts in order of time. The result does not depend
/// on the order of zones. `rules` are those on trial and those that they are compared with; `counts` are the counts outside of
/// zones.
pub(super) fn findings(
    mut zones: Vec<HistoryZone<'_>>,
    rules: &[TrialRules<'_>],
    counts: ReadingCounts,
    unknown_ids: Vec<String>,
) -> Findings {
    let span = zones.iter().filter_map(|zone| zone.counts.span).reduce(|one, other| one.merge(Some(other)));
    let last = span.map_or(Timestamp::UNIX_EPOCH, |span| span.last);
    zones.iter_mut().for_each(|zone| zone.end(last));
    let numbers = numbers(&zones);
    let results = |rules: &TrialRules<'_>| RuleResults { name: rules.name.to_owned(), ..RuleResults::default() };
    let mut results: Vec<RuleResults> = rules.iter().map(results).collect();
    let mut counts = HistoryCounts { readings: counts, ..HistoryCounts::default() };
    let mut devices = Vec::new();
    for (zone, numbers) in zones.into_iter().zip(numbers) {
        for (results, evaluator) in results.iter_mut().zip(zone.evaluators) {
            results.counted += evaluator.counted;
            results.messages += evaluator.messages;
            let numbered = |alert: AlertFact| AlertFact { device: numbers[alert.device], ..alert };
            results.alerts.extend(evaluator.alerts.into_iter().map(numbered));
        }
        counts.merge(zone.counts, &numbers);
        devices.extend(numbers.into_iter().zip(zone.devices.all));
    }
    devices.sort_by_key(|(number, _)| *number);
    let devices: Vec<HistoryDevice> = devices.into_iter().map(|(_, device)| device).collect();
    for results in &mut results {
        results.alerts.sort_by(|a, b| (a.at, &a.rule, a.device, a.id).cmp(&(b.at, &b.rule, b.device, b.id)));
        results.avoidable = results.alerts.iter().filter(|alert| alert.avoidable).count() as u64;
    }
    let mut results = results.into_iter();
    let (on_trial, against) = (results.next().unwrap_or_default(), results.next());
    let buckets = TimeBuckets::of(span.unwrap_or(Span { first: last, last }));
    Findings {
        span,
        readings: counts.readings,
        outliers: counts.outliers,
        unknown_ids,
        damaged: Vec::new(),
        difference: against.as_ref().map(|against| difference(&on_trial.alerts, &against.alerts)),
        rules: on_trial,
        against,
        distributions: distributions(&devices, rules[0].rules),
        devices: devices.into_iter().map(|device| device.findings(&buckets)).collect(),
    }
}

/// For each zone the indices of its devices among all devices, which are in order of first appearance.
fn numbers(zones: &[HistoryZone<'_>]) -> Vec<Vec<usize>> {
    let appearance = |(zone, index): &(usize, usize)| {
        let HistoryDevice { first, location, .. } = &zones[*zone].devices.all[*index];
        (*first, &location.project, &location.zone, &location.device, &location.device_type)
    };
    let all = zones.iter().enumerate().flat_map(|(zone, of)| (0..of.devices.all.len()).map(move |index| (zone, index)));
    let mut all: Vec<(usize, usize)> = all.collect();
    all.sort_by(|one, other| appearance(one).cmp(&appearance(other)));
    let mut numbers: Vec<Vec<usize>> = zones.iter().map(|zone| vec![0; zone.devices.all.len()]).collect();
    for (number, (zone, index)) in all.into_iter().enumerate() {
        numbers[zone][index] = number;
    }
    numbers
}

/// The distribution of each metric, with the limits of the rules on trial.
fn distributions(devices: &[HistoryDevice], rules: &RuleSet) -> Vec<Distribution> {
    let mut histograms: BTreeMap<(&Arc<str>, &Arc<str>), Histogram> = BTreeMap::new();
    for device in devices {
        for (metric, histogram) in device.histograms() {
            histograms.entry((&device.device_type, metric)).or_default().merge(histogram);
        }
    }
    let distribution = |((device_type, metric), histogram): ((&Arc<str>, &Arc<str>), Histogram)| {
        let (label, unit) = label_and_unit(device_type, metric);
        Distribution {
            device_type: Arc::clone(device_type),
            metric: Arc::clone(metric),
            label,
            unit,
            count: histogram.count,
            least: histogram.least,
            greatest: histogram.greatest,
            width: histogram.width(),
            bins: histogram.bins(),
            limits: limits(device_type, metric, rules),
        }
    };
    histograms.into_iter().map(distribution).collect()
}

/// The limits of enabled rules for a metric, without overrides.
fn limits(device_type: &str, metric: &str, rules: &RuleSet) -> Vec<RuleLimit> {
    let mut limits = Vec::new();
    for rule in rules.rules.iter().filter(|rule| rule.settings.enabled && rule.kind != Kind::Accumulate) {
        let (types, severity) = (&rule.scope.types, rule.settings.severity);
        let has_type = types.is_empty() || types.iter().any(|named| named == device_type);
        let Some(Condition { tests, .. }) = rule.settings.condition.as_ref().filter(|_| has_type) else { continue };
        for test in tests.iter().filter(|test| test.metric == metric && test.comparison != Comparison::Deviates) {
            limits.extend(test.levels.iter().map(|level| RuleLimit {
                rule: rule.id.as_str().into(),
                severity: level.severity.unwrap_or(severity),
                comparison: test.comparison,
                limit: level.limit,
            }));
        }
    }
    limits.sort_by(|a, b| a.severity.cmp(&b.severity).then(a.limit.total_cmp(&b.limit)));
    limits
}

/// The label and the unit of a metric.
fn label_and_unit(device_type: &str, metric: &str) -> (String, Unit) {
    let documented = DeviceType::named(device_type).and_then(|of| of.metric(metric));
    documented.map_or_else(|| (metric.to_owned(), Unit::One), |metric| (metric.label.to_owned(), metric.unit))
}
