//! All devices, the worst first: some with charts and alerts, the others in a folded table.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::alerts::{ALERTS, alert_rows, worst, worst_severity};
use super::markup::{Table, badge, left_out, name};
use super::trend::TrendChart;
use crate::backtest::findings::{AlertFact, DeviceFindings, Findings, Series};
use crate::words::{count, plural};
use domain::severity::Severity;

/// Most devices with charts and alerts.
const SHOWN: usize = 40;
/// Most charts of a device.
const MAX_CHARTS: usize = 3;
/// Most alerts of a device in its table.
const MAX_ALERTS: usize = 20;
/// Bytes around the rows of the tables.
const FRAME: usize = 2_000;

const TABLE: Table<7> =
    Table { columns: ["Sensor", "Kind", "Zone", "Worst", "Over time", "Alerts", "Readings"], texts: 5 };

/// A device and its alerts.
type Device<'a> = (&'a DeviceFindings, Vec<&'a AlertFact>);

/// The section, of at most `max_bytes`. If that is too small, charts are left out first, then the devices with the fewest alerts.
pub(super) fn section(findings: &Findings, max_bytes: usize) -> Markup {
    let devices = ranked(findings);
    let alerting = devices.iter().take_while(|(_, alerts)| !alerts.is_empty()).count();
    let (shown, others) = devices.split_at(alerting.min(SHOWN));
    let (mut left, for_names) = (max_bytes.saturating_sub(FRAME), max_bytes / 4);
    let mut fitting = |devices: &[Device<'_>], piece: &dyn Fn(&Device<'_>, bool) -> Markup| -> Vec<Markup> {
        let pieces = devices.iter().filter_map(|device| {
            let piece = piece(device, left > for_names);
            left = left.checked_sub(piece.0.len())?;
            Some(piece)
        });
        pieces.collect()
    };
    let articles = fitting(shown, &|device, has_charts| article(findings, device, has_charts));
    let rows = fitting(others, &|device, has_chart| row(findings, device, has_chart));
    let left_out = devices.len() - articles.len() - rows.len();
    html! {
        @if left_out > 0 { p.note {
            (plural(left_out, "sensor")) " left out here, those with the fewest alerts, to keep this page small. "
            "They count in everything above."
        } }
        @for article in &articles { (article) }
        @if !rows.is_empty() { details {
            summary { (plural(others.len(), "sensor")) " more, " (devices.len() - alerting) " without an alert" }
            (TABLE.of(rows))
        } }
    }
}

/// The devices, the one with the most alerts first, then the one with the worst.
fn ranked(findings: &Findings) -> Vec<Device<'_>> {
    let mut devices: Vec<Device<'_>> = findings.devices.iter().map(|device| (device, Vec::new())).collect();
    for alert in &findings.rules.alerts {
        devices[alert.device].1.push(alert);
    }
    devices.sort_by_cached_key(|(device, alerts)| {
        (
            Reverse((alerts.len(), worst_severity(alerts))),
            device.location.device_title().to_owned(),
            device.location.name(),
        )
    });
    devices
}

fn article(findings: &Findings, (device, alerts): &Device<'_>, has_charts: bool) -> Markup {
    let location = &device.location;
    let id = location.device.as_deref().filter(|_| location.display.is_some());
    let parts = [location.zone_label(), device.site.as_deref(), location.property.as_deref(), id];
    let count_of = |severity| alerts.iter().filter(|alert| alert.severity == severity).count();
    html! { article.device {
        h3 { (name(&location.name())) }
        p.note {
            (location.device_title()) " · "
            @for part in parts.into_iter().flatten() {
                (name(part)) " · "
            }
            (count(device.readings)) " readings"
        }
        p { @for severity in Severity::ALL.into_iter().rev().filter(|severity| count_of(*severity) > 0) {
            (count(count_of(severity))) " " (badge(severity)) " "
        } }
        @if has_charts {
            @for series in relevant_series(device, alerts) { (TrendChart::new(findings, device, series, alerts).figure()) }
            details {
                summary { "Its alerts, the worst first" }
                (ALERTS.of(alert_rows(findings, alerts.clone()).take(MAX_ALERTS).map(|cells| ALERTS.row(cells))))
                (left_out(alerts.len().saturating_sub(MAX_ALERTS)))
            }
        }
    } }
}

fn row(findings: &Findings, (device, alerts): &Device<'_>, has_chart: bool) -> Markup {
    let series = relevant_series(device, alerts).into_iter().next().filter(|_| has_chart && !alerts.is_empty());
    TABLE.row([
        name(&device.location.name()),
        html! { (device.location.device_title()) },
        html! { @if let Some(zone) = device.location.zone_label() { (name(zone)) } },
        worst(alerts),
        html! { @if let Some(series) = series { (TrendChart::new(findings, device, series, alerts).row()) } },
        html! { (count(alerts.len())) },
        html! { (count(device.readings)) },
    ])
}

/// The series that the alerts of a device are about, or its first one if there is none.
fn relevant_series<'a>(device: &'a DeviceFindings, alerts: &[&AlertFact]) -> Vec<&'a Series> {
    let crossed: Vec<&str> = alerts.iter().filter_map(|alert| alert.breach.as_ref()).map(|it| &*it.metric).collect();
    let is_crossed = |series: &&Series| crossed.contains(&&*series.metric);
    let relevant: Vec<&Series> = device.series.iter().filter(is_crossed).take(MAX_CHARTS).collect();
    if relevant.is_empty() { device.series.first().into_iter().collect() } else { relevant }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::building;
    use super::*;

    #[test]
    fn a_small_page_leaves_out_charts_first_and_then_devices() {
        let findings = building(120);
        let of = |max_bytes| section(&findings, max_bytes).into_string();
        let whole = of(usize::MAX);
        assert!(!whole.contains("left out here"));
        // Charts fill three quarters of the page, and all names fit.
        let tight = of(200_000);
        assert!(tight.len() <= 200_000 && !tight.contains("left out here"), "{}", tight.len());
        assert!(tight.matches("<svg").count() < whole.matches("<svg").count() && tight.contains("<svg"));
        let tighter = of(9_000);
        assert!(tighter.len() <= 9_000 && tighter.contains("sensors left out here"), "{}", tighter.len());
    }
}
