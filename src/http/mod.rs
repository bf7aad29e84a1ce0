//! Requests in, responses out: the only place that knows paths, headers and status codes.
//!
//! One handler for every host. What a request may cost grows only as it proves itself: method, path and declared size
//! first, then who it is from, and only then its body.

mod authenticator;
mod body;
mod body_budget;
mod event_hub;
mod hashing;
mod login_limit;
mod oauth;
mod origin;
mod problem;
mod refusal_log;
mod route;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use serde_json::json;
use tokio::sync::SemaphorePermit;

pub use self::authenticator::Authenticator;
use self::authenticator::shown;
pub use self::body::{BodyTimeout, RequestBody};
use self::body::{actual_encoding, declared_length, encoding, is_gzip_as_text, read_bounded};
use self::body_budget::BodyBudget;
pub use self::problem::{Bearer, Challenge, Problem};
use self::route::{Route, route};
use crate::ingest::decode::{Encoding, MAX_ENCODED};
use crate::ingest::{Ingest, Outcome, PushError, RequestInfo};
use crate::telemetry::Exposition;

/// The format of what is measured; Prometheus has read it since version 2.5.
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The handler, with what it needs of the world.
pub struct App {
    ingest: Ingest,
    authenticator: Authenticator,
    measured: Option<Box<dyn Exposition>>,
    body_budget: BodyBudget,
}

/// A body that has arrived, of an authenticated client.
struct ReceivedBody<'b> {
    bytes: Bytes,
    encoding: Encoding,
    client: String,
    /// When receiving it began.
    started: Instant,
    _permit: Option<SemaphorePermit<'b>>,
}

impl App {
    /// Puts the handler together.
    pub fn new(ingest: Ingest, authenticator: Authenticator) -> Self {
        Self { ingest, authenticator, measured: None, body_budget: BodyBudget::default() }
    }

    /// Tells at `/metrics` what was measured, to whoever may push.
    #[must_use]
    pub fn with_metrics(mut self, measured: Box<dyn Exposition>) -> Self {
        self.measured = Some(measured);
        self
    }

    /// Holds pushes of at most `bytes` decoded bytes at a time, and at least one. Others wait for at most `within`, then get
    /// 503. For a host that takes several requests at once.
    #[must_use]
    pub fn with_body_budget(mut self, bytes: usize, within: Duration) -> Self {
        self.body_budget = BodyBudget::new(bytes, within);
        self
    }

    /// The use case behind the handler, for what comes by other ways than HTTP.
    pub fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    /// Answers one request. Never fails: what goes wrong is a response as well.
    pub async fn handle(&self, request: Request<impl RequestBody>, context: RequestInfo) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let answer = match self.route(&parts, &context) {
            Ok(Route::Health) => Ok(json_response(&json!({ "status": "ok" }))),
            Ok(Route::Metrics) => self.metrics(&parts, &context).await,
            Ok(Route::Push) => {
                self.push(&parts, body, &context, self.authenticator.caller(&parts.headers, &context)).await
            }
            Ok(Route::PushJwt) => {
                self.push(&parts, body, &context, std::future::ready(self.authenticator.verified_client(&context)))
                    .await
            }
            Ok(Route::Send) => self.send(&parts, body, &context).await,
            Ok(Route::Token) => self.token(&parts, body, &context).await,
            Ok(Route::Cleaned { zone, project }) => self.cleaned(&parts, &zone, project.as_deref(), &context).await,
            Err(problem) => Err(problem),
        };
        // At every request, so that the rest of a flood does not wait for the next one.
        self.authenticator.log_refusals(context.received);
        answer.unwrap_or_else(|problem| {
            if let Problem::Busy { with } = problem {
                tracing::warn!(request_id = %context.request_id, source = %context.source, with, "too busy");
            }
            problem.response(&context.request_id)
        })
    }

    /// What the request asks for, if it may come from where it does.
    fn route(&self, parts: &Parts, context: &RequestInfo) -> Result<Route, Problem> {
        let route = route(parts, self.authenticator.auth_methods(), self.measured.is_some())?;
        if route.changes_state() {
            origin::check(parts).inspect_err(|_| {
                let RequestInfo { request_id, source, .. } = context;
                tracing::warn!(%request_id, %source, "request of another origin refused");
            })?;
        }
        Ok(route)
    }

    /// Takes a push of the client that `authenticating` comes to.
    async fn push(
        &self,
        parts: &Parts,
        body: impl RequestBody,
        context: &RequestInfo,
        authenticating: impl Future<Output = Result<String, Problem>>,
    ) -> Result<Response<Bytes>, Problem> {
        let received = self.receive(parts, body, authenticating).await?;
        let outcome = self.take(received, context).await?;
        Ok(json_response(&json!(outcome)))
    }

    /// Receives the body of a request once the client is authenticated.
    async fn receive(
        &self,
        parts: &Parts,
        body: impl RequestBody,
        authenticating: impl Future<Output = Result<String, Problem>>,
    ) -> Result<ReceivedBody<'_>, Problem> {
        let started = Instant::now();
        let announced = encoding(&parts.headers)?;
        let length = declared_length(&parts.headers, MAX_ENCODED)?;
        let client = authenticating.await?;
        let permit = self.body_budget.permit(length, announced).await?;
        let bytes = read_bounded(body, MAX_ENCODED).await?;
        Ok(ReceivedBody { encoding: actual_encoding(announced, &bytes), bytes, client, started, _permit: permit })
    }

    /// What was measured. It tells how much a building is used, so that it asks for the credentials as a push does.
    async fn metrics(&self, parts: &Parts, context: &RequestInfo) -> Result<Response<Bytes>, Problem> {
        let measured = self.measured.as_ref().ok_or(Problem::NotFound)?;
        self.authenticator.caller(&parts.headers, context).await?;
        let mut response = Response::new(Bytes::from(measured.text()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// Takes in a body that has arrived, and says in the log what came of it.
    async fn take(&self, received: ReceivedBody<'_>, context: &RequestInfo) -> Result<Outcome, Problem> {
        let ReceivedBody { bytes, encoding, client, started, .. } = received;
        let is_gzip_as_text = encoding == Encoding::Gzip && is_gzip_as_text(&bytes);
        match self.ingest.push(bytes, encoding, context, context.received).await {
            Ok(outcome) => {
                outcome.log(context, &client, started);
                Ok(outcome)
            }
            Err(error) => {
                error.log(context, &client);
                Err(match error {
                    PushError::NotABatch(_) if is_gzip_as_text => Problem::GzipAsText,
                    error => Problem::from(&error),
                })
            }
        }
    }

    /// Notes that a zone was cleaned, for a button or a QR code. The body, if there is one, is not looked at.
    async fn cleaned(
        &self,
        parts: &Parts,
        zone: &str,
        project: Option<&str>,
        context: &RequestInfo,
    ) -> Result<Response<Bytes>, Problem> {
        let client = self.authenticator.caller(&parts.headers, context).await?;
        let at = context.received;
        match self.ingest.cleaned(zone, project, at, at).await {
            Ok(0) => Err(Problem::UnknownZone),
            Ok(zones) => {
                let zone = shown(zone);
                tracing::info!(request_id = %context.request_id, client, zone, zones, "cleaned");
                Ok(json_response(&json!({ "zones": zones, "at": at.to_string() })))
            }
            Err(error) => {
                tracing::error!(request_id = %context.request_id, client, error = %error.chain(), "cleaning not noted");
                Err(Problem::StateUnavailable)
            }
        }
    }
}

fn json_response(body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
