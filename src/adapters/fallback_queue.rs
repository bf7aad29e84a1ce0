//! A raw store with a queue behind it, for times when the store is unavailable.

use async_trait::async_trait;

use crate::domain::archive::Object;
use crate::ingest::ports::{RawStore, Stored, UnavailableError};

/// The store `S`. An object that it does not accept goes to the queue `Q`, whose `put` returns [`Stored::Queued`]: the object is as
/// durable there, for the queue's retention period, and is stored under the same key later.
#[derive(Clone, Debug)]
pub struct StoreWithFallback<S, Q> {
    /// The store.
    pub store: S,
    /// Its queue.
    pub queue: Q,
}

#[async_trait]
impl<S: RawStore, Q: RawStore> RawStore for StoreWithFallback<S, Q> {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        let key = object.key.clone();
        let store_error = match self.store.put(object.clone()).await {
            Ok(stored) => return Ok(stored),
            Err(error) => error,
        };
        tracing::error!(%key, error = %store_error.chain(), "object not stored; sending it to the queue");
        self.queue.put(object).await.map_err(|error| {
            tracing::error!(%key, error = %error.chain(), "object not sent to the queue");
            store_error
        })
    }
}
