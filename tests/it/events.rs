//! The function's responses to the API Gateway requests in `events/`, with all ports in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;
use smartclean_push::sources::Envelope;

use crate::support::World;

fn folder() -> PathBuf {
    crate::support::repository().join("events")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap()
}

fn expectations() -> BTreeMap<String, Value> {
    serde_json::from_str(&text("expected.json")).unwrap()
}

/// Returns the function's response as API Gateway reads it: status, headers in lower case, body as text.
async fn answer(event: &str) -> (Value, BTreeMap<String, Value>, String) {
    let answer = World::new()
        .app()
        .handle_api_event(&Envelope::parse(event).unwrap(), "invocation", Timestamp::now())
        .await
        .unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!(answer["isBase64Encoded"], false);
    let mut headers = BTreeMap::new();
    for (name, values) in answer["multiValueHeaders"].as_object().into_iter().flatten() {
        headers.insert(name.to_lowercase(), values[0].clone());
    }
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        assert_eq!(headers.insert(name.to_lowercase(), value.clone()), None, "{name} occurs in both header maps");
    }
    (answer["statusCode"].clone(), headers, answer["body"].as_str().unwrap().to_owned())
}

#[test]
fn every_event_has_an_expectation_and_no_expectation_lacks_its_event() {
    let mut files = Vec::new();
    for api in ["http-api", "rest-api"] {
        for entry in std::fs::read_dir(folder().join(api)).unwrap() {
            files.push(format!("{api}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    files.sort();
    assert_eq!(files, expectations().into_keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn every_event_has_the_expected_response() {
    for (name, expected) in expectations() {
        let (status, headers, body) = answer(&text(&name)).await;
        assert_eq!(status, expected["status"], "{name}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        for (field, value) in expected["body"].as_object().unwrap() {
            assert_eq!(&body[field], value, "{name}: {field} of {body}");
        }
        for (header, value) in expected["headers"].as_object().unwrap() {
            assert_eq!(headers.get(header), Some(value), "{name}: {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_response_has_the_payload_format_of_its_event() {
    for name in ["http-api/health.json", "rest-api/health.json"] {
        let (status, headers, body) = answer(&text(name)).await;
        let expected = format!(r#"{{"status":"ok","version":"{}"}}"#, smartclean_push::VERSION);
        assert_eq!((status, body), (200.into(), expected), "{name}");
        assert_eq!(headers["content-type"], "application/json", "{name}");
    }
}
