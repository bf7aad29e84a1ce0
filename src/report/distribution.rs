//! How the values of a metric are distributed, with the limits drawn in.

use super::axis::{Axis, with_limits};
use super::html::text;
use super::plot::{Colour, Mark, Plot};
use super::view::{View, type_title};
use super::words::{capitalised, count};
use crate::backtest::findings::{Distribution, Limit};
use crate::domain::alert::{Comparison, amount};
use crate::domain::device::Unit;

/// Bars of a chart at most.
const BARS: f64 = 60.0;
/// What lies beyond this part of all values is cut off where it would squeeze the rest.
const CUT: f64 = 0.001;

/// The section, as long as there is `room` for it, in bytes; `None` where nothing is compared with a limit.
pub(super) fn section(view: &View<'_>, room: usize) -> Option<String> {
    let usable: Vec<&Distribution> = view.findings.distributions.iter().filter(|one| one.count > 0).collect();
    let mut figures = String::new();
    for (index, distribution) in usable.iter().enumerate() {
        let figure = figure(distribution);
        if figures.len() + figure.len() > room {
            let left = usable.len() - index;
            figures.push_str(&format!("<p class=\"note\">{left} more are left out, to keep this page small.</p>"));
            break;
        }
        figures.push_str(&figure);
    }
    (!figures.is_empty()).then(|| format!("<div class=\"pairs\">{figures}</div>"))
}

fn figure(distribution: &Distribution) -> String {
    let title = format!(
        "{} <small>{}</small>",
        text(&capitalised(&distribution.label)),
        text(type_title(&distribution.device_type))
    );
    let drawn = if distribution.unit == Unit::Flag { String::new() } else { chart(distribution) };
    format!("<figure><figcaption><h3>{title}</h3><p>{}</p></figcaption>{drawn}</figure>", in_words(distribution))
}

/// "12,345 readings. Half are below 85 ppb, one in a hundred is at 240 ppb or more."
fn in_words(distribution: &Distribution) -> String {
    let readings = count(distribution.count);
    if distribution.unit == Unit::Flag {
        let set: u64 = distribution.bins.iter().filter(|(lower, _)| *lower >= 0.5).map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "a count of readings is far below 2^52")]
        let part = 100.0 * set as f64 / distribution.count as f64;
        return format!(
            "{readings} readings, {} of them with “{}”.",
            amount(part, Unit::Percent),
            text(&distribution.label)
        );
    }
    let shown = |value: f64| text(&amount(rounded(value), distribution.unit));
    let is_low_bad = distribution.limits.first().is_some_and(|limit| is_low_bad(limit.comparison));
    let (part, side) = if is_low_bad { (0.01, "below") } else { (0.99, "above") };
    match (distribution.quantile(0.5), distribution.quantile(part)) {
        (Some(half), Some(extreme)) => format!(
            "{readings} readings from {} to {}. Half are below {}, one in a hundred is {side} {}.",
            shown(distribution.least),
            shown(distribution.greatest),
            shown(half),
            shown(extreme),
        ),
        _ => format!("{readings} readings."),
    }
}

/// Three digits: a quantile is only known to within a bin's width.
fn rounded(value: f64) -> f64 {
    let power = 10f64.powf(value.abs().log10().floor() - 2.0);
    let digits = (value / power).round() * power;
    if digits.is_finite() && power.is_normal() { digits } else { value }
}

pub(super) fn is_low_bad(comparison: Comparison) -> bool {
    matches!(comparison, Comparison::Below | Comparison::AtMost)
}

fn chart(distribution: &Distribution) -> String {
    let limits = || distribution.limits.iter().map(|limit| limit.limit).filter(|limit| limit.is_finite());
    let core = core(distribution);
    let (from, to) = with_limits(core, limits());
    // A limit at the very end of the axis would lie on its frame.
    let margin = if limits().any(|limit| limit >= to) { (to - from) * 0.04 } else { 0.0 };
    let bars = bars(distribution, core);
    // The greatest value may be the lower bound of its bin, whose bar then reaches beyond it.
    let from = bars.first().map_or(from, |bar| bar.0.min(from));
    let to = bars.last().map_or(to, |bar| bar.1.max(to));
    let x = Axis::of_numbers(from, to + margin, 5, distribution.unit.symbol());
    let most = bars.iter().map(|bar| bar.2).fold(0.0, f64::max);
    let y = Axis::of_numbers(0.0, most * 1.06, 4, "% of readings");
    let label = format!("Distribution of {}", distribution.label);
    let mut marks = vec![Mark::Bars(bars)];
    let mut notes = String::new();
    for limit in &distribution.limits {
        let said = format!("{} {}", limit.severity, amount(limit.limit, Unit::One));
        if x.shows(limit.limit) {
            marks.push(Mark::Upright(limit.limit, Colour::of(limit.severity), said));
        } else {
            notes.push_str(&beyond(limit, distribution.unit));
        }
    }
    if distribution.greatest > to || distribution.least < from {
        notes.push_str("Cut off: at most 0.1 % of the readings at either end.");
    }
    let note = if notes.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>", text(&notes)) };
    Plot { label, size: (690, 360), x, y, has_axes: true, marks }.svg() + &note
}

/// What is said of a limit that would squeeze a chart too much.
pub(super) fn beyond(limit: &Limit, unit: Unit) -> String {
    format!("The limit of {} ({}) lies beyond this chart. ", amount(limit.limit, unit), limit.severity)
}

/// The stretch of nearly all values: a tail is cut off where it would be more than half as long as the rest.
fn core(distribution: &Distribution) -> (f64, f64) {
    let (least, greatest) = (distribution.least, distribution.greatest);
    let low = distribution.quantile(CUT).unwrap_or(least);
    let high = distribution.quantile(1.0 - CUT).unwrap_or(greatest);
    let length = high - low;
    let from = if low - least > 0.5 * length { low } else { least };
    let to = if greatest - high > 0.5 * length { high } else { greatest };
    (from, to)
}

/// Bins put together until they are few enough: from, to, and per cent of all readings.
fn bars(distribution: &Distribution, (from, to): (f64, f64)) -> Vec<(f64, f64, f64)> {
    let width = if distribution.width.is_normal() { distribution.width.abs() } else { 1.0 };
    let together = ((to - from) / width / BARS).ceil().max(1.0);
    let wide = width * together;
    let Some(origin) = distribution.bins.iter().map(|(lower, _)| *lower).find(|lower| *lower + width > from) else {
        return Vec::new();
    };
    let mut bars: Vec<(f64, f64, f64)> = Vec::new();
    for (lower, count) in &distribution.bins {
        if !lower.is_finite() || *lower < origin || *lower > to {
            continue;
        }
        // Half a bin in, so that a sum of widths that is off by its last digit stays in its bar.
        let left = origin + ((lower - origin + width / 2.0) / wide).floor() * wide;
        #[expect(clippy::cast_precision_loss, reason = "a count of readings is far below 2^52")]
        let part = 100.0 * *count as f64 / distribution.count as f64;
        match bars.last_mut() {
            Some(last) if (last.0 - left).abs() < width / 2.0 => last.2 += part,
            _ => bars.push((left, left + wide, part)),
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(bins: Vec<(f64, u64)>, width: f64) -> Distribution {
        Distribution {
            device_type: "TH".into(),
            metric: "t".into(),
            label: "temperature".into(),
            unit: Unit::Celsius,
            count: bins.iter().map(|(_, count)| count).sum(),
            least: bins[0].0,
            greatest: bins[bins.len() - 1].0 + width,
            width,
            bins,
            limits: Vec::new(),
        }
    }

    #[test]
    fn a_long_tail_is_cut_off_and_a_short_one_is_not() {
        let body = || (0..100u32).map(|bin| (f64::from(bin), 100)).collect::<Vec<_>>();
        let long = distribution([body(), vec![(1e6, 1)]].concat(), 1.0);
        assert!(core(&long).1 < 101.0 && chart(&long).contains("Cut off"));
        let short = distribution([body(), vec![(120.0, 1)]].concat(), 1.0);
        assert!(core(&short).1 > 120.0 && !chart(&short).contains("Cut off"));
    }

    #[test]
    fn bars_are_few_and_hold_every_reading_that_is_shown() {
        let many = distribution((0..5_000u32).map(|bin| (f64::from(bin) * 0.1, 3)).collect(), 0.1);
        let bars = bars(&many, core(&many));
        assert!(bars.len() <= 61, "{}", bars.len());
        assert!((bars.iter().map(|bar| bar.2).sum::<f64>() - 100.0).abs() < 1e-6);
    }

    #[test]
    fn a_flag_is_told_in_words() {
        let flag =
            Distribution { unit: Unit::Flag, label: "spill".into(), ..distribution(vec![(0.0, 99), (1.0, 1)], 1.0) };
        assert!(figure(&flag).contains("100 readings, 1 % of them with “spill”") && !figure(&flag).contains("<svg"));
        assert!(figure(&distribution(vec![(20.0, 5)], 0.5)).contains("<svg"));
    }
}
