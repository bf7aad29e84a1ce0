//! The local server: HTTP/1.1 on one address, with limits of connections, memory and time, and graceful shutdown.
//!
//! | resource | limit | beyond the limit |
//! |---|---|---|
//! | connections | [`ServerLimits::connections`] | wait until one ends; an idle one ends after [`ServerLimits::header_timeout`] |
//! | a response that the client does not read | [`ServerLimits::header_timeout`] | closed |
//! | a request's line and headers | [`LARGEST_HEAD`], [`MOST_HEADERS`], [`ServerLimits::header_timeout`] | 431, or closed |
//! | a request's body | [`MAX_ENCODED`](crate::ingest::decode::MAX_ENCODED), [`ServerLimits::body_timeout`] | 413, 408 |
//! | a body that the handler does not read | 16 MiB, 10 s, [`ServerLimits::body_timeout`] | closed |
//! | all bodies together | the [body budget](App::with_body_budget) | wait, then 503 |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_io_timeout::TimeoutWriter;

use super::called_url;
use crate::domain::state::Channel;
use crate::http::{App, BodyTimeout, Problem};
use crate::ingest::RequestInfo;

/// Largest request line with headers, in bytes. API Gateway accepts 10,240.
pub const LARGEST_HEAD: usize = 32 * 1024;
/// Most headers of a request.
pub const MOST_HEADERS: usize = 100;
/// Most bytes to discard of a body that the handler did not read.
const MOST_DRAINED: usize = 16 * 1024 * 1024;
/// How long discarding may take. It occupies the connection.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Size of the read buffer of a connection, in bytes.
const READ_AHEAD: usize = 64 * 1024;

/// The connection limit and the timeouts of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time.
    pub connections: usize,
    /// How long the headers of a request may take, after the connection or the previous response; and how long a client may not
    /// read a response.
    pub header_timeout: Duration,
    /// How long the body of a request may take after the headers.
    pub body_timeout: Duration,
    /// How long connections stay open for the next request after shutdown begins.
    pub linger: Duration,
    /// How long open requests may take after that.
    pub shutdown_timeout: Duration,
}

impl Default for ServerLimits {
    /// 512 connections, 10 s for headers, 30 s for a body (the timeout of API Gateway), 1 s to linger, 10 s for shutdown.
    fn default() -> Self {
        Self {
            connections: 512,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            linger: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves `app` until `end` completes, then waits for open requests. Returns the number of requests that did not finish in time.
pub async fn serve(app: Arc<App>, listener: TcpListener, limits: ServerLimits, end: impl Future<Output = ()>) -> usize {
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(limits.connections));
    let (started, requests) = (Timestamp::now().as_millisecond(), Arc::new(AtomicU64::new(1)));
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = &mut end => break,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        // Closes connections whose client reads no response.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(limits.header_timeout));
        let (app, requests, connections) = (Arc::clone(&app), Arc::clone(&requests), Arc::clone(&connections));
        let service = service_fn(move |request: Request<Incoming>| {
            // A proxy may terminate TLS.
            let is_tls = request.headers().get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
            let scheme = if is_tls { "https" } else { "http" };
            let context = RequestInfo {
                request_id: format!("{started:x}-{}", requests.fetch_add(1, Ordering::Relaxed)),
                source: peer.ip().to_string(),
                received: Timestamp::now(),
                verified_client: None,
                url: called_url(scheme, request.headers()),
            };
            respond(Arc::clone(&app), request, context, limits.body_timeout, Arc::clone(&connections))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_header_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .max_buf_size(READ_AHEAD)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended");
            }
        });
    }
    // First, so that no response keeps its connection open once new connections are refused.
    connections.close();
    drop(listener);
    if graceful.count() > 0 {
        // Closing a connection now would lose a request that is on its way.
        tokio::time::sleep(limits.linger).await;
    }
    match timeout(limits.shutdown_timeout, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => limits.connections - connections.available_permits(),
    }
}

/// Accepts a connection when there is a permit. Until then, connections wait in the backlog of the system.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // An error means that the semaphore is closed. It never is.
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // A response is one small write. Nagle's algorithm would only delay it.
            stream.set_nodelay(true).ok();
            Some((stream, peer, permit))
        }
        Err(error) => {
            // Most likely no file descriptor is left. Connections that end release theirs.
            tracing::warn!(%error, "connection not accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// Sweeps every `interval`, until it is cancelled. A sweep that fails is logged; the next one continues.
pub async fn sweep_every(app: Arc<App>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        match app.ingest().sweep_due(Timestamp::now()).await {
            Ok(stats) => stats.log(),
            Err(error) => tracing::error!(error = %error.chain(), "sweep not finished"),
        }
    }
}

/// Sends the messages of a background channel whenever there may be some, until it is cancelled.
pub async fn deliver_each(app: Arc<App>, channel: Channel) {
    let mut new_messages = app.ingest().new_messages();
    while new_messages.changed().await.is_ok() {
        match app.ingest().deliver(channel, Timestamp::now()).await {
            Ok(stats) => stats.delivery.log(channel),
            Err(error) => {
                tracing::error!(%channel, error = %error.chain(), "messages not delivered, the next sweep retries")
            }
        }
    }
}

/// Evaluates pending pushes every `interval`, until it is cancelled: those that an earlier process stored before `started`, and
/// those whose evaluation failed. Separate from the sweep, which must not wait for them.
pub async fn evaluate_pending_every(app: Arc<App>, interval: Duration, started: Timestamp) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        if let Err(error) = app.ingest().evaluate_pending(started, Timestamp::now()).await {
            tracing::error!(error = %error.chain(), "pending pushes not evaluated");
        }
    }
}

/// Handles one request in its own task: a panic becomes a 500, and a push is finished even if its client disconnects. The response
/// closes its connection once `connections` is closed.
async fn respond(
    app: Arc<App>,
    request: Request<Incoming>,
    context: RequestInfo,
    body_timeout: Duration,
    connections: Arc<Semaphore>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let request_id = context.request_id.clone();
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let deadline = Instant::now() + body_timeout;
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let request = Request::from_parts(parts, with_deadline(Arc::clone(&body), deadline));
    let handled = tokio::spawn(async move {
        if has_one_host(&request) {
            app.handle(request, context).await
        } else {
            Problem::NotOneHost.response(&context.request_id)
        }
    });
    let mut response = handled.await.unwrap_or_else(|error| {
        tracing::error!(request_id, %error, "handler panicked");
        Problem::Internal.response(&request_id)
    });
    let is_unread = !body.lock().await.is_end_stream();
    if is_unread || is_chunked || connections.is_closed() {
        // A proxy may have used a Content-Length beside Transfer-Encoding, so the next bytes may not be a request (RFC 9112 §6.1).
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // The body of the response owns `sending` until it is sent.
    let (sending, is_sent) = oneshot::channel::<Infallible>();
    if is_unread {
        tokio::spawn(async move {
            let _ = is_sent.await;
            let _ = timeout_at(deadline.min(Instant::now() + DRAIN_TIMEOUT), drain(body)).await;
        });
    }
    Ok(response.map(|body| {
        Full::new(body).map_err(move |never| {
            let _sending = &sending;
            never
        })
    }))
}

/// Whether an HTTP/1.1 request has exactly one `Host` header (RFC 9112 §3.2).
fn has_one_host<B>(request: &Request<B>) -> bool {
    request.version() < Version::HTTP_11 || request.headers().get_all(HOST).iter().count() == 1
}

/// Discards the rest of a body that the handler did not read, after the response. Without this, closing the connection would reset
/// it, and the client would not see the response (RFC 9112 §9.6). Reading before the response would send `100 Continue`.
async fn drain(body: Arc<Mutex<Incoming>>) {
    let mut body = body.lock().await;
    let mut drained = 0;
    while drained < MOST_DRAINED
        && let Some(Ok(frame)) = body.frame().await
    {
        drained += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// The body, ended with [`BodyTimeout`] at `deadline`.
fn with_deadline(
    body: Arc<Mutex<Incoming>>,
    deadline: Instant,
) -> impl Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Send {
    let next = move |body: Arc<Mutex<Incoming>>| async move {
        let frame = match timeout_at(deadline, async { body.lock().await.frame().await }).await {
            Ok(None) => return None,
            Ok(Some(frame)) => frame.map_err(Into::into),
            Err(_) => Err(BodyTimeout.into()),
        };
        Some((frame, body))
    };
    StreamBody::new(stream::unfold(body, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests with clients use shorter timeouts.
    #[test]
    fn the_default_limits_are_those_of_the_documentation() {
        let ServerLimits { connections, header_timeout, body_timeout, linger, shutdown_timeout } =
            ServerLimits::default();
        assert_eq!(connections, 512);
        let timeouts = [header_timeout, body_timeout, linger, shutdown_timeout];
        assert_eq!(timeouts, [10, 30, 1, 10].map(Duration::from_secs));
    }
}
