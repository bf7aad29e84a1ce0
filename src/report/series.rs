//! What a device measured over time, with its alerts: as a chart, and as a line in a row of a table.

use std::collections::BTreeMap;

use super::axis::{Axis, seconds, stretch, with_limits};
use super::distribution::{beyond, is_low_bad};
use super::html::text;
use super::plot::{Colour, Mark, Plot};
use super::view::View;
use super::words::{moment, plural};
use crate::backtest::findings::{AlertFact, Limit, Series};
use crate::domain::alert::{Comparison, Place, amount};
use crate::domain::device::Unit;

/// Points of a line in a row.
const SPARK_POINTS: usize = 60;

/// A bucket: when it begins and ends, and the least and the greatest value in it.
type Bucket = (f64, f64, f64, f64);

/// The chart of `series` with `alerts` of the same device: a dot where its metric crossed a limit, and at the bottom for
/// what is about something else.
pub(super) fn chart(view: &View<'_>, place: &Place, series: &Series, alerts: &[&AlertFact]) -> String {
    let runs = runs(series);
    let limits = limits(view, place, series, alerts);
    let crossings = alerts.iter().filter_map(|alert| alert.breach.as_ref());
    let crossed = crossings.filter(|crossing| crossing.metric == series.metric).map(|crossing| crossing.value);
    let values = runs.iter().flatten().flat_map(|bucket| [bucket.2, bucket.3]).chain(crossed);
    let measured = stretch(values).unwrap_or((0.0, 1.0));
    let (least, greatest) = with_limits(measured, limits.iter().map(|limit| limit.limit));
    let margin = (greatest - least) * 0.06;
    // Nothing measured below zero: the axis does not go there either.
    let bottom = if least >= 0.0 && least - margin < 0.0 { 0.0 } else { least - margin };
    let title = format!("{} {}", series.label, bracketed(series.unit));
    let y = Axis::of_numbers(bottom, greatest + margin, 4, title.trim());
    let x = time_axis(view, place, series);
    let mut marks: Vec<Mark> = runs.iter().map(|run| band(run)).collect();
    let (mut drawn, far): (Vec<&Limit>, Vec<&Limit>) = limits.iter().partition(|limit| y.shows(limit.limit));
    drawn.sort_by(|one, other| one.limit.total_cmp(&other.limit));
    for limit in drawn {
        let said = format!("{} {}", limit.severity, amount(limit.limit, Unit::One));
        marks.push(Mark::Across(limit.limit, Colour::of(limit.severity), said));
    }
    marks.extend(dots(view, place, series, alerts, y.from));
    let label = format!("{} over time, {}", series.label, plural(alerts.len(), "alert"));
    Plot { label, size: (1440, 320), x, y, has_axes: true, marks }.svg() + &beyond_it(&far, series.unit)
}

fn beyond_it(limits: &[&Limit], unit: Unit) -> String {
    let said: String = limits.iter().map(|limit| beyond(limit, unit)).collect();
    if said.is_empty() { said } else { format!("<p class=\"note\">{}</p>", text(&said)) }
}

/// The same in a row of a table: the bad side of the values, and the mildest limit.
pub(super) fn spark(view: &View<'_>, place: &Place, series: &Series, alerts: &[&AlertFact]) -> String {
    let limits = limits(view, place, series, alerts);
    let is_low_bad = limits.first().is_some_and(|limit| is_low_bad(limit.comparison));
    let lines: Vec<Vec<(f64, f64)>> = runs(&coarser(series)).iter().map(|run| middles(run, is_low_bad)).collect();
    let Some(measured) = stretch(lines.iter().flatten().map(|point| point.1)) else { return String::new() };
    let (least, greatest) = with_limits(measured, limits.first().map(|limit| limit.limit));
    let x = Axis { ticks: Vec::new(), ..time_axis(view, place, series) };
    let y = Axis { ticks: Vec::new(), ..Axis::of_numbers(least, greatest, 1, "") };
    let mut marks: Vec<Mark> = Vec::new();
    if let Some(limit) = limits.first().filter(|limit| y.shows(limit.limit)) {
        marks.push(Mark::Across(limit.limit, Colour::of(limit.severity), String::new()));
    }
    marks.extend(lines.into_iter().map(|line| Mark::Line(line, Colour::Line)));
    let label = format!("{} over time", series.label);
    Plot { label, size: (300, 54), x, y, has_axes: false, marks }.svg()
}

fn bracketed(unit: Unit) -> String {
    match unit.symbol() {
        "" => String::new(),
        symbol => format!("({symbol})"),
    }
}

/// The whole history, so that the charts of all devices can be compared.
fn time_axis(view: &View<'_>, place: &Place, series: &Series) -> Axis {
    let buckets = i32::try_from(series.buckets.len()).unwrap_or(i32::MAX);
    let length = series.bucket.checked_mul(buckets).unwrap_or(series.bucket);
    let end = series.from.checked_add(length).unwrap_or(series.from);
    let (from, to) = view.findings.span.map_or((series.from, end), |span| (span.first, span.last));
    Axis::of_time(from.min(series.from), to, &place.local_zone)
}

/// The buckets that follow each other without a gap.
fn runs(series: &Series) -> Vec<Vec<Bucket>> {
    let (first, width) = (seconds(series.from), series.bucket.as_secs_f64());
    let mut runs: Vec<Vec<Bucket>> = vec![Vec::new()];
    for (index, bucket) in series.buckets.iter().enumerate() {
        let usable = bucket.filter(|(least, greatest)| least.is_finite() && greatest.is_finite());
        match (usable, runs.last_mut()) {
            (Some((least, greatest)), Some(run)) => {
                #[expect(clippy::cast_precision_loss, reason = "buckets are few")]
                let start = first + index as f64 * width;
                run.push((start, start + width, f64::from(least), f64::from(greatest)));
            }
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// The middle of each bucket; the whole bucket where it stands alone.
fn band(run: &[Bucket]) -> Mark {
    Mark::Band(match run {
        [(start, end, least, greatest)] => vec![(*start, *least, *greatest), (*end, *least, *greatest)],
        many => {
            many.iter().map(|(start, end, least, greatest)| (f64::midpoint(*start, *end), *least, *greatest)).collect()
        }
    })
}

fn middles(run: &[Bucket], is_low_bad: bool) -> Vec<(f64, f64)> {
    let value = |bucket: &Bucket| if is_low_bad { bucket.2 } else { bucket.3 };
    match run {
        [only] => vec![(only.0, value(only)), (only.1, value(only))],
        many => many.iter().map(|bucket| (f64::midpoint(bucket.0, bucket.1), value(bucket))).collect(),
    }
}

/// The same series with few enough buckets for a line in a row.
fn coarser(series: &Series) -> Series {
    let together = series.buckets.len().div_ceil(SPARK_POINTS).max(1);
    let merged = series.buckets.chunks(together).map(|buckets| {
        let known = buckets.iter().flatten().filter(|(least, greatest)| least.is_finite() && greatest.is_finite());
        known.copied().reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    });
    let bucket = i32::try_from(together).ok().and_then(|times| series.bucket.checked_mul(times));
    Series { buckets: merged.collect(), bucket: bucket.unwrap_or(series.bucket), ..series.clone() }
}

/// The limits for this device, the mildest first: those of its type, and where its alerts tell of another for the same
/// rule, that one, because the rule has an override for it.
fn limits(view: &View<'_>, place: &Place, series: &Series, alerts: &[&AlertFact]) -> Vec<Limit> {
    let mut limits = view.limits(&place.device_type, &series.metric).to_vec();
    for alert in alerts {
        let Some(crossing) = alert.breach.as_ref().filter(|crossing| crossing.metric == series.metric) else {
            continue;
        };
        let (rule, severity, limit) = (alert.rule.clone(), alert.severity, crossing.limit);
        if !limits.iter().any(|one| one.limit == limit) {
            limits.retain(|one| one.rule != rule || one.severity != severity);
            let is_low = limits.first().map_or(crossing.value < limit, |one| is_low_bad(one.comparison));
            let comparison = if is_low { Comparison::Below } else { Comparison::AtLeast };
            limits.push(Limit { rule, severity, comparison, limit });
        }
    }
    limits.retain(|limit| limit.limit.is_finite());
    limits
}

/// One dot for each bucket with alerts, so that there are never more than buckets.
fn dots(view: &View<'_>, place: &Place, series: &Series, alerts: &[&AlertFact], bottom: f64) -> Vec<Mark> {
    let width = series.bucket.as_secs().max(1);
    let mut buckets: BTreeMap<(bool, i64), Vec<&AlertFact>> = BTreeMap::new();
    for alert in alerts {
        let is_here = alert.breach.as_ref().is_some_and(|crossing| crossing.metric == series.metric);
        let bucket = alert.at.as_second().saturating_sub(series.from.as_second()).div_euclid(width);
        buckets.entry((is_here, bucket)).or_default().push(alert);
    }
    let dot = |((is_here, _), alerts): ((bool, i64), Vec<&AlertFact>)| {
        let worst = alerts.iter().max_by_key(|alert| alert.severity)?;
        let crossing = worst.breach.as_ref().filter(|crossing| is_here && crossing.value.is_finite());
        let at = (seconds(worst.at), crossing.map_or(bottom, |crossing| crossing.value));
        let more = if alerts.len() > 1 { format!(", and {} more", alerts.len() - 1) } else { String::new() };
        let said = format!("{}: {}{more}", moment(place, worst.at), view.findings.crossing(worst));
        Some(Mark::Dot(at, 6 + worst.severity as u32, Colour::of(worst.severity), said))
    };
    buckets.into_iter().filter_map(dot).collect()
}
