//! The program with everything around it in memory, or with what a test is about in its place.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Value;
use smartclean_push::adapters::fixed::{FixedCredentials, FixedRules};
use smartclean_push::domain::archive::unpack;
use smartclean_push::domain::auth::{Client, Credentials, Doors, Secret};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::http::{App, Gate, RequestContext};
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::ports::{AlertPublisher, CredentialSource, RawStore, RuleSource, StateStore};
use smartclean_push::ingest::{Ingest, Outcome, PushError, Receipt};

use super::memory::{MemoryPublisher, MemoryState, MemoryStore};
use super::{PASSWORD, USERNAME, now, push_request};

/// The built-in rules, read once: hundreds of worlds have them.
static PACK: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::pack()));

/// Whoever knows [`USERNAME`] and [`PASSWORD`] may push.
pub(crate) fn one_client() -> FixedCredentials {
    let client = Client { username: USERNAME.into(), password: Secret::new(PASSWORD.into()) };
    FixedCredentials(Arc::new(Credentials::of(vec![client]).unwrap()))
}

/// The parts of a program. By default everything is in memory, the rules are the built-in ones, and [`one_client`] may push.
pub(crate) struct World<S = MemoryStore, T = MemoryState, P = MemoryPublisher, R = FixedRules, C = FixedCredentials> {
    store: S,
    state: T,
    publisher: P,
    rules: R,
    gate: Gate<C>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            store: MemoryStore::default(),
            state: MemoryState::default(),
            publisher: MemoryPublisher::default(),
            rules: FixedRules(Arc::clone(&PACK)),
            gate: Gate::new(one_client()),
        }
    }

    pub(crate) fn with_rules(self, rules: RuleSet) -> Self {
        self.with_rule_source(FixedRules(Arc::new(rules)))
    }

    /// The handler, and handles to what is around it.
    pub(crate) fn start(self) -> TestApp {
        let (store, state, publisher) = (self.store.clone(), self.state.clone(), self.publisher.clone());
        TestApp { store, state, publisher, app: self.app() }
    }
}

impl<S, T, P, R, C> World<S, T, P, R, C> {
    pub(crate) fn with_store<S2>(self, store: S2) -> World<S2, T, P, R, C> {
        let Self { state, publisher, rules, gate, .. } = self;
        World { store, state, publisher, rules, gate }
    }

    pub(crate) fn with_state<T2>(self, state: T2) -> World<S, T2, P, R, C> {
        let Self { store, publisher, rules, gate, .. } = self;
        World { store, state, publisher, rules, gate }
    }

    pub(crate) fn with_publisher<P2>(self, publisher: P2) -> World<S, T, P2, R, C> {
        let Self { store, state, rules, gate, .. } = self;
        World { store, state, publisher, rules, gate }
    }

    pub(crate) fn with_rule_source<R2>(self, rules: R2) -> World<S, T, P, R2, C> {
        let Self { store, state, publisher, gate, .. } = self;
        World { store, state, publisher, rules, gate }
    }

    pub(crate) fn with_gate<C2>(self, gate: Gate<C2>) -> World<S, T, P, R, C2> {
        let Self { store, state, publisher, rules, .. } = self;
        World { store, state, publisher, rules, gate }
    }
}

impl<S: RawStore, T: StateStore, P: AlertPublisher, R: RuleSource, C: CredentialSource> World<S, T, P, R, C> {
    /// The use case without HTTP.
    pub(crate) fn ingest(self) -> Ingest<S, T, P, R> {
        Ingest::new(self.store, self.state, self.publisher, self.rules)
    }

    pub(crate) fn app(self) -> App<S, T, P, R, C> {
        let Self { store, state, publisher, rules, gate } = self;
        App::new(Ingest::new(store, state, publisher, rules), gate)
    }
}

/// The handler with everything around it in memory.
pub(crate) struct TestApp {
    pub(crate) store: MemoryStore,
    pub(crate) state: MemoryState,
    pub(crate) publisher: MemoryPublisher,
    pub(crate) app: App<MemoryStore, MemoryState, MemoryPublisher, FixedRules, FixedCredentials>,
}

/// An answer, its body read as JSON.
#[derive(Debug)]
pub(crate) struct Answer {
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

    /// With these doors open to whom these credentials' JSON names.
    pub(crate) fn with_credentials(json: &str, doors: Doors) -> Self {
        let credentials = FixedCredentials(Arc::new(Credentials::parse(json).unwrap()));
        World::new().with_gate(Gate::new(credentials).with_doors(doors)).start()
    }

    pub(crate) fn ingest(&self) -> &Ingest<MemoryStore, MemoryState, MemoryPublisher, FixedRules> {
        self.app.ingest()
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.send_at(request, now()).await
    }

    /// Sends any request at any time.
    pub(crate) async fn send_at(&self, request: Request<Full<Bytes>>, received: Timestamp) -> Answer {
        let Receipt { request_id, source, received } = receipt(received);
        let context = RequestContext { request_id, source, received, verified_client: None };
        let response: Response<Bytes> = self.app.handle(request, context).await;
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    /// Pushes a body with the right credentials.
    pub(crate) async fn push(&self, body: impl Into<Bytes>) -> Answer {
        self.send(push_request().body(Full::new(body.into())).unwrap()).await
    }

    /// The lines of every object, by key.
    pub(crate) fn lines(&self) -> Vec<(String, Vec<String>)> {
        let unpacked = |bytes: &[u8]| unpack(bytes).unwrap().lines().map(str::to_owned).collect();
        self.store.look(|objects| objects.iter().map(|(key, object)| (key.clone(), unpacked(&object.bytes))).collect())
    }

    /// The subjects of all messages, in the order they were sent.
    pub(crate) fn subjects(&self) -> Vec<String> {
        self.publisher.sent().into_iter().map(|message| message.subject).collect()
    }

    /// The ids of all alerts that any message named.
    pub(crate) fn alert_ids(&self) -> BTreeSet<String> {
        let facts = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        self.publisher.sent().iter().flat_map(|message| super::alert_ids(&facts(&message.json))).collect()
    }
}

/// What is known of a push beside its body.
pub(crate) fn receipt(received: Timestamp) -> Receipt {
    Receipt { request_id: "request-1".into(), source: "203.0.113.7".into(), received }
}

/// Pushes a body without HTTP.
pub(crate) async fn push_to<S: RawStore, T: StateStore, P: AlertPublisher, R: RuleSource>(
    ingest: &Ingest<S, T, P, R>,
    body: impl Into<Bytes>,
    received: Timestamp,
) -> Result<Outcome, PushError> {
    ingest.push(body.into(), Encoding::Identity, &receipt(received)).await
}
