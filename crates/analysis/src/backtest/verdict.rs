//! What was found, put together: devices and alerts of all zones in one order, and what is learnt from them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::curves::{OfDevice, differing, points, suggestion, total};
use super::device::{Device, Histograms, TestKey, limits_of};
use super::difference::difference;
use super::findings::{AlertFact, Curve, Distribution, Findings, Limit, ReadingCounts, Span, Verdict};
use super::series::Buckets;
use super::shard::Shard;
use super::zone::{Said, Tally, Zone};
use domain::alert::Comparison;
use domain::device::{DeviceType, Unit};
use domain::rules::{Condition, Kind, RuleSet, Test};
use domain::severity::Severity;

/// What is known of a history beside its zones.
pub(super) struct Frame<'r> {
    /// The rules on trial.
    pub(super) rules: &'r RuleSet,
    /// What the sets of rules are called, the ones on trial first.
    pub(super) names: Vec<String>,
    /// What was counted outside of zones.
    pub(super) counts: ReadingCounts,
    pub(super) unknown_ids: Vec<String>,
    pub(super) wanted_a_week: f64,
}

/// Puts together what was found in all zones.
pub(super) fn findings(shards: Vec<Shard<'_>>, frame: Frame<'_>) -> Findings {
    let mut histograms = Histograms::new();
    let mut zones = Vec::new();
    for shard in shards {
        for (key, histogram) in shard.histograms {
            histograms.entry(key).or_default().merge(histogram);
        }
        zones.extend(shard.zones);
    }
    let span = zones.iter().filter_map(|zone| zone.tally.span).reduce(|one, other| one.and(Some(other)));
    let last = span.map_or(Timestamp::UNIX_EPOCH, |span| span.last);
    let Ordered { devices, said, tally } = in_order(zones, last, frame.names.len());
    let buckets = Buckets::of(span.unwrap_or(Span { first: last, last }));
    let mut verdicts = said.into_iter().zip(frame.names).map(|(said, name)| Verdict {
        name,
        avoidable: said.alerts.iter().filter(|alert| alert.avoidable).count() as u64,
        alerts: said.alerts,
        counted: said.counted,
        messages: said.messages,
    });
    let rules = verdicts.next().unwrap_or_default();
    let against = verdicts.next();
    Findings {
        span,
        readings: ReadingCounts {
            judged: tally.counts.judged,
            duplicates: tally.counts.duplicates,
            stale: tally.counts.stale,
            implausible: tally.counts.implausible,
            ..frame.counts
        },
        outliers: tally.outliers,
        unknown_ids: frame.unknown_ids,
        difference: against.as_ref().map(|against| difference(&rules.alerts, &against.alerts)),
        rules,
        against,
        distributions: distributions(histograms, frame.rules),
        curves: curves(&devices, frame.rules, span, frame.wanted_a_week),
        devices: devices.into_iter().map(|device| device.findings(&buckets)).collect(),
    }
}

/// What was found in all zones, in one order.
struct Ordered<'r> {
    devices: Vec<Device<'r>>,
    said: Vec<Said>,
    tally: Tally,
}

/// Devices in order of their first appearance, and what was said of them in order of time, whatever the number of cores
/// and the order of zones. The history ends with `last`.
fn in_order(zones: Vec<Zone<'_>>, last: Timestamp, sets: usize) -> Ordered<'_> {
    let mut places = Vec::new();
    let mut devices = Vec::new();
    let mut spoken = Vec::new();
    for (number, mut zone) in zones.into_iter().enumerate() {
        let tally = std::mem::take(&mut zone.tally);
        let (of_zone, said) = zone.end(last);
        places.extend((0..of_zone.len()).map(|index| (number, index)));
        devices.extend(of_zone);
        spoken.push((said, tally));
    }
    let mut order: Vec<usize> = (0..devices.len()).collect();
    order.sort_by(|a, b| appeared(&devices[*a], &devices[*b]));
    let mut numbers = BTreeMap::new();
    for (number, index) in order.iter().enumerate() {
        numbers.insert(places[*index], number);
    }
    let mut whole: Vec<Said> = (0..sets).map(|_| Said::default()).collect();
    let mut tally = Tally::default();
    for (zone, (said, of_zone)) in spoken.into_iter().enumerate() {
        let numbered = |device: usize| numbers[&(zone, device)];
        for (whole, said) in whole.iter_mut().zip(said) {
            let Said { alerts, counted, messages, .. } = said;
            whole.counted += counted;
            whole.messages += messages;
            let numbered = |alert: AlertFact| AlertFact { device: numbered(alert.device), ..alert };
            whole.alerts.extend(alerts.into_iter().map(numbered));
        }
        tally.add(of_zone, numbered);
    }
    for said in &mut whole {
        said.alerts.sort_by(|a, b| (a.at, &a.rule, a.device, a.id).cmp(&(b.at, &b.rule, b.device, b.id)));
    }
    let mut devices: Vec<Option<Device<'_>>> = devices.into_iter().map(Some).collect();
    let devices = order.into_iter().filter_map(|index| devices[index].take()).collect();
    Ordered { devices, said: whole, tally }
}

fn appeared(a: &Device<'_>, b: &Device<'_>) -> Ordering {
    let names = |device: &Device<'_>| {
        let place = device.place.clone();
        (place.project, place.zone, place.device, place.device_type)
    };
    a.first.cmp(&b.first).then_with(|| names(a).cmp(&names(b)))
}

/// How values are distributed, with the limits of the rules on trial.
fn distributions(histograms: Histograms, rules: &RuleSet) -> Vec<Distribution> {
    let mut distributions: Vec<Distribution> = histograms
        .into_iter()
        .map(|((device_type, metric), histogram)| {
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
        })
        .collect();
    distributions.sort_by(|a, b| (&a.device_type, &a.metric).cmp(&(&b.device_type, &b.metric)));
    distributions
}

/// The limits that rules set everywhere for values of a metric.
fn limits_on(device_type: &str, metric: &str, rules: &RuleSet) -> Vec<Limit> {
    let mut limits = Vec::new();
    for rule in &rules.rules {
        let is_in_force = rule.settings.enabled.unwrap_or(true) && has_type(&rule.scope.types, device_type);
        let is_sum = rule.kind == Kind::Accumulate;
        let Some(Condition { tests, .. }) = rule.settings.condition.as_ref().filter(|_| is_in_force && !is_sum) else {
            continue;
        };
        let severity = rule.settings.severity.unwrap_or(Severity::Medium);
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
