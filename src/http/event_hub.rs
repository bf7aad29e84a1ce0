//! Azure Event Hubs' send call: what its senders over HTTPS can be pointed at instead.

use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body::Body;

use super::App;
use super::body::{declared_length, encoding, read_bounded};
use super::problem::Problem;
use crate::domain::event_hub::{of_batch, of_single};
use crate::ingest::RequestInfo;
use crate::ingest::decode::{Encoding, MAX_ENCODED, decode};

/// The type of a body that holds several events ("Send batch events", Event Hubs REST API).
const BATCH: &[u8] = b"application/vnd.microsoft.servicebus.json";

impl App {
    /// Answers 201 without a body where the service would.
    pub(super) async fn send<B>(
        &self,
        parts: &Parts,
        body: B,
        context: &RequestInfo,
    ) -> Result<Response<Bytes>, Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let sent_as = encoding(&parts.headers)?;
        let length = declared_length(&parts.headers, MAX_ENCODED)?;
        let client = self.gate.sender(parts, context).await?;
        let _permit = self.body_budget.permit(length, sent_as).await?;
        let body = read_bounded(body, MAX_ENCODED).await?;
        let is_batch = parts.headers.get(CONTENT_TYPE).is_some_and(is_batch);
        // What does not decode is taken as it was sent, to be refused and kept like any push.
        let (body, encoding) = match decode(body.clone(), sent_as) {
            Ok(decoded) if is_batch => (Bytes::from(of_batch(&decoded).into_owned()), Encoding::Identity),
            Ok(decoded) => (Bytes::from(of_single(&decoded).into_owned()), Encoding::Identity),
            Err(_) => (body, sent_as),
        };
        self.take(body, encoding, &client, context, started).await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    }
}

/// Whether a content type is that of a batch, whatever its parameters.
fn is_batch(content_type: &HeaderValue) -> bool {
    let name = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(BATCH)
}
