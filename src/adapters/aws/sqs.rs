//! The queue that holds objects while S3 does not take them.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;

use super::{told, within};
use crate::adapters::backed_store::FallbackQueue;
use crate::domain::archive::Object;
use crate::domain::queued_object;
use crate::ingest::ports::UnavailableError;

/// Longest that fallback_queue takes. It comes after all attempts at storing, and the push still has to be judged.
pub(super) const PARKING: Duration = Duration::from_secs(2);
/// Most bytes of one message of SQS: 1 MiB. Packed readings are a twentieth of their JSON, and a third more in Base64, so
/// that a push of ten megabytes fits.
const LARGEST: usize = 1 << 20;

const NOT_PARKED: &str = "the queue did not take the object";

/// Parks objects as messages of a queue.
#[derive(Clone, Debug)]
pub struct RetryQueue {
    client: Client,
    url: String,
}

impl RetryQueue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }
}

#[async_trait]
impl FallbackQueue for RetryQueue {
    async fn park(&self, object: &Object) -> Result<(), UnavailableError> {
        let text = queued_object::to_text(object);
        if text.len() > LARGEST {
            let size = format!("it takes {} bytes of at most {LARGEST}", text.len());
            return Err(UnavailableError::new(NOT_PARKED, size));
        }
        within(PARKING, NOT_PARKED, async {
            let sent = self.client.send_message().queue_url(&self.url).message_body(text).send().await;
            sent.map(|_| ()).map_err(|fault| told(NOT_PARKED, &fault))
        })
        .await
    }
}
