//! The send call of Azure Event Hubs, for senders that use its HTTPS API.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};

use super::App;
use super::body::{RequestBody, content_type};
use super::problem::Problem;
use crate::domain::event_hub::{of_batch, of_single};
use crate::ingest::RequestInfo;
use crate::ingest::decode::{Encoding, decode};

/// The media type of several events ("Send batch events", Event Hubs REST API).
const BATCH: &str = "application/vnd.microsoft.servicebus.json";

impl App {
    /// Receives one or several events. Returns 201 without a body, as the service does.
    pub(super) async fn send_events(
        &self,
        parts: &Parts,
        body: impl RequestBody,
        context: &RequestInfo,
    ) -> Result<Response<Bytes>, Problem> {
        let authenticating = self.authenticator.authenticate_signature(parts, context);
        let mut received = self.receive(parts, body, authenticating).await?;
        let is_batch = content_type(&parts.headers).as_deref() == Some(BATCH);
        // A body that cannot be decoded is passed on as sent, and rejected and stored like any push.
        if let Ok(decoded) = decode(received.bytes.clone(), received.encoding) {
            let body = if is_batch { of_batch(&decoded) } else { of_single(&decoded) };
            (received.bytes, received.encoding) = (body.into_owned().into(), Encoding::Identity);
        }
        self.ingest_body(received, context).await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    }
}
