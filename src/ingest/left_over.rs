//! What was stored and not evaluated: the process ended in between, or the state could not be written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Ingest;
use super::evaluator::SENT_WITHIN;
use super::ports::{Journal, PendingPush, UnavailableError, chain};
use crate::domain::alert::notice::Notice;
use crate::domain::archive::ObjectKey;

/// How often a process tries to evaluate an object. One that fails so often fails for its own sake.
const MOST_TRIES: u32 = 3;
/// Longest that one try takes. Nobody waits for an answer, so that it is longer than for a push.
const EVALUATED_WITHIN: Duration = Duration::from_secs(60);

/// How often this process has failed to evaluate objects.
#[derive(Debug, Default)]
pub(super) struct FailedTries(Mutex<HashMap<ObjectKey, u32>>);

impl FailedTries {
    /// Counts one more; how many that makes.
    fn add(&self, key: &ObjectKey) -> u32 {
        let mut tries = self.lock();
        let count = tries.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    fn forget(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ingest {
    /// Evaluates pending pushes: those that were stored before `started`, by an earlier process, and those that were stored so
    /// long ago that nobody is evaluating them any more. Returns their number. A push that fails three times is set
    /// aside, with one notice a day.
    ///
    /// # Errors
    /// The first [`UnavailableError`]; the other pushes are evaluated all the same. A retry can help.
    pub async fn finish_begun(&self, started: Timestamp, now: Timestamp) -> Result<usize, UnavailableError> {
        let received = now.checked_sub(SENT_WITHIN).unwrap_or(now).max(started);
        let Some(journal) = self.journal.as_deref() else { return Ok(0) };
        let (mut finished, mut failure) = (0, None);
        for push in journal.pending(received).await? {
            match self.finish_one(journal, &push, now).await {
                Ok(()) => {
                    self.failed.forget(&push.key);
                    finished += 1;
                }
                Err(error) => {
                    self.note_failed(journal, &push.key, &error, now).await;
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(finished), Err)
    }

    async fn finish_one(
        &self,
        journal: &dyn Journal,
        push: &PendingPush,
        now: Timestamp,
    ) -> Result<(), UnavailableError> {
        let PendingPush { key, received } = push;
        tracing::info!(%key, "evaluating pending push");
        let lines = journal.lines(key).await?;
        self.evaluate_stored(key, &lines, *received, now, EVALUATED_WITHIN).await
    }

    /// Counts a failed try, and sets the object aside after the last one.
    async fn note_failed(&self, journal: &dyn Journal, key: &ObjectKey, error: &UnavailableError, now: Timestamp) {
        let tries = self.failed.add(key);
        let error = error.chain();
        tracing::error!(%key, tries, error, "pending push not evaluated");
        if tries < MOST_TRIES {
            return;
        }
        // The notice first: if it cannot be committed, the state store is at fault and not the object.
        let day = now.to_zoned_datetime(TimeZone::UTC).date();
        let notice = Notice::SetAside { key: key.to_string(), reason: error, day };
        let set_aside = async {
            let rules = self.rules.current(now).await?;
            self.make_notice(&rules, &notice, now).await?;
            journal.set_aside(key).await
        };
        match set_aside.await {
            Ok(()) => {
                tracing::error!(%key, "pending push set aside");
                self.failed.forget(key);
            }
            Err(error) => tracing::error!(%key, error = %chain(&error), "pending push not set aside"),
        }
    }
}
