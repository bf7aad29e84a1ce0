//! HTTP: paths, headers and status codes, and the one handler that all hosts call.
//!
//! The handler spends no more on a request than is justified so far: it checks method, path and declared size first, then
//! authenticates the client, and only then reads the body. A token request can contain the login in its small form, so that is
//! read first.

mod authenticator;
mod body;
mod body_budget;
mod event_hub;
mod failure_log;
mod hash_verifier;
mod login_limit;
mod oauth;
mod origin;
mod pages;
mod problem;
mod route;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use serde_json::json;
use tokio::sync::SemaphorePermit;

pub use self::authenticator::Authenticator;
use self::authenticator::sanitized_name;
pub use self::body::{BodyTimeout, RequestBody};
use self::body::{actual_encoding, declared_length, encoding, is_gzip_as_text, read_bounded};
use self::body_budget::BodyBudget;
pub use self::pages::Board;
use self::pages::BoardMemory;
pub use self::problem::Problem;
use self::route::{PageRoute, Route, route};
use crate::ingest::decode::{Encoding, MAX_ENCODED};
use crate::ingest::{CleaningError, Ingest, PushError, PushOutcome, RequestInfo};

/// The media type of OpenMetrics, which Prometheus reads since version 2.5.
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The handler of all requests.
pub struct App {
    ingest: Ingest,
    authenticator: Authenticator,
    metrics: Option<Box<dyn Fn() -> String + Send + Sync>>,
    body_budget: BodyBudget,
    has_pages: bool,
    board: BoardMemory,
}

/// The body of an authenticated client.
struct ReceivedBody<'b> {
    bytes: Bytes,
    encoding: Encoding,
    client: String,
    /// The start of the request.
    started: Instant,
    _permit: Option<SemaphorePermit<'b>>,
}

impl App {
    /// A handler without metrics, pages and a body budget.
    pub fn new(ingest: Ingest, authenticator: Authenticator) -> Self {
        Self {
            ingest,
            authenticator,
            metrics: None,
            body_budget: BodyBudget::default(),
            has_pages: false,
            board: BoardMemory::default(),
        }
    }

    /// Serves `metrics`, in the text format of OpenMetrics, at `/metrics`, to clients that may push.
    #[must_use]
    pub fn with_metrics(mut self, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Box::new(metrics));
        self
    }

    /// Serves the pages for people, below `/board/`.
    #[must_use]
    pub fn with_pages(self) -> Self {
        Self { has_pages: true, ..self }
    }

    /// Limits the decoded bodies in memory to `bytes`, but never below one push. Other pushes wait for up to `timeout`, then
    /// get 503. For a host that handles several requests at once.
    #[must_use]
    pub fn with_body_budget(mut self, bytes: usize, timeout: Duration) -> Self {
        self.body_budget = BodyBudget::new(bytes, timeout);
        self
    }

    /// The ingest of pushes, for sources other than HTTP.
    pub fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    /// Handles one request. Errors are responses too.
    pub async fn handle(&self, request: Request<impl RequestBody>, context: RequestInfo) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        if self.has_pages && PageRoute::is_page(&parts) {
            return pages::handle(&parts, body, &context, self.ingest.answers(context.received), &self.board).await;
        }
        let response = match self.route(&parts, &context) {
            Ok(Route::Health) => Ok(self.health(&parts, &context).await),
            Ok(Route::Metrics) => self.metrics(&parts, &context).await,
            Ok(Route::Push) => {
                let authenticating = self.authenticator.authenticate(&parts.headers, &context);
                self.push(&parts, body, &context, authenticating).await
            }
            Ok(Route::PushJwt) => {
                let client = self.authenticator.verified_client(&context);
                self.push(&parts, body, &context, std::future::ready(client)).await
            }
            Ok(Route::SendEvents) => self.send_events(&parts, body, &context).await,
            Ok(Route::Token) => self.token(&parts, body, &context).await,
            Ok(Route::Cleaned { zone, project }) => self.cleaned(&parts, &zone, project.as_deref(), &context).await,
            Err(problem) => Err(problem),
        };
        // With every request, so that the end of a flood is logged without another failure.
        self.authenticator.log_failures(context.received);
        response.unwrap_or_else(|problem| {
            if let Problem::Busy { resource } = &problem {
                tracing::warn!(request_id = %context.request_id, source = %context.source, resource, "busy");
            }
            problem.response(&context.request_id)
        })
    }

    fn route(&self, parts: &Parts, context: &RequestInfo) -> Result<Route, Problem> {
        let route = route(parts, self.authenticator.auth_methods, self.metrics.is_some())?;
        if route.changes_state() {
            origin::reject_cross_origin(parts, None).inspect_err(|_| {
                let RequestInfo { request_id, source, .. } = context;
                tracing::warn!(%request_id, %source, "cross-origin request rejected");
            })?;
        }
        Ok(route)
    }

    async fn push(
        &self,
        parts: &Parts,
        body: impl RequestBody,
        context: &RequestInfo,
        authenticating: impl Future<Output = Result<String, Problem>>,
    ) -> Result<Response<Bytes>, Problem> {
        let received = self.receive(parts, body, authenticating).await?;
        let outcome = self.ingest_body(received, context).await?;
        Ok(json_response(&json!(outcome)))
    }

    /// Receives the body of a request after `authenticating` succeeds.
    async fn receive(
        &self,
        parts: &Parts,
        body: impl RequestBody,
        authenticating: impl Future<Output = Result<String, Problem>>,
    ) -> Result<ReceivedBody<'_>, Problem> {
        let started = Instant::now();
        let declared = encoding(&parts.headers)?;
        let length = declared_length(&parts.headers, MAX_ENCODED)?;
        let client = authenticating.await?;
        let permit = self.body_budget.permit(length, declared).await?;
        let bytes = read_bounded(body, MAX_ENCODED).await?;
        Ok(ReceivedBody { encoding: actual_encoding(declared, &bytes), bytes, client, started, _permit: permit })
    }

    /// The status of the process. A server also reports its channels, to clients that may push.
    async fn health(&self, parts: &Parts, context: &RequestInfo) -> Response<Bytes> {
        let mut health = json!({ "status": "ok", "version": crate::VERSION });
        if self.metrics.is_some()
            && parts.headers.contains_key(AUTHORIZATION)
            && self.authenticator.authenticate(&parts.headers, context).await.is_ok()
            && let Ok(channels) = self.ingest.channel_reports(context.received).await
        {
            health["channels"] = json!(channels);
        }
        json_response(&health)
    }

    /// The metrics. They show how much a building is used, so they require the same authentication as a push.
    async fn metrics(&self, parts: &Parts, context: &RequestInfo) -> Result<Response<Bytes>, Problem> {
        let metrics = self.metrics.as_ref().ok_or(Problem::NotFound)?;
        self.authenticator.authenticate(&parts.headers, context).await?;
        Ok(uncached_response(OPEN_METRICS, metrics()))
    }

    /// Stores and evaluates a body, and logs the result.
    async fn ingest_body(&self, received: ReceivedBody<'_>, context: &RequestInfo) -> Result<PushOutcome, Problem> {
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

    /// Records the cleaning of a zone, for a button or a QR code. Ignores the body.
    async fn cleaned(
        &self,
        parts: &Parts,
        zone: &str,
        project: Option<&str>,
        context: &RequestInfo,
    ) -> Result<Response<Bytes>, Problem> {
        let client = self.authenticator.authenticate(&parts.headers, context).await?;
        let at = context.received;
        match self.ingest.cleaned_by_name(zone, project, at).await {
            Ok(zones) => {
                let zone = sanitized_name(zone);
                tracing::info!(request_id = %context.request_id, client, zone, zones, "cleaning recorded");
                Ok(json_response(&json!({ "zones": zones, "at": at.to_string() })))
            }
            Err(error) => {
                if let CleaningError::State(error) = &error {
                    tracing::error!(request_id = %context.request_id, client, error = %error.chain(), "cleaning not recorded");
                }
                Err(error.into())
            }
        }
    }
}

fn json_response(body: &serde_json::Value) -> Response<Bytes> {
    uncached_response("application/json", body.to_string())
}

fn uncached_response(content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
