//! Collects the findings of all zones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::bins::Bins;
use super::device::{HistoryDevice, HistoryMetric, PRECISION};
use super::difference::difference;
use super::findings::{
    AlertFact, Distribution, EscalationCount, Findings, ReadingCounts, RuleLimit, RuleResults, Series,
};
use super::trial_rules::TrialRules;
use super::zone::{HistoryCounts, HistoryZone};
use domain::alert::life::AlertLife;
use domain::rules::{Rule, RuleSet};

/// Most periods of a series, so that a chart can show them.
const MAX_PERIODS: i64 = 240;

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
    let minutes = span.map_or(0, |span| span.last.duration_since(span.first).as_mins());
    let mut counts = HistoryCounts { readings, ..HistoryCounts::default() };
    let mut devices: Vec<HistoryDevice> = Vec::new();
    let named = |rules: &TrialRules<'_>| RuleResults { name: rules.name.to_owned(), ..RuleResults::default() };
    let mut results: Vec<RuleResults> = rules.iter().map(named).collect();
    let mut responses = BTreeSet::new();
    for mut zone in zones {
        zone.evaluators.iter_mut().for_each(|evaluator| evaluator.end(last, &zone.devices));
        let learned = zone.evaluators.first().and_then(|evaluator| evaluator.state.zone_name.clone());
        // The devices of this zone come after those of the zones before it.
        let first = devices.len();
        for (results, evaluator) in results.iter_mut().zip(zone.evaluators) {
            results.counted += evaluator.results.counted;
            results.messages += evaluator.results.messages;
            results.lives.extend(evaluator.lives.into_values());
            responses.extend(evaluator.responses);
            let alerts = evaluator.results.alerts.into_iter();
            results.alerts.extend(alerts.map(|alert| AlertFact { device: first + alert.device, ..alert }));
        }
        counts.merge(zone.counts, first);
        for device in &mut zone.devices.all {
            device.location.zone_name = device.location.zone_name.take().or_else(|| learned.clone());
        }
        devices.extend(zone.devices.all);
    }
    for (results, TrialRules { rules, .. }) in results.iter_mut().zip(rules) {
        results.escalations = escalations(&results.lives, rules);
        results.alerts.sort_by(|a, b| (a.at, &a.rule, a.device, a.id).cmp(&(b.at, &b.rule, b.device, b.id)));
        results.lives.sort_by_key(|life| life.alert);
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
        distributions: distributions(&devices),
        responses: responses.into_iter().collect(),
        devices: devices.into_iter().map(|device| device.findings(minutes / MAX_PERIODS)).collect(),
    }
}

/// How often each step of the escalations told whom.
fn escalations(lives: &[AlertLife], rules: &RuleSet) -> Vec<EscalationCount> {
    let steps = rules.rules.iter().flat_map(Rule::steps);
    let mut counts: BTreeMap<(SignedDuration, String), usize> =
        steps.map(|step| ((step.after, step.to.clone()), 0)).collect();
    for life in lives {
        let Some(settings) = rules.settings_of(life) else { continue };
        for (step, escalation) in settings.escalate.iter().zip(&life.escalated) {
            for to in &escalation.to {
                *counts.entry((step.after, to.clone())).or_default() += 1;
            }
        }
    }
    counts.into_iter().map(|((after, to), alerts)| EscalationCount { after, to, alerts }).collect()
}

/// The distribution of each metric with a limit for single values.
fn distributions(devices: &[HistoryDevice]) -> Vec<Distribution> {
    let mut metrics: BTreeMap<(&str, &str), Vec<&HistoryMetric>> = BTreeMap::new();
    for device in devices {
        for metric in device.metrics.iter().filter(|metric| !metric.series.limits.is_empty()) {
            metrics.entry((&device.location.device_type, &metric.series.metric)).or_default().push(metric);
        }
    }
    let distributions = metrics.into_iter().filter_map(|((device_type, _), metrics)| {
        let mut bins = Bins::default();
        metrics.iter().for_each(|metric| bins.merge(&metric.sizes));
        let mut limits: Vec<RuleLimit> = metrics.iter().flat_map(|metric| metric.series.limits.clone()).collect();
        limits.sort_by(|a, b| (a.severity, &a.rule).cmp(&(b.severity, &b.rule)).then(a.limit.total_cmp(&b.limit)));
        limits.dedup();
        let (Series { metric, label, unit, .. }, total) = (metrics[0].series.clone(), bins.total()?);
        Some(Distribution {
            device_type: device_type.to_owned(),
            metric,
            label,
            unit,
            count: total.count,
            least: total.least,
            greatest: total.greatest,
            width: bins.width() as f64 * PRECISION,
            bins: bins.iter().map(|(start, bin)| (start as f64 * PRECISION, bin.count)).collect(),
            limits,
        })
    });
    distributions.collect()
}
