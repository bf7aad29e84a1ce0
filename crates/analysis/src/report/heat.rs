//! Alerts by weekday and hour, in the time zone of each sensor.

use maud::{Markup, html};

use crate::backtest::findings::Findings;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

pub(super) fn section(findings: &Findings) -> Markup {
    let mut counts = [[0_usize; 24]; DAYS.len()];
    for alert in &findings.rules.alerts {
        let wall = findings.local_time(alert);
        counts[wall.weekday().to_monday_zero_offset() as usize][wall.hour() as usize] += 1;
    }
    let most = counts.iter().flatten().copied().max().unwrap_or_default();
    // The square root, so that other hours do not look empty beside a busy one.
    let shade = |count: usize| (60.0 * (count as f64 / most as f64).sqrt()).ceil();
    html! { @if most > 0 { div.scroll { table.heat {
        thead { tr { th scope="col" { "Hour" } @for hour in 0..24 { th scope="col" { (hour) } } } }
        tbody { @for (day, hours) in DAYS.iter().zip(&counts) {
            tr { th scope="row" { (day) } @for count in hours {
                @if *count == 0 { td {} } @else { td style={ "--shade:" (shade(*count)) "%" } { (count) } }
            } }
        } }
    } } } }
}
