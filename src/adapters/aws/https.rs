//! The HTTPS client for AWS and the heartbeat.
//!
//! `aws-smithy-http-client` is not used: it takes root certificates only as PEM and parses them once per protocol, which adds
//! 1.3 ms to each start of the function. The certificates here are compiled in as parsed.

use std::io;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// How long an unused connection is kept. While Lambda freezes the function, a connection can end unnoticed; the first request
/// over it waits until its attempt times out.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection is silent before TCP sends a keep-alive probe.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// An HTTP/1.1 client, with TLS for `https:` addresses.
pub(super) type HttpsClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// The root certificates to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The machine's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Reading them takes milliseconds.
    Machine,
    /// Mozilla's, compiled in, which most machines have too. They take no time to read.
    Mozilla,
}

/// Creates a client with its own connection pool. `connect_timeout` is for TCP, before TLS.
///
/// # Errors
/// If the machine's certificates are to be used, and it has none.
pub(super) fn client<B>(trust: Trust, connect_timeout: Duration) -> io::Result<HttpsClient<B>>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let provider = rustls::crypto::ring::default_provider();
    let https = HttpsConnectorBuilder::new();
    let https = match trust {
        Trust::Machine => https.with_provider_and_native_roots(provider)?,
        Trust::Mozilla => https.with_provider_and_webpki_roots(provider).map_err(io::Error::other)?,
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Requests are written in one piece: there is nothing to wait for.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp.set_keepalive(Some(KEEP_ALIVE));
    let https = https.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT).build(https))
}
