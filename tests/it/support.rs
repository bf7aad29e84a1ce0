//! Input for tests, made of what the test is about and nothing else.

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Value;
use smartclean_push::adapters::memory::{FixedCredentials, FixedRules, MemoryPublisher, MemoryState, MemoryStore};
use smartclean_push::domain::auth::{Client, Credentials, Doors, Secret};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::http::{App, Gate, RequestContext};
use smartclean_push::ingest::Ingest;

pub(crate) use crate::readings::*;

/// The ids of all alerts that a message's facts tell of; none where it is a notice about the program itself.
#[cfg(feature = "command")]
pub(crate) fn alert_ids(facts: &Value) -> Vec<String> {
    if facts["kind"] == "notice" {
        return Vec::new();
    }
    let alone = [facts.clone()];
    let alerts = facts["alerts"].as_array().map_or(&alone[..], Vec::as_slice);
    alerts.iter().map(|alert| alert["id"].as_str().unwrap_or_else(|| panic!("{facts}")).to_owned()).collect()
}

/// A push's body: an array of strings.
pub(crate) fn body(readings: &[String]) -> Vec<u8> {
    serde_json::to_vec(readings).unwrap()
}

pub(crate) const USERNAME: &str = "smartclean";
pub(crate) const PASSWORD: &str = "s3cret-Pa55";

/// A Basic header for these.
pub(crate) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}")))
}

/// The handler with everything around it in memory.
pub(crate) struct TestApp {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) state: Arc<MemoryState>,
    pub(crate) publisher: Arc<MemoryPublisher>,
    pub(crate) app: App<Arc<MemoryStore>, Arc<MemoryState>, Arc<MemoryPublisher>, FixedRules, FixedCredentials>,
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
        Self::with_rules(RuleSet::pack())
    }

    pub(crate) fn with_rules(rules: RuleSet) -> Self {
        let client = Client { username: USERNAME.into(), password: Secret::new(PASSWORD.into()) };
        Self::behind(rules, Gate::new(FixedCredentials(Arc::new(Credentials::of(vec![client]).unwrap()))))
    }

    /// With these doors open to whom these credentials' JSON names.
    pub(crate) fn with_credentials(json: &str, doors: Doors) -> Self {
        let credentials = FixedCredentials(Arc::new(Credentials::parse(json).unwrap()));
        Self::behind(RuleSet::pack(), Gate::new(credentials).with_doors(doors))
    }

    /// Behind any gate.
    pub(crate) fn behind(rules: RuleSet, gate: Gate<FixedCredentials>) -> Self {
        let store = Arc::new(MemoryStore::default());
        let state = Arc::new(MemoryState::default());
        let publisher = Arc::new(MemoryPublisher::default());
        let ingest =
            Ingest::new(Arc::clone(&store), Arc::clone(&state), Arc::clone(&publisher), FixedRules(Arc::new(rules)));
        Self { store, state, publisher, app: App::new(ingest, gate) }
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.send_at(request, now()).await
    }

    /// Sends any request at any time.
    pub(crate) async fn send_at(&self, request: Request<Full<Bytes>>, received: Timestamp) -> Answer {
        let context = RequestContext { request_id: "request-1".into(), source: "203.0.113.7".into(), received };
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
        let unpack = |bytes: &[u8]| {
            let text = String::from_utf8(zstd::decode_all(bytes).unwrap()).unwrap();
            text.lines().map(str::to_owned).collect()
        };
        self.store.objects().into_iter().map(|(key, object)| (key, unpack(&object.bytes))).collect()
    }
}

/// A request with the right path, method and credentials.
pub(crate) fn push_request() -> http::request::Builder {
    Request::post("/push").header("authorization", basic(USERNAME, PASSWORD))
}

/// This program once more, to run one of its ignored tests in a process of its own: `process(module_path!(), "racer")`.
#[cfg(feature = "command")]
pub(crate) fn process(module: &str, test: &str) -> std::process::Command {
    // The harness names tests without the crate.
    let (_, module) = module.split_once("::").unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("{module}::{test}"), "--ignored", "--nocapture"]);
    command
}

/// The DynamoDB that an end-to-end test has started.
#[cfg(feature = "aws")]
pub(crate) async fn dynamodb() -> smartclean_push::adapters::aws::dynamodb::DynamoStore {
    use smartclean_push::adapters::aws::{self, dynamodb};
    use smartclean_push::adapters::https::Trust;

    // The rest of the SDK's configuration is in AWS's own variables.
    let variable = |name| std::env::var(name).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let config =
        aws::config(Trust::Machine).await.unwrap().into_builder().endpoint_url(variable("STATE_TEST_ENDPOINT")).build();
    dynamodb::DynamoStore::new(dynamodb::client(&config), variable("STATE_TEST_TABLE"))
}

/// The bytes that stand for printable ASCII and `\\`, `\"`, `\xAB`; `None` where it is written otherwise.
pub(crate) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.bytes();
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                escaped @ (b'\\' | b'"') => escaped,
                _ => return None,
            },
            b' '..=b'~' => byte,
            _ => return None,
        });
    }
    Some(bytes)
}
