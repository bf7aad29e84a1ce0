//! A raw store with a queue behind it, for times when the store is unavailable.

use async_trait::async_trait;

use crate::domain::archive::Object;
use crate::ingest::ports::{RawStore, Stored, UnavailableError};

/// Keeps an object until the raw store accepts it.
#[async_trait]
pub trait FallbackQueue: Send + Sync {
    /// Sends `object` to the queue. After `Ok`, it is as durable as in the store, for the queue's retention period.
    ///
    /// # Errors
    /// [`UnavailableError`] if the queue did not confirm, or the object is too large for it. To send it again is safe: it is
    /// stored under the same key.
    async fn enqueue(&self, object: &Object) -> Result<(), UnavailableError>;
}

/// The store `S`; an object that it does not accept goes to the queue `Q`.
#[derive(Clone, Debug)]
pub struct StoreWithFallback<S, Q> {
    store: S,
    queue: Q,
}

impl<S, Q> StoreWithFallback<S, Q> {
    /// Combines a store and its queue.
    pub fn new(store: S, queue: Q) -> Self {
        Self { store, queue }
    }
}

#[async_trait]
impl<S: RawStore, Q: FallbackQueue> RawStore for StoreWithFallback<S, Q> {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        let store_error = match self.store.put(object.clone()).await {
            Ok(stored) => return Ok(stored),
            Err(error) => error,
        };
        tracing::error!(key = %object.key, error = %store_error.chain(), "object not stored; sending it to the queue");
        match self.queue.enqueue(&object).await {
            Ok(()) => Ok(Stored::Queued),
            Err(error) => {
                tracing::error!(key = %object.key, error = %error.chain(), "object not sent to the queue");
                Err(store_error)
            }
        }
    }
}
