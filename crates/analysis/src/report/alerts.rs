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
    // With its project: two buildings can both have a zone "toilet-1".
    let zone = |alert: &AlertFact| {
        let location = view.location(alert.device);
        (location.zone.clone(), location.project.clone())
    };
    html! { @if !alerts.is_empty() {
        h3 { "By day" }
        figure.wide { (day_chart(view)) }
        details {
            summary { "The days, the worst first" }
            (groups(view, "Day", |alert| view.local_time(alert).date(), |day| html! { (day.strftime("%a %-d %b %Y")) }))
        }
        h3 { "By rule" }
        (groups(view, "Rule", |alert| alert.rule.clone(), |rule| rule_name(view, rule)))
        @if alerts.iter().any(|alert| view.location(alert.device).zone.is_some()) {
            h3 { "By zone" }
            (groups(view, "Zone", zone, |(zone, project)| html! {
                @if let Some(zone) = zone { (name(zone)) } @else { small { "no zone" } }
                @if let Some(project) = project { " " small { (name(project)) } }
            }))
        }
    } }
}

/// A table of the alerts by `key`: the most alerts first, then the most severe. `cell` formats a key.
fn groups<K: Ord>(
    view: &View<'_>,
    title: &'static str,
    key: impl Fn(&AlertFact) -> K,
    cell: impl Fn(&K) -> Markup,
) -> Markup {
    let table = Table { columns: [title, "Worst", "Alerts", "Sensors"], texts: 2 };
    let mut groups: BTreeMap<K, Vec<&AlertFact>> = BTreeMap::new();
    for alert in &view.findings.rules.alerts {
        groups.entry(key(alert)).or_default().push(alert);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, alerts)| Reverse((alerts.len(), worst_severity(alerts))));
    table.folded(groups.iter().map(|(key, alerts)| {
        let devices = alerts.iter().map(|alert| alert.device).collect::<BTreeSet<_>>();
        [cell(key), worst(alerts), html! { (count(alerts.len())) }, html! { (count(devices.len())) }]
    }))
}

/// A bar chart of the alerts of each day.
fn day_chart(view: &View<'_>) -> Markup {
    let alerts = &view.findings.rules.alerts;
    let span = view.findings.span.into_iter().flat_map(|span| [span.first, span.last]);
    let times: BTreeSet<_> = span.chain(alerts.iter().map(|alert| alert.at)).collect();
    let Some((first, last)) = times.first().zip(times.last()) else { return html! {} };
    let days = Days::since(*first, &view.usual_location().local_zone);
    let all = days.at(*last).floor() + 1.0;
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
pub(super) fn rule_name(view: &View<'_>, rule: &str) -> Markup {
    html! { (view.title(rule)) " " code { (rule) } }
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
            html! { (view.title(&alert.rule)) },
            html! { (alert.crossing()) },
        ]
    })
}
