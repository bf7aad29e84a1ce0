//! The handler with all ports in memory, as every target uses it.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Value;
use smartclean_push::auth::Credentials;
use smartclean_push::domain::archive::unpack;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::http::{App, Authenticator};
use smartclean_push::ingest::{Environment, Ingest, RequestInfo};
use tokio::runtime::{Builder, Runtime};

use super::{json, limits};
use crate::memory::{MemoryPublisher, MemoryState, MemoryStore};

/// Usernames and passwords. Targets use the first one unless the client matters.
pub(super) const CLIENTS: [(&str, &str); 2] = [("smartclean", "s3cret-Pa55"), ("naïve", "p:ss wörd:")];
pub(super) const SIGNING_KEY: &str = "a-key-of-thirty-two-bytes-or-more";
pub(super) const HUB_KEY_NAME: &str = "send key";
pub(super) const HUB_KEY: &str = "c2VjcmV0IGtleQ==";
pub(super) const HOST: &str = "push.example.com";
/// The time of all requests: 2026-11-23T10:00:00Z, in seconds since 1970.
pub(super) const NOW: i64 = 1_795_428_000;

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::pack()));
static CREDENTIALS: LazyLock<Arc<Credentials>> = LazyLock::new(|| {
    let clients = CLIENTS.map(|(username, password)| serde_json::json!({ "username": username, "password": password }));
    let hub_keys = serde_json::json!({ HUB_KEY_NAME: HUB_KEY });
    let json = serde_json::json!({ "clients": clients, "signing_key": SIGNING_KEY, "event_hub_keys": hub_keys });
    Arc::new(Credentials::parse(&json.to_string()).expect("credentials"))
});
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// A handler without earlier state.
pub(super) struct FuzzApp {
    pub(super) store: MemoryStore,
    publisher: MemoryPublisher,
    pub(super) app: App,
}

impl FuzzApp {
    /// Creates a handler with all auth methods.
    pub(super) fn new() -> Self {
        let (store, publisher) = (MemoryStore::default(), MemoryPublisher::default());
        let rules = Arc::clone(&RULES);
        let ingest = Ingest::new(Environment {
            store: Box::new(store.clone()),
            journal: None,
            state: Box::new(MemoryState::default()),
            replay_rate_limit: None,
            publisher: Box::new(publisher.clone()),
            background: Vec::new(),
            rules: Box::new(rules),
        });
        let auth_methods = "basic,oauth,event-hub,iot".parse().expect("the list is valid");
        let authenticator = Authenticator::new(Box::new(Arc::clone(&CREDENTIALS))).with_auth_methods(auth_methods);
        Self { store, publisher, app: App::new(ingest, authenticator) }
    }

    /// Sends a request. Panics if a stored line is not JSON, or if a message exceeds its limits.
    pub(super) fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let source = "203.0.113.7".into();
        let context =
            RequestInfo { request_id: "request-1".into(), source, received: now(), verified_client: None, url: None };
        let response = wait(self.app.handle(request, context));
        for (key, object) in self.store.objects() {
            let lines = unpack(&object.bytes).expect("the handler packed it");
            assert!(lines.lines().all(json::is_object), "{key}: {lines}");
        }
        self.publisher.sent().iter().for_each(limits::check);
        response
    }

    /// The response to a push with valid credentials.
    pub(super) fn push(&self, body: impl Into<Bytes>) -> Value {
        let request = request("/push", basic().as_bytes()).expect("a header");
        let response = self.send(request.body(Full::new(body.into())).expect("a request"));
        assert_eq!(response.status(), 200, "{response:?}");
        serde_json::from_slice(response.body()).expect("JSON")
    }
}

/// The first client's header.
pub(super) fn basic() -> String {
    let (username, password) = CLIENTS[0];
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// Runs `work` to its end.
pub(super) fn wait<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.block_on(work)
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

pub(super) fn pack() -> &'static RuleSet {
    &RULES
}

pub(super) fn credentials() -> &'static Credentials {
    &CREDENTIALS
}

/// A request with this `Authorization` header; `None` if a header cannot contain these bytes.
pub(super) fn request(path: &str, authorization: &[u8]) -> Option<http::request::Builder> {
    let value = http::HeaderValue::from_bytes(authorization).ok()?;
    Some(Request::post(path).header("host", HOST).header("authorization", value))
}
