//! A TCP port that can be closed, so that connections are refused, and opened again.

use std::net::SocketAddr;
use std::sync::Mutex;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::task::{AbortHandle, JoinSet};

/// Requests that wait to be accepted.
const BACKLOG: u32 = 256;

/// A port that stays reserved while it is closed.
#[derive(Debug)]
pub(crate) struct TestPort {
    address: SocketAddr,
    /// Bound to the port and never listening, so that no other process gets it while it is closed.
    _anchor: TcpSocket,
    listening: Mutex<Option<AbortHandle>>,
}

impl TestPort {
    /// A free port, closed.
    pub(crate) fn new() -> Self {
        let anchor = socket(([127, 0, 0, 1], 0).into());
        Self { address: anchor.local_addr().unwrap(), _anchor: anchor, listening: Mutex::new(None) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.listening.lock().unwrap().is_some()
    }

    /// Ends all connections, and refuses new ones.
    pub(crate) fn close(&self) {
        if let Some(listening) = self.listening.lock().unwrap().take() {
            listening.abort();
        }
    }

    /// Handles requests with `respond`; if that fails, the connection is reset.
    pub(crate) fn open<F, R, E>(&self, respond: F)
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let mut listening = self.listening.lock().unwrap();
        if listening.is_some() {
            return;
        }
        let listener = socket(self.address).listen(BACKLOG).unwrap();
        let task = tokio::spawn(async move {
            // Ended with the task.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                stream.set_nodelay(true).unwrap();
                // Closed by a reset, as if the machine had failed.
                stream.set_zero_linger().unwrap();
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond.clone()));
                connections.spawn(async move { drop(connection.await) });
                while connections.try_join_next().is_some() {}
            }
        });
        *listening = Some(task.abort_handle());
    }
}

impl Drop for TestPort {
    fn drop(&mut self) {
        self.close();
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}
