//! A server on one address: HTTP/1.1, bounded in connections, in memory and in how long it waits, ended gracefully.
//!
//! | what | bound | beyond it |
//! |---|---|---|
//! | connections | [`Bounds::connections`] | who has kept us waiting longest is closed, after a second at least |
//! | a request's line and headers | [`LARGEST_HEAD`], [`MOST_HEADERS`], [`Bounds::headers_within`] | 431, or closed |
//! | a request's body | [`MAX_ENCODED`](crate::ingest::decode::MAX_ENCODED), [`Bounds::body_within`] | 413, 408 |
//! | all bodies together | 64 KiB each, and [`Bounds::room`] for what is beyond that | waits; 503 when its time is over |

mod arriving;
mod places;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};

use self::arriving::{Held, Room, arriving};
use self::places::{Place, Places};
use crate::http::{App, Problem, RequestContext};
use crate::ingest::ports::{AlertPublisher, CredentialSource, RawStore, RuleSource, StateStore};

/// Most bytes of a request's line and headers together; API Gateway takes 10,240.
pub const LARGEST_HEAD: usize = 32 * 1024;
/// Most headers of a request.
pub const MOST_HEADERS: usize = 100;
/// Most bytes that are read from a connection before they are looked at.
const READ_AHEAD: usize = 64 * 1024;

/// What a server bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time.
    pub connections: usize,
    /// How long the headers of a request may take, from the connection's beginning or the answer before it on.
    pub headers_within: Duration,
    /// How long the body of a request may take after its headers.
    pub body_within: Duration,
    /// Bytes of bodies that are held at a time, beyond 64 KiB of each.
    pub room: usize,
    /// How long requests that have begun may take once the end is asked for.
    pub end_within: Duration,
}

impl Default for Bounds {
    /// 512 connections, 10 s for headers, 30 s for a body (as long as API Gateway waits for an answer), 128 MiB for
    /// bodies (twelve of the largest), 10 s to end.
    fn default() -> Self {
        Self {
            connections: 512,
            headers_within: Duration::from_secs(10),
            body_within: Duration::from_secs(30),
            room: 128 << 20,
            end_within: Duration::from_secs(10),
        }
    }
}

/// Serves `app` on `listener` within `bounds` until `end` completes, then lets the requests that have begun finish, for as
/// long as the bounds say. Returns how many were cut off.
pub async fn serve<S, T, P, R, C>(
    app: Arc<App<S, T, P, R, C>>,
    listener: TcpListener,
    bounds: Bounds,
    end: impl Future<Output = ()>,
) -> usize
where
    S: RawStore + 'static,
    T: StateStore + 'static,
    P: AlertPublisher + 'static,
    R: RuleSource + 'static,
    C: CredentialSource + 'static,
{
    let graceful = GracefulShutdown::new();
    let (places, room) = (Places::new(bounds.connections), Room::new(bounds.room));
    let ids = Arc::new(RequestIds::new());
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut end => break,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let (app, ids, room, place) = (Arc::clone(&app), Arc::clone(&ids), room.clone(), Arc::new(place));
        let at = Arc::clone(&place);
        let answer = service_fn(move |request: Request<Incoming>| {
            let arrival = Arrival { place: Arc::clone(&at), room: room.clone(), within: bounds.body_within };
            answer(Arc::clone(&app), request, ids.context(peer), arrival)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.headers_within)
            .max_header_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .max_buf_size(READ_AHEAD)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                }
                () = place.asked_to_leave() => tracing::debug!(%peer, "connection gave way to another"),
            }
        });
    }
    drop(listener);
    let unfinished = graceful.count();
    match tokio::time::timeout(bounds.end_within, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => unfinished,
    }
}

/// The next connection, and a place for it. The system holds those that come meanwhile.
async fn accept(listener: &TcpListener, places: &Arc<Places>) -> Option<(TcpStream, SocketAddr, Place)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // An answer is one small write; waiting to fill a packet would only delay it.
            stream.set_nodelay(true).ok();
            Some((stream, peer, places.take().await))
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
pub async fn sweep_every<S, T, P, R, C>(app: Arc<App<S, T, P, R, C>>, interval: Duration)
where
    S: RawStore,
    T: StateStore,
    P: AlertPublisher,
    R: RuleSource,
    C: CredentialSource,
{
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
pub async fn finish_every<S, T, P, R, C>(app: Arc<App<S, T, P, R, C>>, interval: Duration, started: Timestamp)
where
    S: RawStore,
    T: StateStore,
    P: AlertPublisher,
    R: RuleSource,
    C: CredentialSource,
{
    let mut turns = tokio::time::interval(interval);
    loop {
        turns.tick().await;
        if let Err(error) = app.ingest().finish_begun(started, Timestamp::now()).await {
            tracing::error!(error = %error.chain(), "pending pushes not all evaluated");
        }
    }
}

/// How a request's body gets here.
struct Arrival {
    place: Arc<Place>,
    room: Room,
    within: Duration,
}

/// Answers one request in a task of its own, so that a fault of ours is a 500 and neither ends the connection unanswered
/// nor stops, halfway, a push whose sender has hung up.
async fn answer<S, T, P, R, C>(
    app: Arc<App<S, T, P, R, C>>,
    request: Request<Incoming>,
    context: RequestContext,
    arrival: Arrival,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    S: RawStore + 'static,
    T: StateStore + 'static,
    P: AlertPublisher + 'static,
    R: RuleSource + 'static,
    C: CredentialSource + 'static,
{
    let Arrival { place, room, within } = arrival;
    let (request_id, held) = (context.request_id.clone(), Held::default());
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    if request.body().is_end_stream() {
        place.serve();
    } else {
        place.await_client();
    }
    let request = request.map(|body| arriving(body, within, room, held.clone(), Arc::clone(&place)));
    let handled = tokio::spawn(async move {
        let response = app.handle(request, context).await;
        drop(held);
        response
    });
    let mut response = handled.await.unwrap_or_else(|fault| {
        tracing::error!(request_id, %fault, "the handler failed");
        Problem::Internal.response(&request_id)
    });
    if is_chunked {
        // A length beside it is passed over, as it has to be, and what follows is not another request then: whoever is in
        // front of us may have gone by the length (RFC 9112 §6.1).
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    place.await_client();
    Ok(response.map(Full::new))
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

    fn context(&self, peer: SocketAddr) -> RequestContext {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        RequestContext {
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
        let Bounds { connections, headers_within, body_within, room, end_within } = Bounds::default();
        assert_eq!((connections, room), (512, 128 * 1024 * 1024));
        let waits = [headers_within, body_within, end_within];
        assert_eq!(waits, [10, 30, 10].map(Duration::from_secs));
    }
}
