//! The top of the page: period and numbers.

use jiff::Timestamp;
use maud::{Markup, html};

use super::markup::name;
use super::view::View;
use crate::backtest::findings::{Findings, RuleResults};
use crate::words::{count, date, moment, plural, rate, zone_name};

pub(super) fn section(view: &View<'_>, created: Timestamp) -> Markup {
    html! {
        header {
            p.kicker { "Backtest of alert rules" }
            h1 {
                (rules_name(&view.findings.rules))
                @if let Some(against) = &view.findings.against {
                    " " small { "compared with" } " " (rules_name(against))
                }
            }
            p.lead { (period(view)) }
        }
        (figures(view))
        (sentences(view))
        p.note { "Made " (moment(view.usual_location(), created)) "." }
    }
}

/// The name of the rules.
pub(super) fn rules_name(verdict: &RuleResults) -> &str {
    if verdict.name.trim().is_empty() { "Rules" } else { &verdict.name }
}

fn period(view: &View<'_>) -> Markup {
    let usual = view.usual_location();
    let elsewhere = view.findings.devices.iter().any(|device| device.location.local_zone != usual.local_zone);
    html! {
        @if let Some(span) = view.findings.span {
            (date(usual, span.first)) " to " (date(usual, span.last))
            ". Times are local (" (zone_name(usual)) ")"
            @if elsewhere { "; if a sensor’s own clock differs, its times go by that" } "."
        } @else { "No reading was judged, so there is nothing to show." }
    }
}

/// The numbers of the rules on trial, after those of the rules that they are compared with.
fn figures(view: &View<'_>) -> Markup {
    let findings = view.findings;
    let weeks = findings.span.map_or(1.0, |span| span.weeks());
    let quiet = view.by_device.iter().filter(|alerts| alerts.is_empty()).count();
    let figure = |figure: &dyn Fn(&RuleResults) -> String| {
        let before = findings.against.as_ref().map_or_else(String::new, |against| figure(against) + " → ");
        before + &figure(&findings.rules)
    };
    let blocked = findings.rules.alerts.iter().filter(|alert| alert.blocked).count() as u64;
    let suppressed =
        [(blocked, "of them suppressed by a block"), (findings.rules.counted, "more blocked and only counted")];
    let figures = [
        ("Alerts", figure(&|rules| count(rules.alerts.len())), named(&suppressed)),
        ("Alerts a week", figure(&|rules| rate(rules.alerts.len() as f64 / weeks)), String::new()),
        ("Messages sent", figure(&|rules| count(rules.messages)), "one can name several alerts".to_owned()),
        ("Sensors", count(findings.devices.len()), format!("{} without an alert", count(quiet))),
        ("Readings judged", count(findings.readings.judged), left_aside(findings)),
    ];
    html! { dl.tiles { @for (title, figure, note) in &figures {
        div { dt { (title) } dd { (figure) small { (note) } } }
    } } }
}

fn left_aside(findings: &Findings) -> String {
    let (readings, outliers) = (findings.readings, findings.outliers);
    let parts = named(&[
        (readings.duplicates, "repeated"),
        (readings.stale, "too old when they came"),
        (readings.implausible, "values that no such sensor can measure"),
        (readings.late, "out of order"),
        (outliers.before.map_or(0, |odd| odd.count), "from before the first push"),
        (outliers.ahead.map_or(0, |odd| odd.count), "from the future"),
        (readings.undated, "without a time"),
        (readings.unreadable, "unreadable"),
    ]);
    if parts.is_empty() { parts } else { format!("left aside: {parts}") }
}

/// "12 repeated, 3 unreadable"
fn named(parts: &[(u64, &str)]) -> String {
    let named =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{} {what}", count(*number)));
    named.collect::<Vec<_>>().join(", ")
}

fn sentences(view: &View<'_>) -> Markup {
    let rules = &view.findings.rules;
    let alerts = plural(rules.alerts.len(), "alert");
    html! {
        @if let (Some(against), Some(change)) = (&view.findings.against, &view.findings.difference) { p {
            strong { "Alerts: " (count(against.alerts.len())) " → " (count(rules.alerts.len())) "." } " "
            (count(change.missed.len())) " would be missed, " (count(change.gained.len())) " would be new; "
            (count(change.same)) " stay as they are, " (count(change.moved)) " come at another time."
        } }
        @if rules.alerts.is_empty() && view.findings.readings.judged > 0 { p { "No reading would have raised an alert." } }
        @if rules.avoidable > 0 {
            p { "An earlier message of a cleaning would have avoided or put off " (count(rules.avoidable)) " of " (alerts) "." }
        }
        (outliers(view))
    }
}

/// "The time of 1 reading cannot be right, such as Mon 29 Feb 2016 from Washroom 3 (id 24E1…)."
fn outliers(view: &View<'_>) -> Markup {
    let odd: Vec<_> = [view.findings.outliers.before, view.findings.outliers.ahead].into_iter().flatten().collect();
    html! { @if let Some(first) = odd.first() {
        @let location = view.location(first.device);
        p {
            "The time of " (plural(odd.iter().map(|odd| odd.count as usize).sum(), "reading"))
            " cannot be right, such as " (date(location, first.oldest)) " from " strong { (name(&location.name())) }
            " (id " (location.device.as_deref().unwrap_or("unknown")) "). The period above leaves them out."
        }
    } }
}
