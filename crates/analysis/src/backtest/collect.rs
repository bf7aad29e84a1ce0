//! Collects the findings of all zones.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::bins::{Bin, Bins};
use super::device::{HistoryDevice, HistoryMetric, PRECISION, limits};
use super::difference::difference;
use super::evaluator::TrialRules;
use super::findings::{AlertFact, Distribution, Findings, ReadingCounts, RuleLimit, RuleResults};
use super::zone::{HistoryCounts, HistoryZone};
use domain::rules::{Kind, RuleSet};

/// Collects the findings of all zones. `rules` are those on trial and those that they are compared with; `readings` are the counts
/// outside of zones.
pub(super) fn findings(
    zones: Vec<HistoryZone<'_>>,
    rules: &[TrialRules<'_>],
    readings: ReadingCounts,
    unknown_ids: Vec<String>,
) -> Findings {
    let span = zones.iter().filter_map(|zone| zone.counts.span).reduce(|one, other| one.merge(other));
    let last = span.map_or(Timestamp::UNIX_EPOCH, |span| span.last);
    let mut counts = HistoryCounts { readings, ..HistoryCounts::default() };
    let mut devices: Vec<HistoryDevice> = Vec::new();
    let named = |rules: &TrialRules<'_>| RuleResults { name: rules.name.to_owned(), ..RuleResults::default() };
    let mut results: Vec<RuleResults> = rules.iter().map(named).collect();
    for mut zone in zones {
        zone.end(last);
        // The devices of this zone come after those of the zones before it.
        let first = devices.len();
        for (results, evaluator) in results.iter_mut().zip(zone.evaluators) {
            results.counted += evaluator.results.counted;
            results.messages += evaluator.results.messages;
            let alerts = evaluator.results.alerts.into_iter();
            results.alerts.extend(alerts.map(|alert| AlertFact { device: first + alert.device, ..alert }));
        }
        counts.merge(zone.counts, first);
        devices.extend(zone.devices.all);
    }
    for results in &mut results {
        results.alerts.sort_by(|a, b| (a.at, &a.rule, a.device, a.id).cmp(&(b.at, &b.rule, b.device, b.id)));
        results.avoidable = results.alerts.iter().filter(|alert| alert.avoidable).count() as u64;
    }
    let mut results = results.into_iter();
    let (on_trial, against) = (results.next().unwrap_or_default(), results.next());
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
        devices: devices.into_iter().map(|device| device.findings(span)).collect(),
    }
}

/// The distribution of each metric, with the limits of the rules on trial.
fn distributions(devices: &[HistoryDevice], rules: &RuleSet) -> Vec<Distribution> {
    let mut metrics: BTreeMap<(&str, &str), (&HistoryMetric, Bins)> = BTreeMap::new();
    for device in devices {
        for metric in &device.metrics {
            let Some(sizes) = &metric.sizes else { continue };
            let key = (&*device.location.device_type, &*metric.key);
            metrics.entry(key).or_insert_with(|| (metric, Bins::default())).1.merge(sizes);
        }
    }
    let distributions = metrics.into_iter().filter_map(|((device_type, key), (metric, bins))| {
        let Bin { count, least, greatest } = bins.total()?;
        Some(Distribution {
            device_type: device_type.to_owned(),
            metric: key.to_owned(),
            label: metric.label.clone(),
            unit: metric.unit,
            count,
            least,
            greatest,
            width: bins.width() as f64 * PRECISION,
            bins: bins.iter().map(|(start, bin)| (start as f64 * PRECISION, bin.count)).collect(),
            limits: limits_of_single_values(device_type, key, rules),
        })
    });
    distributions.collect()
}

/// The limits of enabled rules for a metric, without overrides and sums.
fn limits_of_single_values(device_type: &str, metric: &str, rules: &RuleSet) -> Vec<RuleLimit> {
    let mut all = Vec::new();
    for rule in rules.rules.iter().filter(|rule| rule.settings.enabled && rule.kind != Kind::Accumulate) {
        let types = &rule.scope.types;
        if types.is_empty() || types.iter().any(|named| named == device_type) {
            let tests = rule.settings.condition.iter().flat_map(|condition| &condition.tests);
            all.extend(tests.filter(|test| test.metric == metric).flat_map(|test| limits(rule, &rule.settings, test)));
        }
    }
    all.sort_by(|a, b| a.severity.cmp(&b.severity).then(a.limit.total_cmp(&b.limit)));
    all
}
