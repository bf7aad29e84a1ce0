//! Handles the events of Lambda.
//!
//! Responses have the types of `lambda_http`. Its conversion of events to requests is not used, for four reasons: it keeps only the
//! last of several headers of the same name from a REST API, so that two `Authorization` headers look like one; it puts the name
//! of the stage into the path; it panics if a body or a path is invalid; and it decodes the body before the client is
//! authenticated.

mod request;
mod response;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use jiff::Timestamp;
use lambda_runtime::tower::util::MapRequestLayer;
use lambda_runtime::{Error, LambdaEvent, LambdaInvocation, Runtime, service_fn};
use serde::Serialize;

use self::request::{ApiRequest, EventBody};
pub use self::response::ApiResponse;
use super::called_url;
use crate::http::{App, Board, Problem};
use crate::ingest::ports::StoredObjects;
use crate::ingest::{RequestInfo, SweepStats};
use crate::sources::{BatchItemFailures, Envelope, MemberError, PublicationOutcome, SourceEvent};

/// The response to an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum EventResponse {
    /// To a request.
    Request(Box<ApiResponse>),
    /// To the queue: the messages that failed.
    Queue(BatchItemFailures),
    /// To the schedule, which ignores it.
    Schedule(SweepStats),
    /// To the topic rule of AWS IoT, which ignores it.
    Iot(PublicationOutcome),
}

/// The function fails on an event. Contains no part of the event. A retry can help after [`Sweep`](Self::Sweep) and
/// [`Publication`](Self::Publication) only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An event of an unknown kind.
    #[error("the event is no request, sweep, publication or queue message; check what invokes the function")]
    Unknown,
    /// A request that does not come from API Gateway.
    #[error("the event is no request of API Gateway: {0}; check what invokes the function")]
    Request(#[from] MemberError),
    /// The sweep failed. The next one continues.
    #[error("the sweep did not finish; the next one continues")]
    Sweep,
    /// The publication was neither stored nor queued. Lambda retries, then sends the event to the queue.
    #[error("the publication was not stored")]
    Publication,
}

/// Calls `handle` with the bytes and the invocation id of each event, until the process ends.
///
/// # Errors
/// If Lambda's runtime API does not respond. Lambda starts a new process.
pub async fn run<F, R>(handle: F) -> Result<(), Error>
where
    F: Fn(Bytes, String) -> R,
    R: Future<Output = Result<EventResponse, EventError>>,
{
    // The runtime would deserialize each event of several megabytes once more. It gets `null` instead. It has one event at a time.
    let event = Arc::new(Mutex::new(Bytes::new()));
    let replace = |event: &Mutex<Bytes>, bytes| {
        std::mem::replace(&mut *event.lock().unwrap_or_else(PoisonError::into_inner), bytes)
    };
    let current = Arc::clone(&event);
    let set_body_aside = MapRequestLayer::new(move |mut invocation: LambdaInvocation| {
        replace(&current, std::mem::replace(&mut invocation.body, Bytes::from_static(b"null")));
        invocation
    });
    let handler = service_fn(move |LambdaEvent { context, .. }: LambdaEvent<()>| {
        // The layers of the runtime move the future several times, and it has 10 KB.
        let handling = Box::pin(handle(replace(&event, Bytes::new()), context.request_id));
        async { handling.await.map_err(Error::from) }
    });
    Runtime::new(handler).layer(set_body_aside).run().await
}

impl App {
    /// Handles an event: a request, a sweep, a publication on an MQTT topic, or messages of the queue. `bucket` is the object store
    /// without its fallback queue, for the messages of that queue.
    ///
    /// # Errors
    /// [`EventError`] if the event is of no known kind, or if it has to be retried.
    pub async fn handle_event(
        &self,
        bucket: &dyn StoredObjects,
        event: &[u8],
        invocation: &str,
        now: Timestamp,
    ) -> Result<EventResponse, EventError> {
        let envelope = parse(event)?;
        match SourceEvent::parse(&envelope) {
            None => {
                let response = self.handle_api_event(&envelope, invocation, now).await?;
                Ok(EventResponse::Request(Box::new(response)))
            }
            Some(SourceEvent::Queue(messages)) => {
                Ok(EventResponse::Queue(self.ingest().process_messages(bucket, messages, now).await))
            }
            Some(SourceEvent::Iot(publication)) => {
                let outcome = self.ingest().ingest_publication(publication, invocation, now).await;
                outcome.map(EventResponse::Iot).map_err(|_| EventError::Publication)
            }
            Some(SourceEvent::Sweep) => match self.ingest().sweep(now).await {
                Ok(stats) => {
                    stats.log();
                    Ok(EventResponse::Schedule(stats))
                }
                Err(error) => {
                    tracing::error!(error = %error.chain(), "sweep not finished");
                    Err(EventError::Sweep)
                }
            },
        }
    }

    /// Handles a request of API Gateway.
    ///
    /// # Errors
    /// [`EventError::Unknown`] or [`EventError::Request`] if the event is no request. A retry cannot help.
    pub async fn handle_api_event(
        &self,
        event: &Envelope<'_>,
        invocation: &str,
        received: Timestamp,
    ) -> Result<ApiResponse, EventError> {
        let handle = async |request: Request<EventBody<'_>>, context| {
            self.handle(request.map(EventBody::into_stream), context).await
        };
        handle_api_event(handle, event, invocation, received).await
    }
}

impl Board {
    /// Handles an event, which has to be a request of API Gateway.
    ///
    /// # Errors
    /// [`EventError::Unknown`] or [`EventError::Request`] if the event is no request. A retry cannot help.
    pub async fn handle_event(
        &self,
        event: &[u8],
        invocation: &str,
        now: Timestamp,
    ) -> Result<EventResponse, EventError> {
        let event = parse(event)?;
        let handle = async |request: Request<EventBody<'_>>, context| {
            self.handle(request.map(EventBody::into_stream), context).await
        };
        let response = handle_api_event(handle, &event, invocation, now).await?;
        Ok(EventResponse::Request(Box::new(response)))
    }
}

/// Parses an event. Lambda's events are JSON, which is UTF-8 (RFC 8259 §8.1).
fn parse(event: &[u8]) -> Result<Envelope<'_>, EventError> {
    std::str::from_utf8(event).ok().and_then(Envelope::parse).ok_or(EventError::Unknown)
}

/// Calls `handle` with a request of API Gateway. The request id is API Gateway's, or `invocation` if it has none. If the handler
/// panics, the response is 500 and the process continues.
async fn handle_api_event<'e>(
    handle: impl AsyncFnOnce(Request<EventBody<'e>>, RequestInfo) -> Response<Bytes>,
    event: &Envelope<'e>,
    invocation: &str,
    received: Timestamp,
) -> Result<ApiResponse, EventError> {
    let ApiRequest { format, request, request_id, source, verified_client } = ApiRequest::parse(event)?;
    let or_default = |name: Option<String>, default: &str| {
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let request_id = or_default(request_id, invocation);
    let source = or_default(source, "unknown");
    // The host is API Gateway's own domain name.
    let url = called_url("https", request.headers());
    let context = RequestInfo { request_id: request_id.clone(), source, received, verified_client, url };
    // Unwind safe: a push shares only caches with others, and these are replaced as a whole.
    let handling = AssertUnwindSafe(handle(request, context));
    let response = handling.catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(request_id, "handler panicked");
        Problem::Internal.response(&request_id)
    });
    Ok(format.response(response))
}
