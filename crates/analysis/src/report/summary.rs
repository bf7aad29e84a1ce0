//! The top of the page: period and numbers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use maud::{Markup, html};

use super::markup::name;
use crate::backtest::findings::{Findings, RuleResults};
use crate::words::{count, date, moment, plural, rate, zone_name};
use domain::time::LocalZone;

pub(super) fn section(findings: &Findings, created: Timestamp) -> Markup {
    html! {
        header {
            p.kicker { "Backtest of alert rules" }
            h1 {
                (findings.rules.name)
                @if let Some(against) = &findings.against { " " small { "compared with" } " " (against.name) }
            }
            p.lead { (period(findings)) }
        }
        (figures(findings))
        (sentences(findings))
        @for note in findings.notes() { p.note { (name(&note)) } }
        p.note { "Made " (moment(&usual_zone(findings), created)) "." }
    }
}

/// The time zone of the page: that of the first sensor that has one.
pub(super) fn usual_zone(findings: &Findings) -> LocalZone {
    let mut zones = findings.devices.iter().map(|device| &device.location.local_zone);
    zones.find(|zone| zone.is_known()).cloned().unwrap_or_default()
}

fn period(findings: &Findings) -> Markup {
    let usual = usual_zone(findings);
    let elsewhere = findings.devices.iter().any(|device| device.location.local_zone != usual);
    html! {
        @if let Some(span) = findings.span {
            (date(&usual, span.first)) " to " (date(&usual, span.last)) ". Times are local (" (zone_name(&usual)) ")"
            @if elsewhere { "; if a sensor’s own clock differs, its times go by that" } "."
        } @else { "No reading was judged, so there is nothing to show." }
    }
}

/// The numbers of the rules on trial, after those of the rules that they are compared with.
fn figures(findings: &Findings) -> Markup {
    let weeks = findings.span.map_or(1.0, |span| span.weeks());
    let alerting: BTreeSet<usize> = findings.rules.alerts.iter().map(|alert| alert.device).collect();
    let figure = |figure: &dyn Fn(&RuleResults) -> String| {
        let before = findings.against.as_ref().map_or_else(String::new, |against| figure(against) + " → ");
        before + &figure(&findings.rules)
    };
    let blocked = findings.rules.alerts.iter().filter(|alert| alert.blocked).count() as u64;
    let suppressed =
        [(blocked, "of them suppressed by a block"), (findings.rules.counted, "more blocked and only counted")];
    let suppressed = suppressed.iter().filter(|(number, _)| *number > 0);
    let suppressed: Vec<String> = suppressed.map(|(number, what)| format!("{} {what}", count(*number))).collect();
    let quiet = format!("{} without an alert", count(findings.devices.len() - alerting.len()));
    let figures = [
        ("Alerts", figure(&|rules| count(rules.alerts.len())), &*suppressed.join(", ")),
        ("Alerts a week", figure(&|rules| rate(rules.alerts.len() as f64 / weeks)), ""),
        ("Messages sent", figure(&|rules| count(rules.messages)), "one can name several alerts"),
        ("Sensors", count(findings.devices.len()), &*quiet),
        ("Readings judged", count(findings.readings.judged), ""),
    ];
    html! { dl.tiles { @for (title, figure, note) in figures {
        div { dt { (title) } dd { (figure) small { (note) } } }
    } } }
}

fn sentences(findings: &Findings) -> Markup {
    let rules = &findings.rules;
    html! {
        @if let (Some(against), Some(change)) = (&findings.against, &findings.difference) { p {
            strong { "Alerts: " (count(against.alerts.len())) " → " (count(rules.alerts.len())) "." } " "
            (count(change.missed.len())) " would be missed, " (count(change.gained.len())) " would be new; "
            (count(change.same)) " stay as they are, " (count(change.moved)) " come at another time."
        } }
        @if rules.alerts.is_empty() && findings.readings.judged > 0 { p { "No reading would have raised an alert." } }
        @if rules.avoidable > 0 { p {
            "An earlier message of a cleaning would have avoided or put off " (count(rules.avoidable)) " of "
            (plural(rules.alerts.len(), "alert")) "."
        } }
        @for escalation in rules.escalations_in_words() { p { (name(&format!("An {escalation}."))) } }
    }
}
