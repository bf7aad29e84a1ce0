//! The schedule's daily tick to the function that compacts.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::lake::{Compacted, Compaction, LakeStore, Limits, days};

/// What is left of the function's time when nothing more is begun: to write a file, read it back, and commit.
pub const FINISHING: Duration = Duration::from_secs(180);

/// What the tick says.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tick {
    /// Look at all days, and not only at those [in turn](crate::lake::Day::is_in_turn).
    all: bool,
}

/// Something did not work, as the log says. The next tick tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{faults} faults, each in the log")]
pub struct CompactionError {
    /// How many.
    pub faults: usize,
}

/// Compacts the days before yesterday that are in turn, newest first, until `ends`.
///
/// # Errors
/// [`CompactionError`] if anything did not work; the rest is done all the same.
pub fn compact(
    store: &dyn LakeStore,
    tick: Tick,
    expire_after_days: Option<u16>,
    now: Timestamp,
    ends: Instant,
) -> Result<Compacted, CompactionError> {
    let go_on = || Instant::now() + FINISHING < ends;
    let run = Compaction { store, now, expire_after_days, limits: Limits::default(), go_on: &go_on };
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    let mut days = days(store).map_err(|error| {
        tracing::error!(%error, "no day was compacted");
        CompactionError { faults: 1 }
    })?;
    days.retain(|day| day.0.tomorrow().is_ok_and(|next| next < today) && (tick.all || day.is_in_turn(today)));
    let done = run.days(days.into_iter().rev(), |_| ());
    for left in &done.left {
        tracing::warn!(left, "compaction incomplete");
    }
    for error in &done.faults {
        tracing::error!(error, "compaction failed");
    }
    tracing::info!(
        days_compacted = done.days_compacted,
        objects = done.objects,
        rows = done.rows,
        expired = done.expired,
        left = done.left.len(),
        cut_short = done.is_cut_short,
        "compacted"
    );
    match done.faults.len() {
        0 => Ok(done),
        faults => Err(CompactionError { faults }),
    }
}
