//! Findings as tests need them, and believable ones to look at.

use jiff::{SignedDuration, Timestamp};

use crate::backtest::findings::{
    AlertFact, DeviceFindings, Difference, Distribution, Findings, ReadingCounts, RuleLimit, RuleResults, Series, Span,
};
use domain::alert::AlertId;
use domain::breach::{Breach, Comparison};
use domain::device::{DEVICE_TYPES, DeviceType, Unit};
use domain::location::Location;
use domain::severity::Severity;
use domain::time::LocalZone;

/// Monday midnight in Singapore.
pub(super) const START: &str = "2026-03-01T16:00:00Z";
/// Periods of a series.
const PERIODS: i64 = 240;
/// Length of the history, in days.
const DAYS: i64 = 28;

/// What is measured: type, metric, everyday value, how far it rises by day, rule, severity, comparison, limit.
type Kind = (&'static str, &'static str, f64, f64, &'static str, Severity, Comparison, f64);

const KINDS: [Kind; 6] = [
    ("ODRDTR_BATT_V1", "amm", 60.0, 120.0, "ammonia-lite", Severity::Medium, Comparison::AtLeast, 200.0),
    ("ODRDTR_10_IN_1", "co2", 500.0, 900.0, "carbon-dioxide", Severity::High, Comparison::AtLeast, 1_500.0),
    ("SS", "p", 60.0, -50.0, "soap-low", Severity::Medium, Comparison::Below, 5.0),
    ("BIN", "p", 70.0, -55.0, "bin-full", Severity::Medium, Comparison::Below, 10.0),
    ("WD", "AreaP", 0.4, 2.5, "spill", Severity::High, Comparison::AtLeast, 5.0),
    ("UM", "b", 2_900.0, -350.0, "battery-low", Severity::Low, Comparison::Below, 2_400.0),
];

/// Numbers between 0 and 1 that look thrown, the same every time.
fn thrown(seed: u64) -> f64 {
    let mixed = (seed ^ (seed >> 29)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

pub(super) fn start() -> Timestamp {
    START.parse().unwrap()
}

/// A device in Singapore.
pub(super) fn location(device_type: &str, display: &str, zone: &str) -> Location {
    Location {
        display: Some(display.to_owned()),
        device: Some(format!("{device_type}-{display}")),
        device_type: device_type.to_owned(),
        zone: Some(zone.to_owned()),
        zone_name: None,
        project: Some("Harbour Tower".to_owned()),
        property: Some("property01".to_owned()),
        local_zone: LocalZone { region: Some("Asia/Singapore".to_owned()), offset_seconds: None },
    }
}

/// An alert of `rule` at `device` so many hours after the start.
pub(super) fn alert(rule: &str, device: usize, hours: i64, crossing: Option<(&str, f64, f64, Unit)>) -> AlertFact {
    let at = start() + SignedDuration::from_hours(hours);
    AlertFact {
        id: AlertId::of_silence(rule, &device.to_string(), at),
        rule: rule.into(),
        title: rule.into(),
        severity: Severity::Medium,
        device,
        at,
        ended: at,
        breach: crossing.map(|(metric, value, limit, unit)| Breach {
            metric: metric.into(),
            label: DEVICE_TYPES
                .iter()
                .find_map(|known| known.metric(metric))
                .map_or(metric, |known| known.label)
                .into(),
            value,
            comparison: Comparison::AtLeast,
            limit,
            unit,
        }),
        blocked: false,
        avoidable: false,
    }
}

/// A device that measured `values`, the least and the greatest of each hour.
pub(super) fn device(location: Location, metric: &str, unit: Unit, values: Vec<(f64, f64)>) -> DeviceFindings {
    let width = SignedDuration::from_hours(1);
    let values = (0..).zip(values).map(|(hour, (least, greatest))| (start() + width * hour, least, greatest)).collect();
    let series = Series { metric: metric.into(), label: metric.to_owned(), unit, width, values, limits: Vec::new() };
    let site = location.project.clone();
    DeviceFindings { location, site, readings: 1_000, series: vec![series] }
}

/// Findings of the rules on trial alone, over one week.
pub(super) fn findings(devices: Vec<DeviceFindings>, alerts: Vec<AlertFact>) -> Findings {
    Findings {
        span: Some(Span { first: start(), last: start() + SignedDuration::from_hours(7 * 24) }),
        readings: ReadingCounts { judged: 1_000, ..ReadingCounts::default() },
        rules: RuleResults {
            name: "rules.toml".to_owned(),
            messages: alerts.len() as u64,
            alerts,
            ..RuleResults::default()
        },
        devices,
        ..Findings::default()
    }
}

/// So many devices over four weeks, two of three with alerts, two rule files compared.
pub(super) fn building(devices: usize) -> Findings {
    let (mut found, mut alerts) = (Vec::new(), Vec::new());
    for index in 0..devices {
        // Air quality sensors are the most, and among them some are far worse than others.
        let kind = &KINDS[[0, 0, 0, 1, 1, 2, 3, 3, 4, 5][index % 10]];
        let wildness = if index % 3 == 2 { 0.35 } else { 0.62 + 0.75 * thrown(index as u64).powi(6) };
        let (device, mut own) = simulated(index, kind, wildness);
        found.push(device);
        alerts.append(&mut own);
    }
    alerts.sort_by_key(|alert| (alert.at, alert.device));
    let kept = |alert: &AlertFact| {
        let is_mild =
            alert.breach.as_ref().is_some_and(|crossing| &*crossing.metric == "amm" && crossing.value < 250.0);
        !(is_mild || &*alert.rule == "bin-full" && alert.device % 4 == 1)
    };
    let trial: Vec<AlertFact> = alerts.iter().filter(|alert| kept(alert)).cloned().collect();
    let missed: Vec<usize> = (0..alerts.len()).filter(|index| !kept(&alerts[*index])).step_by(9).collect();
    let verdict = |name: &str, alerts: Vec<AlertFact>| RuleResults {
        name: name.to_owned(),
        messages: alerts.len() as u64 * 4 / 5,
        alerts,
        ..RuleResults::default()
    };
    Findings {
        span: Some(Span { first: start(), last: start() + SignedDuration::from_hours(24 * DAYS) }),
        readings: ReadingCounts {
            judged: 412_908,
            duplicates: 1_204,
            stale: 37,
            cleanings: 96,
            ..ReadingCounts::default()
        },
        difference: Some(Difference {
            same: trial.len() * 3 / 4,
            moved: trial.len() / 5,
            gained: (0..trial.len()).step_by(97).collect(),
            missed,
        }),
        distributions: KINDS.iter().map(|kind| distribution(kind, &found)).collect(),
        rules: verdict("rules.toml", trial),
        against: Some(verdict("built-in", alerts)),
        devices: found,
        ..Findings::default()
    }
}

/// One device and its alerts: quiet at night, wilder by day, and never twice within a day.
fn simulated(index: usize, kind: &Kind, wildness: f64) -> (DeviceFindings, Vec<AlertFact>) {
    let (device_type, metric, everyday, rise, rule, severity, comparison, limit) = *kind;
    let documented = DeviceType::named(device_type).unwrap().metric(metric).unwrap();
    let width = SignedDuration::from_secs(DAYS * 86_400 / PERIODS);
    let (mut values, mut alerts, mut last): (Vec<_>, Vec<AlertFact>, Option<i64>) = (Vec::new(), Vec::new(), None);
    for period in 0..PERIODS {
        let seed = index as u64 * 1_000 + period as u64;
        let hour = (period as f64 * DAYS as f64 * 24.0 / PERIODS as f64) % 24.0;
        let by_day = (((hour - 5.0) / 18.0) * std::f64::consts::PI).sin().max(0.0);
        let height = by_day * (0.35 + wildness * thrown(seed).powi(2) * 1.6) + 0.06 * thrown(seed + 7);
        let greatest = everyday + rise * height;
        let least = everyday + rise * height * 0.55;
        let extreme = if matches!(comparison, Comparison::Below) { greatest.max(0.0) } else { greatest };
        let is_gap = index % 11 == 4 && (90..120).contains(&period);
        let start = start() + width * period as i32;
        if !is_gap {
            values.push((start, extreme.min(least).max(0.0), extreme.max(least)));
        }
        if !is_gap && comparison.is_breached(extreme, limit) && last.is_none_or(|last| period - last > 8) {
            last = Some(period);
            let at = start + SignedDuration::from_mins((thrown(seed + 3) * 60.0) as i64);
            let worse = if thrown(seed + 5) > 0.96 { Severity::Critical } else { severity };
            alerts.push(AlertFact {
                id: AlertId::of_silence(rule, &index.to_string(), at),
                rule: rule.into(),
                title: rule.into(),
                severity: worse,
                device: index,
                at,
                ended: at,
                breach: Some(Breach {
                    metric: metric.into(),
                    label: documented.label.into(),
                    value: extreme,
                    comparison,
                    limit,
                    unit: documented.unit,
                }),
                blocked: thrown(seed + 9) > 0.9,
                avoidable: false,
            });
        }
    }
    let names = ["Washroom", "Pantry", "Lobby", "Kids’ Washroom", "Cubicle"];
    let display = format!("{} L{}-{:02}", names[index % 5], index % 17 + 1, index % 23 + 1);
    let mut location = location(device_type, &display, &format!("Level {}", index % 17 + 1));
    location.device = Some(format!("{index:032x}"));
    let series = Series {
        metric: metric.into(),
        label: documented.label.to_owned(),
        unit: documented.unit,
        width,
        values,
        limits: vec![RuleLimit { rule: rule.into(), severity, comparison, limit }],
    };
    let site = location.project.clone();
    (DeviceFindings { location, site, readings: 6_720 - (index as u64 * 13) % 900, series: vec![series] }, alerts)
}

fn values<'a>(kind: &Kind, devices: &'a [DeviceFindings]) -> impl Iterator<Item = (f64, f64)> + 'a {
    let (device_type, metric) = (kind.0, kind.1);
    let of_type = devices.iter().filter(move |device| device.location.device_type == device_type);
    let series = of_type.flat_map(|device| &device.series).filter(move |series| &*series.metric == metric);
    series.flat_map(|series| series.values.iter().map(|(_, least, greatest)| (*least, *greatest)))
}

fn distribution(kind: &Kind, devices: &[DeviceFindings]) -> Distribution {
    let (device_type, metric, .., rule, severity, comparison, limit) = *kind;
    let documented = DeviceType::named(device_type).unwrap().metric(metric).unwrap();
    let all: Vec<f64> = values(kind, devices).flat_map(|(low, high)| [low, low * 0.7 + high * 0.3, high]).collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min).min(limit);
    let greatest = all.iter().copied().fold(f64::NEG_INFINITY, f64::max).max(least);
    let width = ((greatest - least) / 180.0).max(0.01);
    let mut bins = std::collections::BTreeMap::new();
    for value in &all {
        *bins.entry(((value - least) / width) as u64).or_insert(0u64) += 1;
    }
    let mut limits = vec![RuleLimit { rule: rule.into(), severity, comparison, limit }];
    if metric == "amm" {
        limits.push(RuleLimit { severity: Severity::High, limit: 500.0, ..limits[0].clone() });
        limits[0].limit = 250.0;
    }
    Distribution {
        device_type: device_type.into(),
        metric: metric.into(),
        label: documented.label.to_owned(),
        unit: documented.unit,
        count: all.len() as u64,
        least,
        greatest,
        width,
        bins: bins.into_iter().map(|(bin, count)| (least + bin as f64 * width, count)).collect(),
        limits,
    }
}
