//! The daily compaction, of the function and of `serve`.

use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

use history::lake::{Compacted, Compaction, LakeStore, Limits};
use history::{Period, hours};

/// Days up to this age are compacted in every run: most late pushes arrive in this time.
const RECENT_DAYS: i32 = 40;
/// Older days are compacted once in this many days. Listing a year of many objects takes longer than a function may run.
const OLDER_EVERY_DAYS: i32 = 28;

/// Time before the function's timeout in which no further objects are read: enough to write a file.
pub const FINISHING: Duration = Duration::from_secs(180);

/// Whether a run of the function may begin another hour or read further objects: a check to call during the run.
pub fn time_left(timeout: Instant) -> impl Fn() -> bool + Sync {
    move || Instant::now() + FINISHING < timeout
}

/// The event of a compaction run.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompactionEvent {
    /// Compact all days: not only the last 40, and one in 28 of the older ones.
    all: bool,
}

/// Some hours were not compacted; the log has the errors. The next run tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failures} compactions failed, see the log")]
pub struct CompactionError {
    /// The number of failures.
    pub failures: usize,
}

/// Compacts the hours of due days before yesterday, the newest first, until `go_on` returns false.
///
/// # Errors
/// [`CompactionError`] if any hour failed. The others are compacted. The next run retries.
pub fn compact(
    store: &dyn LakeStore,
    event: CompactionEvent,
    now: Timestamp,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Compacted, CompactionError> {
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    let yesterday = today.saturating_sub(1.day());
    let mut hours = hours(store, "raw/", &Period::default()).map_err(|error| {
        tracing::error!(%error, "hours not listed");
        CompactionError { failures: 1 }
    })?;
    hours.retain(|hour| hour.date() < yesterday && (event.all || is_due(hour.date(), today)));
    let compaction = Compaction { store, limits: Limits::default(), go_on };
    let done = compaction.run(hours.iter().rev(), |_| ());
    for error in &done.faults {
        tracing::error!(error, "hour not compacted");
    }
    tracing::info!(
        hours = done.hours,
        objects = done.objects,
        rows = done.rows,
        cut_short = done.is_cut_short,
        "compaction finished"
    );
    match done.faults.len() {
        0 => Ok(done),
        failures => Err(CompactionError { failures }),
    }
}

fn is_due(day: Date, today: Date) -> bool {
    let Ok(age) = day.until(today).map(|span| span.get_days()) else { return true };
    age <= RECENT_DAYS || age % OLDER_EVERY_DAYS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_days_are_due_daily_and_older_ones_every_four_weeks() {
        let runs = |day: &str| {
            let mut today: Date = "2026-11-01".parse().unwrap();
            let mut runs = 0;
            for _ in 0..28 {
                runs += i32::from(is_due(day.parse().unwrap(), today));
                today = today.tomorrow().unwrap();
            }
            runs
        };
        assert_eq!((runs("2026-10-31"), runs("2026-11-30")), (28, 28));
        assert_eq!((runs("2026-01-01"), runs("2016-02-29")), (1, 1));
    }
}
