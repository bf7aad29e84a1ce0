//! HTTPS towards AWS.
//!
//! `aws-smithy-http-client` would do the same. It takes root certificates as PEM only and parses them for each protocol that it
//! offers: 1.3 ms more at each start of the function than certificates that are compiled in parsed.

use std::io;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// How long an unused connection is kept. While Lambda freezes the function, a connection can end without a sign of it; the
/// first request over such a connection waits until its attempt times out.
const IDLE_WITHIN: Duration = Duration::from_secs(20);
/// How long a connection is silent before TCP asks whether its other end is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A client that speaks HTTP/1.1, with TLS where the address says so.
pub(super) type HttpsClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// Whose certificates are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that this machine trusts, or that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Reading them takes milliseconds.
    Machine,
    /// Those that Mozilla trusts, as compiled in: what a machine has in general, at no time at all.
    Mozilla,
}

impl Trust {
    /// The function's: it waits for no file unless its environment names one.
    #[must_use]
    pub fn of_function(names_certificates: bool) -> Self {
        if names_certificates { Self::Machine } else { Self::Mozilla }
    }
}

/// A client with connections of its own. `connecting` is the longest that reaching a server takes, before TLS.
///
/// # Errors
/// Where this machine is asked for its certificates, and has none.
pub(super) fn client<B>(trust: Trust, connecting: Duration) -> io::Result<HttpsClient<B>>
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
    // What is sent is whole, and waits for nothing.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connecting));
    tcp.set_keepalive(Some(KEEP_ALIVE));
    let https = https.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_WITHIN).build(https))
}
