//! Requests in, responses out: the only place that knows paths, headers and status codes.
//!
//! One handler for every host. What a request may cost grows only as it proves itself: method, path and declared size
//! first, then who it is from, and only then its body.

mod problem;

use std::time::Instant;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::json;

pub use self::problem::Problem;
use crate::domain::auth::Client;
use crate::ingest::decode::{Encoding, MAX_ENCODED};
use crate::ingest::ports::{AlertPublisher, CredentialSource, RawStore, RuleSource, StateStore, chain};
use crate::ingest::{Ingest, Outcome, Receipt};

/// What a host knows of a request beside the request itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// An id that the caller sees and the logs name.
    pub request_id: String,
    /// The address it came from.
    pub source: String,
    /// When it came.
    pub received: Timestamp,
}

/// The handler, with what it needs of the world.
#[derive(Debug)]
pub struct App<S, T, P, R, C> {
    ingest: Ingest<S, T, P, R>,
    credentials: C,
}

enum Route {
    Push,
    Cleaned { zone: String, project: Option<String> },
    Health,
}

impl<S: RawStore, T: StateStore, P: AlertPublisher, R: RuleSource, C: CredentialSource> App<S, T, P, R, C> {
    /// Puts the handler together.
    pub fn new(ingest: Ingest<S, T, P, R>, credentials: C) -> Self {
        Self { ingest, credentials }
    }

    /// The use case behind the handler, for what comes by other ways than HTTP.
    pub fn ingest(&self) -> &Ingest<S, T, P, R> {
        &self.ingest
    }

    /// Answers one request. Never fails: what goes wrong is a response as well.
    pub async fn handle<B>(&self, request: Request<B>, context: RequestContext) -> Response<Bytes>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let answer = match route(&parts) {
            Ok(Route::Health) => Ok(json_response(&json!({ "status": "ok" }))),
            Ok(Route::Push) => self.push(&parts, body, &context).await,
            Ok(Route::Cleaned { zone, project }) => self.cleaned(&parts, &zone, project.as_deref(), &context).await,
            Err(problem) => Err(problem),
        };
        answer.unwrap_or_else(|problem| problem.response(&context.request_id))
    }

    async fn push<B>(&self, parts: &Parts, body: B, context: &RequestContext) -> Result<Response<Bytes>, Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let encoding = encoding(&parts.headers)?;
        check_declared_length(&parts.headers)?;
        let client = self.authenticate(&parts.headers, context).await?;
        let body = read_bounded(body).await?;
        let receipt = Receipt {
            request_id: context.request_id.clone(),
            source: context.source.clone(),
            received: context.received,
        };
        match self.ingest.push(body, encoding, &receipt).await {
            Ok(outcome) => {
                log_summary(&outcome, &client, context, started);
                Ok(json_response(&summary(&outcome)))
            }
            Err(error) => {
                let problem = Problem::from(&error);
                let chain = chain(&error);
                if problem.status().is_server_error() {
                    tracing::error!(request_id = %context.request_id, client, error = %chain, "push not accounted for");
                } else {
                    tracing::warn!(request_id = %context.request_id, client, error = %chain, "push refused and kept");
                }
                Err(problem)
            }
        }
    }

    /// Notes that a zone was cleaned, for a button or a QR code. The body, if there is one, is not looked at.
    async fn cleaned(
        &self,
        parts: &Parts,
        zone: &str,
        project: Option<&str>,
        context: &RequestContext,
    ) -> Result<Response<Bytes>, Problem> {
        let client = self.authenticate(&parts.headers, context).await?;
        let at = context.received;
        match self.ingest.cleaned(zone, project, at, at).await {
            Ok(0) => Err(Problem::UnknownZone),
            Ok(zones) => {
                tracing::info!(request_id = %context.request_id, client, zone, zones, "cleaned");
                Ok(json_response(&json!({ "zones": zones, "at": at.to_string() })))
            }
            Err(error) => {
                tracing::error!(request_id = %context.request_id, client, error = %error.chain(), "cleaning not noted");
                Err(Problem::StateUnavailable)
            }
        }
    }

    /// The name of the client that the headers prove the caller to be.
    async fn authenticate(&self, headers: &HeaderMap, context: &RequestContext) -> Result<String, Problem> {
        let known = self.credentials.current(context.received).await.map_err(|error| {
            tracing::error!(request_id = %context.request_id, error = %chain(&error), "credentials cannot be read");
            Problem::CredentialsUnavailable
        })?;
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        // Two headers would leave it to us which one counts.
        let authorization = match (sent.next(), sent.next()) {
            (Some(header), None) => header.to_str().ok(),
            _ => None,
        };
        let name = |client: &Client| client.username.clone();
        let mut client = authorization.and_then(|sent| known.verify_basic(sent).map(name));
        if client.is_none() && authorization.is_some() {
            // They may have been rotated since they were read.
            let newer = self.credentials.refreshed(context.received).await;
            client = newer.zip(authorization).and_then(|(newer, sent)| newer.verify_basic(sent).map(name));
        }
        client.ok_or_else(|| {
            tracing::warn!(request_id = %context.request_id, source = %context.source, "not authenticated");
            Problem::Unauthorized
        })
    }
}

fn route(parts: &Parts) -> Result<Route, Problem> {
    match (parts.uri.path(), &parts.method) {
        ("/push", &Method::POST) => Ok(Route::Push),
        ("/push", _) => Err(Problem::MethodNotAllowed { allow: "POST" }),
        ("/health", &Method::GET | &Method::HEAD) => Ok(Route::Health),
        ("/health", _) => Err(Problem::MethodNotAllowed { allow: "GET, HEAD" }),
        (path, method) => match (cleaned_zone(path), method) {
            (Some(zone), &Method::POST) => Ok(Route::Cleaned { zone, project: query(parts, "project") }),
            (Some(_), _) => Err(Problem::MethodNotAllowed { allow: "POST" }),
            (None, _) => Err(Problem::NotFound),
        },
    }
}

/// The zone of `/zones/{zone}/cleaned`.
fn cleaned_zone(path: &str) -> Option<String> {
    let zone = path.strip_prefix("/zones/")?.strip_suffix("/cleaned")?;
    let is_one_part = !zone.is_empty() && !zone.contains('/');
    is_one_part.then(|| percent_decode_str(zone).decode_utf8_lossy().into_owned())
}

/// A parameter of the query, where it is there and not empty.
fn query(parts: &Parts, name: &str) -> Option<String> {
    let pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, value)| *key == name && !value.is_empty())?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let mut sent = headers.get_all(CONTENT_ENCODING).iter();
    match (sent.next().map(HeaderValue::as_bytes), sent.next()) {
        (None, _) => Ok(Encoding::Identity),
        (Some(name), None) if name.eq_ignore_ascii_case(b"identity") || name.is_empty() => Ok(Encoding::Identity),
        // RFC 9110 §8.4.1.3: "x-gzip" is the same.
        (Some(name), None) if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
            Ok(Encoding::Gzip)
        }
        _ => Err(Problem::UnsupportedEncoding),
    }
}

fn check_declared_length(headers: &HeaderMap) -> Result<(), Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if declared.is_some_and(|length| length > MAX_ENCODED as u64) { Err(Problem::TooLarge) } else { Ok(()) }
}

async fn read_bounded<B>(body: B) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, MAX_ENCODED).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::TooLarge),
        Err(error) => {
            tracing::warn!(error = %error, "body not received whole");
            Err(Problem::IncompleteBody)
        }
    }
}

fn summary(outcome: &Outcome) -> serde_json::Value {
    json!({
        "batch": outcome.batch.to_string(),
        "received": outcome.received,
        "accepted": outcome.accepted,
        "rejected": outcome.rejected,
        "duplicates": outcome.duplicates,
        "alerts": outcome.alerts,
    })
}

/// The one line that a push leaves in the log.
fn log_summary(outcome: &Outcome, client: &str, context: &RequestContext, started: Instant) {
    let lag = outcome.newest.map(|newest| context.received.duration_since(newest).as_millis());
    tracing::info!(
        batch = %outcome.batch,
        request_id = %context.request_id,
        client,
        received = outcome.received,
        accepted = outcome.accepted,
        rejected = outcome.rejected,
        duplicates = outcome.duplicates,
        repeated = outcome.repeated,
        parked = outcome.parked,
        stale = outcome.stale,
        early = outcome.early,
        alerts = outcome.alerts,
        blocked = outcome.blocked,
        messages = outcome.messages,
        unsent = outcome.unsent,
        late = outcome.late,
        unevaluated = outcome.unevaluated,
        lag_ms = lag.and_then(|lag| i64::try_from(lag).ok()),
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        "push"
    );
}

fn json_response(body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
