//! The alerts by day, by rule and by zone.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use maud::{Markup, html};

use super::heat;
use super::markup::{Table, badge, name};
use crate::backtest::findings::{AlertFact, Findings};
use crate::words::{count, moment};
use domain::severity::Severity;

/// A table of alerts.
pub(super) const ALERTS: Table<5> = Table { columns: ["When", "Severity", "Sensor", "What", "How much"], texts: 5 };

pub(super) fn section(findings: &Findings) -> Markup {
    let alerts = || findings.results().flat_map(|results| &results.alerts);
    let day = |alert: &AlertFact| findings.local_time(alert).date();
    // With its site: two buildings can both have a zone "toilet-1".
    let zone = |alert: &AlertFact| {
        let location = findings.location(alert);
        (location.zone.clone(), location.project.clone())
    };
    html! { @if alerts().next().is_some() {
        h3 { "By day" }
        (heat::by_day(findings))
        details {
            summary { "The days, the worst first" }
            (groups(findings, "Day", day, |alert| html! { (day(alert).strftime("%a %-d %b %Y")) }))
        }
        h3 { "By rule" }
        (groups(findings, "Rule", |alert| alert.rule.clone(), |alert| html! { (alert.title) " " code { (alert.rule) } }))
        @if alerts().any(|alert| findings.location(alert).zone.is_some()) {
            h3 { "By zone" }
            (groups(findings, "Zone", zone, |alert| {
                let device = &findings.devices[alert.device];
                html! {
                    @if let Some(zone) = device.location.zone_label() { (name(zone)) } @else { small { "no zone" } }
                    @if let Some(site) = &device.site { " " small { (name(site)) } }
                }
            }))
        }
    } }
}

/// A table of the alerts by `key`, with their number before and after a change. `cell` formats the key of an alert.
fn groups<K: Ord>(
    findings: &Findings,
    title: &'static str,
    key: impl Fn(&AlertFact) -> K,
    cell: impl Fn(&AlertFact) -> Markup,
) -> Markup {
    let table = Table { columns: [title, "Worst", "Alerts", "Sensors"], texts: 2 };
    table.folded(findings.alerts_by(key).iter().map(|[alerts, before]| {
        let devices: BTreeSet<usize> = alerts.iter().map(|alert| alert.device).collect();
        [
            html! { @for alert in alerts.iter().chain(before).take(1) { (cell(alert)) } },
            worst(alerts),
            html! { @if findings.against.is_some() { (count(before.len())) " → " } (count(alerts.len())) },
            html! { (count(devices.len())) },
        ]
    }))
}

pub(super) fn worst_severity(alerts: &[&AlertFact]) -> Option<Severity> {
    alerts.iter().map(|alert| alert.severity).max()
}

pub(super) fn worst(alerts: &[&AlertFact]) -> Markup {
    html! { @if let Some(severity) = worst_severity(alerts) { (badge(severity)) } }
}

/// The rows of [`ALERTS`]: the most severe first, then the oldest.
pub(super) fn alert_rows(
    findings: &Findings,
    mut alerts: Vec<&AlertFact>,
) -> impl ExactSizeIterator<Item = [Markup; 5]> {
    alerts.sort_by_key(|alert| (Reverse(alert.severity), alert.at));
    alerts.into_iter().map(|alert| {
        let location = findings.location(alert);
        [
            html! { (moment(&location.local_zone, alert.at)) },
            badge(alert.severity),
            html! { (name(&location.name())) @if let Some(zone) = location.zone_label() { " " small { (name(zone)) } } },
            html! { (alert.title) },
            html! { (alert.crossing()) },
        ]
    })
}
