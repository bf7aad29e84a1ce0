//! The findings of a backtest as an HTML page, for people who run buildings.
//!
//! The page is one file, without network requests and scripts. Its charts are SVG and tables, in colours for light and dark screens.

mod alerts;
mod devices;
mod difference;
#[cfg(test)]
mod fixtures;
mod heat;
pub(crate) mod markup;
#[cfg(test)]
mod page_tests;
mod scale;
mod summary;
mod trend;
mod values;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::backtest::findings::Findings;
use domain::display;

/// Most bytes of a page: it can be mailed, and opened on a phone.
pub const LARGEST_PAGE: usize = 5_000_000;

/// Bytes of the style sheet and the text around the sections.
const FRAME: usize = 20_000;

const STYLE: &str = include_str!("style.css");

/// Writes the findings as an HTML page. `created` is its time of creation.
///
/// The page is smaller than [`LARGEST_PAGE`] for any number of devices: it leaves out those with the fewest alerts, and says how
/// many.
///
/// ```
/// use analysis::{backtest::findings::Findings, report};
/// let page = report::page(&Findings::default(), "2026-03-31T08:00:00Z".parse().unwrap());
/// assert!(page.starts_with("<!DOCTYPE html>") && page.contains("No reading was judged"));
/// ```
#[must_use]
pub fn page(findings: &Findings, created: Timestamp) -> String {
    let summary = summary::section(findings, created);
    let lead = "The worst first. The band goes from the lowest to the highest value, a dot is an alert.";
    let mut sections = vec![
        ("difference", "What would change", "Both rules, judged by the same readings.", difference::section(findings)),
        ("alerts", "Alerts", "When they come, and what they are about.", alerts::section(findings)),
        ("hours", "Hours", "Alerts by weekday and hour, on the local clock of each sensor.", heat::by_hour(findings)),
        (
            "values",
            "Values",
            "How often each value is measured. At most 0.1 % of the readings at either end are cut off.",
            values::section(findings),
        ),
    ];
    let used = FRAME + summary.0.len() + sections.iter().map(|(.., body)| body.0.len()).sum::<usize>();
    sections.push(("sensors", "Sensors", lead, devices::section(findings, LARGEST_PAGE.saturating_sub(used))));
    sections.retain(|(.., body)| !body.0.is_empty());
    frame(&format!("Backtest: {}", findings.rules.name), &summary, &sections)
}

/// A page of sections, each with its id, title, lead and body, below its top.
pub(crate) fn frame(title: &str, top: &Markup, sections: &[(&str, &str, &str, Markup)]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                (top)
                @if !sections.is_empty() {
                    nav aria-label="Contents" {
                        ul { @for (id, title, ..) in sections { li { a href={ "#" (id) } { (title) } } } }
                    }
                }
                @for (id, title, lead, body) in sections {
                    section id=(id) { h2 { (title) } p.lead { (lead) } (body) }
                }
            } }
        }
    };
    // Names come from sensors. Control characters and direction marks become blanks.
    display::lines(&page.into_string())
}
