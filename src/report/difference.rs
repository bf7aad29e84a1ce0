//! What the rules on trial do differently from the ones that they are compared with.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::alerts::{SHOWN, share};
use super::html::{Column, Table, badge, name, text};
use super::summary::rules_name;
use super::view::View;
use super::words::{counted, moment, plural};
use crate::backtest::findings::AlertFact;

/// Alerts of a list that are shown; the rest is folded.
const LISTED: usize = 50;
/// Alerts of a list at most.
const MOST: usize = 300;

/// The section; `None` where nothing is compared.
pub(super) fn section(view: &View<'_>) -> Option<String> {
    let findings = view.findings;
    let (against, difference) = (findings.against.as_ref()?, findings.difference.as_ref()?);
    let missed = listed(view, &against.alerts, &difference.missed);
    let gained = listed(view, &findings.rules.alerts, &difference.gained);
    Some(format!(
        "{}<h3>{} would be missed</h3>{missed}<h3>{} would be new</h3>{gained}",
        by_rule(view)?,
        plural(difference.missed.len(), "alert"),
        plural(difference.gained.len(), "alert"),
    ))
}

fn by_rule(view: &View<'_>) -> Option<String> {
    let (rules, against) = (&view.findings.rules, view.findings.against.as_ref()?);
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for alert in &against.alerts {
        counts.entry(&alert.rule).or_default().0 += 1;
    }
    for alert in &rules.alerts {
        counts.entry(&alert.rule).or_default().1 += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, (before, after))| std::cmp::Reverse((before.abs_diff(*after), *before.max(after))));
    let most = counts.iter().map(|(_, (before, after))| *before.max(after)).max().unwrap_or(1);
    let mut table =
        Table::new([Column::Words("Rule"), Column::Bars("Before"), Column::Bars("After"), Column::Numbers("Change")]);
    for (rule, (before, after)) in counts {
        let title = format!("{} <code>{}</code>", text(&view.title(rule)), text(rule));
        table.row([title, share(before, most), share(after, most), change(before, after)]);
    }
    let legend = format!("Before: {}. After: {}.", name(rules_name(against)), name(rules_name(rules)));
    Some(format!("<p class=\"note\">{legend}</p>{}", table.folded(SHOWN, MOST)))
}

fn change(before: usize, after: usize) -> String {
    let by = counted(before.abs_diff(after));
    match after.cmp(&before) {
        std::cmp::Ordering::Less => format!("−{by}"),
        std::cmp::Ordering::Equal => "±0".to_owned(),
        std::cmp::Ordering::Greater => format!("+{by}"),
    }
}

/// The alerts of those indices, the most severe first, then the one that is furthest beyond its limit, then the oldest.
fn listed(view: &View<'_>, alerts: &[AlertFact], indices: &[usize]) -> String {
    let mut found: Vec<&AlertFact> = indices.iter().filter_map(|index| alerts.get(*index)).collect();
    if found.is_empty() {
        return "<p>None.</p>".to_owned();
    }
    found.sort_by(|one, other| {
        let beyond = excess(other).total_cmp(&excess(one));
        other.severity.cmp(&one.severity).then(beyond).then(one.at.cmp(&other.at))
    });
    let mut table = Table::new([
        Column::Words("Severity"),
        Column::Words("Where"),
        Column::Words("What"),
        Column::Words("How much"),
        Column::Words("When"),
    ]);
    for alert in found {
        table.row(cells(view, alert, alert.at));
    }
    table.folded(LISTED, MOST)
}

fn cells(view: &View<'_>, alert: &AlertFact, at: Timestamp) -> [String; 5] {
    let place = view.place(alert.device);
    let zone = place.zone.as_deref().map_or_else(String::new, |zone| format!("<small>{}</small>", name(zone)));
    [
        badge(alert.severity),
        format!("{} {zone}", name(&place.name())),
        text(&view.title(&alert.rule)),
        text(&view.findings.crossing(alert)),
        moment(place, at),
    ]
}

/// How far beyond its limit the value is, as a part of the limit.
fn excess(alert: &AlertFact) -> f64 {
    let beyond = alert.breach.as_ref().map(|crossing| {
        let scale = crossing.limit.abs().max(f64::MIN_POSITIVE);
        (crossing.value - crossing.limit).abs() / scale
    });
    beyond.filter(|part| part.is_finite()).unwrap_or(0.0)
}
