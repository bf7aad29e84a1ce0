//! The distribution of each metric, with its limits.

use maud::{Markup, html};

use super::markup::{left_out, legend};
use super::scale::Scale;
use crate::backtest::findings::{Distribution, Findings, RuleLimit};
use crate::words::count;
use domain::breach::Comparison;
use domain::device::{DeviceType, Unit};
use notify::amount;

/// Most distributions.
const SHOWN: usize = 100;
/// About so many bands of values.
const BANDS: f64 = 12.0;
/// The part of the values at each end that is cut off: outliers would widen the bands.
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
        @if distribution.unit != Unit::Flag { (bands(distribution)) }
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

/// A bar for each band of values, in the colour of the limit that its middle crosses.
fn bands(distribution: &Distribution) -> Markup {
    let Distribution { unit, count, width, bins, limits, .. } = distribution;
    let core = [TAIL, 1.0 - TAIL].into_iter().filter_map(|part| distribution.quantile(part));
    let scale = Scale::of(core, limits, BANDS);
    let bands = scale.0.windows(2).map(|ends| {
        let is_inside = |lower: f64| (ends[0]..ends[1]).contains(&(lower + width / 2.0));
        let inside: u64 = bins.iter().filter(|(lower, _)| is_inside(*lower)).map(|(_, count)| count).sum();
        let middle = f64::midpoint(ends[0], ends[1]);
        let crossed = limits.iter().filter(|limit| limit.comparison.is_breached(middle, limit.limit));
        (ends, 100.0 * inside as f64 / *count as f64, crossed.map(|limit| limit.severity).max())
    });
    html! {
        table.bands { tbody { @for (ends, part, severity) in bands { tr class=[severity] {
            th scope="row" { (amount(ends[0], Unit::One)) " to " (amount(ends[1], *unit)) }
            td { div style={ "width:" (format!("{part:.1}")) "%" } {} }
            td.n { (format!("{part:.1} %")) }
        } } } }
        (legend(limits, *unit, &scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::severity::Severity;

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

    /// The bands with the parts of readings in them.
    fn parts(distribution: &Distribution) -> Vec<(String, f64)> {
        let table = bands(distribution).into_string();
        let cell = |row: &str, before: &str, after: &str| {
            row.split_once(before).unwrap().1.split_once(after).unwrap().0.to_owned()
        };
        let rows = table.split("<tr").skip(1);
        rows.map(|row| (cell(row, "\"row\">", "</th>"), cell(row, "class=\"n\">", " %").parse().unwrap())).collect()
    }

    #[test]
    fn a_long_tail_is_cut_off_and_nothing_else() {
        let body = || (0..100u32).map(|bin| (f64::from(bin), 100)).collect::<Vec<_>>();
        let long = parts(&distribution([body(), vec![(1e6, 1)]].concat(), 1.0));
        assert_eq!((long.len(), long[0].0.as_str(), long[9].0.as_str()), (10, "0 to 10 °C", "90 to 100 °C"));
        assert!(long.iter().all(|(_, part)| (9.9..10.1).contains(part)), "{long:?}");
        let whole = parts(&distribution(vec![(0.0, 100), (1.0, 300)], 1.0));
        assert_eq!((whole[0].0.as_str(), whole.last().unwrap().0.as_str()), ("0 to 0.2 °C", "1.8 to 2 °C"));
        let filled: Vec<f64> = whole.iter().map(|(_, part)| *part).filter(|part| *part > 0.0).collect();
        assert_eq!(filled, [25.0, 75.0]);
    }

    #[test]
    fn bands_are_few_and_have_all_readings_except_the_tails() {
        let many = parts(&distribution((0..5_000u32).map(|bin| (f64::from(bin) * 0.1, 3)).collect(), 0.1));
        assert!(many.len() <= 14, "{}", many.len());
        let sum: f64 = many.iter().map(|(_, part)| part).sum();
        assert!((99.5..100.5).contains(&sum), "{sum}");
    }

    #[test]
    fn a_band_has_the_colour_of_the_worst_limit_that_it_crosses() {
        let limit =
            |severity, limit| RuleLimit { rule: "hot".into(), severity, comparison: Comparison::AtLeast, limit };
        let limits = vec![limit(Severity::Medium, 4.0), limit(Severity::High, 8.0)];
        let bins = (0..10u32).map(|bin| (f64::from(bin), 1)).collect();
        let table = bands(&Distribution { limits, ..distribution(bins, 1.0) }).into_string();
        assert_eq!(
            ["<tr>", "<tr class=\"medium\">", "<tr class=\"high\">"].map(|row| table.matches(row).count()),
            [4, 4, 2]
        );
    }

    #[test]
    fn a_flag_has_words_and_no_bands() {
        let flag =
            Distribution { unit: Unit::Flag, label: "spill".into(), ..distribution(vec![(0.0, 99), (1.0, 1)], 1.0) };
        let flag = figure(&flag).into_string();
        assert!(flag.contains("100 readings, 1 % of them with “spill”") && !flag.contains("<table"));
        assert!(figure(&distribution(vec![(20.0, 5)], 0.5)).0.contains("<table"));
    }
}
