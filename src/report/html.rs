//! Pieces of HTML: escaped text, tables that fold, badges. What is written here is well-formed XML as well.

use std::fmt::Write as _;

use crate::domain::severity::Severity;
use crate::domain::shown::{self, is_hidden};

/// `raw` as text or as an attribute's value. Control characters and marks that turn the reading direction of what
/// follows become blanks: names come from sensors, and none may change the page around it.
pub(super) fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for character in raw.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            hidden if is_hidden(hidden) => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `raw` with a blank for each character that [`text`] blanks, and nothing escaped: for who escapes by himself.
pub(super) fn visible(raw: &str) -> String {
    shown::line(raw)
}

/// A name from outside, kept from mixing its reading direction with that of its neighbours.
pub(super) fn name(raw: &str) -> String {
    format!("<bdi>{}</bdi>", text(raw))
}

/// A severity in its colour.
pub(super) fn badge(severity: Severity) -> String {
    format!("<span class=\"sev {severity}\">{severity}</span>")
}

/// A bar whose length is `part` (0 to 1) of the cell, before the number that it shows.
pub(super) fn bar(part: f64, shown: &str) -> String {
    let width = (part.clamp(0.0, 1.0) * 100.0).round();
    format!("<span class=\"bar\"><i style=\"width:{width}%\"></i></span><b>{shown}</b>")
}

/// How a column stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Words, from the left.
    Words(&'static str),
    /// Numbers, at the right.
    Numbers(&'static str),
    /// A bar and its number.
    Bars(&'static str),
    /// A small chart.
    Charts(&'static str),
}

impl Column {
    fn title_and_class(self) -> (&'static str, &'static str) {
        match self {
            Self::Words(title) => (title, ""),
            Self::Numbers(title) => (title, " class=\"n\""),
            Self::Bars(title) => (title, " class=\"bars\""),
            Self::Charts(title) => (title, " class=\"charts\""),
        }
    }
}

/// A table. Cells are HTML.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The whole table.
    pub(super) fn whole(&self) -> String {
        self.part(&self.rows)
    }

    /// The first `shown` rows, and behind a fold up to `most` in all; it says how many are left out.
    pub(super) fn folded(&self, shown: usize, most: usize) -> String {
        if self.rows.len() <= shown {
            return self.whole();
        }
        let (first, rest) = self.rows.split_at(shown);
        let listed = &rest[..rest.len().min(most.saturating_sub(shown))];
        let left_out = match rest.len() - listed.len() {
            0 => String::new(),
            many => format!("<p class=\"note\">{many} more are left out, to keep this page small.</p>"),
        };
        let summary = format!("<summary>{} more</summary>", rest.len());
        format!("{}<details>{summary}{}{left_out}</details>", self.part(first), self.part(listed))
    }

    /// The opening of a table with this head, for rows that are written one by one.
    pub(super) fn head(&self) -> String {
        let mut head = String::from("<div class=\"scroll\"><table><thead><tr>");
        for column in &self.columns {
            let (title, class) = column.title_and_class();
            let _ = write!(head, "<th scope=\"col\"{class}>{}</th>", text(title));
        }
        head + "</tr></thead><tbody>"
    }

    /// One row of it.
    pub(super) fn line(&self, cells: &[String]) -> String {
        let mut line = String::from("<tr>");
        for (column, cell) in self.columns.iter().zip(cells) {
            let (_, class) = column.title_and_class();
            let _ = write!(line, "<td{class}>{cell}</td>");
        }
        line + "</tr>"
    }

    fn part(&self, rows: &[Vec<String>]) -> String {
        let lines: String = rows.iter().map(|row| self.line(row)).collect();
        self.head() + &lines + "</tbody></table></div>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_markup_is_escaped_and_what_could_turn_the_text_is_gone() {
        assert_eq!(text("<b a=\"1\" b='2'>&"), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
        assert_eq!(text("a\u{0}b\u{1b}[1m\u{202e}c\u{2066}d\u{200f}"), "a b [1m c d ");
        assert_eq!(text("厕所 é \u{1f6bb} עברית"), "厕所 é \u{1f6bb} עברית");
    }

    #[test]
    fn rows_beyond_the_shown_ones_are_folded_and_those_beyond_the_most_are_counted() {
        let mut table = Table::new([Column::Words("Rule")]);
        for index in 0..5 {
            table.row([format!("r{index}")]);
        }
        assert!(!table.folded(5, 9).contains("details"));
        let all = table.folded(4, 9);
        assert!(all.contains("<summary>1 more</summary>") && all.contains("r4") && !all.contains("left out"));
        let some = table.folded(2, 4);
        assert!(some.contains("<summary>3 more</summary>") && some.contains("r3") && !some.contains("r4"));
        assert!(some.contains("1 more are left out"));
    }
}
