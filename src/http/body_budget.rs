//! The body budget: how many bytes of bodies are held at a time, for a host that takes several requests at once.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::ingest::decode::{Encoding, MAX_DECODED};

/// Bodies up to this many decoded bytes need no permit: an ordinary push does not wait behind large ones.
const FREE: usize = 64 * 1024;

/// Bytes of decoded bodies that may be received and evaluated at a time. Permits are given in the order of requests.
#[derive(Debug, Default)]
pub(super) struct BodyBudget(Option<Budget>);

#[derive(Debug)]
struct Budget {
    bytes: Semaphore,
    within: Duration,
}

impl BodyBudget {
    /// A budget of `bytes`, at least those of the largest push. A body waits for its permit for at most `within`.
    pub(super) fn new(bytes: usize, within: Duration) -> Self {
        Self(Some(Budget { bytes: Semaphore::new(bytes.max(MAX_DECODED)), within }))
    }

    /// Waits for a permit for a body of `length` encoded bytes. It is given back when it is dropped.
    ///
    /// # Errors
    /// [`Problem::Busy`] if there is no permit in time. A retry can help.
    pub(super) async fn permit(
        &self,
        length: usize,
        encoding: Encoding,
    ) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        let Some(Budget { bytes, within }) = &self.0 else { return Ok(None) };
        // Before the body is read: a body that has arrived is in memory.
        let most = encoding.most(length);
        if most <= FREE {
            return Ok(None);
        }
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        match tokio::time::timeout(*within, bytes.acquire_many(most)).await {
            // Fails only if the semaphore is closed, which it never is.
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(Problem::Busy { with: "bodies" }),
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
    async fn body_beyond_the_budget_waits_for_a_permit_and_not_for_ever() {
        let budget = budget(MAX_DECODED + 2 * FREE);
        let bomb = budget.permit(1_000_000, Encoding::Gzip).await.unwrap();
        assert!(budget.permit(2 * FREE, Encoding::Identity).await.is_ok(), "there is room beside it");
        assert_eq!(
            budget.permit(2 * FREE + 1, Encoding::Identity).await.unwrap_err(),
            Problem::Busy { with: "bodies" }
        );
        drop(bomb);
        assert!(budget.permit(2 * FREE + 1, Encoding::Identity).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn ordinary_push_never_waits() {
        let budget = budget(MAX_DECODED);
        let _bomb = budget.permit(1_000_000, Encoding::Gzip).await.unwrap();
        assert!(budget.permit(FREE, Encoding::Identity).await.is_ok());
        assert!(budget.permit(FREE + 1, Encoding::Identity).await.is_err());
    }

    #[tokio::test]
    async fn one_push_always_fits_and_without_a_budget_all_do() {
        assert!(budget(1).permit(10_000_000, Encoding::Gzip).await.is_ok());
        let unbounded = BodyBudget::default();
        let permits =
            [unbounded.permit(usize::MAX, Encoding::Identity).await, unbounded.permit(1, Encoding::Gzip).await];
        assert!(permits.iter().all(Result::is_ok));
    }
}
