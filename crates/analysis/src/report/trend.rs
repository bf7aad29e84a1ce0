//! A chart of the values of a device over time, with limits and alerts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use maud::{Markup, html};

use super::markup::legend;
use super::scale::Scale;
use crate::backtest::findings::{AlertFact, DeviceFindings, Findings, Series};
use crate::words::{plural, with_unit};
use domain::device::Unit;
use notify::amount;

/// Width and height of a chart, in units of its SVG.
const WIDE: (u32, u32) = (1_200, 240);
/// The same of a chart in a row of a table, without axes and alerts.
const ROW: (u32, u32) = (300, 54);
/// Most periods of a chart in a row of a table.
const ROW_PERIODS: i64 = 30;

/// A chart of a metric of a device.
pub(super) struct TrendChart<'a> {
    series: &'a Series,
    /// All alerts of the device.
    alerts: &'a [&'a AlertFact],
    /// The local midnight before the history begins.
    midnight: ZonedDateTime,
    /// Days since then. The scale has the whole history, so that charts can be compared.
    days: Scale,
    values: Scale,
}

impl<'a> TrendChart<'a> {
    pub(super) fn new(
        findings: &Findings,
        device: &DeviceFindings,
        series: &'a Series,
        alerts: &'a [&'a AlertFact],
    ) -> Self {
        let span = findings.span.map_or([Timestamp::UNIX_EPOCH; 2], |span| [span.first, span.last]);
        let first = device.location.local_zone.local_time(span[0]);
        let midnight = first.start_of_day().unwrap_or(first);
        let days = Scale::of(span.map(|at| days_since(&midnight, at.as_second())), &[], 6.0);
        let values = series.values.iter().flat_map(|(_, least, greatest)| [*least, *greatest]);
        Self { series, alerts, midnight, days, values: Scale::of(values, &series.limits, 4.0) }
    }

    /// The chart with axes and alerts.
    pub(super) fn figure(&self) -> Markup {
        let Series { label, unit, limits, width, .. } = self.series;
        let time = |days: &f64| {
            let minutes = SignedDuration::from_mins((days * 1_440.0).round() as i64);
            self.midnight.datetime().saturating_add(minutes).strftime("%-d %b %H:%M")
        };
        html! {
            figure.trend {
                figcaption { (with_unit(label, *unit)) }
                div.y { @for value in self.values.0.iter().rev() { span { (amount(*value, Unit::One)) } } }
                (self.svg(WIDE, width.as_secs()))
                div.x { @for days in &self.days.0 { span { (time(days)) } } }
            }
            (legend(limits, *unit, &self.values))
        }
    }

    /// The chart in a row of a table.
    pub(super) fn row(&self) -> Markup {
        let width = self.series.width.as_secs();
        let [first, last] = [0, self.days.0.len() - 1].map(|index| self.days.0[index]);
        let periods = (last - first) * 86_400.0 / width as f64;
        self.svg(ROW, width * (periods as i64 / ROW_PERIODS + 1))
    }

    /// The drawing, with a band from the least to the greatest value of each period of so many seconds.
    fn svg(&self, size: (u32, u32), period: i64) -> Markup {
        let (width, height) = size;
        let across = |second| (self.days.position(days_since(&self.midnight, second)) * f64::from(width)) as u32;
        let down = |value| ((1.0 - self.values.position(value)) * f64::from(height)) as u32;
        let ends = |number: i64, value| [number, number + 1].map(|end| (across(end * period), down(value)));
        let outline = |run: &[(i64, (f64, f64))]| {
            let upper = run.iter().flat_map(|(number, (_, greatest))| ends(*number, *greatest));
            let lower = run.iter().flat_map(|(number, (least, _))| ends(*number, *least));
            upper.chain(lower.rev()).map(|(x, y)| format!("{x},{y} ")).collect::<String>()
        };
        let periods = self.periods(period);
        let limits = self.series.limits.iter().filter(|limit| self.values.contains(limit.limit));
        html! {
            svg viewBox={ "0 0 " (width) " " (height) } role="img"
                aria-label={ (self.series.label) " over time, " (plural(self.alerts.len(), "alert")) } {
                // A gap begins a new band.
                @for run in periods.chunk_by(|one, next| one.0 + 1 == next.0) { polygon points=(outline(run)) {} }
                @for (y, severity) in limits.map(|limit| (down(limit.limit), limit.severity)) {
                    line.(severity) x2=(width) y1=(y) y2=(y) {}
                }
                @if size != ROW { @for alert in self.worst_alerts(period) {
                    circle.(alert.severity) cx=(across(alert.at.as_second())) cy=(down(self.value(alert))) r="7" {}
                } }
            }
        }
    }

    /// The number of each period of so many seconds that has values, with the least and the greatest of them.
    fn periods(&self, period: i64) -> Vec<(i64, (f64, f64))> {
        let mut periods: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for (start, least, greatest) in &self.series.values {
            let known = periods.entry(start.as_second().div_euclid(period)).or_insert((*least, *greatest));
            *known = (known.0.min(*least), known.1.max(*greatest));
        }
        periods.into_iter().collect()
    }

    /// The most severe alert of each period of so many seconds.
    fn worst_alerts(&self, period: i64) -> impl Iterator<Item = &AlertFact> {
        let number = move |alert: &AlertFact| alert.at.as_second().div_euclid(period);
        let periods = self.alerts.chunk_by(move |one, next| number(one) == number(next));
        periods.filter_map(|alerts| alerts.iter().copied().max_by_key(|alert| alert.severity))
    }

    /// The value that raised an alert; the start of the scale if that is no single value of this metric.
    fn value(&self, alert: &AlertFact) -> f64 {
        let is_of_value = self.series.limits.iter().any(|limit| limit.rule == alert.rule);
        let breach = alert.breach.as_ref().filter(|breach| is_of_value && *breach.metric == *self.series.metric);
        breach.map_or(self.values.start(), |breach| breach.value)
    }
}

/// The days from a midnight to `second` since 1970.
fn days_since(midnight: &ZonedDateTime, second: i64) -> f64 {
    (second - midnight.timestamp().as_second()) as f64 / 86_400.0
}
