//! Sums: values are added up until they reach a limit; then, or at a time of day, or after a cleaning, it starts again.

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use crate::domain::state::Sum;
use crate::domain::time::LocalZone;

/// Adds `value` at `at`. `None` where it comes too late to count; else the sum.
pub(super) fn add(sum: Option<Sum>, value: f64, at: Timestamp, restart: Option<Timestamp>) -> Option<Sum> {
    let mut sum = sum.unwrap_or(Sum { total: 0.0, since: None, restarted: None, newest: at });
    if restart > sum.restarted {
        sum = Sum { total: 0.0, since: None, restarted: restart, newest: at };
    }
    if sum.restarted.is_some_and(|restarted| at < restarted) {
        return None;
    }
    sum.total += value;
    sum.since = Some(sum.since.map_or(at, |since| since.min(at)));
    sum.newest = sum.newest.max(at);
    Some(sum)
}

/// The sum after it reached its limit at `at`, with `rest` to begin with.
pub(super) fn restarted(at: Timestamp, rest: f64) -> Sum {
    Sum { total: rest, since: (rest > 0.0).then_some(at), restarted: Some(at), newest: at }
}

/// The last moment at or before `at` when the clock of `zone` showed `time`.
pub(super) fn last_time_of_day(at: Timestamp, time: civil::Time, zone: &LocalZone) -> Option<Timestamp> {
    let local = zone.on_the_wall(at);
    let time_zone: TimeZone = local.time_zone().clone();
    let moment = |date: civil::Date| time_zone.to_timestamp(date.to_datetime(time)).ok();
    let today = moment(local.date())?;
    if today <= at { Some(today) } else { moment(local.date().yesterday().ok()?) }
}
