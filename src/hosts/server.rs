//! A server on one address: HTTP/1.1, bounded in connections and in how long it waits, ended gracefully.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::http::{App, Problem, RequestContext};
use crate::ingest::ports::{AlertPublisher, CredentialSource, RawStore, RuleSource, StateStore};

/// Connections served at a time; further ones wait to be accepted. Each holds at most one body.
const MAX_CONNECTIONS: usize = 512;
/// How long the headers of a request may take.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// How long requests that have begun may take once the end is asked for.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Serves `app` on `listener` until `end` completes, then lets the requests that have begun finish, for at most ten
/// seconds. Returns how many were cut off.
pub async fn serve<S, T, P, R, C>(
    app: Arc<App<S, T, P, R, C>>,
    listener: TcpListener,
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
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let ids = Arc::new(RequestIds::new());
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut end => break,
        };
        let Some((slot, stream, peer)) = accepted else { continue };
        let (app, ids) = (Arc::clone(&app), Arc::clone(&ids));
        let answer = service_fn(move |request| answer(Arc::clone(&app), request, ids.context(peer)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    let unfinished = graceful.count();
    match tokio::time::timeout(END_WITHIN, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => unfinished,
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(tokio::sync::OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // An answer is one small write; waiting to fill a packet would only delay it.
            stream.set_nodelay(true).ok();
            Some((slot, stream, peer))
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
        match app.ingest().sweep(Timestamp::now()).await {
            Ok(swept) => swept.log(),
            Err(error) => tracing::error!(error = %error.chain(), "sweep not finished"),
        }
    }
}

/// Answers one request in a task of its own, so that a fault of ours is a 500 and neither ends the connection unanswered
/// nor stops, halfway, a push whose sender has hung up.
async fn answer<S, T, P, R, C>(
    app: Arc<App<S, T, P, R, C>>,
    request: Request<Incoming>,
    context: RequestContext,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    S: RawStore + 'static,
    T: StateStore + 'static,
    P: AlertPublisher + 'static,
    R: RuleSource + 'static,
    C: CredentialSource + 'static,
{
    let request_id = context.request_id.clone();
    let response = tokio::spawn(async move { app.handle(request, context).await }).await.unwrap_or_else(|fault| {
        tracing::error!(request_id, %fault, "the handler failed");
        Problem::Internal.response(&request_id)
    });
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
        }
    }
}
