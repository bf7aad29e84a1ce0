//! A server on the loopback interface in place of S3, SNS, DynamoDB, SQS and Secrets Manager.

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

/// A received request.
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

    /// The fields of a form body, as SNS receives it.
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

/// The reaction to a request.
#[derive(Clone, Debug)]
pub(super) enum MockReply {
    Response {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    },
    /// The connection is closed without a response.
    Reset,
    /// No response is ever sent.
    Silence,
}

impl MockReply {
    pub(super) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self::Response { status, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Response { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

type Respond = dyn Fn(&ReceivedRequest, usize) -> MockReply + Send + Sync;

/// The server, which records its requests in order. It ends with the test.
pub(super) struct MockService {
    endpoint: String,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    most_at_once: Arc<AtomicUsize>,
}

impl MockService {
    /// Replies with the result of `respond`, which gets the request and the number of earlier ones.
    pub(super) async fn responding(
        respond: impl Fn(&ReceivedRequest, usize) -> MockReply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = Self { endpoint, requests: Arc::default(), most_at_once: Arc::default() };
        let respond: Arc<Respond> = Arc::new(respond);
        let (requests, most_at_once, at_once) =
            (Arc::clone(&service.requests), Arc::clone(&service.most_at_once), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (requests, most_at_once, at_once, respond) =
                    (Arc::clone(&requests), Arc::clone(&most_at_once), Arc::clone(&at_once), Arc::clone(&respond));
                let service = service_fn(move |request| {
                    let (requests, most_at_once, at_once, respond) =
                        (Arc::clone(&requests), Arc::clone(&most_at_once), Arc::clone(&at_once), Arc::clone(&respond));
                    async move {
                        most_at_once.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        let response = handle(request, &requests, &*respond).await;
                        at_once.fetch_sub(1, Ordering::SeqCst);
                        response
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        service
    }

    /// Sends these replies in order, then the last one again and again.
    pub(super) async fn replying(replies: impl IntoIterator<Item = MockReply>) -> Self {
        let replies: Vec<_> = replies.into_iter().collect();
        Self::responding(move |_, before| replies[before.min(replies.len() - 1)].clone()).await
    }

    /// The SDK's configuration with the product's timeouts and this server as the endpoint.
    pub(super) async fn config(&self) -> SdkConfig {
        config(&self.endpoint).await
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
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

async fn handle(
    request: http::Request<Incoming>,
    requests: &Mutex<Vec<ReceivedRequest>>,
    respond: &Respond,
) -> Result<Response<Full<Bytes>>, ConnectionClosed> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let request = ReceivedRequest { method: parts.method.to_string(), path, headers: parts.headers, body };
    let before = {
        let mut requests = requests.lock().unwrap();
        requests.push(request.clone());
        requests.len() - 1
    };
    // Long enough for concurrent requests to arrive.
    tokio::time::sleep(Duration::from_millis(5)).await;
    match respond(&request, before) {
        MockReply::Response { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(body)).unwrap())
        }
        MockReply::Reset => Err(ConnectionClosed),
        MockReply::Silence => match pending::<Infallible>().await {},
    }
}

/// Closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("closed by the test")]
struct ConnectionClosed;
