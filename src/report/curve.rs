//! How many alerts a week each limit would make, and the sensors that need one of their own.

use std::collections::BTreeSet;

use super::alerts::SHOWN;
use super::axis::{Axis, stretch};
use super::html::{Column, Table, name, text};
use super::plot::{Colour, Mark, Plot};
use super::summary::{in_force, nearest, suggestion};
use super::view::{View, type_title};
use super::words::{capitalised, count, plural, rate};
use crate::backtest::findings::{Curve, CurvePoint};
use crate::domain::alert::{Comparison, amount};
use crate::domain::device::Unit;

/// Rows of the table beside a curve.
const BESIDE: usize = 8;
/// Sensors with a limit of their own, for each curve, at most.
const MOST_DEVICES: usize = 100;
/// Where the most alerts are this many times those of the limit in force, the upper axis is compressed.
const COMPRESSED_FROM: f64 = 8.0;

/// The section, as long as there is `room` for it, in bytes; `None` where no rule has a limit to be moved.
pub(super) fn section(view: &View<'_>, room: usize) -> Option<String> {
    let curves: Vec<&Curve> = view.findings.curves.iter().filter(|curve| !curve.points.is_empty()).collect();
    let mut articles = String::new();
    for (index, curve) in curves.iter().enumerate() {
        let article = article(view, curve);
        if articles.len() + article.len() > room {
            let left = curves.len() - index;
            articles.push_str(&format!("<p class=\"note\">{left} more are left out, to keep this page small.</p>"));
            break;
        }
        articles.push_str(&article);
    }
    (!articles.is_empty()).then_some(articles)
}

fn article(view: &View<'_>, curve: &Curve) -> String {
    let title = format!(
        "{} <small>{}, {}; {}</small>",
        text(&capitalised(&curve.title)),
        text(&curve.label),
        text(type_title(&curve.device_type)),
        plural(curve.devices, "sensor"),
    );
    let sentence = suggestion(curve).unwrap_or_else(|| as_it_is(curve));
    format!(
        "<article><h3>{title}</h3><p>{sentence}</p><div class=\"beside\"><figure>{}</figure>{}</div>{}</article>",
        chart(curve),
        table(curve),
        differing(view, curve),
    )
}

fn as_it_is(curve: &Curve) -> String {
    let limit = text(&amount(curve.limit, curve.unit));
    match in_force(curve) {
        Some(now) if now.alerts > 0 => format!("At {limit} it is <strong>{}</strong> alerts a week.", rate(now.a_week)),
        _ => format!("At {limit} there is no alert."),
    }
}

fn chart(curve: &Curve) -> String {
    let known: Vec<&CurvePoint> =
        curve.points.iter().filter(|point| point.limit.is_finite() && point.a_week.is_finite()).collect();
    let Some((from, to)) = stretch(known.iter().map(|point| point.limit).chain([curve.limit])) else {
        return String::new();
    };
    let most = known.iter().map(|point| point.a_week).fold(1.0, f64::max);
    let now = in_force(curve).map_or(0.0, |point| point.a_week);
    let is_compressed = most > COMPRESSED_FROM * now.max(1.0);
    let height = |a_week: f64| if is_compressed { a_week.max(0.0).sqrt() } else { a_week.max(0.0) };
    let sign = match curve.comparison {
        Comparison::Above => ">",
        Comparison::AtLeast => "≥",
        Comparison::Below => "<",
        Comparison::AtMost => "≤",
        Comparison::Deviates => "±",
    };
    let unit = curve.unit.symbol();
    let x = Axis::of_numbers(from, to, 6, format!("limit ({sign}{}{unit})", if unit.is_empty() { "" } else { " " }));
    let said = if is_compressed { "alerts a week (root scale)" } else { "alerts a week" };
    let mut y = Axis::of_numbers(0.0, height(most) * 1.06, 4, said);
    if is_compressed {
        y.ticks = root_ticks(most).into_iter().map(|tick| (tick.sqrt(), super::axis::number(tick))).collect();
    }
    let line = known.iter().map(|point| (point.limit, height(point.a_week))).collect();
    let mut marks = vec![
        Mark::Line(line, Colour::Line),
        Mark::Upright(curve.limit, Colour::Ink, format!("now {}", amount(curve.limit, Unit::One))),
    ];
    if let Some(suggested) = &curve.suggestion {
        let words = format!("suggested {}", amount(suggested.limit, Unit::One));
        marks.push(Mark::Upright(suggested.limit, Colour::Chosen, words));
        marks.push(dot(suggested, height(suggested.a_week), Colour::Chosen, curve));
    }
    marks.extend(in_force(curve).map(|point| dot(point, height(point.a_week), Colour::Ink, curve)));
    let label = format!("Alerts a week for each limit of {}", curve.label);
    Plot { label, size: (860, 540), x, y, has_axes: true, marks }.svg()
}

fn dot(point: &CurvePoint, height: f64, colour: Colour, curve: &Curve) -> Mark {
    let words = format!("{}: {} alerts a week", amount(point.limit, curve.unit), rate(point.a_week));
    Mark::Dot((point.limit, height), 9, colour, words)
}

/// Round numbers that stand well apart on an axis of roots.
fn root_ticks(most: f64) -> Vec<f64> {
    let power = 10f64.powf(most.log10().floor());
    let top = [5.0, 2.0, 1.0].into_iter().map(|digit| digit * power).find(|top| *top <= most).unwrap_or(power);
    [0.0, 0.04, 0.2, 0.5, 1.0].into_iter().map(|part| part * top).filter(|tick| *tick == 0.0 || *tick >= 1.0).collect()
}

/// The points that matter, and all of them behind a fold.
fn table(curve: &Curve) -> String {
    let new = || Table::new([Column::Words("Limit"), Column::Numbers("Alerts"), Column::Numbers("A week")]);
    let index_of = |limit: f64| {
        let chosen = nearest(&curve.points, limit);
        curve.points.iter().position(|point| Some(point) == chosen)
    };
    let now = index_of(curve.limit);
    let suggested = curve.suggestion.and_then(|point| index_of(point.limit));
    let row = |index: usize, point: &CurvePoint| {
        let note = match index {
            _ if Some(index) == now => " <em>now</em>",
            _ if Some(index) == suggested => " <em class=\"chosen\">suggested</em>",
            _ => "",
        };
        [format!("{}{note}", text(&amount(point.limit, curve.unit))), count(point.alerts), rate(point.a_week)]
    };
    let step = curve.points.len().div_ceil(BESIDE).max(1);
    let picked: BTreeSet<usize> = (0..curve.points.len())
        .step_by(step)
        .chain(now)
        .chain(suggested)
        .chain(curve.points.len().checked_sub(1))
        .collect();
    let (mut short, mut all) = (new(), new());
    for (index, point) in curve.points.iter().enumerate() {
        all.row(row(index, point));
        if picked.contains(&index) {
            short.row(row(index, point));
        }
    }
    let whole = if short.len() == all.len() {
        String::new()
    } else {
        format!("<details><summary>All {} limits</summary>{}</details>", all.len(), all.folded(all.len(), 400))
    };
    format!("<div>{}{whole}</div>", short.whole())
}

fn differing(view: &View<'_>, curve: &Curve) -> String {
    if curve.differing.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        Column::Words("Sensor"),
        Column::Numbers("A week now"),
        Column::Numbers("Own limit"),
        Column::Numbers("A week then"),
    ]);
    for device in &curve.differing {
        let now = nearest(&device.points, curve.limit).map_or_else(|| "0".to_owned(), |point| rate(point.a_week));
        let (limit, then) = device.suggestion.map_or_else(
            || ("none helps".to_owned(), String::new()),
            |point| (text(&amount(point.limit, curve.unit)), rate(point.a_week)),
        );
        table.row([name(&view.place(device.device).name()), now, limit, then]);
    }
    let heading = plural(curve.differing.len(), "sensor");
    let verb = if curve.differing.len() == 1 { "differs" } else { "differ" };
    format!(
        "<h4>{heading} {verb} from the others: a limit of their own serves them better</h4>{}",
        table.folded(SHOWN, MOST_DEVICES)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_a_root_scale_are_round_and_never_beyond_the_most() {
        assert_eq!(root_ticks(640.0), [0.0, 20.0, 100.0, 250.0, 500.0]);
        assert_eq!(root_ticks(12.0), [0.0, 2.0, 5.0, 10.0]);
        assert_eq!(root_ticks(1.0), [0.0, 1.0]);
    }
}
