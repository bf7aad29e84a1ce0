//! Occurrences: so many within a time, of one reason or of any.

use jiff::{SignedDuration, Timestamp};

use crate::rules::Settings;
use crate::state::OccurrenceCounter;

/// Most occurrences that are remembered of one reason; no rule counts further than 1,000.
const MOST: usize = 1024;

/// Counts an occurrence of `reason` at `at`. `None` where it changes nothing; else whether the limit is reached, upon
/// which counting starts again after the last that counted. Readings may come late by `max_age`.
pub(super) fn count(
    occurrences: &mut OccurrenceCounter,
    reason: &str,
    at: Timestamp,
    effective: &Settings,
    max_age: SignedDuration,
) -> Option<bool> {
    if occurrences.restarted.get(reason).is_some_and(|restarted| at <= *restarted) {
        return None;
    }
    let times = occurrences.times.entry(reason.to_owned()).or_default();
    let position = times.partition_point(|time| *time <= at);
    times.insert(position, at);
    let Some(last) = first_full(times, position, effective) else {
        forget(times, effective, max_age);
        return Some(false);
    };
    times.retain(|time| *time > last);
    if times.is_empty() {
        occurrences.times.remove(reason);
    }
    occurrences.restarted.insert(reason.to_owned(), last);
    Some(true)
}

/// The end of the first window that holds the occurrence at `position`, and with it as many as the rule asks for. One
/// that comes late may be what was missing to others that are newer.
fn first_full(times: &[Timestamp], position: usize, effective: &Settings) -> Option<Timestamp> {
    (position..times.len()).find_map(|index| {
        let last = times[index];
        let is_outside = |time: &Timestamp| effective.within.is_some_and(|within| last.duration_since(*time) >= within);
        let first = times.partition_point(is_outside);
        (first <= position && index + 1 - first >= effective.count).then_some(last)
    })
}

/// Forgets what no reading can count with any more, however late it comes.
fn forget(times: &mut Vec<Timestamp>, effective: &Settings, max_age: SignedDuration) {
    if let (Some(within), Some(newest)) = (effective.within, times.last().copied()) {
        let longest = within.saturating_add(max_age);
        times.retain(|time| newest.duration_since(*time) < longest);
    }
    times.drain(..times.len().saturating_sub(MOST));
}
