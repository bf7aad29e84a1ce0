//! Each auth method from request to response, enabled and disabled.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Request;
use http::request::Builder;
use http_body_util::Full;
use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::Sha256;
use smartclean_push::auth::Credentials;
use smartclean_push::http::Authenticator;
use smartclean_push::ingest::RequestInfo;

use crate::support::{PASSWORD, TestApp, TestResponse, USERNAME, World, basic, body, now, push_request, reading};

const CREDENTIALS: &str = r#"{"clients":[{"username":"smartclean","password":"s3cret-Pa55"},{"username":"other","password":"p+%c3%a9 é"}],
    "signing_key":"a-key-of-thirty-two-bytes-or-more","event_hub_keys":{"send":"a2V5"}}"#;

fn app(auth_methods: &str) -> TestApp {
    TestApp::with_credentials(CREDENTIALS, auth_methods.parse().unwrap())
}

fn with(request: Builder, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request.body(Full::new(body.into())).unwrap()
}

fn form() -> Builder {
    Request::post("/oauth2/token").header("content-type", "application/x-www-form-urlencoded")
}

async fn grant(app: &TestApp, fields: &str) -> TestResponse {
    app.send(with(form().header("authorization", basic(USERNAME, PASSWORD)), fields.to_owned())).await
}

async fn tokens(app: &TestApp) -> (String, String) {
    let answer = grant(app, "grant_type=client_credentials").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn push_with(app: &TestApp, token: &str) -> TestResponse {
    app.send(with(Request::post("/push").header("authorization", format!("Bearer {token}")), "[]")).await
}

fn error(answer: &TestResponse) -> (u16, &str) {
    (answer.status, answer.body["error"].as_str().unwrap_or_default())
}

/// A signature by the recipe of Microsoft.
fn signature(resource: &str, key: &str, expires_in: i64) -> String {
    let quoted = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (resource, expiry) = (quoted(resource), now().as_second() + expires_in);
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    let signed = mac.chain_update(format!("{resource}\n{expiry}")).finalize().into_bytes();
    format!("SharedAccessSignature sr={resource}&sig={}&se={expiry}&skn=send", quoted(&STANDARD.encode(signed)))
}

fn sent_to(hub: &str) -> Builder {
    let authorization = signature("https://push.example.com/washrooms", "a2V5", 600);
    Request::post(format!("/{hub}/messages?timeout=60&api-version=2014-01"))
        .header("host", "push.example.com")
        .header("authorization", authorization)
}

fn smell(ppb: u32) -> String {
    reading("ODRDTR_BATT_V1", &json!({"amm": ppb, "aqi": 10}))
}

#[tokio::test]
async fn a_path_exists_exactly_if_one_of_its_auth_methods_is_enabled() {
    for (auth_methods, push, token, send) in [
        ("basic", 401, 404, 404),
        ("oauth", 401, 400, 404),
        ("event-hub", 404, 404, 401),
        ("iot", 404, 404, 404),
        ("basic,oauth,event-hub,iot", 401, 400, 401),
    ] {
        let app = app(auth_methods);
        for (path, status) in
            [("/push", push), ("/zones/z/cleaned", push), ("/oauth2/token", token), ("/washrooms/messages", send)]
        {
            assert_eq!(app.send(with(Request::post(path), "")).await.status, status, "{auth_methods}: {path}");
            let response = app.send(with(Request::get(path), "")).await;
            assert_eq!(response.status, if status == 404 { 404 } else { 405 }, "{auth_methods}: {path}");
        }
        assert_eq!(app.send(with(Request::get("/health"), "")).await.status, 200);
    }
}

#[tokio::test]
async fn a_push_with_a_token_of_an_external_issuer_requires_verification_by_the_host() {
    for auth_methods in ["basic", "oauth", "event-hub", "iot", "basic,oauth,event-hub,iot"] {
        let app = app(auth_methods);
        let push = || Request::post("/push/jwt");
        let own = push().header("authorization", basic(USERNAME, PASSWORD));
        let token = push().header("authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmVk");
        for request in [push(), own, token] {
            let answer = app.send(with(request, body(&[smell(270)]))).await;
            assert_eq!(answer.status, 401, "{auth_methods}: {answer:?}");
            assert_eq!(answer.headers["www-authenticate"], r#"Bearer realm="smartclean-push""#);
            assert!(answer.body["detail"].as_str().unwrap().contains("no external issuer is set"), "{answer:?}");
        }
        assert_eq!(app.send(with(Request::get("/push/jwt"), "")).await.status, 405);
        assert!(app.lines().is_empty());
        let verified = RequestInfo {
            request_id: "request-1".into(),
            source: "203.0.113.7".into(),
            received: now(),
            verified_client: Some("vendor".into()),
            url: None,
        };
        let answer = app.app.handle(with(push(), body(&[smell(270)])), verified.clone()).await;
        assert_eq!(answer.status(), 200, "{auth_methods}");
        assert_eq!((app.lines()[0].1.clone(), app.publisher.sent().len()), (vec![smell(270)], 1));
        // The verified client authenticates no other path.
        for path in ["/push", "/zones/z/cleaned", "/oauth2/token", "/washrooms/messages"] {
            let status = app.app.handle(with(Request::post(path), "[]"), verified.clone()).await.status();
            assert!(status.is_client_error(), "{auth_methods}: {path}: {status}");
        }
    }
}

#[tokio::test]
async fn a_401_offers_the_enabled_auth_methods() {
    let challenge = async |auth_methods: &str, authorization: Option<&str>| {
        let request = Request::post("/push");
        let request = authorization.map_or(Request::post("/push"), |sent| request.header("authorization", sent));
        let answer = app(auth_methods).send(with(request, "")).await;
        assert_eq!(answer.status, 401);
        answer.headers["www-authenticate"].to_str().unwrap().to_owned()
    };
    let basic = r#"Basic realm="smartclean-push", charset="UTF-8""#;
    let bearer = r#"Bearer realm="smartclean-push""#;
    assert_eq!(challenge("basic", None).await, basic);
    assert_eq!(challenge("oauth", None).await, bearer);
    assert_eq!(challenge("basic,oauth", None).await, format!("{basic}, {bearer}"));
    let header = challenge("basic,oauth", Some("Bearer x")).await;
    assert!(header.starts_with(&format!(r#"{bearer}, error="invalid_token", error_description=""#)), "{header}");
    assert!(header.ends_with(basic), "{header}");
    assert_eq!(
        challenge("basic", Some("Bearer x")).await,
        basic,
        "with tokens disabled, a token is like any invalid header"
    );
}

#[tokio::test]
async fn a_client_gets_tokens_and_pushes_with_one() {
    let app = app("oauth");
    let answer = grant(&app, "grant_type=client_credentials&scope=push").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (&answer.body["token_type"], &answer.body["expires_in"], &answer.body["scope"]),
        (&json!("Bearer"), &json!(900), &json!("push"))
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["pragma"], "no-cache");
    let access = answer.body["access_token"].as_str().unwrap();
    assert_eq!(push_with(&app, access).await.status, 200);
    let answer = app.send(with(push_request(), "[]")).await;
    assert_eq!(answer.status, 401, "Basic authentication is disabled");
}

#[tokio::test]
async fn a_client_may_send_its_secret_in_the_form_or_encoded_or_plain_in_the_header() {
    let app = app("oauth");
    let fields = "grant_type=client_credentials";
    let in_form = format!("{fields}&client_id=other&client_secret=p%2B%25c3%25a9+%C3%A9");
    for request in [
        with(form(), in_form),
        with(form().header("authorization", basic("other", "p+%c3%a9 é")), fields),
        with(
            form().header("authorization", basic("other", "p%2B%25c3%25a9+%C3%A9")),
            format!("{fields}&client_id=other"),
        ),
    ] {
        assert_eq!(app.send(request).await.status, 200);
    }
}

#[tokio::test]
async fn only_the_client_of_a_refresh_token_gets_the_next_pair() {
    let app = app("oauth");
    let (access, refresh) = tokens(&app).await;
    let answer = grant(&app, &format!("grant_type=refresh_token&refresh_token={refresh}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(push_with(&app, answer.body["access_token"].as_str().unwrap()).await.status, 200);
    let other = form().header("authorization", basic("other", "p+%c3%a9 é"));
    let stolen = app.send(with(other, format!("grant_type=refresh_token&refresh_token={refresh}"))).await;
    assert_eq!(error(&stolen), (400, "invalid_grant"));
    let as_access = push_with(&app, &refresh).await;
    assert_eq!(as_access.status, 401, "a refresh token is not an access token");
    let as_refresh = grant(&app, &format!("grant_type=refresh_token&refresh_token={access}")).await;
    assert_eq!(error(&as_refresh), (400, "invalid_grant"));
}

#[tokio::test]
async fn the_token_endpoint_returns_the_errors_of_the_rfc() {
    let app = app("oauth");
    for (fields, status, name) in [
        ("", 400, "invalid_request"),
        ("grant_type=", 400, "invalid_request"),
        ("grant_type=password&username=a&password=b", 400, "unsupported_grant_type"),
        ("grant_type=client_credentials&scope=pull", 400, "invalid_scope"),
        ("grant_type=client_credentials&scope=push+pull", 400, "invalid_scope"),
        ("grant_type=client_credentials&grant_type=client_credentials", 400, "invalid_request"),
        ("grant_type=client_credentials&client_secret=x", 400, "invalid_request"),
        ("grant_type=client_credentials&client_id=other", 401, "invalid_client"),
        ("grant_type=refresh_token", 400, "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x", 400, "invalid_grant"),
        ("grant_type=%ff", 400, "unsupported_grant_type"),
    ] {
        assert_eq!(error(&grant(&app, fields).await), (status, name), "{fields}");
    }
    let too_large = format!("grant_type=client_credentials&x={}", "x".repeat(16 * 1024));
    assert_eq!(error(&grant(&app, &too_large).await), (400, "invalid_request"));
    let json = Request::post("/oauth2/token").header("content-type", "application/json");
    assert_eq!(error(&app.send(with(json, "{}")).await), (400, "invalid_request"));
}

#[tokio::test]
async fn a_wrong_client_gets_a_challenge_if_it_sent_a_header() {
    let app = app("oauth");
    let fields = "grant_type=client_credentials";
    let by_header = app.send(with(form().header("authorization", basic(USERNAME, "wrong")), fields)).await;
    assert_eq!(error(&by_header), (401, "invalid_client"));
    assert!(by_header.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    let by_form = app.send(with(form(), format!("{fields}&client_id={USERNAME}&client_secret=wrong"))).await;
    assert_eq!(error(&by_form), (401, "invalid_client"));
    assert!(!by_form.headers.contains_key("www-authenticate"));
    let unknown = app.send(with(form(), fields)).await;
    assert_eq!(error(&unknown), (401, "invalid_client"));
}

#[tokio::test]
async fn an_access_token_expires() {
    let app = app("oauth");
    let (access, _) = tokens(&app).await;
    let at = async |seconds| {
        let request = Request::post("/push").header("authorization", format!("Bearer {access}"));
        app.send_at(with(request, "[]"), now() + SignedDuration::from_secs(seconds)).await.status
    };
    assert_eq!((at(0).await, at(959).await, at(960).await), (200, 200, 401));
}

#[tokio::test]
async fn an_invalid_token_is_rejected_before_the_body_is_read() {
    let app = app("basic,oauth");
    let (access, _) = tokens(&app).await;
    let (message, signed) = access.rsplit_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{}.", message.split_once('.').unwrap().1);
    for token in [none, message.to_owned(), format!("{message}.{}", &signed[1..]), String::new(), "x".repeat(9000)] {
        assert_eq!(push_with(&app, &token).await.status, 401, "{token}");
    }
    let twice = Request::post("/push")
        .header("authorization", format!("Bearer {access}"))
        .header("authorization", format!("Bearer {access}"));
    assert_eq!(app.send(with(twice, "no batch")).await.status, 401);
    assert!(app.lines().is_empty());
}

#[tokio::test]
async fn without_a_signing_key_the_token_endpoint_returns_503() {
    let app =
        TestApp::with_credentials(r#"{"username":"smartclean","password":"s3cret-Pa55"}"#, "oauth".parse().unwrap());
    assert_eq!(grant(&app, "grant_type=client_credentials").await.status, 503);
    assert_eq!(push_with(&app, "x").await.status, 401);
}

#[tokio::test]
async fn an_event_is_a_push_with_the_response_of_event_hubs() {
    let app = app("event-hub");
    let answer = app.send(with(sent_to("washrooms"), body(&[smell(270)]))).await;
    assert_eq!((answer.status, &answer.body), (201, &Value::Null));
    assert_eq!((app.lines()[0].1.clone(), app.publisher.sent().len()), (vec![smell(270)], 1));
    let single = app.send(with(sent_to("Washrooms"), smell(10))).await;
    assert_eq!(single.status, 201);
    assert_eq!(app.lines().len(), 2);
}

#[tokio::test]
async fn a_batch_of_events_is_one_push_of_all_their_readings() {
    let app = app("event-hub");
    let events = json!([
        {"Body": serde_json::to_string(&[smell(270), smell(10)]).unwrap(), "UserProperties": {"site": "a"}},
        {"Body": smell(20)},
        {"Body": "oops"},
    ]);
    let request =
        sent_to("washrooms").header("content-type", "application/vnd.microsoft.servicebus.json; charset=utf-8");
    assert_eq!(app.send(with(request, events.to_string())).await.status, 201);
    let lines = app.lines();
    assert_eq!(lines[0].1, [smell(270), smell(10), smell(20)]);
    let rejection: Value = serde_json::from_str(&lines[1].1[0]).unwrap();
    assert_eq!((&rejection["index"], &rejection["raw"]), (&json!(3), &json!("oops")));
    assert_eq!(app.publisher.sent().len(), 1);
}

#[tokio::test]
async fn the_same_readings_by_another_auth_method_are_the_same_push() {
    let app = app("basic,event-hub");
    let pushed = app.push(body(&[smell(270)])).await;
    assert_eq!((pushed.status, &pushed.body["alerts"]), (200, &json!(1)));
    assert_eq!(app.send(with(sent_to("washrooms"), body(&[smell(270)]))).await.status, 201);
    assert_eq!((app.lines().len(), app.publisher.sent().len()), (1, 1));
}

#[tokio::test]
async fn an_event_that_is_no_batch_is_rejected_and_stored() {
    let app = app("event-hub");
    assert_eq!(app.send(with(sent_to("washrooms"), "{oops")).await.status, 400);
    assert!(app.lines()[0].0.starts_with("rejected/"));
    app.store.set_broken(true);
    assert_eq!(app.send(with(sent_to("washrooms"), "[]x")).await.status, 503);
}

#[tokio::test]
async fn a_signature_is_valid_for_its_hub_host_and_time_only() {
    let app = app("basic,event-hub");
    let hub = "https://push.example.com/washrooms";
    for (authorization, status) in [
        (signature(hub, "a2V5", 600), 201),
        (signature("sb://push.example.com/", "a2V5", 600), 201),
        (signature(hub, "a2V5", -59), 201),
        (signature(hub, "a2V5", -60), 401),
        (signature(hub, "key", 600), 401),
        (signature("https://push.example.com/other", "a2V5", 600), 401),
        (signature("https://other.example.com/washrooms", "a2V5", 600), 401),
        (basic(USERNAME, PASSWORD), 401),
        ("SharedAccessSignature sr=x".to_owned(), 401),
    ] {
        let request = Request::post("/washrooms/messages").header("host", "push.example.com:443");
        let answer = app.send(with(request.header("authorization", &authorization), "[]")).await;
        assert_eq!(answer.status, status, "{authorization}");
    }
    let elsewhere = Request::post("/push").header("host", "push.example.com");
    let elsewhere = elsewhere.header("authorization", signature("https://push.example.com/", "a2V5", 600));
    assert_eq!(app.send(with(elsewhere, "[]")).await.status, 401, "a signature is valid for events only");
}

#[tokio::test]
async fn a_signature_for_another_host_is_rejected_whatever_the_host_header() {
    let credentials = Arc::new(Credentials::parse(CREDENTIALS).unwrap());
    let authenticator = Authenticator::new(Box::new(credentials)).with_auth_methods("event-hub".parse().unwrap());
    let app =
        World::new().with_authenticator(authenticator.with_public_host(Some("push.example.com".to_owned()))).start();
    let (own, other) = ("https://push.example.com/washrooms", "https://other.example.com/washrooms");
    for (resource, host, status) in [
        (other, "other.example.com", 401),
        (other, "push.example.com", 401),
        (own, "push.example.com", 201),
        (own, "127.0.0.1:8080", 201),
        (own, "other.example.com", 201),
    ] {
        let request = Request::post("/washrooms/messages").header("host", host);
        let answer = app.send(with(request.header("authorization", signature(resource, "a2V5", 600)), "[]")).await;
        assert_eq!(answer.status, status, "{resource} sent to {host}");
    }
}

#[tokio::test]
async fn wrong_signatures_count_as_failed_logins_only_if_the_key_is_short() {
    let hub = "https://push.example.com/washrooms";
    for (key, limited) in [("k".repeat(32), false), ("k".repeat(31), true)] {
        let credentials = json!({ "event_hub_keys": { "send": key } }).to_string();
        let credentials = Arc::new(Credentials::parse(&credentials).unwrap());
        let authenticator = Authenticator::new(Box::new(credentials)).with_auth_methods("event-hub".parse().unwrap());
        let app = World::new()
            .with_authenticator(authenticator.with_public_host(Some("push.example.com".to_owned())))
            .start();
        let send = async |key: &str, expiry: i64| {
            let request = Request::post("/washrooms/messages").header("authorization", signature(hub, key, expiry));
            app.send(with(request, "[]")).await.status
        };
        for number in 0..30 {
            let expected = if limited && number >= 20 { 429 } else { 401 };
            assert_eq!(send("wrong", 600 + number).await, expected, "{number}");
        }
        assert_eq!(send(&key, 700).await, if limited { 429 } else { 201 }, "a key of {} bytes", key.len());
    }
}

/// The hash of "password", a test vector of argon2.
const HASHED: &str = r#"{"clients":[{"username":"hashed","password":"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
    {"username":"plain","password":"plain"}],"signing_key":"a-key-of-thirty-two-bytes-or-more"}"#;

#[tokio::test]
async fn a_hashed_password_works_with_every_auth_method() {
    let app = TestApp::with_credentials(HASHED, "basic,oauth".parse().unwrap());
    for (username, password, status) in [
        ("hashed", "password", 200),
        ("hashed", "password", 200),
        ("hashed", "passwore", 401),
        ("plain", "password", 401),
        ("plain", "plain", 200),
    ] {
        let push = Request::post("/push").header("authorization", basic(username, password));
        assert_eq!(app.send(with(push, "[]")).await.status, status, "{username}:{password}");
        let token = form().header("authorization", basic(username, password));
        assert_eq!(
            app.send(with(token, "grant_type=client_credentials")).await.status,
            status,
            "{username}:{password}"
        );
    }
    let itself = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let push = Request::post("/push").header("authorization", basic("hashed", itself));
    assert_eq!(app.send(with(push, "[]")).await.status, 401, "the hash is not the password");
}
