//! A chart of the values of a device over time, with limits and alerts.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::chart::{Axis, Chart, Days, Mark, ROW, WIDE, colour, range, with_limits};
use super::markup::legend;
use super::view::View;
use crate::backtest::findings::{AlertFact, DeviceFindings, Series};
use crate::words::{plural, with_unit};
use domain::breach::Breach;
use domain::severity::Severity;

/// Periods of a chart in a row of a table.
const ROW_PERIODS: usize = 30;

/// A chart of a metric of a device.
pub(super) struct TrendChart<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) device: &'a DeviceFindings,
    pub(super) series: &'a Series,
    /// All alerts of the device.
    pub(super) alerts: &'a [&'a AlertFact],
}

impl TrendChart<'_> {
    /// The chart with axes and alerts.
    pub(super) fn figure(&self) -> Markup {
        let limits = self.limits();
        let mut chart = self.chart(WIDE, &limits);
        self.draw_alerts(&mut chart);
        html! { figure.wide { (chart.svg()) } (legend(&limits, self.series.unit, &chart.y.range)) }
    }

    /// The chart in a row of a table.
    pub(super) fn row(&self) -> Markup {
        self.chart(ROW, &self.limits()).svg()
    }

    fn chart(&self, size: (u32, u32), limits: &[(Severity, f64)]) -> Chart {
        let days = self.days();
        let runs = self.runs(&days, if size == ROW { ROW_PERIODS } else { self.series.buckets.len() });
        let values = runs.iter().flatten().flat_map(|(_, least, greatest)| [*least, *greatest]);
        let crossed = self.alerts.iter().filter_map(|alert| self.breach(alert)).map(|breach| breach.value);
        let y = with_limits(&range(values.chain(crossed)), limits.iter().map(|(_, limit)| *limit));
        // The whole history, so that charts can be compared.
        let history = self.view.findings.span.into_iter().flat_map(|span| [days.at(span.first), days.at(span.last)]);
        let x = range(runs.iter().flatten().map(|(at, ..)| *at).chain(history));
        let mut marks: Vec<Mark> = runs.into_iter().map(Mark::Band).collect();
        marks.extend(
            limits
                .iter()
                .filter(|(_, limit)| y.contains(limit))
                .map(|(severity, limit)| Mark::Line(vec![(x.start, *limit), (x.end, *limit)], colour(*severity))),
        );
        Chart {
            label: format!("{} over time, {}", self.series.label, plural(self.alerts.len(), "alert")),
            size,
            x: days.axis(x),
            y: Axis::of_numbers(y, with_unit(&self.series.label, self.series.unit)),
            marks,
        }
    }

    fn days(&self) -> Days {
        let first = self.view.findings.span.map_or(self.series.from, |span| span.first.min(self.series.from));
        Days::since(first, &self.device.location.local_zone)
    }

    /// The lowest and the highest value at the start and the end of each period. A gap begins a new run.
    fn runs(&self, days: &Days, periods: usize) -> Vec<Vec<(f64, f64, f64)>> {
        let together = self.series.buckets.len().div_ceil(periods.max(1)).max(1);
        let day =
            |bucket: usize| days.at(self.series.from) + bucket as f64 * self.series.bucket.as_secs_f64() / 86_400.0;
        let periods = self.series.buckets.chunks(together).enumerate().map(|(index, buckets)| {
            let values = buckets.iter().flatten().filter(|(least, greatest)| least.is_finite() && greatest.is_finite());
            let (least, greatest) = values.copied().reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
            let start = index * together;
            Some([start, start + buckets.len()].map(|bucket| (day(bucket), f64::from(least), f64::from(greatest))))
        });
        let periods: Vec<_> = periods.collect();
        let runs = periods.split(Option::is_none).filter(|run| !run.is_empty());
        runs.map(|run| run.iter().flatten().flatten().copied().collect()).collect()
    }

    /// The severity and the limit of each rule, and of overrides that raised an alert.
    fn limits(&self) -> Vec<(Severity, f64)> {
        let general = self.view.limits(&self.device.location.device_type, &self.series.metric);
        let general = general.iter().map(|limit| ((limit.severity, &*limit.rule), limit.limit));
        let mut limits: BTreeMap<(Severity, &str), f64> = general.collect();
        for alert in self.alerts {
            if let Some(Breach { limit, .. }) = self.breach(alert)
                && limits.values().all(|known| known != limit)
            {
                limits.insert((alert.severity, &alert.rule), *limit);
            }
        }
        limits
            .into_iter()
            .map(|((severity, _), limit)| (severity, limit))
            .filter(|(_, limit)| limit.is_finite())
            .collect()
    }

    /// Adds a dot for each period with alerts: at the value, or at the bottom if the alert is about another metric.
    fn draw_alerts(&self, chart: &mut Chart) {
        let (days, bottom) = (self.days(), chart.y.range.start);
        let period = |alert: &AlertFact| alert.at.as_second().div_euclid(self.series.bucket.as_secs().max(1));
        let periods = self.alerts.chunk_by(|one, other| period(one) == period(other));
        let worst = periods.filter_map(|alerts| alerts.iter().max_by_key(|alert| alert.severity));
        chart.marks.extend(worst.map(|alert| {
            let value = self.breach(alert).map_or(bottom, |breach| breach.value);
            Mark::Dot((days.at(alert.at), value), colour(alert.severity))
        }));
    }

    /// The breach of an alert, if it is about this metric.
    fn breach<'b>(&self, alert: &'b AlertFact) -> Option<&'b Breach> {
        alert.breach.as_ref().filter(|breach| *breach.metric == *self.series.metric)
    }
}
