//! Tables for a terminal.

use std::fmt::Write as _;

/// Aligns the cells of each column. Cells that begin with a digit are aligned right, except dates.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let is_number = cell.starts_with(|c: char| c.is_ascii_digit()) && !cell.contains('-');
            let _ = if is_number { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_aligned_left_and_numbers_right() {
        let rows = [vec!["rule".to_owned(), "new".to_owned()], vec!["a".to_owned(), "12".to_owned()]];
        assert_eq!(columns(&rows), "rule  new\na      12\n");
    }
}
