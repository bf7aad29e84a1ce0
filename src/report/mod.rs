//! One page that shows what a backtest found: for people who run buildings, to be kept, sent and printed.
//!
//! It is one file that needs no network and runs no script. Charts are SVG within it; they are drawn in stand-in colours
//! that its stylesheet replaces, so that they follow the scheme of whoever looks at them.

mod alerts;
mod axis;
mod curve;
mod devices;
mod difference;
mod distribution;
#[cfg(test)]
mod fixtures;
mod heat;
mod html;
#[cfg(test)]
mod page_tests;
mod plot;
mod series;
mod summary;
mod view;
mod words;

use jiff::Timestamp;

use self::view::View;
pub use self::words::count;
use crate::backtest::findings::Findings;

/// The page stays below this, in bytes: a mail takes it, and a phone opens it.
pub const LARGEST_PAGE: usize = 5_000_000;

/// Room for the charts of limits, and as much for those of values, in bytes; the devices get what is left.
const CHARTS_ROOM: usize = 800_000;
/// For what is written around the sections, in bytes.
const FRAME_ROOM: usize = 20_000;

const STYLE: &str = include_str!("style.css");

/// A part of the page that its contents list.
struct Section {
    id: &'static str,
    title: &'static str,
    /// What it shows, in a sentence.
    lead: &'static str,
    body: String,
}

/// The page, as HTML, of what was found; `made` is when it was made. It is smaller than [`LARGEST_PAGE`], however many
/// devices there are: the ones with the fewest alerts are left out where it has to be, and it says how many.
///
/// ```
/// use smartclean_push::{backtest::findings::Findings, report};
/// let page = report::page(&Findings::default(), "2026-03-31T08:00:00Z".parse().unwrap());
/// assert!(page.starts_with("<!DOCTYPE html>") && page.contains("No reading was judged"));
/// ```
#[must_use]
pub fn page(findings: &Findings, made: Timestamp) -> String {
    let view = View::of(findings);
    let summary = summary::summary(&view, made);
    let mut sections = above_devices(&view);
    let used: usize = STYLE.len() + summary.len() + sections.iter().map(|section| section.body.len()).sum::<usize>();
    let room = LARGEST_PAGE.saturating_sub(used + FRAME_ROOM);
    sections.extend(devices::section(&view, room).map(|body| Section {
        id: "sensors",
        title: "Sensors",
        lead: "The worst first. The band is the least and the greatest value of each stretch of time, a dot is an alert.",
        body,
    }));
    let body: String = sections.iter().map(Section::html).collect();
    let title = html::text(summary::rules_name(&findings.rules));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>Backtest: {title}</title><style>{STYLE}</style></head>\
         <body><main>{summary}{}{body}</main></body></html>\n",
        contents(&sections),
    )
}

fn above_devices(view: &View<'_>) -> Vec<Section> {
    let section = |id, title, lead| move |body| Section { id, title, lead, body };
    let difference = section("difference", "What would change", "Both rules, judged by the same readings.");
    let limits = section(
        "limits",
        "Limits",
        "How many alerts a week each limit would make. A limit further from everyday values makes fewer.",
    );
    let alerts = section("alerts", "Alerts", "When they come, and what they are about.");
    let hours = section("hours", "Hours", "Alerts by weekday and hour, on the local clock of each sensor.");
    let values = section("values", "Values", "How often each value is measured, and where the limits stand.");
    [
        difference::section(view).map(difference),
        alerts::section(view).map(alerts),
        heat::section(view).map(hours),
        curve::section(view, CHARTS_ROOM).map(limits),
        distribution::section(view, CHARTS_ROOM).map(values),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn contents(sections: &[Section]) -> String {
    let item = |section: &Section| format!("<li><a href=\"#{}\">{}</a></li>", section.id, section.title);
    match sections.len() {
        0 => String::new(),
        _ => format!("<nav aria-label=\"Contents\"><ul>{}</ul></nav>", sections.iter().map(item).collect::<String>()),
    }
}

impl Section {
    fn html(&self) -> String {
        let Self { id, title, lead, body } = self;
        format!("<section id=\"{id}\"><h2>{title}</h2><p class=\"lead\">{lead}</p>{body}</section>")
    }
}
