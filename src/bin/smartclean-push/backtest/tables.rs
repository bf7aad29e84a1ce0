//! What a backtest found, as tables for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use analysis::backtest::findings::{
    AlertFact, Curve, CurvePoint, Difference, Findings, OddTimes, Outliers, Span, Verdict,
};
use analysis::report::count as grouped;
use jiff::Timestamp;
use smartclean_push::domain::breach::Comparison;
use smartclean_push::notify::amount;

use crate::columns::columns;

/// Most lines of one table; the report has them all.
const MOST_LINES: usize = 15;

/// The whole, in the order in which it is asked for: what was read, how many alerts, what is different, which limits.
pub(super) fn text(findings: &Findings) -> String {
    let mut text = heading(findings);
    let Some(span) = findings.span else { return text };
    if let (Some(against), Some(difference)) = (&findings.against, &findings.difference) {
        text += &compared(findings, against, difference);
    }
    text += &counted("rule", findings, |alert| alert.rule.to_string());
    text += &counted("zone", findings, |alert| zone(findings, alert));
    text += &counted("day", findings, |alert| day(findings, alert));
    text += &limits(findings, span);
    text
}

fn heading(findings: &Findings) -> String {
    let readings = findings.readings;
    let Some(span) = findings.span else {
        return "There is no reading in this period.\n".to_owned() + &outliers(findings);
    };
    let mut text = format!(
        "{} readings of {} devices, {} to {} ({})\n",
        grouped(readings.judged),
        grouped(findings.devices.len() as u64),
        span.first.strftime("%Y-%m-%d %H:%M"),
        span.last.strftime("%Y-%m-%d %H:%M UTC"),
        length(span),
    );
    for (count, what) in [
        (readings.duplicates, "copies of a reading, each counted once"),
        (readings.stale, "readings that came too late to alert, as they did then"),
        (readings.late, "readings that lie too far from their location in the archive to be judged in order"),
        (readings.undated, "pushes of unknown time, which cannot be judged"),
        (readings.unreadable, "lines that are no reading"),
        (readings.cleanings, "finished cleanings"),
        (readings.implausible, "values that no such sensor can measure, which were not compared with limits"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {} {what}", grouped(count));
        }
    }
    text += &outliers(findings);
    for verdict in std::iter::once(&findings.rules).chain(&findings.against) {
        let blocked = verdict.alerts.iter().filter(|alert| alert.blocked).count();
        let _ = writeln!(
            text,
            "{}: {} alerts ({} of them held back and named later) in {} messages",
            verdict.name,
            grouped(verdict.alerts.len() as u64),
            grouped(blocked as u64),
            grouped(verdict.messages),
        );
        if verdict.avoidable > 0 {
            let _ = writeln!(
                text,
                "  {} would have been avoided or put off by an earlier message of a cleaning",
                grouped(verdict.avoidable)
            );
        }
    }
    text
}

/// Readings whose time cannot be right, with one of them.
fn outliers(findings: &Findings) -> String {
    let Outliers { before, ahead } = findings.outliers;
    let mut text = String::new();
    for (odd, what) in [
        (before, "readings from before the first push, which are judged and shown nowhere"),
        (ahead, "readings from the future, which count as of their receipt"),
    ] {
        let Some(OddTimes { count, oldest, newest, reading, device }) = odd else { continue };
        let date = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        let times = if oldest == newest { date(oldest) } else { format!("{} to {}", date(oldest), date(newest)) };
        let location = &findings.devices[device].location;
        let id = location.device.as_deref().unwrap_or("without an id");
        let _ = writeln!(text, "  {} {what}: {times}; {} ({id}) sent {reading:.32}", grouped(count), location.name());
    }
    text
}

/// How long, in days, or in hours where it is short.
fn length(span: Span) -> String {
    let hours = span.last.duration_since(span.first).as_secs_f64() / 3600.0;
    if hours < 48.0 { format!("{hours:.1} hours") } else { format!("{:.1} days", hours / 24.0) }
}

fn compared(findings: &Findings, against: &Verdict, difference: &Difference) -> String {
    let (before, after) = (against.alerts.len(), findings.rules.alerts.len());
    let mut text = format!("\n{before} → {after} alerts. ");
    text += &match difference.missed.len() {
        0 => "No event that was told of would be missed.".to_owned(),
        1 => "This one would have been missed:".to_owned(),
        many => format!("These {many} would have been missed:"),
    };
    text += "\n";
    text += &listed(findings, &against.alerts, &difference.missed);
    if !difference.gained.is_empty() {
        let _ = writeln!(text, "{} new:", difference.gained.len());
        text += &listed(findings, &findings.rules.alerts, &difference.gained);
    }
    text
}

/// Alerts one by one, the worst first.
fn listed(findings: &Findings, alerts: &[AlertFact], which: &[usize]) -> String {
    let mut which: Vec<&AlertFact> = which.iter().map(|index| &alerts[*index]).collect();
    which.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.at));
    let rows: Vec<Vec<String>> = which
        .iter()
        .take(MOST_LINES)
        .map(|alert| {
            let location = &findings.devices[alert.device].location;
            let at = location.local_zone.on_the_wall(alert.at).strftime("%Y-%m-%d %H:%M").to_string();
            vec![at, alert.severity.to_string(), alert.rule.to_string(), location.name(), alert.crossing()]
        })
        .collect();
    columns(&rows) + &more(which.len())
}

/// Alerts by what `of` says of them, the most first.
fn counted(what: &str, findings: &Findings, of: impl Fn(&AlertFact) -> String) -> String {
    let mut counts: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for (index, verdict) in std::iter::once(&findings.rules).chain(&findings.against).enumerate() {
        for alert in &verdict.alerts {
            counts.entry(of(alert)).or_default()[index] += 1;
        }
    }
    if counts.is_empty() {
        return String::new();
    }
    let mut counts: Vec<(String, [u64; 2])> = counts.into_iter().collect();
    counts.sort_by_key(|(name, [now, before])| (std::cmp::Reverse((*now).max(*before)), name.clone()));
    let mut rows = vec![vec![format!("alerts by {what}"), findings.rules.name.clone()]];
    rows[0].extend(findings.against.iter().map(|against| against.name.clone()));
    for (name, [now, before]) in counts.iter().take(MOST_LINES) {
        let mut row = vec![name.clone(), grouped(*now)];
        row.extend(findings.against.iter().map(|_| grouped(*before)));
        rows.push(row);
    }
    format!("\n{}{}", columns(&rows), more(counts.len()))
}

fn zone(findings: &Findings, alert: &AlertFact) -> String {
    let location = &findings.devices[alert.device].location;
    location.zone.clone().unwrap_or_else(|| location.device.clone().unwrap_or_default())
}

/// The day on which it was, on the clock of its place.
fn day(findings: &Findings, alert: &AlertFact) -> String {
    let location = &findings.devices[alert.device].location;
    location.local_zone.on_the_wall(alert.at).strftime("%Y-%m-%d %a").to_string()
}

/// For each limit the alerts a week around it, and what is suggested.
fn limits(findings: &Findings, span: Span) -> String {
    let curves: Vec<&Curve> =
        findings.curves.iter().filter(|curve| curve.points.iter().any(|point| point.alerts > 0)).collect();
    if curves.is_empty() {
        return String::new();
    }
    let mut text = format!("\nLimits, and the alerts a week that each would have made over these {}:\n", length(span));
    for curve in curves {
        let limit = |value| format!("{} {}", sign(curve.comparison), amount(value, curve.unit));
        let _ = writeln!(text, "\n{} ({}, {} of {} devices)", curve.title, curve.rule, curve.label, curve.devices);
        let rows: Vec<Vec<String>> = around(curve)
            .map(|point| {
                let note = if point.limit == curve.limit { "in force" } else { "" };
                let note = if Some(*point) == curve.suggestion { "suggested" } else { note };
                vec![format!("  {}", limit(point.limit)), format!("{:.1}", point.a_week), note.to_owned()]
            })
            .collect();
        text += &columns(&rows);
        for differing in &curve.differing {
            let location = &findings.devices[differing.device].location;
            let name = location.name();
            let now =
                differing.points.iter().find(|point| point.limit == curve.limit).map_or(0.0, |point| point.a_week);
            let _ = write!(text, "  {name} differs: {now:.1} a week by itself");
            if let Some(own) = differing.suggestion {
                let _ = write!(text, "; {} would make {:.1}", limit(own.limit), own.a_week);
            }
            text.push('\n');
        }
    }
    text
}

/// The points next to the limit in force and to the suggestion.
fn around(curve: &Curve) -> impl Iterator<Item = &CurvePoint> {
    let index = |limit: f64| curve.points.iter().position(|point| point.limit == limit);
    let force = index(curve.limit).unwrap_or_default();
    let suggested = curve.suggestion.and_then(|point| index(point.limit)).unwrap_or(force);
    let (from, to) = (force.min(suggested).saturating_sub(3), force.max(suggested) + 3);
    // Of a long way between the two, a few steps.
    let step = (to - from) / 10 + 1;
    curve.points.iter().enumerate().filter_map(move |(index, point)| {
        let is_shown = (from..=to).contains(&index) && (index - from).is_multiple_of(step);
        (is_shown || index == force || index == suggested).then_some(point)
    })
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Above => ">",
        Comparison::AtLeast => "≥",
        Comparison::Below => "<",
        Comparison::AtMost => "≤",
        Comparison::Deviates => "±",
    }
}

fn more(count: usize) -> String {
    count
        .checked_sub(MOST_LINES)
        .filter(|more| *more > 0)
        .map_or_else(String::new, |more| format!("… and {more} more\n"))
}

#[cfg(test)]
mod tests {
    use analysis::backtest::findings::DeviceFindings;
    use smartclean_push::domain::digest::Digest;
    use smartclean_push::domain::location::Location;

    use super::*;

    #[test]
    fn a_history_without_a_reading_says_so() {
        assert_eq!(text(&Findings::default()), "There is no reading in this period.\n");
    }

    #[test]
    fn readings_whose_time_cannot_be_right_are_named_and_avoidable_alerts_counted() {
        let oldest: Timestamp = "2016-02-29T00:00:00Z".parse().unwrap();
        let odd = OddTimes { count: 1, oldest, newest: oldest, reading: Digest::of(b"{}"), device: 0 };
        let location =
            Location { device: Some("24E1".to_owned()), display: Some("Soap".to_owned()), ..Location::default() };
        let devices = vec![DeviceFindings { location, readings: 1, series: Vec::new() }];
        let outliers = Outliers { before: Some(odd), ahead: None };
        let alone = Findings { outliers, devices, ..Findings::default() };
        let told = "There is no reading in this period.\n  1 readings from before the first push, which are judged and shown \
                    nowhere: 2016-02-29 00:00 UTC; Soap (24E1) sent 44136fa355b3678a1146ad16f7e8649e\n";
        assert_eq!(text(&alone), told);
        let rules = Verdict { avoidable: 3, ..Verdict::default() };
        let span = Some(Span { first: oldest, last: oldest });
        let with_avoidable = text(&Findings { span, rules, ..Findings::default() });
        assert!(
            with_avoidable.contains("\n  3 would have been avoided or put off by an earlier message of a cleaning\n")
        );
        let without = text(&Findings { span, ..Findings::default() });
        assert!(!without.contains("avoided") && !without.contains("from before"), "{without}");
    }
}
