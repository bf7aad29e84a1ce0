//! How much is worked on at a time, in bytes of decoded bodies, for a host that takes several requests at once.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::ingest::decode::{Encoding, MAX_DECODED};

/// What needs no turn, in bytes: an ordinary push does not wait behind large ones.
const FREE: usize = 64 * 1024;
/// How long a push waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// What may be worked on at a time. Turns are given in the order in which they are asked for.
#[derive(Debug, Default)]
pub(super) struct Workload(Option<Semaphore>);

impl Workload {
    /// At most so many bytes; that of one push at least.
    pub(super) fn of(bytes: usize) -> Self {
        Self(Some(Semaphore::new(bytes.max(MAX_DECODED))))
    }

    /// Waits for the turn of a body of `length` bytes, which lasts until what is returned is dropped.
    ///
    /// # Errors
    /// [`Problem::Busy`] where none came in time.
    pub(super) async fn turn(&self, length: usize, encoding: Encoding) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        let Some(room) = &self.0 else { return Ok(None) };
        // Before it is decoded: by then it is in memory.
        let most = encoding.most(length);
        if most <= FREE {
            return Ok(None);
        }
        let bytes = u32::try_from(most).unwrap_or(u32::MAX);
        match tokio::time::timeout(TURN_WITHIN, room.acquire_many(bytes)).await {
            // Only fails where the semaphore is closed, which nobody does.
            Ok(turn) => Ok(turn.ok()),
            Err(_) => {
                tracing::warn!(bytes, "too much is worked on at a time");
                Err(Problem::Busy)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_may_become_too_much_waits_for_its_turn_and_not_for_ever() {
        let workload = Workload::of(MAX_DECODED + 2 * FREE);
        let bomb = workload.turn(1_000_000, Encoding::Gzip).await.unwrap();
        assert!(workload.turn(2 * FREE, Encoding::Identity).await.is_ok(), "there is room beside it");
        assert_eq!(workload.turn(2 * FREE + 1, Encoding::Identity).await.unwrap_err(), Problem::Busy);
        drop(bomb);
        assert!(workload.turn(2 * FREE + 1, Encoding::Identity).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_ordinary_push_waits_for_nobody() {
        let workload = Workload::of(MAX_DECODED);
        let _bomb = workload.turn(1_000_000, Encoding::Gzip).await.unwrap();
        assert!(workload.turn(FREE, Encoding::Identity).await.is_ok());
        assert!(workload.turn(FREE + 1, Encoding::Identity).await.is_err());
    }

    #[tokio::test]
    async fn one_push_always_fits_and_without_a_bound_all_do() {
        assert!(Workload::of(1).turn(10_000_000, Encoding::Gzip).await.is_ok());
        let unbounded = Workload::default();
        let turns = [unbounded.turn(usize::MAX, Encoding::Identity).await, unbounded.turn(1, Encoding::Gzip).await];
        assert!(turns.iter().all(Result::is_ok));
    }
}
