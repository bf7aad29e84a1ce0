//! HTML that several sections use.

use maud::{Markup, html};

use super::scale::Scale;
use crate::backtest::findings::RuleLimit;
use domain::device::Unit;
use domain::severity::Severity;
use notify::amount;

/// Rows of a table before the folded ones.
const SHOWN: usize = 20;
/// Most folded rows of a table.
const MAX_FOLDED: usize = 280;

/// A name from a sensor. `bdi` isolates its reading direction.
pub(crate) fn name(raw: &str) -> Markup {
    html! { bdi { (raw) } }
}

/// A severity in its colour.
pub(super) fn badge(severity: Severity) -> Markup {
    html! { span.key.(severity) { (severity) } }
}

/// The limits beside a chart of the values on `scale`.
pub(super) fn legend(limits: &[RuleLimit], unit: Unit, scale: &Scale) -> Markup {
    html! {
        p.note { @for RuleLimit { severity, limit, .. } in limits {
            (badge(*severity)) " " (amount(*limit, unit)) @if !scale.contains(*limit) { " (beyond this chart)" } " "
        } }
    }
}

/// A note about pieces that are left out, if any.
pub(super) fn left_out(many: usize) -> Markup {
    html! { @if many > 0 { p.note { (many) " more are left out, to keep this page small." } } }
}

/// A table.
pub(crate) struct Table<const N: usize> {
    /// Titles of columns. The first column is the row's heading.
    pub(crate) columns: [&'static str; N],
    /// The number of text columns. The others have numbers.
    pub(crate) texts: usize,
}

impl<const N: usize> Table<N> {
    pub(super) fn row(&self, cells: [Markup; N]) -> Markup {
        html! { tr { @for (index, cell) in cells.iter().enumerate() {
            @if index == 0 { th scope="row" { (cell) } } @else { td.n[index >= self.texts] { (cell) } }
        } } }
    }

    pub(super) fn of(&self, rows: impl IntoIterator<Item = Markup>) -> Markup {
        html! { div.scroll { table {
            thead { tr { @for (index, title) in self.columns.iter().enumerate() {
                th.n[index >= self.texts] scope="col" { (title) }
            } } }
            tbody { @for row in rows { (row) } }
        } } }
    }

    /// The first rows, and the others folded.
    pub(crate) fn folded(&self, rows: impl ExactSizeIterator<Item = [Markup; N]>) -> Markup {
        let others = rows.len().saturating_sub(SHOWN);
        let mut rows = rows.map(|cells| self.row(cells));
        html! {
            (self.of(rows.by_ref().take(SHOWN)))
            @if others > 0 {
                details {
                    summary { (others) " more" }
                    (self.of(rows.take(MAX_FOLDED)))
                    (left_out(others.saturating_sub(MAX_FOLDED)))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_rows_are_folded_and_the_rest_is_counted() {
        let table = Table { columns: ["Rule"], texts: 1 };
        let folded = |rows: usize| table.folded((0..rows).map(|index| [html! { "r" (index) }])).into_string();
        assert!(!folded(20).contains("details"));
        let all = folded(21);
        assert!(all.contains("<summary>1 more</summary>") && all.contains(">r20<") && !all.contains("left out"));
        let some = folded(302);
        assert!(some.contains("<summary>282 more</summary>") && some.contains(">r299<") && !some.contains(">r300<"));
        assert!(some.contains("2 more are left out"));
    }
}
