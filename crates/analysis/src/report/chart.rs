//! Charts as SVG, drawn by plotters.

use std::io;
use std::ops::Range;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, PreEscaped, html};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::backtest::findings::RuleLimit;
use domain::device::Unit;
use domain::severity::Severity;
use domain::time::LocalZone;
use notify::amount;

// Each colour has a contrast of at least 3 to 1 on white and on the dark panel of the style sheet.
/// The colour of values.
pub(super) const VALUES: RGBColor = RGBColor(0x2f, 0x8f, 0xb3);
/// The colour of axes.
pub(super) const AXES: RGBColor = RGBColor(0x77, 0x82, 0x8e);

pub(super) fn colour(severity: Severity) -> RGBColor {
    match severity {
        Severity::Low => RGBColor(0x7d, 0x8e, 0xa0),
        Severity::Medium => RGBColor(0xb9, 0x7f, 0x0c),
        Severity::High => RGBColor(0xdd, 0x64, 0x20),
        Severity::Critical => RGBColor(0xd6, 0x38, 0x64),
    }
}

/// A limit is on the axis if the axis is then at most this many times as long as the values.
const STRETCH: f64 = 3.0;
/// The largest value that is drawn: plotters computes differences of values.
const LARGEST: f64 = 1e15;

/// The size of a chart as wide as the page, in units of its SVG.
pub(super) const WIDE: (u32, u32) = (1440, 360);
/// The size of a chart half as wide as the page.
pub(super) const HALF: (u32, u32) = (690, 360);
/// The size of a chart in a row of a table, without axes.
pub(super) const ROW: (u32, u32) = (300, 54);

/// A drawn element.
pub(super) enum Mark {
    /// The area between two values: x, lower, upper.
    Band(Vec<(f64, f64, f64)>),
    /// A bar: from x, to x, height.
    Bar(f64, f64, f64),
    Line([(f64, f64); 2], RGBColor),
    Dot((f64, f64), RGBColor),
}

/// An axis.
pub(super) struct Axis {
    pub(super) range: Range<f64>,
    title: String,
    /// The text at a tick.
    tick: Box<dyn Fn(&f64) -> String>,
}

impl Axis {
    /// An axis of numbers. Its range is finite: on an infinite one, plotters would search for ticks forever.
    pub(super) fn of_numbers(shown: Range<f64>, title: impl Into<String>) -> Self {
        let tick = Box::new(|value: &f64| amount(*value, Unit::One));
        Self { range: range([shown.start, shown.end]), title: title.into(), tick }
    }
}

/// A chart.
pub(super) struct Chart {
    /// Its description for screen readers.
    pub(super) label: String,
    pub(super) size: (u32, u32),
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Elements from back to front.
    pub(super) marks: Vec<Mark>,
}

type DrawResult = Result<(), DrawingAreaErrorKind<io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Chart {
    pub(super) fn svg(&self) -> Markup {
        let (width, height) = self.size;
        let mut svg = String::new();
        if self.draw(&mut svg).is_err() {
            return html! { p.note { (self.label) ": this chart cannot be drawn." } };
        }
        // Our own opening tag: without a size, which the page sets, and with a description.
        let drawn = svg.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>")).map_or("", |(body, _)| body);
        html! { svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(self.label) { (PreEscaped(drawn)) } }
    }

    fn draw(&self, svg: &mut String) -> DrawResult {
        let root = SVGBackend::with_string(svg, self.size).into_drawing_area();
        let mut builder = ChartBuilder::on(&root);
        if self.size != ROW {
            let below = if self.x.title.is_empty() { 36 } else { 70 };
            builder.margin(16).margin_right(40).x_label_area_size(below).y_label_area_size(110);
        }
        let mut chart = builder.build_cartesian_2d(self.x.range.clone(), self.y.range.clone())?;
        if self.size != ROW {
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(AXES.mix(0.3))
                .axis_style(AXES)
                .label_style(("sans-serif", 25))
                .x_labels(self.size.0 as usize / 120)
                .y_labels(5)
                .x_label_formatter(&*self.x.tick)
                .y_label_formatter(&*self.y.tick)
                .x_desc(&*self.x.title)
                .y_desc(&*self.y.title)
                .draw()?;
        }
        for mark in &self.marks {
            self.draw_mark(chart.plotting_area(), mark)?;
        }
        root.present()
    }

    /// Draws `mark`. Points beyond the chart are drawn at its edge.
    fn draw_mark(&self, area: &Area<'_>, mark: &Mark) -> DrawResult {
        let (x_range, y_range) = (&self.x.range, &self.y.range);
        let point = |x: f64, y: f64| (x.clamp(x_range.start, x_range.end), y.clamp(y_range.start, y_range.end));
        match mark {
            Mark::Band(points) => {
                let upper = points.iter().map(|(x, _, upper)| point(*x, *upper));
                let lower = points.iter().rev().map(|(x, lower, _)| point(*x, *lower));
                area.draw(&Polygon::new(upper.chain(lower).collect::<Vec<_>>(), VALUES))
            }
            Mark::Bar(from, to, height) => {
                let corners = [point(*from, *height), point(*to, y_range.start)];
                area.draw(&Rectangle::new(corners, VALUES.filled()))
            }
            Mark::Line(points, colour) => {
                area.draw(&PathElement::new(points.map(|(x, y)| point(x, y)), colour.stroke_width(3)))
            }
            Mark::Dot((x, y), colour) => area.draw(&Circle::new(point(*x, *y), 8, colour.filled())),
        }
    }
}

/// Time in days since the midnight before a history begins.
pub(super) struct Days {
    first: Date,
    /// The midnight, in seconds since 1970.
    midnight: i64,
}

impl Days {
    /// Days in the time zone `zone`.
    pub(super) fn since(first: Timestamp, zone: &LocalZone) -> Self {
        let wall = zone.local_time(first);
        let midnight = wall.start_of_day().map_or(first, |midnight| midnight.timestamp());
        Self { first: wall.date(), midnight: midnight.as_second() }
    }

    /// The days until `second` since 1970.
    pub(super) fn at(&self, second: i64) -> f64 {
        (second - self.midnight) as f64 / 86_400.0
    }

    /// The number of a date: 0 for the first one.
    pub(super) fn number(&self, date: Date) -> i64 {
        i64::from((date - self.first).get_days())
    }

    /// An axis of these days.
    pub(super) fn axis(self, range: Range<f64>) -> Axis {
        Axis { tick: Box::new(move |days| self.tick(*days)), ..Axis::of_numbers(range, "") }
    }

    /// The text at a tick: "3 Mar", or "14:00" within a day.
    fn tick(&self, days: f64) -> String {
        let minutes = SignedDuration::from_mins((days * 1_440.0).round() as i64);
        let wall = self.first.at(0, 0, 0, 0).saturating_add(minutes);
        wall.strftime(if wall.hour() == 0 && wall.minute() == 0 { "%-d %b" } else { "%H:%M" }).to_string()
    }
}

/// The range of the finite values. It is never empty.
pub(super) fn range(values: impl IntoIterator<Item = f64>) -> Range<f64> {
    let finite = values.into_iter().filter(|value| value.is_finite()).map(|value| value.clamp(-LARGEST, LARGEST));
    let extremes = finite.map(|value| (value, value)).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let (from, to) = extremes.unwrap_or((0.0, 1.0));
    if to - from > from.abs().max(to.abs()) * 1e-9 {
        return from..to;
    }
    let around = if from == 0.0 { 1.0 } else { from.abs() * 0.1 };
    from - around..to + around
}

/// The range of `values` with a margin, and with near `limits`.
pub(super) fn with_limits(values: &Range<f64>, limits: &[RuleLimit]) -> Range<f64> {
    let longest = STRETCH * (values.end - values.start);
    let limits = limits.iter().map(|limit| limit.limit);
    let near = limits.filter(|limit| values.end.max(*limit) - values.start.min(*limit) <= longest);
    let Range { start, end } = range(near.chain([values.start, values.end]));
    let margin = (end - start) * 0.05;
    // An axis of positive values does not go below zero.
    let bottom = if start >= 0.0 { (start - margin).max(0.0) } else { start - margin };
    bottom..end + margin
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::breach::Comparison;

    fn drawn(range: Range<f64>) -> String {
        let x = Axis::of_numbers(range.clone(), "x");
        let marks = vec![Mark::Line([(x.range.start, x.range.end), (f64::MAX, f64::MIN)], AXES)];
        let chart = Chart { label: "a \"chart\"".to_owned(), size: HALF, x, y: Axis::of_numbers(range, "y"), marks };
        chart.svg().into_string()
    }

    #[test]
    fn a_chart_of_any_values_is_drawn_within_its_frame() {
        let odd = [
            [5.0, 5.0],
            [0.0, 0.0],
            [-1e308, 1e308],
            [f64::NAN, 3.0],
            [f64::NAN, f64::INFINITY],
            [0.0, f64::INFINITY],
            [0.1, 0.1 + 1e-8],
            [-1e15, -1e15 + 1e7],
            [1e15, 1e15 + 1.0],
            [1e-310, 2e-310],
        ];
        for values in odd {
            let range = range(values);
            assert!(range.start < range.end, "{values:?} {range:?}");
            let svg = drawn(values[0]..values[1]);
            assert!(svg.matches("<text").count() <= 2 * 12 && svg.contains("<polyline"), "{values:?}: {svg}");
            let points = svg.rsplit_once(" points=\"").unwrap().1.split(['"', ',', ' ']).take(4);
            assert!(points.map(|point| point.parse::<i32>().unwrap()).all(|point| (0..=690).contains(&point)), "{svg}");
        }
        assert!(
            drawn(0.0..1.0)
                .starts_with("<svg viewBox=\"0 0 690 360\" role=\"img\" aria-label=\"a &quot;chart&quot;\">")
        );
    }

    #[test]
    fn a_limit_near_the_values_is_on_the_axis_and_one_far_away_is_not() {
        let limit =
            |limit| RuleLimit { rule: "rule".into(), severity: Severity::Low, comparison: Comparison::Above, limit };
        assert_eq!(with_limits(&(0.0..100.0), &[limit(300.0)]), 0.0..315.0);
        assert_eq!(with_limits(&(0.0..100.0), &[limit(301.0)]), 0.0..105.0);
        assert_eq!(with_limits(&(-100.0..100.0), &[]), -110.0..110.0);
    }

    #[test]
    fn days_begin_on_the_local_clock() {
        let singapore = LocalZone { region: Some("Asia/Singapore".into()), offset_seconds: None };
        // 08:00 on 2 March in Singapore.
        let first: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let days = Days::since(first, &singapore);
        assert!((days.at(first.as_second()) - 8.0 / 24.0).abs() < 1e-9);
        assert_eq!(
            (days.tick(0.0), days.tick(30.0), days.tick(1.75)),
            ("2 Mar".into(), "1 Apr".into(), "18:00".into())
        );
        assert_eq!(days.number("2026-03-04".parse().unwrap()), 2);
        let utc = Days::since(first, &LocalZone::default());
        assert!(utc.at(first.as_second()).abs() < 1e-9);
    }
}
