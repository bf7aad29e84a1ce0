//! When alerts come: hour by weekday, on the clock of each sensor.

use std::fmt::Write as _;

use super::html::badge;
use super::view::{View, by_severity};
use super::words::{counted, plural};
use crate::backtest::findings::AlertFact;
use crate::domain::severity::Severity;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Shades besides the empty one.
const SHADES: usize = 6;

/// How many alerts of each severity fall into each hour of each weekday.
type Counts = [[[usize; Severity::ALL.len()]; 24]; DAYS.len()];

/// The section; `None` where there is no alert.
pub(super) fn section(view: &View<'_>) -> Option<String> {
    let alerts = &view.findings.rules.alerts;
    if alerts.is_empty() {
        return None;
    }
    let counts = counted_by_hour(view, alerts);
    let severities = by_severity(alerts);
    let mut maps = map(&counts, None);
    if severities.len() > 1 {
        for (severity, number) in severities {
            let summary = format!("Only {}: {}", badge(severity), plural(number, "alert"));
            let _ = write!(maps, "<details><summary>{summary}</summary>{}</details>", map(&counts, Some(severity)));
        }
    }
    Some(maps)
}

fn counted_by_hour(view: &View<'_>, alerts: &[AlertFact]) -> Counts {
    let mut counts = Counts::default();
    for alert in alerts {
        let wall = view.place(alert.device).local_zone.on_the_wall(alert.at);
        let day = usize::try_from(wall.weekday().to_monday_zero_offset()).unwrap_or_default();
        let hour = usize::try_from(wall.hour()).unwrap_or_default();
        counts[day][hour][alert.severity as usize] += 1;
    }
    counts
}

/// The map of all alerts, or of one severity's.
fn map(counts: &Counts, only: Option<Severity>) -> String {
    let number = |cell: &[usize; 4]| only.map_or_else(|| cell.iter().sum(), |severity| cell[severity as usize]);
    let most: usize = counts.iter().flatten().map(number).max().unwrap_or_default();
    let hours: String = (0..24).map(|hour| format!("<th scope=\"col\">{hour}</th>")).collect();
    let mut rows = String::new();
    for (day, cells) in DAYS.iter().zip(counts) {
        let _ = write!(rows, "<tr><th scope=\"row\">{day}</th>");
        for (hour, cell) in cells.iter().enumerate() {
            let alerts = number(cell);
            let shown = if alerts == 0 { String::new() } else { short(alerts) };
            let title = format!("{day} {hour}:00 to {}:00: {}", hour + 1, told(cell, alerts));
            let _ = write!(rows, "<td class=\"h{}\" title=\"{title}\">{shown}</td>", shade(alerts, most));
        }
        rows.push_str("</tr>");
    }
    format!(
        "<div class=\"scroll\"><table class=\"heat\"><thead><tr><td></td>{hours}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// Up to four characters.
fn short(alerts: usize) -> String {
    match alerts {
        0..1_000 => alerts.to_string(),
        1_000..1_000_000 => format!("{}k", alerts / 1_000),
        _ => format!("{}M", alerts / 1_000_000),
    }
}

fn told(cell: &[usize; 4], alerts: usize) -> String {
    let each = Severity::ALL.iter().rev().zip(cell.iter().rev()).filter(|(_, number)| **number > 0);
    let each: Vec<String> = each.map(|(severity, number)| format!("{} {severity}", counted(*number))).collect();
    match each.len() {
        0 => "no alert".to_owned(),
        1 => format!("{} ({})", plural(alerts, "alert"), each[0].split_once(' ').map_or("", |(_, severity)| severity)),
        _ => format!("{} ({})", plural(alerts, "alert"), each.join(", ")),
    }
}

/// The shade of a cell: by the root, so that one busy hour does not make all others look empty.
fn shade(alerts: usize, most: usize) -> usize {
    if alerts == 0 {
        return 0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of alerts is far below 2^52")]
    let part = (alerts as f64 / most.max(1) as f64).sqrt();
    (1..=SHADES).find(|&shade| part * SHADES as f64 <= shade as f64 + 1e-9).unwrap_or(SHADES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_hour_without_alerts_has_no_shade_and_the_busiest_has_the_strongest() {
        assert_eq!((shade(0, 100), shade(1, 100), shade(99, 100), shade(100, 100)), (0, 1, 6, 6));
        assert_eq!((shade(1, 1), shade(0, 0)), (6, 0));
    }

    #[test]
    fn a_cell_tells_its_severities_the_worst_first() {
        assert_eq!(told(&[1, 2, 0, 0], 3), "3 alerts (2 medium, 1 low)");
        assert_eq!((told(&[0, 1, 0, 0], 1), told(&[0; 4], 0)), ("1 alert (medium)".into(), "no alert".into()));
    }
}
