//! Sums start again when they reach their limit, at a time of day, and after a cleaning.

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use crate::time::LocalZone;

/// The last moment at or before `at` when the clock of `zone` showed `time`.
pub(super) fn last_time_of_day(at: Timestamp, time: civil::Time, zone: &LocalZone) -> Option<Timestamp> {
    let local = zone.on_the_wall(at);
    let time_zone: TimeZone = local.time_zone().clone();
    let moment = |date: civil::Date| time_zone.to_timestamp(date.to_datetime(time)).ok();
    let today = moment(local.date())?;
    if today <= at { Some(today) } else { moment(local.date().yesterday().ok()?) }
}
