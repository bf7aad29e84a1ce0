//! Verifies slow password hashes: a few at a time, on threads that may block.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::auth::HashCheck;

/// Checks at a time. Each can take 128 MiB and a processor.
pub(super) const PERMITS: usize = 2;
/// How long a push waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY: Problem = Problem::Busy { resource: "password hashes" };

/// The first check that succeeds, with one of [`PERMITS`]; `None` if all fail.
///
/// # Errors
/// [`Problem::Busy`] if there is no permit in time. A retry can help.
pub(super) async fn verify_any(permits: &Arc<Semaphore>, checks: Vec<HashCheck>) -> Result<Option<HashCheck>, Problem> {
    let permit = tokio::time::timeout(PERMIT_TIMEOUT, Arc::clone(permits).acquire_owned()).await;
    let permit = permit.map_err(|_| BUSY)?.map_err(|_| BUSY)?;
    let verifying = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        checks.into_iter().find(HashCheck::verify)
    });
    verifying.await.map_err(|_| BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_push_waits_a_limited_time_for_a_permit() {
        let permits = Arc::new(Semaphore::new(PERMITS));
        let all = Arc::clone(&permits).acquire_many_owned(2).await.unwrap();
        assert_eq!(verify_any(&permits, Vec::new()).await.err(), Some(BUSY));
        drop(all);
        assert!(verify_any(&permits, Vec::new()).await.is_ok_and(|verified| verified.is_none()));
    }
}
