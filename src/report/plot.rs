//! A chart as facts, and its SVG.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::html::{text, visible};
use crate::domain::severity::Severity;

/// Height of letters. A chart has three units for two of the page's pixels, so that lines fall finer than a pixel.
const LETTERS: f64 = 24.8;
/// Height of a line of letters.
const ROW: i32 = 26;
/// Beside the chart: room for half of the last tick's words, or for those of lines that go across.
const MARGIN: i32 = 44;
const MARGIN_FOR_WORDS: i32 = 158;

/// What a colour stands for. Charts are drawn in colours that nobody sees: the stylesheet replaces each by one that
/// suits the scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Ink,
    Grid,
    Line,
    Band,
    Bar,
    Chosen,
    Low,
    Medium,
    High,
    Critical,
}

impl Colour {
    #[cfg(test)]
    pub(super) const ALL: [Self; 10] = [
        Self::Ink,
        Self::Grid,
        Self::Line,
        Self::Band,
        Self::Bar,
        Self::Chosen,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    pub(super) fn of(severity: Severity) -> Self {
        match severity {
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        }
    }

    pub(super) fn stand_in(self) -> RGBColor {
        let number = self as u8 + 1;
        RGBColor(number, number, number)
    }
}

/// Something drawn.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// Between a lower and an upper value: (x, lower, upper).
    Band(Vec<(f64, f64, f64)>),
    /// From the axis up: (left, right, value).
    Bars(Vec<(f64, f64, f64)>),
    /// Through points.
    Line(Vec<(f64, f64)>, Colour),
    /// From left to right at a value, with words behind its right end.
    Across(f64, Colour, String),
    /// From bottom to top at a value, with words above the chart.
    Upright(f64, Colour, String),
    /// A point: place, radius, and what it says when it is pointed at.
    Dot((f64, f64), u32, Colour, String),
}

/// A chart.
pub(super) struct Plot {
    /// What it shows, for those who do not see it.
    pub(super) label: String,
    /// Width and height, in units.
    pub(super) size: (u32, u32),
    /// The horizontal axis.
    pub(super) x: Axis,
    /// The vertical axis.
    pub(super) y: Axis,
    /// Whether axes are drawn.
    pub(super) has_axes: bool,
    /// What is drawn, the lowest first.
    pub(super) marks: Vec<Mark>,
}

/// Plotters' axis: the numbers are its own matter, the ticks and their words are ours.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(tick, _)| *tick).collect()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let found = self.ticks.iter().find(|(tick, _)| tick == value);
        found.map_or_else(String::new, |(_, said)| said.clone())
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<Axis, Axis>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

impl Plot {
    /// The chart as SVG for an HTML page; words instead where it cannot be drawn.
    pub(super) fn svg(&self) -> String {
        let mut svg = String::new();
        match self.draw(&mut svg) {
            Ok(()) => self.finished(&svg),
            Err(_) => format!("<p class=\"note\">{}: this chart cannot be drawn.</p>", text(&self.label)),
        }
    }

    fn draw(&self, svg: &mut String) -> Drawn {
        let root = SVGBackend::with_string(svg, self.size).into_drawing_area();
        let uprights = self.marks.iter().filter(|mark| matches!(mark, Mark::Upright(..))).count();
        let top = if self.has_axes { ROW + 8 + ROW * i32::try_from(uprights).unwrap_or_default() } else { 3 };
        let below = if self.x.title.is_empty() { ROW + 12 } else { 2 * ROW + 14 };
        let mut builder = ChartBuilder::on(&root);
        builder.margin(3).margin_top(top);
        if self.has_axes {
            let has_words = self.marks.iter().any(|mark| matches!(mark, Mark::Across(_, _, said) if !said.is_empty()));
            let right = if has_words { MARGIN_FOR_WORDS } else { MARGIN };
            builder.margin_right(right).x_label_area_size(below).y_label_area_size(84);
        }
        let mut chart = builder.build_cartesian_2d(self.x.clone(), self.y.clone())?;
        if self.has_axes {
            chart
                .configure_mesh()
                .disable_x_mesh()
                .bold_line_style(Colour::Grid.stand_in())
                .axis_style(Colour::Grid.stand_in())
                .label_style(letters(Colour::Ink, HPos::Left, VPos::Top))
                .light_line_style(TRANSPARENT)
                .draw()?;
            self.draw_titles(&root)?;
        }
        self.draw_marks(chart.plotting_area())?;
        root.present()
    }

    fn draw_titles(&self, root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Drawn {
        let (width, height) = (self.size.0.cast_signed(), self.size.1.cast_signed());
        root.draw(&Text::new(visible(&self.y.title), (6, 4), letters(Colour::Ink, HPos::Left, VPos::Top)))?;
        let x_style = letters(Colour::Ink, HPos::Right, VPos::Bottom);
        root.draw(&Text::new(visible(&self.x.title), (width - MARGIN, height - 6), x_style))
    }

    fn draw_marks(&self, area: &Area<'_>) -> Drawn {
        let (mut labels_above, mut upright) = (Vec::new(), 0);
        for mark in &self.marks {
            match mark {
                Mark::Band(points) => {
                    let upper = points.iter().map(|(x, _, upper)| (*x, *upper));
                    let lower = points.iter().rev().map(|(x, lower, _)| (*x, *lower));
                    let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
                    area.draw(&Polygon::new(outline, Colour::Band.stand_in()))?;
                }
                Mark::Bars(bars) => {
                    for (left, right, value) in bars {
                        let corners = [(*left, *value), (*right, self.y.from)];
                        let [start, end] = corners.map(|corner| area.map_coordinate(&corner).0);
                        if end <= start {
                            continue;
                        }
                        let mut bar = Rectangle::new(corners, Colour::Bar.stand_in().filled());
                        let gap = u32::from(end - start > 5);
                        bar.set_margin(0, 0, gap, gap);
                        area.draw(&bar)?;
                    }
                }
                Mark::Line(points, colour) => {
                    area.draw(&PathElement::new(points.clone(), colour.stand_in().stroke_width(2)))?;
                }
                Mark::Across(value, colour, said) => {
                    self.draw_across(area, *value, *colour, said, &mut labels_above)?
                }
                Mark::Upright(value, colour, said) => {
                    self.draw_upright(area, *value, *colour, said, upright)?;
                    upright += 1;
                }
                Mark::Dot((x, y), radius, colour, _) => {
                    let at = (self.x.clamped(*x), self.y.clamped(*y));
                    area.draw(&Circle::new(at, *radius, colour.stand_in().filled()))?;
                }
            }
        }
        Ok(())
    }

    /// Words stand in the margin, and keep clear of those at neighbouring lines, which are drawn from below.
    fn draw_across(&self, area: &Area<'_>, value: f64, colour: Colour, said: &str, taken: &mut Vec<i32>) -> Drawn {
        let ends = vec![(self.x.from, value), (self.x.to, value)];
        area.draw(&PathElement::new(ends, colour.stand_in().stroke_width(2)))?;
        if said.is_empty() {
            return Ok(());
        }
        let (_, line) = area.map_coordinate(&(self.x.to, value));
        let free = taken.iter().map(|row| row - ROW).min().map_or(line, |free| free.min(line));
        taken.push(free);
        let words = Text::new(visible(said), (8, free - line), letters(colour, HPos::Left, VPos::Center));
        area.draw(&(EmptyElement::at((self.x.to, value)) + words))
    }

    /// Words stand in rows above the chart, on the side of the line where there is room.
    fn draw_upright(&self, area: &Area<'_>, value: f64, colour: Colour, said: &str, row: i32) -> Drawn {
        let height = ROW * (row + 1);
        let part = |value: f64| (value - self.x.from) / (self.x.to - self.x.from);
        let has_neighbour = self.marks.iter().any(|mark| match mark {
            Mark::Upright(other, ..) => *other > value && part(*other) < part(value) + 0.3,
            _ => false,
        });
        let is_left = part(value) > 0.65 || has_neighbour && part(value) > 0.2;
        let (side, gap) = if is_left { (HPos::Right, -7) } else { (HPos::Left, 7) };
        let words = Text::new(visible(said), (gap, 8 - height), letters(colour, side, VPos::Top));
        let stem = PathElement::new(vec![(0, 8 - height), (0, 0)], colour.stand_in().stroke_width(2));
        area.draw(&(EmptyElement::at((value, self.y.to)) + stem + words))?;
        let ends = vec![(value, self.y.from), (value, self.y.to)];
        area.draw(&PathElement::new(ends, colour.stand_in().stroke_width(2)))
    }

    /// What plotters wrote, for a page: sized by the page, in the page's letters, with words for each dot, and without
    /// what is said by default.
    fn finished(&self, svg: &str) -> String {
        let letters = format!(" font-family=\"sans-serif\" font-size=\"{}\"", LETTERS / 1.24);
        let mut short = svg.replace(&letters, "");
        for (long, kept) in [
            ("\n", ""),
            (" opacity=\"1\"", ""),
            (" stroke-width=\"1\"", ""),
            (" stroke=\"none\"", ""),
            (" \"/>", "\"/>"),
        ] {
            short = short.replace(long, kept);
        }
        let body = short.split_once('>').map_or("", |(_, body)| body);
        let (width, height) = self.size;
        let label = text(&self.label);
        let head = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">");
        head + &self.with_words(body)
    }

    /// Dots are the only circles, in the order of their marks.
    fn with_words(&self, body: &str) -> String {
        let mut words = self.marks.iter().filter_map(|mark| match mark {
            Mark::Dot(.., said) => Some(said),
            _ => None,
        });
        let mut pieces = body.split("<circle");
        let mut told = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            told.push_str("<circle");
            match (words.next().filter(|said| !said.is_empty()), piece.split_once("/>")) {
                (Some(said), Some((dot, rest))) => {
                    told.push_str(&format!("{dot}><title>{}</title></circle>{rest}", text(said)));
                }
                _ => told.push_str(piece),
            }
        }
        told
    }
}

fn letters(colour: Colour, across: HPos, up: VPos) -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().color(&colour.stand_in()).pos(Pos::new(across, up))
}
