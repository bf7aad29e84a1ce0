//! The difference between the rules on trial and those that they are compared with.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::alerts::{ALERTS, alert_rows, rule_name};
use super::markup::{Table, name};
use crate::backtest::findings::{AlertFact, Findings};
use crate::words::{count, plural};

pub(super) fn section(findings: &Findings) -> Markup {
    let rules = &findings.rules;
    let (Some(against), Some(difference)) = (&findings.against, &findings.difference) else {
        return html! {};
    };
    html! {
        p.note { "Before: " (name(&against.name)) ". After: " (name(&rules.name)) "." }
        (by_rule(findings))
        @for (what, results, indices) in [("missed", against, &difference.missed), ("new", rules, &difference.gained)] {
            h3 { (plural(indices.len(), "alert")) " would be " (what) }
            @let alerts: Vec<&AlertFact> = indices.iter().map(|index| &results.alerts[*index]).collect();
            @if alerts.is_empty() { p { "None." } } @else { (ALERTS.folded(alert_rows(findings, alerts))) }
        }
    }
}

/// The number of alerts of each rule, the most changed one first.
fn by_rule(findings: &Findings) -> Markup {
    let rules = findings.alerts_by(|alert| alert.rule.clone()).into_values().filter_map(|[after, before]| {
        let alert = *after.first().or(before.first())?;
        Some((alert, before.len(), after.len()))
    });
    let mut rules: Vec<(&AlertFact, usize, usize)> = rules.collect();
    rules.sort_by_key(|(_, before, after)| Reverse((before.abs_diff(*after), *before.max(after))));
    let table = Table { columns: ["Rule", "Before", "After", "Change"], texts: 1 };
    table.folded(rules.into_iter().map(|(alert, before, after)| {
        let change = html! { (format!("{:+}", after as i64 - before as i64)) };
        [rule_name(alert), html! { (count(before)) }, html! { (count(after)) }, change]
    }))
}
