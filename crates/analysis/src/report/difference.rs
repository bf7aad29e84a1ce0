//! The difference between the rules on trial and those that they are compared with.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use maud::{Markup, html};

use super::alerts::{ALERTS, alert_rows, rule_name};
use super::markup::{Table, name};
use super::summary::rules_name;
use super::view::View;
use crate::backtest::findings::{AlertFact, RuleResults};
use crate::words::{count, plural};

pub(super) fn section(view: &View<'_>) -> Markup {
    let rules = &view.findings.rules;
    let (Some(against), Some(difference)) = (&view.findings.against, &view.findings.difference) else {
        return html! {};
    };
    let parts = [("missed", against, &difference.missed), ("new", rules, &difference.gained)];
    html! {
        p.note { "Before: " (name(rules_name(against))) ". After: " (name(rules_name(rules))) "." }
        (by_rule(view, against))
        @for (what, verdict, indices) in parts {
            @let alerts: Vec<&AlertFact> = indices.iter().filter_map(|index| verdict.alerts.get(*index)).collect();
            h3 { (plural(indices.len(), "alert")) " would be " (what) }
            @if alerts.is_empty() { p { "None." } } @else { (ALERTS.folded(alert_rows(view, alerts))) }
        }
    }
}

fn by_rule(view: &View<'_>, against: &RuleResults) -> Markup {
    let mut rules: BTreeMap<&str, (&AlertFact, usize, usize)> = BTreeMap::new();
    for alert in &view.findings.rules.alerts {
        rules.entry(&alert.rule).or_insert((alert, 0, 0)).2 += 1;
    }
    for alert in &against.alerts {
        rules.entry(&alert.rule).or_insert((alert, 0, 0)).1 += 1;
    }
    let mut rules: Vec<_> = rules.into_values().collect();
    rules.sort_by_key(|(_, before, after)| Reverse((before.abs_diff(*after), *before.max(after))));
    let table = Table { columns: ["Rule", "Before", "After", "Change"], texts: 1 };
    table.folded(rules.into_iter().map(|(alert, before, after)| {
        let change = html! { (format!("{:+}", after as i64 - before as i64)) };
        [rule_name(alert), html! { (count(before)) }, html! { (count(after)) }, change]
    }))
}
