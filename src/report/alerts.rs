//! The alerts, counted by rule, by zone and by day.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::axis::Axis;
use super::html::{Column, Table, badge, bar, name, text};
use super::plot::{Mark, Plot};
use super::view::{View, by_severity};
use super::words::{counted, plural};
use crate::backtest::findings::AlertFact;
use crate::domain::severity::Severity;

/// Rows of a table that are shown; the rest is folded.
pub(super) const SHOWN: usize = 20;
/// Rows of a table at most.
const MOST: usize = 300;
/// Bars of the chart by day at most; where there are more days a bar is several.
const BARS: i64 = 120;

/// The section; `None` where there is no alert.
pub(super) fn section(view: &View<'_>) -> Option<String> {
    let alerts = &view.findings.rules.alerts;
    if alerts.is_empty() {
        return None;
    }
    let zones =
        if alerts.iter().any(|alert| view.place(alert.device).zone.is_some()) { by_zone(view) } else { String::new() };
    Some(format!("<h3>By day</h3>{}<h3>By rule</h3>{}{zones}", by_day(view), by_rule(view)))
}

fn by_rule(view: &View<'_>) -> String {
    let groups = worst_first(&view.findings.rules.alerts, |alert| alert.rule.to_string());
    let mut table =
        Table::new([Column::Words("Rule"), Column::Words("Worst"), Column::Bars("Alerts"), Column::Numbers("Sensors")]);
    let most = groups.first().map_or(1, |(_, alerts)| alerts.len());
    for (rule, alerts) in &groups {
        let title = format!("{} <code>{}</code>", text(&view.title(rule)), text(rule));
        table.row([title, worst(alerts), share(alerts.len(), most), counted(devices(alerts))]);
    }
    table.folded(SHOWN, MOST)
}

fn by_zone(view: &View<'_>) -> String {
    // Zones are told apart by their project: two buildings may both have a "toilet-1".
    let key = |alert: &AlertFact| {
        let place = view.place(alert.device);
        (place.zone.clone(), place.project.clone())
    };
    let groups = worst_first(&view.findings.rules.alerts, key);
    let mut table = Table::new([
        Column::Words("Zone"),
        Column::Words("Project"),
        Column::Words("Worst"),
        Column::Bars("Alerts"),
        Column::Numbers("Sensors"),
    ]);
    let most = groups.first().map_or(1, |(_, alerts)| alerts.len());
    for ((zone, project), alerts) in &groups {
        let zone = zone.as_deref().map_or_else(|| "<i>no zone</i>".to_owned(), name);
        let project = project.as_deref().map_or_else(String::new, name);
        table.row([zone, project, worst(alerts), share(alerts.len(), most), counted(devices(alerts))]);
    }
    format!("<h3>By zone</h3>{}", table.folded(SHOWN, MOST))
}

fn by_day(view: &View<'_>) -> String {
    let alerts = &view.findings.rules.alerts;
    let groups = worst_first(alerts, |alert| view.place(alert.device).local_zone.on_the_wall(alert.at).date());
    let mut table = Table::new([Column::Words("Day"), Column::Words("Worst"), Column::Bars("Alerts")]);
    let most = groups.first().map_or(1, |(_, alerts)| alerts.len());
    for (day, alerts) in &groups {
        table.row([day.strftime("%a %-d %b %Y").to_string(), worst(alerts), share(alerts.len(), most)]);
    }
    let days = plural(table.len(), "day");
    format!(
        "{}<details><summary>{days} with alerts, the worst first</summary>{}</details>",
        day_chart(view),
        table.folded(SHOWN, MOST)
    )
}

/// A bar for each day of the whole time, quiet ones as well.
fn day_chart(view: &View<'_>) -> String {
    let usual = view.usual_place();
    let alerts = &view.findings.rules.alerts;
    let times = || alerts.iter().map(|alert| alert.at);
    let first = view.findings.span.map(|span| span.first).into_iter().chain(times()).min();
    let last = view.findings.span.map(|span| span.last).into_iter().chain(times()).max();
    let Some((first, last)) = first.zip(last) else { return String::new() };
    let day = |at| usual.local_zone.on_the_wall(at).date();
    let (start, days) = (day(first), i64::from((day(last) - day(first)).get_days()) + 1);
    let width = (days + BARS - 1) / BARS;
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for alert in alerts {
        let on = view.place(alert.device).local_zone.on_the_wall(alert.at).date();
        *counts.entry(i64::from((on - start).get_days()).clamp(0, days - 1) / width).or_default() += 1;
    }
    let zone = &usual.local_zone;
    let start_at = zone.on_the_wall(first).start_of_day().map_or(first, |midnight| midnight.timestamp());
    let length = jiff::SignedDuration::from_hours(24 * width);
    let bars_in_all = (days + width - 1) / width;
    let end = start_at.checked_add(length * i32::try_from(bars_in_all).unwrap_or(i32::MAX)).unwrap_or(last);
    let x = Axis::of_time(start_at, end, zone);
    #[expect(clippy::cast_precision_loss, reason = "days and alerts are few")]
    let bars = counts.iter().map(|(index, alerts)| {
        let left = x.from + (*index as f64) * length.as_secs_f64();
        (left, left + length.as_secs_f64(), *alerts as f64)
    });
    let bars: Vec<_> = bars.collect();
    let most = bars.iter().map(|bar| bar.2).fold(1.0, f64::max);
    let title = if width == 1 { "alerts a day".to_owned() } else { format!("alerts in {width} days") };
    let label =
        format!("{title}, {} in {}", plural(alerts.len(), "alert"), plural(usize::try_from(days).unwrap_or(1), "day"));
    let y = Axis {
        ticks: whole(Axis::of_numbers(0.0, most * 1.05, 4, "").ticks),
        ..Axis::of_numbers(0.0, most * 1.05, 4, title)
    };
    let plot = Plot { label, size: (1440, 330), x, y, has_axes: true, marks: vec![Mark::Bars(bars)] };
    format!("<figure>{}</figure>", plot.svg())
}

/// Alerts are whole: a tick at half of one says nothing.
fn whole(ticks: Vec<(f64, String)>) -> Vec<(f64, String)> {
    ticks.into_iter().filter(|(tick, _)| tick.fract() == 0.0).collect()
}

/// The alerts in groups, the largest and most severe first.
pub(super) fn worst_first<'a, K: Ord>(
    alerts: impl IntoIterator<Item = &'a AlertFact>,
    key: impl Fn(&AlertFact) -> K,
) -> Vec<(K, Vec<&'a AlertFact>)> {
    let mut groups: BTreeMap<K, Vec<&AlertFact>> = BTreeMap::new();
    for alert in alerts {
        groups.entry(key(alert)).or_default().push(alert);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, alerts)| Reverse((alerts.len(), worst_of(alerts))));
    groups
}

/// The worst severity among some alerts.
pub(super) fn worst_of(alerts: &[&AlertFact]) -> Option<Severity> {
    alerts.iter().map(|alert| alert.severity).max()
}

fn worst(alerts: &[&AlertFact]) -> String {
    worst_of(alerts).map_or_else(String::new, badge)
}

fn devices(alerts: &[&AlertFact]) -> usize {
    alerts.iter().map(|alert| alert.device).collect::<std::collections::BTreeSet<_>>().len()
}

/// A bar for `number` where the longest is for `most`.
pub(super) fn share(number: usize, most: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a count of alerts is far below 2^52")]
    let part = number as f64 / most.max(1) as f64;
    bar(part, &counted(number))
}

/// "2 high, 15 medium", in their colours.
pub(super) fn severities<'a>(alerts: impl IntoIterator<Item = &'a AlertFact>) -> String {
    let told =
        by_severity(alerts).into_iter().map(|(severity, number)| format!("{} {}", counted(number), badge(severity)));
    told.collect::<Vec<_>>().join(", ")
}
