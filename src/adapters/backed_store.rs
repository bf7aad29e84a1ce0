//! A raw store with a queue behind it, for the time in which the store takes nothing.

use async_trait::async_trait;

use crate::domain::archive::Object;
use crate::ingest::ports::{RawStore, Stored, UnavailableError};

/// Holds an object until the store takes it.
#[async_trait]
pub trait FallbackQueue: Send + Sync {
    /// Holds `object`. When this returns `Ok`, it is as safe as in the store, for as long as the queue keeps it.
    ///
    /// # Errors
    /// [`UnavailableError`] where it was not confirmed, or is too large. FallbackQueue it again is safe: it is stored under the same
    /// key.
    async fn park(&self, object: &Object) -> Result<(), UnavailableError>;
}

/// The store `S`; what it does not take is parked at `Q`.
#[derive(Clone, Debug)]
pub struct BackedStore<S, Q> {
    store: S,
    fallback_queue: Q,
}

impl<S, Q> BackedStore<S, Q> {
    /// Puts the two together.
    pub fn new(store: S, fallback_queue: Q) -> Self {
        Self { store, fallback_queue }
    }
}

#[async_trait]
impl<S: RawStore, Q: FallbackQueue> RawStore for BackedStore<S, Q> {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        let refused = match self.store.put(object.clone()).await {
            Ok(stored) => return Ok(stored),
            Err(refused) => refused,
        };
        tracing::error!(key = %object.key, error = %refused.chain(), "not stored; it is parked in the queue instead");
        match self.fallback_queue.park(&object).await {
            Ok(()) => Ok(Stored::Queued),
            Err(fault) => {
                tracing::error!(key = %object.key, error = %fault.chain(), "not parked either");
                Err(refused)
            }
        }
    }
}
