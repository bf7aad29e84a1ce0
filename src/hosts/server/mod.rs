//! A server on one address: HTTP/1.1, bounded in connections, in memory and in how long it waits, ended gracefully.
//!
//! | what | bound | beyond it |
//! |---|---|---|
//! | connections | [`Bounds::connections`] | wait until one ends; an idle one ends after [`Bounds::headers_within`] |
//! | an answer that the client does not read | [`Bounds::headers_within`] | closed |
//! | a request's line and headers | [`LARGEST_HEAD`], [`MOST_HEADERS`], [`Bounds::headers_within`] | 431, or closed |
//! | a request's body | [`MAX_ENCODED`](crate::ingest::decode::MAX_ENCODED), [`Bounds::body_within`] | 413, 408 |
//! | a body that the handler did not want | 16 MiB, 10 s, [`Bounds::body_within`] | closed |
//! | all bodies together | the [body budget](App::with_body_budget) | wait; 503 when the time is over |

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

use crate::http::{App, BodyTimeout, Problem};
use crate::ingest::RequestInfo;

/// Most bytes of a request's line and headers together; API Gateway takes 10,240.
pub const LARGEST_HEAD: usize = 32 * 1024;
/// Most headers of a request.
pub const MOST_HEADERS: usize = 100;
/// Most bytes of a body that the handler did not want, which are read so that the client gets its answer.
const MOST_DRAINED: usize = 16 * 1024 * 1024;
/// How long that takes at most. Meanwhile the connection is not free for others.
const DRAINED_WITHIN: Duration = Duration::from_secs(10);
/// Most bytes that are read from a connection before they are looked at.
const READ_AHEAD: usize = 64 * 1024;

/// How many connections a server has at a time, and how long it waits for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time.
    pub connections: usize,
    /// How long the headers of a request may take, from the connection's beginning or the answer before it on; and how long a
    /// client may read nothing of an answer.
    pub headers_within: Duration,
    /// How long the body of a request may take after its headers.
    pub body_within: Duration,
    /// How long requests that have begun may take once the end is asked for.
    pub end_within: Duration,
}

impl Default for Bounds {
    /// 512 connections, 10 s for headers, 30 s for a body (as long as API Gateway waits for an answer), 10 s to end.
    fn default() -> Self {
        Self {
            connections: 512,
            headers_within: Duration::from_secs(10),
            body_within: Duration::from_secs(30),
            end_within: Duration::from_secs(10),
        }
    }
}

/// Serves `app` on `listener` within `bounds` until `end` completes, then lets the requests that have begun finish, for as
/// long as the bounds say. Returns how many were cut off.
pub async fn serve(app: Arc<App>, listener: TcpListener, bounds: Bounds, end: impl Future<Output = ()>) -> usize {
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(bounds.connections));
    let ids = Arc::new(RequestIds::new());
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = &mut end => break,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        // Without it, a client that reads no answers would keep its connection for good.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(bounds.headers_within));
        let (app, ids) = (Arc::clone(&app), Arc::clone(&ids));
        let answer = service_fn(move |request: Request<Incoming>| {
            answer(Arc::clone(&app), request, ids.context(peer), bounds.body_within)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.headers_within)
            .max_header_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .max_buf_size(READ_AHEAD)
            .serve_connection(TokioIo::new(Box::pin(stream)), answer);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended");
            }
        });
    }
    drop(listener);
    let unfinished = graceful.count();
    match timeout(bounds.end_within, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => unfinished,
    }
}

/// The next connection, once there is a permit for it. The system holds those that come meanwhile.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // Fails only if the semaphore is closed, which it never is.
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // An answer is one small write; waiting to fill a packet would only delay it.
            stream.set_nodelay(true).ok();
            Some((stream, peer, permit))
        }
        Err(error) => {
            // Out of file descriptors, most likely; they come back as connections end.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// Does what is due, every `interval` until it is cancelled. What fails is logged and tried again at the next turn.
pub async fn sweep_every(app: Arc<App>, interval: Duration) {
    let mut turns = tokio::time::interval(interval);
    loop {
        turns.tick().await;
        match app.ingest().sweep_due(Timestamp::now()).await {
            Ok(swept) => swept.log(),
            Err(error) => tracing::error!(error = %error.chain(), "sweep not finished"),
        }
    }
}

/// Evaluates pending pushes, every `interval` until it is cancelled: those that were stored before `started`, by an earlier
/// process, and those that could not be evaluated when they came. They may take long, and no sweep waits for them.
pub async fn finish_every(app: Arc<App>, interval: Duration, started: Timestamp) {
    let mut turns = tokio::time::interval(interval);
    loop {
        turns.tick().await;
        if let Err(error) = app.ingest().evaluate_pending(started, Timestamp::now()).await {
            tracing::error!(error = %error.chain(), "pending pushes not all evaluated");
        }
    }
}

/// Answers one request in a task of its own, so that a fault of ours is a 500 and neither ends the connection unanswered
/// nor stops, halfway, a push whose sender has hung up.
async fn answer(
    app: Arc<App>,
    request: Request<Incoming>,
    context: RequestInfo,
    body_within: Duration,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let request_id = context.request_id.clone();
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let deadline = Instant::now() + body_within;
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let request = Request::from_parts(parts, arriving(Arc::clone(&body), deadline));
    let handled = tokio::spawn(async move {
        if has_one_host(&request) {
            app.handle(request, context).await
        } else {
            Problem::NotOneHost.response(&context.request_id)
        }
    });
    let mut response = handled.await.unwrap_or_else(|fault| {
        tracing::error!(request_id, %fault, "the handler failed");
        Problem::Internal.response(&request_id)
    });
    let is_unread = !body.lock().await.is_end_stream();
    if is_unread || is_chunked {
        // A length beside it is passed over, as it has to be, and what follows is not another request then: whoever is in
        // front of us may have gone by the length (RFC 9112 §6.1).
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // The answer's body holds this until it is sent.
    let (sending, is_sent) = oneshot::channel::<Infallible>();
    if is_unread {
        tokio::spawn(async move {
            let _ = is_sent.await;
            let _ = timeout_at(deadline.min(Instant::now() + DRAINED_WITHIN), drain(body)).await;
        });
    }
    Ok(response.map(|answer| {
        Full::new(answer).map_err(move |never| {
            let _sending = &sending;
            never
        })
    }))
}

/// Whether the request names its host once, as HTTP/1.1 has it (RFC 9112 §3.2).
fn has_one_host<B>(request: &Request<B>) -> bool {
    request.version() < Version::HTTP_11 || request.headers().get_all(HOST).iter().count() == 1
}

/// Reads what is left of a body that the handler did not want. A connection that is closed while its client still sends is
/// reset, and the client never sees the answer (RFC 9112 §9.6). Only after the answer: a client that waits for `100 Continue`
/// would get it if its body was read before.
async fn drain(body: Arc<Mutex<Incoming>>) {
    let mut body = body.lock().await;
    let mut drained = 0;
    while drained < MOST_DRAINED
        && let Some(Ok(frame)) = body.frame().await
    {
        drained += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// `body` as it arrives, cut off with [`BodyTimeout`] at `deadline`.
fn arriving(
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

/// Ids for requests: the start of the process and a number.
struct RequestIds {
    start: i64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        Self { start: Timestamp::now().as_millisecond(), next: AtomicU64::new(1) }
    }

    fn context(&self, peer: SocketAddr) -> RequestInfo {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        RequestInfo {
            request_id: format!("{:x}-{number}", self.start),
            source: peer.ip().to_string(),
            received: Timestamp::now(),
            verified_client: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests that wait for a client set shorter times.
    #[test]
    fn the_server_waits_ten_seconds_for_headers_and_thirty_for_a_body() {
        let Bounds { connections, headers_within, body_within, end_within } = Bounds::default();
        assert_eq!(connections, 512);
        let waits = [headers_within, body_within, end_within];
        assert_eq!(waits, [10, 30, 10].map(Duration::from_secs));
    }
}
