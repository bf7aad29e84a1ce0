//! How far it is, for somebody who watches: on a terminal only, and apart from the results.

use indicatif::{ProgressBar, ProgressStyle};

/// The way through the hours of a history.
pub(super) fn hours(hours: usize) -> ProgressBar {
    styled(ProgressBar::new(hours as u64))
}

/// A bar with what is left, and a message behind it.
pub(super) fn styled(bar: ProgressBar) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The way through days.
pub(super) fn days(days: usize) -> ProgressBar {
    styled(ProgressBar::new(days as u64))
}
