//! How far it is, for somebody who watches: on a terminal only, and apart from the results.

use indicatif::{ProgressBar, ProgressStyle};

/// The way through so many hours or days of a history.
pub(super) fn bar(length: usize) -> ProgressBar {
    styled(ProgressBar::new(length as u64))
}

/// A bar with what is left, and a message behind it.
pub(super) fn styled(bar: ProgressBar) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
