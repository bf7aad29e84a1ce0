//! The difference between the rules on trial and those that they are compared with.

use maud::{Markup, html};

use super::alerts::{ALERTS, alert_rows};
use super::markup::name;
use crate::backtest::findings::{AlertFact, Findings};
use crate::words::plural;

pub(super) fn section(findings: &Findings) -> Markup {
    let rules = &findings.rules;
    let (Some(against), Some(difference)) = (&findings.against, &findings.difference) else {
        return html! {};
    };
    html! {
        p.note { "Before: " (name(&against.name)) ". After: " (name(&rules.name)) "." }
        @for (what, results, indices) in [("missed", against, &difference.missed), ("new", rules, &difference.gained)] {
            h3 { (plural(indices.len(), "alert")) " would be " (what) }
            @let alerts: Vec<&AlertFact> = indices.iter().map(|index| &results.alerts[*index]).collect();
            @if alerts.is_empty() { p { "None." } } @else { (ALERTS.folded(alert_rows(findings, alerts))) }
        }
    }
}
