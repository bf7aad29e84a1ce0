//! The daily compaction of `serve`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::hosts::compaction::{CompactionEvent, compact};

/// When `serve` compacts its data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CompactAt {
    /// Once a day, in UTC.
    Daily(Time),
    /// Never.
    Off,
}

/// Parses `--compact`.
pub(super) fn compact_at(text: &str) -> Result<CompactAt, &'static str> {
    match text {
        "off" => Ok(CompactAt::Off),
        _ => text.parse().map(CompactAt::Daily).map_err(|_| "name a time of the day in UTC, such as 18:00, or off"),
    }
}

/// Compacts the data folder at a time of each day, until it is cancelled. A run in progress then stops within a few objects.
pub(super) async fn compact_daily(data: PathBuf, at: Time) {
    let is_serving = Arc::new(());
    loop {
        tokio::time::sleep(time_until(at, Timestamp::now())).await;
        let (data, is_serving) = (data.clone(), Arc::downgrade(&is_serving));
        // Not awaited after a cancellation, so its progress depends on `is_serving`.
        let run = tokio::task::spawn_blocking(move || match FolderArchive::open(&data) {
            Ok(store) => {
                let go_on = || is_serving.strong_count() > 0;
                // The log has its failures. The next day continues.
                let _ = compact(&store, CompactionEvent::default(), Timestamp::now(), &go_on);
            }
            Err(error) => tracing::error!(%error, "compaction not started"),
        });
        if let Err(error) = run.await {
            tracing::error!(%error, "compaction not finished");
        }
    }
}

/// The time from `now` until it is `at` in UTC: more than zero, at most a day.
fn time_until(at: Time, now: Timestamp) -> Duration {
    let wait = at.duration_since(now.to_zoned_datetime(TimeZone::UTC).time());
    let wait = if wait.is_positive() { wait } else { wait + SignedDuration::from_hours(24) };
    wait.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_compaction_is_later_today_or_tomorrow() {
        let wait = |at: &str| time_until(at.parse().unwrap(), "2026-11-23T18:00:00Z".parse().unwrap());
        assert_eq!(wait("18:00:01"), Duration::from_secs(1));
        assert_eq!(wait("18:00"), Duration::from_hours(24), "not twice in a row");
        assert_eq!(wait("02:00"), Duration::from_hours(8));
    }

    #[test]
    fn a_compaction_is_at_a_time_or_off() {
        assert_eq!(compact_at("18:00"), Ok(CompactAt::Daily(Time::constant(18, 0, 0, 0))));
        assert_eq!(compact_at("off"), Ok(CompactAt::Off));
        for wrong in ["", "on", "25:00", "yes"] {
            assert!(compact_at(wrong).unwrap_err().contains("18:00"), "{wrong}");
        }
    }
}
