//! Hostile requests in events of API Gateway, parsed as in the function.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use smartclean_push::domain::batch::MOST_ITEMS;
use smartclean_push::hosts::lambda::EventError;
use smartclean_push::ingest::decode::MAX_DECODED;
use smartclean_push::sources::Envelope;

use crate::hostile::support::{basic, reading};
use crate::support::{TestApp, body, gzip};

/// The response to an event as JSON, and the number of objects that were stored.
async fn reply(event: &str) -> (Result<Value, EventError>, usize) {
    let app = TestApp::new();
    let replied = match Envelope::parse(event) {
        Some(event) => app.app.handle_api_event(&event, "invocation", Timestamp::now()).await,
        None => Err(EventError::Unknown),
    };
    (replied.map(|reply| serde_json::to_value(reply).unwrap()), app.store.objects().len())
}

/// An event of an HTTP API with these members replaced.
fn event(members: &Value) -> String {
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/push", "rawQueryString": "",
        "headers": {"authorization": basic(), "host": "x"},
        "requestContext": {"http": {"method": "POST", "path": "/push", "sourceIp": "203.0.113.7"}, "requestId": "id"},
        "body": "[]", "isBase64Encoded": false,
    });
    for (name, value) in members.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string()
}

async fn status(event: &str) -> Result<u64, EventError> {
    reply(event).await.0.map(|reply| reply["statusCode"].as_u64().unwrap())
}

#[tokio::test]
async fn hostile_requests_are_rejected_and_store_nothing() {
    let authorization = basic();
    let with_path = |path: &str| event(&json!({"rawPath": path}));
    let of_rest = |authorization: &Value| {
        let mut event: Value = serde_json::from_str(include_str!("../../../events/rest-api/push-alert.json")).unwrap();
        let headers = event["multiValueHeaders"].as_object_mut().unwrap();
        headers.retain(|name, _| !name.eq_ignore_ascii_case("authorization"));
        headers.insert("Authorization".to_owned(), authorization.clone());
        (event["body"], event["isBase64Encoded"]) = ("[]".into(), false.into());
        event.to_string()
    };
    for (event, expected) in [
        (event(&json!({})), 200),
        (event(&json!({"body": null})), 400),
        (event(&json!({"headers": {}})), 401),
        (event(&json!({"headers": {"authorization": format!("{authorization}, {authorization}")}})), 401),
        (event(&json!({"headers": {"authorization": "x".repeat(1_000_000)}})), 401),
        (event(&json!({"headers": {"authorization": authorization, "content-encoding": "gzip, gzip"}})), 415),
        (event(&json!({"headers": {"authorization": authorization, "content-length": "10000001"}})), 413),
        (with_path("/%70ush"), 404),
        (with_path("/push/"), 404),
        (with_path("//push"), 404),
        (with_path("/../push"), 404),
        (with_path("/pu\u{0}sh"), 404),
        (with_path("/push\r\nX-Evil: 1"), 404),
        (with_path(&format!("/{}", "p".repeat(200_000))), 404),
        (with_path(""), 404),
        (of_rest(&json!([authorization])), 200),
        (of_rest(&json!([authorization, authorization])), 401),
        (of_rest(&json!([authorization, "Basic eDp5"])), 401),
    ] {
        let shown: String = event.chars().take(300).collect();
        let (replied, stored) = reply(&event).await;
        let replied = replied.unwrap_or_else(|fault| panic!("{fault}: {shown}"));
        assert_eq!(replied["statusCode"], expected, "{shown}: {replied}");
        // An authenticated body that is not a batch is stored.
        assert_eq!(stored, usize::from(expected == 400), "{shown}");
        assert!(!replied.to_string().contains("vil"), "{shown}: {replied}");
    }
}

/// Pushes of clients of an external issuer.
#[tokio::test]
async fn only_the_event_context_verifies_a_token_and_nothing_that_a_client_sends() {
    let readings = String::from_utf8(body(&[reading(1)])).unwrap();
    let authorizer = json!({"jwt": {"claims": {"sub": "vendor"}, "scopes": ["push"]}});
    let of = |path: &str, authorizer: &Value, headers: &Value| {
        let http = json!({"method": "POST", "path": path, "sourceIp": "203.0.113.7"});
        let context = json!({"http": http, "requestId": "id", "authorizer": authorizer});
        event(&json!({"rawPath": path, "headers": headers, "requestContext": context, "body": readings}))
    };
    let jwt = |authorizer: &Value, headers: &Value| of("/push/jwt", authorizer, headers);
    let own = json!({"authorization": basic()});
    let in_headers = json!({
        "authorization": basic(), "authorizer": authorizer.to_string(), "x-amzn-authorizer": authorizer.to_string(),
        "requestcontext": json!({"authorizer": authorizer}).to_string(), "x-amzn-oidc-identity": "vendor",
    });
    let in_body = event(&json!({
        "rawPath": "/push/jwt", "body": json!({"requestContext": {"authorizer": authorizer}}).to_string(),
        "authorizer": authorizer, "queryStringParameters": {"authorizer": authorizer.to_string()},
    }));
    let mut of_rest: Value = serde_json::from_str(include_str!("../../../events/rest-api/push-alert.json")).unwrap();
    (of_rest["path"], of_rest["requestContext"]["authorizer"]) = ("/push/jwt".into(), authorizer.clone());
    for (event, expected) in [
        (jwt(&authorizer, &json!({})), 200),
        (jwt(&json!({"jwt": {"claims": {"client_id": "machine"}, "scopes": null}}), &json!({})), 200),
        (jwt(&authorizer, &json!({"origin": "https://evil.example"})), 403),
        (jwt(&authorizer, &json!({"content-encoding": "br"})), 415),
        (jwt(&Value::Null, &own), 401),
        (jwt(&json!({}), &own), 401),
        (jwt(&json!({"jwt": null}), &own), 401),
        (jwt(&json!({"lambda": authorizer, "iam": null}), &own), 401),
        (jwt(&Value::Null, &in_headers), 401),
        (in_body, 401),
        (of_rest.to_string(), 401),
        (of("/push", &authorizer, &json!({})), 401),
        (of("/zones/z/cleaned", &authorizer, &json!({})), 401),
        (of("/push/jwt/", &authorizer, &json!({})), 404),
    ] {
        let (replied, stored) = reply(&event).await;
        let replied = replied.unwrap_or_else(|fault| panic!("{fault}: {event}"));
        assert_eq!((replied["statusCode"].clone(), stored), (expected.into(), usize::from(expected == 200)), "{event}");
    }
}

#[tokio::test]
async fn incomplete_gzip_has_its_own_problem() {
    let packed = gzip(&body(&[reading(1)]));
    let sent = |bytes: &[u8]| {
        let headers = json!({"authorization": basic(), "content-encoding": "gzip"});
        event(&json!({"headers": headers, "body": STANDARD.encode(bytes), "isBase64Encoded": true}))
    };
    let (refused, kept) = reply(&sent(&packed[..packed.len() - 1])).await;
    let refused = refused.unwrap();
    assert_eq!((&refused["statusCode"], kept), (&json!(400), 1));
    assert!(refused["body"].as_str().unwrap().contains("gzip body is damaged or incomplete"), "{refused}");
    assert_eq!(reply(&sent(&packed)).await.0.unwrap()["statusCode"], 200);
}

#[tokio::test]
async fn a_cross_origin_request_is_rejected_and_stores_nothing() {
    let readings = String::from_utf8(body(&[reading(1)])).unwrap();
    let sent = |path: &str, headers: &[(&str, &str)]| {
        let mut all = json!({"authorization": basic(), "host": "push.example.com"});
        headers.iter().for_each(|(name, value)| all[name] = (*value).into());
        let context = json!({"http": {"method": "POST", "path": path}, "domainName": "push.example.com"});
        event(&json!({"rawPath": path, "headers": all, "requestContext": context, "body": readings}))
    };
    let of_rest = |origin: &str| {
        let mut event: Value = serde_json::from_str(include_str!("../../../events/rest-api/push-alert.json")).unwrap();
        event["multiValueHeaders"] =
            json!({"Authorization": [basic()], "Host": ["push.example.com"], "Origin": [origin]});
        event["requestContext"]["domainName"] = "push.example.com".into();
        event.to_string()
    };
    for (event, expected) in [
        (sent("/push", &[("sec-fetch-site", "cross-site")]), 403),
        (sent("/push", &[("sec-fetch-site", "same-site")]), 403),
        (sent("/push", &[("origin", "https://evil.example")]), 403),
        (sent("/push", &[("origin", "null")]), 403),
        (sent("/zones/z/cleaned", &[("origin", "https://evil.example")]), 403),
        (of_rest("https://evil.example"), 403),
        (of_rest("https://push.example.com"), 200),
        (sent("/push", &[("origin", "https://push.example.com"), ("sec-fetch-site", "same-origin")]), 200),
        (sent("/push", &[]), 200),
    ] {
        let (replied, stored) = reply(&event).await;
        let replied = replied.unwrap();
        assert_eq!((replied["statusCode"].clone(), stored), (expected.into(), usize::from(expected == 200)), "{event}");
    }
}

#[tokio::test]
async fn an_invalid_event_is_an_error_and_neither_a_panic_nor_an_overflow() {
    const DEEP: usize = 100_000;
    let twice = event(&json!({})).replacen("{\"body\"", "{\"body\":\"[1]\",\"body\"", 1);
    for text in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"x\"".to_owned(),
        "[".repeat(DEEP),
        "{\"a\":".repeat(DEEP),
        format!("{{\"body\":{}1{}}}", "[".repeat(DEEP), "]".repeat(DEEP)),
        event(&json!({"requestContext": []})),
        event(&json!({"requestContext": {"http": {"method": "PO ST", "path": "/push"}}})),
        event(&json!({"headers": {"bad name": "x"}})),
        event(&json!({"headers": {"x": "a\r\nb: c"}})),
        event(&json!({"headers": {"x": "a\u{0}b"}})),
        event(&json!({"body": {"an": "object"}})),
    ] {
        let shown: String = text.chars().take(200).collect();
        assert!(status(&text).await.is_err(), "{shown}");
    }
    assert_eq!(status(&twice).await, Ok(200), "of repeated members one counts");
    let deep =
        event(&json!({"requestContext": null})).replace("null", &format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP)));
    assert!(status(&deep).await.is_err());
}

#[tokio::test]
async fn a_panic_of_the_handler_is_a_500_and_the_next_event_is_handled() {
    let app = TestApp::new().app.with_metrics(|| panic!("a bug"));
    let get = json!({"http": {"method": "GET", "path": "/metrics", "sourceIp": "203.0.113.7"}, "requestId": "id"});
    let panicking = event(&json!({"rawPath": "/metrics", "requestContext": get}));
    for (event, expected) in [(panicking, 500), (event(&json!({})), 200)] {
        let envelope = Envelope::parse(&event).unwrap();
        let response = app.handle_api_event(&envelope, "invocation", Timestamp::now()).await.unwrap();
        assert_eq!(serde_json::to_value(response).unwrap()["statusCode"], expected, "{event}");
    }
}

/// Requests without valid credentials must not make the function decode megabytes.
#[tokio::test]
async fn a_body_is_decoded_only_after_its_client_is_authenticated() {
    let megabytes = "!".repeat(6 << 20);
    let of = |authorization: &str, body: &str, is_base64: bool| {
        let headers = json!({"authorization": authorization});
        let event = event(&json!({"headers": headers, "isBase64Encoded": is_base64, "body": body}));
        event.replace("UNPAIRED", "\\ud800").replace("MALFORMED", "\\x")
    };
    for (body, is_base64) in [(megabytes.as_str(), true), ("UNPAIRED", false), ("MALFORMED", false)] {
        assert_eq!(status(&of("Basic eDp5", body, is_base64)).await, Ok(401));
        let (replied, stored) = reply(&of(&basic(), body, is_base64)).await;
        assert_eq!((replied.unwrap()["statusCode"].as_u64(), stored), (Some(400), 0));
    }
    assert_eq!(status(&of(&basic(), "W10=", true)).await, Ok(200));
}

#[tokio::test]
async fn large_events_are_accepted_up_to_the_limits() {
    let sent = |bytes: &[u8], encoding: &str| {
        let headers = json!({"authorization": basic(), "content-encoding": encoding});
        event(&json!({"headers": headers, "isBase64Encoded": true, "body": STANDARD.encode(bytes)}))
    };
    let blank = |length: usize| [b"[".as_slice(), &vec![b' '; length - 2], b"]"].concat();
    assert_eq!(status(&sent(&gzip(&blank(MAX_DECODED)), "gzip")).await, Ok(200));
    assert_eq!(status(&sent(&gzip(&blank(MAX_DECODED + 1)), "gzip")).await, Ok(413));
    let items = |count: usize| body(&vec!["{}".to_owned(); count]);
    assert_eq!(status(&sent(&items(MOST_ITEMS), "identity")).await, Ok(200));
    assert_eq!(status(&sent(&items(MOST_ITEMS + 1), "identity")).await, Ok(413));
    // API Gateway passes on text as a JSON string.
    let readings: Vec<String> = (0..10_000).map(reading).collect();
    let text = String::from_utf8(body(&readings)).unwrap();
    assert_eq!(status(&event(&json!({"body": text}))).await, Ok(200));
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(status(&event(&json!({"body": deep}))).await, Ok(200));
}
