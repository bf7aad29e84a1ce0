//! Evaluates pending pushes: stored, but not evaluated, because the process ended in between or the state store failed.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::Ingest;
use super::ports::{Journal, PendingPush, StoredPush, UnavailableError, chain};
use crate::domain::alert::notice::Notice;
use crate::domain::archive::ObjectKey;
use crate::domain::state::LEASE;

/// Attempts to evaluate a pending push before it is set aside.
const MAX_ATTEMPTS: u32 = 3;
/// Time limit of one attempt. It exceeds [`super::EVALUATION_TIMEOUT`], because no client waits for the answer.
const PENDING_PUSH_TIMEOUT: Duration = Duration::from_secs(60);

impl Ingest {
    /// Evaluates pending pushes and returns how many succeeded. Takes those received before `started`, by an earlier process, and
    /// those received more than a lease ago, which no process can still be evaluating. A push that fails three times in this
    /// process is set aside. Only the first of a day (UTC) enqueues a notice; the log names every one.
    ///
    /// # Errors
    /// [`UnavailableError`] if the pending pushes cannot be listed, or the first one with which a push failed; the other pushes are
    /// still evaluated. The next call retries.
    pub async fn evaluate_pending(&self, started: Timestamp, now: Timestamp) -> Result<usize, UnavailableError> {
        let received = now.checked_sub(LEASE).unwrap_or(now).max(started);
        let Some(journal) = self.ports.journal.as_deref() else { return Ok(0) };
        let (mut finished, mut failure) = (0, None);
        let began = Instant::now();
        for push in journal.pending(received).await? {
            // The lease of a message counts from here, and the pushes before this one can take longer than a lease.
            let now = now.checked_add(began.elapsed()).unwrap_or(now);
            match self.evaluate_one(journal, &push, now).await {
                Ok(()) => {
                    self.failed().remove(&push.key);
                    finished += 1;
                }
                Err(error) => {
                    self.record_failure(journal, &push.key, &error, now).await;
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(finished), Err)
    }

    async fn evaluate_one(
        &self,
        journal: &dyn Journal,
        push: &PendingPush,
        now: Timestamp,
    ) -> Result<(), UnavailableError> {
        let PendingPush { key, received } = push;
        tracing::info!(%key, "evaluating pending push");
        let push = StoredPush { received: Some(*received), key: key.clone(), lines: journal.lines(key).await? };
        self.evaluate_stored(key, vec![push], now, PENDING_PUSH_TIMEOUT).await
    }

    /// Counts a failed attempt, and sets the push aside after the last one.
    async fn record_failure(&self, journal: &dyn Journal, key: &ObjectKey, error: &UnavailableError, now: Timestamp) {
        let attempts = *self.failed().entry(key.clone()).and_modify(|attempts| *attempts += 1).or_insert(1);
        let error = error.chain();
        tracing::error!(%key, attempts, error, "pending push not evaluated");
        if attempts < MAX_ATTEMPTS {
            return;
        }
        // Notice first: if it cannot be committed, the state store or the rules are the problem, and the push stays pending.
        let day = now.to_zoned_datetime(TimeZone::UTC).date();
        let notice = Notice::SetAside { key: key.to_string(), reason: error, day };
        let set_aside = async {
            let rules = self.ports.rules.current(now).await?;
            self.evaluator(&rules, now).announce(&notice).await?;
            journal.set_aside(key).await
        };
        match set_aside.await {
            Ok(()) => {
                tracing::error!(%key, "pending push set aside");
                self.failed().remove(key);
            }
            Err(error) => tracing::error!(%key, error = %chain(&error), "pending push not set aside"),
        }
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<ObjectKey, u32>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
