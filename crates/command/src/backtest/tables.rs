//! The findings of a backtest as tables for a terminal.

use std::cmp::Reverse;
use std::fmt::Write as _;

use analysis::backtest::findings::{AlertFact, Difference, Findings, RuleResults, Span};
use analysis::words::count;
use smartclean_push::domain::location::Location;

use crate::columns::columns;

/// Most rows of a table. The HTML report has all of them.
const MAX_ROWS: usize = 15;

/// The findings: readings, alerts and differences.
pub(super) fn text(findings: &Findings) -> String {
    let Some(span) = findings.span else {
        return "There is no reading in this period.\n".to_owned() + &notes(findings);
    };
    let mut text = heading(findings, span);
    if let (Some(against), Some(difference)) = (&findings.against, &findings.difference) {
        text += &differences(findings, against, difference);
    }
    text += &alerts_by("rule", findings, |alert| alert.rule.clone(), |alert| alert.rule.to_string());
    // By id: two zones can have the same learned name.
    let zone = |alert: &AlertFact| {
        let Location { project, zone, device, .. } = findings.location(alert);
        (project.clone(), zone.clone().or(device.clone()))
    };
    let zone_label = |alert: &AlertFact| {
        let location = findings.location(alert);
        location.zone_label().or(location.device.as_deref()).unwrap_or_default().to_owned()
    };
    text += &alerts_by("zone", findings, zone, zone_label);
    let day = |alert: &AlertFact| findings.local_time(alert).strftime("%Y-%m-%d %a").to_string();
    text + &alerts_by("day", findings, day, day)
}

fn heading(findings: &Findings, span: Span) -> String {
    let mut text = format!(
        "{} readings of {} devices, {} to {} ({})\n{}",
        count(findings.readings.judged),
        count(findings.devices.len()),
        span.first.strftime("%Y-%m-%d %H:%M"),
        span.last.strftime("%Y-%m-%d %H:%M UTC"),
        length(span),
        notes(findings),
    );
    for results @ RuleResults { name, alerts, messages, avoidable, .. } in findings.results() {
        let blocked = alerts.iter().filter(|alert| alert.blocked).count();
        let (all, blocked, messages) = (count(alerts.len()), count(blocked), count(*messages));
        let _ = writeln!(
            text,
            "{name}: {all} alerts ({blocked} of them suppressed by a block first) in {messages} messages"
        );
        if *avoidable > 0 {
            let avoidable = count(*avoidable);
            let _ =
                writeln!(text, "  {avoidable} would have been avoided or put off by an earlier message of a cleaning");
        }
        text.extend(results.escalations_in_words().map(|escalation| format!("  {escalation}\n")));
    }
    text
}

fn notes(findings: &Findings) -> String {
    findings.notes().iter().map(|note| format!("  {note}\n")).collect()
}

/// The length in days, or in hours if it is short.
fn length(span: Span) -> String {
    let hours = span.last.duration_since(span.first).as_secs_f64() / 3600.0;
    if hours < 48.0 { format!("{hours:.1} hours") } else { format!("{:.1} days", hours / 24.0) }
}

fn differences(findings: &Findings, against: &RuleResults, difference: &Difference) -> String {
    let missed = match difference.missed.len() {
        0 => "No event would be missed.".to_owned(),
        1 => "This one would have been missed:".to_owned(),
        many => format!("These {many} would have been missed:"),
    };
    let (before, after) = (against.alerts.len(), findings.rules.alerts.len());
    let mut text = format!("\n{before} → {after} alerts. {missed}\n");
    text += &alert_table(findings, &against.alerts, &difference.missed);
    if !difference.gained.is_empty() {
        let _ = writeln!(text, "{} new:", difference.gained.len());
        text += &alert_table(findings, &findings.rules.alerts, &difference.gained);
    }
    text
}

/// A row for each of the alerts `indices`, the most severe first.
fn alert_table(findings: &Findings, alerts: &[AlertFact], indices: &[usize]) -> String {
    let mut alerts: Vec<&AlertFact> = indices.iter().map(|index| &alerts[*index]).collect();
    alerts.sort_by_key(|alert| (Reverse(alert.severity), alert.at));
    let rows = alerts.iter().map(|alert| {
        let (name, at) = (findings.location(alert).name(), findings.local_time(alert).strftime("%Y-%m-%d %H:%M"));
        vec![at.to_string(), alert.severity.to_string(), alert.rule.to_string(), name, alert.crossing()]
    });
    first_rows(rows, 0)
}

/// A table of the alerts by `key`. `label` formats the key of an alert.
fn alerts_by<K: Ord>(
    title: &str,
    findings: &Findings,
    key: impl Fn(&AlertFact) -> K,
    label: impl Fn(&AlertFact) -> String,
) -> String {
    let groups = findings.alerts_by(key);
    if groups.is_empty() {
        return String::new();
    }
    let heading = std::iter::once(format!("alerts by {title}"));
    let heading = heading.chain(findings.results().map(|results| results.name.clone())).collect();
    let rows = groups.into_iter().map(|alerts| {
        let label = alerts.iter().flatten().take(1).map(|alert| label(alert));
        label.chain(findings.results().zip(&alerts).map(|(_, alerts)| count(alerts.len()))).collect()
    });
    format!("\n{}", first_rows(std::iter::once(heading).chain(rows), 1))
}

/// A table of the heading and the first rows, and how many rows are left out.
fn first_rows(rows: impl Iterator<Item = Vec<String>>, headings: usize) -> String {
    let mut rows: Vec<Vec<String>> = rows.collect();
    let left_out = rows.len().saturating_sub(MAX_ROWS + headings);
    rows.truncate(MAX_ROWS + headings);
    let more = if left_out > 0 { format!("… and {left_out} more\n") } else { String::new() };
    columns(&rows) + &more
}

#[cfg(test)]
mod tests {
    use analysis::backtest::findings::{DeviceFindings, OddTimes, Outliers};
    use jiff::Timestamp;
    use smartclean_push::domain::digest::Digest;

    use super::*;

    #[test]
    fn a_history_without_a_reading_says_so() {
        assert_eq!(text(&Findings::default()), "There is no reading in this period.\n");
    }

    #[test]
    fn readings_with_odd_times_are_named_and_avoidable_alerts_are_counted() {
        let oldest: Timestamp = "2016-02-29T00:00:00Z".parse().unwrap();
        let odd = OddTimes { count: 1, oldest, newest: oldest, reading: Digest::of(b"{}"), device: 0 };
        let location =
            Location { device: Some("24E1".to_owned()), display: Some("Soap".to_owned()), ..Location::default() };
        let devices = vec![DeviceFindings { location, site: None, readings: 1, series: Vec::new() }];
        let outliers = Outliers { before: Some(odd), ahead: None };
        let alone = Findings { outliers, devices, ..Findings::default() };
        let expected = "There is no reading in this period.\n  1 readings from before the first push, which are judged and shown \
                    nowhere: 2016-02-29 00:00 UTC; Soap (24E1) sent 44136fa355b3678a1146ad16f7e8649e\n";
        assert_eq!(text(&alone), expected);
        let rules = RuleResults { avoidable: 3, ..RuleResults::default() };
        let span = Some(Span { first: oldest, last: oldest });
        let with_avoidable = text(&Findings { span, rules, ..Findings::default() });
        assert!(
            with_avoidable.contains("\n  3 would have been avoided or put off by an earlier message of a cleaning\n")
        );
        let without = text(&Findings { span, ..Findings::default() });
        assert!(!without.contains("avoided") && !without.contains("from before"), "{without}");
    }
}
