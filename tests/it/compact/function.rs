//! The compaction function: which hours a run compacts, its deadline, and damaged objects.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use history::lake::Compacted;
use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::hosts::compaction::{CompactionError, FINISHING, compact, time_left};

use super::{DAY, folder_with_pushes, lake};

/// Runs the compaction at 18:00 UTC of a day, for all days or only for those that are due, with `left` until the
/// deadline.
fn run(folder: &Path, day: &str, all: bool, left: Duration) -> Result<Compacted, CompactionError> {
    let store = FolderArchive::open(&folder.join("data")).unwrap();
    let event = serde_json::from_value(serde_json::json!({ "all": all })).unwrap();
    let now = format!("{day}T18:00:00Z").parse().unwrap();
    compact(&store, event, now, &time_left(Instant::now() + left))
}

const ENOUGH: Duration = FINISHING.saturating_mul(2);

#[tokio::test]
async fn an_hour_is_compacted_two_days_later_and_an_old_hour_once_in_28_days() {
    let folder = folder_with_pushes().await;
    let hours = |day, all| run(folder.path(), day, all, ENOUGH).unwrap().hours;
    assert_eq!((hours(DAY, true), hours("2024-05-02", true)), (0, 0));
    assert_eq!(hours("2026-05-06", false), 0, "older than forty days, and not scheduled for this day");
    assert_eq!((hours("2024-05-03", false), hours("2024-05-04", false)), (2, 0));
    fs::remove_dir_all(folder.path().join("data/lake")).unwrap();
    assert_eq!(hours("2026-05-06", true), 2);
}

#[tokio::test]
async fn no_hour_is_started_shortly_before_the_deadline() {
    let folder = folder_with_pushes().await;
    let done = run(folder.path(), "2024-05-03", false, FINISHING).unwrap();
    assert_eq!((done.is_cut_short, done.hours, lake(folder.path()).len()), (true, 0, 0));
}

#[tokio::test]
async fn a_damaged_object_fails_one_invocation_and_not_the_next() {
    let folder = folder_with_pushes().await;
    let damaged = folder.path().join(format!("data/raw/dt={DAY}/hh=09/{}.ndjson.zst", "0".repeat(32)));
    fs::write(damaged, b"no frame").unwrap();
    assert_eq!(run(folder.path(), "2024-05-03", false, ENOUGH), Err(CompactionError { failures: 1 }));
    assert_eq!(lake(folder.path()).len(), 4, "both hours are complete");
    assert_eq!(run(folder.path(), "2024-05-03", false, ENOUGH), Ok(Compacted::default()));
}
