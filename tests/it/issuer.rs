//! Tokens of an outside issuer: a stand-in on this machine with discovery and keys, asked as a real one is.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

#[cfg(feature = "aws")]
use aws_lc_rs::{rand::SystemRandom, signature as keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::SignedDuration;
#[cfg(not(feature = "aws"))]
use ring::{rand::SystemRandom, signature as keys};
use serde_json::{Value, json};
use smartclean_push::adapters::https::Trust;
use smartclean_push::adapters::outside_issuer::OutsideIssuer;
use smartclean_push::domain::auth::Outside;
use smartclean_push::http::Gate;
use tokio::net::TcpListener;

use crate::support::{self, Answer, TestApp, now, one_client};

/// What the issuer answers by path, and what it was asked for.
#[derive(Default)]
struct World {
    documents: Vec<(String, String)>,
    asked: Vec<String>,
}

struct Issuer {
    address: String,
    world: Arc<Mutex<World>>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(World::default()));
        let served = Arc::clone(&world);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let world = Arc::clone(&served);
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let mut world = world.lock().unwrap();
                    let path = request.uri().path().to_owned();
                    let found = world.documents.iter().find(|(known, _)| *known == path).map(|(_, text)| text.clone());
                    world.asked.push(path);
                    let mut response = Response::new(Full::new(Bytes::from(found.clone().unwrap_or_default())));
                    *response.status_mut() = if found.is_some() { 200 } else { 404 }.try_into().unwrap();
                    async move { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        let issuer = Self { address, world };
        issuer.says(
            "/.well-known/openid-configuration",
            &json!({"issuer": issuer.address, "jwks_uri": format!("{}/keys", issuer.address)}),
        );
        issuer
    }

    fn says(&self, path: &str, document: &Value) {
        let mut world = self.world.lock().unwrap();
        world.documents.retain(|(known, _)| known != path);
        world.documents.push((path.to_owned(), document.to_string()));
    }

    fn is_silent(&self) {
        self.world.lock().unwrap().documents.clear();
    }

    fn asked(&self) -> usize {
        self.world.lock().unwrap().asked.len()
    }

    fn app(&self, scope: Option<&str>) -> TestApp {
        let outside =
            Outside::new(Some(self.address.clone()), Some("us".into()), scope.map(Into::into)).unwrap().unwrap();
        let keys = OutsideIssuer::new(&outside, Trust::Machine).unwrap();
        let gate = Gate::new(one_client()).with_doors("oauth".parse().unwrap());
        support::World::new().with_gate(gate.trusting(outside, Box::new(keys))).start()
    }

    fn claims(&self) -> Value {
        json!({"iss": self.address, "token_use": "access", "client_id": "us", "scope": "push/write", "exp": now().as_second() + 600})
    }
}

/// A key pair as an issuer has it.
struct Key(keys::EcdsaKeyPair, &'static str);

impl Key {
    fn new(id: &'static str) -> Self {
        let (kind, random) = (&keys::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = keys::EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        #[cfg(feature = "aws")]
        let pair = keys::EcdsaKeyPair::from_pkcs8(kind, key.as_ref());
        #[cfg(not(feature = "aws"))]
        let pair = keys::EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random);
        Self(pair.unwrap(), id)
    }

    fn set(keys: &[&Self]) -> Value {
        let public = |key: &&Self| {
            let point = keys::KeyPair::public_key(&key.0).as_ref();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            json!({"kty": "EC", "crv": "P-256", "kid": key.1, "use": "sig", "alg": "ES256", "x": x, "y": y})
        };
        json!({"keys": keys.iter().map(public).collect::<Vec<_>>()})
    }

    fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "ES256", "kid": self.1})), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

async fn push(app: &TestApp, token: &str, seconds: i64) -> Answer {
    let request = Request::post("/push").header("authorization", format!("Bearer {token}"));
    let request = request.body(Full::new("[]".into())).unwrap();
    app.send_at(request, now() + SignedDuration::from_secs(seconds)).await
}

#[tokio::test]
async fn a_token_of_the_issuer_opens_the_door_and_its_keys_are_fetched_once() {
    let (issuer, key) = (Issuer::start().await, Key::new("1"));
    issuer.says("/keys", &Key::set(&[&key]));
    let app = issuer.app(Some("push/write"));
    for second in 0..5 {
        assert_eq!(push(&app, &key.token(&issuer.claims()), second).await.status, 200);
    }
    assert_eq!(issuer.asked(), 2, "discovery and keys");
    for (name, value, status) in [
        ("client_id", json!("other"), 401),
        ("iss", json!("https://other.example"), 401),
        ("exp", json!(now().as_second() - 60), 401),
        ("scope", json!("push/read"), 403),
    ] {
        let mut claims = issuer.claims();
        claims[name] = value;
        let answer = push(&app, &key.token(&claims), 5).await;
        assert_eq!(answer.status, status, "{name}");
        let error = if status == 403 { "insufficient_scope" } else { "invalid_token" };
        assert!(answer.headers["www-authenticate"].to_str().unwrap().contains(error));
    }
    assert_eq!(push(&app, &Key::new("1").token(&issuer.claims()), 5).await.status, 401);
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn a_new_key_is_found_and_unknown_ones_cost_one_fetch_a_minute() {
    let (issuer, old, new) = (Issuer::start().await, Key::new("old"), Key::new("new"));
    issuer.says("/keys", &Key::set(&[&old]));
    let app = issuer.app(None);
    assert_eq!(push(&app, &old.token(&issuer.claims()), 0).await.status, 200);
    issuer.says("/keys", &Key::set(&[&old, &new]));
    assert_eq!(push(&app, &new.token(&issuer.claims()), 59).await.status, 401);
    assert_eq!(push(&app, &new.token(&issuer.claims()), 60).await.status, 200);
    for second in 60..120 {
        assert_eq!(push(&app, &Key::new("unknown").token(&issuer.claims()), second).await.status, 401);
    }
    assert_eq!(issuer.asked(), 4);
}

#[tokio::test]
async fn an_issuer_that_is_down_leaves_its_last_keys_and_without_any_a_retry_helps() {
    let (issuer, key) = (Issuer::start().await, Key::new("1"));
    let app = issuer.app(None);
    let answer = push(&app, &key.token(&issuer.claims()), 0).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"30".parse().unwrap()));
    issuer.says("/keys", &Key::set(&[&key]));
    assert_eq!(push(&app, &key.token(&issuer.claims()), 4).await.status, 503);
    assert_eq!(push(&app, &key.token(&issuer.claims()), 5).await.status, 200);
    issuer.is_silent();
    let mut claims = issuer.claims();
    claims["exp"] = (now().as_second() + 90_000).into();
    assert_eq!(push(&app, &key.token(&claims), 7_200).await.status, 200);
}

#[tokio::test]
async fn who_says_to_be_somebody_else_or_sends_elsewhere_is_not_believed() {
    let key = Key::new("1");
    for (name, value) in
        [("issuer", "https://other.example"), ("jwks_uri", "http://other.example/keys"), ("jwks_uri", "no address")]
    {
        let issuer = Issuer::start().await;
        issuer.says("/keys", &Key::set(&[&key]));
        let mut discovery = json!({"issuer": issuer.address, "jwks_uri": format!("{}/keys", issuer.address)});
        discovery[name] = value.into();
        issuer.says("/.well-known/openid-configuration", &discovery);
        assert_eq!(push(&issuer.app(None), &key.token(&issuer.claims()), 0).await.status, 503, "{name}: {value}");
    }
    let issuer = Issuer::start().await;
    issuer.says("/keys", &json!({"keys": [], "padding": "x".repeat(300_000)}));
    assert_eq!(push(&issuer.app(None), &key.token(&issuer.claims()), 0).await.status, 503);
}
