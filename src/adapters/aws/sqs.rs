//! The queue that keeps objects while S3 is unavailable.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;

use super::{unavailable, within};
use crate::domain::archive::Object;
use crate::domain::queued_object;
use crate::ingest::ports::{RawStore, Stored, UnavailableError};

/// For one message. It is sent after all attempts at storing the object, and the push still has to be evaluated.
pub(super) const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest SQS message, in bytes. Packed readings have a twentieth of their JSON's size, and Base64 adds a third, so that a push
/// of 10 MB fits.
const MAX_MESSAGE: usize = 1 << 20;

const NOT_QUEUED: &str = "the queue did not take the object";

/// Sends objects to a queue, one message each.
#[derive(Clone, Debug)]
pub struct SqsFallbackQueue {
    /// The client of SQS.
    pub client: Client,
    /// The URL of the queue.
    pub url: String,
}

#[async_trait]
impl RawStore for SqsFallbackQueue {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        let text = queued_object::to_text(&object);
        if text.len() > MAX_MESSAGE {
            let size = format!("the message has {} bytes, the limit is {MAX_MESSAGE}", text.len());
            return Err(UnavailableError::new(NOT_QUEUED, size));
        }
        within(QUEUE_TIMEOUT, NOT_QUEUED, async {
            let sent = self.client.send_message().queue_url(&self.url).message_body(text).send().await;
            sent.map(|_| Stored::Queued).map_err(|error| unavailable(NOT_QUEUED, &error))
        })
        .await
    }
}
