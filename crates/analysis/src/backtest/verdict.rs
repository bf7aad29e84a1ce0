//! What was found, put together: devices and alerts of all zones in one order, and what is learnt from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::curves::{OfDevice, differing, points, suggestion, total};
use super::device::{Device, TestKey, limits_of};
use super::difference::difference;
use super::findings::{AlertFact, Curve, Distribution, Findings, Limit, ReadingCounts, Span, Verdict};
use super::histogram::Histogram;
use super::judge::TriedRules;
use super::series::Buckets;
use super::zone::{Tally, Zone};
use domain::breach::Comparison;
use domain::device::{DeviceType, Unit};
use domain::rules::{Condition, Kind, RuleSet, Test};

/// Puts together what was found in all zones: devices in order of their first appearance, alerts in order of time, whatever
/// the number of cores and the order of zones. `tried` are the rules on trial, and those that they are compared with;
/// `counts` what was counted outside of zones.
pub(super) fn findings(
    mut zones: Vec<Zone<'_>>,
    tried: &[TriedRules<'_>],
    counts: ReadingCounts,
    unknown_ids: Vec<String>,
    wanted_a_week: f64,
) -> Findings {
    let span = zones.iter().filter_map(|zone| zone.tally.span).reduce(|one, other| one.and(Some(other)));
    let last = span.map_or(Timestamp::UNIX_EPOCH, |span| span.last);
    zones.iter_mut().for_each(|zone| zone.end(last));
    let numbers = numbers(&zones);
    let verdict = |rules: &TriedRules<'_>| Verdict { name: rules.name.to_owned(), ..Verdict::default() };
    let mut verdicts: Vec<Verdict> = tried.iter().map(verdict).collect();
    let mut tally = Tally::default();
    let mut devices = Vec::new();
    for (zone, numbers) in zones.into_iter().zip(numbers) {
        for (verdict, judge) in verdicts.iter_mut().zip(zone.judges) {
            verdict.counted += judge.counted;
            verdict.messages += judge.messages;
            let numbered = |alert: AlertFact| AlertFact { device: numbers[alert.device], ..alert };
            verdict.alerts.extend(judge.alerts.into_iter().map(numbered));
        }
        tally.add(zone.tally, |device| numbers[device]);
        devices.extend(numbers.into_iter().zip(zone.devices.all));
    }
    devices.sort_by_key(|(number, _)| *number);
    let devices: Vec<Device<'_>> = devices.into_iter().map(|(_, device)| device).collect();
    for verdict in &mut verdicts {
        verdict.alerts.sort_by(|a, b| (a.at, &a.rule, a.device, a.id).cmp(&(b.at, &b.rule, b.device, b.id)));
        verdict.avoidable = verdict.alerts.iter().filter(|alert| alert.avoidable).count() as u64;
    }
    let mut verdicts = verdicts.into_iter();
    let (rules, against) = (verdicts.next().unwrap_or_default(), verdicts.next());
    let buckets = Buckets::of(span.unwrap_or(Span { first: last, last }));
    Findings {
        span,
        readings: ReadingCounts {
            judged: tally.counts.judged,
            duplicates: tally.counts.duplicates,
            stale: tally.counts.stale,
            implausible: tally.counts.implausible,
            ..counts
        },
        outliers: tally.outliers,
        unknown_ids,
        damaged: Vec::new(),
        difference: against.as_ref().map(|against| difference(&rules.alerts, &against.alerts)),
        rules,
        against,
        distributions: distributions(&devices, tried[0].rules),
        curves: curves(&devices, tried[0].rules, span, wanted_a_week),
        devices: devices.into_iter().map(|device| device.findings(&buckets)).collect(),
    }
}

/// The number of each device of each zone among all devices, in order of their first appearance.
fn numbers(zones: &[Zone<'_>]) -> Vec<Vec<usize>> {
    let mut numbers: Vec<Vec<usize>> = zones.iter().map(|zone| vec![0; zone.devices.all.len()]).collect();
    let all =
        zones.iter().enumerate().flat_map(|(zone, of)| of.devices.all.iter().enumerate().map(move |at| (zone, at)));
    let mut all: Vec<(usize, (usize, &Device<'_>))> = all.collect();
    all.sort_by(|(_, (_, a)), (_, (_, b))| appearance(a).cmp(&appearance(b)));
    for (number, (zone, (index, _))) in all.into_iter().enumerate() {
        numbers[zone][index] = number;
    }
    numbers
}

/// What devices are ordered by.
fn appearance<'d>(device: &'d Device<'_>) -> impl Ord + use<'d> {
    let location = &device.location;
    (device.first, &location.project, &location.zone, &location.device, &location.device_type)
}

/// How values are distributed, with the limits of the rules on trial.
fn distributions(devices: &[Device<'_>], rules: &RuleSet) -> Vec<Distribution> {
    let mut histograms: BTreeMap<(Arc<str>, Arc<str>), Histogram> = BTreeMap::new();
    for (key, histogram) in devices.iter().flat_map(Device::histograms) {
        histograms.entry(key).or_default().merge(histogram);
    }
    let distribution = |((device_type, metric), histogram): ((Arc<str>, Arc<str>), Histogram)| {
        let (label, unit) = known(&device_type, &metric);
        Distribution {
            limits: limits_on(&device_type, &metric, rules),
            count: histogram.count,
            least: histogram.least,
            greatest: histogram.greatest,
            width: histogram.width(),
            bins: histogram.bins(),
            label,
            unit,
            device_type,
            metric,
        }
    };
    histograms.into_iter().map(distribution).collect()
}

/// The limits that rules set everywhere for values of a metric.
fn limits_on(device_type: &str, metric: &str, rules: &RuleSet) -> Vec<Limit> {
    let mut limits = Vec::new();
    for rule in &rules.rules {
        let is_in_force = rule.settings.enabled && has_type(&rule.scope.types, device_type);
        let is_sum = rule.kind == Kind::Accumulate;
        let Some(Condition { tests, .. }) = rule.settings.condition.as_ref().filter(|_| is_in_force && !is_sum) else {
            continue;
        };
        let severity = rule.settings.severity;
        for test in tests.iter().filter(|test| test.metric == metric && test.comparison != Comparison::Deviates) {
            limits.extend(test.levels.iter().map(|level| Limit {
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

fn has_type(types: &[String], device_type: &str) -> bool {
    types.is_empty() || types.iter().any(|named| named == device_type)
}

/// What a person calls a metric, and its unit.
fn known(device_type: &str, metric: &str) -> (String, Unit) {
    let known = DeviceType::named(device_type).and_then(|of| of.metric(metric));
    known.map_or_else(|| (metric.to_owned(), Unit::One), |metric| (metric.label.to_owned(), metric.unit))
}

/// A curve for each test of a rule that decides by itself, and each device type.
fn curves(devices: &[Device<'_>], rules: &RuleSet, span: Option<Span>, wanted: f64) -> Vec<Curve> {
    let weeks = span.map_or(1.0, |span| span.weeks());
    let mut gauged: BTreeMap<(TestKey, &Arc<str>), Vec<OfDevice>> = BTreeMap::new();
    for (number, device) in devices.iter().enumerate() {
        for (key, device_type, alerts) in device.gauges() {
            gauged.entry((key, device_type)).or_default().push(OfDevice { device: number, alerts });
        }
    }
    gauged
        .into_iter()
        .filter_map(|(((rule, test), device_type), of_devices)| {
            let rule = &rules.rules[rule];
            let test: &Test = rule.settings.condition.as_ref()?.tests.get(test)?;
            let (label, unit) = known(device_type, &test.metric);
            let limits = limits_of(test, unit);
            let limit = test.levels.first()?.limit;
            let points = points(&limits, &total(&of_devices, limits.len()), weeks);
            Some(Curve {
                rule: rule.id.as_str().into(),
                title: rule.title.clone(),
                device_type: Arc::clone(device_type),
                metric: test.metric.as_str().into(),
                label,
                unit,
                comparison: test.comparison,
                limit,
                devices: of_devices.len(),
                suggestion: suggestion(&points, limit, test.comparison, wanted),
                points,
                differing: differing(&of_devices, &limits, limit, test.comparison, weeks),
            })
        })
        .collect()
}
