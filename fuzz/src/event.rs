//! What the function is invoked with: a request's event is the request that it tells of, and whatever else comes is an
//! answer or a fault, never a panic.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::hosts::lambda::EventResponse;
use smartclean_push::ingest::ports::{RawStore, Stored, StoredObjects, UnavailableError};

use super::split::sha256;
use super::world::{World, now, wait};

pub(super) fn check(data: &[u8]) {
    // Lambda hands over what is JSON, and so Unicode text.
    let Ok(event) = std::str::from_utf8(data) else { return };
    let world = World::new();
    let Ok(reply) = wait(world.app.handle_event(&Bucket, event.as_bytes(), "invocation-1", now())) else {
        assert!(world.store.objects().is_empty(), "what is not taken in is not half taken in");
        return;
    };
    let EventResponse::Request(answer) = reply else { return };
    let answer = serde_json::to_value(answer).expect("JSON");
    let status = answer["statusCode"].as_u64().expect("a status");
    assert!(status < 500, "{answer}");
    assert!(status != 200 || !asks_for_verified(event) || is_verified(event), "let in");
    let Some(body) = sent(event) else { return };
    let told: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default();
    let keys = world.store.objects().into_keys();
    if let (200, Some(batch)) = (status, told["batch"].as_str()) {
        assert_eq!(batch, &sha256(&body)[..32], "the body that was sent");
        for key in keys {
            assert!(key.contains(batch), "{key}");
        }
    }
}

/// Whether an event is a request for the path whose tokens API Gateway verifies.
fn asks_for_verified(event: &str) -> bool {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    ["rawPath", "path"].iter().any(|name| event[name].as_str().is_some_and(|path| path.ends_with("/push/jwt")))
}

/// Whether API Gateway says in an event that it has verified a token.
fn is_verified(event: &str) -> bool {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    event["version"] == "2.0" && !event["requestContext"]["authorizer"]["jwt"].is_null()
}

/// The body that an event says was sent; `None` where `serde_json` finds none in it, or a compressed one.
fn sent(event: &str) -> Option<Vec<u8>> {
    let event: Value = serde_json::from_str(event).ok()?;
    let text = event["body"].as_str().unwrap_or_default();
    let headers = event.to_string().to_lowercase();
    if headers.contains("content-encoding") || headers.contains("/messages") {
        return None;
    }
    if event["isBase64Encoded"] == true { STANDARD.decode(text).ok() } else { Some(text.as_bytes().to_vec()) }
}

/// The store by itself, in which nothing is.
struct Bucket;

#[async_trait]
impl RawStore for Bucket {
    async fn put(&self, _: Object) -> Result<Stored, UnavailableError> {
        Ok(Stored::New)
    }
}

#[async_trait]
impl StoredObjects for Bucket {
    async fn read(&self, _: &ObjectKey) -> Result<Option<(Option<jiff::Timestamp>, String)>, UnavailableError> {
        Ok(None)
    }
}
