//! The body budget: the memory for request bodies, for a host that handles several requests at once.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::ingest::decode::{Encoding, MAX_DECODED};

/// Decoded bytes up to which a body needs no permit: an ordinary push does not wait behind large ones.
const SMALL: usize = 64 * 1024;

/// The decoded bytes that may be in memory at a time, and how long a body waits for them. Unlimited by default.
#[derive(Debug, Default)]
pub(super) struct BodyBudget(Option<(Semaphore, Duration)>);

impl BodyBudget {
    /// A budget of `bytes`, but at least the size of the largest push.
    pub(super) fn new(bytes: usize, timeout: Duration) -> Self {
        Self(Some((Semaphore::new(bytes.max(MAX_DECODED)), timeout)))
    }

    /// Waits for a permit for a body of `length` encoded bytes, before the body is read. Permits are in the order of requests.
    ///
    /// # Errors
    /// [`Problem::Busy`] if there is no permit in time. A retry can help.
    pub(super) async fn permit(
        &self,
        length: usize,
        encoding: Encoding,
    ) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        let Some((bytes, timeout)) = &self.0 else { return Ok(None) };
        let decoded = encoding.most(length);
        if decoded <= SMALL {
            return Ok(None);
        }
        let decoded = u32::try_from(decoded).unwrap_or(u32::MAX);
        match tokio::time::timeout(*timeout, bytes.acquire_many(decoded)).await {
            // An error means that the semaphore is closed. It never is.
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(Problem::Busy { resource: "bodies" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(bytes: usize) -> BodyBudget {
        BodyBudget::new(bytes, Duration::from_secs(10))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_over_the_budget_waits_a_limited_time_for_a_permit() {
        let budget = budget(MAX_DECODED + 2 * SMALL);
        let bomb = budget.permit(1_000_000, Encoding::Gzip).await.unwrap();
        assert!(budget.permit(2 * SMALL, Encoding::Identity).await.is_ok(), "it fits beside the bomb");
        assert_eq!(
            budget.permit(2 * SMALL + 1, Encoding::Identity).await.unwrap_err(),
            Problem::Busy { resource: "bodies" }
        );
        drop(bomb);
        assert!(budget.permit(2 * SMALL + 1, Encoding::Identity).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_ordinary_push_never_waits() {
        let budget = budget(MAX_DECODED);
        let _bomb = budget.permit(1_000_000, Encoding::Gzip).await.unwrap();
        assert!(budget.permit(SMALL, Encoding::Identity).await.is_ok());
        assert!(budget.permit(SMALL + 1, Encoding::Identity).await.is_err());
    }

    #[tokio::test]
    async fn the_largest_push_fits_into_any_budget() {
        assert!(budget(1).permit(10_000_000, Encoding::Gzip).await.is_ok());
        let unbounded = BodyBudget::default();
        let permits =
            [unbounded.permit(usize::MAX, Encoding::Identity).await, unbounded.permit(1, Encoding::Gzip).await];
        assert!(permits.iter().all(Result::is_ok));
    }
}
