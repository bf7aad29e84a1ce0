//! Azure Event Hubs' send call: what its senders over HTTPS can be pointed at instead.

use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};

use super::App;
use super::body::{RequestBody, content_type, declared_length, encoding, read_bounded};
use super::problem::Problem;
use crate::domain::event_hub::{of_batch, of_single};
use crate::ingest::RequestInfo;
use crate::ingest::decode::{Encoding, MAX_ENCODED, decode};

/// The type of a body that holds several events ("Send batch events", Event Hubs REST API).
const BATCH: &str = "application/vnd.microsoft.servicebus.json";

impl App {
    /// Answers 201 without a body where the service would.
    pub(super) async fn send(
        &self,
        parts: &Parts,
        body: impl RequestBody,
        context: &RequestInfo,
    ) -> Result<Response<Bytes>, Problem> {
        let started = Instant::now();
        let sent_as = encoding(&parts.headers)?;
        let length = declared_length(&parts.headers, MAX_ENCODED)?;
        let client = self.gate.sender(parts, context).await?;
        let _permit = self.body_budget.permit(length, sent_as).await?;
        let body = read_bounded(body, MAX_ENCODED).await?;
        let is_batch = content_type(&parts.headers).as_deref() == Some(BATCH);
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
