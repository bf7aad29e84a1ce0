//! The numbers of alerts by day and by hour, in the time zone of each sensor: the more alerts, the stronger the colour.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::ToSpan as _;
use jiff::civil::Date;
use maud::{Markup, html};

use super::summary::usual_zone;
use crate::backtest::findings::Findings;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A row for each week of the history, a column for each weekday.
pub(super) fn by_day(findings: &Findings) -> Markup {
    let weekday = |date: Date| date.weekday().to_monday_zero_offset();
    let monday = |date: Date| date.saturating_sub(weekday(date).days());
    let mut weeks: BTreeMap<Date, [usize; 7]> = BTreeMap::new();
    if let Some(span) = findings.span {
        let [first, last] = [span.first, span.last].map(|at| monday(usual_zone(findings).local_time(at).date()));
        weeks.extend(first.series(1.week()).take_while(|week| *week <= last).map(|week| (week, [0; 7])));
    }
    for alert in &findings.rules.alerts {
        let date = findings.local_time(alert).date();
        weeks.entry(monday(date)).or_default()[weekday(date) as usize] += 1;
    }
    let rows: Vec<_> =
        weeks.into_iter().map(|(week, counts)| (week.strftime("%-d %b %Y").to_string(), counts)).collect();
    map("Week of", WEEKDAYS, &rows)
}

/// A row for each weekday, a column for each hour.
pub(super) fn by_hour(findings: &Findings) -> Markup {
    let mut rows = WEEKDAYS.map(|day| (day, [0; 24]));
    for alert in &findings.rules.alerts {
        let wall = findings.local_time(alert);
        rows[wall.weekday().to_monday_zero_offset() as usize].1[wall.hour() as usize] += 1;
    }
    map("Hour", std::array::from_fn(|hour| hour), &rows)
}

/// A table of counts. Empty if all of them are 0.
fn map<const N: usize>(title: &str, columns: [impl Display; N], rows: &[(impl Display, [usize; N])]) -> Markup {
    let most = rows.iter().flat_map(|(_, counts)| counts).max().copied().unwrap_or_default();
    // The square root, so that other cells do not look empty beside a busy one.
    let shade = |count: usize| (60.0 * (count as f64 / most as f64).sqrt()).ceil();
    html! { @if most > 0 { div.scroll { table.heat {
        thead { tr { th scope="col" { (title) } @for column in &columns { th scope="col" { (column) } } } }
        tbody { @for (row, counts) in rows {
            tr { th scope="row" { (row) } @for count in counts {
                @if *count == 0 { td {} } @else { td style={ "--shade:" (shade(*count)) "%" } { (count) } }
            } }
        } }
    } } } }
}
