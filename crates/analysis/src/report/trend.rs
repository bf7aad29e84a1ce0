//! A chart of the values of a device over time, with limits and alerts.

use jiff::Timestamp;
use maud::{Markup, html};

use super::chart::{Axis, Chart, Days, Mark, ROW, WIDE, colour, range, with_limits};
use super::markup::legend;
use crate::backtest::findings::{AlertFact, DeviceFindings, Findings, Series, Span};
use crate::words::{plural, with_unit};

/// Most periods of a chart in a row of a table.
const ROW_PERIODS: i64 = 30;

/// A chart of a metric of a device.
pub(super) struct TrendChart<'a> {
    pub(super) findings: &'a Findings,
    pub(super) device: &'a DeviceFindings,
    pub(super) series: &'a Series,
    /// All alerts of the device.
    pub(super) alerts: &'a [&'a AlertFact],
}

impl TrendChart<'_> {
    /// The chart with axes and alerts.
    pub(super) fn figure(&self) -> Markup {
        let chart = self.chart(WIDE);
        html! { figure.wide { (chart.svg()) } (legend(&self.series.limits, self.series.unit, &chart.y.range)) }
    }

    /// The chart in a row of a table.
    pub(super) fn row(&self) -> Markup {
        self.chart(ROW).svg()
    }

    fn chart(&self, size: (u32, u32)) -> Chart {
        let Self { findings, device, series, alerts } = self;
        let span = findings.span.unwrap_or(Span { first: Timestamp::UNIX_EPOCH, last: Timestamp::UNIX_EPOCH });
        let days = Days::since(span.first, &device.location.local_zone);
        let mut period = series.width.as_secs();
        if size == ROW {
            period *= span.last.duration_since(span.first).as_secs() / period / ROW_PERIODS + 1;
        }
        let runs = self.runs(&days, period);
        let values = runs.iter().flatten().flat_map(|(_, least, greatest)| [*least, *greatest]);
        let y = with_limits(&range(values), &series.limits);
        // The whole history, so that charts can be compared.
        let history = [span.first, span.last].map(|at| days.at(at.as_second()));
        let x = range(runs.iter().flatten().map(|(at, ..)| *at).chain(history));
        let mut marks: Vec<Mark> = runs.into_iter().map(Mark::Band).collect();
        let limits = series.limits.iter().filter(|limit| y.contains(&limit.limit));
        let line = |limit| [(x.start, limit), (x.end, limit)];
        marks.extend(limits.map(|limit| Mark::Line(line(limit.limit), colour(limit.severity))));
        if size != ROW {
            let number = |alert: &AlertFact| alert.at.as_second().div_euclid(period);
            let periods = alerts.chunk_by(|one, next| number(one) == number(next));
            let worst = periods.filter_map(|alerts| alerts.iter().max_by_key(|alert| alert.severity));
            marks.extend(worst.map(|alert| {
                let value = self.value(alert).unwrap_or(y.start);
                Mark::Dot((days.at(alert.at.as_second()), value), colour(alert.severity))
            }));
        }
        Chart {
            label: format!("{} over time, {}", series.label, plural(alerts.len(), "alert")),
            size,
            x: days.axis(x),
            y: Axis::of_numbers(y, with_unit(&series.label, series.unit)),
            marks,
        }
    }

    /// The least and the greatest value at the start and the end of each period of so many seconds. A gap begins a new run.
    fn runs(&self, days: &Days, period: i64) -> Vec<Vec<(f64, f64, f64)>> {
        let number = |(start, ..): &(Timestamp, f64, f64)| start.as_second().div_euclid(period);
        let periods = self.series.values.chunk_by(|one, next| number(one) == number(next)).filter_map(|values| {
            let merged = |one: (_, f64, f64), other: (_, f64, f64)| (one.0, one.1.min(other.1), one.2.max(other.2));
            values.iter().copied().reduce(merged)
        });
        let periods: Vec<_> = periods.collect();
        let runs = periods.chunk_by(|one, next| number(one) + 1 == number(next)).map(|run| {
            let ends = |values: &(Timestamp, f64, f64)| {
                let start = number(values) * period;
                [start, start + period].map(|at| (days.at(at), values.1, values.2))
            };
            run.iter().flat_map(ends).collect()
        });
        runs.collect()
    }

    /// The value that raised an alert; `None` if that is no single value of this metric.
    fn value(&self, alert: &AlertFact) -> Option<f64> {
        let breach = alert.breach.as_ref().filter(|breach| *breach.metric == *self.series.metric)?;
        self.series.limits.iter().any(|limit| limit.rule == alert.rule).then_some(breach.value)
    }
}
