//! The handler with everything around it in memory, as every target finds it.

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

use super::memory::{MemoryPublisher, MemoryState, MemoryStore};
use super::{json, limits};

/// Who may push, and by which password. The first is who does where it does not matter who.
pub(super) const CLIENTS: [(&str, &str); 2] = [("smartclean", "s3cret-Pa55"), ("naïve", "p:ss wörd:")];
pub(super) const SIGNING_KEY: &str = "a-key-of-thirty-two-bytes-or-more";
pub(super) const HUB_KEY_NAME: &str = "send key";
pub(super) const HUB_KEY: &str = "c2VjcmV0IGtleQ==";
pub(super) const HOST: &str = "push.example.com";
/// When everything takes place: 2026-11-23T10:00:00Z, in seconds since 1970.
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

/// A world in which nothing has happened yet.
pub(super) struct World {
    pub(super) store: MemoryStore,
    publisher: MemoryPublisher,
    pub(super) app: App,
}

impl World {
    /// With every auth method enabled.
    pub(super) fn new() -> Self {
        let (store, publisher) = (MemoryStore::default(), MemoryPublisher::default());
        let rules = Arc::clone(&RULES);
        let ingest = Ingest::new(Environment {
            store: Box::new(store.clone()),
            journal: None,
            state: Box::new(MemoryState::default()),
            publisher: Box::new(publisher.clone()),
            rules: Box::new(rules),
        });
        let auth_methods = "basic,oauth,event-hub,iot".parse().expect("the list is valid");
        let authenticator = Authenticator::new(Box::new(Arc::clone(&CREDENTIALS))).with_auth_methods(auth_methods);
        Self { store, publisher, app: App::new(ingest, authenticator) }
    }

    /// The answer to a request. Whatever it was, what is stored then are lines of JSON, and what is said keeps to its limits.
    pub(super) fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let source = "203.0.113.7".into();
        let context = RequestInfo { request_id: "request-1".into(), source, received: now(), verified_client: None };
        let answer = wait(self.app.handle(request, context));
        for (key, object) in self.store.objects() {
            let lines = unpack(&object.bytes).expect("what was packed here");
            assert!(lines.lines().all(json::is_object), "{key}: {lines}");
        }
        self.publisher.sent().iter().for_each(limits::check);
        answer
    }

    /// What is said of a body that the right client pushes.
    pub(super) fn push(&self, body: impl Into<Bytes>) -> Value {
        let request = request("/push", basic().as_bytes()).expect("a header");
        let answer = self.send(request.body(Full::new(body.into())).expect("a request"));
        assert_eq!(answer.status(), 200, "{answer:?}");
        serde_json::from_slice(answer.body()).expect("JSON")
    }
}

/// The first client's header.
pub(super) fn basic() -> String {
    let (username, password) = CLIENTS[0];
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// What `work` comes to.
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

/// A request with this `Authorization` header; `None` where no header can hold these bytes, which then never arrive.
pub(super) fn request(path: &str, authorization: &[u8]) -> Option<http::request::Builder> {
    let value = http::HeaderValue::from_bytes(authorization).ok()?;
    Some(Request::post(path).header("host", HOST).header("authorization", value))
}
