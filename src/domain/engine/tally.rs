//! Occurrences: so many within a time, of one reason or of any.

use jiff::{SignedDuration, Timestamp};

use crate::domain::rules::Effective;
use crate::domain::state::Tally;

/// Counts an occurrence of `reason` at `at`. `None` where it changes nothing; else whether the limit is reached, upon
/// which counting starts again after `at`.
pub(super) fn count(tally: &mut Tally, reason: &str, at: Timestamp, effective: &Effective<'_>) -> Option<bool> {
    if tally.restarted.get(reason).is_some_and(|restarted| at <= *restarted) {
        return None;
    }
    let times = tally.times.entry(reason.to_owned()).or_default();
    let newest = times.last().copied().unwrap_or(at).max(at);
    if effective.within.is_some_and(|within| !is_within(at, newest, within)) {
        // Too long before the others to count with any of them.
        return None;
    }
    let position = times.partition_point(|time| *time <= at);
    times.insert(position, at);
    if let Some(within) = effective.within {
        times.retain(|time| is_within(*time, newest, within));
    }
    let counted = times.iter().filter(|time| **time <= at).count();
    if counted < effective.count {
        return Some(false);
    }
    times.retain(|time| *time > at);
    if times.is_empty() {
        tally.times.remove(reason);
    }
    tally.restarted.insert(reason.to_owned(), at);
    Some(true)
}

/// Whether `time` is in the window that ends with `end`: less than `within` before it.
fn is_within(time: Timestamp, end: Timestamp, within: SignedDuration) -> bool {
    end.duration_since(time) < within
}
