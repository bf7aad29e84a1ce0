//! Events of the function: the event of a request is handled as that request, and any other event is a response or an error, never a
//! panic.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::hosts::lambda::EventResponse;
use smartclean_push::ingest::ports::{RawStore, Stored, StoredObjects, StoredPushes, UnavailableError};

use super::split::sha256;
use super::world::{FuzzApp, now, wait};

pub(super) fn check(data: &[u8]) {
    // Lambda sends JSON, which is valid Unicode.
    let Ok(event) = std::str::from_utf8(data) else { return };
    let app = FuzzApp::new();
    let Ok(event_response) = wait(app.app.handle_event(&EmptyStore, event.as_bytes(), "invocation-1", now())) else {
        assert!(app.store.objects().is_empty(), "an event that fails stores nothing");
        return;
    };
    let EventResponse::Request(http_response) = event_response else { return };
    let http_response = serde_json::to_value(http_response).expect("JSON");
    let status = http_response["statusCode"].as_u64().expect("a status");
    assert!(status < 500, "{http_response}");
    assert!(
        status != 200 || !needs_verified_token(event) || is_verified(event),
        "authenticated without a verified token"
    );
    let Some(body) = sent(event) else { return };
    let response: Value = serde_json::from_str(http_response["body"].as_str().unwrap_or_default()).unwrap_or_default();
    let keys = app.store.objects().into_keys();
    if let (200, Some(batch)) = (status, response["batch"].as_str()) {
        assert_eq!(batch, &sha256(&body)[..32], "the digest of the sent body");
        for key in keys {
            assert!(key.contains(batch), "{key}");
        }
    }
}

/// Whether an event is a request for the path whose tokens API Gateway verifies.
fn needs_verified_token(event: &str) -> bool {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    ["rawPath", "path"].iter().any(|name| event[name].as_str().is_some_and(|path| path.ends_with("/push/jwt")))
}

/// Whether API Gateway has verified a token of an event.
fn is_verified(event: &str) -> bool {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    event["version"] == "2.0" && !event["requestContext"]["authorizer"]["jwt"].is_null()
}

/// The body of an event; `None` if there is none, or if it is compressed.
fn sent(event: &str) -> Option<Vec<u8>> {
    let event: Value = serde_json::from_str(event).ok()?;
    let text = event["body"].as_str().unwrap_or_default();
    let headers = event.to_string().to_lowercase();
    if headers.contains("content-encoding") || headers.contains("/messages") {
        return None;
    }
    if event["isBase64Encoded"] == true { STANDARD.decode(text).ok() } else { Some(text.as_bytes().to_vec()) }
}

/// An empty object store.
struct EmptyStore;

#[async_trait]
impl RawStore for EmptyStore {
    async fn put(&self, _: Object) -> Result<Stored, UnavailableError> {
        Ok(Stored::New)
    }
}

#[async_trait]
impl StoredObjects for EmptyStore {
    async fn read(&self, _: &ObjectKey) -> Result<Option<StoredPushes>, UnavailableError> {
        Ok(None)
    }
}
