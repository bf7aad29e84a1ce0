//! Response times as an HTML page.

use maud::{Markup, html};

use super::times::{ResponseTimes, TimeSummary, TimedAlert};
use super::{SlaReport, SlaTable};
use crate::report::frame;
use crate::report::markup::{Table, name};
use crate::words::{count, moment};

/// Writes a report as an HTML page: one file, without network requests and scripts.
#[must_use]
pub fn page(report: &SlaReport) -> String {
    let findings: Vec<_> = report.alerts.iter().filter_map(|alert| Some((alert, alert.finding.clone()?))).collect();
    let worst: Vec<_> =
        report.worst.iter().map(|index| &report.alerts[*index]).map(|alert| (alert, alert.story())).collect();
    let lead = "Measured from when an alert was raised. Below: what the numbers mean.";
    let mut sections = vec![
        ("times", "Response times", lead, html! { @for table in &report.tables { (times(table)) } }),
        ("worst", "The longest", "The alerts that took the longest until they were done.", lives(&worst)),
        ("findings", "Contradictions", "The sensor measured a breach after people were done.", lives(&findings)),
        ("definitions", "Definitions", "What the numbers mean.", definitions(report)),
    ];
    sections.retain(|(.., body)| !body.0.is_empty());
    frame("Response times", &top(report), &sections)
}

fn top(report: &SlaReport) -> Markup {
    let figure = |times: &TimeSummary| {
        let [median, p90, within] = times.cells();
        (median, format!("90 % {p90}; within target {within}"))
    };
    let ResponseTimes { alerts, contradicted, reaction, resolution } = &report.all;
    let ((reaction, reaction_note), (resolution, resolution_note)) = (figure(reaction), figure(resolution));
    let figures = [
        ("Alerts", count(*alerts), report.all.resolution.without_answer()),
        ("Median reaction", reaction, reaction_note),
        ("Median resolution", resolution, resolution_note),
        ("Contradicted", count(*contradicted), "by the sensor".to_owned()),
    ];
    html! {
        header {
            p.kicker { "Response times" }
            h1 { (report.period()) }
            @for note in report.notes() { p.note { (name(&note)) } }
        }
        dl.tiles { @for (title, figure, note) in figures {
            div { dt { (title) } dd { (figure) small { (note) } } }
        } }
    }
}

fn times(SlaTable { by, groups }: &SlaTable) -> Markup {
    let [a, b, c, d, e, f, g, h] = ResponseTimes::COLUMNS;
    let table = Table { columns: ["", a, b, c, d, e, f, g, h], texts: 1 };
    html! {
        h3 { "By " (by) }
        (table.folded(groups.iter().map(|group| {
            let [a, b, c, d, e, f, g, h] = group.times.cells().map(|cell| html! { (cell) });
            [name(&group.name), a, b, c, d, e, f, g, h]
        })))
    }
}

fn lives(alerts: &[(&TimedAlert, String)]) -> Markup {
    let table = Table { columns: ["Raised", "Alert", "Reaction", "Resolution", "What happened"], texts: 5 };
    html! { @if !alerts.is_empty() {
        (table.folded(alerts.iter().map(|(alert, text)| {
            let life = &alert.life;
            [
                html! { (moment(&life.location.local_zone, life.raised)) },
                html! { (name(&life.title)) " " small { (name(&alert.place)) } },
                html! { (alert.reaction.in_words()) },
                html! { (alert.resolution.in_words()) },
                name(text),
            ]
        })))
    } }
}

fn definitions(report: &SlaReport) -> Markup {
    html! {
        ul { @for definition in report.definitions { li { (definition) } } }
        p.note { "Digest of the alerts, their answers and these definitions: " code { (report.digest) } }
    }
}
