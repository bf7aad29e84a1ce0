//! A raw store with an Amazon Data Firehose stream before it, which writes the pushes of some minutes as one object: see
//! [`crate::domain::buffered`].

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::Builder;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;

use super::{OPTIONAL_TIMEOUT, unavailable, within};
use crate::domain::archive::Object;
use crate::domain::buffered::to_record;
use crate::ingest::ports::{RawStore, Stored, UnavailableError};
use crate::telemetry::MEASURED;

/// For one record. Without a confirmation by then, the object store takes the push.
pub(super) const BUFFER_TIMEOUT: Duration = Duration::from_secs(1);
/// For one attempt. Two of them and the backoff between them, up to 100 ms, fit into [`BUFFER_TIMEOUT`].
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(450);

const NOT_BUFFERED: &str = "the stream did not take the push";

/// Puts readings into a stream, which has stored them durably when it answers. The store `S` takes the rest: rejections, pushes that
/// are larger than a record, and pushes that the stream does not confirm. If only the answer of the stream was lost, the push is in
/// both: the record names the key of the object.
#[derive(Clone, Debug)]
pub struct BufferedStore<S> {
    client: Client,
    stream: String,
    store: S,
}

impl<S> BufferedStore<S> {
    /// Uses the stream with this name before `store`.
    #[must_use]
    pub fn new(config: &SdkConfig, stream: String, store: S) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let retries = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(100));
        let config = Builder::from(config).timeout_config(timeouts).retry_config(retries).build();
        Self { client: Client::from_conf(config), stream, store }
    }

    /// Opens the connection, so that the first push does not wait for it. Nothing is put: Firehose refuses a request without a
    /// record. The result is not essential.
    pub async fn connect(&self) {
        let _ = tokio::time::timeout(OPTIONAL_TIMEOUT, self.client.put_record().send()).await;
    }

    async fn put_record(&self, record: Vec<u8>) -> Result<(), UnavailableError> {
        let record = Record::builder().data(Blob::new(record)).build();
        let record = record.map_err(|error| UnavailableError::new(NOT_BUFFERED, error))?;
        let put = self.client.put_record().delivery_stream_name(&self.stream).record(record);
        put.send().await.map(drop).map_err(|error| unavailable(NOT_BUFFERED, &error))
    }
}

#[async_trait]
impl<S: RawStore> RawStore for BufferedStore<S> {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        if object.key.is_evaluated()
            && let Ok(record) = to_record(&object)
        {
            match within(BUFFER_TIMEOUT, NOT_BUFFERED, self.put_record(record)).await {
                Ok(()) => return Ok(Stored::New),
                Err(error) => {
                    let (key, error) = (&object.key, error.chain());
                    tracing::warn!(target: MEASURED, %key, error, pushes_unbuffered = 1, "push not buffered; storing it as an object");
                }
            }
        }
        self.store.put(object).await
    }
}
