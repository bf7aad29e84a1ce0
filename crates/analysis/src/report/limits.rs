//! The alerts a week at each limit, and the sensors that need a limit of their own.

use maud::{Markup, html};

use super::chart::{Axis, Chart, HALF, Mark, NOW, SUGGESTED, VALUES, range};
use super::markup::{Table, fit, left_out, name};
use super::summary::suggestion;
use super::view::{View, type_title};
use crate::backtest::findings::{Curve, CurvePoint};
use crate::words::{alerts_a_week, capitalised, count, plural, rate, with_unit};
use notify::amount;

/// Most bytes of the section.
const MAX_BYTES: usize = 800_000;
/// A chart has limits with at most this many times the alerts of the limit in force.
const HIGHEST: f64 = 8.0;

pub(super) fn section(view: &View<'_>) -> Markup {
    let mut left = MAX_BYTES;
    let curves = || view.findings.curves.iter().filter(|curve| !curve.points.is_empty());
    let articles: Vec<Markup> = curves().filter_map(|curve| fit(&mut left, article(view, curve))).collect();
    html! {
        @if !articles.is_empty() { div.pairs { @for article in &articles { (article) } } }
        (left_out(curves().count() - articles.len()))
    }
}

fn article(view: &View<'_>, curve: &Curve) -> Markup {
    let kind = type_title(&curve.device_type);
    let limit = amount(curve.limit, curve.unit);
    let a_week = in_force(curve).map_or(0.0, |now| now.a_week);
    html! { article {
        h3 { (capitalised(&curve.title)) " " small { (curve.label) ", " (kind) "; " (plural(curve.devices, "sensor")) } }
        p {
            @if let Some(suggestion) = suggestion(curve) { (suggestion) }
            @else { "At " (limit) " it is " strong { (alerts_a_week(a_week)) } "." }
        }
        (chart(curve))
        p.note {
            span.key.now { "now " (limit) } " "
            @if let Some(point) = &curve.suggestion { span.key.suggested { "suggested " (amount(point.limit, curve.unit)) } }
        }
        details { summary { "All " (curve.points.len()) " limits" } (points(curve)) }
        @if !curve.differing.is_empty() {
            h4 { (plural(curve.differing.len(), "sensor")) " better served by a limit of their own" }
            (differing(view, curve))
        }
    } }
}

fn chart(curve: &Curve) -> Markup {
    let now = in_force(curve);
    let highest = HIGHEST * now.map_or(1.0, |now| now.a_week.max(1.0));
    let points = curve.points.iter().filter(|point| point.a_week <= highest);
    let shown: Vec<(f64, f64)> = points.map(|point| (point.limit, point.a_week)).collect();
    let most = shown.iter().map(|(_, a_week)| *a_week).fold(1.0, f64::max) * 1.05;
    let x = range(shown.iter().map(|(limit, _)| *limit).chain([curve.limit]));
    let mut marks = vec![Mark::Line(shown, VALUES)];
    for (point, colour) in [(now, NOW), (curve.suggestion.as_ref(), SUGGESTED)] {
        let Some(CurvePoint { limit, a_week, .. }) = point else { continue };
        marks.extend([Mark::Line(vec![(*limit, 0.0), (*limit, most)], colour), Mark::Dot((*limit, *a_week), colour)]);
    }
    Chart {
        label: format!("Alerts a week for each limit of {}", curve.label),
        size: HALF,
        x: Axis::of_numbers(x, with_unit("limit", curve.unit)),
        y: Axis::of_numbers(0.0..most, "alerts a week"),
        marks,
    }
    .svg()
}

fn points(curve: &Curve) -> Markup {
    let table = Table { columns: ["Limit", "Alerts", "A week"], texts: 1 };
    let rows = curve.points.iter().map(|point| {
        let limit = html! {
            (amount(point.limit, curve.unit))
            @if Some(point) == in_force(curve) { " " em { "now" } }
            @else if Some(point) == curve.suggestion.as_ref() { " " em { "suggested" } }
        };
        table.row([limit, html! { (count(point.alerts)) }, html! { (rate(point.a_week)) }])
    });
    table.of(&rows.collect::<Vec<_>>())
}

/// A table of the devices that need a limit of their own.
fn differing(view: &View<'_>, curve: &Curve) -> Markup {
    let table = Table { columns: ["Sensor", "A week now", "Own limit", "A week then"], texts: 1 };
    table.folded(curve.differing.iter().map(|device| {
        let now = nearest(&device.points, curve.limit).map_or(0.0, |point| point.a_week);
        let then = device.suggestion;
        [
            name(&view.location(device.device).name()),
            html! { (rate(now)) },
            html! { @if let Some(then) = then { (amount(then.limit, curve.unit)) } @else { "none helps" } },
            html! { @if let Some(then) = then { (rate(then.a_week)) } },
        ]
    }))
}

/// The point of the limit in force.
pub(super) fn in_force(curve: &Curve) -> Option<&CurvePoint> {
    nearest(&curve.points, curve.limit)
}

/// The point with the nearest limit.
fn nearest(points: &[CurvePoint], limit: f64) -> Option<&CurvePoint> {
    points.iter().min_by(|one, other| (one.limit - limit).abs().total_cmp(&(other.limit - limit).abs()))
}
