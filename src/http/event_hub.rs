//! Azure Event Hubs' send call: what its senders over HTTPS can be pointed at instead.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};

use super::App;
use super::body::{RequestBody, content_type};
use super::problem::Problem;
use crate::domain::event_hub::{of_batch, of_single};
use crate::ingest::RequestInfo;
use crate::ingest::decode::{Encoding, decode};

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
        let mut received = self.receive(parts, body, self.authenticator.sender(parts, context)).await?;
        let is_batch = content_type(&parts.headers).as_deref() == Some(BATCH);
        // What does not decode is taken as it was sent, to be refused and kept like any push.
        if let Ok(decoded) = decode(received.bytes.clone(), received.encoding) {
            let body = if is_batch { of_batch(&decoded) } else { of_single(&decoded) };
            (received.bytes, received.encoding) = (body.into_owned().into(), Encoding::Identity);
        }
        self.take(received, context).await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    }
}
