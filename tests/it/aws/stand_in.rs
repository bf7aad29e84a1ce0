//! A server on the loopback in the location of S3, SNS and Secrets Manager.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use smartclean_push::adapters::aws::https::Trust;
use smartclean_push::adapters::aws::with_timeouts;
use tokio::net::TcpListener;

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct ReceivedRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl ReceivedRequest {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body of a form, which is what SNS is sent.
    pub(super) fn form(&self) -> BTreeMap<String, String> {
        let decode = |text: &str| {
            let mut bytes = Vec::new();
            let mut rest = text.bytes();
            while let Some(byte) = rest.next() {
                bytes.push(match byte {
                    b'+' => b' ',
                    b'%' => {
                        let digits = [rest.next().unwrap(), rest.next().unwrap()];
                        u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                    }
                    byte => byte,
                });
            }
            String::from_utf8(bytes).unwrap()
        };
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (decode(name), decode(value))).collect()
    }
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The connection is closed without an answer.
    Reset,
    /// No answer ever comes.
    Silence,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

type Answering = dyn Fn(&ReceivedRequest, usize) -> Reply + Send + Sync;

/// The server, its requests noted in order. It ends with the test.
pub(super) struct StandIn {
    endpoint: String,
    seen: Arc<Mutex<Vec<ReceivedRequest>>>,
    most_at_once: Arc<AtomicUsize>,
}

impl StandIn {
    /// Answers as `answer` says, which is told the request and how many came before it.
    pub(super) async fn answering(answer: impl Fn(&ReceivedRequest, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stand_in = Self { endpoint, seen: Arc::default(), most_at_once: Arc::default() };
        let answer: Arc<Answering> = Arc::new(answer);
        let (seen, most_at_once, at_once) =
            (Arc::clone(&stand_in.seen), Arc::clone(&stand_in.most_at_once), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, most_at_once, at_once, answer) =
                    (Arc::clone(&seen), Arc::clone(&most_at_once), Arc::clone(&at_once), Arc::clone(&answer));
                let service = service_fn(move |request| {
                    let (seen, most_at_once, at_once, answer) =
                        (Arc::clone(&seen), Arc::clone(&most_at_once), Arc::clone(&at_once), Arc::clone(&answer));
                    async move {
                        most_at_once.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        let response = respond(request, &seen, &*answer).await;
                        at_once.fetch_sub(1, Ordering::SeqCst);
                        response
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        stand_in
    }

    /// Gives these replies in order, the last one for ever.
    pub(super) async fn replying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<_> = replies.into_iter().collect();
        Self::answering(move |_, before| replies[before.min(replies.len() - 1)].clone()).await
    }

    /// The SDK's configuration with the product's own limits, all requests sent here.
    pub(super) async fn config(&self) -> SdkConfig {
        config(&self.endpoint).await
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn seen(&self) -> Vec<ReceivedRequest> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }
}

pub(super) async fn config(endpoint: &str) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("ap-southeast-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint);
    with_timeouts(loader, Trust::Mozilla).unwrap().load().await
}

async fn respond(
    request: http::Request<Incoming>,
    seen: &Mutex<Vec<ReceivedRequest>>,
    answer: &Answering,
) -> Result<Response<Full<Bytes>>, Gone> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let request = ReceivedRequest { method: parts.method.to_string(), path, headers: parts.headers, body };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    // Long enough for others to come meanwhile.
    tokio::time::sleep(Duration::from_millis(5)).await;
    match answer(&request, before) {
        Reply::Answer { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(Bytes::from(body))).unwrap())
        }
        Reply::Reset => Err(Gone),
        Reply::Silence => match pending::<Infallible>().await {},
    }
}

/// Ends the connection.
#[derive(Debug, thiserror::Error)]
#[error("told to go")]
struct Gone;
