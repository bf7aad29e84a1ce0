//! The alerts by day, by rule and by zone.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use maud::{Markup, html};

use super::chart::{Axis, Chart, Days, Mark, WIDE};
use super::markup::{Table, badge, name};
use super::summary::usual_zone;
use crate::backtest::findings::{AlertFact, Findings};
use crate::words::{count, moment, plural};
use domain::severity::Severity;

/// A table of alerts.
pub(super) const ALERTS: Table<5> = Table { columns: ["When", "Severity", "Sensor", "What", "How much"], texts: 5 };

pub(super) fn section(findings: &Findings) -> Markup {
    let alerts = &findings.rules.alerts;
    let day = |alert: &AlertFact| findings.local_time(alert).date();
    // With its site: two buildings can both have a zone "toilet-1".
    let zone = |alert: &AlertFact| {
        let location = findings.location(alert);
        (location.zone.clone(), location.project.clone())
    };
    html! { @if !alerts.is_empty() {
        h3 { "By day" }
        figure.wide { (day_chart(findings)) }
        details {
            summary { "The days, the worst first" }
            (groups(findings, "Day", day, |alert| html! { (day(alert).strftime("%a %-d %b %Y")) }))
        }
        h3 { "By rule" }
        (groups(findings, "Rule", |alert| alert.rule.clone(), rule_name))
        @if alerts.iter().any(|alert| findings.location(alert).zone.is_some()) {
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

/// A table of the alerts by `key`: the most alerts first, then the most severe. `cell` formats the key of an alert.
fn groups<K: Ord>(
    findings: &Findings,
    title: &'static str,
    key: impl Fn(&AlertFact) -> K,
    cell: impl Fn(&AlertFact) -> Markup,
) -> Markup {
    let table = Table { columns: [title, "Worst", "Alerts", "Sensors"], texts: 2 };
    let groups = findings.alerts_by(key).into_values().map(|[alerts, _]| alerts);
    let mut groups: Vec<Vec<&AlertFact>> = groups.filter(|alerts| !alerts.is_empty()).collect();
    groups.sort_by_key(|alerts| Reverse((alerts.len(), worst_severity(alerts))));
    table.folded(groups.iter().map(|alerts| {
        let devices = alerts.iter().map(|alert| alert.device).collect::<BTreeSet<_>>();
        [cell(alerts[0]), worst(alerts), html! { (count(alerts.len())) }, html! { (count(devices.len())) }]
    }))
}

/// A bar chart of the alerts of each day.
fn day_chart(findings: &Findings) -> Markup {
    let alerts = &findings.rules.alerts;
    let span = findings.span.into_iter().flat_map(|span| [span.first, span.last]);
    let times: BTreeSet<_> = span.chain(alerts.iter().map(|alert| alert.at)).collect();
    let Some((first, last)) = times.first().zip(times.last()) else { return html! {} };
    let days = Days::since(*first, &usual_zone(findings));
    let all = days.at(last.as_second()).floor() + 1.0;
    let by_day = findings.alerts_by(|alert| days.number(findings.local_time(alert).date()));
    let by_day = by_day.iter().filter(|(_, [alerts, _])| !alerts.is_empty());
    let counts = || by_day.clone().map(|(day, [alerts, _])| (*day as f64, alerts.len() as f64));
    Chart {
        label: format!("Alerts a day: {} in {all} days", plural(alerts.len(), "alert")),
        size: WIDE,
        y: Axis::of_numbers(0.0..counts().map(|(_, alerts)| alerts).fold(0.0, f64::max) * 1.05, "alerts a day"),
        marks: counts().map(|(day, alerts)| Mark::Bar(day, day + 1.0, alerts)).collect(),
        x: days.axis(0.0..all),
    }
    .svg()
}

/// The title and the id of a rule.
pub(super) fn rule_name(alert: &AlertFact) -> Markup {
    html! { (alert.title) " " code { (alert.rule) } }
}

pub(super) fn worst_severity(alerts: &[&AlertFact]) -> Option<Severity> {
    alerts.iter().map(|alert| alert.severity).max()
}

pub(super) fn worst(alerts: &[&AlertFact]) -> Markup {
    html! { @if let Some(severity) = worst_severity(alerts) { (badge(severity)) } }
}

/// The rows of [`ALERTS`]: the most severe first, then the oldest.
pub(super) fn alert_rows(findings: &Findings, mut alerts: Vec<&AlertFact>) -> impl Iterator<Item = [Markup; 5]> {
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
