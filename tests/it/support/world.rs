//! The program with all ports in memory, except those that a test replaces.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Value;
use smartclean_push::auth::{AuthMethods, Client, Credentials, Secret};
use smartclean_push::domain::archive::unpack;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::http::{App, Authenticator};
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::ports::{AlertPublisher, Journal, RawStore, RuleSource, StateStore};
use smartclean_push::ingest::{Environment, Ingest, PushError, PushOutcome, RequestInfo};

use super::memory::{MemoryPublisher, MemoryState, MemoryStore};
use super::{PASSWORD, USERNAME, now, push_request};

/// The built-in rules, parsed once for hundreds of tests.
static PACK: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::pack()));

/// Credentials of the one client [`USERNAME`] with [`PASSWORD`].
pub(crate) fn one_client() -> Arc<Credentials> {
    let client = Client { username: USERNAME.into(), password: Secret::new(PASSWORD.into()) };
    Arc::new(Credentials::from_clients(vec![client]).unwrap())
}

/// The parts of a program. By default all ports are in memory, the rules are the built-in ones, and [`one_client`] may push.
pub(crate) struct World {
    environment: Environment,
    authenticator: Authenticator,
    store: MemoryStore,
    state: MemoryState,
    publisher: MemoryPublisher,
}

impl World {
    pub(crate) fn new() -> Self {
        let (store, state, publisher) = (MemoryStore::default(), MemoryState::default(), MemoryPublisher::default());
        let environment = Environment {
            store: Box::new(store.clone()),
            journal: None,
            state: Box::new(state.clone()),
            replay_rate_limit: None,
            publisher: Box::new(publisher.clone()),
            background: Vec::new(),
            rules: Box::new(Arc::clone(&PACK)),
        };
        Self { environment, authenticator: Authenticator::new(Box::new(one_client())), store, state, publisher }
    }

    pub(crate) fn with_rules(self, rules: RuleSet) -> Self {
        self.with_rule_source(Arc::new(rules))
    }

    pub(crate) fn with_store(mut self, store: impl RawStore + 'static) -> Self {
        self.environment.store = Box::new(store);
        self
    }

    /// A store that also lists its pending pushes.
    pub(crate) fn with_journaled_store(mut self, store: impl RawStore + Journal + Clone + 'static) -> Self {
        self.environment.journal = Some(Box::new(store.clone()));
        self.with_store(store)
    }

    pub(crate) fn with_state(mut self, state: impl StateStore + 'static) -> Self {
        self.environment.state = Box::new(state);
        self
    }

    pub(crate) fn with_publisher(mut self, publisher: impl AlertPublisher + 'static) -> Self {
        self.environment.publisher = Box::new(publisher);
        self
    }

    /// With this publisher beside the one that pushes use.
    pub(crate) fn with_background(mut self, publisher: impl AlertPublisher + 'static) -> Self {
        self.environment.background.push(Box::new(publisher));
        self
    }

    pub(crate) fn with_rule_source(mut self, rules: impl RuleSource + 'static) -> Self {
        self.environment.rules = Box::new(rules);
        self
    }

    pub(crate) fn with_authenticator(self, authenticator: Authenticator) -> Self {
        Self { authenticator, ..self }
    }

    /// The ingest without HTTP.
    pub(crate) fn ingest(self) -> Ingest {
        Ingest::new(self.environment)
    }

    pub(crate) fn app(self) -> App {
        App::new(Ingest::new(self.environment), self.authenticator)
    }

    /// The handler, and handles to its ports.
    pub(crate) fn start(self) -> TestApp {
        let (store, state, publisher) = (self.store.clone(), self.state.clone(), self.publisher.clone());
        TestApp { store, state, publisher, app: self.app() }
    }
}

/// The handler with all ports in memory.
pub(crate) struct TestApp {
    pub(crate) store: MemoryStore,
    pub(crate) state: MemoryState,
    pub(crate) publisher: MemoryPublisher,
    pub(crate) app: App,
}

/// A response with its body as JSON.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

impl TestApp {
    pub(crate) fn new() -> Self {
        World::new().start()
    }

    pub(crate) fn with_rules(rules: RuleSet) -> Self {
        World::new().with_rules(rules).start()
    }

    /// With these credentials and auth methods.
    pub(crate) fn with_credentials(json: &str, auth_methods: AuthMethods) -> Self {
        let credentials = Arc::new(Credentials::parse(json).unwrap());
        World::new()
            .with_authenticator(Authenticator::new(Box::new(credentials)).with_auth_methods(auth_methods))
            .start()
    }

    pub(crate) fn ingest(&self) -> &Ingest {
        self.app.ingest()
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> TestResponse {
        self.send_at(request, now()).await
    }

    /// Sends any request at any time.
    pub(crate) async fn send_at(&self, request: Request<Full<Bytes>>, received: Timestamp) -> TestResponse {
        let response: Response<Bytes> = self.app.handle(request, request_info(received)).await;
        let (parts, body) = response.into_parts();
        TestResponse {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    /// Pushes a body with valid credentials.
    pub(crate) async fn push(&self, body: impl Into<Bytes>) -> TestResponse {
        self.send(push_request().body(Full::new(body.into())).unwrap()).await
    }

    /// The lines of every object, by key.
    pub(crate) fn lines(&self) -> Vec<(String, Vec<String>)> {
        let unpacked = |bytes: &[u8]| unpack(bytes).unwrap().lines().map(str::to_owned).collect();
        self.store.with_objects(|objects| {
            objects.iter().map(|(key, object)| (key.clone(), unpacked(&object.bytes))).collect()
        })
    }

    /// The subjects of all messages, in the order of sending.
    pub(crate) fn subjects(&self) -> Vec<String> {
        self.publisher.sent().into_iter().map(|message| message.subject).collect()
    }

    /// The ids of all alerts in any message.
    pub(crate) fn alert_ids(&self) -> BTreeSet<String> {
        let facts = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        self.publisher.sent().iter().flat_map(|message| super::alert_ids(&facts(&message.json))).collect()
    }
}

/// The context of a request, without its body.
pub(crate) fn request_info(received: Timestamp) -> RequestInfo {
    RequestInfo {
        request_id: "request-1".into(),
        source: "203.0.113.7".into(),
        received,
        verified_client: None,
        url: None,
    }
}

/// Pushes a body without HTTP.
pub(crate) async fn push_to(
    ingest: &Ingest,
    body: impl Into<Bytes>,
    received: Timestamp,
) -> Result<PushOutcome, PushError> {
    ingest.push(body.into(), Encoding::Identity, &request_info(received), received).await
}
