//! The schedule's daily tick to the function that compacts.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::history::Unreadable;
use crate::lake::{Compaction, Day, Done, Expiry, LakeStore, Limits, days};

/// What is left of the function's time when nothing more is begun: to write a file, read it back, and commit.
pub const FINISHING: Duration = Duration::from_secs(180);

/// What the tick says.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tick {
    /// Look at all days, and not only at those [in turn](Day::is_in_turn).
    all: bool,
}

/// What was done, for the log and for who invoked by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Days that were looked at.
    pub days: u64,
    /// Days of which there is a new generation.
    pub days_compacted: u64,
    /// Objects that have become rows.
    pub objects: u64,
    /// Rows of the new generations.
    pub rows: u64,
    /// Objects that are gone.
    pub expired: u64,
    /// Objects that cannot be read, and stay.
    pub skipped: u64,
    /// Whether the time was up before all was done; the next tick goes on.
    pub is_cut_short: bool,
}

/// Something did not work, as the log says. The next tick tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{faults} faults, each in the log")]
pub struct Faults {
    /// How many.
    pub faults: u64,
}

/// Compacts the days before yesterday that are in turn, newest first, until `ends`.
///
/// # Errors
/// [`Faults`] where anything did not work; the rest is done all the same.
pub fn compact(
    store: &dyn LakeStore,
    tick: Tick,
    expiry: Expiry,
    now: Timestamp,
    ends: Instant,
) -> Result<Compacted, Faults> {
    let go_on = || Instant::now() + FINISHING < ends;
    let run = Compaction { store, now, expiry, limits: Limits::default(), go_on: &go_on };
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    let mut faults = 0;
    let mut days = days(store).map_err(|fault: Unreadable| {
        tracing::error!(%fault, "no day was compacted");
        Faults { faults: 1 }
    })?;
    days.retain(|day| day.0.tomorrow().is_ok_and(|next| next < today) && (tick.all || day.is_in_turn(today)));
    let mut compacted = Compacted::default();
    for day in days.into_iter().rev() {
        if !go_on() {
            compacted.is_cut_short = true;
            break;
        }
        match run.day(day) {
            Ok(done) => {
                faults += done.kept_back.len() as u64;
                compacted.add(day, &done);
            }
            Err(fault) => {
                faults += 1;
                tracing::error!(%day, %fault, "the day stays as it was");
            }
        }
    }
    compacted.log();
    if faults == 0 { Ok(compacted) } else { Err(Faults { faults }) }
}

impl Compacted {
    fn add(&mut self, day: Day, done: &Done) {
        self.days += 1;
        self.days_compacted += u64::from(done.committed.is_some());
        self.objects += done.objects;
        self.rows += done.committed.map_or(0, |committed| committed.rows);
        self.expired += done.expired;
        self.skipped += done.skipped.len() as u64;
        self.is_cut_short |= done.is_cut_short;
        for skipped in &done.skipped {
            tracing::warn!(key = skipped.key, why = skipped.why, "an object cannot be read, and stays as it is");
        }
        for why in &done.kept_back {
            tracing::error!(%day, why, "an object does not expire");
        }
    }

    fn log(&self) {
        tracing::info!(
            days = self.days,
            days_compacted = self.days_compacted,
            objects = self.objects,
            rows = self.rows,
            expired = self.expired,
            skipped = self.skipped,
            cut_short = self.is_cut_short,
            "compacted"
        );
    }
}
