//! The schedule's daily tick to the function that compacts.

use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

use history::lake::{Compacted, Compaction, LakeStore, Limits};
use history::{Period, hours};

/// Age in days up to which each day is looked at every time: most late pushes come in this time.
const RECENT: i32 = 40;
/// Days in which each older day is looked at once. Listing a year of many objects takes longer than a function may.
const ROUND: i32 = 28;
/// What is left of the function's time when nothing more is begun: to write a file.
pub const FINISHING: Duration = Duration::from_secs(180);

/// What the tick says.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tick {
    /// Look at all days, and not only at each of the last forty and at one in 28 of those before.
    all: bool,
}

/// Something did not work, as the log says. The next tick tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{faults} faults, each in the log")]
pub struct CompactionError {
    /// How many.
    pub faults: usize,
}

/// Compacts the hours before yesterday of days that are in turn, newest first, until `ends`.
///
/// # Errors
/// [`CompactionError`] if anything did not work; the rest is done all the same.
pub fn compact(store: &dyn LakeStore, tick: Tick, now: Timestamp, ends: Instant) -> Result<Compacted, CompactionError> {
    let go_on = || Instant::now() + FINISHING < ends;
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    let yesterday = today.saturating_sub(1.day());
    let mut hours = hours(store, "raw/", &Period::default()).map_err(|error| {
        tracing::error!(%error, "no hour was compacted");
        CompactionError { faults: 1 }
    })?;
    hours.retain(|hour| hour.date() < yesterday && (tick.all || is_in_turn(hour.date(), today)));
    let compaction = Compaction { store, limits: Limits::default(), go_on: &go_on };
    let done = compaction.run(hours.iter().rev(), |_| ());
    for error in &done.faults {
        tracing::error!(error, "compaction failed");
    }
    tracing::info!(
        hours = done.hours,
        objects = done.objects,
        rows = done.rows,
        cut_short = done.is_cut_short,
        "compacted"
    );
    match done.faults.len() {
        0 => Ok(done),
        faults => Err(CompactionError { faults }),
    }
}

fn is_in_turn(day: Date, today: Date) -> bool {
    let Ok(age) = day.until(today).map(|span| span.get_days()) else { return true };
    age <= RECENT || age % ROUND == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recent_day_is_in_turn_and_each_older_one_every_four_weeks() {
        let turns = |day: &str| {
            let mut today: Date = "2026-11-01".parse().unwrap();
            let mut turns = 0;
            for _ in 0..28 {
                turns += i32::from(is_in_turn(day.parse().unwrap(), today));
                today = today.tomorrow().unwrap();
            }
            turns
        };
        assert_eq!((turns("2026-10-31"), turns("2026-11-30")), (28, 28));
        assert_eq!((turns("2026-01-01"), turns("2016-02-29")), (1, 1));
    }
}
