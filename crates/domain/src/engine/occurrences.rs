//! Counts occurrences within a window, by reason.

use jiff::{SignedDuration, Timestamp};

use crate::rules::Settings;
use crate::state::OccurrenceCounter;

/// Most occurrences that are kept of one reason. No rule counts further than 1,000.
const MOST: usize = 1024;

/// The result of counting an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// It is at or before the last restart, and changes nothing.
    Ignored,
    /// The limit is not reached.
    Below,
    /// The limit is reached, and counting restarts after the last occurrence that counted.
    Reached {
        /// The time of the first occurrence that counted.
        first: Timestamp,
    },
}

/// Counts an occurrence of `reason` at `at`. Readings can be late by `max_age`.
pub(super) fn count(
    counter: &mut OccurrenceCounter,
    reason: &str,
    at: Timestamp,
    settings: &Settings,
    max_age: SignedDuration,
) -> Counted {
    if counter.restarted.get(reason).is_some_and(|restarted| at <= *restarted) {
        return Counted::Ignored;
    }
    let times = counter.times.entry(reason.to_owned()).or_default();
    let position = times.partition_point(|time| *time <= at);
    times.insert(position, at);
    let Some((first, last)) = first_full(times, position, settings) else {
        remove_expired(times, settings, max_age);
        return Counted::Below;
    };
    times.retain(|time| *time > last);
    if times.is_empty() {
        counter.times.remove(reason);
    }
    counter.restarted.insert(reason.to_owned(), last);
    Counted::Reached { first }
}

/// The first and the last occurrence of the first full window that contains the occurrence at `position`. A late occurrence can
/// complete a window of newer ones.
fn first_full(times: &[Timestamp], position: usize, settings: &Settings) -> Option<(Timestamp, Timestamp)> {
    (position..times.len()).find_map(|index| {
        let last = times[index];
        let is_outside = |time: &Timestamp| settings.within.is_some_and(|within| last.duration_since(*time) >= within);
        let first = times.partition_point(is_outside);
        (first <= position && index + 1 - first >= settings.count).then_some((times[first], last))
    })
}

/// Removes occurrences that are in no window with a further reading, however late it is.
fn remove_expired(times: &mut Vec<Timestamp>, settings: &Settings, max_age: SignedDuration) {
    if let (Some(within), Some(newest)) = (settings.within, times.last().copied()) {
        let longest = within.saturating_add(max_age);
        times.retain(|time| newest.duration_since(*time) < longest);
    }
    times.drain(..times.len().saturating_sub(MOST));
}
