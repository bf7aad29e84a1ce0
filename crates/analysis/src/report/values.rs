//! The distribution of each metric, with its limits.

use std::collections::BTreeMap;
use std::ops::Range;

use maud::{Markup, html};

use super::chart::{Axis, Chart, HALF, Mark, colour, range, with_limits};
use super::markup::{left_out, legend};
use crate::backtest::findings::{Distribution, Findings, RuleLimit};
use crate::words::count;
use domain::breach::Comparison;
use domain::device::{DeviceType, Unit};
use notify::amount;

/// Most charts.
const SHOWN: usize = 100;
/// Most bars of a chart.
const MAX_BARS: f64 = 60.0;
/// The part of the values at each end that is cut off: outliers would widen the chart.
const TAIL: f64 = 0.001;

pub(super) fn section(findings: &Findings) -> Markup {
    let all = &findings.distributions;
    html! {
        @if !all.is_empty() { div.pairs { @for distribution in all.iter().take(SHOWN) { (figure(distribution)) } } }
        (left_out(all.len().saturating_sub(SHOWN)))
    }
}

fn figure(distribution: &Distribution) -> Markup {
    let device_type = &*distribution.device_type;
    let kind = DeviceType::named(device_type).map_or(device_type, |known| known.title);
    html! { figure {
        figcaption {
            h3 { (distribution.label) " " small { (kind) } }
            p { (in_words(distribution)) }
        }
        @if distribution.unit != Unit::Flag { (chart(distribution)) }
    } }
}

/// "12,345 readings from 20 ppb to 410 ppb. Half are below 85 ppb, one in a hundred is above 240 ppb."
fn in_words(distribution: &Distribution) -> String {
    let readings = count(distribution.count);
    if distribution.unit == Unit::Flag {
        let set: u64 = distribution.bins.iter().filter(|(lower, _)| *lower >= 0.5).map(|(_, count)| count).sum();
        let part = amount(100.0 * set as f64 / distribution.count as f64, Unit::Percent);
        return format!("{readings} readings, {part} of them with “{}”.", distribution.label);
    }
    let is_low_bad = |limit: &RuleLimit| matches!(limit.comparison, Comparison::Below | Comparison::AtMost);
    let (part, side) =
        if distribution.limits.first().is_some_and(is_low_bad) { (0.01, "below") } else { (0.99, "above") };
    let format = |value: f64| amount(value, distribution.unit);
    let quantile = |part| format(distribution.quantile(part).unwrap_or(distribution.least));
    let (least, greatest) = (format(distribution.least), format(distribution.greatest));
    let (half, extreme) = (quantile(0.5), quantile(part));
    format!(
        "{readings} readings from {least} to {greatest}. Half are below {half}, one in a hundred is {side} {extreme}."
    )
}

fn chart(distribution: &Distribution) -> Markup {
    let core = core(distribution);
    let x = with_limits(&core, &distribution.limits);
    let bars = bars(distribution, &core);
    let most = bars.iter().map(|bar| bar.2).fold(0.0, f64::max) * 1.05;
    let legend = legend(&distribution.limits, distribution.unit, &x);
    let mut marks: Vec<Mark> = bars.into_iter().map(|(from, to, part)| Mark::Bar(from, to, part)).collect();
    let limits = distribution.limits.iter().filter(|limit| x.contains(&limit.limit));
    let line = |limit| [(limit, 0.0), (limit, most)];
    marks.extend(limits.map(|limit| Mark::Line(line(limit.limit), colour(limit.severity))));
    let chart = Chart {
        label: format!("Distribution of {}", distribution.label),
        size: HALF,
        x: Axis::of_numbers(x, distribution.unit.symbol()),
        y: Axis::of_numbers(0.0..most, "% of readings"),
        marks,
    };
    html! { (chart.svg()) (legend) }
}

/// The range of the values without their tails.
fn core(distribution: &Distribution) -> Range<f64> {
    range([TAIL, 1.0 - TAIL].into_iter().filter_map(|part| distribution.quantile(part)))
}

/// Bars of one or more bins: from, to, and % of all readings.
fn bars(distribution: &Distribution, core: &Range<f64>) -> Vec<(f64, f64, f64)> {
    let bin = if distribution.width.is_normal() { distribution.width.abs() } else { 1.0 };
    let bar = bin * ((core.end - core.start) / bin / MAX_BARS).ceil().max(1.0);
    let mut parts: BTreeMap<i64, f64> = BTreeMap::new();
    for (lower, count) in &distribution.bins {
        let middle = lower + bin / 2.0;
        if middle >= core.start && *lower <= core.end {
            let part = 100.0 * *count as f64 / distribution.count as f64;
            *parts.entry(((middle - core.start) / bar).floor() as i64).or_default() += part;
        }
    }
    let left = |index: i64| core.start + index as f64 * bar;
    parts.into_iter().map(|(index, part)| (left(index), left(index + 1), part)).collect()
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
    fn a_long_tail_is_cut_off_and_nothing_else() {
        let body = || (0..100u32).map(|bin| (f64::from(bin), 100)).collect::<Vec<_>>();
        let long = distribution([body(), vec![(1e6, 1)]].concat(), 1.0);
        assert!(core(&long).end < 101.0);
        let whole = distribution(vec![(0.0, 100), (1.0, 100)], 1.0);
        assert!(core(&whole).start < 0.1 && core(&whole).end > 1.9, "{:?}", core(&whole));
    }

    #[test]
    fn bars_are_few_and_have_all_readings_except_the_tails() {
        let many = distribution((0..5_000u32).map(|bin| (f64::from(bin) * 0.1, 3)).collect(), 0.1);
        let bars = bars(&many, &core(&many));
        assert!(bars.len() <= 61, "{}", bars.len());
        let sum: f64 = bars.iter().map(|bar| bar.2).sum();
        assert!((99.7..100.0 + 1e-6).contains(&sum), "{sum}");
    }

    #[test]
    fn a_flag_has_words_and_no_chart() {
        let flag =
            Distribution { unit: Unit::Flag, label: "spill".into(), ..distribution(vec![(0.0, 99), (1.0, 1)], 1.0) };
        let flag = figure(&flag).into_string();
        assert!(flag.contains("100 readings, 1 % of them with “spill”") && !flag.contains("<svg"));
        assert!(figure(&distribution(vec![(20.0, 5)], 0.5)).0.contains("<svg"));
    }
}
