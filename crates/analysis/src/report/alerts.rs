//! The alerts by day, by rule and by zone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::chart::{Axis, Chart, Days, Mark, WIDE};
use super::markup::{Table, badge, name};
use super::view::View;
use crate::backtest::findings::AlertFact;
use crate::words::{count, moment, plural};
use domain::severity::Severity;

/// A table of alerts.
pub(super) const ALERTS: Table<5> = Table { columns: ["When", "Severity", "Sensor", "What", "How much"], texts: 5 };

pub(super) fn section(view: &View<'_>) -> Markup {
    let alerts = &view.findings.rules.alerts;
    let day = |alert: &AlertFact| view.local_time(alert).date();
    let zone = |alert: &AlertFact| view.location(alert.device).zone.clone();
    let project = |alert: &AlertFact| view.location(alert.device).project.clone();
    html! { @if !alerts.is_empty() {
        h3 { "By day" }
        figure.wide { (day_chart(view)) }
        details {
            summary { "The days, the worst first" }
            (groups(view, "Day", day, |alert| html! { (day(alert).strftime("%a %-d %b %Y")) }))
        }
        h3 { "By rule" }
        (groups(view, "Rule", |alert| alert.rule.clone(), rule_name))
        @if alerts.iter().any(|alert| zone(alert).is_some()) {
            h3 { "By zone" }
            // With its project: two buildings can both have a zone "toilet-1".
            (groups(view, "Zone", |alert| (zone(alert), project(alert)), |alert| html! {
                @if let Some(zone) = zone(alert) { (name(&zone)) } @else { small { "no zone" } }
                @if let Some(project) = project(alert) { " " small { (name(&project)) } }
            }))
        }
    } }
}

/// A table of the alerts by `key`: the most alerts first, then the most severe. `cell` formats the key of an alert.
fn groups<K: Ord>(
    view: &View<'_>,
    title: &'static str,
    key: impl Fn(&AlertFact) -> K,
    cell: impl Fn(&AlertFact) -> Markup,
) -> Markup {
    let table = Table { columns: [title, "Worst", "Alerts", "Sensors"], texts: 2 };
    let mut groups: BTreeMap<K, Vec<&AlertFact>> = BTreeMap::new();
    for alert in &view.findings.rules.alerts {
        groups.entry(key(alert)).or_default().push(alert);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|alerts| Reverse((alerts.len(), worst_severity(alerts))));
    table.folded(groups.iter().map(|alerts| {
        let devices = alerts.iter().map(|alert| alert.device).collect::<BTreeSet<_>>();
        [cell(alerts[0]), worst(alerts), html! { (count(alerts.len())) }, html! { (count(devices.len())) }]
    }))
}

/// A bar chart of the alerts of each day.
fn day_chart(view: &View<'_>) -> Markup {
    let alerts = &view.findings.rules.alerts;
    let span = view.findings.span.into_iter().flat_map(|span| [span.first, span.last]);
    let times: BTreeSet<_> = span.chain(alerts.iter().map(|alert| alert.at)).collect();
    let Some((first, last)) = times.first().zip(times.last()) else { return html! {} };
    let days = Days::since(*first, &view.usual_location().local_zone);
    let all = days.at(last.as_second()).floor() + 1.0;
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for alert in alerts {
        *counts.entry(days.number(view.local_time(alert).date())).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or_default();
    Chart {
        label: format!("Alerts a day: {} in {all} days", plural(alerts.len(), "alert")),
        size: WIDE,
        x: days.axis(0.0..all),
        y: Axis::of_numbers(0.0..most as f64 * 1.05, "alerts a day"),
        marks: counts.iter().map(|(day, alerts)| Mark::Bar(*day as f64, *day as f64 + 1.0, *alerts as f64)).collect(),
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
pub(super) fn alert_rows(view: &View<'_>, mut alerts: Vec<&AlertFact>) -> impl Iterator<Item = [Markup; 5]> {
    alerts.sort_by_key(|alert| (Reverse(alert.severity), alert.at));
    alerts.into_iter().map(|alert| {
        let location = view.location(alert.device);
        [
            html! { (moment(location, alert.at)) },
            badge(alert.severity),
            html! { (name(&location.name())) @if let Some(zone) = &location.zone { " " small { (name(zone)) } } },
            html! { (alert.title) },
            html! { (alert.crossing()) },
        ]
    })
}
